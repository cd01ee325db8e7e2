//! The model of a report: what was asked, what was found, what was read. Knows nothing of how it is shown.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::incident::{Incident, incidents};
use crate::hunt::Level;

/// The version of the JSON form of [`Report`]; it grows when a field changes its meaning or goes away, not when one is added.
pub const FORMAT_VERSION: u32 = 1;

/// The levels, the worst first: the order of every list of counts.
pub const WORST_FIRST: [Level; 5] = [
    Level::Critical,
    Level::High,
    Level::Medium,
    Level::Low,
    Level::Informational,
];

/// How far a hunt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HuntState {
    /// It saw everything the lake has for the window.
    Complete,
    /// It ran, and its findings are published, but a file was lost or too many lines were rejected.
    Partial,
    /// It did not run to its end; it published nothing.
    Failed,
    /// It was not run on purpose, for example because another process holds the tile.
    Skipped,
}

/// What a hunt answers: the one place where "no findings" and "no data" part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There are findings.
    Found,
    /// It read events, completely, and found nothing.
    NothingFound,
    /// It found nothing in what could be read, which was not everything.
    NothingFoundButPartial,
    /// There was no event to read in the window: it says nothing about the window.
    NoData,
    /// It failed.
    Failed,
    /// It was not run.
    Skipped,
}

impl Answer {
    /// The words for it, the same in every rendering.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Found => "findings",
            Self::NothingFound => "no findings",
            Self::NothingFoundButPartial => "no findings in what was read",
            Self::NoData => "no data",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One run of a job over one window. Fill it, then call [`Report::arrange`], then render it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this form: [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The version of lakehunt that made it, for example `0.1.0`.
    pub lakehunt_version: String,
    /// The name of the job: the stem of its file.
    pub job: String,
    /// The lake as the job names it (never made absolute: the same job gives the same report on every machine).
    pub lake: String,
    /// The first instant of the window.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub window_start: DateTime<Utc>,
    /// The first instant after the window.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub window_end: DateTime<Utc>,
    /// Every hunt of the job, whether it ran or not.
    pub hunts: Vec<HuntReport>,
    /// Every alert, the worst first (see [`Report::arrange`]).
    pub alerts: Vec<AlertReport>,
    /// Alerts that belong together, the worst first; [`Report::arrange`] makes them.
    #[serde(default)]
    pub incidents: Vec<Incident>,
    /// Every table that was to be read.
    pub tables: Vec<TableReport>,
    /// Warnings that belong to no single hunt or table, in the order they arose.
    pub notes: Vec<String>,
}

/// The JSON Schema of a summary.
pub fn json_schema() -> schemars::Schema {
    schemars::schema_for!(Report)
}

/// What one hunt did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HuntReport {
    /// The name of the hunt: the stem of its file.
    pub name: String,
    /// What it looks for, for people.
    pub title: String,
    /// How bad a hit is.
    pub level: Level,
    /// Sigma's word for how settled the hunt is: experimental, test, stable, deprecated, unsupported.
    pub status: String,
    /// How far it came.
    pub state: HuntState,
    /// Why it is not complete. `None` when it is.
    pub reason: Option<String>,
    /// The tables whose events it read. Lookups, which no window scopes, are not among them.
    pub tables: Vec<String>,
    /// True when none of these tables had an event in the window. [`Report::arrange`] sets it from `tables`; a caller
    /// that knows better (a view no table of the lake feeds) sets it before, and it stays.
    pub no_data: bool,
    /// Rows of its result.
    pub findings: u64,
    /// Alerts that are neither repeats nor excepted.
    pub alerts_new: u64,
    /// Alerts whose activity alerted before, within the job's `suppress`.
    pub alerts_repeat: u64,
    /// Alerts that an exception covers; they count here only.
    pub alerts_excepted: u64,
    /// True when there were more findings than the job's limit and the rest was cut.
    pub truncated: bool,
}

