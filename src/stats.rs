//! What a run, or a statement, cost: requests, bytes, files, row groups, rows and time, and what each hunt did. For
//! `--stats`; nothing of it is in a result.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::engine::{HuntOutcome, PlannedHunt, TableScan};
use crate::lake::FileReport;
use crate::lake::table::Listing;
use crate::printer::Printer;
use crate::store::{Budget, Traffic, traffic};

/// What was counted so far. Tiles of a backfill count side by side.
#[derive(Debug)]
pub struct Stats {
    started: Instant,
    marked: Mutex<Instant>,
    stages: Mutex<Vec<(&'static str, Duration)>>,
    first_row: Mutex<Option<Duration>>,
    tables: Mutex<BTreeMap<String, TableStats>>,
    hunts: Mutex<BTreeMap<String, HuntStats>>,
    /// What went to buckets before it began.
    before: BTreeMap<String, Traffic>,
}

/// Hunts that people are shown, those first that took longest.
const HUNTS_SHOWN: usize = 20;

/// The stage whose time rows are divided by.
pub const SCAN: &str = "scan";

/// What was read of one table.
#[derive(Debug, Clone, Default, Serialize)]
struct TableStats {
    /// Files that a listing saw.
    files_listed: u64,
    /// Those of them that the time ruled out.
    files_pruned: u64,
    files_read: u64,
    /// Bytes of the files that were read, as they are stored.
    bytes_of_files: u64,
    /// Bytes of what was decoded of them.
    bytes_decoded: u64,
    row_groups_read: u64,
    row_groups_pruned: u64,
    rows: u64,
}

/// What one hunt cost, in all tiles. What hunts share, reading and most of their conditions, is in none of them.
#[derive(Debug, Clone, Default, Serialize)]
struct HuntStats {
    /// Rows that its filters let through.
    rows_in: u64,
    rows_out: u64,
    /// Bytes of its rows that did not fit into memory.
    spilled_bytes: u64,
    /// In the scan, for it alone: conditions that can fail, and its columns.
    scan_seconds: f64,
    /// Of its plan over the rows that were found.
    plan_seconds: f64,
}

/// All of it, for machines.
#[derive(Debug, Serialize)]
struct Summary {
    seconds: f64,
    stages: BTreeMap<&'static str, f64>,
    /// From the beginning to the first row that was given out.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_row_seconds: Option<f64>,
    tables: BTreeMap<String, TableStats>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    hunts: BTreeMap<String, HuntStats>,
    rows_per_second: f64,
    /// By address; local folders have no requests.
    requests: BTreeMap<String, Traffic>,
    /// The most that was held of files before it was decoded.
    read_ahead_peak_bytes: u64,
}

fn held<T>(counted: &Mutex<T>) -> MutexGuard<'_, T> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stats {
    /// Begins to count; what went to buckets counts from the beginning of the process.
    pub fn start() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            marked: Mutex::new(now),
            stages: Mutex::default(),
            first_row: Mutex::default(),
            tables: Mutex::default(),
            hunts: Mutex::default(),
            before: BTreeMap::new(),
        }
    }

    /// Begins to count, what goes to buckets too: for a statement of many.
    pub fn from_here() -> Self {
        Self {
            before: traffic(),
            ..Self::start()
        }
    }

    /// The time since it began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Says that there is a row; the first one counts.
    pub fn row(&self) {
        held(&self.first_row).get_or_insert_with(|| self.elapsed());
    }

    /// Says that a stage ended: it took the time since the one before.
    pub fn stage(&self, name: &'static str) {
        let now = Instant::now();
        let took = now - std::mem::replace(&mut *held(&self.marked), now);
        let mut stages = held(&self.stages);
        match stages.iter_mut().find(|(known, _)| *known == name) {
            Some((_, total)) => *total += took,
            None => stages.push((name, took)),
        }
    }

    /// Adds what a pass over tables read.
    pub fn scanned(&self, scans: &BTreeMap<String, TableScan>) {
        for (name, scan) in scans {
            self.read(name, &scan.listing, &scan.files);
        }
    }

    /// Adds what hunts cost.
    pub fn hunted(&self, hunts: &[PlannedHunt], outcomes: &[HuntOutcome]) {
        let mut counted = held(&self.hunts);
        for outcome in outcomes {
            let name = hunts[outcome.hunt].name.clone();
            let (stats, cost) = (counted.entry(name).or_default(), &outcome.cost);
            stats.rows_in += cost.rows_in;
            stats.rows_out += cost.rows_out;
            stats.spilled_bytes += cost.spilled;
            stats.scan_seconds += cost.scan.as_secs_f64();
            stats.plan_seconds += cost.plan.as_secs_f64();
        }
    }

    /// Adds what was read of one table.
    pub fn read(&self, table: &str, listing: &Listing, files: &[FileReport]) {
        let mut tables = held(&self.tables);
        let stats = tables.entry(table.to_owned()).or_default();
        let pruned = listing.files_pruned as u64;
        let taken = listing.files.len() + listing.files_waiting;
        stats.files_listed += taken as u64 + pruned;
        stats.files_pruned += pruned;
        for file in files {
            stats.files_read += 1;
            stats.bytes_of_files += file.object.size;
            stats.bytes_decoded += file.bytes;
            stats.row_groups_read += file.row_groups_read;
            stats.row_groups_pruned += file.row_groups_pruned;
            stats.rows += file.rows;
        }
    }

    fn summary(&self) -> Summary {
        let stages: BTreeMap<_, _> = held(&self.stages)
            .iter()
            .map(|(name, took)| (*name, took.as_secs_f64()))
            .collect();
        let tables = held(&self.tables).clone();
        let rows: u64 = tables.values().map(|table| table.rows).sum();
        let scan = stages.get(SCAN).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rows_per_second = if scan > 0.0 { rows as f64 / scan } else { 0.0 };
        Summary {
            seconds: self.started.elapsed().as_secs_f64(),
            stages,
            first_row_seconds: held(&self.first_row).map(|after| after.as_secs_f64()),
            tables,
            hunts: held(&self.hunts).clone(),
            rows_per_second: rows_per_second.round(),
            requests: self.requests(),
            read_ahead_peak_bytes: Budget::of_process().peak(),
        }
    }

    fn requests(&self) -> BTreeMap<String, Traffic> {
        let now = traffic().into_iter().map(|(address, now)| {
            let before = self.before.get(&address).copied().unwrap_or_default();
            (address, now.since(before))
        });
        now.filter(|(_, traffic)| traffic.requests() > 0).collect()
    }

    /// Prints it as talk: for people, or as one JSON object.
    pub fn print(&self, printer: &Printer, is_json: bool) {
        let summary = self.summary();
        if is_json {
            printer.conclude(&serde_json::to_string(&summary).unwrap_or_default());
        } else {
            printer.conclude(self.as_text(&summary).trim_end());
        }
    }

    fn as_text(&self, summary: &Summary) -> String {
        let mut text = String::new();
        if !summary.requests.is_empty() {
            let heads = [
                "LIST", "GET", "HEAD", "PUT", "DELETE", "other", "failed", "bytes",
            ];
            let rows = summary.requests.iter().map(|(address, counted)| {
                let Traffic {
                    list,
                    get,
                    head,
                    put,
                    delete,
                    other,
                    failed,
                    bytes,
                } = *counted;
                (
                    address,
                    [list, get, head, put, delete, other, failed, bytes],
                )
            });
            grid(&mut text, "requests", heads, rows);
        }
        let heads = [
            "listed", "pruned", "read", "of bytes", "decoded", "groups", "pruned", "rows",
        ];
        let rows = summary.tables.iter().map(|(name, table)| {
            let counts = [
                table.files_listed,
                table.files_pruned,
                table.files_read,
                table.bytes_of_files,
                table.bytes_decoded,
                table.row_groups_read,
                table.row_groups_pruned,
                table.rows,
            ];
            (name, counts)
        });
        if !summary.tables.is_empty() {
            grid(&mut text, "files", heads, rows);
        }
        costs_of_hunts(&mut text, &summary.hunts);
        let stages = held(&self.stages);
        let stages = stages.iter();
        let mut stages: Vec<_> = stages
            .map(|(name, took)| format!("{name} {:.2} s", took.as_secs_f64()))
            .collect();
        if let Some(after) = summary.first_row_seconds {
            stages.push(format!("first row after {after:.2} s"));
        }
        let _ = writeln!(
            text,
            "{}; {:.0} rows a second; read ahead {} bytes at most",
            stages.join(", "),
            summary.rows_per_second,
            summary.read_ahead_peak_bytes
        );
        text
    }
}

