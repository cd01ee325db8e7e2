//! The ledger: one JSON record per job and tile, written last. It is the commit point and the proof of what was read.
//!
//! Holds facts of one run; reading many of them is `history`'s business.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The version of this format.
pub const FORMAT_VERSION: u32 = 1;

/// The record of one tile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// [`FORMAT_VERSION`]
    pub format_version: u32,
    /// The version that wrote it.
    pub lakehunt_version: String,
    /// The job.
    pub job: String,
    /// Start of the tile.
    pub window_start: DateTime<Utc>,
    /// End of the tile.
    pub window_end: DateTime<Utc>,
    /// What was read, by table.
    pub tables: BTreeMap<String, TableRecord>,
    /// SHA-256 of what each lookup of the lake held, hex.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub lookups: BTreeMap<String, String>,
    /// What came out, by hunt.
    pub hunts: BTreeMap<String, HuntRecord>,
    /// How many findings each exception covered, of those in force.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub exceptions: BTreeMap<String, u64>,
    /// The files of this tile, by path relative to the output.
    pub outputs: BTreeMap<String, OutputRecord>,
}

/// What was read of one table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableRecord {
    /// Every object that was read.
    pub objects: Vec<ObjectRecord>,
    /// Objects of the table's listing, read or not.
    #[serde(default)]
    pub files_total: u64,
    /// Bytes fetched, as stored.
    #[serde(default)]
    pub bytes_read: u64,
    /// Records read.
    pub rows_read: u64,
    /// Records inside the tile.
    pub rows_in_window: u64,
    /// Records that could not be read.
    pub rows_rejected: u64,
    /// Records in this tile's quarantine.
    #[serde(default)]
    pub quarantined: u64,
    /// Records that a hunt's filters let through.
    pub rows_matched: u64,
    /// Values of another type than the form declares, by column: they were read as NULL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub type_conflicts: BTreeMap<String, u64>,
    /// The newest event.
    pub newest_event: Option<DateTime<Utc>>,
}

impl TableRecord {
    /// Adds what an earlier run of other hunts read of the same table: the tile depends on both.
    pub fn merge(&mut self, earlier: Self) {
        for object in earlier.objects {
            if !self.objects.iter().any(|own| own.path == object.path) {
                self.objects.push(object);
            }
        }
        self.objects.sort_by(|a, b| a.path.cmp(&b.path));
        self.rows_read = self.objects.iter().map(|object| object.rows).sum();
        self.rows_rejected = self.objects.iter().map(|object| object.rejected).sum();
        self.rows_in_window = self.rows_in_window.max(earlier.rows_in_window);
        self.rows_matched = self.rows_matched.max(earlier.rows_matched);
        self.files_total = self.files_total.max(earlier.files_total);
        self.bytes_read = self.bytes_read.max(earlier.bytes_read);
        self.quarantined = self.quarantined.max(earlier.quarantined);
        for (column, count) in earlier.type_conflicts {
            let own = self.type_conflicts.entry(column).or_default();
            *own = (*own).max(count);
        }
        self.newest_event = self.newest_event.max(earlier.newest_event);
    }
}

/// One object as it was when it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Path relative to the table's location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Last change.
    pub modified: DateTime<Utc>,
    /// Records read.
    pub rows: u64,
    /// Records that could not be read.
    pub rejected: u64,
    /// Oldest event in it.
    pub oldest_event: Option<DateTime<Utc>>,
    /// Newest event in it.
    pub newest_event: Option<DateTime<Utc>>,
    /// Values of another type than declared, by column: they were read as NULL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub type_conflicts: BTreeMap<String, u64>,
    /// Columns that hunts read and the file does not have (Parquet only: a line of JSON has what it says).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub absent: Vec<String>,
    /// Why it, or a part of it, could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lost: Option<String>,
}

/// How far a hunt got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It saw everything.
    Complete,
    /// It ran, but something it should have read was lost.
    Partial,
    /// It did not run to its end.
    Failed,
    /// The lake has nothing for it to read.
    Skipped,
}

/// What came out of one hunt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HuntRecord {
    /// What the hunt was.
    pub logic_hash: String,
    /// How far it got.
    pub state: State,
    /// Why not further.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The tables it reads.
    pub tables: Vec<String>,
    /// Rows of its result, lookback included.
    pub rows: u64,
    /// Rows of its result without a `last_seen`: they count in no tile.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub timeless: u64,
    /// Findings that count in this tile.
    pub findings: u64,
    /// Alerts.
    pub alerts: u64,
    /// Findings were cut at the limit.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub truncated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One file of a tile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}
