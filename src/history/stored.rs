//! Alerts read back from an output: those of all jobs and tiles, each told new from repeated.
//!
//! A reading: what is new depends on the alerts that are there, never on when they were written.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, NaiveDate, Utc};
use datafusion::arrow::array::RecordBatch;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::is_repeat;
use crate::error::{Error, Result};
use crate::hunt::Level;
use crate::output::alert::{Entity, Evidence, risk_sum};
use crate::output::{Output, value};
use crate::time::Window;

/// Requests under way at a time.
const AT_ONCE: usize = 16;

/// A stored alert; the columns are those of [`crate::output::Alert`], job, hunt and status before them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredAlert {
    /// The job that found it.
    #[serde(default)]
    pub job: String,
    /// The hunt.
    #[serde(default)]
    pub hunt: String,
    /// `new`, `repeat` or `excepted`.
    #[serde(default)]
    pub status: String,
    /// Unique by construction.
    pub alert_id: String,
    /// The activity.
    pub group_id: String,
    /// The hunt's title when it fired.
    pub title: String,
    /// The hunt's level when it fired.
    pub level: Level,
    /// The hunt's risk.
    pub risk_score: Option<i64>,
    /// What happened.
    pub message: String,
    /// The hunt's tags.
    pub tags: Vec<String>,
    /// ATT&CK tactics.
    pub tactics: Vec<String>,
    /// ATT&CK techniques.
    pub techniques: Vec<String>,
    /// Whom it is about.
    pub entities: Vec<Entity>,
    /// The earliest event.
    pub first_seen: DateTime<Utc>,
    /// The latest event.
    pub last_seen: DateTime<Utc>,
    /// Raw events.
    pub event_count: i64,
    /// Findings.
    pub finding_count: i64,
    /// The latest finding, as JSON.
    pub finding: String,
    /// Raw events, at most 100.
    pub evidence: Vec<Evidence>,
    /// There were more.
    pub evidence_truncated: bool,
    /// Start of the tile.
    pub window_start: DateTime<Utc>,
    /// End of the tile.
    pub window_end: DateTime<Utc>,
    /// What the hunt was.
    pub logic_hash: String,
    /// The exception that covers it.
    pub excepted_by: Option<String>,
}

impl StoredAlert {
    /// The risk to show and to order by: its own, else that of the alerts it is about, which no sum may count again.
    pub fn shown_risk(&self) -> Option<i64> {
        risk_sum(self.risk_score, &self.finding).or(self.risk_score)
    }
}

/// Reads the alerts whose tile overlaps a window (all of them for `None`), oldest tile first, then by hunt and id. What
/// cannot be read is said in `problems`. `suppress` says for a job how long an activity is a repeat.
///
/// # Errors
/// When the output cannot be listed.
pub async fn alerts(
    output: &Output,
    window: Option<Window>,
    suppress: &(dyn Fn(&str) -> Duration + Sync),
    problems: &mut Vec<String>,
) -> Result<Vec<StoredAlert>> {
    let paths = output.files_below("alerts").await?;
    let mut places: Vec<Place> = paths.iter().filter_map(|path| Place::of(path)).collect();
    // What was before decides what is a repeat.
    places.retain(|place| {
        window.is_none_or(|window| {
            let before = suppress(&place.job) + place.tile.length();
            place.tile.start < window.end && place.tile.end > window.start - before
        })
    });
    places.sort_by(|a, b| (a.tile, &a.job, &a.hunt).cmp(&(b.tile, &b.job, &b.hunt)));
    let reads: Vec<_> = places
        .into_iter()
        .map(|place| async move {
            let bytes = output.read(&place.path).await;
            (bytes, place)
        })
        .collect();
    let mut reads = futures::stream::iter(reads).buffered(AT_ONCE);
    let mut alerts = Vec::new();
    while let Some((bytes, place)) = reads.next().await {
        let read = bytes.and_then(|bytes| read(bytes, &place));
        match read {
            Ok(read) => alerts.extend(read),
            Err(error) => problems.push(format!(
                "{} cannot be read ({}): its alerts are missing here; run its tile again",
                place.path,
                error.message()
            )),
        }
    }
    tell_apart(&mut alerts, suppress);
    if let Some(window) = window {
        alerts.retain(|alert| window.contains(alert.last_seen));
    }
    Ok(alerts)
}

/// What a file's path says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    path: String,
    job: String,
    hunt: String,
    tile: Window,
}

impl Place {
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("alerts/")?.split('/');
        let mut part = |key: &str| parts.next()?.strip_prefix(key).map(str::to_owned);
        let (job, date, hunt) = (part("job=")?, part("date=")?, part("hunt=")?);
        date.parse::<NaiveDate>().ok()?;
        let stem = part("")?;
        let tile = Window::from_file_stem(stem.strip_suffix(".parquet")?).ok()?;
        Some(Self {
            path: path.to_owned(),
            job,
            hunt,
            tile,
        })
    }
}