/// Those that took longest.
fn costs_of_hunts(text: &mut String, hunts: &BTreeMap<String, HuntStats>) {
    if hunts.is_empty() {
        return;
    }
    let mut hunts: Vec<_> = hunts.iter().collect();
    let took = |hunt: &HuntStats| hunt.scan_seconds + hunt.plan_seconds;
    hunts.sort_by(|(_, a), (_, b)| took(b).total_cmp(&took(a)));
    let heads = ["rows in", "rows out", "spilled", "scan µs", "plan µs"];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "microseconds of a run are far below 2^63, and none is negative"
    )]
    let micros = |seconds: f64| (seconds * 1e6) as u64;
    let rows = hunts.iter().take(HUNTS_SHOWN).map(|(name, hunt)| {
        let counts = [
            hunt.rows_in,
            hunt.rows_out,
            hunt.spilled_bytes,
            micros(hunt.scan_seconds),
            micros(hunt.plan_seconds),
        ];
        (*name, counts)
    });
    grid(text, "hunts", heads, rows);
    if hunts.len() > HUNTS_SHOWN {
        let _ = writeln!(text, "and {} more hunts", hunts.len() - HUNTS_SHOWN);
    }
}

/// Names to the left, numbers to the right.
fn grid<'a, const N: usize>(
    text: &mut String,
    title: &str,
    heads: [&str; N],
    rows: impl Iterator<Item = (&'a String, [u64; N])>,
) {
    let rows = rows.map(|(name, counts)| (name.clone(), counts.map(|count| count.to_string())));
    let head = (title.to_owned(), heads.map(str::to_owned));
    let lines: Vec<_> = std::iter::once(head).chain(rows).collect();
    let name_width = lines.iter().map(|(name, _)| name.len()).max();
    let name_width = name_width.unwrap_or_default();
    for (name, cells) in &lines {
        let _ = write!(text, "{name:name_width$}");
        for (column, cell) in cells.iter().enumerate() {
            let width = lines.iter().map(|(_, cells)| cells[column].len()).max();
            let width = width.unwrap_or_default();
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
}
