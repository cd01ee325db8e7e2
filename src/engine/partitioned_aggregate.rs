//! Aggregates over many groups: rows are divided by their groups, on disk where memory does not hold them, and the parts
//! are aggregated one after the other, as many at a time as there are cores.
//!
//! `DataFusion` aggregates in one table and sorts what does not fit; with millions of long texts that is most of the work.
//! Every part is aggregated by `DataFusion`. Whether there are many groups is told by the first rows, which are the same in
//! every run. Rows that come while a pass runs are divided in any case: tables of groups would grow while others need the
//! memory. What is held of them is little, and not counted.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{
    ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, SpillMetrics, Time,
};
use datafusion::physical_plan::spill::spill_pool::{SpillPoolSink, spsc_channel};
use datafusion::physical_plan::stream::{EmptyRecordBatchStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputOrderMode, PlanProperties, SpillManager,
};
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::kept_rows::{RowsOnce, cut};
use crate::lake::exec::parallelism;

/// Parts that rows are divided into: a terabyte of rows has parts of 16 GB, which are aggregated as they would be alone.
const PARTS: usize = 64;
/// The first rows, which tell whether there are many groups; fewer where they are wide.
const FIRST_ROWS: usize = 64 * 1024;
/// There are many groups where so many of the first rows have one that was not there before: one in so many.
const NEW_GROUP_EVERY: usize = 4;
/// Rows that are divided at a time.
const DIVIDED_ROWS: usize = 64 * 1024;

/// Bytes of rows from which on they are much, by the bytes that all hunts together may take.
pub(super) fn much(memory: usize) -> usize {
    (memory / 64).min(16 << 20)
}

/// Puts [`PartitionedAggregateExec`] in the place of aggregates that it can do.
#[derive(Debug)]
pub(super) struct PartitionAggregates {
    /// Bytes that all hunts together may take.
    pub(super) memory: usize,
}

impl PhysicalOptimizerRule for PartitionAggregates {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|node| {
            let aggregate = node.downcast_ref::<AggregateExec>();
            let Some(aggregate) = aggregate.filter(|aggregate| can_be_divided(aggregate)) else {
                return Ok(Transformed::no(node));
            };
            let divided = PartitionedAggregateExec::new(aggregate, self.memory, false);
            Ok(Transformed::yes(Arc::new(divided)))
        });
        Ok(changed?.data)
    }

    fn name(&self) -> &'static str {
        "partition_aggregates"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether an aggregate may see its groups in another order, and each at once.
fn can_be_divided(aggregate: &AggregateExec) -> bool {
    let is_whole = matches!(
        aggregate.mode(),
        AggregateMode::Single | AggregateMode::SinglePartitioned
    );
    let groups = aggregate.group_expr();
    let has_plain_groups = groups.is_single() && !groups.is_empty();
    let needs_order = *aggregate.input_order_mode() != InputOrderMode::Linear
        || aggregate.required_input_ordering() != [None];
    is_whole && has_plain_groups && !needs_order && aggregate.limit_options().is_none()
}

fn is_the_same_in_any_order(aggregate: &AggregateExec) -> bool {
    aggregate.aggr_expr().iter().all(|aggregate| {
        let function = aggregate.fun();
        let says_so = function.order_sensitivity().is_insensitive();
        let takes_any = function.name() == "any_value";
        (function.name() == "count" || (says_so && !takes_any))
            && aggregate.order_bys().is_empty()
            && !aggregate.field().data_type().is_floating()
    })
}

/// An aggregate whose rows are divided by group where there are many groups.
#[derive(Debug)]
pub(super) struct PartitionedAggregateExec {
    aggregate: Arc<AggregateExec>,
    memory: usize,
    always: bool,
    metrics: ExecutionPlanMetricsSet,
}