/// All findings of a hunt and tile with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertReport {
    /// Unique by construction: hunt, key and tile.
    pub alert_id: String,
    /// The activity: hunt and key, the same in every tile.
    pub group_id: String,
    /// The name of the hunt.
    pub hunt: String,
    /// The title of the hunt.
    pub title: String,
    /// How bad it is.
    pub level: Level,
    /// The risk score, where the hunt gives one. Higher is worse.
    pub risk_score: Option<i64>,
    /// The risk of other alerts that this one is about, where its hunt gives none: it orders alerts, and no sum has it, for
    /// those alerts count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_sum: Option<i64>,
    /// What of other alerts led to this one, a line each; it carries telemetry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub story: Vec<String>,
    /// One sentence about what happened; it carries telemetry.
    pub message: String,
    /// Who and what it is about.
    pub entities: Vec<Entity>,
    /// The time of the earliest event that contributed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub first_seen: DateTime<Utc>,
    /// The time of the latest event that contributed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_seen: DateTime<Utc>,
    /// How many events contributed.
    pub event_count: u64,
    /// How many findings are in it.
    pub finding_count: u64,
    /// Where the first few (at most [`AlertReport::EVIDENCE_SHOWN`]) of its raw events are.
    pub evidence: Vec<EvidenceRow>,
    /// How many places the stored alert lists.
    pub evidence_total: u64,
    /// True when the stored alert, too, lists fewer places than there are events.
    pub evidence_truncated: bool,
    /// ATT&CK technique ids, such as `T1047` or `T1021.002`.
    pub techniques: Vec<String>,
    /// ATT&CK tactics, such as `lateral-movement`.
    #[serde(default)]
    pub tactics: Vec<String>,
    /// True when the same activity alerted before, within the job's `suppress`.
    pub repeat: bool,
    /// The exception that covers it.
    pub excepted_by: Option<String>,
}

/// Something an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entity {
    /// What it is: `host`, `user`, `ip`, ... (the keys of the hunt's `entities`).
    pub kind: String,
    /// Which one, as the telemetry writes it.
    pub value: String,
}

/// The place of one raw event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceRow {
    /// The table.
    pub table: String,
    /// The file, relative to the table's location.
    pub file: String,
    /// The row in the file.
    pub row: u64,
}

/// What was read of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableReport {
    /// The name of the table in the lake.
    pub name: String,
    /// Files that may hold events of the window.
    pub files_total: u64,
    /// Files that were read; the difference to `files_total` was skipped by statistics, or is in `lost`.
    pub files_read: u64,
    /// Bytes fetched, as stored (compressed).
    pub bytes_read: u64,
    /// Rows decoded.
    pub rows_read: u64,
    /// Rows whose event time is in the window (with the hunts' lookback).
    pub rows_in_window: u64,
    /// Rows at least one hunt wanted.
    pub rows_matched: u64,
    /// Rows that could not be read and are in the quarantine.
    pub quarantined: u64,
    /// How many values of a column did not have the type the form declares and were read as NULL.
    pub type_conflicts: BTreeMap<String, u64>,
    /// True when the table had no event in the window: "no findings" over it means nothing.
    pub no_data: bool,
    /// The newest event time seen; tells a feed that stopped from one that is quiet.
    #[schemars(with = "Option<String>")]
    pub newest_event: Option<DateTime<Utc>>,
    /// Files that were there and could not be read, whole or in part.
    pub lost: Vec<LostFile>,
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostFile {
    /// The file, relative to the table's location.
    pub file: String,
    /// Why.
    pub reason: String,
}

impl HuntReport {
    /// What this hunt answers. Findings outweigh everything but a failure; having read nothing outweighs "no findings".
    pub const fn answer(&self) -> Answer {
        match self.state {
            HuntState::Failed => Answer::Failed,
            HuntState::Skipped => Answer::Skipped,
            HuntState::Complete | HuntState::Partial if self.findings > 0 => Answer::Found,
            HuntState::Complete | HuntState::Partial if self.no_data => Answer::NoData,
            HuntState::Partial => Answer::NothingFoundButPartial,
            HuntState::Complete => Answer::NothingFound,
        }
    }
}

impl AlertReport {
    /// How many places of raw events a report shows of one alert; the stored alert has up to a hundred.
    pub const EVIDENCE_SHOWN: usize = 5;

    /// Neither a repeat nor excepted: what somebody should look at.
    pub const fn is_new(&self) -> bool {
        !self.repeat && self.excepted_by.is_none()
    }

    /// The risk to show and to order by: its own, else that of the alerts it is about.
    pub fn shown_risk(&self) -> Option<i64> {
        self.risk_score.or(self.risk_sum)
    }

    /// The word for it: `new`, `repeat` or `excepted`.
    pub const fn standing(&self) -> &'static str {
        if self.excepted_by.is_some() {
            "excepted"
        } else if self.repeat {
            "repeat"
        } else {
            "new"
        }
    }
}

