//! Incidents: alerts about one entity that follow each other closely are one thing to look into.
//!
//! A reading of the alerts, nothing more: every alert keeps its own id, and what belongs together is decided by the alerts
//! alone, so that the same alerts give the same incidents.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::AlertReport;
use crate::hunt::Level;

/// Activity that pauses for longer than this is another incident.
const PAUSE: Duration = Duration::hours(4);

/// What an alert is filed under, the first that it has: a host is where somebody goes to look.
const KINDS: [&str; 6] = ["host", "device", "user", "account", "ip", "domain"];

/// Alerts of one entity, each no more than four hours after those before it. Excepted ones are in none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Hash of the entity and its first alert: the same on every run, as long as nothing earlier turns up.
    pub incident_id: String,
    /// What kind of entity it is about: `host`, `user`, `ip`, ...
    pub kind: String,
    /// Which one, as the first alert spells it.
    pub entity: String,
    /// The worst level of its alerts.
    pub level: Level,
    /// The sum of the risk of its new alerts.
    pub risk: i64,
    /// The earliest event.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub first_seen: DateTime<Utc>,
    /// The latest event.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_seen: DateTime<Utc>,
    /// How many of its alerts are new.
    pub alerts_new: u64,
    /// The hunts that fired.
    pub hunts: Vec<String>,
    /// The tactics that they stand for.
    pub tactics: Vec<String>,
    /// Its alerts, in order of their first event.
    pub alert_ids: Vec<String>,
}

/// The incidents of some alerts: those with new alerts first, then by level, risk and time, the worst and latest first.
pub(super) fn incidents(alerts: &[AlertReport]) -> Vec<Incident> {
    let mut by_entity: BTreeMap<(String, String), Vec<&AlertReport>> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert.excepted_by.is_none()) {
        let (kind, entity) = filed_under(alert);
        by_entity
            .entry((kind.to_owned(), key(kind, entity)))
            .or_default()
            .push(alert);
    }
    let mut incidents = Vec::new();
    for ((kind, key), mut alerts) in by_entity {
        alerts.sort_by(|a, b| (a.first_seen, &a.alert_id).cmp(&(b.first_seen, &b.alert_id)));
        let mut rest = &alerts[..];
        while !rest.is_empty() {
            let (together, after) = rest.split_at(together(rest));
            incidents.push(incident(&kind, &key, together));
            rest = after;
        }
    }
    incidents.sort_by(|a, b| {
        let place =
            |one: &Incident| Reverse((one.alerts_new > 0, one.level, one.risk, one.last_seen));
        place(a)
            .cmp(&place(b))
            .then_with(|| a.incident_id.cmp(&b.incident_id))
    });
    incidents
}

/// The entity that an alert is filed under; without one it stands for itself.
fn filed_under(alert: &AlertReport) -> (&str, &str) {
    let of_kind = |kind: &&str| alert.entities.iter().find(|entity| entity.kind == **kind);
    let known = KINDS.iter().find_map(of_kind);
    known
        .or(alert.entities.first())
        .map_or(("activity", alert.group_id.as_str()), |entity| {
            (entity.kind.as_str(), entity.value.as_str())
        })
}

/// Sensors write a host's name in full or short and in any case; an address is no name to be cut.
fn key(kind: &str, entity: &str) -> String {
    let lower = entity.to_lowercase();
    let is_name = kind == "host" && lower.contains(char::is_alphabetic) && !lower.contains(':');
    match lower.split_once('.') {
        Some((short, _)) if is_name => short.to_owned(),
        _ => lower,
    }
}

/// How many of the alerts, in order of their first event, follow each other without a pause.
fn together(alerts: &[&AlertReport]) -> usize {
    let mut last: Option<DateTime<Utc>> = None;
    let pause = alerts.iter().position(|alert| {
        let begins = last.is_some_and(|last| alert.first_seen - last > PAUSE);
        last = last.max(Some(alert.last_seen));
        begins
    });
    pause.unwrap_or(alerts.len())
}

