//! One scan, many hunts: every table is read once for all hunts of a run, each gets its survivors, then each hunt runs
//! over those.
//!
//! Two phases, so that nothing can deadlock: the pass over the files never waits for a hunt, and a hunt's error or
//! limit ends that hunt only. What was found and does not fit into memory waits on disk. A hunt that aggregates much begins
//! while the pass runs.

mod explain;
mod feed;
mod found;
mod hunt;
mod passes;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;

use super::partitioned_aggregate::much;
use super::plan::scans;
use super::{Engine, PlannedHunt, Session};
use crate::error::{Error, Result};
use crate::lake::ScanReport;
use crate::lake::consumer::{Consumer, Consumers};
use crate::lake::decoded::DecodePlan;
use crate::lake::exec::parallelism;
use crate::lake::scan::Pass;
use crate::lake::table::{Listing, Table};
use crate::lake::{FileReport, LakeScanExec};
use crate::time::Window;
use found::{Found, Room};
use hunt::{Early, can_begin_early, run_hunt, why};
use passes::{Planned, plan_passes};

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
    /// What it cost.
    pub cost: HuntCost,
}

/// What a hunt cost; nothing of it is in a result.
#[derive(Debug, Clone, Copy, Default)]
pub struct HuntCost {
    /// Rows that its filters let through, copies of records too.
    pub rows_in: u64,
    /// Rows of its result.
    pub rows_out: u64,
    /// Bytes of its rows that did not fit into memory.
    pub spilled: u64,
    /// In the scan, what was done for it alone: conjuncts that can fail, and its columns. What hunts share is not in it.
    pub scan: Duration,
    /// Of its plan over the rows that were found.
    pub plan: Duration,
}

/// One leaf of one hunt.
struct Leaf {
    hunt: usize,
    can_begin_early: bool,
    /// Its pass is over.
    is_read: bool,
    scan: LakeScanExec,
    found: Found,
    matched: u64,
    took: Duration,
    /// Why it has no rows.
    failed: Option<String>,
}

/// Planned hunts of one tile, among those of several that run at once.
#[derive(Debug, Clone)]
pub struct Group {
    /// The tile: reports count as inside what is inside of it.
    pub focus: Window,
    /// Its hunts.
    pub hunts: Range<usize>,
}

