//! The incidents in a ticket: who, when, how many alerts of which levels.

use std::collections::BTreeMap;

use super::{ITEMS_SHOWN, Page, and_more, code, count, grouped, prose, span};
use crate::report::{Level, Report, WORST_FIRST};

/// What is about one entity and of more than one alert: the rest of the incidents are the alerts themselves.
pub(super) fn section(page: &mut Page, report: &Report) {
    let incidents = report.incidents.iter();
    let several: Vec<_> = incidents.filter(|one| one.alert_ids.len() > 1).collect();
    if several.is_empty() {
        return;
    }
    let levels: BTreeMap<&str, Level> = report
        .alerts
        .iter()
        .map(|alert| (alert.alert_id.as_str(), alert.level))
        .collect();
    page.heading("## Incidents");
    for incident in several.iter().take(ITEMS_SHOWN) {
        let of_level = |level: &Level| {
            let ids = incident.alert_ids.iter();
            let number = ids.filter(|id| levels.get(id.as_str()) == Some(level));
            match number.count() {
                0 => None,
                number => Some(format!("{} {}", grouped(number as u64), level.as_str())),
            }
        };
        let levels: Vec<String> = WORST_FIRST.iter().filter_map(of_level).collect();
        page.line(&format!(
            "- {} {}: {}, {} ({}), {} new, risk {}",
            prose(&incident.kind),
            code(&incident.entity),
            span(incident.first_seen, incident.last_seen),
            count(incident.alert_ids.len(), "alert"),
            levels.join(", "),
            grouped(incident.alerts_new),
            incident.risk
        ));
    }
    and_more(page, several.len());
}
