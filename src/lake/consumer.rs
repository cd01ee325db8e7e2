//! The readers of a scan: each has a window, filters, and columns it wants. Every block of rows passes through here.
//!
//! Knows rows, not files; a scan can serve one consumer or a thousand.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{filter, filter_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{HashSet as Identities, Result, ScalarValue};
use datafusion::logical_expr::{Expr, utils::expr_to_columns};
use datafusion::physical_plan::metrics::Time;

use super::decoded::{Block, BlockColumn, ChosenRows, DecodePlan};
use super::facts::Facts;
use super::index::{Columns, IndexMemory, IndexSummary, Look, Made, PredicateIndex, RowSet};
use super::row_groups::Footer;
use super::table::{DataFile, Table};
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

/// Consumers bound to the columns that a scan decodes.
#[derive(Debug)]
pub struct Consumers {
    each: Vec<Bound>,
    schema: SchemaRef,
    /// The columns that filters ask for.
    asked: HashSet<String>,
    general: Arc<Predicates>,
    /// What is left to be tested where something is known of the rows.
    special: Mutex<HashMap<Facts, Arc<Predicates>>>,
}

/// Kinds of files, and of blocks, for which predicates are made to measure; others are tested for everything.
const KINDS: usize = 16;
/// Filters that are made to measure for all kinds together: the work must not outgrow what it spares.
const MADE: usize = 20_000;

#[derive(Debug)]
struct Bound {
    window: Option<Window>,
    filters: Vec<Expr>,
    projection: Vec<usize>,
    schema: SchemaRef,
    /// What was done for it alone.
    took: Time,
}

