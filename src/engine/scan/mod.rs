//! One scan, many hunts: every table is read once for all hunts of a run, each gets its survivors, then each hunt runs
//! over those.
//!
//! Two phases, so that nothing can deadlock: the pass over the files never waits for a hunt, and a hunt's error or
//! limit ends that hunt only. A hunt whose survivors do not fit streams from a scan of its own instead.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::{ExecutionPlan, collect};
use futures::StreamExt;

use super::plan::scans;
use super::{Engine, PlannedHunt, Session, panics};
use crate::error::{Error, Result};
use crate::lake::ScanReport;
use crate::lake::consumer::Deduplicator;
use crate::lake::decoded::DecodePlan;
use crate::lake::exec::parallelism;
use crate::lake::raw::with_raw;
use crate::lake::scan::Pass;
use crate::lake::table::{Listing, Table};
use crate::lake::{FileReport, LakeScanExec};
use crate::time::Window;

/// What a run read of one table.
#[derive(Debug, Clone)]
pub struct TableScan {
    /// The table.
    pub table: Arc<Table>,
    /// The files it was read from and those it left out.
    pub listing: Arc<Listing>,
    /// What each file gave.
    pub files: Vec<FileReport>,
    /// Rows that the hunts' filters let through, summed over hunts.
    pub matched: u64,
}

/// What a hunt gave.
#[derive(Debug)]
pub struct HuntOutcome {
    /// Index into the planned hunts.
    pub hunt: usize,
    /// Its rows, or why it failed.
    pub rows: std::result::Result<Vec<RecordBatch>, String>,
    /// Rows of each table that its filters let through.
    pub matched: BTreeMap<String, u64>,
}

/// The survivors of one leaf of one hunt.
struct Leaf {
    hunt: usize,
    scan: LakeScanExec,
    batches: Vec<RecordBatch>,
    seen: Deduplicator,
    bytes: usize,
    matched: u64,
    outcome: LeafState,
}

enum LeafState {
    Collecting,
    /// Its survivors do not fit: the hunt scans by itself.
    Overflowed,
    Failed(String),
}

impl Engine {
    /// Runs planned hunts: one pass per table, then each hunt over its survivors. `watch` is told the sums of files and
    /// bytes before the first byte is read. Reports count as inside what is inside `focus`.
    ///
    /// # Errors
    /// When a scan cannot be set up; a table that cannot be listed fails the hunts that read it, in their outcomes.
    pub async fn run(
        &self,
        session_of: &dyn Fn(usize) -> Arc<Session>,
        hunts: &[PlannedHunt],
        focus: Window,
        timeout: Duration,
        watch: &dyn Fn(u64, u64),
    ) -> Result<(Vec<HuntOutcome>, BTreeMap<String, TableScan>)> {
        let mut leaves = Vec::new();
        for (hunt, planned) in hunts.iter().enumerate() {
            for scan in scans(&planned.plan).map_err(failed)? {
                leaves.push(Leaf {
                    hunt,
                    scan,
                    batches: Vec::new(),
                    seen: Deduplicator::default(),
                    bytes: 0,
                    matched: 0,
                    outcome: LeafState::Collecting,
                });
            }
        }
        let mut by_table: BTreeMap<String, (Arc<Table>, Vec<usize>)> = BTreeMap::new();
        for (index, leaf) in leaves.iter().enumerate() {
            let table = &leaf.scan.table;
            let entry = by_table.entry(table.name.clone());
            let entry = entry.or_insert_with(|| (Arc::clone(table), Vec::new()));
            // One pass reads what any of the hunts asks of the records.
            entry.0 = with_raw(&entry.0, table.raw_fields());
            entry.1.push(index);
        }
        let mut passes = Vec::new();
        for (name, (table, members)) in by_table {
            let window = hull(
                members
                    .iter()
                    .map(|index| leaves[*index].scan.consumer.window),
            );
            match table.list(window).await {
                Ok(listing) => passes.push((name, table, members, window, listing)),
                // It costs the hunts that read the table.
                Err(error) => {
                    for index in members {
                        leaves[index].outcome = LeafState::Failed(error.in_one_line());
                    }
                }
            }
        }
        let files = passes.iter().flat_map(|(.., listing)| &listing.files);
        let (count, bytes) = files.fold((0, 0), |(count, bytes), file| {
            (count + 1, bytes + file.object.size)
        });
        watch(count, bytes);
        let mut scanned = BTreeMap::new();
        for (name, table, members, window, listing) in passes {
            let scan = self
                .pass(&table, window, focus, listing, &members, &mut leaves)
                .await?;
            scanned.insert(name, scan);
        }
        let mut outcomes = Vec::new();
        for (hunt, planned) in hunts.iter().enumerate() {
            let own: Vec<Leaf> = take_leaves(&mut leaves, hunt);
            let mut matched = BTreeMap::new();
            for leaf in own.iter().filter(|leaf| leaf.matched > 0) {
                *matched.entry(leaf.scan.table.name.clone()).or_default() += leaf.matched;
            }
            let rows = run_hunt(planned, own, &session_of(hunt), timeout, self.memory).await;
            outcomes.push(HuntOutcome {
                hunt,
                rows,
                matched,
            });
        }
        Ok((outcomes, scanned))
    }

