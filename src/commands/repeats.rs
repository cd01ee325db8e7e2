//! Summaries whose alerts became repeats, or are none any more, because an earlier tile ran after them.
//!
//! The published files say nothing of repeats: that is a reading of them, and this is where it is read again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;

use super::run_tile::TileRun;
use super::summary::write_summary;
use crate::error::Result;
use crate::history;
use crate::output::publish::summary_path;
use crate::report::Report;
use crate::time::Window;

/// The tiles whose alerts may repeat those of tiles that ran, and these.
pub(super) fn concerned(
    ran: &BTreeSet<Window>,
    run: impl Iterator<Item = Window>,
    suppress: Duration,
) -> BTreeSet<Window> {
    let near = |tile: &Window| {
        // What ran before it and ended no longer ago than alerts are held for.
        let before = ran.range(..=*tile).next_back();
        before.is_some_and(|before| tile.start <= before.end + suppress)
    };
    run.chain(ran.iter().copied()).filter(near).collect()
}

/// Tells new alerts of a tile's summary from repeated ones again, and writes it where that changes it. `None` where there
/// is no summary.
///
/// # Errors
/// When the alerts of earlier tiles cannot be listed, or the summary cannot be written.
pub(super) async fn tell_again(run: &TileRun<'_>) -> Result<Option<Report>> {
    let (output, job, tile) = (run.output, run.job.name.as_str(), run.tile);
    let suppress = run.job.suppress;
    let path = summary_path(job, tile, "json");
    // A summary is made again at will: one that is not there, or torn, is made when the tile is.
    let Ok(bytes) = output.read(&path).await else {
        return Ok(None);
    };
    let Ok(mut report) = serde_json::from_slice::<Report>(&bytes) else {
        return Ok(None);
    };
    let before = report.clone();
    for hunt in &mut report.hunts {
        let alerts = report.alerts.iter_mut();
        let mut alerts: Vec<_> = alerts.filter(|alert| alert.hunt == hunt.name).collect();
        if alerts.is_empty() {
            continue;
        }
        let mut problems = Vec::new();
        let earlier =
            history::earlier_alerts(output, job, &hunt.name, tile, suppress, &mut problems).await?;
        (hunt.alerts_new, hunt.alerts_repeat) = (0, 0);
        for alert in &mut alerts {
            alert.repeat = history::is_repeat(&earlier, &alert.group_id, alert.last_seen, suppress);
            match (&alert.excepted_by, alert.repeat) {
                (Some(_), _) => {}
                (None, true) => hunt.alerts_repeat += 1,
                (None, false) => hunt.alerts_new += 1,
            }
        }
    }
    report.arrange();
    if report != before {
        let tables = output.ledger(job, tile).await?.map(|ledger| ledger.tables);
        let mut alerts = BTreeMap::new();
        for hunt in &report.hunts {
            let stored = history::alerts_of(output, job, &hunt.name, tile).await?;
            alerts.insert(hunt.name.clone(), stored);
        }
        write_summary(run, &report, &tables.unwrap_or_default(), &alerts).await?;
    }
    Ok(Some(report))
}
