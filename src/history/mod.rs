//! Reads what earlier runs left: which tiles are done ([`coverage`]), which groups alerted before, for telling new alerts
//! from repeats, which exceptions were of no use, which alerts are stored ([`stored`]), what hunts over results
//! read ([`results`]) and depend on ([`second`]), and what the last weeks looked like ([`trend`]).
//!
//! A reading, never a change: the same whatever order the tiles ran in.

pub mod coverage;
pub mod results;
pub mod second;
pub mod stored;
pub mod tables;
pub mod trend;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::output::publish::hunt_path;
use crate::output::{Alert, Output, value};
use crate::time::Window;

/// How long an activity is a repeat, where its job is not known: what a job says by default.
pub const SUPPRESS: Duration = Duration::hours(24);

/// When each group of a hunt alerted in tiles before this one, no further back than `suppress`: group to latest
/// `last_seen`. What cannot be read is said in `problems` and costs only the knowledge of repeats.
///
/// # Errors
/// When a folder cannot be listed.
pub async fn earlier_alerts(
    output: &Output,
    job: &str,
    hunt: &str,
    tile: Window,
    suppress: Duration,
    problems: &mut Vec<String>,
) -> Result<BTreeMap<String, DateTime<Utc>>> {
    let mut groups = BTreeMap::new();
    // A tile can be as long as it likes; its file lies under the day of its start.
    let oldest = tile.start - suppress - tile.length();
    let mut day = oldest.date_naive();
    while day <= tile.start.date_naive() {
        let folder = format!("alerts/job={job}/date={day}/hunt={hunt}");
        for (window, path) in files(output, &folder, ".parquet").await? {
            if window.start >= tile.start {
                continue;
            }
            let read = match output.read(&path).await {
                Ok(bytes) => read_groups(bytes, &mut groups),
                Err(error) => Err(error.message().into()),
            };
            if let Err(error) = read {
                problems.push(format!(
                    "{path} cannot be read ({error}): repeats of its alerts are shown as new; run its tile again"
                ));
            }
        }
        let Some(next) = day.succ_opt() else { break };
        day = next;
    }
    Ok(groups)
}

/// Where the file is that says up to when a job's tiles were pruned.
pub fn pruned_path(job: &str) -> String {
    format!("ledger/{job}/pruned.json")
}

/// What says that tiles are gone on purpose.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pruned {
    /// Tiles that start before are no more, and not missing.
    pub before: DateTime<Utc>,
}

/// Up to when the tiles of a job were pruned, if they were.
///
/// # Errors
/// When the record of it cannot be read.
pub async fn pruned_before(output: &Output, job: &str) -> Result<Option<DateTime<Utc>>> {
    let path = pruned_path(job);
    if !output.exists(&path).await? {
        return Ok(None);
    }
    let bytes = output.read(&path).await?;
    let pruned: Pruned = serde_json::from_slice(&bytes).map_err(|error| {
        Error::failure(format!("it does not parse: {error}")).in_file(output.root().join(&path))
    })?;
    Ok(Some(pruned.before))
}

/// The alerts that a tile has of a hunt, as they are stored.
///
/// # Errors
/// When there are some that cannot be read.
pub async fn alerts_of(output: &Output, job: &str, hunt: &str, tile: Window) -> Result<Vec<Alert>> {
    let path = hunt_path("alerts", job, tile, hunt);
    if !output.exists(&path).await? {
        return Ok(Vec::new());
    }
    let bytes = output.read(&path).await?;
    let read = || -> std::result::Result<Vec<Alert>, Box<dyn std::error::Error>> {
        let mut alerts = Vec::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
            let batch = batch?;
            let schema = batch.schema();
            for row in 0..batch.num_rows() {
                let names = schema.fields().iter().map(|field| field.name().clone());
                let cells = names
                    .zip(batch.columns())
                    .map(|(name, column)| (name, value::json(column.as_ref(), row)));
                let cells: serde_json::Map<_, _> = cells.collect();
                alerts.push(serde_json::from_value(cells.into())?);
            }
        }
        Ok(alerts)
    };
    read().map_err(|error| {
        Error::failure(format!("cannot read the alerts: {error}"))
            .in_file(output.root().join(&path))
            .hint("run the tile again")
    })
}

/// The files of tiles in a folder, with their tiles.
async fn files(output: &Output, folder: &str, suffix: &str) -> Result<Vec<(Window, String)>> {
    let files = output.files_in(folder).await?.into_iter();
    let tiles = files.filter_map(|path| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let tile = Window::from_file_stem(name.strip_suffix(suffix)?).ok()?;
        Some((tile, path))
    });
    Ok(tiles.collect())
}

fn read_groups(
    bytes: Bytes,
    groups: &mut BTreeMap<String, DateTime<Utc>>,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let wanted = ["group_id", "last_seen", "excepted_by"];
    let columns = ProjectionMask::columns(builder.parquet_schema(), wanted);
    for batch in builder.with_projection(columns).build()? {
        let batch = batch?;
        let (Some(ids), Some(times)) = (
            batch.column_by_name("group_id"),
            batch.column_by_name("last_seen"),
        ) else {
            return Err("it has no group_id and last_seen".into());
        };
        let ids = datafusion::arrow::compute::cast(ids, &DataType::Utf8View)?;
        // What was excepted alerted nobody: when the exception ends, it is new.
        let excepted = batch.column_by_name("excepted_by");
        let alerted = |row: usize| excepted.is_none_or(|by| by.is_null(row));
        let ids = ids.as_string_view().iter().enumerate();
        for (row, id) in ids.filter(|(row, _)| alerted(*row)) {
            if let (Some(id), Some(time)) = (id, value::time(times, row)) {
                let latest = groups.entry(id.to_owned()).or_insert(time);
                *latest = (*latest).max(time);
            }
        }
    }
    Ok(())
}

/// What of a ledger says whether an exception was of use.
#[derive(Deserialize)]
struct Covered {
    #[serde(default)]
    exceptions: BTreeMap<String, u64>,
}

/// Those of some exceptions that covered nothing in any tile of the time before the end of this one, when its ledgers
/// record them for all of that time.
///
/// # Errors
/// When the folder of ledgers cannot be listed.
pub async fn unused_exceptions(
    output: &Output,
    job: &str,
    tile: Window,
    names: &BTreeSet<&str>,
    period: Duration,
) -> Result<Vec<String>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut tiles: Vec<_> = files(output, &format!("ledger/{job}"), ".json")
        .await?
        .into_iter()
        .filter(|(window, _)| window.start < tile.start && window.end > tile.end - period)
        .collect();
    tiles.sort_by_key(|(window, _)| window.start);
    let mut unused = names.clone();
    let mut recorded = tile.length();
    for (window, path) in tiles.iter().rev() {
        let covered = output.read(path).await.ok();
        let covered: Option<Covered> = covered.and_then(|text| serde_json::from_slice(&text).ok());
        let Some(covered) = covered else { continue };
        unused.retain(|name| covered.exceptions.get(*name) == Some(&0));
        if unused.is_empty() {
            return Ok(Vec::new());
        }
        recorded += window.length();
    }
    if recorded < period {
        unused.clear();
    }
    Ok(unused.into_iter().map(str::to_owned).collect())
}

/// Whether an alert repeats one of its group: the group alerted within `suppress` before.
pub fn is_repeat(
    earlier: &BTreeMap<String, DateTime<Utc>>,
    group: &str,
    last_seen: DateTime<Utc>,
    suppress: Duration,
) -> bool {
    earlier
        .get(group)
        .is_some_and(|before| last_seen - *before <= suppress)
}
