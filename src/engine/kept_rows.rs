//! Rows that wait for a plan, in memory and on disk, and the leaves that hand rows to a plan.
//!
//! Rows keep their order, and are cut into batches of one size when they are read: where they are cut must not depend on
//! what had room in memory, because sums of floats do.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SpillManager};
use futures::{Stream, StreamExt, TryStreamExt};

use crate::lake::decoded::BLOCK_ROWS;

/// Rows in memory, and on disk; those on disk come first.
pub(super) struct KeptRows {
    pub(super) schema: SchemaRef,
    pub(super) disk: Vec<Arc<dyn SpillFile>>,
    pub(super) memory: Vec<RecordBatch>,
}

impl KeptRows {
    /// Gives the rows, as often as it is asked.
    pub(super) fn into_plan(self) -> Result<Arc<dyn ExecutionPlan>> {
        leaf(self)
    }
}

impl fmt::Debug for KeptRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptRows")
            .field("batches", &self.memory.len())
            .field("files", &self.disk.len())
            .finish_non_exhaustive()
    }
}

impl PartitionStream for KeptRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let memory = futures::stream::iter(self.memory.clone().into_iter().map(Ok));
        let manager = spill_manager(&context.runtime_env(), &self.schema);
        let disk = futures::stream::iter(self.disk.clone());
        let disk = disk.map(move |file| manager.read_spill_as_stream(file, None));
        cut(&self.schema, disk.try_flatten().chain(memory))
    }
}

/// Rows that come only once.
pub(super) struct RowsOnce {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl RowsOnce {
    /// Hands on a stream.
    pub(super) fn new(rows: SendableRecordBatchStream) -> Self {
        Self {
            schema: rows.schema(),
            rows: Mutex::new(Some(rows)),
        }
    }

    /// Gives the rows to who asks first.
    pub(super) fn into_plan(self) -> Result<Arc<dyn ExecutionPlan>> {
        leaf(self)
    }
}

impl fmt::Debug for RowsOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowsOnce").finish_non_exhaustive()
    }
}

impl PartitionStream for RowsOnce {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.take().unwrap_or_else(|| {
            let error = internal_datafusion_err!("rows that come once were asked for again");
            let failed = futures::stream::iter([Err(error)]);
            Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                failed,
            ))
        })
    }
}

/// A leaf of one partition.
fn leaf(rows: impl PartitionStream + 'static) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::clone(rows.schema());
    let plan = StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, [], false, None)?;
    Ok(Arc::new(plan))
}

/// What writes rows to disk, and reads them.
pub(super) fn spill_manager(runtime: &Arc<RuntimeEnv>, schema: &SchemaRef) -> SpillManager {
    let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    SpillManager::new(Arc::clone(runtime), metrics, Arc::clone(schema))
}

/// Rows in batches of one size.
pub(super) fn cut(
    schema: &SchemaRef,
    rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    let cutter = BatchCoalescer::new(Arc::clone(schema), BLOCK_ROWS);
    let state = (rows.boxed(), Some(cutter));
    let batches = futures::stream::try_unfold(state, |(mut rows, mut cutter)| async move {
        loop {
            let Some(pieces) = &mut cutter else {
                return Ok(None);
            };
            if let Some(batch) = pieces.next_completed_batch() {
                return Ok(Some((batch, (rows, cutter))));
            }
            let Some(batch) = rows.next().await.transpose()? else {
                pieces.finish_buffered_batch()?;
                let last = pieces.next_completed_batch();
                return Ok(last.map(|batch| (batch, (rows, None))));
            };
            pieces.push_batch(batch)?;
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), batches))
}
