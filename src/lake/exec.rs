//! The leaf of every plan over the lake: one table, one window, filters and columns.
//!
//! Executed by itself it scans alone, in order; a run of many hunts replaces these leaves by the survivors of one
//! shared pass (engine/scan).

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::StreamExt;

use super::consumer::{Consumer, Deduplicator};
use super::decoded::DecodePlan;
use super::scan::{Pass, Progress, SharedReport};
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
        let schema = consumer.schema(&table);
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
        let compiled = self.consumer.compile(&plan)?;
        let pass = Pass {
            plan,
            consumers: vec![compiled],
            listing: Arc::clone(&self.listing),
            parallel: parallelism(context.session_config().target_partitions()),
            progress: Arc::clone(&self.progress),
        };
        let output_rows = MetricBuilder::new(&self.metrics).output_rows(partition);
        let counter =
            |name: &'static str| MetricBuilder::new(&self.metrics).counter(name, partition);
        let counters = [
            counter("files_read"),
            counter("rows_read"),
            counter("row_groups_read"),
            counter("row_groups_pruned"),
        ];
        let report = Arc::clone(&self.report);
        let mut seen = Deduplicator::default();
        let mut counted = 0;
        let rows = pass
            .run(Arc::clone(&self.report))
            .filter_map(move |delivery| {
                let batch = delivery
                    .and_then(|delivery| delivery.rows)
                    .and_then(|rows| seen.keep_first(rows))
                    .transpose();
                if let Some(Ok(batch)) = &batch {
                    output_rows.add(batch.num_rows());
                }
                if let Ok(report) = report.lock() {
                    for file in &report.files[counted..] {
                        counters[0].add(1);
                        counters[1].add(usize::try_from(file.rows).unwrap_or(usize::MAX));
                        counters[2]
                            .add(usize::try_from(file.row_groups_read).unwrap_or(usize::MAX));
                        counters[3]
                            .add(usize::try_from(file.row_groups_pruned).unwrap_or(usize::MAX));
                    }
                    counted = report.files.len();
                }
                std::future::ready(batch)
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

/// Files decoded at a time: one per core, and never fewer than the plan's partitions.
pub fn parallelism(partitions: usize) -> usize {
    std::thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .max(partitions)
}
