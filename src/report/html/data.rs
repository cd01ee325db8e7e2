//! What the script of the page shows, as JSON inside the page. Every string is made visible and bounded here, and no
//! character in it can end the element or start a comment, so the script only ever has to set text.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::hunt::attack;
use crate::report::AlertReport;
use crate::report::story::{AlertStory, Event, HuntText, Story};
use crate::report::visible::{neutral, neutral_lines, shorten_counting};

/// Raw events shown of one alert, and of all alerts of a page: the worst alerts come first.
const EVENTS_OF_ALERT: usize = 25;
const EVENTS_OF_PAGE: usize = 2_500;
/// Columns shown of a raw event's text, of a value, of our own words.
const RAW_WIDTH: usize = 3_000;
const VALUE_WIDTH: usize = 1_000;
const WORDS_WIDTH: usize = 20_000;
/// Values shown of a list in a finding.
const VALUES: usize = 60;

/// The JSON, fit to stand in a script element.
pub(super) fn island(story: &Story<'_>) -> String {
    let report = story.report;
    let mut room = EVENTS_OF_PAGE;
    let none = AlertStory::default();
    let incidents: BTreeMap<&str, &str> = report
        .incidents
        .iter()
        .flat_map(|incident| {
            let alerts = incident.alert_ids.iter();
            alerts.map(|alert| (alert.as_str(), incident.incident_id.as_str()))
        })
        .collect();
    // One by one: all of them as values would take many times the memory of the page.
    let mut text = String::from("{\"alerts\":[");
    for (number, alert) in report.alerts.iter().enumerate() {
        let behind = story.alerts.get(&alert.alert_id).unwrap_or(&none);
        let incident = incidents.get(alert.alert_id.as_str()).copied();
        let shown = one_alert(alert, behind, incident, &mut room);
        if number > 0 {
            text.push(',');
        }
        text.push_str(&in_script(&shown.to_string()));
    }
    let hunts: Map<String, Value> = report
        .hunts
        .iter()
        .map(|hunt| {
            let text = story.hunts.get(&hunt.name).cloned().unwrap_or_default();
            (
                value(&hunt.name),
                one_hunt(&hunt.title, &hunt.status, &text),
            )
        })
        .collect();
    for (name, rest) in [
        ("],\"hunts\":", Value::Object(hunts)),
        (",\"again\":", value(&story.again).into()),
    ] {
        text.push_str(name);
        text.push_str(&in_script(&rest.to_string()));
    }
    text.push('}');
    text
}

/// JSON as it may stand in a script element: there is no `<` in it, so neither `</script` nor `<!--`.
fn in_script(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

fn one_alert(
    alert: &AlertReport,
    behind: &AlertStory,
    incident: Option<&str>,
    room: &mut usize,
) -> Value {
    let kept = behind.events.len().min(EVENTS_OF_ALERT).min(*room);
    *room -= kept;
    let techniques: Vec<Value> = alert
        .techniques
        .iter()
        .map(|id| {
            let name = attack::technique(id).map_or("", |technique| technique.name);
            json!([value(id), name, attack::page(id)])
        })
        .collect();
    let entities: Vec<Value> = alert
        .entities
        .iter()
        .map(|entity| json!([value(&entity.kind), value(&entity.value)]))
        .collect();
    let finding: Vec<Value> = behind
        .finding
        .iter()
        .map(|(column, values)| {
            let shown: Vec<String> = values.iter().take(VALUES).map(|one| value(one)).collect();
            json!([value(column), shown, values.len().saturating_sub(VALUES)])
        })
        .collect();
    let events: Vec<Value> = behind.events[..kept].iter().map(event).collect();
    let places: Vec<String> = alert
        .evidence
        .iter()
        .map(|row| value(&format!("{} {} row {}", row.table, row.file, row.row)))
        .collect();
    json!({
        "id": value(&alert.alert_id),
        "group": value(&alert.group_id),
        "hunt": value(&alert.hunt),
        "title": value(&alert.title),
        "level": alert.level.as_str(),
        "risk": alert.shown_risk(),
        "message": value(&alert.message),
        "entities": entities,
        "first": alert.first_seen,
        "last": alert.last_seen,
        "events": alert.event_count,
        "findings": alert.finding_count,
        "techniques": techniques,
        "tactics": alert.tactics.iter().map(|tactic| value(tactic)).collect::<Vec<_>>(),
        "standing": alert.standing(),
        "exception": alert.excepted_by.as_deref().map(value),
        "incident": incident.map(value),
        "finding": finding,
        "story": events,
        "places": places,
        "total": alert.evidence_total,
        "cut": alert.evidence_truncated,
        "logic": value(&behind.logic_hash),
    })
}

fn event(event: &Event) -> Value {
    let columns: Vec<Value> = event
        .columns
        .iter()
        .map(|(name, text)| json!([value(name), value(text)]))
        .collect();
    json!({
        "table": value(&event.table),
        "file": value(&event.file),
        "row": event.row,
        "time": event.time,
        "view": event.view.as_deref().map(value),
        "host": value(&event.host),
        "user": value(&event.user),
        "what": value(&event.what),
        "columns": columns,
        "raw": event.raw.as_deref().map(|raw| bounded(raw, RAW_WIDTH)),
    })
}

fn one_hunt(title: &str, status: &str, hunt: &HuntText) -> Value {
    let parameters: Vec<Value> = hunt
        .parameters
        .iter()
        .map(|(name, text)| json!([value(name), value(text)]))
        .collect();
    let lines = |items: &[String]| items.iter().map(|item| words(item)).collect::<Vec<_>>();
    json!({
        "title": value(title),
        "status": value(status),
        "description": words(hunt.description.trim()),
        "sql": words(hunt.sql.trim()),
        "parameters": parameters,
        "lookback": hunt.lookback.as_deref().map(value),
        "response": lines(&hunt.response),
        "falsepositives": lines(&hunt.falsepositives),
        "references": lines(&hunt.references),
    })
}

fn value(text: &str) -> String {
    bounded(text, VALUE_WIDTH)
}

fn bounded(text: &str, width: usize) -> String {
    shorten_counting(&neutral(text), width).into_owned()
}

/// Text of the library, whose line ends are its own.
fn words(text: &str) -> String {
    let shown = neutral_lines(text);
    shorten_counting(&shown, WORDS_WIDTH).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::visible::is_active;

    #[test]
    fn nothing_in_it_ends_the_element() {
        let text =
            in_script(&json!([value("</script><!--<script>\u{2028}\u{202e}&amp;")]).to_string());
        assert!(
            !text.contains(['<', '>', '&']) && !text.contains(is_active),
            "{text}"
        );
        let back: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(back[0], r"</script><!--<script>\u{2028}\u{202e}&amp;");
    }
}
