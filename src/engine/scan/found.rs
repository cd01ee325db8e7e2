//! What a pass found for one scan of a hunt: in memory, and on disk where that has no room; and the leaf that hands it to
//! the hunt's plan.
//!
//! Rows keep their order, and are cut into batches of one size when they are read: where they are cut must not depend on
//! what else a pass was for, because sums of floats do.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SpillManager,
};
use futures::{StreamExt, TryStreamExt};

use crate::lake::consumer::{Deduplicator, Survivors};
use crate::lake::decoded::BLOCK_ROWS;

/// The rows that a pass found for one scan.
pub(super) struct Found {
    schema: SchemaRef,
    seen: Deduplicator,
    /// Rows in memory; those on disk come before them.
    batches: Vec<RecordBatch>,
    bytes: usize,
    disk: Vec<Arc<dyn SpillFile>>,
}

impl Found {
    /// Nothing yet.
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            seen: Deduplicator::default(),
            batches: Vec::new(),
            bytes: 0,
            disk: Vec::new(),
        }
    }

    /// Takes rows that were not there before.
    pub(super) fn add(&mut self, rows: Survivors) -> Result<()> {
        if let Some(batch) = self.seen.keep_first(rows)? {
            self.bytes += batch.get_array_memory_size();
            self.batches.push(batch);
        }
        Ok(())
    }

    /// Bytes of the rows in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of what tells copies of records.
    pub(super) fn identity_bytes(&self) -> usize {
        self.seen.bytes()
    }

    /// Bytes that went to disk.
    pub(super) fn spilled(&self) -> u64 {
        self.disk.iter().filter_map(|file| file.size()).sum()
    }

    /// Writes the rows in memory to disk.
    fn spill(&mut self, runtime: &Arc<RuntimeEnv>) -> Result<()> {
        let manager = manager(runtime, &self.schema);
        let file = manager.spill_record_batch_and_finish(&self.batches, "rows of a scan")?;
        self.disk.extend(file);
        self.batches = Vec::new();
        self.bytes = 0;
        Ok(())
    }

    /// Forgets what tells copies: the pass is over.
    pub(super) fn close(&mut self) {
        self.seen = Deduplicator::default();
    }

    /// Forgets the rows.
    pub(super) fn clear(&mut self) {
        *self = Self::new(Arc::clone(&self.schema));
    }

    /// The leaf of a plan that gives the rows.
    pub(super) fn into_plan(self) -> Arc<dyn ExecutionPlan> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&self.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Arc::new(FoundExec {
            schema: self.schema,
            batches: self.batches,
            disk: self.disk,
            properties: Arc::new(properties),
        })
    }
}

fn manager(runtime: &Arc<RuntimeEnv>, schema: &SchemaRef) -> SpillManager {
    let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    SpillManager::new(Arc::clone(runtime), metrics, Arc::clone(schema))
}

/// How much memory the rows of all scans of a run may take until their hunts have run.
pub(super) struct Room {
    reservation: MemoryReservation,
    runtime: Arc<RuntimeEnv>,
    /// Of rows: what is more goes to disk.
    rows: usize,
    /// Of identities: what needs more fails.
    identities: usize,
    held_rows: usize,
    held_identities: usize,
}

impl Room {
    /// A quarter of the memory for rows, half for identities while a pass runs; the hunts' plans have what is left.
    pub(super) fn new(runtime: &Arc<RuntimeEnv>, memory: usize) -> Self {
        let consumer = MemoryConsumer::new("rows of shared scans");
        Self {
            reservation: consumer.register(&runtime.memory_pool),
            runtime: Arc::clone(runtime),
            rows: memory / 4,
            identities: memory / 2,
            held_rows: 0,
            held_identities: 0,
        }
    }

    /// Counts what changed while something was done to the rows of a scan.
    pub(super) fn counted<T>(
        &mut self,
        found: &mut Found,
        work: impl FnOnce(&mut Found) -> T,
    ) -> T {
        self.held_rows -= found.bytes();
        self.held_identities -= found.identity_bytes();
        let done = work(found);
        self.held_rows += found.bytes();
        self.held_identities += found.identity_bytes();
        done
    }

    /// Whether too many rows are in memory, so that some must be spilled.
    pub(super) fn lacks_rows(&self) -> bool {
        self.held_rows > self.rows || (self.held_rows > 0 && self.reserve().is_err())
    }

    /// Whether telling copies takes too much.
    pub(super) fn lacks_identities(&self) -> bool {
        self.held_identities > self.identities
            || (self.held_rows == 0 && self.held_identities > 0 && self.reserve().is_err())
    }

    /// Spills the rows of a scan.
    pub(super) fn spill(&mut self, found: &mut Found) -> Result<()> {
        let runtime = Arc::clone(&self.runtime);
        self.counted(found, |found| found.spill(&runtime))
    }

    /// So many bytes of rows are gone.
    pub(super) fn release(&mut self, rows: usize) {
        self.held_rows -= rows;
        // It shrinks, which never fails.
        let _ = self.reserve();
    }

    /// Tells the pool what is held.
    pub(super) fn reserve(&self) -> Result<()> {
        self.reservation
            .try_resize(self.held_rows + self.held_identities)
    }
}

/// Gives the rows that a pass found, as often as it is asked.
struct FoundExec {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    disk: Vec<Arc<dyn SpillFile>>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for FoundExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundExec")
            .field("batches", &self.batches.len())
            .field("files", &self.disk.len())
            .finish_non_exhaustive()
    }
}

impl DisplayAs for FoundExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FoundExec")
    }
}

impl ExecutionPlan for FoundExec {
    fn name(&self) -> &'static str {
        "FoundExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            Ok(self)
        } else {
            internal_err!("FoundExec has no children")
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            Ok(self)
        } else {
            internal_err!("FoundExec has no children")
        }
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let kept = futures::stream::iter(self.batches.clone().into_iter().map(Ok));
        let manager = manager(&context.runtime_env(), &self.schema);
        let spilled = futures::stream::iter(self.disk.clone());
        let spilled = spilled.map(move |file| manager.read_spill_as_stream(file, None));
        let rows = spilled.try_flatten().chain(kept).boxed();
        let state = (
            rows,
            Some(BatchCoalescer::new(Arc::clone(&self.schema), BLOCK_ROWS)),
        );
        let cut = futures::stream::try_unfold(state, |(mut rows, mut cutter)| async move {
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
        let schema = Arc::clone(&self.schema);
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(
            schema, cut,
        ))))
    }
}
