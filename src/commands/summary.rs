//! The renderings of a tile's report, outside the commit: JSON for programs, Markdown for tickets, and the page that is
//! read in the morning, with what stands behind the alerts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::hunts::sql;
use super::read_back::{Events, PAGE_BYTES, read_back};
use super::read_results::add_results;
use super::run_tile::TileRun;
use crate::error::{Error, Result};
use crate::history::trend;
use crate::hunt::Hunt;
use crate::output::alert::Evidence;
use crate::output::ledger::TableRecord;
use crate::output::publish::{quarantine_path, summary_path};
use crate::output::{Alert, value};
use crate::report::story::{AlertStory, Event, HuntText, Quarantined, Story};
use crate::report::{self, Report};

/// Days that the page looks back.
const DAYS: u64 = 28;
/// Raw events read back for one alert, and for all alerts of a page, the worst first.
const EVENTS_OF_ALERT: usize = 25;
const EVENTS_OF_PAGE: usize = 2_500;
/// Quarantined records shown of a table.
const QUARANTINED: usize = 20;

/// Writes the renderings; of a subset they would hide what the other hunts found.
pub(super) async fn write_summary(
    run: &TileRun<'_>,
    report: &Report,
    tables: &BTreeMap<String, TableRecord>,
    alerts: &BTreeMap<String, Vec<Alert>>,
) -> Result<()> {
    if run.is_named() {
        return Ok(());
    }
    let json = report::json::render(report).map_err(|error| Error::failure(error.to_string()))?;
    let markdown = report::markdown::render(report);
    let story = story(run, report, tables, alerts).await?;
    let html = report::html::render(&story);
    for (suffix, text) in [("json", json), ("md", markdown), ("html", html)] {
        let path = summary_path(&run.job.name, run.tile, suffix);
        run.output.put(&path, text.as_bytes()).await?;
    }
    Ok(())
}

/// Adds the notes of the tile's summary, as what ran before left it: they are about what this run does not read again.
pub(super) async fn add_earlier_notes(run: &TileRun<'_>, notes: &mut Vec<String>) {
    let path = summary_path(&run.job.name, run.tile, "json");
    // A summary is made again at will: one that is not there, or torn, says nothing.
    let Ok(bytes) = run.output.read(&path).await else {
        return;
    };
    let earlier = serde_json::from_slice::<Report>(&bytes);
    for note in earlier.map_or_else(|_| Vec::new(), |report| report.notes) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

async fn story<'a>(
    run: &TileRun<'_>,
    report: &'a Report,
    tables: &BTreeMap<String, TableRecord>,
    alerts: &BTreeMap<String, Vec<Alert>>,
) -> Result<Story<'a>> {
    let by_id: BTreeMap<&str, &Alert> = alerts
        .values()
        .flatten()
        .map(|alert| (alert.alert_id.as_str(), alert))
        .collect();
    // In the order of the report: the worst first.
    let in_order = || {
        let alerts = report.alerts.iter();
        alerts.filter_map(|alert| by_id.get(alert.alert_id.as_str()).copied())
    };
    let wanted: Vec<&Evidence> = in_order()
        .flat_map(|alert| alert.evidence.iter().take(EVENTS_OF_ALERT))
        .take(EVENTS_OF_PAGE)
        .collect();
    let mut problems = Vec::new();
    let mut events = read_back(run.engine, tables, &wanted, PAGE_BYTES, &mut problems).await;
    add_results(run.output, &wanted, &mut events, &mut problems).await;
    let days = trend::days(run.output, &run.job.name, run.tile, DAYS).await?;
    let hunts = run.told.iter();
    let hunts = hunts.map(|hunt| Ok((hunt.name.clone(), hunt_text(run, hunt)?)));
    Ok(Story {
        report,
        hunts: hunts.collect::<Result<_>>()?,
        alerts: in_order()
            .map(|alert| (alert.alert_id.clone(), alert_story(alert, &events)))
            .collect(),
        quarantine: quarantined(run, tables).await,
        days,
        again: format!(
            "run {} --from {} --to {}",
            run.job.path.display(),
            value::rfc3339(run.tile.start),
            value::rfc3339(run.tile.end)
        ),
        problems,
    })
}

