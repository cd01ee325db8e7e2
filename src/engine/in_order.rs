//! The branches of a view one after the other, in one partition: the order of a union does not depend on timing. Where
//! order means nothing, rows can be taken as they come.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

/// Its children's rows, child by child. Children have the columns of the schema, and may promise more about NULLs.
#[derive(Debug)]
pub(super) struct InOrderExec {
    children: Vec<Arc<dyn ExecutionPlan>>,
    schema: SchemaRef,
    as_they_come: bool,
    properties: Arc<PlanProperties>,
}

impl InOrderExec {
    /// Over some children.
    pub(super) fn new(children: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            children,
            schema,
            as_they_come: false,
            properties: Arc::new(properties),
        }
    }

    /// The same rows from whichever child has some.
    pub(super) fn as_they_come(&self) -> Self {
        Self {
            as_they_come: true,
            ..Self::new(self.children.clone(), Arc::clone(&self.schema))
        }
    }

    fn over(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        Self {
            as_they_come: self.as_they_come,
            ..Self::new(children, Arc::clone(&self.schema))
        }
    }
}

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InOrderExec")
    }
}

impl ExecutionPlan for InOrderExec {
    fn name(&self) -> &'static str {
        "InOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.children.iter().collect()
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
        Ok(Arc::new(self.over(children)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.over(children)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("InOrderExec has one partition");
        }
        let parts: Vec<_> = self
            .children
            .iter()
            .flat_map(|child| {
                let count = child.properties().output_partitioning().partition_count();
                (0..count).map(|partition| (Arc::clone(child), partition))
            })
            .collect();
        let schema = Arc::clone(&self.schema);
        let parts = futures::stream::iter(parts)
            .map(move |(child, partition)| child.execute(partition, Arc::clone(&context)));
        let rows = if self.as_they_come {
            parts.try_flatten_unordered(None).boxed()
        } else {
            parts.try_flatten().boxed()
        };
        let rows = rows.map(move |batch| {
            let batch = batch?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = batch.columns().to_vec();
            Ok(RecordBatch::try_new_with_options(
                Arc::clone(&schema),
                columns,
                &options,
            )?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            rows,
        )))
    }
}
