//! What earlier runs of a tile left that is no longer its, and what of theirs stays.

use std::collections::BTreeSet;

use super::run_tile::TileRun;
use crate::error::Result;
use crate::output::Ledger;
use crate::output::ledger::State;
use crate::output::publish::{hunt_path, quarantine_path};

/// What of this tile is there and no longer its. Hunts that were not run keep their files and records, hunts that did
/// not end keep their files.
pub(super) async fn stale(
    run: &TileRun<'_>,
    ledger: &mut Ledger,
    previous: Option<Ledger>,
) -> Result<BTreeSet<String>> {
    let job = &run.job.name;
    let mut stale = run.output.files_of(job, run.tile).await?;
    let hunt_files =
        |hunt: &str| ["findings", "alerts"].map(|kind| hunt_path(kind, job, run.tile, hunt));
    if run.is_part() {
        let hunts = ledger.hunts.keys().flat_map(|hunt| hunt_files(hunt));
        let tables = ledger
            .tables
            .keys()
            .map(|table| quarantine_path(job, run.tile, table));
        let own: BTreeSet<String> = hunts.chain(tables).collect();
        stale.retain(|path| own.contains(path));
    }
    for (hunt, record) in &ledger.hunts {
        if record.state == State::Failed {
            for path in hunt_files(hunt) {
                stale.remove(&path);
            }
        }
    }
    for (name, record) in &mut ledger.hunts {
        if matches!(record.state, State::Failed | State::Partial) {
            let before = previous
                .as_ref()
                .and_then(|previous| previous.hunts.get(name));
            let before = before.filter(|before| before.logic_hash == record.logic_hash);
            record.attempts = 1 + before.map_or(0, |before| before.attempts);
        }
    }
    let Some(previous) = previous else {
        return Ok(stale);
    };
    for (path, record) in &previous.outputs {
        if !stale.contains(path) && run.output.exists(path).await? {
            ledger.outputs.insert(path.clone(), record.clone());
        }
    }
    if run.is_part() {
        ledger.merge(previous);
    }
    Ok(stale)
}
