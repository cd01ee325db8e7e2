//! Late decoding of Parquet: of a row group first the columns that decide which rows anybody wants, then the others of
//! these rows alone. Where most rows are wanted, the row group is read the plain way, and so is the rest of the file.
//!
//! Knows row groups and blocks, nothing of consumers.

use std::collections::BTreeSet;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::{concat, filter};
use datafusion::arrow::datatypes::DataType;
use datafusion::parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::decoded::{Block, DecodePlan, compact};
use super::decoder::{Decoder, Here};
use super::file_report::FileReport;
use super::form::ColumnType;
use super::index::RowSet;
use super::parquet::Readers;
use super::row_groups::Footer;

/// One row in so many is the most that late decoding pays for.
const SPARSE: usize = 4;
/// Rows after which that is judged.
const TRIAL: usize = 32 * 1024;

/// What to decode first, and what of wanted rows only.
#[derive(Debug)]
pub(super) struct Late {
    early: Part,
    rest: Part,
    is_on: bool,
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
    /// By early slot, piece by piece.
    columns: Vec<Vec<ArrayRef>>,
    times: Vec<i64>,
    rows: Vec<i64>,
}

impl Late {
    /// How to read a file; `None` when all columns are needed at once.
    pub(super) fn of(plan: &DecodePlan, footer: &Footer) -> Option<Self> {
        let first = plan.early.as_ref()?;
        if plan.profile {
            return None;
        }
        let (late, mut early): (Vec<usize>, Vec<usize>) =
            (0..plan.form_columns.len()).partition(|slot| {
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
        if late.is_empty() {
            return None;
        }
        Some(Self {
            early: Part::of(footer, early),
            rest: Part::of(footer, late),
            is_on: true,
        })
    }

    /// The leaves that are decoded first.
    pub(super) fn first(&self) -> &BTreeSet<usize> {
        &self.early.leaves
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
        let mut row = place.rows.start;
        if !self.is_on {
            return Went::Dense { counted: row };
        }
        let before = report.clone();
        let mut kept = Kept {
            columns: vec![Vec::new(); self.early.slots.len()],
            ..Kept::default()
        };
        let mut lost = None;
        match self.first_look(file, group, &mut row, report, readers, &mut kept) {
            Ok(Seen::Sparse) => {}
            Ok(Seen::Stopped) => return Went::Enough,
            Ok(Seen::Dense) => {
                self.is_on = false;
                *report = before;
                return Went::Dense { counted: row };
            }
            Err(error) => lost = Some((row, error)),
        }
        let went = self.second_look(file, group, report, &kept, readers);
        match (went, lost) {
            (Ok(false), _) => return Went::Enough,
            (Err((row, error)), _) | (Ok(true), Some((row, error))) => {
                file.lose(place, row, &error, report);
            }
            (Ok(true), None) => {}
        }
        Went::Done
    }

    /// Decodes what decides, and keeps the rows that are wanted. `row` is how far it came.
    fn first_look(
        &self,
        file: &Decoder<'_>,
        group: Here<'_>,
        row: &mut i64,
        report: &mut FileReport,
        readers: &mut Readers<'_>,
        kept: &mut Kept,
    ) -> Result<Seen, String> {
        let start = group.0.rows.start;
        file.charge(group.0, &self.early.leaves, report);
        let mut batches = file.batches(group, &self.early.leaves, None)?;
        while let Some(batch) = batches.next_batch()? {
            let read = batch.num_rows() as i64;
            file.count_rows(read);
            let block = file.block(&batch, *row, &self.early.slots, report)?;
            *row += read;
            let Some(rows) = (readers.wanted)(&block) else {
                return Ok(Seen::Dense);
            };
            let added = kept.add(&block, &self.early.slots, &rows);
            added.map_err(|error| error.to_string())?;
            let seen = usize::try_from(*row - start).unwrap_or(usize::MAX);
            if seen >= TRIAL && kept.rows.len() > seen / SPARSE {
                return Ok(Seen::Dense);
            }
            if file.handles.stop.is_stopped() {
                return Ok(Seen::Stopped);
            }
        }
        Ok(Seen::Sparse)
    }

    /// Decodes the other columns of the rows that are wanted, and hands these on; false when nobody wants more.
    fn second_look(
        &self,
        file: &Decoder<'_>,
        group: Here<'_>,
        report: &mut FileReport,
        kept: &Kept,
        readers: &mut Readers<'_>,
    ) -> Result<bool, (i64, String)> {
        let Some(first) = kept.rows.first() else {
            return Ok(true);
        };
        let wrong = |error: String| (first - 1, error);
        let early = kept.joined().map_err(|error| wrong(error.to_string()))?;
        file.charge(group.0, &self.rest.leaves, report);
        let selection = selection(&kept.rows, group.0.rows.start);
        let mut batches = file
            .batches(group, &self.rest.leaves, Some(selection))
            .map_err(wrong)?;
        let mut from = 0;
        while from < kept.rows.len() {
            let here = |error: String| (kept.rows[from] - 1, error);
            let Some(batch) = batches.next_batch().map_err(here)? else {
                return Err(here("rows are missing at its end".to_owned()));
            };
            let count = batch.num_rows();
            let mut columns: Vec<Option<ArrayRef>> = vec![None; file.plan.form_columns.len()];
            for (slot, column) in self.early.slots.iter().zip(&early) {
                columns[*slot] = Some(column.slice(from, count));
            }
            for slot in &self.rest.slots {
                let values = file
                    .column(&batch, *slot, report)
                    .map_err(|error| here(error.to_string()))?;
                columns[*slot] = Some(values);
            }
            let block = Block {
                columns: columns.into_iter().flatten().collect(),
                times: kept.times[from..from + count].to_vec(),
                rows: kept.rows[from..from + count].to_vec(),
                ids: None,
            };
            from += count;
            if !(readers.sink)(block, report) || file.handles.stop.is_stopped() {
                return Ok(false);
            }
        }
        Ok(true)
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
    fn add(
        &mut self,
        block: &Block,
        early: &[usize],
        rows: &RowSet,
    ) -> datafusion::error::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mask = rows.mask();
        for (pieces, slot) in self.columns.iter_mut().zip(early) {
            pieces.push(compact(&filter(&block.columns[*slot], &mask)?));
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
fn has_plainly(plan: &DecodePlan, footer: &Footer, slot: usize) -> bool {
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
