//! `lakehunt alerts risk`: the risk of hosts, users and addresses, added up over their alerts.

use chrono::{DateTime, Utc};

use super::{Place, rows, window};
use crate::cli::{AlertsRiskArgs, TableFormat};
use crate::commands::{data, harmless_json, ndjson, runtime};
use crate::error::Result;
use crate::history::stored;
use crate::output::value::rfc3339;
use crate::printer::Printer;

pub(super) fn run(arguments: &AlertsRiskArgs, printer: &Printer, now: DateTime<Utc>) -> Result<()> {
    let place = Place::of(&arguments.place)?;
    let window = window(&arguments.window, place.now(now))?;
    let alerts = runtime()?.block_on(place.alerts(window, printer))?;
    let mut risks = stored::risk(&alerts);
    risks.retain(|one| one.risk > arguments.above && one.hunts.len() >= arguments.hunts);
    let head = [
        "risk",
        "kind",
        "entity",
        "alerts",
        "hunts",
        "tactics",
        "first_seen",
        "last_seen",
    ];
    let cells: Vec<Vec<String>> = risks
        .iter()
        .map(|one| {
            vec![
                one.risk.to_string(),
                one.kind.clone(),
                one.entity.clone(),
                one.alerts.to_string(),
                one.hunts.len().to_string(),
                one.tactics.join(" "),
                rfc3339(one.first_seen),
                rfc3339(one.last_seen),
            ]
        })
        .collect();
    let text = match arguments.format {
        TableFormat::Json => return harmless_json(printer, &risks),
        TableFormat::Ndjson => return ndjson(printer, &risks),
        TableFormat::Csv => rows::csv(&head, &cells),
        TableFormat::Markdown => rows::markdown(&head, &cells),
        TableFormat::Text => rows::text(&head, &cells, printer.width().max(140)),
    };
    data(printer, &text)
}
