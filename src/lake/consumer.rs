//! One reader of a scan: its window, its filters, the columns it wants. Every block of rows passes through here.
//!
//! Knows rows, not files; a scan can serve one consumer or a thousand.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions,
};
use datafusion::arrow::compute::{filter, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, utils::expr_to_columns};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::decoded::{Block, DecodePlan};
use super::table::Table;
use crate::time::Window;

/// What one consumer wants of a table.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Rows outside are not its business.
    pub window: Option<Window>,
    /// Conjuncts, as the planner pushed them down.
    pub filters: Vec<Expr>,
    /// Output columns, by name: one table can be read with more columns by one query than by another.
    pub projection: SchemaRef,
}

impl Consumer {
    /// Every column that it needs: output and filters.
    pub fn columns(&self, table: &Table) -> Result<Vec<usize>> {
        let schema = table.schema();
        let mut names = HashSet::new();
        for filter in &self.filters {
            expr_to_columns(filter, &mut names)?;
        }
        let names = names.iter().map(|column| &column.name);
        let output = self.projection.fields().iter().map(|field| field.name());
        Ok(output
            .chain(names)
            .map(|name| schema.index_of(name))
            .collect::<Result<_, _>>()?)
    }

    /// Binds it to the columns that a scan decodes.
    ///
    /// # Errors
    /// When a filter cannot be planned.
    pub fn compile(&self, plan: &DecodePlan) -> Result<CompiledConsumer> {
        let schema = DFSchema::try_from(plan.schema.as_ref().clone())?;
        let props = ExecutionProps::new();
        let context = PhysicalPlanningContext::default();
        let filters = self
            .filters
            .iter()
            .map(|filter| create_physical_expr(filter, &schema, &props, &context))
            .collect::<Result<Vec<_>>>()?;
        let projection = self.projection.fields().iter();
        let projection = projection
            .map(|field| Ok(plan.schema.index_of(field.name())?))
            .collect::<Result<Vec<_>>>()?;
        Ok(CompiledConsumer {
            window: self.window.filter(|window| Some(*window) != plan.window),
            filters,
            projection,
            schema: Arc::clone(&self.projection),
        })
    }
}

/// A consumer bound to decoded columns.
#[derive(Debug)]
pub struct CompiledConsumer {
    window: Option<Window>,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    projection: Vec<usize>,
    schema: SchemaRef,
}

/// The rows of a block that a consumer wants, with their identities.
#[derive(Debug)]
pub struct Survivors {
    /// Its output columns.
    pub batch: RecordBatch,
    /// One identity per row.
    pub ids: Vec<u128>,
}

impl CompiledConsumer {
    /// Applies window and filters to a block.
    ///
    /// # Errors
    /// When a filter fails on a value; that ends this consumer, not the scan.
    pub fn apply(&self, batch: &RecordBatch, block: &Block) -> Result<Option<Survivors>> {
        let mut rows: Option<Vec<usize>> = None;
        let mut current = batch.clone();
        if let Some(window) = self.window {
            let (start, end) = (
                window.start.timestamp_micros(),
                window.end.timestamp_micros(),
            );
            let inside = |time: &i64| Some(*time >= start && *time < end);
            let mask: BooleanArray = block.times.iter().map(inside).collect();
            current = narrow(&current, &mask, &mut rows)?;
        }
        for filter in &self.filters {
            if current.num_rows() == 0 {
                return Ok(None);
            }
            let mask = filter.evaluate(&current)?.into_array(current.num_rows())?;
            let mask = mask.as_boolean_opt().ok_or_else(|| {
                DataFusionError::Internal(format!(
                    "filter {filter} gave {} instead of a boolean",
                    mask.data_type()
                ))
            })?;
            current = narrow(&current, mask, &mut rows)?;
        }
        if current.num_rows() == 0 {
            return Ok(None);
        }
        let columns = self
            .projection
            .iter()
            .map(|index| compact(current.column(*index), rows.is_some()))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(current.num_rows()));
        let ids = match rows {
            Some(rows) => rows.into_iter().map(|row| block.ids[row]).collect(),
            None => block.ids.clone(),
        };
        Ok(Some(Survivors {
            batch: RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?,
            ids,
        }))
    }
}

/// Keeps the rows of a mask; NULL is false. `rows` follows which rows of the block are left.
fn narrow(
    batch: &RecordBatch,
    mask: &BooleanArray,
    rows: &mut Option<Vec<usize>>,
) -> Result<RecordBatch> {
    let kept = (0..mask.len()).filter(|row| mask.is_valid(*row) && mask.value(*row));
    let kept: Vec<usize> = match rows.take() {
        Some(before) => kept.map(|row| before[row]).collect(),
        None => kept.collect(),
    };
    if kept.len() == mask.len() && batch.num_rows() == kept.len() {
        *rows = Some(kept);
        return Ok(batch.clone());
    }
    *rows = Some(kept);
    Ok(filter_record_batch(batch, mask)?)
}

/// Copies the strings of the few rows that are left, so that they do not keep a whole block alive.
fn compact(column: &ArrayRef, filtered: bool) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View if filtered => Arc::new(column.as_string_view().gc()),
        _ => Arc::clone(column),
    }
}

/// Drops later copies of records that a consumer has had before.
///
/// It sees what the consumer's filters let through, so that it holds identities of survivors and not of all rows. Copies
/// of a record are the same record, so this is the same as dropping them first; where a copy says something else than
/// the first, the first copy that the filters let through counts, and none is lost.
#[derive(Debug, Default)]
pub struct Deduplicator {
    seen: HashSet<u128>,
    /// Copies that were dropped.
    pub dropped: u64,
}

impl Deduplicator {
    /// The rows that were not there before; `None` when none is left.
    ///
    /// # Errors
    /// When Arrow cannot filter a column.
    pub fn keep_first(&mut self, survivors: Survivors) -> Result<Option<RecordBatch>> {
        let mask: BooleanArray = survivors
            .ids
            .iter()
            .map(|id| Some(self.seen.insert(*id)))
            .collect();
        let dropped = mask.len() - mask.true_count();
        self.dropped += dropped as u64;
        if dropped == 0 {
            return Ok(Some(survivors.batch));
        }
        if dropped == mask.len() {
            return Ok(None);
        }
        Ok(Some(filter_record_batch(&survivors.batch, &mask)?))
    }
}

/// Rows of a block whose time is inside the plan's window; used by readers that decode whole columns.
pub(super) fn filter_block(block: Block, mask: &BooleanArray) -> Result<Block> {
    let kept = |values: Vec<i64>| {
        values
            .into_iter()
            .enumerate()
            .filter(|(row, _)| mask.value(*row))
            .map(|(_, value)| value)
            .collect()
    };
    Ok(Block {
        columns: block
            .columns
            .iter()
            .map(|column| Ok(filter(column, mask)?))
            .collect::<Result<Vec<_>>>()?,
        times: kept(block.times),
        rows: kept(block.rows),
        ids: block.ids,
    })
}