/// The predicates of all consumers, as far as they are open for some files.
#[derive(Debug)]
pub(super) struct Predicates {
    index: PredicateIndex,
    /// By consumer, the conjuncts that can fail, by their places: evaluated on rows that passed all others.
    own: Vec<Vec<(usize, Made)>>,
    /// Consumers that want no row.
    idle: Vec<bool>,
    /// The form's columns that decide which rows are wanted; `None` when some consumer wants all of them.
    early: Option<Vec<usize>>,
    /// By source of the index, the form's columns that it is made of.
    sources: Vec<Vec<usize>>,
    /// What threads remember between the files they read.
    memories: Mutex<Vec<IndexMemory>>,
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
    /// Binds consumers to a scan.
    ///
    /// # Errors
    /// When a filter cannot be planned.
    pub fn new(consumers: &[&Consumer], plan: &DecodePlan) -> Result<Self> {
        let each = consumers.iter().map(|consumer| {
            let projection = consumer.projection.fields().iter();
            let projection = projection.map(|field| Ok(plan.schema.index_of(field.name())?));
            Ok(Bound {
                window: consumer
                    .window
                    .filter(|window| Some(*window) != plan.window),
                filters: consumer.filters.clone(),
                projection: projection.collect::<Result<_>>()?,
                schema: Arc::clone(&consumer.projection),
                took: Time::new(),
            })
        });
        let each: Vec<_> = each.collect::<Result<_>>()?;
        let columns = each.iter().flat_map(|bound| &bound.filters);
        let columns = columns.flat_map(Expr::column_refs);
        let asked = columns.map(|column| column.name.clone()).collect();
        let filters = each.iter().map(|bound| bound.filters.clone()).collect();
        Ok(Self {
            asked,
            general: Arc::new(Predicates::new(filters, plan)?),
            special: Mutex::default(),
            schema: Arc::clone(&plan.schema),
            each,
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
        self.general.index.summary()
    }

    /// How many of the form's columns decide which rows anybody wants; the others may be decoded for these rows alone.
    /// `None`: all rows are wanted.
    pub fn early(&self) -> Option<usize> {
        self.general.early().map(<[usize]>::len)
    }

    /// Conjuncts that can fail, each as its consumer and its place among that consumer's filters.
    pub fn evaluated_alone(&self) -> Vec<(usize, usize)> {
        let each = self.general.own.iter().enumerate();
        each.flat_map(|(consumer, own)| own.iter().map(move |(place, _)| (consumer, *place)))
            .collect()
    }

    /// The time that conjuncts and columns of each take which are looked at for it alone; grows while a pass runs.
    pub fn times(&self) -> Vec<Time> {
        self.each.iter().map(|bound| bound.took.clone()).collect()
    }

    /// What is tested on files of which nothing is known.
    pub(super) fn general(&self) -> Arc<Predicates> {
        Arc::clone(&self.general)
    }

    /// What is left to be tested on a file, by its footer.
    pub(super) fn predicates_of_file(&self, plan: &DecodePlan, footer: &Footer) -> Arc<Predicates> {
        self.predicates_where(
            plan,
            Facts::of(plan, footer, |name| self.asked.contains(name)),
        )
    }

    /// What is left to be tested on a block of lines.
    pub(super) fn predicates_of_block(&self, plan: &DecodePlan, block: &Block) -> Arc<Predicates> {
        let facts = Facts::of_block(plan, block, |name| self.asked.contains(name));
        self.predicates_where(plan, facts)
    }

    fn predicates_where(&self, plan: &DecodePlan, facts: Facts) -> Arc<Predicates> {
        if facts.is_empty() {
            return self.general();
        }
        let mut special = self.special.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(predicates) = special.get(&facts) {
            return Arc::clone(predicates);
        }
        let filters: usize = self.each.iter().map(|bound| bound.filters.len()).sum();
        if special.len() >= KINDS || special.len() * filters >= MADE {
            return self.general();
        }
        // What cannot be simplified is tested as it is.
        let made = self
            .left(&facts)
            .and_then(|left| Predicates::new(left, plan));
        let predicates = made.map_or_else(|_| self.general(), Arc::new);
        special.insert(facts, Arc::clone(&predicates));
        predicates
    }

    /// The filters of each consumer, as far as facts leave them open.
    fn left(&self, facts: &Facts) -> Result<Vec<Vec<Expr>>> {
        let schema = facts.schema(&self.schema)?;
        let mut known: HashMap<&Expr, Expr> = HashMap::new();
        let each = self.each.iter().map(|bound| {
            let filters = bound.filters.iter().map(|filter| {
                if let Some(left) = known.get(filter) {
                    return Ok(left.clone());
                }
                let left = facts.apply(filter, &schema)?;
                known.insert(filter, left.clone());
                Ok(left)
            });
            filters.collect()
        });
        each.collect()
    }

    /// The rows of a block that any consumer may want, by the columns that are there.
    ///
    /// # Errors
    /// When a column cannot be made.
    pub(super) fn wanted(
        &self,
        predicates: &Predicates,
        look: Look<'_>,
        columns: &BlockColumns<'_>,
        memory: &mut IndexMemory,
        failed: &[bool],
    ) -> Result<RowSet> {
        let mut union = RowSet::none(columns.rows());
        let wanted = self.look(predicates, look, columns, memory, failed)?;
        for wanted in wanted.into_iter().flatten() {
            union.unite(&wanted);
        }
        Ok(union)
    }

    fn look(
        &self,
        predicates: &Predicates,
        look: Look<'_>,
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
            if failed[consumer] || predicates.idle[consumer] {
                return Some(RowSet::none(rows));
            }
            let window = self.each[consumer].window?;
            inside.get(&window).cloned()
        };
        predicates.index.apply(columns, start, look, memory)
    }

    /// Gives each consumer its rows of a block, in order; `give` says whether there is to be more. A consumer whose
    /// filter fails on a value is told so, and has failed: it gets nothing more. Says whether there is to be more, and which
    /// rows anybody got.
    ///
    /// # Errors
    /// When a column cannot be made, which costs all consumers.
    pub(super) fn apply(
        &self,
        predicates: &Predicates,
        columns: &BlockColumns<'_>,
        memory: &mut IndexMemory,
        failed: &mut [bool],
        mut give: impl FnMut(usize, Result<Survivors>) -> bool,
    ) -> Result<(bool, RowSet)> {
        let wanted = self.look(predicates, None, columns, memory, failed)?;
        let mut given = RowSet::none(columns.rows());
        for (consumer, wanted) in wanted.into_iter().enumerate() {
            let Some(wanted) = wanted else { continue };
            let own = &predicates.own[consumer];
            let survivors = self.each[consumer].survivors(own, columns, wanted, &mut given);
            let Some(survivors) = survivors.transpose() else {
                continue;
            };
            failed[consumer] = survivors.is_err();
            if !give(consumer, survivors) {
                return Ok((false, given));
            }
        }
        Ok((true, given))
    }
}

/// What a filter says of every row, if it says the same; one that is NULL lets none through.
fn decided(filter: &Expr) -> Option<bool> {
    match filter {
        Expr::Literal(value, _) => Some(*value == ScalarValue::from(true)),
        _ => None,
    }
}

impl Predicates {
    fn new(mut filters: Vec<Vec<Expr>>, plan: &DecodePlan) -> Result<Self> {
        let (mut idle, mut places) = (Vec::new(), Vec::new());
        for filters in &mut filters {
            idle.push(filters.iter().any(|filter| decided(filter) == Some(false)));
            if idle.last() == Some(&true) {
                filters.clear();
            }
            let open = filters.iter().enumerate();
            let open = open.filter(|(_, filter)| decided(filter).is_none());
            places.push(open.map(|(place, _)| place).collect::<Vec<_>>());
            filters.retain(|filter| decided(filter).is_none());
        }
        let each: Vec<&[Expr]> = filters.iter().map(Vec::as_slice).collect();
        let (index, left) = PredicateIndex::new(&plan.schema, &each)?;
        let wants_all =
            |consumer: usize| !idle[consumer] && filters[consumer].len() == left[consumer].len();
        let early = if (0..filters.len()).any(wants_all) {
            None
        } else {
            let mut early: Vec<usize> = plan
                .table
                .form
                .time
                .iter()
                .map(|time| time.column)
                .collect();
            early.extend(
                index
                    .columns()
                    .flat_map(|column| plan.form_columns_of(column)),
            );
            early.sort_unstable();
            early.dedup();
            Some(early)
        };
        let sources = index.sources();
        let sources = sources.map(|columns| {
            let columns = columns
                .iter()
                .flat_map(|column| plan.form_columns_of(*column));
            columns.collect()
        });
        let own = filters.iter().zip(places).zip(left);
        let own = own.map(|((filters, places), left)| {
            let own = left.into_iter();
            own.map(|open| Ok((places[open], Made::new(&filters[open], &plan.schema)?)))
                .collect::<Result<_>>()
        });
        Ok(Self {
            own: own.collect::<Result<_>>()?,
            sources: sources.collect(),
            idle,
            early,
            index,
            memories: Mutex::default(),
        })
    }

