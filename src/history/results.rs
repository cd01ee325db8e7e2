//! What runs left behind, as rows of the relations that [`crate::engine::results`] declares: for ad-hoc SQL and for hunts
//! of stage two, one reading of the same files.
//!
//! Only what a ledger lists is there: a tile that was not committed is none. Knows outputs; not who asks.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use datafusion::arrow::array::RecordBatch;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::stored::{Told, object, statuses};
use crate::engine::results;
use crate::error::{Error, Result};
use crate::lake::table::{FILE_COLUMN, ROW_COLUMN, TABLE_COLUMN};
use crate::output::Output;
use crate::output::ledger::{HuntRecord, Ledger, State};
use crate::output::publish::ledger_path;
use crate::output::value::rfc3339;
use crate::time::Window;

/// A row before it is one of Arrow.
pub type Row = Map<String, Value>;

/// One tile with its results.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// Where they are.
    pub output: Output,
    /// The job.
    pub job: String,
    /// The tile.
    pub tile: Window,
    /// What its ledger says, or will say.
    pub ledger: std::sync::Arc<Ledger>,
    /// Files that are not published yet, by path.
    pub fresh: Option<&'a BTreeMap<String, Vec<u8>>>,
}

/// Tiles with their results, oldest first.
pub struct Runs<'a> {
    /// The tiles, and those before a window that decide which of its alerts are new.
    pub runs: Vec<Run<'a>>,
    /// How long an activity is a repeat, of a job.
    pub suppress: &'a (dyn Fn(&str) -> Duration + Sync),
    /// The hunts whose results count; all of them for `None`.
    pub hunts: Option<&'a BTreeSet<String>>,
}

impl Run<'_> {
    /// The bytes of a file, as the ledger lists it.
    async fn read(&self, path: &str) -> Result<Bytes> {
        if let Some(fresh) = self.fresh.and_then(|fresh| fresh.get(path)) {
            return Ok(Bytes::copy_from_slice(fresh));
        }
        let bytes = self.output.read(path).await?;
        let listed = self.ledger.outputs.get(path);
        if listed.is_some_and(|listed| listed.sha256 != crate::hex(&Sha256::digest(&bytes))) {
            return Err(Error::failure("it is not what its ledger lists")
                .in_file(self.output.root().join(path))
                .hint("another run is writing its tile, or it was changed: run the tile again"));
        }
        Ok(bytes)
    }

    /// The files of a kind, each with its hunt or table.
    pub(super) fn files(&self, kind: &str) -> Vec<(&String, &str)> {
        let paths = self.ledger.outputs.keys();
        let paths = paths.filter_map(|path| Some((path, place_of(path, kind)?)));
        paths.collect()
    }

    fn ledger_path(&self) -> String {
        ledger_path(&self.job, self.tile)
    }

    /// Job, tile and place.
    fn row(&self, table: &str, file: &str, row: usize) -> Row {
        let mut cells = Row::new();
        cells.insert("job".to_owned(), self.job.as_str().into());
        cells.insert("window_start".to_owned(), rfc3339(self.tile.start).into());
        cells.insert("window_end".to_owned(), rfc3339(self.tile.end).into());
        cells.insert(TABLE_COLUMN.to_owned(), table.into());
        cells.insert(FILE_COLUMN.to_owned(), file.into());
        cells.insert(ROW_COLUMN.to_owned(), row.into());
        cells
    }
}

/// The hunt or table of an output, where it is of a kind.
pub fn place_of<'a>(path: &'a str, kind: &str) -> Option<&'a str> {
    let mut parts = path.strip_prefix(kind)?.strip_prefix('/')?.split('/');
    parts.find_map(|part| part.strip_prefix("hunt=").or(part.strip_prefix("table=")))
}