fn read(bytes: bytes::Bytes, place: &Place) -> Result<Vec<StoredAlert>> {
    let wrong = |error: &dyn std::fmt::Display| Error::failure(error.to_string());
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| wrong(&error))?;
    let mut alerts = Vec::new();
    for batch in reader.build().map_err(|error| wrong(&error))? {
        let batch = batch.map_err(|error| wrong(&error))?;
        for row in 0..batch.num_rows() {
            let alert = serde_json::from_value(object(&batch, row).into());
            let alert: StoredAlert = alert.map_err(|error| wrong(&error))?;
            alerts.push(StoredAlert {
                job: place.job.clone(),
                hunt: place.hunt.clone(),
                ..alert
            });
        }
    }
    Ok(alerts)
}

pub(super) fn object(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let schema = batch.schema();
    let cells = schema.fields().iter().zip(batch.columns());
    cells
        .map(|(field, array)| (field.name().clone(), value::json(array, row)))
        .collect()
}

/// Sets the status of alerts in order of their tiles.
fn tell_apart(alerts: &mut [StoredAlert], suppress: &dyn Fn(&str) -> Duration) {
    let told = alerts.iter().map(|alert| Told {
        job: &alert.job,
        group_id: &alert.group_id,
        last_seen: alert.last_seen,
        window_start: alert.window_start,
        is_excepted: alert.excepted_by.is_some(),
    });
    let statuses = statuses(&told.collect::<Vec<_>>(), suppress);
    for (alert, status) in alerts.iter_mut().zip(statuses) {
        status.clone_into(&mut alert.status);
    }
}

/// What of an alert decides whether it is new.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) job: &'a str,
    pub(super) group_id: &'a str,
    pub(super) last_seen: DateTime<Utc>,
    pub(super) window_start: DateTime<Utc>,
    pub(super) is_excepted: bool,
}

/// The status of alerts, given in order of their tiles, by the rule of a run: a repeat is what alerted in an earlier tile
/// of the same job within `suppress` before.
pub(super) fn statuses(
    alerts: &[Told<'_>],
    suppress: &dyn Fn(&str) -> Duration,
) -> Vec<&'static str> {
    type Groups = BTreeMap<String, DateTime<Utc>>;
    let mut earlier: BTreeMap<&str, Groups> = BTreeMap::new();
    let mut statuses = Vec::new();
    for tile in alerts.chunk_by(|a, b| a.window_start == b.window_start) {
        for alert in tile {
            let suppress = suppress(alert.job);
            let groups = earlier.get(alert.job);
            let repeats = groups
                .is_some_and(|groups| is_repeat(groups, alert.group_id, alert.last_seen, suppress));
            statuses.push(match (alert.is_excepted, repeats) {
                (true, _) => "excepted",
                (false, true) => "repeat",
                (false, false) => "new",
            });
        }
        for alert in tile.iter().filter(|alert| !alert.is_excepted) {
            let groups = earlier.entry(alert.job).or_default();
            let latest = groups
                .entry(alert.group_id.to_owned())
                .or_insert(alert.last_seen);
            *latest = (*latest).max(alert.last_seen);
        }
    }
    statuses
}

/// The risk of one entity: what Splunk's risk-based alerting adds up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntityRisk {
    /// The kind: `host`, `user`, `ip`, ...
    pub kind: String,
    /// Its name, in small letters.
    pub entity: String,
    /// The sum of the scores.
    pub risk: i64,
    /// Risk events: one for each alert that is new.
    pub alerts: u64,
    /// The hunts they are from.
    pub hunts: Vec<String>,
    /// Their tactics.
    pub tactics: Vec<String>,
    /// The earliest event.
    pub first_seen: DateTime<Utc>,
    /// The latest event.
    pub last_seen: DateTime<Utc>,
    /// The alerts, in order of their time.
    pub alert_ids: Vec<String>,
}

