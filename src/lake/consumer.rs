//! The readers of a scan: each has a window, filters, and columns it wants. Every block of rows passes through here.
//!
//! Knows rows, not files; a scan can serve one consumer or a thousand.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{filter, filter_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{HashSet as Identities, Result};
use datafusion::logical_expr::{Expr, utils::expr_to_columns};
use datafusion::physical_plan::metrics::Time;

use super::decoded::{Block, ChosenRows, DecodePlan};
use super::index::{Columns, IndexMemory, IndexSummary, Made, PredicateIndex, RowSet};
use super::table::{ColumnKind, DataFile, Table};
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
}

/// Consumers bound to the columns that a scan decodes, with one index of all their predicates.
#[derive(Debug)]
pub struct Consumers {
    index: PredicateIndex,
    each: Vec<Bound>,
    /// What threads remember between the files they read.
    memories: Mutex<Vec<IndexMemory>>,
}

#[derive(Debug)]
struct Bound {
    window: Option<Window>,
    /// Conjuncts that can fail, by their places: evaluated on rows that passed all others.
    own: Vec<(usize, Made)>,
    projection: Vec<usize>,
    schema: SchemaRef,
    /// What was done for it alone.
    took: Time,
}

/// The rows of a block that a consumer wants, with their identities.
#[derive(Debug)]
pub struct Survivors {
    /// Its output columns.
    pub batch: RecordBatch,
    /// One identity per row.
    pub ids: Vec<u128>,
}

