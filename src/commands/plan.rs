//! What a run would do, said before anything is read: the tiles, the files and bytes of each table, the columns, what is
//! left out, and the requests. It lists; it opens no file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::data;
use super::run_tile::{lookback, plan_all};
use super::setup::Setup;
use crate::cli::Format;
use crate::engine::PlannedHunt;
use crate::error::Result;
use crate::history::coverage::{Reason, Verdict};
use crate::hunt::Hunt;
use crate::lake::LakeScanExec;
use crate::lake::config::Format as FileFormat;
use crate::printer::Printer;
use crate::report::figures::{amount, bytes, grouped};
use crate::time::{Window, format_duration};

/// Tiles that are printed one by one; more are counted.
const TILES_SHOWN: usize = 12;

/// What is to be run.
pub(super) struct Tasks {
    /// Tiles, oldest first; all hunts of those without a verdict.
    pub(super) tiles: Vec<(Window, Option<Verdict>)>,
    /// How many share a pass.
    pub(super) at_once: usize,
}

/// A plan of a run.
#[derive(Debug, Serialize)]
struct Plan {
    job: String,
    windows: Vec<PlannedTile>,
    tables: BTreeMap<String, PlannedTable>,
    /// Requests for lists that were made for this plan.
    lists: u64,
}

#[derive(Debug, Serialize)]
struct PlannedTile {
    #[serde(flatten)]
    window: Window,
    hunts: Vec<String>,
    reasons: BTreeSet<Reason>,
    files: u64,
    bytes: u64,
}

#[derive(Debug, Default, Serialize)]
struct PlannedTable {
    /// Files that will be opened: one that several windows need once for each pass.
    files: u64,
    /// Their bytes, as stored.
    bytes: u64,
    /// How many files these are.
    distinct_files: u64,
    distinct_bytes: u64,
    /// Files that the listings saw, and no window needs.
    files_pruned: u64,
    /// Folders that were seen and not entered, summed over windows.
    folders_pruned: u64,
    /// The form's columns that hunts read, and the clock and identity.
    columns: BTreeSet<String>,
    /// How many columns the table has.
    columns_total: usize,
}

/// Prints what running some tiles would do.
///
/// # Errors
/// When a table cannot be listed or no hunt plans.
pub(super) async fn print(
    setup: &Setup,
    tasks: Tasks,
    format: Format,
    printer: &Printer,
) -> Result<u8> {
    let plan = plan(setup, tasks).await?;
    match format {
        Format::Json => super::json(printer, &plan)?,
        Format::Text | Format::Markdown => data(printer, &text(&plan))?,
    }
    Ok(0)
}

async fn plan(setup: &Setup, tasks: Tasks) -> Result<Plan> {
    let mut tables: BTreeMap<String, PlannedTable> = BTreeMap::new();
    let mut needs: BTreeMap<String, (BTreeSet<String>, chrono::Duration)> = BTreeMap::new();
    // What a hunt reads is the same in every tile: one is planned for all.
    if let Some((tile, _)) = tasks.tiles.first() {
        let (engine, second) = (&setup.engine, setup.second().await?);
        let planned = plan_all(engine, &setup.job, &setup.hunts, second, *tile).await?;
        for (hunt, planned) in setup.hunts.iter().zip(planned) {
            // One that does not plan is said when it runs.
            let Ok((planned, _)) = planned else { continue };
            columns(&planned, &mut tables);
            let read = planned.tables.iter().cloned().collect();
            needs.insert(hunt.name.clone(), (read, lookback(hunt)?));
        }
    }
    let mut opened: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut windows = Vec::new();
    let mut in_pass: BTreeSet<(String, String)> = BTreeSet::new();
    for (index, (tile, verdict)) in tasks.tiles.into_iter().enumerate() {
        if index.is_multiple_of(tasks.at_once) {
            in_pass.clear();
        }
        let is_needed = |hunt: &&Hunt| {
            let verdict = verdict.as_ref();
            verdict.is_none_or(|verdict| verdict.hunts.contains(&hunt.name))
        };
        let hunts: Vec<String> = setup
            .hunts
            .iter()
            .filter(is_needed)
            .map(|hunt| hunt.name.clone())
            .collect();
        let mut planned = PlannedTile {
            window: tile,
            reasons: verdict.map(|verdict| verdict.reasons).unwrap_or_default(),
            files: 0,
            bytes: 0,
            hunts,
        };
        for (name, table) in &setup.lake.tables {
            let readers = planned.hunts.iter().filter_map(|hunt| needs.get(hunt));
            let lookbacks = readers.filter(|(tables, _)| tables.contains(name));
            let Some(lookback) = lookbacks.map(|(_, lookback)| *lookback).max() else {
                continue;
            };
            let scope = tile.extended(lookback, chrono::Duration::zero());
            let listing = table.list(Some(scope)).await?;
            let total = tables.entry(name.clone()).or_default();
            total.columns_total = table.form.columns.len();
            total.files_pruned += listing.files_pruned as u64;
            total.folders_pruned += listing.folders_pruned as u64;
            for file in &listing.files {
                let path = (name.clone(), file.object.path.clone());
                // Parquet is read tile by tile, as its statistics say.
                if table.format == FileFormat::Parquet || in_pass.insert(path) {
                    total.files += 1;
                    total.bytes += file.object.size;
                }
                planned.files += 1;
                planned.bytes += file.object.size;
                let opened = opened.entry(name.clone()).or_default();
                opened.insert(file.object.path.clone(), file.object.size);
            }
        }
        windows.push(planned);
    }
    for (name, opened) in opened {
        let total = tables.entry(name).or_default();
        total.distinct_files = opened.len() as u64;
        total.distinct_bytes = opened.values().sum();
    }
    tables.retain(|_, table| table.files + table.files_pruned + table.folders_pruned > 0);
    let lists = setup.lake.tables.values().map(|table| table.lists());
    Ok(Plan {
        job: setup.job.name.clone(),
        windows,
        tables,
        lists: lists.sum(),
    })
}

