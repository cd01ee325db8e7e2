//! One hunt over what the passes found for it. Its error, its time limit and its memory are its own.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{ElapsedComputeFutureExt, Time};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use tokio::time::{Sleep, sleep};

use super::{HuntCost, Leaf};
use crate::engine::in_order::InOrderExec;
use crate::engine::kept_rows::RowsOnce;
use crate::engine::partitioned_aggregate::PartitionedAggregateExec;
use crate::engine::{PlannedHunt, Session, panics};
use crate::lake::LakeScanExec;
use crate::lake::exec::parallelism;

/// A hunt that runs.
pub(super) struct Running {
    plan: Arc<dyn ExecutionPlan>,
    task: SpawnedTask<std::result::Result<Result<Vec<RecordBatch>>, String>>,
    took: Time,
    /// Ends when its time is over, which begins when its rows are all there.
    limit: Option<Pin<Box<Sleep>>>,
}

impl Running {
    /// Starts a plan over rows.
    fn start(plan: Arc<dyn ExecutionPlan>, session: &Session) -> Self {
        let context = session.context().task_ctx();
        let took = Time::new();
        let rows = collect(Arc::clone(&plan), context);
        let running = panics::caught(rows).with_elapsed_compute(took.clone());
        Self {
            plan,
            // On a task of its own: a plan that computes on without ever waiting must not keep its limit from being seen.
            task: SpawnedTask::spawn(running),
            took,
            limit: None,
        }
    }

    /// Its rows are all there: its time begins, if it has not yet.
    pub(super) fn has_all(&mut self, timeout: Duration) {
        self.limit.get_or_insert_with(|| Box::pin(sleep(timeout)));
    }

    /// Its rows, or why it ends without.
    async fn end(
        self,
        timeout: Duration,
        memory: usize,
        cost: &mut HuntCost,
    ) -> std::result::Result<Vec<RecordBatch>, String> {
        let limit = self.limit.unwrap_or_else(|| Box::pin(sleep(timeout)));
        let ended = tokio::select! {
            ended = self.task.join() => Some(ended),
            () = limit => None,
        };
        cost.plan += Duration::from_nanos(self.took.value() as u64);
        add_cost_beside(&self.plan, cost);
        let rows = match ended {
            Some(Ok(Ok(rows))) => rows.map_err(|error| why(&error, memory)),
            Some(Ok(Err(panic))) => Err(format!("the query engine broke off: {panic}")),
            Some(Err(lost)) => Err(format!("the query engine broke off: {lost}")),
            None => Err(format!(
                "took longer than its limit of {} s",
                timeout.as_secs()
            )),
        };
        if let Ok(rows) = &rows {
            cost.rows_out = rows.iter().map(|batch| batch.num_rows() as u64).sum();
        }
        rows
    }
}

/// The hunts that run before all their rows are there.
pub(super) struct Early<'a> {
    pub(super) hunts: &'a [PlannedHunt],
    pub(super) session_of: &'a dyn Fn(usize) -> Arc<Session>,
    pub(super) timeout: Duration,
    pub(super) running: BTreeMap<usize, Running>,
}

impl Early<'_> {
    /// Whether one more may begin: as many as there are cores, or they wait for each other's memory.
    pub(super) fn has_room(&self) -> bool {
        let waiting = self.running.values().filter(|hunt| hunt.limit.is_none());
        waiting.count() < parallelism(1)
    }

    /// Begins a hunt over rows that are still coming, in order of its leaves.
    pub(super) fn begin(
        &mut self,
        hunt: usize,
        rows: Vec<SendableRecordBatchStream>,
    ) -> Result<()> {
        let rows = rows.into_iter().map(|rows| RowsOnce::new(rows).into_plan());
        let plan = over(&self.hunts[hunt].plan, rows.collect::<Result<_>>()?)?;
        let plan = plan.transform_up(|node| {
            if let Some(branches) = node.downcast_ref::<InOrderExec>() {
                return Ok(Transformed::yes(Arc::new(branches.as_they_come())));
            }
            if let Some(aggregate) = node.downcast_ref::<PartitionedAggregateExec>() {
                return Ok(Transformed::yes(Arc::new(aggregate.always_divided())));
            }
            Ok(Transformed::no(node))
        });
        let running = Running::start(plan?.data, &(self.session_of)(hunt));
        self.running.insert(hunt, running);
        Ok(())
    }
}