impl Runs<'_> {
    /// The rows of a relation in a window: alerts, risk and findings last seen in it, of the others those of tiles that it
    /// touches. All of them for `None`.
    ///
    /// # Errors
    /// When a file cannot be read, or there is no such relation.
    pub async fn batch(&self, relation: &str, window: Option<Window>) -> Result<RecordBatch> {
        let rows = match relation {
            "alerts" => self.alerts(window).await?,
            "risk" => risk(&self.alerts(window).await?),
            "findings" => self.findings(window).await?,
            "quarantine" => self.quarantine(window).await?,
            "runs" => self.each(window, |run, rows| self.hunts_of(run, rows)),
            "reads" => self.each(window, reads),
            "objects" => self.each(window, objects),
            _ => Vec::new(),
        };
        results::batch(relation, rows)
    }

    fn counts(&self, hunt: &str) -> bool {
        self.hunts.is_none_or(|hunts| hunts.contains(hunt))
    }

    fn inside(&self, window: Option<Window>) -> impl Iterator<Item = &Run<'_>> {
        let touched = move |run: &&Run<'_>| window.is_none_or(|window| window.overlaps(&run.tile));
        self.runs.iter().filter(touched)
    }

    fn each(&self, window: Option<Window>, add: impl Fn(&Run<'_>, &mut Vec<Row>)) -> Vec<Row> {
        let mut rows = Vec::new();
        for run in self.inside(window) {
            add(run, &mut rows);
        }
        rows
    }

    async fn alerts(&self, window: Option<Window>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for run in &self.runs {
            for (path, hunt) in run
                .files("alerts")
                .into_iter()
                .filter(|(_, hunt)| self.counts(hunt))
            {
                for (index, mut row) in parquet(run, path).await?.into_iter().enumerate() {
                    row.extend(run.row("alerts", path, index + 1));
                    row.insert("hunt".to_owned(), hunt.into());
                    rows.push(row);
                }
            }
        }
        let times: Vec<_> = rows.iter().map(|row| time(row, "last_seen")).collect();
        let told = rows.iter().zip(&times).map(|(row, last_seen)| Told {
            job: text(row, "job"),
            group_id: text(row, "group_id"),
            last_seen: last_seen.unwrap_or_default(),
            window_start: time(row, "window_start").unwrap_or_default(),
            is_excepted: row.get("excepted_by").is_some_and(|by| !by.is_null()),
        });
        let statuses = statuses(&told.collect::<Vec<_>>(), self.suppress);
        for (row, status) in rows.iter_mut().zip(statuses) {
            row.insert("status".to_owned(), status.into());
        }
        let mut times = times.into_iter();
        rows.retain(|_| is_inside(window, times.next().flatten()));
        Ok(rows)
    }

    /// Findings of all hunts in the columns that all have, and the whole row as JSON.
    async fn findings(&self, window: Option<Window>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for run in self.inside(window) {
            for (path, hunt) in run.files("findings") {
                if !self.counts(hunt) {
                    continue;
                }
                for (index, mut finding) in parquet(run, path).await?.into_iter().enumerate() {
                    let seen = |name: &str| {
                        let own = finding.get(name).filter(|time| !time.is_null());
                        own.or(finding.get("event_time"))
                            .cloned()
                            .unwrap_or_default()
                    };
                    let mut row = run.row("findings", path, index + 1);
                    row.insert("hunt".to_owned(), hunt.into());
                    let (first, last) = (seen("first_seen"), seen("last_seen"));
                    row.insert(
                        "first_seen".to_owned(),
                        if first.is_null() { last.clone() } else { first },
                    );
                    row.insert("last_seen".to_owned(), last);
                    let count = finding.get("event_count").and_then(Value::as_i64);
                    row.insert("event_count".to_owned(), count.unwrap_or(1).into());
                    let host = finding.get("host_name").filter(|host| host.is_string());
                    row.insert("host_name".to_owned(), host.cloned().unwrap_or_default());
                    finding.retain(|name, _| !results::PLACE.contains(&name.as_str()));
                    row.insert(
                        "finding".to_owned(),
                        Value::from(finding).to_string().into(),
                    );
                    if is_inside(window, time(&row, "last_seen")) {
                        rows.push(row);
                    }
                }
            }
        }
        Ok(rows)
    }

    async fn quarantine(&self, window: Option<Window>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for run in self.inside(window) {
            for (path, table) in run.files("quarantine") {
                let bytes = run.read(path).await?;
                for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
                    let Ok(record) = serde_json::from_str::<Row>(line) else {
                        continue;
                    };
                    let mut row = run.row("quarantine", path, index + 1);
                    row.insert("table".to_owned(), table.into());
                    for name in ["file", "line", "offset", "reason"] {
                        row.insert(
                            name.to_owned(),
                            record.get(name).cloned().unwrap_or_default(),
                        );
                    }
                    row.insert("record".to_owned(), line.into());
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }

    /// One row for each hunt of a tile.
    fn hunts_of(&self, run: &Run<'_>, rows: &mut Vec<Row>) {
        let tables = &run.ledger.tables;
        let read: u64 = tables.values().map(|table| table.rows_read).sum();
        let rejected: u64 = tables.values().map(|table| table.rows_rejected).sum();
        let newest = tables.values().filter_map(|table| table.newest_event).max();
        let hunts = run
            .ledger
            .hunts
            .iter()
            .filter(|(hunt, _)| self.counts(hunt));
        for (index, (hunt, record)) in hunts.enumerate() {
            let mut row = run.row("runs", &run.ledger_path(), index + 1);
            row.extend(cells(json!({
                "hunt": hunt,
                "state": state(record),
                "reason": record.reason,
                "findings": record.findings,
                "alerts": record.alerts,
                "result_rows": record.rows,
                "tables": record.tables.join(", "),
                "rows_read": read,
                "rows_rejected": rejected,
                "newest_event": newest,
                "logic_hash": record.logic_hash,
            })));
            rows.push(row);
        }
    }
}

/// What each table gave to a tile.
fn reads(run: &Run<'_>, rows: &mut Vec<Row>) {
    for (index, (table, record)) in run.ledger.tables.iter().enumerate() {
        let lost = record.objects.iter().filter(|object| object.lost.is_some());
        let mut row = run.row("reads", &run.ledger_path(), index + 1);
        row.extend(cells(json!({
            "table": table,
            "objects": record.objects.len(),
            "objects_lost": lost.count(),
            "bytes_read": record.bytes_read,
            "rows_read": record.rows_read,
            "rows_in_window": record.rows_in_window,
            "rows_rejected": record.rows_rejected,
            "quarantined": record.quarantined,
            "newest_event": record.newest_event,
        })));
        rows.push(row);
    }
}

/// The objects that hold something of a tile; those that were read for what was before are not among them.
fn objects(run: &Run<'_>, rows: &mut Vec<Row>) {
    let tables = run.ledger.tables.iter();
    let all = tables.flat_map(|(table, record)| {
        let objects = record.objects.iter();
        objects.map(move |object| (table, record, object))
    });
    for (index, (table, record, object)) in all.enumerate() {
        if !object.may_touch(run.tile.start, run.tile.end) {
            continue;
        }
        let mut row = run.row("objects", &run.ledger_path(), index + 1);
        row.extend(cells(json!({
            "table": table,
            "object": object.path,
            "size": object.size,
            "modified": object.modified,
            "settle_seconds": record.settle_seconds,
            "rows": object.rows,
            "rejected": object.rejected,
            "oldest_event": object.oldest_event,
            "newest_event": object.newest_event,
            "lost": object.lost,
        })));
        rows.push(row);
    }
}

/// A risk event for each new alert and entity: what Splunk's risk-based alerting adds up. What has no risk adds none.
fn risk(alerts: &[Row]) -> Vec<Row> {
    let mut rows = Vec::new();
    for alert in alerts {
        let score = alert.get("risk_score").and_then(Value::as_i64);
        let scored = score.is_some_and(|score| score > 0);
        if text(alert, "status") != "new" || !scored {
            continue;
        }
        let entities = alert.get("entities").and_then(Value::as_array);
        let named: BTreeSet<(String, String)> = entities
            .into_iter()
            .flatten()
            .map(|entity| {
                let text = |key: &str| entity.get(key).and_then(Value::as_str).unwrap_or_default();
                (text("kind").to_owned(), text("value").to_lowercase())
            })
            .collect();
        for (kind, entity) in named {
            let mut row = alert.clone();
            row.insert("kind".to_owned(), kind.into());
            row.insert("entity".to_owned(), entity.into());
            rows.push(row);
        }
    }
    rows
}

/// The word for how a hunt ended.
const fn state(record: &HuntRecord) -> &'static str {
    match record.state {
        State::Complete => "complete",
        State::Partial => "partial",
        State::Failed => "failed",
        State::Skipped => "skipped",
    }
}

/// The alerts of a file, as JSON.
///
/// # Errors
/// When it cannot be read.
pub async fn alert_file(output: &Output, path: &str) -> Result<Vec<Row>> {
    rows_of(output.read(path).await?, output, path)
}

async fn parquet(run: &Run<'_>, path: &str) -> Result<Vec<Row>> {
    rows_of(run.read(path).await?, &run.output, path)
}

fn rows_of(bytes: Bytes, output: &Output, path: &str) -> Result<Vec<Row>> {
    let wrong = |error: String| {
        Error::failure(format!("it cannot be read: {error}")).in_file(output.root().join(path))
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| wrong(error.to_string()))?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| wrong(error.to_string()))?;
        rows.extend((0..batch.num_rows()).map(|row| object(&batch, row)));
    }
    Ok(rows)
}

fn cells(value: Value) -> Row {
    match value {
        Value::Object(cells) => cells,
        _ => Row::new(),
    }
}

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn time(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    text(row, column).parse().ok()
}

fn is_inside(window: Option<Window>, time: Option<DateTime<Utc>>) -> bool {
    window.is_none_or(|window| time.is_some_and(|time| window.contains(time)))
}
