//! A table as DataFusion sees it, bound to a window: hunts contain no time, their tables do.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::consumer::Consumer;
use super::exec::LakeScanExec;
use super::file_report::{Progress, SharedReport};
use super::table::{Listing, Table};
use crate::time::Window;

/// A table scoped to a window.
#[derive(Debug, Clone)]
pub struct WindowedTable {
    /// The table.
    pub table: Arc<Table>,
    /// Events outside do not exist; `None` is all time.
    pub window: Option<Window>,
    /// Only these files, for reading back events whose place is known; `None` lists those of the window.
    pub files: Option<Arc<Listing>>,
    /// Where scans leave their reports.
    pub report: SharedReport,
    /// Counters for the terminal.
    pub progress: Arc<Progress>,
}

#[async_trait]
impl TableProvider for WindowedTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Exact: the planner then drops its own filter, and a shared scan sees every predicate of every hunt.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| pushdown(filter)).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        // A limit would have to hold after the filters and the deduplication; the plan applies it.
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let listing = match &self.files {
            Some(files) => Arc::clone(files),
            None => self
                .table
                .list(self.window)
                .await
                .map_err(|e| DataFusionError::External(Box::new(e)))?,
        };
        let consumer = Consumer {
            window: self.window,
            filters: filters.to_vec(),
            projection: match projection {
                Some(columns) => Arc::new(self.table.schema().project(columns)?),
                None => self.table.schema(),
            },
        };
        Ok(Arc::new(LakeScanExec::new(
            Arc::clone(&self.table),
            consumer,
            listing,
            Arc::clone(&self.report),
            Arc::clone(&self.progress),
        )))
    }
}

/// Exact for all that one row decides.
pub fn pushdown(filter: &Expr) -> TableProviderFilterPushDown {
    if filter.is_volatile() || has_subquery(filter) {
        TableProviderFilterPushDown::Unsupported
    } else {
        TableProviderFilterPushDown::Exact
    }
}

fn has_subquery(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::OuterReferenceColumn(..)
        ))
    })
    .unwrap_or(true)
}
