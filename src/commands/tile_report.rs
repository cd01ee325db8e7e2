//! What a tile's scan and alerts are in the ledger, the report and the quarantine.
//!
//! Translates, decides nothing.

use std::collections::BTreeMap;

use chrono::DateTime;

use super::run_tile::TileRun;
use crate::engine::TableScan;
use crate::error::{Error, Result};
use crate::history;
use crate::hunt::Hunt;
use crate::lake::{BadRecord, FileReport};
use crate::output::ledger::{HuntRecord, ObjectRecord, State, TableRecord};
use crate::output::{self, Alert};
use crate::report::{
    self, AlertReport, Entity, EvidenceRow, HuntReport, HuntState, LostFile, Report, TableReport,
};
use crate::time::Window;

fn alert_report(hunt: &Hunt, alert: &Alert, repeat: bool) -> AlertReport {
    AlertReport {
        alert_id: alert.alert_id.clone(),
        group_id: alert.group_id.clone(),
        hunt: hunt.name.clone(),
        title: alert.title.clone(),
        level: hunt.front_matter.level,
        // One about the sum of others' has none of its own.
        risk_score: alert.risk_score.filter(|score| *score > 0),
        risk_sum: output::alert::risk_sum(alert.risk_score, &alert.finding),
        story: output::alert::story(&alert.finding),
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
        tactics: alert.tactics.clone(),
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

/// What a scan says of one object.
pub(super) fn object_record(file: &FileReport) -> ObjectRecord {
    let (oldest_event, newest_event) = file.span_events();
    ObjectRecord {
        path: file.object.path.clone(),
        size: file.object.size,
        modified: file.object.modified,
        etag: file.object.e_tag.clone(),
        rows: file.rows,
        rejected: file.rejected,
        oldest_event,
        newest_event,
        type_conflicts: file.conflicts.clone(),
        absent: file.absent.clone(),
        lost: file.lost.clone(),
    }
}

pub(super) fn table_record(scan: &TableScan, tile: Window, is_exploratory: bool) -> TableRecord {
    let sum = |value: fn(&FileReport) -> u64| scan.files.iter().map(value).sum();
    let mut type_conflicts = BTreeMap::new();
    for (column, count) in scan.files.iter().flat_map(|file| &file.conflicts) {
        *type_conflicts.entry(column.clone()).or_insert(0) += *count;
    }
    let quarantined = |file| bad_count(file, tile, is_exploratory);
    TableRecord {
        objects: scan.files.iter().map(object_record).collect(),
        files_total: (scan.listing.files.len() + scan.listing.files_pruned) as u64,
        bytes_read: sum(|file| file.bytes),
        rows_read: sum(|file| file.rows),
        rows_in_window: sum(|file| file.in_window),
        rows_rejected: sum(|file| file.rejected),
        quarantined: scan.files.iter().map(quarantined).sum(),
        rows_matched: scan.matched,
        type_conflicts,
        newest_event: scan.files.iter().filter_map(FileReport::newest_event).max(),
        settle_seconds: Some(scan.table.settle.num_seconds()),
    }
}

fn table_report(name: &str, record: &TableRecord) -> TableReport {
    let lost = |object: &ObjectRecord| {
        Some(LostFile {
            file: object.path.clone(),
            reason: object.lost.clone()?,
        })
    };
    TableReport {
        name: name.to_owned(),
        files_total: record.files_total,
        files_read: record.objects.len() as u64,
        bytes_read: record.bytes_read,
        rows_read: record.rows_read,
        rows_in_window: record.rows_in_window,
        rows_matched: record.rows_matched,
        quarantined: record.quarantined,
        type_conflicts: record.type_conflicts.clone(),
        no_data: record.rows_in_window == 0,
        newest_event: record.newest_event,
        lost: record.objects.iter().filter_map(lost).collect(),
    }
}

fn hunt_report(hunt: &Hunt, record: &HuntRecord) -> HuntReport {
    HuntReport {
        name: hunt.name.clone(),
        title: hunt.front_matter.title.clone(),
        level: hunt.front_matter.level,
        status: hunt.front_matter.status.as_str().to_owned(),
        state: match record.state {
            State::Complete => HuntState::Complete,
            State::Partial => HuntState::Partial,
            State::Failed => HuntState::Failed,
            State::Skipped => HuntState::Skipped,
        },
        reason: record.reason.clone(),
        tables: record.tables.clone(),
        no_data: record.tables.is_empty() && record.results.is_none(),
        findings: record.findings,
        alerts_new: 0,
        alerts_repeat: 0,
        alerts_excepted: 0,
        truncated: record.truncated,
    }
}

/// The report of a tile: what its ledger records and its alerts say, told new from repeated by what earlier tiles left.
///
/// # Errors
/// When the folders of earlier alerts cannot be listed.
pub(super) async fn report(
    run: &TileRun<'_>,
    tables: &BTreeMap<String, TableRecord>,
    hunts: &BTreeMap<String, HuntRecord>,
    alerts: &BTreeMap<String, Vec<Alert>>,
    mut notes: Vec<String>,
) -> Result<Report> {
    let mut hunt_reports = Vec::new();
    let mut alert_reports = Vec::new();
    for hunt in run.told {
        let Some(record) = hunts.get(&hunt.name) else {
            continue;
        };
        if record.timeless > 0 {
            notes.push(format!(
                "{}: {} rows of its result have no last_seen and count in no tile",
                hunt.name, record.timeless
            ));
        }
        let suppress = run.job.suppress;
        let job = &run.job.name;
        let mut report = hunt_report(hunt, record);
        let alerts = alerts.get(&hunt.name).map_or(&[][..], Vec::as_slice);
        // What alerts nobody repeats nobody.
        let earlier = if alerts.is_empty() {
            BTreeMap::new()
        } else {
            history::earlier_alerts(run.output, job, &hunt.name, run.tile, suppress, &mut notes)
                .await?
        };
        for alert in alerts {
            let is_repeat =
                history::is_repeat(&earlier, &alert.group_id, alert.last_seen, suppress);
            let count = match (&alert.excepted_by, is_repeat) {
                (Some(_), _) => &mut report.alerts_excepted,
                (None, true) => &mut report.alerts_repeat,
                (None, false) => &mut report.alerts_new,
            };
            *count += 1;
            alert_reports.push(alert_report(hunt, alert, is_repeat));
        }
        hunt_reports.push(report);
    }
    let tables = tables.iter();
    let mut report = Report {
        format_version: report::FORMAT_VERSION,
        lakehunt_version: env!("CARGO_PKG_VERSION").to_owned(),
        job: run.job.name.clone(),
        lake: run.engine.lake().path.display().to_string(),
        window_start: run.tile.start,
        window_end: run.tile.end,
        hunts: hunt_reports,
        alerts: alert_reports,
        incidents: Vec::new(),
        tables: tables
            .map(|(name, record)| table_report(name, record))
            .collect(),
        notes,
    };
    report.arrange();
    Ok(report)
}