impl PartitionedAggregateExec {
    fn new(aggregate: &AggregateExec, memory: usize, always: bool) -> Self {
        Self {
            aggregate: Arc::new(aggregate.clone()),
            memory,
            always,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same groups, their rows divided however many groups there are.
    pub(super) fn always_divided(&self) -> Self {
        Self::new(&self.aggregate, self.memory, true)
    }

    /// Whether it gives the same groups whatever the order of rows. Sums of floats do not.
    pub(super) fn is_the_same_in_any_order(&self) -> bool {
        is_the_same_in_any_order(&self.aggregate)
    }

    /// What tasks of its own have worked so far, and how many bytes they wrote to disk.
    pub(super) fn cost(&self) -> (Duration, u64) {
        let metrics = self.metrics.clone_inner();
        let took = metrics.elapsed_compute().unwrap_or(0);
        let spilled = metrics.spilled_bytes().unwrap_or(0);
        (Duration::from_nanos(took as u64), spilled as u64)
    }
}

impl DisplayAs for PartitionedAggregateExec {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Partitioned")?;
        self.aggregate.fmt_as(form, f)
    }
}

impl ExecutionPlan for PartitionedAggregateExec {
    fn name(&self) -> &'static str {
        "PartitionedAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.aggregate.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.aggregate.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.aggregate.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let aggregate = Arc::clone(&self.aggregate).replace_children(children, options)?;
        let Some(aggregate) = aggregate.downcast_ref::<AggregateExec>() else {
            return internal_err!("an aggregate became something else");
        };
        Ok(Arc::new(Self::new(aggregate, self.memory, self.always)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self
            .aggregate
            .input()
            .execute(partition, Arc::clone(&context))?;
        let running = Running {
            aggregate: Arc::clone(&self.aggregate),
            context,
            much: much(self.memory),
            most_held: self.memory / 16,
            spilled: SpillMetrics::new(&self.metrics, partition),
            took: MetricBuilder::new(&self.metrics).elapsed_compute(partition),
        };
        let given = MetricBuilder::new(&self.metrics).output_rows(partition);
        let groups = if self.always {
            running.groups_of_parts(rows).boxed()
        } else {
            running.groups(rows).boxed()
        };
        let groups = futures::stream::once(groups).try_flatten();
        let groups = groups.inspect_ok(move |batch| given.add(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            groups,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// One execution.
struct Running {
    aggregate: Arc<AggregateExec>,
    context: Arc<TaskContext>,
    much: usize,
    /// Bytes of rows that are held in memory; what is more goes to disk.
    most_held: usize,
    spilled: SpillMetrics,
    took: Time,
}

impl Running {
    async fn groups(
        self,
        mut rows: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        let schema = rows.schema();
        let (mut first, mut count, mut bytes) = (Vec::new(), 0, 0);
        let mut ended = false;
        while count < FIRST_ROWS && bytes < self.much {
            let Some(batch) = rows.next().await.transpose()? else {
                ended = true;
                break;
            };
            count += batch.num_rows();
            bytes += batch.get_array_memory_size();
            first.push(batch);
        }
        let divided = !ended && self.has_many_groups(&first)?;
        let rows = futures::stream::iter(first.into_iter().map(Ok)).chain(rows);
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        if divided {
            self.groups_of_parts(rows).await
        } else {
            self.over(RowsOnce::new(rows).into_plan()?)
        }
    }

    fn over(&self, rows: Arc<dyn ExecutionPlan>) -> Result<SendableRecordBatchStream> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let aggregate = Arc::clone(&self.aggregate).replace_children(vec![rows], options)?;
        aggregate.execute(0, Arc::clone(&self.context))
    }

    fn has_many_groups(&self, rows: &[RecordBatch]) -> Result<bool> {
        let mut groups = HashSet::new();
        for batch in rows {
            groups.extend(self.hashes(batch)?);
        }
        let rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
        Ok(groups.len() * NEW_GROUP_EVERY > rows)
    }

    /// Hashes of the rows' groups.
    fn hashes(&self, batch: &RecordBatch) -> Result<Vec<u64>> {
        let groups = self.aggregate.group_expr().expr().iter();
        let groups = groups.map(|(group, _)| group.evaluate(batch)?.into_array(batch.num_rows()));
        let groups = groups.collect::<Result<Vec<_>>>()?;
        let mut hashes = vec![0; batch.num_rows()];
        // Not the seed of DataFusion's own tables: groups of a part would all lie in one corner of them.
        create_hashes(&groups, &RandomState::with_seed(0x1a4e), &mut hashes)?;
        Ok(hashes)
    }

    async fn groups_of_parts(
        self,
        mut rows: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        let spilled = self.spilled.clone();
        let manager = SpillManager::new(self.context.runtime_env(), spilled, rows.schema());
        let mut parts = Parts::new(manager);
        while let Some(batch) = rows.next().await.transpose()? {
            parts.add(batch);
            let is_full = parts.held > self.most_held;
            if is_full || parts.waiting_rows >= DIVIDED_ROWS {
                parts.divide(|batch| self.hashes(batch))?;
            }
            if is_full {
                parts.spill()?;
            }
        }
        drop(rows);
        parts.divide(|batch| self.hashes(batch))?;
        let any_cut = is_the_same_in_any_order(&self.aggregate);
        let parts = parts.finish(any_cut);
        let schema = self.aggregate.schema();
        let groups = PartGroups {
            running: self,
            parts,
            started: VecDeque::new(),
        };
        let groups = futures::stream::try_unfold(groups, |mut groups| async move {
            Ok(groups.next().await?.map(|batch| (batch, groups)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, groups)))
    }
}

/// Rows by their groups.
struct Parts {
    schema: SchemaRef,
    manager: Arc<SpillManager>,
    each: Vec<Part>,
    /// Rows that are not yet divided.
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    held: usize,
}

#[derive(Default)]
struct Part {
    memory: Vec<RecordBatch>,
    /// Its rows on disk are older than those in memory.
    disk: Option<(SpillPoolSink, SendableRecordBatchStream)>,
}

impl Parts {
    fn new(manager: SpillManager) -> Self {
        Self {
            schema: Arc::clone(manager.schema()),
            manager: Arc::new(manager),
            each: std::iter::repeat_with(Part::default).take(PARTS).collect(),
            waiting: Vec::new(),
            waiting_rows: 0,
            held: 0,
        }
    }

    fn add(&mut self, batch: RecordBatch) {
        self.held += batch.get_array_memory_size();
        self.waiting_rows += batch.num_rows();
        self.waiting.push(batch);
    }

    /// Gives each part its rows, in their order.
    fn divide(&mut self, hashes: impl Fn(&RecordBatch) -> Result<Vec<u64>>) -> Result<()> {
        let rows = concat_batches(&self.schema, &std::mem::take(&mut self.waiting))?;
        self.waiting_rows = 0;
        let mut rows_of = vec![Vec::new(); PARTS];
        for (row, hash) in (0_u32..).zip(hashes(&rows)?) {
            rows_of[part(hash)].push(row);
        }
        let rows = take_record_batch(&rows, &UInt32Array::from(rows_of.concat()))?;
        let mut start = 0;
        for (part, own) in self.each.iter_mut().zip(rows_of) {
            if !own.is_empty() {
                part.memory.push(rows.slice(start, own.len()));
                start += own.len();
            }
        }
        Ok(())
    }

    /// Writes the rows in memory to disk.
    fn spill(&mut self) -> Result<()> {
        for part in &mut self.each {
            if part.memory.is_empty() {
                continue;
            }
            let rows = concat_batches(&self.schema, &std::mem::take(&mut part.memory))?;
            let file = || spsc_channel(usize::MAX, Arc::clone(&self.manager));
            let (sink, _) = part.disk.get_or_insert_with(file);
            sink.push_batch(&rows)?;
        }
        self.held = 0;
        Ok(())
    }

    /// The rows of the parts that have some.
    fn finish(self, any_cut: bool) -> VecDeque<SendableRecordBatchStream> {
        let parts = self.each.into_iter();
        let parts = parts.filter(|part| part.disk.is_some() || !part.memory.is_empty());
        let parts = parts.map(|part| {
            let memory = futures::stream::iter(part.memory.into_iter().map(Ok));
            // Without the sink: there will be no more.
            let disk = part.disk.map(|(_, disk)| disk);
            let disk = disk
                .unwrap_or_else(|| Box::pin(EmptyRecordBatchStream::new(Arc::clone(&self.schema))));
            let rows = disk.chain(memory);
            if any_cut {
                let schema = Arc::clone(&self.schema);
                return Box::pin(RecordBatchStreamAdapter::new(schema, rows))
                    as SendableRecordBatchStream;
            }
            cut(&self.schema, rows)
        });
        parts.collect()
    }
}

/// The part of a hash.
fn part(hash: u64) -> usize {
    // The best bits of a product are the high ones.
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % PARTS
}

/// The groups of the parts, part by part.
struct PartGroups {
    running: Running,
    parts: VecDeque<SendableRecordBatchStream>,
    /// Parts that are aggregated, in order.
    started: VecDeque<SendableRecordBatchStream>,
}

impl PartGroups {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            while self.started.len() < parallelism(1)
                && let Some(part) = self.parts.pop_front()
            {
                let groups = self.running.over(RowsOnce::new(part).into_plan()?)?;
                let groups = timed(groups, self.running.took.clone());
                self.started.push_back(spawn_buffered(groups, 2));
            }
            let Some(front) = self.started.front_mut() else {
                return Ok(None);
            };
            match front.next().await {
                Some(batch) => return batch.map(Some),
                None => drop(self.started.pop_front()),
            }
        }
    }
}

/// A stream whose work is counted.
fn timed(mut rows: SendableRecordBatchStream, took: Time) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let rows = futures::stream::poll_fn(move |context| {
        let _took = took.timer();
        rows.as_mut().poll_next(context)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}
