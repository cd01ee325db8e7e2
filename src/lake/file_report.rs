//! What a pass over a table says of each file: records, rejects, times, losses; and counters for the terminal.
//!
//! Plain data; the readers fill it, the ledger keeps it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};

use super::quarantine::{BadRecord, KEPT_FILE_TEXT, KEPT_RECORDS, KEPT_TEXT};
use super::table::DataFile;
use crate::store::Object;

/// Counters that a progress bar reads while a scan runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files that are done.
    pub files: AtomicU64,
    /// Bytes read, as they lie on disk.
    pub bytes: AtomicU64,
    /// Records read.
    pub rows: AtomicU64,
}

/// What a file has of one declared column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnSeen {
    /// Records that have a value.
    pub rows: u64,
    /// How many of them by type: of JSON `text`, `number`, `bool`, `nested`; of Parquet the Arrow type.
    pub types: BTreeMap<String, u64>,
}

/// What one file gave.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// The object.
    pub object: Object,
    /// The time its path holds.
    pub path_time: Option<crate::time::Window>,
    /// Records that were read, in and out of the window.
    pub rows: u64,
    /// Records inside the windows that the pass looks at.
    pub in_window: u64,
    /// How many in each of them; what follows the last that has any is left out.
    pub(super) in_focus: Vec<u64>,
    /// Records that could not be read.
    pub rejected: u64,
    /// The first of them, with place and reason.
    pub bad_records: Vec<BadRecord>,
    /// Bytes of text that they keep.
    pub(super) kept_text: usize,
    /// Values of another type than declared, by column: they became NULL.
    pub conflicts: BTreeMap<String, u64>,
    /// Wanted columns that a Parquet file does not have at all.
    pub absent: Vec<String>,
    /// Columns of the form, by index, of which no record of an NDJSON file has a value.
    pub valueless: Vec<u32>,
    /// What it has of each declared column, where a pass asked for it.
    pub seen: BTreeMap<String, ColumnSeen>,
    /// Oldest event time seen, microseconds.
    pub oldest: Option<i64>,
    /// Newest event time seen, microseconds.
    pub newest: Option<i64>,
    /// No event of the file is outside, whether it was read or not; microseconds, both ends inside. Statistics count for
    /// parts that were read too, so that this is the same whatever window was asked for.
    pub span: Option<(i64, i64)>,
    /// Event time of the record that was read last.
    pub(super) last: Option<i64>,
    /// Why the file, or the rest of it, could not be read.
    pub lost: Option<String>,
    /// Parquet row groups that were read.
    pub row_groups_read: u64,
    /// Parquet row groups whose statistics said that the window is elsewhere.
    pub row_groups_pruned: u64,
    /// Bytes read.
    pub bytes: u64,
}

impl FileReport {
    pub(super) fn new(file: &DataFile) -> Self {
        Self {
            object: file.object.clone(),
            path_time: file.time,
            rows: 0,
            in_window: 0,
            in_focus: Vec::new(),
            rejected: 0,
            bad_records: Vec::new(),
            kept_text: 0,
            conflicts: BTreeMap::new(),
            absent: Vec::new(),
            valueless: Vec::new(),
            seen: BTreeMap::new(),
            oldest: None,
            newest: None,
            span: None,
            last: None,
            lost: None,
            row_groups_read: 0,
            row_groups_pruned: 0,
            bytes: 0,
        }
    }

    pub(super) fn saw(&mut self, micros: i64) {
        self.last = Some(micros);
        self.oldest = Some(self.oldest.map_or(micros, |oldest| oldest.min(micros)));
        self.newest = Some(self.newest.map_or(micros, |newest| newest.max(micros)));
        self.spans(micros, micros);
    }

    /// Counts records that are all inside one window, as [`Self::saw`] and [`Self::inside`] would one by one.
    pub(super) fn saw_all(&mut self, times: &[i64], focus: Option<usize>) {
        let (Some(oldest), Some(newest)) = (times.iter().min(), times.iter().max()) else {
            return;
        };
        let rows = times.len() as u64;
        self.rows += rows;
        self.saw(*oldest);
        self.saw(*newest);
        self.last = times.last().copied();
        let Some(focus) = focus else { return };
        self.inside(Some(focus));
        self.in_window += rows - 1;
        self.in_focus[focus] += rows - 1;
    }

