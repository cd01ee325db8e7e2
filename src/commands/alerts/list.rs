//! `lakehunt alerts list`: stored alerts, the newest first.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Place, rows, window};
use crate::cli::{AlertsListArgs, TableFormat};
use crate::commands::{data, harmless_json, ndjson, runtime};
use crate::error::Result;
use crate::history::stored::StoredAlert;
use crate::output::value::rfc3339;
use crate::printer::Printer;
use crate::report::figures::amount;
use crate::report::navigator::{Scored, layer};
use crate::report::ocsf;

pub(super) fn run(arguments: &AlertsListArgs, printer: &Printer, now: DateTime<Utc>) -> Result<()> {
    let place = Place::of(&arguments.place)?;
    let now = place.now(now);
    let window = window(&arguments.window, now)?;
    let mut alerts = runtime()?.block_on(place.alerts(window, printer))?;
    let stored = alerts.len();
    alerts.retain(|alert| wanted(arguments, alert));
    alerts.sort_by(|a, b| (b.last_seen, &a.alert_id).cmp(&(a.last_seen, &b.alert_id)));
    if arguments.navigator {
        let words = "Alerts by the techniques of their hunts. The score is their number.";
        return harmless_json(printer, &layer("lakehunt alerts", words, &fired(&alerts)));
    }
    if arguments.ocsf {
        let findings: Vec<_> = alerts.iter().map(ocsf::finding).collect();
        return ndjson(printer, &findings);
    }
    match arguments.format {
        TableFormat::Json => return harmless_json(printer, &alerts),
        TableFormat::Ndjson => return ndjson(printer, &alerts),
        TableFormat::Text | TableFormat::Csv | TableFormat::Markdown => {}
    }
    let is_short = arguments.format == TableFormat::Text;
    let cells: Vec<Vec<String>> = alerts.iter().map(|alert| row(alert, is_short)).collect();
    let head = [
        "last_seen",
        "level",
        "risk",
        "status",
        "alert",
        "hunt",
        "entities",
        "message",
    ];
    let text = match arguments.format {
        TableFormat::Csv => rows::csv(&head, &cells),
        TableFormat::Markdown => rows::markdown(&head, &cells),
        _ => {
            // Entities are in the message; a line has room for one of the two.
            let head = [
                "last_seen",
                "level",
                "risk",
                "status",
                "alert",
                "hunt",
                "message",
            ];
            let cells: Vec<Vec<String>> = cells
                .into_iter()
                .map(|mut row| {
                    row.remove(6);
                    row
                })
                .collect();
            rows::text(&head, &cells, printer.width().max(140))
        }
    };
    data(printer, &text)?;
    printer.conclude(&format!("{} of {stored} alerts", alerts.len()));
    if stored == 0 && window.is_some() {
        tell_of_others(&place, printer)?;
    }
    Ok(())
}

/// That there are alerts, where the window has none: windows count from now, and what is stored may be of long ago.
fn tell_of_others(place: &Place, printer: &Printer) -> Result<()> {
    let others = runtime()?.block_on(place.alerts(None, printer))?;
    if let Some(newest) = others.iter().map(|alert| alert.last_seen).max() {
        printer.conclude(&format!(
            "{} stored outside of this window, the newest of {}; hint: leave the window out, or count from then with --at",
            amount(others.len() as u64, "alert"),
            rfc3339(newest)
        ));
    }
    Ok(())
}

fn wanted(arguments: &AlertsListArgs, alert: &StoredAlert) -> bool {
    let least = arguments.level.as_deref().and_then(crate::commands::level);
    let entity = arguments.entity.as_deref().map(str::to_lowercase);
    let is_about = |part: String| {
        let mut entities = alert.entities.iter();
        entities.any(|entity| entity.value.to_lowercase().contains(&part))
    };
    least.is_none_or(|least| alert.level >= least)
        && (arguments.hunts.is_empty() || arguments.hunts.contains(&alert.hunt))
        && (arguments.statuses.is_empty() || arguments.statuses.contains(&alert.status))
        && entity.is_none_or(is_about)
}

/// How often each technique fired, and by which hunts.
fn fired(alerts: &[StoredAlert]) -> BTreeMap<String, Scored> {
    let mut techniques: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for alert in alerts {
        for id in &alert.techniques {
            let hunts = techniques.entry(id.clone()).or_default();
            *hunts.entry(&alert.hunt).or_default() += 1;
        }
    }
    let scored = techniques.into_iter().map(|(id, hunts)| {
        let names = hunts
            .iter()
            .map(|(hunt, alerts)| format!("{hunt}: {alerts}"));
        let names = names.collect();
        let score = hunts.values().sum();
        (id, Scored { score, names })
    });
    scored.collect()
}

fn row(alert: &StoredAlert, is_short: bool) -> Vec<String> {
    let entities: Vec<String> = alert
        .entities
        .iter()
        .map(|entity| format!("{} {}", entity.kind, entity.value))
        .collect();
    let id = if is_short {
        alert.alert_id.chars().take(12).collect()
    } else {
        alert.alert_id.clone()
    };
    let time = if is_short {
        alert.last_seen.format("%Y-%m-%d %H:%M:%S").to_string()
    } else {
        rfc3339(alert.last_seen)
    };
    vec![
        time,
        alert.level.as_str().to_owned(),
        // Programs add up what they read.
        (if is_short {
            alert.shown_risk()
        } else {
            alert.risk_score
        })
        .map(|risk| risk.to_string())
        .unwrap_or_default(),
        alert.status.clone(),
        id,
        alert.hunt.clone(),
        entities.join("; "),
        alert.message.clone(),
    ]
}