fn incident(kind: &str, key: &str, alerts: &[&AlertReport]) -> Incident {
    let first = alerts[0];
    let new = || alerts.iter().filter(|alert| alert.is_new());
    let sorted = |names: BTreeSet<&String>| names.into_iter().cloned().collect();
    let mut hasher = Sha256::new();
    for part in [kind, key, &first.alert_id] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    Incident {
        incident_id: crate::hex(&hasher.finalize()[..8]),
        kind: kind.to_owned(),
        entity: filed_under(first).1.to_owned(),
        level: alerts
            .iter()
            .map(|alert| alert.level)
            .max()
            .unwrap_or(first.level),
        risk: new().filter_map(|alert| alert.risk_score).sum(),
        first_seen: first.first_seen,
        last_seen: alerts
            .iter()
            .map(|alert| alert.last_seen)
            .max()
            .unwrap_or(first.last_seen),
        alerts_new: new().count() as u64,
        hunts: sorted(alerts.iter().map(|alert| &alert.hunt).collect()),
        tactics: sorted(alerts.iter().flat_map(|alert| &alert.tactics).collect()),
        alert_ids: alerts.iter().map(|alert| alert.alert_id.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Entity;
    use crate::report::samples::{alert, time};

    fn on(id: &str, host: &str, first: &str, last: &str) -> AlertReport {
        AlertReport {
            first_seen: time(first),
            last_seen: time(last),
            entities: vec![
                Entity {
                    kind: "ip".to_owned(),
                    value: "10.0.0.1".to_owned(),
                },
                Entity {
                    kind: "host".to_owned(),
                    value: host.to_owned(),
                },
            ],
            ..alert(id)
        }
    }

    #[test]
    fn what_follows_closely_on_one_host_is_one_incident() {
        let alerts = [
            on(
                "a",
                "WS-1.corp.example",
                "2026-01-03T01:00:00Z",
                "2026-01-03T01:10:00Z",
            ),
            on("b", "ws-1", "2026-01-03T05:09:00Z", "2026-01-03T05:10:00Z"),
            on("c", "WS-1", "2026-01-03T09:11:00Z", "2026-01-03T09:12:00Z"),
            on("d", "WS-2", "2026-01-03T01:00:00Z", "2026-01-03T01:10:00Z"),
            AlertReport {
                excepted_by: Some("known".to_owned()),
                ..on("e", "WS-3", "2026-01-03T01:00:00Z", "2026-01-03T01:10:00Z")
            },
        ];
        let found = incidents(&alerts);
        let mut ids: Vec<_> = found.iter().map(|one| one.alert_ids.join("")).collect();
        ids.sort();
        assert_eq!(ids, ["ab", "c", "d"]);
        let first = found.iter().find(|one| one.alert_ids.len() == 2).unwrap();
        assert_eq!(
            (first.risk, first.entity.as_str()),
            (128, "WS-1.corp.example")
        );
        let mut reversed = alerts.to_vec();
        reversed.reverse();
        assert_eq!(incidents(&reversed), found, "whatever the order");
    }

    #[test]
    fn ids_do_not_change_when_more_follows() {
        let first = on("a", "WS-1", "2026-01-03T01:00:00Z", "2026-01-03T01:10:00Z");
        let more = on("b", "WS-1", "2026-01-03T02:00:00Z", "2026-01-03T02:10:00Z");
        let alone = incidents(std::slice::from_ref(&first));
        let both = incidents(&[more, first]);
        assert_eq!(alone[0].incident_id, both[0].incident_id);
    }

    #[test]
    fn addresses_are_not_cut_like_names() {
        assert_eq!(key("host", "10.20.9.41"), "10.20.9.41");
        assert_eq!(key("host", "fe80::1.2"), "fe80::1.2");
        assert_eq!(key("user", "CORP\\a.b"), "corp\\a.b");
        assert_eq!(key("host", "DC01.corp"), "dc01");
    }
}
