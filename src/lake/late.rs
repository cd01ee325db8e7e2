//! Late decoding of Parquet: of a row group first the columns that decide which rows anybody wants, narrow ones before wide
//! ones, then the others; each time of those rows alone that may still be wanted. Where most rows are, the row group is read
//! with fewer looks or the plain way, and so is the rest of the file.
//!
//! Knows row groups and blocks, nothing of consumers.

use std::collections::BTreeSet;

use datafusion::arrow::array::{ArrayRef, new_null_array};
use datafusion::arrow::compute::{concat, filter};
use datafusion::arrow::datatypes::DataType;
use datafusion::parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::consumer::Predicates;
use super::decoded::{BLOCK_ROWS, Block, BlockColumn, DecodePlan, compact};
use super::decoder::{Decoder, Here};
use super::file_report::FileReport;
use super::form::ColumnType;
use super::index::RowSet;
use super::parquet::Readers;
use super::row_groups::Footer;

/// One row in so many is the most that decoding the columns which decide nothing late pays for.
const SPARSE: usize = 4;
/// One row in so many is the most that a look at narrow columns alone pays for.
const NARROWED: usize = 2;
/// Rows after which that is judged.
const TRIAL: usize = 32 * 1024;
/// Bytes a row up to which a column is narrow: numbers, and texts from a dictionary.
const NARROW: i64 = 16;

/// What to decode first, and what of wanted rows only.
#[derive(Debug)]
pub(super) struct Late {
    /// Each look decides on fewer rows.
    looks: Vec<Stage>,
    /// What decides nothing.
    rest: Part,
}

/// A look at some columns that decide.
#[derive(Debug)]
struct Stage {
    part: Part,
    /// The sources of values that are complete then; `None` when all are.
    sources: Option<Vec<bool>>,
}

/// Some columns of a file, by their slots, and the leaves that hold them.
#[derive(Debug)]
struct Part {
    slots: Vec<usize>,
    leaves: BTreeSet<usize>,
}

/// How a row group went.
pub(super) enum Went {
    /// It is read.
    Done,
    /// Nobody wants more of the file.
    Enough,
    /// Too many of its rows are wanted: it is to be read the plain way. Those before `counted` are counted.
    Dense { counted: i64 },
}

/// What the first look saw.
enum Seen {
    /// Few rows are wanted.
    Sparse,
    Dense,
    /// Nobody waits for the file any more.
    Stopped,
}

/// The columns of wanted rows, as far as they are decoded.
#[derive(Default)]
struct Kept {
    slots: Vec<usize>,
    /// By slot above, piece by piece.
    columns: Vec<Vec<ArrayRef>>,
    times: Vec<i64>,
    rows: Vec<i64>,
}

impl Late {
    /// How to read a file; `None` when all columns are needed at once.
    pub(super) fn of(plan: &DecodePlan, predicates: &Predicates, footer: &Footer) -> Option<Self> {
        let first = predicates.early()?;
        if plan.profile {
            return None;
        }
        // What the file does not have need not be decoded.
        let is_there = |slot: &usize| {
            first.contains(&plan.form_columns[*slot])
                || !(footer.leaves[*slot].is_empty() && footer.nested[*slot].is_empty())
        };
        let slots = (0..plan.form_columns.len()).filter(is_there);
        let (late, mut early): (Vec<usize>, Vec<usize>) = slots.partition(|slot| {
            !first.contains(&plan.form_columns[*slot]) && has_plainly(plan, footer, *slot)
        });
        // What is decoded anyway, for a column that has it too, need not be decoded again.
        let leaves = footer.leaves_of(early.iter().copied());
        let (decoded, late): (Vec<usize>, Vec<usize>) = late.into_iter().partition(|slot| {
            footer.leaves[*slot]
                .iter()
                .all(|leaf| leaves.contains(leaf))
        });
        early.extend(decoded);
        early.sort_unstable();
        let rest = Part::of(footer, late);
        let looks = Stage::of(plan, predicates, footer, early);
        (looks.len() > 1 || !rest.slots.is_empty()).then_some(Self { looks, rest })
    }