    /// Counts a record that is inside a window, if it is.
    pub(super) fn inside(&mut self, focus: Option<usize>) {
        let Some(focus) = focus else { return };
        self.in_window += 1;
        if self.in_focus.len() <= focus {
            self.in_focus.resize(focus + 1, 0);
        }
        self.in_focus[focus] += 1;
    }

    /// The report as a pass that looks at one of the windows alone gives it.
    #[must_use]
    pub fn of_focus(&self, focus: usize) -> Self {
        let inside = self.in_focus.get(focus).copied().unwrap_or(0);
        Self {
            in_window: inside,
            in_focus: vec![inside],
            ..self.clone()
        }
    }

    /// Says that a part of the file may hold events from `oldest` to `newest`.
    pub(super) fn spans(&mut self, oldest: i64, newest: i64) {
        let (first, last) = self.span.unwrap_or((oldest, newest));
        self.span = Some((first.min(oldest), last.max(newest)));
    }

    pub(super) fn reject(&mut self, mut bad: BadRecord) {
        self.rejected += 1;
        bad.near = self.last;
        if self.bad_records.len() < KEPT_RECORDS {
            self.kept_text += bad.kept_bytes();
            if self.kept_text > KEPT_FILE_TEXT {
                self.kept_text -= bad.kept_bytes();
                bad.forget();
            }
            self.bad_records.push(bad);
        }
    }

    pub(super) fn conflict(&mut self, column: &str, count: u64) {
        *self.conflicts.entry(column.to_owned()).or_default() += count;
    }

    pub(super) fn saw_column(&mut self, column: &str, kind: impl Fn() -> String, rows: u64) {
        if rows == 0 {
            return;
        }
        let seen = self.seen.entry(column.to_owned()).or_default();
        seen.rows += rows;
        *seen.types.entry(kind()).or_default() += rows;
    }

    pub(super) fn lose(&mut self, reason: String) {
        self.lost = Some(match self.lost.take() {
            Some(before) => format!("{before}; {reason}"),
            None => reason,
        });
    }

    /// The ends of [`FileReport::span`] as instants.
    pub fn span_events(&self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let ends = self.span.unzip();
        let instant = DateTime::from_timestamp_micros;
        // A time that no calendar has: there is no saying where it ends.
        (
            ends.0
                .map(|micros| instant(micros).unwrap_or(DateTime::<Utc>::MIN_UTC)),
            ends.1
                .map(|micros| instant(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)),
        )
    }

    /// Newest event time as an instant.
    pub fn newest_event(&self) -> Option<DateTime<Utc>> {
        self.newest.and_then(DateTime::from_timestamp_micros)
    }

    /// Oldest event time as an instant.
    pub fn oldest_event(&self) -> Option<DateTime<Utc>> {
        self.oldest.and_then(DateTime::from_timestamp_micros)
    }
}

/// What a pass over a table gave.
#[derive(Debug, Default, Clone)]
pub struct ScanReport {
    /// One report per file, in order of their paths.
    pub files: Vec<FileReport>,
    /// Bytes of text that their bad records keep.
    kept_text: usize,
    /// Text was let go because there was too much of it.
    pub let_go: bool,
}

impl ScanReport {
    /// Adds the next file. When many files are bad, the text of the later bad records is let go, in order of the files,
    /// so that the same lake always keeps the same.
    pub fn add(&mut self, mut file: FileReport) {
        for bad in &mut file.bad_records {
            self.kept_text += bad.kept_bytes();
            if self.kept_text > KEPT_TEXT {
                self.kept_text -= bad.kept_bytes();
                bad.forget();
                self.let_go = true;
            }
        }
        self.files.push(file);
    }
}

/// Where a pass leaves its report.
pub type SharedReport = Arc<Mutex<ScanReport>>;