fn hunt_text(run: &TileRun<'_>, hunt: &Hunt) -> Result<HuntText> {
    let front = &hunt.front_matter;
    let parameters = run.job.parameters(hunt)?;
    Ok(HuntText {
        level: Some(front.level),
        risk: front.risk.as_ref().map(|risk| i64::from(risk.score)),
        description: front.description.clone(),
        sql: sql(hunt),
        parameters: parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect(),
        lookback: front.lookback.clone(),
        response: front.response.clone(),
        falsepositives: front.falsepositives.clone(),
        references: front.references.clone(),
    })
}

/// What stands behind an alert, as far as its events were read back.
fn alert_story(alert: &Alert, events: &Events) -> AlertStory {
    let shown = alert.evidence.len().min(EVENTS_OF_ALERT);
    AlertStory {
        finding: finding(&alert.finding),
        events: events_of(&alert.evidence[..shown], events),
        logic_hash: alert.logic_hash.clone(),
    }
}

/// The events of some places, oldest first.
pub(super) fn events_of(places: &[Evidence], events: &Events) -> Vec<Event> {
    let found = places.iter().filter_map(|place| events.get(place));
    let mut events: Vec<Event> = found.cloned().collect();
    events.sort_by(|a, b| {
        let place = |event: &Event| (event.time, event.row);
        place(a).cmp(&place(b)).then_with(|| a.file.cmp(&b.file))
    });
    events
}

/// The columns of a finding that hold something, each with its values.
pub(super) fn finding(json: &str) -> Vec<(String, Vec<String>)> {
    let Ok(Value::Object(members)) = serde_json::from_str(json) else {
        return Vec::new();
    };
    let columns = members
        .into_iter()
        .map(|(name, value)| (name, values(value)));
    columns.filter(|(_, values)| !values.is_empty()).collect()
}

fn values(value: Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text],
        Value::Array(items) => items.into_iter().flat_map(values).collect(),
        // What collect_set gives.
        Value::Object(mut members) if members.contains_key("truncated") => {
            let is_cut = members.get("truncated") == Some(&Value::Bool(true));
            let mut items = values(members.remove("values").unwrap_or_default());
            if is_cut {
                items.push("and more that were not kept".to_owned());
            }
            items
        }
        other => vec![other.to_string()],
    }
}

/// The quarantine of the tile, as it was written; what cannot be read is counted in the report all the same.
async fn quarantined(
    run: &TileRun<'_>,
    tables: &BTreeMap<String, TableRecord>,
) -> BTreeMap<String, Quarantined> {
    let mut found = BTreeMap::new();
    for (table, _) in tables.iter().filter(|(_, record)| record.quarantined > 0) {
        let path = quarantine_path(&run.job.name, run.tile, table);
        let Ok(bytes) = run.output.read(&path).await else {
            continue;
        };
        let mut of_table = Quarantined::default();
        let lines = bytes.split(|byte| *byte == b'\n');
        for record in lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            *of_table.reasons.entry(text("reason")).or_default() += 1;
            if of_table.first.len() < QUARANTINED {
                let detail = format!("{}: {}", text("reason"), text("detail"));
                let line = record["line"].as_u64().unwrap_or(0);
                of_table.first.push((text("file"), line, detail));
            }
        }
        found.insert(table.clone(), of_table);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_told_column_by_column() {
        let json = r#"{"host":"A","nothing":null,"none":[],"users":["x",null,"y"],"commands":{"values":["a","b"],"truncated":true},"count":3}"#;
        let told: Vec<String> = finding(json)
            .into_iter()
            .map(|(name, values)| format!("{name}={}", values.join("|")))
            .collect();
        assert_eq!(
            told,
            [
                "host=A",
                "users=x|y",
                "commands=a|b|and more that were not kept",
                "count=3"
            ]
        );
        assert!(finding("[").is_empty());
    }
}