    /// The leaves that are decoded first.
    pub(super) fn first(&self) -> BTreeSet<usize> {
        let first = self.looks.first();
        first.map_or_else(BTreeSet::new, |look| look.part.leaves.clone())
    }

    /// The leaves that are decoded, of all rows or of some.
    pub(super) fn leaves(&self) -> BTreeSet<usize> {
        let parts = self.looks.iter().map(|look| &look.part);
        let parts = parts.chain([&self.rest]);
        parts.flat_map(|part| part.leaves.iter().copied()).collect()
    }

    /// Reads a row group, if it is worth it.
    pub(super) fn read(
        &mut self,
        file: &Decoder<'_>,
        group: Here<'_>,
        report: &mut FileReport,
        readers: &mut Readers<'_>,
    ) -> Went {
        let place = group.0;
        let mut counted = place.rows.start;
        while let Some(first) = self.looks.first() {
            let before = report.clone();
            let mut row = place.rows.start;
            let mut kept = Kept::of(&first.part.slots);
            let limit = if self.looks.len() > 1 {
                NARROWED
            } else {
                SPARSE
            };
            let look = First {
                stage: first,
                limit,
                counted,
            };
            let lost = match look.decode(file, group, &mut row, report, readers, &mut kept) {
                Ok(Seen::Sparse) => None,
                Ok(Seen::Stopped) => return Went::Enough,
                Ok(Seen::Dense) => {
                    counted = row;
                    *report = before;
                    self.look_less();
                    continue;
                }
                Err(error) => Some((row, error)),
            };
            return self.go_on(file, group, report, readers, kept, lost);
        }
        Went::Dense { counted }
    }

    /// One look at what was looked at in two; and none where it was one.
    fn look_less(&mut self) {
        let first = self.looks.remove(0);
        if let Some(next) = self.looks.first_mut() {
            next.part.slots.extend(first.part.slots);
            next.part.slots.sort_unstable();
            next.part.leaves.extend(first.part.leaves);
        }
    }

    /// What comes behind the first look.
    fn go_on(
        &self,
        file: &Decoder<'_>,
        group: Here<'_>,
        report: &mut FileReport,
        readers: &mut Readers<'_>,
        mut kept: Kept,
        mut lost: Option<(i64, String)>,
    ) -> Went {
        for look in &self.looks[1..] {
            let mut slots = [kept.slots.as_slice(), &look.part.slots].concat();
            slots.sort_unstable();
            let mut next = Kept::of(&slots);
            let went = kept.read(file, group, &look.part, report, &mut |block, _| {
                let rows = (readers.wanted)(&block, look.sources.as_deref());
                let rows = rows.unwrap_or_else(|| RowSet::all(block.times.len()));
                next.add(&block, &rows).map_err(|error| error.to_string())?;
                Ok(true)
            });
            match went {
                Ok(true) => {}
                Ok(false) => return Went::Enough,
                // Nothing behind it was kept.
                Err(place) => lost = Some(place),
            }
            kept = next;
        }
        let went = kept.read(file, group, &self.rest, report, &mut |block, report| {
            Ok((readers.sink)(&block, report))
        });
        match (went, lost) {
            (Ok(false), _) => return Went::Enough,
            (Err((row, error)), _) | (Ok(true), Some((row, error))) => {
                file.lose(group.0, row, &error, report);
            }
            (Ok(true), None) => {}
        }
        Went::Done
    }
}

/// The first look at a row group.
struct First<'a> {
    stage: &'a Stage,
    /// One row in so many is the most that may be wanted.
    limit: usize,
    /// Rows before it are counted.
    counted: i64,
}

