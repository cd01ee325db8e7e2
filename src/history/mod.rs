//! Reads what earlier runs left: which groups alerted before, for telling new alerts from repeats, and which exceptions
//! were of no use.
//!
//! A reading, never a change: the same whatever order the tiles ran in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use chrono::{DateTime, Duration, Utc};
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::output::value;
use crate::time::Window;

/// When each group of a hunt alerted in tiles before this one, no further back than `suppress`: group to latest
/// `last_seen`. What cannot be read is said in `problems` and costs only the knowledge of repeats.
///
/// # Errors
/// When a folder cannot be listed.
pub fn earlier_alerts(
    output: &Path,
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
        let folder = output.join(format!("alerts/job={job}/date={day}/hunt={hunt}"));
        for path in files(&folder, "parquet")? {
            let stem = path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default();
            let is_earlier =
                Window::from_file_stem(&stem).is_ok_and(|window| window.start < tile.start);
            if is_earlier && let Err(error) = read_groups(&path, &mut groups) {
                let inside = path.strip_prefix(output).unwrap_or(&path).display();
                problems.push(format!(
                    "{inside} cannot be read ({error}): repeats of its alerts are shown as new; run its tile again"
                ));
            }
        }
        let Some(next) = day.succ_opt() else { break };
        day = next;
    }
    Ok(groups)
}

fn files(folder: &Path, suffix: &str) -> Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::failure(format!("cannot list: {error}")).in_file(folder)),
        Ok(entries) => {
            let paths = entries
                .filter_map(std::result::Result::ok)
                .map(|entry| entry.path());
            Ok(paths
                .filter(|path| path.extension().is_some_and(|found| found == suffix))
                .collect())
        }
    }
}

fn read_groups(
    path: &Path,
    groups: &mut BTreeMap<String, DateTime<Utc>>,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
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
pub fn unused_exceptions(
    output: &Path,
    job: &str,
    tile: Window,
    names: &BTreeSet<&str>,
    period: Duration,
) -> Result<Vec<String>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut tiles: Vec<_> = files(&output.join("ledger").join(job), "json")?
        .into_iter()
        .filter_map(|path| {
            let stem = path.file_stem()?.to_string_lossy().into_owned();
            Some((Window::from_file_stem(&stem).ok()?, path))
        })
        .filter(|(window, _)| window.start < tile.start && window.end > tile.end - period)
        .collect();
    tiles.sort_by_key(|(window, _)| window.start);
    let mut unused = names.clone();
    let mut recorded = tile.length();
    for (window, path) in tiles.iter().rev() {
        let covered = fs::read(path).ok();
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
