//! What a reader hands on: blocks of decoded rows, and the plan that says which columns to decode.
//!
//! Both readers (NDJSON and Parquet) end here, so that clock, identity and system columns are the same for both.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringViewArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use super::table::{ColumnKind, DataFile, Table};
use crate::time::Window;

/// 1970-01-01T00:00:00Z, which is how sensors write that they have no time (`"0"`): the next source is asked.
pub const NEVER: i64 = 0;

/// Rows in one block.
pub const BLOCK_ROWS: usize = 8192;

/// Which columns of which table to decode, for which time.
#[derive(Debug)]
pub struct DecodePlan {
    /// The table.
    pub table: Arc<Table>,
    /// Rows outside are dropped; `None` keeps all.
    pub window: Option<Window>,
    /// What the reports count as inside: a tile, where `window` also holds the lookback before it.
    pub focus: Option<Window>,
    /// Whether reports say which columns a file has, and with which types.
    pub profile: bool,
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
    /// One array per entry of [`DecodePlan::form_columns`].
    pub columns: Vec<ArrayRef>,
    /// Event times, microseconds since the epoch.
    pub times: Vec<i64>,
    /// Lines or rows, 1-based.
    pub rows: Vec<i64>,
    /// Content identities.
    pub ids: Vec<u128>,
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
            focus: window,
            profile: false,
            schema: Arc::new(Schema::new(fields)),
            columns,
            form_columns,
            table,
        }
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

    /// Whether an event time is inside the focus.
    pub fn focuses(&self, micros: i64) -> bool {
        is_inside(self.focus, micros)
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

    /// Adds the system columns to a block.
    ///
    /// # Errors
    /// When arrays and schema disagree, which would be a bug of a reader.
    pub fn assemble(&self, file: &DataFile, block: &Block) -> Result<RecordBatch, ArrowError> {
        let rows = block.times.len();
        let repeated = |text: &str| -> ArrayRef {
            Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(
                text, rows,
            )))
        };
        let columns = self
            .columns
            .iter()
            .map(|index| match self.table.column_kind(*index) {
                ColumnKind::Form(index) => Arc::clone(&block.columns[self.slot_of(index)]),
                ColumnKind::Partition(_) => {
                    let schema = self.table.schema();
                    let name = schema.field(*index).name();
                    let value = file
                        .partitions
                        .iter()
                        .find(|(partition, _)| partition == name);
                    repeated(value.map_or("", |(_, value)| value))
                }
                ColumnKind::EventTime => Arc::new(
                    TimestampMicrosecondArray::from(block.times.clone()).with_timezone("UTC"),
                ),
                ColumnKind::RecordId => Arc::new(StringViewArray::from_iter_values(
                    block.ids.iter().map(|id| format!("{id:032x}")),
                )),
                ColumnKind::Table => repeated(&self.table.name),
                ColumnKind::File => repeated(&file.object.path),
                ColumnKind::Row => Arc::new(Int64Array::from(block.rows.clone())),
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
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
/// BLAKE3, cut to 128 bits: collision-resistant, because attackers write the records.
pub fn identity(host: &str, channel: &str, record: Record<'_>, micros: i64) -> Option<u128> {
    let says_nothing = match record {
        Record::Number(number) => number <= 0,
        Record::Text(text) => text.is_empty(),
    };
    if host.is_empty() || says_nothing {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"record");
    hasher.update(&(host.len() as u64).to_le_bytes());
    hasher.update(host.as_bytes());
    hasher.update(&(channel.len() as u64).to_le_bytes());
    hasher.update(channel.as_bytes());
    match record {
        Record::Number(number) => hasher.update(&number.to_le_bytes()),
        Record::Text(text) => hasher.update(b"text").update(text.as_bytes()),
    };
    hasher.update(&micros.to_le_bytes());
    Some(first_half(hasher.finalize()))
}

/// The identity of a record that has no number: its bytes.
pub fn content_identity(bytes: &[u8]) -> u128 {
    first_half(blake3::hash(bytes))
}

fn first_half(hash: blake3::Hash) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(half)
}
