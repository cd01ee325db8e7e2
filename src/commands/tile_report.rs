//! What a tile's scan and alerts are in the ledger, the report and the quarantine.
//!
//! Translates, decides nothing.

use std::collections::BTreeMap;

use chrono::DateTime;

use crate::engine::TableScan;
use crate::error::{Error, Result};
use crate::hunt::Hunt;
use crate::lake::{BadRecord, FileReport};
use crate::output::Alert;
use crate::output::ledger::{ObjectRecord, TableRecord};
use crate::report::{AlertReport, Entity, EvidenceRow, LostFile, TableReport};
use crate::time::Window;

pub(super) fn alert_report(hunt: &Hunt, alert: &Alert, repeat: bool) -> AlertReport {
    AlertReport {
        alert_id: alert.alert_id.clone(),
        group_id: alert.group_id.clone(),
        hunt: hunt.name.clone(),
        title: alert.title.clone(),
        level: hunt.front_matter.level,
        risk_score: alert.risk_score,
        message: alert.message.clone(),
        entities: alert
            .entities
            .iter()
            .map(|entity| Entity {
                kind: entity.kind.clone(),
                value: entity.value.clone(),
            })
            .collect(),
        first_seen: alert.first_seen,
        last_seen: alert.last_seen,
        event_count: alert.event_count.unsigned_abs(),
        finding_count: alert.finding_count.unsigned_abs(),
        evidence: alert
            .evidence
            .iter()
            .map(|place| EvidenceRow {
                table: place.table.clone(),
                file: place.file.clone(),
                row: place.row.unsigned_abs(),
            })
            .collect(),
        evidence_total: alert.evidence.len() as u64,
        evidence_truncated: alert.evidence_truncated,
        techniques: alert.techniques.clone(),
        repeat,
        excepted_by: alert.excepted_by.clone(),
    }
}

/// The bad records of a file that belong to a tile, so that neighbours do not report them again: those of files whose
/// path starts in it, or, where the path says nothing, those that stand behind a record of its time. A look off the grid
/// has no neighbours: it reports every file of its time.
fn bad_records(file: &FileReport, window: Window, is_exploratory: bool) -> Vec<&BadRecord> {
    if !belongs(file, window, is_exploratory) {
        return Vec::new();
    }
    if file.path_time.is_none() {
        let inside = |bad: &&BadRecord| {
            let near = bad
                .near
                .or(file.oldest)
                .and_then(DateTime::from_timestamp_micros);
            // A file without one good record says nothing of its time.
            near.is_none_or(|near| window.contains(near))
        };
        return file.bad_records.iter().filter(inside).collect();
    }
    file.bad_records.iter().collect()
}

/// Whether a file's path says that it is this tile's; a path without a time may be any tile's.
fn belongs(file: &FileReport, window: Window, is_exploratory: bool) -> bool {
    file.path_time.is_none_or(|time| {
        if is_exploratory {
            time.overlaps(&window)
        } else {
            window.contains(time.start)
        }
    })
}

/// How many bad records of a file belong to a tile; those that were not kept go with the others.
fn bad_count(file: &FileReport, window: Window, is_exploratory: bool) -> u64 {
    let belonging = bad_records(file, window, is_exploratory).len() as u64;
    let unkept = file.rejected - file.bad_records.len() as u64;
    belonging + if belonging > 0 { unkept } else { 0 }
}

/// The quarantine file of a table: one JSON object a line.
///
/// # Errors
/// When a record cannot be written as JSON, which would be a bug.
pub(super) fn quarantine(
    scan: &TableScan,
    tile: Window,
    is_exploratory: bool,
) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut add = |value: &serde_json::Value| {
        bytes.extend(value.to_string().into_bytes());
        bytes.push(b'\n');
    };
    for file in &scan.files {
        let path = &file.object.path;
        let records = bad_records(file, tile, is_exploratory);
        for bad in &records {
            add(&serde_json::to_value(bad).map_err(|error| Error::failure(error.to_string()))?);
        }
        let unkept = file.rejected - file.bad_records.len() as u64;
        if unkept > 0 && !records.is_empty() {
            add(
                &serde_json::json!({"file": path, "reason": "more", "detail": format!("{unkept} more bad records")}),
            );
        }
        if let Some(reason) = &file.lost
            && belongs(file, tile, is_exploratory)
        {
            add(
                &serde_json::json!({"file": path, "line": 0, "offset": 0, "reason": "lost", "detail": reason}),
            );
        }
    }
    Ok((!bytes.is_empty()).then_some(bytes))
}

pub(super) fn table_record(scan: &TableScan) -> TableRecord {
    let sum = |value: fn(&FileReport) -> u64| scan.files.iter().map(value).sum();
    TableRecord {
        objects: scan
            .files
            .iter()
            .map(|file| ObjectRecord {
                path: file.object.path.clone(),
                size: file.object.size,
                modified: file.object.modified,
                rows: file.rows,
                rejected: file.rejected,
                oldest_event: file.oldest_event(),
                newest_event: file.newest_event(),
                lost: file.lost.clone(),
            })
            .collect(),
        rows_read: sum(|file| file.rows),
        rows_in_window: sum(|file| file.in_window),
        rows_rejected: sum(|file| file.rejected),
        rows_matched: scan.matched,
        newest_event: scan.files.iter().filter_map(FileReport::newest_event).max(),
    }
}

pub(super) fn table_report(
    name: &str,
    scan: &TableScan,
    tile: Window,
    is_exploratory: bool,
) -> TableReport {
    let sum = |value: fn(&FileReport) -> u64| scan.files.iter().map(value).sum();
    let mut type_conflicts = BTreeMap::new();
    for (column, count) in scan.files.iter().flat_map(|file| &file.conflicts) {
        *type_conflicts.entry(column.clone()).or_insert(0) += *count;
    }
    let rows_in_window: u64 = sum(|file| file.in_window);
    TableReport {
        name: name.to_owned(),
        files_total: (scan.listing.files.len() + scan.listing.files_pruned) as u64,
        files_read: scan.files.len() as u64,
        bytes_read: sum(|file| file.bytes),
        rows_read: sum(|file| file.rows),
        rows_in_window,
        rows_matched: scan.matched,
        quarantined: scan
            .files
            .iter()
            .map(|file| bad_count(file, tile, is_exploratory))
            .sum(),
        type_conflicts,
        no_data: rows_in_window == 0,
        newest_event: scan.files.iter().filter_map(FileReport::newest_event).max(),
        lost: scan
            .files
            .iter()
            .filter_map(|file| {
                Some(LostFile {
                    file: file.object.path.clone(),
                    reason: file.lost.clone()?,
                })
            })
            .collect(),
    }
}