/// The columns that the scans of a hunt decode.
fn columns(planned: &PlannedHunt, tables: &mut BTreeMap<String, PlannedTable>) {
    let mut open = vec![&planned.plan];
    while let Some(plan) = open.pop() {
        if let Some(scan) = plan.downcast_ref::<LakeScanExec>() {
            let schema = scan.table.schema();
            let total = tables.entry(scan.table.name.clone()).or_default();
            // What cannot be told of a filter fails the hunt when it runs.
            for index in scan.consumer.columns(&scan.table).unwrap_or_default() {
                if index < scan.table.form.columns.len() {
                    total.columns.insert(schema.field(index).name().clone());
                }
            }
        }
        open.extend(plan.children());
    }
}

fn text(plan: &Plan) -> String {
    let mut text = String::new();
    let count_of = |number: usize, what: &str| amount(number as u64, what);
    let all = |value: fn(&PlannedTable) -> u64| plan.tables.values().map(value).sum::<u64>();
    let (files, size) = (all(|table| table.files), all(|table| table.bytes));
    let _ = writeln!(
        text,
        "{}: {} to run, {} of {}",
        plan.job,
        count_of(plan.windows.len(), "window"),
        amount(files, "file"),
        bytes(size)
    );
    if plan.windows.is_empty() {
        return text;
    }
    text.push('\n');
    for tile in plan.windows.iter().take(TILES_SHOWN) {
        let _ = write!(
            text,
            "  {}  {} long  {}  {}  {}",
            tile.window,
            format_duration(tile.window.length()),
            count_of(tile.hunts.len(), "hunt"),
            amount(tile.files, "file"),
            bytes(tile.bytes)
        );
        let mut reasons = tile.reasons.iter();
        if let Some(reason) = reasons.next() {
            let _ = write!(text, "  {reason}");
        }
        match reasons.count() {
            0 => {}
            more => {
                let _ = write!(text, ", and {}", count_of(more, "more reason"));
            }
        }
        text.push('\n');
    }
    if plan.windows.len() > TILES_SHOWN {
        let _ = writeln!(
            text,
            "  and {} more",
            grouped((plan.windows.len() - TILES_SHOWN) as u64)
        );
    }
    text.push('\n');
    for (name, table) in &plan.tables {
        let _ = writeln!(
            text,
            "  {name}: {} of {}, read {}; {} of {}; {} and {} left out by their paths",
            amount(table.distinct_files, "file"),
            bytes(table.distinct_bytes),
            times(table.files, table.distinct_files),
            grouped(table.columns.len() as u64),
            count_of(table.columns_total, "column"),
            amount(table.files_pruned, "file"),
            amount(table.folders_pruned, "folder"),
        );
    }
    let _ = writeln!(
        text,
        "\n{} made for this plan; a file takes one request or more to read",
        amount(plan.lists, "LIST request")
    );
    text
}

/// How often files are read on average.
fn times(opened: u64, distinct: u64) -> String {
    if opened == distinct {
        return "once".to_owned();
    }
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let ratio = opened as f64 / distinct.max(1) as f64;
    format!("{ratio:.1} times on average")
}
