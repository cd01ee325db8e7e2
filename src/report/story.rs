//! What a person wants to know beyond the numbers of a [`Report`]: what the hunts look for, the raw events behind each
//! alert, what was put aside, what the last weeks looked like. The page is made of it.
//!
//! Plain data; others read it from lake, library and output.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Report;
use crate::history::trend::Day;
use crate::hunt::Level;

/// Everything on the page.
#[derive(Debug)]
pub struct Story<'a> {
    /// The run.
    pub report: &'a Report,
    /// The job's hunts, by name.
    pub hunts: BTreeMap<String, HuntText>,
    /// What stands behind each alert, by its id; an alert may have nothing.
    pub alerts: BTreeMap<String, AlertStory>,
    /// Records that were put aside, by table.
    pub quarantine: BTreeMap<String, Quarantined>,
    /// The days up to this tile, oldest first, this tile's own not counted.
    pub days: Vec<Day>,
    /// The arguments that run the job again, as typed: `run jobs/nightly.yaml --from ... --to ...`.
    pub again: String,
    /// What could not be read back for the page; it costs the page, not the run.
    pub problems: Vec<String>,
}

/// What a hunt says of itself.
#[derive(Debug, Clone, Default)]
pub struct HuntText {
    /// How bad a hit is.
    pub level: Option<Level>,
    /// The risk of one alert.
    pub risk: Option<i64>,
    /// What it finds and what it misses.
    pub description: String,
    /// The SELECT.
    pub sql: String,
    /// Parameters and their values, as text.
    pub parameters: Vec<(String, String)>,
    /// How far before the window it looks.
    pub lookback: Option<String>,
    /// What to do when it fires.
    pub response: Vec<String>,
    /// Known causes of false alarms.
    pub falsepositives: Vec<String>,
    /// Links.
    pub references: Vec<String>,
}

/// What stands behind an alert.
#[derive(Debug, Clone, Default)]
pub struct AlertStory {
    /// The latest finding: column and its values.
    pub finding: Vec<(String, Vec<String>)>,
    /// Raw events, oldest first, as far as they were read back.
    pub events: Vec<Event>,
    /// What the hunt was when it fired.
    pub logic_hash: String,
}

/// A raw event, read back from the lake by its place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    /// The table.
    pub table: String,
    /// The file, relative to the table's location.
    pub file: String,
    /// The row or line, 1-based.
    pub row: i64,
    /// When it happened.
    pub time: Option<DateTime<Utc>>,
    /// The view it is in, such as `process_creation`.
    pub view: Option<String>,
    /// The host, as the view has it.
    pub host: String,
    /// The account.
    pub user: String,
    /// What happened, in one line: the command line, the connection, the script.
    pub what: String,
    /// All columns of the view that hold something.
    pub columns: Vec<(String, String)>,
    /// The record as the sensor wrote it; `None` when it could not be read back.
    pub raw: Option<String>,
}

/// Records of one table that could not be read.
#[derive(Debug, Clone, Default)]
pub struct Quarantined {
    /// How many there are by reason.
    pub reasons: BTreeMap<String, u64>,
    /// The first of them: file, line and what is wrong.
    pub first: Vec<(String, u64, String)>,
}