impl First<'_> {
    /// Decodes what decides, and keeps the rows that are wanted. `row` is how far it came.
    fn decode(
        &self,
        file: &Decoder<'_>,
        group: Here<'_>,
        row: &mut i64,
        report: &mut FileReport,
        readers: &mut Readers<'_>,
        kept: &mut Kept,
    ) -> Result<Seen, String> {
        let start = group.0.rows.start;
        let Part { slots, leaves } = &self.stage.part;
        let mut batches = file.batches(group, leaves, None)?;
        while let Some(batch) = batches.next_batch()? {
            let read = batch.num_rows() as i64;
            file.count_rows(*row + read - self.counted.max(*row));
            let block = file.block(&batch, *row, slots, report)?;
            *row += read;
            let Some(rows) = (readers.wanted)(&block, self.stage.sources.as_deref()) else {
                return Ok(Seen::Dense);
            };
            let added = kept.add(&block, &rows);
            added.map_err(|error| error.to_string())?;
            let seen = usize::try_from(*row - start).unwrap_or(usize::MAX);
            if seen >= TRIAL && kept.rows.len() > seen / self.limit {
                return Ok(Seen::Dense);
            }
            if file.handles.stop.is_stopped() {
                return Ok(Seen::Stopped);
            }
        }
        Ok(Seen::Sparse)
    }
}

impl Stage {
    /// The looks at columns that decide: at all of them, or at narrow ones before, where these decide something.
    fn of(
        plan: &DecodePlan,
        predicates: &Predicates,
        footer: &Footer,
        slots: Vec<usize>,
    ) -> Vec<Self> {
        let clock = plan.table.form.time.iter().map(|time| time.column);
        let clock: Vec<usize> = clock.collect();
        let (narrow, wide): (Vec<usize>, Vec<usize>) = slots.iter().partition(|slot| {
            clock.contains(&plan.form_columns[**slot]) || is_narrow(footer, **slot)
        });
        let has = |column: &usize| {
            let slot = plan.slot_of(*column);
            narrow.contains(&slot)
        };
        let sources = predicates.sources_over(has);
        let says_something = sources.iter().any(|source| *source);
        if wide.is_empty() || !says_something {
            let part = Part::of(footer, slots);
            return vec![Self {
                part,
                sources: None,
            }];
        }
        vec![
            Self {
                part: Part::of(footer, narrow),
                sources: Some(sources),
            },
            Self {
                part: Part::of(footer, wide),
                sources: None,
            },
        ]
    }
}

impl Part {
    fn of(footer: &Footer, slots: Vec<usize>) -> Self {
        Self {
            leaves: footer.leaves_of(slots.iter().copied()),
            slots,
        }
    }
}

impl Kept {
    fn of(slots: &[usize]) -> Self {
        Self {
            slots: slots.to_vec(),
            columns: vec![Vec::new(); slots.len()],
            ..Self::default()
        }
    }

