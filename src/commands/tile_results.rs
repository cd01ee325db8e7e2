//! What the hunts of one tile leave behind: their findings, alerts and records, and what stays of hunts that did
//! not run.
//!
//! Knows results; how hunts are planned and tiles published is `run_tile`'s business.

use std::collections::BTreeMap;

use chrono::Duration;

use super::judge::Judge;
use super::run_tile::{TileRun, lookback};
use super::tile_state::state_before;
use crate::engine::{Engine, HuntOutcome, PlannedHunt};
use crate::error::{Error, Result};
use crate::history;
use crate::hunt::Hunt;
use crate::output::findings::parquet_bytes;
use crate::output::ledger::{HuntRecord, Ledger, State};
use crate::output::publish::hunt_path;
use crate::output::{Alert, Findings, alert};

/// What a tile leaves behind, hunt by hunt.
#[derive(Default)]
pub(super) struct Results {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) hunts: BTreeMap<String, HuntRecord>,
    pub(super) alerts: BTreeMap<String, Vec<Alert>>,
}

/// The alerts of hunts that did not run, as an earlier run left them.
pub(super) async fn stored_alerts(
    run: &TileRun<'_>,
    ledger: &Ledger,
    notes: &mut Vec<String>,
) -> BTreeMap<String, Vec<Alert>> {
    let mut alerts = BTreeMap::new();
    for hunt in run.told.iter().filter(|hunt| !run.hunts.contains(hunt)) {
        let record = ledger.hunts.get(&hunt.name);
        if record.is_none_or(|record| record.alerts == 0) {
            continue;
        }
        let stored = history::alerts_of(run.output, &run.job.name, &hunt.name, run.tile).await;
        match stored {
            Ok(stored) => {
                alerts.insert(hunt.name.clone(), stored);
            }
            Err(error) => notes.push(error.in_one_line()),
        }
    }
    alerts
}

/// The record of a hunt that does not plan. Where not even its text can be read it has no hash: whatever it becomes, the
/// tile is stale for it.
pub(super) async fn unplanned_record(
    run: &TileRun<'_>,
    hunt: &Hunt,
    error: &Error,
) -> Result<HuntRecord> {
    let asked = [(hunt, lookback(hunt)?, run.job.parameters(hunt)?)];
    let hash = run.engine.logic_hashes(&asked).await.pop();
    let hash = hash.and_then(Result::ok).unwrap_or_default();
    let reason = Some(error.in_one_line());
    Ok(HuntRecord::new(hash, State::Failed, reason))
}

/// What the lookups of the lake hold: results depend on them too.
pub(super) async fn lookups(engine: &Engine) -> BTreeMap<String, String> {
    let mut hashes = BTreeMap::new();
    for (name, lookup) in &engine.lake().lookups {
        // One that is lost has failed the hunts that read it.
        if let Ok(rows) = lookup.rows().await {
            hashes.insert(name.clone(), rows.sha256.clone());
        }
    }
    hashes
}

/// Findings, alerts and records of one hunt.
pub(super) async fn conclude(
    run: &TileRun<'_>,
    hunt: &Hunt,
    planned: &PlannedHunt,
    outcome: HuntOutcome,
    problems: &BTreeMap<&str, String>,
    judge: &mut Judge<'_>,
    results: &mut Results,
) -> Result<()> {
    let (state, reason) = state_before(planned, problems);
    let lookback = lookback(hunt)?;
    let mut record = HuntRecord {
        tables: planned.tables.clone(),
        lookups: planned.lookups.clone(),
        reads_from: (!lookback.is_zero())
            .then(|| run.tile.extended(lookback, Duration::zero()).start),
        matched: outcome.matched,
        ..HuntRecord::new(planned.logic_hash.clone(), state, reason)
    };
    let findings = outcome.rows.and_then(|batches| {
        record.rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        Findings::of_tile(&planned.schema, &batches, run.tile).map_err(|error| error.to_string())
    });
    match findings {
        Err(reason) => {
            record.state = State::Failed;
            record.reason = Some(reason);
        }
        Ok(findings) => {
            let mut found = judge.alerts(hunt, &findings, &planned.logic_hash).await?;
            let limit = run.job.limits.max_findings;
            let kept = findings.first(limit);
            record.findings = kept.num_rows() as u64;
            record.timeless = findings.timeless as u64;
            record.truncated = findings.rows.num_rows() > kept.num_rows() || found.len() > limit;
            found.truncate(limit);
            record.alerts = found.len() as u64;
            if kept.num_rows() > 0 {
                let path = hunt_path("findings", &run.job.name, run.tile, &hunt.name);
                results.files.insert(path, parquet_bytes(&kept)?);
            }
            results.add_alerts(run, hunt, found)?;
        }
    }
    results.hunts.insert(hunt.name.clone(), record);
    Ok(())
}

impl Results {
    /// Adds the alerts of a hunt and their file.
    pub(super) fn add_alerts(
        &mut self,
        run: &TileRun<'_>,
        hunt: &Hunt,
        alerts: Vec<Alert>,
    ) -> Result<()> {
        if !alerts.is_empty() {
            let path = hunt_path("alerts", &run.job.name, run.tile, &hunt.name);
            let bytes = parquet_bytes(&alert::batch(&alerts)?)?;
            self.files.insert(path, bytes);
        }
        self.alerts.insert(hunt.name.clone(), alerts);
        Ok(())
    }
}
