//! Alerts read back by their place, for alerts of hunts that look at alerts: what tells the whole story of those is not
//! raw events, but other alerts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::read_back::Events;
use super::summary::finding;
use crate::history::results::{alert_file, place_of};
use crate::output::Output;
use crate::output::alert::Evidence;
use crate::report::story::Event;

/// The relation whose rows are read back; those of others say nothing beside the finding itself.
const ALERTS: &str = "alerts";

/// Adds the alerts among some places to events. What could not be read is said in `problems`.
pub(super) async fn add_results(
    output: &Output,
    wanted: &[&Evidence],
    events: &mut Events,
    problems: &mut Vec<String>,
) {
    let mut files: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for place in wanted {
        if place.table == ALERTS && place_of(&place.file, ALERTS).is_some() {
            files.entry(&place.file).or_default().insert(place.row);
        }
    }
    for (file, rows) in files {
        let alerts = match alert_file(output, file).await {
            Ok(alerts) => alerts,
            Err(error) => {
                problems.push(error.in_one_line());
                continue;
            }
        };
        for (row, alert) in (1..).zip(alerts).filter(|(row, _)| rows.contains(row)) {
            let place = Evidence {
                table: ALERTS.to_owned(),
                file: file.to_owned(),
                row,
            };
            let hunt = place_of(file, ALERTS).unwrap_or_default();
            let event = event_of(&place, hunt, &alert);
            events.insert(place, event);
        }
    }
}

fn event_of(place: &Evidence, hunt: &str, alert: &serde_json::Map<String, Value>) -> Event {
    let text = |name: &str| match alert.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let entities = alert.get("entities").and_then(Value::as_array);
    let entities: Vec<(String, String)> = entities
        .into_iter()
        .flatten()
        .map(|entity| {
            let text = |key: &str| entity.get(key).and_then(Value::as_str).unwrap_or_default();
            (text("kind").to_owned(), text("value").to_owned())
        })
        .collect();
    let of_kind = |kind: &str| {
        let mut own = entities.iter().filter(|(own, _)| own == kind);
        own.next()
            .map(|(_, value)| value.clone())
            .unwrap_or_default()
    };
    let shown: Vec<String> = entities
        .iter()
        .map(|(kind, value)| format!("{kind} {value}"))
        .collect();
    let mut columns = vec![
        ("hunt".to_owned(), hunt.to_owned()),
        ("level".to_owned(), text("level")),
        ("risk_score".to_owned(), text("risk_score")),
        ("entities".to_owned(), shown.join(", ")),
        ("last_seen".to_owned(), text("last_seen")),
        ("alert_id".to_owned(), text("alert_id")),
    ];
    let own = finding(&text("finding")).into_iter();
    columns.extend(own.map(|(name, values)| (name, values.join(", "))));
    columns.retain(|(_, value)| !value.is_empty());
    Event {
        table: place.table.clone(),
        file: place.file.clone(),
        row: place.row,
        time: text("first_seen").parse().ok(),
        view: Some(ALERTS.to_owned()),
        host: of_kind("host"),
        user: of_kind("user"),
        what: format!("{hunt}: {}", text("message")),
        columns,
        raw: Some(Value::from(alert.clone()).to_string()),
    }
}
