//! What a reader hands on: blocks of decoded rows, and the plan that says which columns to decode.
//!
//! Both readers (NDJSON and Parquet) end here, so that clock, identity and system columns are the same for both.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringViewArray, TimestampMicrosecondArray,
    UInt32Array,
};
use datafusion::arrow::compute::{cast, filter, take};
use datafusion::arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use super::index::RowSet;
use super::kept_lines::{BlockLines, KeptLines};
use super::table::{ColumnKind, DataFile, Table};
use super::written::Written;
use crate::functions::{KeyedHasher, keyed_hash};
use crate::time::Window;

/// 1970-01-01T00:00:00Z, which is how sensors write that they have no time (`"0"`): the next source is asked.
pub const NEVER: i64 = 0;

/// Of fewer than one row in so many the texts are made for each reader anew; of more, once for all.
const SOME: usize = 4;

/// Rows in one block.
pub const BLOCK_ROWS: usize = 8192;

/// Which columns of which table to decode, for which time.
#[derive(Debug)]
pub struct DecodePlan {
    /// The table.
    pub table: Arc<Table>,
    /// Rows outside are dropped; `None` keeps all.
    pub window: Option<Window>,
    /// What the reports count as inside, oldest first: tiles, where `window` also holds the lookback before them. All time
    /// where there is none.
    pub focus: Vec<Window>,
    /// Whether reports say which columns a file has, and with which types.
    pub profile: bool,
    /// Where lines that somebody wants are kept, if they are.
    pub keep: Option<Arc<KeptLines>>,
    /// Columns of the decoded batches, as sorted indices into the table's schema.
    pub columns: Vec<usize>,
    /// Their schema.
    pub schema: SchemaRef,
    /// The form's columns that must be read for that: the wanted ones, those of the clock and of the identity.
    pub form_columns: Vec<usize>,
}

/// Decoded rows of one file, before system columns are added.
#[derive(Debug)]
pub struct Block {
    /// One per entry of [`DecodePlan::form_columns`].
    pub columns: Vec<BlockColumn>,
    /// Event times, microseconds since the epoch.
    pub times: Vec<i64>,
    /// Lines or rows, 1-based.
    pub rows: Vec<i64>,
    /// Content identities, where the reader knows them; else they are made of the columns, of the rows that need them.
    pub ids: Option<Vec<Option<u128>>>,
    /// The lines, where they are to be kept; an empty one where a row is a part of its line.
    pub lines: Option<BlockLines>,
}

/// A column of a block.
#[derive(Debug)]
pub enum BlockColumn {
    /// Of its declared type; times that the form has as text may be times still.
    Array(ArrayRef),
    /// The texts of lines.
    Written(Written),
}

impl BlockColumn {
    /// All rows.
    pub fn whole(&self) -> &ArrayRef {
        match self {
            Self::Array(array) => array,
            Self::Written(written) => written.whole(),
        }
    }

    /// Some rows, which do not keep the others alive.
    fn chosen(&self, rows: &ChosenRows) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Written(written) if rows.list.len() < rows.mask.len() / SOME => {
                Ok(written.array(rows.list.iter().copied()))
            }
            _ => Ok(compact(&filter(self.whole(), &rows.mask)?)),
        }
    }

    /// The text of a row.
    fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Self::Array(array) => {
                let texts = array.as_string_view_opt()?;
                texts.is_valid(row).then(|| Cow::Borrowed(texts.value(row)))
            }
            Self::Written(written) => written.text(row),
        }
    }

    /// The whole numbers, if it has such.
    fn numbers(&self) -> Option<&Int64Array> {
        match self {
            Self::Array(array) => array.as_primitive_opt::<Int64Type>(),
            Self::Written(_) => None,
        }
    }
}

impl DecodePlan {
    /// A plan for some columns of a table.
    pub fn new(
        table: Arc<Table>,
        window: Option<Window>,
        columns: impl IntoIterator<Item = usize>,
    ) -> Self {
        let mut columns: Vec<usize> = columns.into_iter().collect();
        columns.sort_unstable();
        columns.dedup();
        let table_schema = table.schema();
        let fields: Vec<_> = columns
            .iter()
            .map(|index| Arc::clone(&table_schema.fields()[*index]))
            .collect();
        let identity = table.form.identity;
        let mut form_columns: Vec<usize> = columns
            .iter()
            .filter_map(|index| match table.column_kind(*index) {
                ColumnKind::Form(index) => Some(index),
                _ => None,
            })
            .chain(table.form.time.iter().map(|time| time.column))
            .chain(identity.map(|identity| identity.host))
            .chain(identity.and_then(|identity| identity.channel))
            .chain(identity.map(|identity| identity.record))
            .collect();
        form_columns.sort_unstable();
        form_columns.dedup();
        Self {
            window,
            focus: window.into_iter().collect(),
            profile: false,
            keep: None,
            schema: Arc::new(Schema::new(fields)),
            columns,
            form_columns,
            table,
        }
    }