/// What a run of one tile or several gives: the outcome of each hunt, and of each tile what was read.
pub type Scanned = (Vec<HuntOutcome>, Vec<BTreeMap<String, TableScan>>);

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
        let group = Group {
            focus,
            hunts: 0..hunts.len(),
        };
        let groups = [group];
        let scanned = self.run_groups(session_of, hunts, &groups, timeout, watch);
        let (outcomes, mut scans) = scanned
            .await?
            .ok_or_else(|| Error::failure("a scan of one tile cannot be divided"))?;
        Ok((outcomes, scans.pop().unwrap_or_default()))
    }

    /// [`Engine::run`] for several tiles, oldest first, so that what neighbours both need is read once. Every tile gets what
    /// it gets alone. Row groups of Parquet are read tile by tile: which are read is part of a tile's report, and few are
    /// read twice. `None` where so much is bad that the tiles cannot be told apart: they have to run one by one.
    ///
    /// # Errors
    /// Those of [`Engine::run`].
    pub async fn run_groups(
        &self,
        session_of: &dyn Fn(usize) -> Arc<Session>,
        hunts: &[PlannedHunt],
        groups: &[Group],
        timeout: Duration,
        watch: &dyn Fn(u64, u64),
    ) -> Result<Option<Scanned>> {
        self.kept_lines.clear();
        let mut leaves = leaves_of(hunts)?;
        let passes = plan_passes(&mut leaves, groups).await;
        let files = passes.iter().flat_map(|pass| &pass.listing.files);
        let (count, bytes) = files.fold((0, 0), |(count, bytes), file| {
            (count + 1, bytes + file.object.size)
        });
        watch(count, bytes);
        let mut scanned = vec![BTreeMap::new(); groups.len()];
        let mut room = Room::new(&self.runtime, self.memory);
        let mut early = Early {
            hunts,
            session_of,
            timeout,
            running: BTreeMap::new(),
        };
        for pass in passes {
            let focus = pass.groups.iter();
            let focus = focus.map(|(group, _)| groups[*group].focus).collect();
            let report = self.pass(&pass, focus, &mut leaves, &mut room, &mut early);
            let report = report.await?;
            if report.let_go && pass.groups.len() > 1 {
                return Ok(None);
            }
            for (position, (group, listing)) in pass.groups.iter().enumerate() {
                let own = pass.members.iter().map(|index| &leaves[*index]);
                let own = own.filter(|leaf| groups[*group].hunts.contains(&leaf.hunt));
                let scan = TableScan {
                    table: Arc::clone(&pass.table),
                    listing: Arc::clone(listing),
                    files: files_of(&report, listing, position),
                    matched: own.map(|leaf| leaf.matched).sum(),
                };
                scanned[*group].insert(pass.table.name.clone(), scan);
            }
        }
        let mut outcomes = Vec::new();
        // They are in order of the hunts.
        let mut leaves = leaves.into_iter().peekable();
        for (hunt, planned) in hunts.iter().enumerate() {
            let own = std::iter::from_fn(|| leaves.next_if(|leaf| leaf.hunt == hunt));
            let own: Vec<Leaf> = own.collect();
            let mut matched = BTreeMap::new();
            for leaf in own.iter().filter(|leaf| leaf.matched > 0) {
                *matched.entry(leaf.scan.table.name.clone()).or_default() += leaf.matched;
            }
            let mut cost = cost_so_far(&own);
            let held = own.iter().map(|leaf| leaf.found.bytes()).sum();
            let session = session_of(hunt);
            let running = early.running.remove(&hunt);
            let limits = (timeout, self.memory);
            let rows = run_hunt(planned, own, running, &session, limits, &mut cost).await;
            room.release(held);
            outcomes.push(HuntOutcome {
                hunt,
                rows,
                matched,
                cost,
            });
        }
        Ok(Some((outcomes, scanned)))
    }

    async fn pass(
        &self,
        planned: &Planned,
        focus: Vec<Window>,
        leaves: &mut [Leaf],
        room: &mut Room,
        early: &mut Early<'_>,
    ) -> Result<ScanReport> {
        let Planned {
            table,
            members,
            window,
            listing,
            ..
        } = planned;
        let readers = members.iter().map(|index| &leaves[*index].scan.consumer);
        let readers: Vec<&Consumer> = readers.collect();
        let (mut plan, consumers) = bind(table, *window, &readers).map_err(failed)?;
        plan.focus = focus;
        plan.keep = Some(Arc::clone(&self.kept_lines));
        let times = consumers.times();
        let report = Arc::new(std::sync::Mutex::new(ScanReport::default()));
        let pass = Pass {
            plan,
            consumers,
            listing: Arc::clone(listing),
            parallel: parallelism(1),
            progress: Arc::clone(&self.progress),
        };
        let mut deliveries = Box::pin(pass.run(Arc::clone(&report)));
        while let Some(delivery) = deliveries.next().await {
            let delivery = delivery.map_err(failed)?;
            let leaf = &mut leaves[members[delivery.consumer]];
            // Counted before copies are dropped, so that the count does not depend on what fits into memory.
            if let Ok(rows) = &delivery.rows {
                leaf.matched += rows.ids.len() as u64;
            }
            if leaf.failed.is_some() {
                continue;
            }
            let rows = delivery.rows;
            let added = room.counted(&mut leaf.found, |found| found.add(rows?));
            leaf.found.has_room().await;
            let is_much = leaf.found.bytes() > much(self.memory);
            let hunt = leaf.hunt;
            if let Err(error) = added {
                leaf.fail(why(&error, self.memory), room);
            } else if leaf.can_begin_early && is_much && early.has_room() {
                self.begin_early(hunt, leaves, room, early);
            }
            self.make_room(leaves, room);
        }
        drop(deliveries);
        for (index, took) in members.iter().zip(times) {
            let leaf = &mut leaves[*index];
            leaf.took += Duration::from_nanos(took.value() as u64);
            room.counted(&mut leaf.found, Found::close);
        }
        // It shrinks, which never fails.
        let _ = room.reserve();
        // After that, so that hunts have the room that identities took.
        for index in members {
            leaves[*index].found.end_feed();
            leaves[*index].is_read = true;
        }
        for (hunt, running) in &mut early.running {
            if of_hunt(leaves, *hunt).all(|leaf| leaf.is_read) {
                running.has_all(early.timeout);
            }
        }
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *report))
    }

    /// Begins a hunt while its rows are still coming.
    fn begin_early(
        &self,
        hunt: usize,
        leaves: &mut [Leaf],
        room: &mut Room,
        early: &mut Early<'_>,
    ) {
        let most = self.memory / 32 / of_hunt(leaves, hunt).count().max(1);
        let fed = of_hunt(leaves, hunt).map(|leaf| {
            let rows = room.counted(&mut leaf.found, |found| found.feed(&self.runtime, most))?;
            if leaf.is_read {
                leaf.found.end_feed();
            }
            Ok(rows)
        });
        let fed = fed.collect::<datafusion::error::Result<_>>();
        if let Err(error) = fed.and_then(|fed| early.begin(hunt, fed)) {
            let reason = why(&error, self.memory);
            of_hunt(leaves, hunt).for_each(|leaf| leaf.fail(reason.clone(), room));
        }
    }

    /// Sends rows to disk until the others fit: those of the scan that has most of them. Where identities do not fit, the
    /// hunt that has most of them ends.
    fn make_room(&self, leaves: &mut [Leaf], room: &mut Room) {
        while room.lacks_rows() {
            let Some(leaf) = leaves.iter_mut().max_by_key(|leaf| leaf.found.bytes()) else {
                return;
            };
            if let Err(error) = room.spill(&mut leaf.found) {
                let reason = error.strip_backtrace();
                leaf.fail(format!("its rows cannot be kept on disk: {reason}"), room);
            }
        }
        while room.lacks_identities() {
            let largest = leaves
                .iter_mut()
                .max_by_key(|leaf| leaf.found.identity_bytes());
            let Some(leaf) = largest else { return };
            leaf.fail(hunt::beyond(self.memory), room);
        }
    }
}

