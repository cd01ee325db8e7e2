//! The scan of one tile or of neighbours, watched by a progress bar.
//!
//! Knows planned hunts; what becomes of their results is not its business.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::run_tile::{Held, Prepared, TileRun};
use crate::engine::{Group, HuntOutcome, PlannedHunt, Scanned, Session, TableScan};
use crate::error::Result;
use crate::printer::Printer;
use crate::stats::SCAN;

/// What each of some tiles gives: all in one pass, or, where so much is bad that they cannot be told apart, one by one.
pub(super) async fn scan(
    parts: &[(usize, &Held<'_>, Prepared<'_>)],
    hunts: &[PlannedHunt],
    sessions: &[Arc<Session>],
    groups: &[Group],
    printer: &Printer,
) -> Result<Vec<(Vec<HuntOutcome>, BTreeMap<String, TableScan>)>> {
    let Some((_, held, _)) = parts.first() else {
        return Ok(Vec::new());
    };
    let run = held.run;
    if let Some((mut found, scans)) = scan_groups(run, hunts, sessions, groups, printer).await? {
        let lengths = groups.iter().map(|group| group.hunts.len());
        let found = lengths.map(|length| found.drain(..length).collect());
        return Ok(found.collect::<Vec<_>>().into_iter().zip(scans).collect());
    }
    let mut scanned = Vec::new();
    for group in groups {
        let own = [Group {
            hunts: 0..group.hunts.len(),
            ..group.clone()
        }];
        let (hunts, sessions) = (&hunts[group.hunts.clone()], &sessions[group.hunts.clone()]);
        let alone = scan_groups(run, hunts, sessions, &own, printer).await?;
        let (found, mut scans) = alone.unwrap_or_default();
        scanned.push((found, scans.pop().unwrap_or_default()));
    }
    Ok(scanned)
}

async fn scan_groups(
    run: &TileRun<'_>,
    hunts: &[PlannedHunt],
    sessions: &[Arc<Session>],
    groups: &[Group],
    printer: &Printer,
) -> Result<Option<Scanned>> {
    run.stats.stage("plan");
    let own_bar = run.bar.is_none().then(|| printer.progress());
    let counters = Arc::clone(&run.engine.progress);
    let read = || {
        let counters = [&counters.files, &counters.bytes, &counters.rows];
        counters.map(|counter| counter.load(Ordering::Relaxed))
    };
    let session_of = |hunt: usize| Arc::clone(&sessions[hunt]);
    let watch = |files, bytes| {
        if let Some(bar) = &own_bar {
            bar.set_total(files, bytes);
        }
    };
    let timeout = run
        .job
        .limits
        .hunt_timeout
        .to_std()
        .unwrap_or(std::time::Duration::MAX);
    let mut running = Box::pin(
        run.engine
            .run_groups(&session_of, hunts, groups, timeout, &watch),
    );
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
    let mut shown = read();
    let result = loop {
        tokio::select! {
            result = &mut running => break result,
            _ = tick.tick() => {
                let now = read();
                if let Some(bar) = own_bar.as_ref().or(run.bar) {
                    bar.advance(now[0] - shown[0], now[1] - shown[1], now[2] - shown[2]);
                }
                shown = now;
            }
        }
    };
    run.stats.stage(SCAN);
    if let Ok(Some((outcomes, scans))) = &result {
        run.stats.hunted(hunts, outcomes);
        for scans in scans {
            run.stats.scanned(scans);
        }
    }
    let now = read();
    match (&own_bar, run.bar) {
        (Some(bar), _) => bar.finish(),
        (None, Some(bar)) => {
            bar.advance(now[0] - shown[0], now[1] - shown[1], now[2] - shown[2]);
        }
        (None, None) => {}
    }
    result
}
