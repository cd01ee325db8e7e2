//! The leaf of every plan over the lake: one table, one window, filters and columns.
//!
//! Executed by itself it scans alone, in order; a run of many hunts replaces these leaves by the survivors of one
//! shared pass (engine/scan).

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::{Stream, StreamExt};

use super::consumer::{Consumer, Consumers, Deduplicator};
use super::decoded::DecodePlan;
use super::file_report::{FileReport, Progress, SharedReport};
use super::scan::{Delivery, Pass};
use super::table::{Listing, Table};

/// A scan of one table for one consumer.
#[derive(Debug, Clone)]
pub struct LakeScanExec {
    /// The table.
    pub table: Arc<Table>,
    /// What is wanted of it.
    pub consumer: Consumer,
    /// The files that may hold it.
    pub listing: Arc<Listing>,
    /// Where a scan leaves its report.
    pub report: SharedReport,
    progress: Arc<Progress>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LakeScanExec {
    /// A scan that has not started.
    pub fn new(
        table: Arc<Table>,
        consumer: Consumer,
        listing: Arc<Listing>,
        report: SharedReport,
        progress: Arc<Progress>,
    ) -> Self {
        let schema = Arc::clone(&consumer.projection);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            table,
            consumer,
            listing,
            report,
            progress,
            schema,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for LakeScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LakeScanExec: table={}", self.table.name)?;
        if let Some(window) = self.consumer.window {
            write!(f, ", window={window}")?;
        }
        write!(
            f,
            ", files={}, files_pruned={}, folders_pruned={}",
            self.listing.files.len(),
            self.listing.files_pruned,
            self.listing.folders_pruned
        )?;
        if self.listing.files_waiting > 0 {
            write!(f, ", files_waiting={}", self.listing.files_waiting)?;
        }
        let names: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        write!(f, ", columns=[{}]", names.join(", "))?;
        if !self.consumer.filters.is_empty() {
            let filters: Vec<_> = self
                .consumer
                .filters
                .iter()
                .map(ToString::to_string)
                .collect();
            write!(f, ", filters=[{}]", filters.join(", "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for LakeScanExec {
    fn name(&self) -> &'static str {
        "LakeScanExec"
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
            internal_err!("LakeScanExec has no children")
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            Ok(self)
        } else {
            internal_err!("LakeScanExec has no children")
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let plan = DecodePlan::new(
            Arc::clone(&self.table),
            self.consumer.window,
            self.consumer.columns(&self.table)?,
        );
        let consumers = Consumers::new(&[&self.consumer], &plan)?;
        let pass = Pass {
            plan,
            consumers,
            listing: Arc::clone(&self.listing),
            parallel: parallelism(context.session_config().target_partitions()),
            progress: Arc::clone(&self.progress),
        };
        let own = SharedReport::default();
        let alone = Alone {
            rows: Box::pin(pass.run(Arc::clone(&own))),
            seen: Deduplicator::default(),
            own,
            report: Arc::clone(&self.report),
            counters: Counters::new(&self.metrics, partition),
        };
        let rows = futures::stream::try_unfold(alone, |mut alone| async move {
            let batch = alone.next_batch().await?;
            Ok(batch.map(|batch| (batch, alone)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            rows,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A pass with one consumer.
struct Alone {
    rows: Pin<Box<dyn Stream<Item = Result<Delivery>> + Send>>,
    seen: Deduplicator,
    own: SharedReport,
    report: SharedReport,
    counters: Counters,
}

impl Alone {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(delivery) = self.rows.next().await {
            if let Some(batch) = self.seen.keep_first(delivery?.rows?)? {
                self.counters.output_rows.add(batch.num_rows());
                return Ok(Some(batch));
            }
        }
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        self.counters.count(&own.files);
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.files.append(&mut own.files);
        Ok(None)
    }
}

/// What EXPLAIN ANALYZE shows of a scan.
struct Counters {
    output_rows: Count,
    files_read: Count,
    rows_read: Count,
    row_groups_read: Count,
    row_groups_pruned: Count,
}

impl Counters {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            output_rows: MetricBuilder::new(metrics).output_rows(partition),
            files_read: counter("files_read"),
            rows_read: counter("rows_read"),
            row_groups_read: counter("row_groups_read"),
            row_groups_pruned: counter("row_groups_pruned"),
        }
    }

    fn count(&self, files: &[FileReport]) {
        let sum = |value: fn(&FileReport) -> u64| {
            usize::try_from(files.iter().map(value).sum::<u64>()).unwrap_or(usize::MAX)
        };
        self.files_read.add(files.len());
        self.rows_read.add(sum(|file| file.rows));
        self.row_groups_read.add(sum(|file| file.row_groups_read));
        self.row_groups_pruned
            .add(sum(|file| file.row_groups_pruned));
    }
}

/// Files decoded at a time: one per core, and never fewer than the plan's partitions.
pub fn parallelism(partitions: usize) -> usize {
    std::thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .max(partitions)
}