/// The rows of a hunt over what was found for it, or why it ends without.
pub(super) async fn run_hunt(
    planned: &PlannedHunt,
    leaves: Vec<Leaf>,
    running: Option<Running>,
    session: &Session,
    limits: (Duration, usize),
    cost: &mut HuntCost,
) -> std::result::Result<Vec<RecordBatch>, String> {
    let (timeout, memory) = limits;
    if let Some(reason) = leaves.iter().find_map(|leaf| leaf.failed.clone()) {
        return Err(reason);
    }
    let running = running.map_or_else(
        || {
            let found = leaves.into_iter().map(|leaf| leaf.found.into_plan());
            let plan = over(&planned.plan, found.collect::<Result<_>>()?)?;
            Ok(Running::start(plan, session))
        },
        Ok,
    );
    let running = running.map_err(|error: DataFusionError| why(&error, memory))?;
    running.end(timeout, memory, cost).await
}

/// Whether a hunt may begin before all rows are there: it aggregates them first, so that it needs little until then, and
/// their order means nothing to it.
pub(super) fn can_begin_early(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(aggregate) = plan.downcast_ref::<PartitionedAggregateExec>() {
        let below = aggregate.children()[0];
        return aggregate.is_the_same_in_any_order()
            && (is_over_scans(below) || can_begin_early(below));
    }
    let sort = plan.downcast_ref::<SortExec>();
    let keeps_all = plan.is::<FilterExec>()
        || plan.is::<ProjectionExec>()
        || sort.is_some_and(|sort| sort.fetch().is_none());
    keeps_all && can_begin_early(plan.children()[0])
}

/// Whether a plan gives rows of scans as they come.
fn is_over_scans(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let hands_on =
        plan.is::<FilterExec>() || plan.is::<ProjectionExec>() || plan.is::<InOrderExec>();
    let below = plan.children();
    plan.is::<LakeScanExec>() || (hands_on && below.into_iter().all(is_over_scans))
}

/// What tasks beside that of a plan have cost.
fn add_cost_beside(plan: &Arc<dyn ExecutionPlan>, cost: &mut HuntCost) {
    if let Some(aggregate) = plan.downcast_ref::<PartitionedAggregateExec>() {
        let (took, spilled) = aggregate.cost();
        cost.plan += took;
        cost.spilled += spilled;
    }
    for below in plan.children() {
        add_cost_beside(below, cost);
    }
}

/// A plan over rows that were found, in order of its leaves.
fn over(
    plan: &Arc<dyn ExecutionPlan>,
    found: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut found = found.into_iter();
    let plan = Arc::clone(plan).transform_up(|node| {
        if node.downcast_ref::<LakeScanExec>().is_some() {
            let leaf = found.next().ok_or_else(|| {
                DataFusionError::Internal("a scan of the plan was not made".to_owned())
            })?;
            return Ok(Transformed::yes(leaf));
        }
        // What makes many rows of few would not stop to see that its time is over.
        if node.children().len() > 1 {
            let stops: Arc<dyn ExecutionPlan> = Arc::new(CooperativeExec::new(node));
            return Ok(Transformed::yes(stops));
        }
        Ok(Transformed::no(node))
    });
    Ok(plan?.data)
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
pub(super) fn why(error: &DataFusionError, memory: usize) -> String {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => beyond(memory),
        _ => error.strip_backtrace(),
    }
}

/// That a hunt needs more memory than there is.
pub(super) fn beyond(memory: usize) -> String {
    format!(
        "it needs more than the memory limit of {} (--memory)",
        limit_text(memory)
    )
}