impl Report {
    /// Puts everything into its one order and sets each hunt's `no_data`. Idempotent.
    ///
    /// Alerts: new, then repeats, then excepted ones (somebody has judged those already); in each, by level, risk and
    /// last seen, all descending, then by id. Hunts and tables by name; evidence is cut to what a report shows. Alerts that
    /// belong together become incidents.
    pub fn arrange(&mut self) {
        self.alerts.sort_by(|left, right| {
            let place = |alert: &AlertReport| {
                (
                    alert.excepted_by.is_some(),
                    alert.repeat,
                    Reverse((alert.level, alert.shown_risk(), alert.last_seen)),
                )
            };
            place(left)
                .cmp(&place(right))
                .then_with(|| left.alert_id.cmp(&right.alert_id))
        });
        for alert in &mut self.alerts {
            alert.evidence.truncate(AlertReport::EVIDENCE_SHOWN);
        }
        self.tables
            .sort_by(|left, right| left.name.cmp(&right.name));
        for table in &mut self.tables {
            table.lost.sort_by(|left, right| left.file.cmp(&right.file));
        }
        self.hunts.sort_by(|left, right| left.name.cmp(&right.name));
        for index in 0..self.hunts.len() {
            let hunt = &self.hunts[index];
            let nothing_read =
                !hunt.tables.is_empty() && hunt.tables.iter().all(|name| self.table_is_empty(name));
            self.hunts[index].no_data |= nothing_read;
        }
        self.incidents = incidents(&self.alerts);
    }

    pub(super) fn table_is_empty(&self, name: &str) -> bool {
        self.tables
            .iter()
            .find(|table| table.name == name)
            .is_none_or(|table| table.no_data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{alert, empty, hunt, table, time};

    #[test]
    fn the_worst_new_alert_comes_first_and_excepted_ones_last() {
        let mut report = empty();
        let with = |id: &str, level, risk, repeat, excepted: Option<&str>, last_seen| AlertReport {
            level,
            risk_score: risk,
            repeat,
            excepted_by: excepted.map(str::to_owned),
            last_seen: time(last_seen),
            ..alert(id)
        };
        let early = "2026-01-03T01:00:00Z";
        let late = "2026-01-03T02:00:00Z";
        report.alerts = vec![
            with("i", Level::Critical, Some(99), false, Some("known"), late),
            with("h", Level::Critical, Some(99), true, None, late),
            with("g", Level::Low, Some(90), false, None, late),
            with("f", Level::High, None, false, None, late),
            with("e", Level::High, Some(10), false, None, early),
            with("d", Level::High, Some(10), false, None, late),
            with("c", Level::High, Some(10), false, None, late),
            with("b", Level::High, Some(11), false, None, early),
            with("a", Level::Critical, None, false, None, early),
        ];
        // About the sum of others: it comes first and adds nothing.
        report.alerts.push(AlertReport {
            risk_sum: Some(919),
            ..with("A", Level::High, None, false, None, early)
        });
        report.arrange();
        let order: String = report
            .alerts
            .iter()
            .map(|alert| alert.alert_id.as_str())
            .collect();
        assert_eq!(order, "aAbcdefghi");
        let risk: i64 = report.incidents.iter().map(|one| one.risk).sum();
        assert_eq!(risk, 11 + 3 * 10 + 90);
        let again = report.clone();
        report.arrange();
        assert_eq!(report, again, "arranging twice changes nothing");
    }

    #[test]
    fn no_data_is_not_no_findings() {
        let mut report = empty();
        report.tables = vec![
            TableReport {
                no_data: true,
                ..table("dns")
            },
            table("sysmon"),
        ];
        let reads = |name: &str, tables: &[&str]| HuntReport {
            tables: tables.iter().map(|&table| table.to_owned()).collect(),
            ..hunt(name)
        };
        report.hunts = vec![
            reads("a", &["sysmon"]),
            reads("b", &["dns"]),
            reads("c", &["dns", "sysmon"]),
            reads("d", &["absent"]),
            HuntReport {
                findings: 1,
                ..reads("e", &["dns"])
            },
            HuntReport {
                state: HuntState::Partial,
                ..reads("f", &["sysmon"])
            },
            HuntReport {
                state: HuntState::Partial,
                ..reads("g", &["dns"])
            },
            HuntReport {
                state: HuntState::Failed,
                ..reads("h", &["dns"])
            },
            HuntReport {
                no_data: true,
                ..reads("i", &[])
            },
        ];
        report.arrange();
        let answers: Vec<Answer> = report.hunts.iter().map(HuntReport::answer).collect();
        assert_eq!(
            answers,
            [
                Answer::NothingFound,
                Answer::NoData,
                Answer::NothingFound,
                Answer::NoData,
                Answer::Found,
                Answer::NothingFoundButPartial,
                Answer::NoData,
                Answer::Failed,
                Answer::NoData,
            ]
        );
        assert_eq!(report.blind_on(&report.hunts[2]), ["dns"]);
    }
}