/// Adds up the risk of every entity over some alerts; repeats and excepted ones add nothing. Most risk first.
pub fn risk(alerts: &[StoredAlert]) -> Vec<EntityRisk> {
    let mut by_entity: BTreeMap<(String, String), Vec<&StoredAlert>> = BTreeMap::new();
    // One without risk, such as an alert about the sum of others', is no risk event.
    let is_risk = |alert: &&StoredAlert| alert.status == "new" && alert.risk_score != Some(0);
    for alert in alerts.iter().filter(is_risk) {
        let mut entities: Vec<_> = alert
            .entities
            .iter()
            .map(|entity| (entity.kind.clone(), entity.value.to_lowercase()))
            .collect();
        entities.sort();
        entities.dedup();
        for entity in entities {
            by_entity.entry(entity).or_default().push(alert);
        }
    }
    let mut risks: Vec<EntityRisk> = by_entity
        .into_iter()
        .filter_map(|((kind, entity), mut alerts)| {
            alerts.sort_by(|a, b| (a.first_seen, &a.alert_id).cmp(&(b.first_seen, &b.alert_id)));
            let sorted = |names: std::collections::BTreeSet<&String>| {
                names.into_iter().cloned().collect::<Vec<_>>()
            };
            Some(EntityRisk {
                kind,
                entity,
                risk: alerts.iter().filter_map(|alert| alert.risk_score).sum(),
                alerts: alerts.len() as u64,
                hunts: sorted(alerts.iter().map(|alert| &alert.hunt).collect()),
                tactics: sorted(alerts.iter().flat_map(|alert| &alert.tactics).collect()),
                first_seen: alerts.first()?.first_seen,
                last_seen: alerts.iter().map(|alert| alert.last_seen).max()?,
                alert_ids: alerts.iter().map(|alert| alert.alert_id.clone()).collect(),
            })
        })
        .collect();
    risks.sort_by(|a, b| {
        let order = b.risk.cmp(&a.risk);
        order.then_with(|| (&a.kind, &a.entity).cmp(&(&b.kind, &b.entity)))
    });
    risks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(id: &str, group: &str, day: u32, host: &str, risk: i64) -> StoredAlert {
        let time = |hour: u32| {
            format!("2026-01-{day:02}T{hour:02}:00:00Z")
                .parse()
                .unwrap()
        };
        StoredAlert {
            job: "nightly".to_owned(),
            hunt: format!("hunt_{group}"),
            status: String::new(),
            alert_id: id.to_owned(),
            group_id: group.to_owned(),
            title: String::new(),
            level: Level::High,
            risk_score: Some(risk),
            message: String::new(),
            tags: Vec::new(),
            tactics: vec!["execution".to_owned()],
            techniques: Vec::new(),
            entities: vec![
                Entity {
                    kind: "host".to_owned(),
                    value: host.to_owned(),
                },
                Entity {
                    kind: "host".to_owned(),
                    value: host.to_uppercase(),
                },
            ],
            first_seen: time(9),
            last_seen: time(10),
            event_count: 1,
            finding_count: 1,
            finding: "{}".to_owned(),
            evidence: Vec::new(),
            evidence_truncated: false,
            window_start: time(0),
            window_end: time(23),
            logic_hash: String::new(),
            excepted_by: None,
        }
    }

    fn told(mut alerts: Vec<StoredAlert>) -> Vec<StoredAlert> {
        tell_apart(&mut alerts, &|_| Duration::hours(24));
        alerts
    }

    #[test]
    fn a_repeat_is_what_alerted_in_an_earlier_tile_not_long_ago() {
        let alerts = told(vec![
            alert("a", "x", 1, "ws-1", 10),
            alert("b", "x", 1, "ws-1", 10),
            alert("c", "x", 2, "ws-1", 10),
            alert("d", "x", 4, "ws-1", 10),
            StoredAlert {
                excepted_by: Some("known".to_owned()),
                ..alert("e", "y", 4, "ws-1", 10)
            },
            alert("f", "y", 5, "ws-1", 10),
            StoredAlert {
                job: "hourly".to_owned(),
                ..alert("g", "y", 6, "ws-1", 10)
            },
        ]);
        let told: Vec<&str> = alerts.iter().map(|alert| alert.status.as_str()).collect();
        assert_eq!(
            told,
            ["new", "new", "repeat", "new", "excepted", "new", "new"]
        );
    }

    #[test]
    fn risk_adds_up_once_for_each_new_alert_and_entity() {
        let alerts = told(vec![
            alert("a", "x", 1, "ws-1", 40),
            alert("b", "y", 1, "WS-1", 50),
            alert("c", "x", 2, "ws-1", 40),
            alert("d", "z", 4, "ws-2", 60),
        ]);
        let risks = risk(&alerts);
        let told: Vec<_> = risks
            .iter()
            .map(|one| (one.entity.as_str(), one.risk, one.alerts, one.hunts.len()))
            .collect();
        assert_eq!(told, [("ws-1", 90, 2, 2), ("ws-2", 60, 1, 1)]);
    }

    #[test]
    fn only_files_of_alerts_are_read() {
        let good = "alerts/job=n/date=2026-01-01/hunt=h/20260101T000000Z_20260102T000000Z.parquet";
        assert_eq!(Place::of(good).unwrap().hunt, "h");
        for bad in [
            "alerts/job=n/date=2026-01-01/hunt=h/x.parquet",
            "alerts/job=n/hunt=h/20260101T000000Z_20260102T000000Z.parquet",
            "alerts/x",
        ] {
            assert_eq!(Place::of(bad), None, "{bad}");
        }
    }
}