    async fn pass(
        &self,
        table: &Arc<Table>,
        window: Option<Window>,
        focus: Window,
        listing: Arc<Listing>,
        members: &[usize],
        leaves: &mut [Leaf],
    ) -> Result<TableScan> {
        let mut columns = Vec::new();
        for index in members {
            columns.extend(
                leaves[*index]
                    .scan
                    .consumer
                    .columns(table)
                    .map_err(failed)?,
            );
        }
        let mut plan = DecodePlan::new(Arc::clone(table), window, columns);
        plan.focus = Some(focus);
        let consumers = members
            .iter()
            .map(|index| leaves[*index].scan.consumer.compile(&plan))
            .collect::<datafusion::error::Result<Vec<_>>>()
            .map_err(failed)?;
        let report = Arc::new(std::sync::Mutex::new(ScanReport::default()));
        let pass = Pass {
            plan,
            consumers,
            listing: Arc::clone(&listing),
            parallel: parallelism(1),
            progress: Arc::clone(&self.progress),
        };
        // Survivors may take a quarter of the memory; the rest is for the hunts' own plans.
        let budget = self.memory / 4;
        let mut held: usize = leaves.iter().map(|leaf| leaf.bytes).sum();
        let mut deliveries = Box::pin(pass.run(Arc::clone(&report)));
        while let Some(delivery) = deliveries.next().await {
            let delivery = delivery.map_err(failed)?;
            let leaf = &mut leaves[members[delivery.consumer]];
            // Counted before copies are dropped, so that the count does not depend on what fits into memory.
            if let Ok(rows) = &delivery.rows {
                leaf.matched += rows.ids.len() as u64;
            }
            if !matches!(leaf.outcome, LeafState::Collecting) {
                continue;
            }
            match delivery.rows.and_then(|rows| leaf.seen.keep_first(rows)) {
                Ok(None) => {}
                Ok(Some(batch)) => {
                    let bytes = batch.get_array_memory_size();
                    leaf.bytes += bytes;
                    held += bytes;
                    leaf.batches.push(batch);
                    if held > budget {
                        held -= leaf.bytes;
                        leaf.bytes = 0;
                        leaf.batches = Vec::new();
                        leaf.seen = Deduplicator::default();
                        leaf.outcome = LeafState::Overflowed;
                    }
                }
                Err(error) => leaf.outcome = LeafState::Failed(why(&error, self.memory)),
            }
        }
        drop(deliveries);
        let files =
            std::mem::take(&mut report.lock().unwrap_or_else(PoisonError::into_inner).files);
        Ok(TableScan {
            table: Arc::clone(table),
            listing,
            files,
            matched: members.iter().map(|index| leaves[*index].matched).sum(),
        })
    }
}

fn take_leaves(leaves: &mut Vec<Leaf>, hunt: usize) -> Vec<Leaf> {
    let (own, others) = std::mem::take(leaves)
        .into_iter()
        .partition(|leaf| leaf.hunt == hunt);
    *leaves = others;
    own
}

async fn run_hunt(
    planned: &PlannedHunt,
    leaves: Vec<Leaf>,
    session: &Session,
    timeout: Duration,
    memory: usize,
) -> std::result::Result<Vec<RecordBatch>, String> {
    let mut survivors = Vec::new();
    for leaf in leaves {
        match leaf.outcome {
            LeafState::Failed(reason) => return Err(reason),
            LeafState::Overflowed => survivors.push(None),
            LeafState::Collecting => survivors.push(Some((leaf.batches, leaf.scan.schema()))),
        }
    }
    let mut survivors = survivors.into_iter();
    let plan = Arc::clone(&planned.plan).transform_up(|node| {
        if node.downcast_ref::<LakeScanExec>().is_none() {
            return Ok(Transformed::no(node));
        }
        match survivors.next().flatten() {
            Some((batches, schema)) => {
                let source = MemorySourceConfig::try_new_exec(&[batches], schema, None)?;
                Ok(Transformed::yes(source as Arc<dyn ExecutionPlan>))
            }
            None => Ok(Transformed::no(node)),
        }
    });
    let plan = plan.map_err(|error| why(&error, memory))?.data;
    let task = session.context().task_ctx();
    match tokio::time::timeout(timeout, panics::caught(collect(plan, task))).await {
        Ok(Ok(rows)) => rows.map_err(|error| why(&error, memory)),
        Ok(Err(panic)) => Err(format!("the query engine broke off: {panic}")),
        Err(_) => Err(format!(
            "took longer than its limit of {} s",
            timeout.as_secs()
        )),
    }
}

/// A limit as it is usually written.
fn limit_text(bytes: usize) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units
        .into_iter()
        .find(|(_, size)| bytes.is_multiple_of(*size))
    {
        Some((unit, size)) => format!("{} {unit}", bytes / size),
        None => format!("{bytes} bytes"),
    }
}

/// Why a hunt failed, in one line for the summary.
fn why(error: &datafusion::error::DataFusionError, memory: usize) -> String {
    match error.find_root() {
        datafusion::error::DataFusionError::ResourcesExhausted(_) => {
            format!(
                "it needs more than the memory limit of {} (--memory)",
                limit_text(memory)
            )
        }
        _ => error.strip_backtrace(),
    }
}

/// The smallest window that holds all of them; all time if one wants all time.
fn hull(windows: impl Iterator<Item = Option<Window>>) -> Option<Window> {
    let mut hull: Option<Window> = None;
    for window in windows {
        let window = window?;
        hull = Some(hull.map_or(window, |hull| Window {
            start: hull.start.min(window.start),
            end: hull.end.max(window.end),
        }));
    }
    hull
}

fn failed(error: datafusion::error::DataFusionError) -> Error {
    Error::failure(error.strip_backtrace())
}
