//! Which hunts see less than they think: a column that they read is not in all files, or holds values that do not fit.
//!
//! Says it, decides nothing: a hunt over a shape of events that drifts still ran over every record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::engine::{PlannedHunt, TableScan};
use crate::lake::table::ColumnKind;
use crate::lake::{FileReport, LakeScanExec};

/// A column is expected in a file of lines when it has a value in all but one of this many files.
const STEADY: usize = 10;

/// In fewer records than this it is chance what they lack.
const ENOUGH: u64 = 20;

/// Columns named before the others are only counted.
const COLUMNS_NAMED: usize = 5;

/// What of a table is not what hunts take it for: a sentence for the columns that as many files lack, and one for each
/// column with values of another type.
pub(super) fn notes(hunts: &[PlannedHunt], scans: &BTreeMap<String, TableScan>) -> Vec<String> {
    let mut readers: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
    for hunt in hunts {
        let mut read = BTreeSet::new();
        columns(&hunt.plan, &mut read);
        for (table, column) in read {
            if let Some((name, _)) = scans.get_key_value(&table) {
                let hunts = readers.entry((name, column)).or_default();
                hunts.insert(&hunt.name);
            }
        }
    }
    let mut notes = Vec::new();
    // Columns come and go together, with a sensor's version or a kind of event: one note for all.
    let mut missed: BTreeMap<(&str, usize, usize), Missed<'_>> = BTreeMap::new();
    for ((table, column), hunts) in &readers {
        let files = scans[*table].files.iter().filter(|file| file.rows > 0);
        let all = files.clone().count();
        let form = &scans[*table].table.form;
        let index = form.columns.iter().position(|other| other.name == *column);
        let index = index.and_then(|index| u32::try_from(index).ok());
        let is_valueless =
            |file: &FileReport| index.is_some_and(|index| file.valueless.contains(&index));
        let valueless = files
            .clone()
            .filter(|file| file.rows >= ENOUGH && is_valueless(file));
        let valueless = valueless.count();
        let absent = files.clone().filter(|file| file.absent.contains(column));
        // The files of a log do not all have every kind of event: only where most have a column are the others odd.
        let absent = match absent.count() {
            0 if valueless * STEADY <= all => valueless,
            absent => absent,
        };
        let misfits: Vec<u64> = files
            .filter_map(|file| file.conflicts.get(column))
            .copied()
            .collect();
        // One that no file has is a sensor that does not write it, not a drift.
        if absent > 0 && absent < all {
            let group = missed.entry((table, absent, all)).or_default();
            group.columns.push(column);
            group.hunts.extend(hunts);
        }
        let hunts = named(hunts);
        if !misfits.is_empty() {
            notes.push(format!(
                "{table}: {column}, read by {hunts}, has {} of another type in {} of {all} files",
                counted(misfits.iter().sum(), "value"),
                misfits.len()
            ));
        }
    }
    let absent = missed.iter().map(|((table, absent, all), missed)| {
        let (verb, columns) = match missed.columns.len() {
            1 => ("is", missed.columns[0].to_owned()),
            number if number <= COLUMNS_NAMED => ("are", missed.columns.join(", ")),
            number => {
                let named = missed.columns[..COLUMNS_NAMED].join(", ");
                (
                    "are",
                    format!("{named} and {} more", number - COLUMNS_NAMED),
                )
            }
        };
        let hunts = named(&missed.hunts);
        format!("{table}: {columns}, read by {hunts}, {verb} absent in {absent} of {all} files")
    });
    absent.chain(notes).collect()
}

/// Columns that as many files of a table lack, and the hunts that read them.
#[derive(Default)]
struct Missed<'a> {
    columns: Vec<&'a str>,
    hunts: BTreeSet<&'a str>,
}

/// A few by their names, many by their number: columns such as the command line are read by most hunts.
fn named(hunts: &BTreeSet<&str>) -> String {
    if hunts.len() > 3 {
        return counted(hunts.len() as u64, "hunt");
    }
    hunts.iter().copied().collect::<Vec<_>>().join(", ")
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The columns of forms that a plan reads, each with its table.
fn columns(plan: &Arc<dyn ExecutionPlan>, found: &mut BTreeSet<(String, String)>) {
    if let Some(scan) = plan.downcast_ref::<LakeScanExec>() {
        let schema = scan.table.schema();
        // What cannot be told of a filter has failed the hunt before.
        for index in scan.consumer.columns(&scan.table).unwrap_or_default() {
            if let ColumnKind::Form(_) = scan.table.column_kind(index) {
                found.insert((scan.table.name.clone(), schema.field(index).name().clone()));
            }
        }
    }
    for child in plan.children() {
        columns(child, found);
    }
}