impl Consumers {
    /// Binds consumers to a scan, and tells it which columns decide what they want.
    ///
    /// # Errors
    /// When a filter cannot be planned.
    pub fn new(consumers: &[&Consumer], plan: &mut DecodePlan) -> Result<Self> {
        let filters: Vec<&[Expr]> = consumers
            .iter()
            .map(|consumer| consumer.filters.as_slice())
            .collect();
        let (index, left) = PredicateIndex::new(&plan.schema, &filters)?;
        plan.early = early(consumers, &left, plan)?;
        let plan = &*plan;
        let each = consumers.iter().zip(left).map(|(consumer, left)| {
            let own = left
                .into_iter()
                .map(|place| Ok((place, Made::new(&consumer.filters[place], &plan.schema)?)));
            let projection = consumer.projection.fields().iter();
            let projection = projection.map(|field| Ok(plan.schema.index_of(field.name())?));
            Ok(Bound {
                window: consumer
                    .window
                    .filter(|window| Some(*window) != plan.window),
                own: own.collect::<Result<_>>()?,
                projection: projection.collect::<Result<_>>()?,
                schema: Arc::clone(&consumer.projection),
                took: Time::new(),
            })
        });
        Ok(Self {
            each: each.collect::<Result<_>>()?,
            index,
            memories: Mutex::default(),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// What the index makes of their predicates, for people.
    pub fn summary(&self) -> IndexSummary {
        self.index.summary()
    }

    /// Conjuncts that can fail, each as its consumer and its place among that consumer's filters.
    pub fn evaluated_alone(&self) -> Vec<(usize, usize)> {
        let each = self.each.iter().enumerate();
        each.flat_map(|(consumer, bound)| {
            bound.own.iter().map(move |(place, _)| (consumer, *place))
        })
        .collect()
    }

    /// The time that conjuncts and columns of each take which are looked at for it alone; grows while a pass runs.
    pub fn times(&self) -> Vec<Time> {
        self.each.iter().map(|bound| bound.took.clone()).collect()
    }

    /// What a thread remembers while it reads a file; [`Self::give_back`] when it is done.
    pub fn memory(&self) -> IndexMemory {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.pop().unwrap_or_else(|| self.index.memory())
    }

    /// Keeps what was remembered for the next file.
    pub fn give_back(&self, memory: IndexMemory) {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.push(memory);
    }

    /// The rows of a block that any consumer may want, by the columns of [`DecodePlan::early`] alone.
    ///
    /// # Errors
    /// When a column cannot be made.
    pub fn wanted(
        &self,
        columns: &BlockColumns<'_>,
        memory: &mut IndexMemory,
        failed: &[bool],
    ) -> Result<RowSet> {
        let mut union = RowSet::none(columns.rows());
        for wanted in self.look(columns, memory, failed)?.into_iter().flatten() {
            union.unite(&wanted);
        }
        Ok(union)
    }

    fn look(
        &self,
        columns: &BlockColumns<'_>,
        memory: &mut IndexMemory,
        failed: &[bool],
    ) -> Result<Vec<Option<RowSet>>> {
        let rows = columns.rows();
        let mut inside: HashMap<Window, RowSet> = HashMap::new();
        for window in self.each.iter().filter_map(|bound| bound.window) {
            inside
                .entry(window)
                .or_insert_with(|| columns.inside(window));
        }
        let start = |consumer: usize| {
            if failed[consumer] {
                return Some(RowSet::none(rows));
            }
            let window = self.each[consumer].window?;
            inside.get(&window).cloned()
        };
        self.index.apply(columns, start, memory)
    }

    /// Gives each consumer its rows of a block, in order; `give` says whether there is to be more. A consumer whose
    /// filter fails on a value is told so, and has failed: it gets nothing more.
    ///
    /// # Errors
    /// When a column cannot be made, which costs all consumers.
    pub fn apply(
        &self,
        columns: &BlockColumns<'_>,
        memory: &mut IndexMemory,
        failed: &mut [bool],
        mut give: impl FnMut(usize, Result<Survivors>) -> bool,
    ) -> Result<bool> {
        let wanted = self.look(columns, memory, failed)?;
        for (consumer, wanted) in wanted.into_iter().enumerate() {
            let Some(wanted) = wanted else { continue };
            let survivors = self.each[consumer].survivors(columns, wanted);
            let Some(survivors) = survivors.transpose() else {
                continue;
            };
            failed[consumer] = survivors.is_err();
            if !give(consumer, survivors) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The form's columns that decide which rows are wanted; `None` when some consumer wants all of them.
fn early(
    consumers: &[&Consumer],
    left: &[Vec<usize>],
    plan: &DecodePlan,
) -> Result<Option<Vec<usize>>> {
    let schema = plan.table.schema();
    let form = &plan.table.form;
    let mut early: Vec<usize> = form.time.iter().map(|time| time.column).collect();
    for (consumer, left) in consumers.iter().zip(left) {
        if consumer.filters.len() == left.len() {
            return Ok(None);
        }
        let filters = consumer.filters.iter().enumerate();
        for (_, filter) in filters.filter(|(place, _)| !left.contains(place)) {
            for column in filter.column_refs() {
                match plan.table.column_kind(schema.index_of(&column.name)?) {
                    ColumnKind::Form(column) => early.push(column),
                    ColumnKind::RecordId => {
                        let found = form.identity;
                        early.extend(found.map(|found| found.host));
                        early.extend(found.and_then(|found| found.channel));
                        early.extend(found.map(|found| found.record));
                    }
                    _ => {}
                }
            }
        }
    }
    early.sort_unstable();
    early.dedup();
    Ok(Some(early))
}

impl Bound {
    /// Applies the conjuncts that can fail, and takes the output columns of what is left.
    fn survivors(&self, columns: &BlockColumns<'_>, mut rows: RowSet) -> Result<Option<Survivors>> {
        let _took = self.took.timer();
        for (_, conjunct) in &self.own {
            if rows.is_empty() {
                return Ok(None);
            }
            rows = conjunct.holds(columns, &rows)?.0;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let chosen = (!rows.is_all()).then(|| ChosenRows::of(&rows));
        let output = self
            .projection
            .iter()
            .map(|place| columns.chosen(*place, chosen.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(Some(Survivors {
            batch: RecordBatch::try_new_with_options(Arc::clone(&self.schema), output, &options)?,
            ids: columns.identities(chosen.as_ref()),
        }))
    }
}

/// The columns of a block, each made once.
#[derive(Debug)]
pub struct BlockColumns<'a> {
    plan: &'a DecodePlan,
    file: &'a DataFile,
    block: &'a Block,
    made: RefCell<Vec<Option<ArrayRef>>>,
}

impl<'a> BlockColumns<'a> {
    /// Over a block of a file.
    pub fn new(plan: &'a DecodePlan, file: &'a DataFile, block: &'a Block) -> Self {
        Self {
            made: RefCell::new(vec![None; plan.columns.len()]),
            plan,
            file,
            block,
        }
    }

    fn inside(&self, window: Window) -> RowSet {
        let (start, end) = (
            window.start.timestamp_micros(),
            window.end.timestamp_micros(),
        );
        let times = &self.block.times;
        RowSet::of(times.len(), |row| (start..end).contains(&times[row]))
    }

    fn chosen(&self, place: usize, rows: Option<&ChosenRows>) -> Result<ArrayRef> {
        match rows {
            Some(_) => Ok(self.plan.column(self.file, self.block, place, rows)?),
            None => self.column(place),
        }
    }

    fn identities(&self, rows: Option<&ChosenRows>) -> Vec<u128> {
        self.plan.identities(self.file, self.block, rows)
    }
}

impl Columns for BlockColumns<'_> {
    fn rows(&self) -> usize {
        self.block.times.len()
    }

    fn column(&self, index: usize) -> Result<ArrayRef> {
        if let Some(made) = &self.made.borrow()[index] {
            return Ok(Arc::clone(made));
        }
        let column = self.plan.column(self.file, self.block, index, None)?;
        self.made.borrow_mut()[index] = Some(Arc::clone(&column));
        Ok(column)
    }
}

/// Drops later copies of records that a consumer has had before.
///
/// It sees what the consumer's filters let through, so that it holds identities of survivors and not of all rows. Copies
/// of a record are the same record, so this is the same as dropping them first; where a copy says something else than
/// the first, the first copy that the filters let through counts, and none is lost.
#[derive(Debug, Default)]
pub struct Deduplicator {
    seen: Identities<u128>,
    /// Copies that were dropped.
    pub dropped: u64,
}

impl Deduplicator {
    /// Memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        // Seven of eight places are used, each with a byte beside it.
        self.seen.capacity() / 7 * 8 * (size_of::<u128>() + 1)
    }

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
    Ok(Block {
        columns: block
            .columns
            .iter()
            .map(|column| Ok(filter(column, mask)?))
            .collect::<Result<Vec<_>>>()?,
        times: kept(block.times, mask),
        rows: kept(block.rows, mask),
        ids: block.ids.map(|ids| kept(ids, mask)),
    })
}

fn kept<T>(values: Vec<T>, mask: &BooleanArray) -> Vec<T> {
    let rows = values.into_iter().enumerate();
    rows.filter(|(row, _)| mask.value(*row))
        .map(|(_, value)| value)
        .collect()
}
