//! Alerts and summary of a tile made again from its stored findings, without reading the lake: after a change of title,
//! message, level, tags, entities or exceptions, which decide what is said and not what is found.

use std::collections::BTreeSet;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::judge::Judge;
use super::run_tile::{Outcome, TileRun, lookback};
use super::summary::write_summary;
use super::tile_report::report;
use super::tile_results::Results;
use crate::engine::plan::column_errors;
use crate::error::{Error, Result};
use crate::hunt::Hunt;
use crate::output::Findings;
use crate::output::ledger::{HuntRecord, Ledger, State};
use crate::output::publish::hunt_path;

/// Rebuilds one tile.
///
/// # Errors
/// When the tile was never run, or a hunt now finds something else than it did.
pub(super) async fn rebuild_tile(run: &TileRun<'_>) -> Result<Outcome> {
    let Some(lock) = run.output.lock(&run.job.name, run.tile).await? else {
        return Ok(Outcome::Taken);
    };
    let tile = run.tile;
    let Some(mut ledger) = run.output.ledger(&run.job.name, tile).await? else {
        return Err(
            Error::failure(format!("{tile} was not run yet")).hint("run it without --rebuild")
        );
    };
    changed(run, &ledger).await?;
    let mut judge = Judge::new(run);
    let mut results = Results::default();
    let mut stale = BTreeSet::new();
    for hunt in run.hunts {
        let Some(mut record) = ledger.hunts.get(&hunt.name).cloned() else {
            continue;
        };
        if record.state != State::Failed {
            let mut found = Vec::new();
            if let Some(rows) = stored(run, hunt, &record).await? {
                if let Some(error) = column_errors(hunt, &rows.schema()).into_iter().next() {
                    return Err(error);
                }
                judge.check(hunt, &rows.schema()).await?;
                let timeless = 0;
                let findings = Findings { rows, timeless };
                found = judge.alerts(hunt, &findings, &record.logic_hash).await?;
            }
            record.alerts = found.len() as u64;
            stale.insert(hunt_path("alerts", &run.job.name, tile, &hunt.name));
            results.add_alerts(run, hunt, found)?;
        }
        results.hunts.insert(hunt.name.clone(), record);
    }
    let (covered, mut notes) = judge.conclude().await?;
    notes.extend_from_slice(run.broken);
    let report = report(run, &ledger.tables, &results.hunts, &results.alerts, notes).await?;
    let tables = ledger.tables.clone();
    ledger.outputs.retain(|path, _| !stale.contains(path));
    ledger.hunts.append(&mut results.hunts);
    if run.is_part() {
        ledger.exceptions.extend(covered);
    } else {
        ledger.exceptions = covered;
    }
    run.output
        .publish(&lock, &run.job.name, tile, &results.files, &stale, ledger)
        .await?;
    write_summary(run, &report, &tables, &results.alerts).await?;
    Ok(Outcome::Ran(Box::new(report)))
}

/// Refuses hunts that are not what they were when the tile ran.
async fn changed(run: &TileRun<'_>, ledger: &Ledger) -> Result<()> {
    let asked = run.hunts.iter();
    let asked = asked.map(|hunt| Ok((hunt, lookback(hunt)?, run.job.parameters(hunt)?)));
    let asked = asked.collect::<Result<Vec<_>>>()?;
    let hashes = run.engine.logic_hashes(&asked).await;
    let mut changed = Vec::new();
    for (hunt, hash) in run.hunts.iter().zip(hashes) {
        let hash = hash?;
        let record = ledger.hunts.get(&hunt.name);
        if record.is_none_or(|record| record.logic_hash != hash || record.truncated) {
            changed.push(hunt.name.as_str());
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(Error::failure(format!(
        "{}: what {} finds is not what is stored",
        run.tile,
        changed.join(", ")
    ))
    .hint("its SQL, parameters, lookback or key changed, it is new, or its findings were cut: run the tile without --rebuild"))
}

/// The stored findings of a hunt.
async fn stored(
    run: &TileRun<'_>,
    hunt: &Hunt,
    record: &HuntRecord,
) -> Result<Option<RecordBatch>> {
    if record.findings == 0 {
        return Ok(None);
    }
    let path = hunt_path("findings", &run.job.name, run.tile, &hunt.name);
    let bytes = run.output.read(&path).await;
    let read = || -> std::result::Result<RecordBatch, Box<dyn std::error::Error>> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes?)?;
        let schema = builder.schema().clone();
        let batches = builder
            .build()?
            .collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(concat_batches(&schema, &batches)?)
    };
    let rows = read().map_err(|error| {
        Error::failure(format!("cannot read the findings: {error}"))
            .in_file(run.output.root().join(&path))
            .hint("run the tile without --rebuild")
    })?;
    Ok(Some(rows))
}