    fn add(&mut self, block: &Block, rows: &RowSet) -> datafusion::error::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mask = rows.mask();
        for (pieces, slot) in self.columns.iter_mut().zip(&self.slots) {
            pieces.push(compact(&filter(block.columns[*slot].whole(), &mask)?));
        }
        self.times.extend(rows.iter().map(|row| block.times[row]));
        self.rows.extend(rows.iter().map(|row| block.rows[row]));
        Ok(())
    }

    fn joined(&self) -> datafusion::error::Result<Vec<ArrayRef>> {
        let columns = self.columns.iter().map(|pieces| {
            let pieces: Vec<_> = pieces.iter().map(AsRef::as_ref).collect();
            Ok(concat(&pieces)?)
        });
        columns.collect()
    }

    /// Decodes more columns of the kept rows, and hands these on block by block; false when nobody wants more. Fails with the
    /// first row that it did not hand on.
    fn read(
        &self,
        file: &Decoder<'_>,
        group: Here<'_>,
        part: &Part,
        report: &mut FileReport,
        take: &mut dyn FnMut(Block, &mut FileReport) -> Result<bool, String>,
    ) -> Result<bool, (i64, String)> {
        let Some(first) = self.rows.first() else {
            return Ok(true);
        };
        let wrong = |error: String| (first - 1, error);
        let known = self.joined().map_err(|error| wrong(error.to_string()))?;
        let mut batches = None;
        if !part.leaves.is_empty() {
            let selection = selection(&self.rows, group.0.rows.start);
            let batch = file.batches(group, &part.leaves, Some(selection));
            batches = Some(batch.map_err(wrong)?);
        }
        let mut from = 0;
        while from < self.rows.len() {
            let here = |error: String| (self.rows[from] - 1, error);
            let mut columns: Vec<Option<ArrayRef>> = vec![None; file.plan.form_columns.len()];
            let mut count = (self.rows.len() - from).min(BLOCK_ROWS);
            if let Some(batches) = &mut batches {
                let Some(batch) = batches.next_batch().map_err(here)? else {
                    return Err(here("rows are missing at its end".to_owned()));
                };
                count = batch.num_rows();
                for slot in &part.slots {
                    let values = file.column(&batch, *slot, report);
                    columns[*slot] = Some(values.map_err(|error| here(error.to_string()))?);
                }
            }
            for (slot, column) in self.slots.iter().zip(&known) {
                columns[*slot] = Some(column.slice(from, count));
            }
            let columns = columns.into_iter().enumerate();
            let columns = columns.map(|(slot, column)| {
                let null = || new_null_array(&file.plan.type_of_slot(slot), count);
                BlockColumn::Array(column.unwrap_or_else(null))
            });
            let block = Block {
                columns: columns.collect(),
                times: self.times[from..from + count].to_vec(),
                rows: self.rows[from..from + count].to_vec(),
                ids: None,
                lines: None,
            };
            let goes_on = take(block, report).map_err(here)?;
            from += count;
            if !goes_on || file.handles.stop.is_stopped() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether the values of a column take few bytes a row.
fn is_narrow(footer: &Footer, slot: usize) -> bool {
    let metadata = footer.metadata.metadata();
    let bytes = metadata.row_groups().iter().flat_map(|group| {
        let leaves = footer.leaves[slot].iter().chain(&footer.nested[slot]);
        leaves.map(|leaf| group.column(*leaf).uncompressed_size())
    });
    bytes.sum::<i64>() <= NARROW * metadata.file_metadata().num_rows()
}

/// Rows of a file, counted from 1, as a selection of the row group that starts behind `start`.
fn selection(rows: &[i64], start: i64) -> RowSelection {
    let mut selectors: Vec<RowSelector> = Vec::new();
    let mut next = start + 1;
    for row in rows {
        if *row > next {
            selectors.push(RowSelector::skip(usize::try_from(row - next).unwrap_or(0)));
        }
        match selectors.last_mut() {
            Some(last) if !last.skip => last.row_count += 1,
            _ => selectors.push(RowSelector::select(1)),
        }
        next = row + 1;
    }
    RowSelection::from(selectors)
}

/// Whether a file has a column as one leaf of its own, of a type that fits.
pub(super) fn has_plainly(plan: &DecodePlan, footer: &Footer, slot: usize) -> bool {
    let ([leaf], []) = (
        footer.leaves[slot].as_slice(),
        footer.nested[slot].as_slice(),
    ) else {
        return false;
    };
    let descriptor = footer.metadata.parquet_schema().column(*leaf);
    let [name] = descriptor.path().parts() else {
        return false;
    };
    let column = &plan.table.form.columns[plan.form_columns[slot]];
    let field = footer.metadata.schema().field_with_name(name);
    field.is_ok_and(|field| fits(field.data_type(), column.column_type))
}

/// Whether all values of a type fit a declared one, so that nothing is to be counted of rows that nobody wants.
fn fits(arrow: &DataType, column_type: ColumnType) -> bool {
    match column_type {
        ColumnType::Text => matches!(
            arrow,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        ),
        ColumnType::Int => matches!(
            arrow,
            DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::UInt8
                | DataType::UInt16
                | DataType::UInt32
        ),
        ColumnType::Float => matches!(arrow, DataType::Float32 | DataType::Float64),
        ColumnType::Bool => *arrow == DataType::Boolean,
        ColumnType::Json => false,
    }
}
