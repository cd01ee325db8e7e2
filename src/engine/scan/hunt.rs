//! One hunt over what the passes found for it. Its error, its time limit and its memory are its own.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::metrics::{ElapsedComputeFutureExt, Time};
use datafusion::physical_plan::{ExecutionPlan, collect};

use super::{HuntCost, Leaf};
use crate::engine::{PlannedHunt, Session, panics};
use crate::lake::LakeScanExec;

/// Its rows, or why it ends without.
pub(super) async fn run_hunt(
    planned: &PlannedHunt,
    leaves: Vec<Leaf>,
    session: &Session,
    timeout: Duration,
    memory: usize,
    cost: &mut HuntCost,
) -> Result<Vec<RecordBatch>, String> {
    let mut found = Vec::new();
    for leaf in leaves {
        match leaf.failed {
            Some(reason) => return Err(reason),
            None => found.push(leaf.found.into_plan()),
        }
    }
    let plan = over(&planned.plan, found).map_err(|error| why(&error, memory))?;
    let context = session.context().task_ctx();
    let took = Time::new();
    let running = panics::caught(collect(plan, context)).with_elapsed_compute(took.clone());
    // On a task of its own: a plan that computes on without ever waiting must not keep its limit from being seen.
    let task = SpawnedTask::spawn(running);
    let ended = tokio::time::timeout(timeout, task.join()).await;
    cost.plan = Duration::from_nanos(took.value() as u64);
    let rows = match ended {
        Ok(Ok(Ok(rows))) => rows.map_err(|error| why(&error, memory)),
        Ok(Ok(Err(panic))) => Err(format!("the query engine broke off: {panic}")),
        Ok(Err(lost)) => Err(format!("the query engine broke off: {lost}")),
        Err(_) => Err(format!(
            "took longer than its limit of {} s",
            timeout.as_secs()
        )),
    };
    if let Ok(rows) = &rows {
        cost.rows_out = rows.iter().map(|batch| batch.num_rows() as u64).sum();
    }
    rows
}

/// A plan over rows that were found, in order of its leaves.
fn over(
    plan: &Arc<dyn ExecutionPlan>,
    found: Vec<Arc<dyn ExecutionPlan>>,
) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
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
