//! What a run cost: requests, bytes, files, row groups, rows and time. For `--stats`; nothing of it is in a result.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::engine::TableScan;
use crate::lake::FileReport;
use crate::lake::table::Listing;
use crate::printer::Printer;
use crate::store::{Budget, Traffic, traffic};

/// What was counted so far. Tiles of a backfill count side by side.
#[derive(Debug)]
pub(super) struct Stats {
    started: Instant,
    marked: Mutex<Instant>,
    stages: Mutex<Vec<(&'static str, Duration)>>,
    tables: Mutex<BTreeMap<String, TableStats>>,
}

/// The stage whose time rows are divided by.
pub(super) const SCAN: &str = "scan";

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

/// All of it, for machines.
#[derive(Debug, Serialize)]
struct Summary {
    seconds: f64,
    stages: BTreeMap<&'static str, f64>,
    tables: BTreeMap<String, TableStats>,
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
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            marked: Mutex::new(now),
            stages: Mutex::default(),
            tables: Mutex::default(),
        }
    }

    /// Says that a stage ended: it took the time since the one before.
    pub(super) fn stage(&self, name: &'static str) {
        let now = Instant::now();
        let took = now - std::mem::replace(&mut *held(&self.marked), now);
        let mut stages = held(&self.stages);
        match stages.iter_mut().find(|(known, _)| *known == name) {
            Some((_, total)) => *total += took,
            None => stages.push((name, took)),
        }
    }

    /// Adds what a pass over tables read.
    pub(super) fn scanned(&self, scans: &BTreeMap<String, TableScan>) {
        for (name, scan) in scans {
            self.read(name, &scan.listing, &scan.files);
        }
    }

    /// Adds what was read of one table.
    pub(super) fn read(&self, table: &str, listing: &Listing, files: &[FileReport]) {
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
            tables,
            rows_per_second: rows_per_second.round(),
            requests: traffic(),
            read_ahead_peak_bytes: Budget::of_process().peak(),
        }
    }

    /// Prints it as talk: for people, or as one JSON object.
    pub(super) fn print(&self, printer: &Printer, is_json: bool) {
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
        grid(&mut text, "files", heads, rows);
        let stages = held(&self.stages);
        let stages = stages.iter();
        let stages: Vec<_> = stages
            .map(|(name, took)| format!("{name} {:.2} s", took.as_secs_f64()))
            .collect();
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