/// The leaves of a hunt.
fn of_hunt(leaves: &mut [Leaf], hunt: usize) -> impl Iterator<Item = &mut Leaf> {
    leaves.iter_mut().filter(move |leaf| leaf.hunt == hunt)
}

impl Leaf {
    /// Ends its hunt: it takes no more rows, and no room.
    fn fail(&mut self, reason: String, room: &mut Room) {
        self.failed = Some(reason);
        room.counted(&mut self.found, Found::clear);
    }
}

/// What a hunt cost before it runs.
fn cost_so_far(leaves: &[Leaf]) -> HuntCost {
    HuntCost {
        rows_in: leaves.iter().map(|leaf| leaf.matched).sum(),
        spilled: leaves.iter().map(|leaf| leaf.found.spilled()).sum(),
        scan: leaves.iter().map(|leaf| leaf.took).sum(),
        ..HuntCost::default()
    }
}

/// The scans of all hunts, in their order.
fn leaves_of(hunts: &[PlannedHunt]) -> Result<Vec<Leaf>> {
    let mut leaves = Vec::new();
    for (hunt, planned) in hunts.iter().enumerate() {
        let can_begin_early = can_begin_early(&planned.plan);
        for scan in scans(&planned.plan).map_err(failed)? {
            leaves.push(Leaf {
                hunt,
                can_begin_early,
                is_read: false,
                found: Found::new(scan.schema()),
                scan,
                matched: 0,
                took: Duration::ZERO,
                failed: None,
            });
        }
    }
    Ok(leaves)
}

/// What a pass decodes for some readers, and these bound to it.
fn bind(
    table: &Arc<Table>,
    window: Option<Window>,
    readers: &[&Consumer],
) -> datafusion::error::Result<(DecodePlan, Consumers)> {
    let mut columns = Vec::new();
    for reader in readers {
        columns.extend(reader.columns(table)?);
    }
    let plan = DecodePlan::new(Arc::clone(table), window, columns);
    let consumers = Consumers::new(readers, &plan)?;
    Ok((plan, consumers))
}

/// What a pass for several tiles says of the files of one, as a pass for it alone says it.
fn files_of(report: &ScanReport, listing: &Listing, position: usize) -> Vec<FileReport> {
    let mut own = ScanReport::default();
    let mut wanted = listing.files.iter().peekable();
    for file in &report.files {
        if wanted
            .next_if(|wanted| wanted.object.path == file.object.path)
            .is_some()
        {
            own.add(file.of_focus(position));
        }
    }
    own.files
}

fn failed(error: datafusion::error::DataFusionError) -> Error {
    Error::failure(error.strip_backtrace())
}
