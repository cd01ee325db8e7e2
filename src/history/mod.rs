//! Reads what earlier runs left: which groups alerted before, for telling new alerts from repeats.
//!
//! A reading, never a change: the same whatever order the tiles ran in.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use chrono::{DateTime, Duration, Utc};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::DataType;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

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
        for path in files(&folder)? {
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

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::failure(format!("cannot list: {error}")).in_file(folder)),
        Ok(entries) => {
            let paths = entries
                .filter_map(std::result::Result::ok)
                .map(|entry| entry.path());
            Ok(paths
                .filter(|path| path.extension().is_some_and(|suffix| suffix == "parquet"))
                .collect())
        }
    }
}

fn read_groups(
    path: &Path,
    groups: &mut BTreeMap<String, DateTime<Utc>>,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), ["group_id", "last_seen"]);
    for batch in builder.with_projection(columns).build()? {
        let batch = batch?;
        let (Some(ids), Some(times)) = (
            batch.column_by_name("group_id"),
            batch.column_by_name("last_seen"),
        ) else {
            return Err("it has no group_id and last_seen".into());
        };
        let ids = datafusion::arrow::compute::cast(ids, &DataType::Utf8View)?;
        for (row, id) in ids.as_string_view().iter().enumerate() {
            if let (Some(id), Some(time)) = (id, value::time(times, row)) {
                let latest = groups.entry(id.to_owned()).or_insert(time);
                *latest = (*latest).max(time);
            }
        }
    }
    Ok(())
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
