//! Hunts of stage two in one tile: they run when the others have, over what those found here and in the tiles before, and
//! are published with them.
//!
//! What they look at is `history`'s business; what becomes of their findings is the same as of any hunt's.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Duration;
use datafusion::arrow::array::RecordBatch;

use super::judge::Judge;
use super::run_tile::{Held, Scope, TileRun, lookback};
use super::tile_results::{Results, conclude, unplanned_record};
use crate::engine::{HuntOutcome, PlannedHunt, Session};
use crate::error::{Error, Result};
use crate::history::coverage::Coverage;
use crate::history::results::{Run, Runs};
use crate::history::second::{Look, Past};
use crate::hunt::Hunt;
use crate::output::Ledger;
use crate::output::ledger::{HuntRecord, State};
use crate::time::Window;

/// Results by relation, and by how far back they reach.
type Batches = BTreeMap<(String, Duration), RecordBatch>;

/// Runs some hunts of stage two. `own` is the tile's ledger as it will be published, without them.
///
/// # Errors
/// When the ledgers of earlier tiles cannot be listed, or an exception's condition fails.
pub(super) async fn run(
    held: &Held<'_>,
    run: &TileRun<'_>,
    hunts: &[&Hunt],
    own: Ledger,
    judge: &mut Judge<'_>,
    results: &mut Results,
) -> Result<()> {
    if run.is_exploratory {
        for hunt in hunts {
            let hash = unplanned_hash(run, hunt).await?;
            let reason =
                "it looks at the results of tiles, and this window is no tile of the job's grid"
                    .to_owned();
            let record = HuntRecord::new(hash, State::Skipped, Some(reason));
            results.hunts.insert(hunt.name.clone(), record);
        }
        return Ok(());
    }
    let opened;
    let coverage = if let Scope::Needed(coverage, ..) = held.run.scope {
        coverage
    } else {
        let (lake, job) = (run.engine.lake(), &run.job.name);
        let coverage = Coverage::open(lake, run.output, job, BTreeMap::new()).await?;
        opened = coverage.with_second(run.second).await?;
        opened.read([run.tile]).await;
        &opened
    };
    let own = Arc::new(own);
    let fresh = std::mem::take(&mut results.files);
    let mut batches = Batches::new();
    for hunt in hunts {
        let Some(look) = run.second.hunts.get(&hunt.name) else {
            continue;
        };
        let past = coverage.past(run.second, look, run.tile);
        let ran = one(run, hunt, look, &past, &own, &fresh, &mut batches).await;
        match ran {
            Ok((planned, outcome)) => {
                let none = BTreeMap::new();
                conclude(run, hunt, &planned, outcome, &none, judge, results).await?;
            }
            Err(error) => {
                let record = unplanned_record(run, hunt, &error).await?;
                results.hunts.insert(hunt.name.clone(), record);
            }
        }
        if let Some(record) = results.hunts.get_mut(&hunt.name) {
            record.results = Some(coverage.seen(run.second, look, run.tile, &own, &past));
            let lacks = run.second.lacks(look, &own, &past);
            if record.state == State::Complete && !lacks.is_empty() {
                record.state = State::Partial;
                record.reason = Some(lacks.join("; "));
            }
        }
    }
    results.files.extend(fresh);
    Ok(())
}

/// Runs one hunt over what it looks at.
async fn one(
    run: &TileRun<'_>,
    hunt: &Hunt,
    look: &Look,
    past: &Past,
    own: &Arc<Ledger>,
    fresh: &BTreeMap<String, Vec<u8>>,
    batches: &mut Batches,
) -> Result<(PlannedHunt, HuntOutcome)> {
    let tile_of = |tile: Window, ledger: &Arc<Ledger>, fresh| Run {
        output: run.output.clone(),
        job: run.job.name.clone(),
        tile,
        ledger: Arc::clone(ledger),
        fresh,
    };
    let before = past.tiles.iter();
    let before = before.map(|(tile, ledger)| tile_of(*tile, ledger, None));
    let suppress = |_: &str| run.second.suppress;
    let runs = Runs {
        runs: before
            .chain([tile_of(run.tile, own, Some(fresh))])
            .collect(),
        suppress: &suppress,
        hunts: Some(&run.second.first),
    };
    let mut seen = BTreeMap::new();
    for relation in &look.relations {
        let key = (relation.clone(), look.lookback);
        let rows = match batches.get(&key) {
            Some(rows) => rows.clone(),
            None => runs.batch(relation, Some(look.window(run.tile))).await?,
        };
        batches.insert(key, rows.clone());
        seen.insert(relation.clone(), rows);
    }
    let session = run.engine.session_of_results(seen, run.tile).await?;
    let session: Arc<Session> = Arc::new(session);
    let parameters = run.job.parameters(hunt)?;
    let planned = session
        .plan_hunt(hunt, run.engine.lake(), lookback(hunt)?, &parameters)
        .await?;
    let timeout = run.job.limits.hunt_timeout.to_std();
    let timeout = timeout.unwrap_or(std::time::Duration::MAX);
    let planned = [planned];
    let session_of = |_| Arc::clone(&session);
    let (mut outcomes, _) = run
        .engine
        .run(&session_of, &planned, run.tile, timeout, &|_, _| {})
        .await?;
    let [planned] = planned;
    let outcome = outcomes
        .pop()
        .ok_or_else(|| Error::failure("the hunt did not run"))?;
    Ok((planned, outcome))
}

async fn unplanned_hash(run: &TileRun<'_>, hunt: &Hunt) -> Result<String> {
    let asked = [(hunt, lookback(hunt)?, run.job.parameters(hunt)?)];
    let hash = run.engine.logic_hashes(&asked).await.pop();
    Ok(hash.and_then(Result::ok).unwrap_or_default())
}