    /// The form's columns that decide which rows are wanted; the others may be decoded for these rows alone. `None`: all
    /// rows are wanted.
    pub(super) fn early(&self) -> Option<&[usize]> {
        self.early.as_deref()
    }

    /// The sources of values that some of the form's columns are enough for, and whether they say anything.
    pub(super) fn sources_over(&self, has: impl Fn(&usize) -> bool) -> Vec<bool> {
        let sources = self.sources.iter();
        sources.map(|columns| columns.iter().all(&has)).collect()
    }

    /// What a thread remembers while it reads a file; [`Self::give_back`] when it is done.
    pub(super) fn memory(&self) -> IndexMemory {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.pop().unwrap_or_else(|| self.index.memory())
    }

    /// Keeps what was remembered for the next file.
    pub(super) fn give_back(&self, memory: IndexMemory) {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.push(memory);
    }
}

impl Bound {
    /// Applies the conjuncts that can fail, and takes the output columns of what is left.
    fn survivors(
        &self,
        own: &[(usize, Made)],
        columns: &BlockColumns<'_>,
        mut rows: RowSet,
        given: &mut RowSet,
    ) -> Result<Option<Survivors>> {
        let _took = self.took.timer();
        for (_, conjunct) in own {
            if rows.is_empty() {
                return Ok(None);
            }
            rows = conjunct.holds(columns, &rows)?.0;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        given.unite(&rows);
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
#[derive(Debug)]
pub struct Deduplicator {
    /// Parts of unlike size: they grow one after the other, where one table of millions would stop the pass each time.
    seen: [Identities<u128>; PARTS],
    /// Copies that were dropped.
    pub dropped: u64,
}

/// Parts of what was seen.
const PARTS: usize = 32;

/// The part of an identity, by its first byte. The last part is twice as wide as the first and those between lie evenly,
/// so that they double one by one while the number of records does.
static PART_OF: LazyLock<[usize; 256]> = LazyLock::new(|| {
    let begins = |part: usize| (64 * part + part * part) / 12;
    std::array::from_fn(|byte| (1..PARTS).filter(|part| begins(*part) <= byte).count())
});

impl Default for Deduplicator {
    fn default() -> Self {
        Self {
            seen: std::array::from_fn(|_| Identities::default()),
            dropped: 0,
        }
    }
}

impl Deduplicator {
    /// Memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        // Seven of eight places are used, each with a byte beside it.
        let places = self.seen.iter().map(Identities::capacity);
        places.sum::<usize>() / 7 * 8 * (size_of::<u128>() + 1)
    }

    /// The rows that were not there before; `None` when none is left.
    ///
    /// # Errors
    /// When Arrow cannot filter a column.
    pub fn keep_first(&mut self, survivors: Survivors) -> Result<Option<RecordBatch>> {
        let mask: BooleanArray = survivors
            .ids
            .iter()
            .map(|id| Some(self.seen[part_of(*id)].insert(*id)))
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

fn part_of(id: u128) -> usize {
    let [first, ..] = id.to_be_bytes();
    PART_OF[usize::from(first)]
}

/// Rows of a block whose time is inside the plan's window; used by readers that decode whole columns.
pub(super) fn filter_block(block: Block, mask: &BooleanArray) -> Result<Block> {
    Ok(Block {
        columns: block
            .columns
            .iter()
            .map(|column| Ok(BlockColumn::Array(filter(column.whole(), mask)?)))
            .collect::<Result<Vec<_>>>()?,
        times: kept(block.times, mask),
        rows: kept(block.rows, mask),
        ids: block.ids.map(|ids| kept(ids, mask)),
        // Only blocks of lines have some, which were cut before.
        lines: None,
    })
}

fn kept<T>(values: Vec<T>, mask: &BooleanArray) -> Vec<T> {
    let rows = values.into_iter().enumerate();
    rows.filter(|(row, _)| mask.value(*row))
        .map(|(_, value)| value)
        .collect()
}
