//! What a scan says of how far hunts got: lost files, bad lines, files that wait, views without a table.

use std::collections::BTreeMap;

use crate::engine::{PlannedHunt, TableScan};
use crate::output::ledger::State;

/// More bad lines than this, and a ratio above the table's, make a table's results partial.
const BAD_LINES_FREE: u64 = 100;

/// Why results over a table are partial: something of it was lost, or too much of it was bad.
pub(super) fn problem(scan: &TableScan) -> Option<String> {
    let lost = scan.files.iter().filter(|file| file.lost.is_some()).count();
    if lost > 0 {
        return Some(format!(
            "{lost} of {} files of `{}` could not be read in full",
            scan.files.len(),
            scan.table.name
        ));
    }
    let rejected: u64 = scan.files.iter().map(|file| file.rejected).sum();
    let rows: u64 = scan.files.iter().map(|file| file.rows).sum();
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let ratio = rejected as f64 / (rows + rejected).max(1) as f64;
    (rejected > BAD_LINES_FREE && ratio > scan.table.max_bad_ratio).then(|| {
        format!(
            "{rejected} of {} records of `{}` are bad",
            rows + rejected,
            scan.table.name
        )
    })
}

/// What is to be said of files that are not read yet: they are no loss, a later run reads them.
pub(super) fn waiting(scan: &TableScan) -> Option<String> {
    let count = scan.listing.files_waiting;
    (count > 0).then(|| {
        format!(
            "{count} files of `{}` were not read: nothing says yet that their folders are complete",
            scan.table.name
        )
    })
}

/// What is known of a hunt's state before its own result: what it reads is there, and whole.
pub(super) fn state_before(
    planned: &PlannedHunt,
    problems: &BTreeMap<&str, String>,
) -> (State, Option<String>) {
    if planned.tables.is_empty() && !planned.missing_views.is_empty() {
        let missing = planned.missing_views.join(", ");
        return (
            State::Skipped,
            Some(format!("the lake has no table for {missing}")),
        );
    }
    let reasons = planned
        .tables
        .iter()
        .filter_map(|table| problems.get(table.as_str()));
    let mut reasons: Vec<String> = reasons.cloned().collect();
    let state = if reasons.is_empty() {
        State::Complete
    } else {
        State::Partial
    };
    // What joins two views can find nothing without one of them; what unites them has the other.
    if !planned.missing_views.is_empty() {
        let missing = planned.missing_views.join(", ");
        reasons.push(format!("the lake has no table for {missing}"));
    }
    (state, (!reasons.is_empty()).then(|| reasons.join("; ")))
}