    /// The form's columns that one of [`Self::columns`], by its place, is made of, besides the clock.
    pub(super) fn form_columns_of(&self, place: usize) -> Vec<usize> {
        match self.table.column_kind(self.columns[place]) {
            ColumnKind::Form(column) => vec![column],
            ColumnKind::RecordId => {
                let identity = self.table.form.identity;
                let columns =
                    identity.map(|found| [Some(found.host), found.channel, Some(found.record)]);
                columns.into_iter().flatten().flatten().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The type of a decoded column of the form, by its place among them.
    pub(super) fn type_of_slot(&self, slot: usize) -> DataType {
        self.table.form.columns[self.form_columns[slot]]
            .column_type
            .arrow()
    }

    /// Where a form's column is among the decoded ones.
    pub fn slot_of(&self, form_column: usize) -> usize {
        self.form_columns
            .binary_search(&form_column)
            .unwrap_or_else(|_| unreachable!("columns of clock and identity are always decoded"))
    }

    /// Whether an event time is inside the window.
    pub fn wants(&self, micros: i64) -> bool {
        is_inside(self.window, micros)
    }

    /// Which focus an event time is inside of.
    pub fn focus_of(&self, micros: i64) -> Option<usize> {
        if self.focus.is_empty() {
            return Some(0);
        }
        let begun = self
            .focus
            .partition_point(|window| window.start.timestamp_micros() <= micros);
        let last = begun.checked_sub(1)?;
        is_inside(Some(self.focus[last]), micros).then_some(last)
    }

    /// What a record without a time is told.
    pub fn no_time_detail(&self) -> String {
        let form = &self.table.form;
        let names = form
            .time
            .iter()
            .map(|time| form.columns[time.column].name.as_str());
        format!(
            "none of {} holds a time",
            names.collect::<Vec<_>>().join(", ")
        )
    }

    /// One column of a block, by its place in [`Self::columns`]: of all rows, or of some, which then do not keep the
    /// whole block alive.
    ///
    /// # Errors
    /// When Arrow cannot filter it.
    pub fn column(
        &self,
        file: &DataFile,
        block: &Block,
        place: usize,
        rows: Option<&ChosenRows>,
    ) -> Result<ArrayRef, ArrowError> {
        let count = rows.map_or(block.times.len(), |rows| rows.list.len());
        Ok(match self.table.column_kind(self.columns[place]) {
            ColumnKind::Form(index) => {
                let column = &block.columns[self.slot_of(index)];
                let column = match rows {
                    Some(rows) => column.chosen(rows)?,
                    None => Arc::clone(column.whole()),
                };
                let wanted = self.schema.field(place).data_type();
                if column.data_type() == wanted {
                    column
                } else {
                    cast(&column, wanted)?
                }
            }
            ColumnKind::Partition(_) => {
                let name = self.schema.field(place).name();
                let mut partitions = file.partitions.iter();
                let value = partitions.find(|(partition, _)| partition == name);
                repeated(value.map_or("", |(_, value)| value), count)?
            }
            ColumnKind::EventTime => {
                let times = TimestampMicrosecondArray::from(chosen(&block.times, rows));
                Arc::new(times.with_timezone("UTC"))
            }
            ColumnKind::RecordId => {
                let ids = self.identities(file, block, rows);
                let ids = ids.into_iter().map(|id| format!("{id:032x}"));
                Arc::new(StringViewArray::from_iter_values(ids))
            }
            ColumnKind::Table => repeated(&self.table.name, count)?,
            ColumnKind::File => repeated(&file.object.path, count)?,
            ColumnKind::Row => {
                let places = chosen(&block.rows, rows).into_iter();
                let numbers = places.map(|place| file.number_of(place));
                Arc::new(numbers.collect::<Int64Array>())
            }
        })
    }

    /// The identities of rows of a block.
    pub fn identities(
        &self,
        file: &DataFile,
        block: &Block,
        rows: Option<&ChosenRows>,
    ) -> Vec<u128> {
        let identity = |row: usize| {
            let known = block.ids.as_ref().and_then(|ids| ids[row]);
            known.unwrap_or_else(|| self.identity_of(file, block, row))
        };
        match rows {
            Some(rows) => rows.list.iter().map(|row| identity(*row)).collect(),
            None => (0..block.times.len()).map(identity).collect(),
        }
    }

    /// The identity of a row by what its columns say.
    fn identity_of(&self, file: &DataFile, block: &Block, row: usize) -> u128 {
        let text = |column: usize| block.columns[self.slot_of(column)].text(row);
        let number = |column: usize| {
            let numbers = block.columns[self.slot_of(column)].numbers()?;
            numbers.is_valid(row).then(|| numbers.value(row))
        };
        let by_number = self.table.form.identity.and_then(|found| {
            let written = text(found.record);
            let record = match number(found.record) {
                Some(number) => Record::Number(number),
                None => Record::of(written.as_deref()?),
            };
            let channel = found.channel.and_then(|channel| {
                // An OCSF class is a number.
                let number = || number(channel).map(|number| number.to_string().into());
                text(channel).or_else(number)
            });
            let host = text(found.host)?;
            identity(
                &host,
                &channel.unwrap_or_default(),
                record,
                block.times[row],
            )
        });
        // A row without bytes of its own and without a record number: its place is its identity.
        by_number.unwrap_or_else(|| {
            let (table, path) = (&self.table.name, &file.object.path);
            let number = file.number_of(block.rows[row]);
            keyed_hash(format!("{table}\0{path}\0{number}").as_bytes())
        })
    }
}

/// Some rows of a block, as filters and as loops want them.
#[derive(Debug)]
pub struct ChosenRows {
    mask: BooleanArray,
    list: Vec<usize>,
}

impl ChosenRows {
    /// The rows of a set.
    pub fn of(rows: &RowSet) -> Self {
        Self {
            mask: rows.mask(),
            list: rows.iter().collect(),
        }
    }
}

fn chosen<T: Copy>(values: &[T], rows: Option<&ChosenRows>) -> Vec<T> {
    match rows {
        Some(rows) => rows.list.iter().map(|row| values[*row]).collect(),
        None => values.to_vec(),
    }
}

/// One text for so many rows; its bytes are there once.
fn repeated(text: &str, rows: usize) -> Result<ArrayRef, ArrowError> {
    let one = StringViewArray::from_iter_values([text]);
    take(&one, &UInt32Array::from(vec![0; rows]), None)
}

/// Copies the texts of the few rows that are left, so that they do not keep a whole block alive.
pub(super) fn compact(column: &ArrayRef) -> ArrayRef {
    match column.as_string_view_opt() {
        Some(texts) => Arc::new(texts.gc()),
        None => Arc::clone(column),
    }
}

fn is_inside(window: Option<Window>, micros: i64) -> bool {
    window.is_none_or(|window| {
        micros >= window.start.timestamp_micros() && micros < window.end.timestamp_micros()
    })
}

/// What tells a record of a log from the others: a number, or a text such as a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// A number; 0 and below count as none.
    Number(i64),
    /// A text that is no number; the empty one counts as none.
    Text(&'a str),
}

impl<'a> Record<'a> {
    /// What a text says: a number, however it is written, else itself.
    pub fn of(text: &'a str) -> Self {
        crate::functions::parse_int(text).map_or(Self::Text(text.trim()), Self::Number)
    }
}

/// The identity of a record by what the log says of it: host, log, record number and time.
///
/// `None` for an empty host or a number that is none: shippers that do not know it write 0 for every record.
/// A keyed hash of 128 bits, because attackers write the records.
pub fn identity(host: &str, channel: &str, record: Record<'_>, micros: i64) -> Option<u128> {
    if !says_which(host, record) {
        return None;
    }
    let mut hasher = KeyedHasher::default();
    hasher.add(b"record");
    hasher.add(&(host.len() as u64).to_le_bytes());
    hasher.add(host.as_bytes());
    hasher.add(&(channel.len() as u64).to_le_bytes());
    hasher.add(channel.as_bytes());
    match record {
        Record::Number(number) => hasher.add(&number.to_le_bytes()),
        Record::Text(text) => {
            hasher.add(b"text");
            hasher.add(text.as_bytes());
        }
    }
    hasher.add(&micros.to_le_bytes());
    Some(hasher.finish())
}

/// Whether a record is told from others by its host and number.
pub(super) fn says_which(host: &str, record: Record<'_>) -> bool {
    let says_something = match record {
        Record::Number(number) => number > 0,
        Record::Text(text) => !text.is_empty(),
    };
    !host.is_empty() && says_something
}
