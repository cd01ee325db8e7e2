//! Lines of JSON, JSON arrays and CSV by name: columns and types from a sample, nested fields as columns with dots.
//!
//! A line that is none costs itself; a value of another type than the sample had becomes NULL. Both are said.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringViewBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::DataFusionError;
use serde_json::{Map, Value};
use tokio::sync::mpsc::Sender;

use super::{Kind, SAMPLED_FILES, Shared};
use crate::error::{Error, Result};
use crate::lake::table::{FILE_COLUMN, ROW_COLUMN};
use crate::store::Object;

type Batches = Sender<datafusion::common::Result<RecordBatch>>;
type Row = Map<String, Value>;

/// Rows of a batch.
const ROWS: usize = 8192;

/// The columns of a sample, in the order in which they come.
pub(super) async fn infer(shared: &Arc<Shared>) -> Result<Vec<Field>> {
    let mut columns: Vec<(String, Option<DataType>)> = Vec::new();
    let mut left = shared.options.sample;
    let mut lost = None;
    for object in shared.objects.iter().take(SAMPLED_FILES) {
        if left == 0 {
            break;
        }
        let (shared, object) = (Arc::clone(shared), object.clone());
        let (reader, _stopper) = shared.open(&object).await?;
        let sampling = tokio::task::spawn_blocking(move || {
            let mut rows = Vec::new();
            let read = each(&shared, &object, reader, &mut |_, row| {
                rows.push(row);
                rows.len() < left
            });
            read.map(|_| rows)
                .map_err(|error| format!("{}: {error}", object.path))
        });
        match sampling
            .await
            .map_err(|error| Error::failure(error.to_string()))?
        {
            Ok(rows) => {
                left -= rows.len().min(left);
                for row in &rows {
                    walk(row, "", &mut |name, value| see(&mut columns, name, value));
                }
            }
            Err(error) => lost = Some(error),
        }
    }
    if columns.is_empty() {
        return Err(match lost {
            Some(lost) => Error::failure(format!("it cannot be read: {lost}")),
            None => Error::configuration("there is no record in it")
                .hint("lines of JSON objects, a JSON array of them, or CSV with a header"),
        });
    }
    let text = shared.options.all_text;
    let fields = columns.into_iter().map(|(name, found)| {
        let found = found.filter(|_| !text).unwrap_or(DataType::Utf8View);
        Field::new(name, found, true)
    });
    Ok(fields.collect())
}

/// Every value of a record by its dotted name.
fn walk(row: &Row, above: &str, see: &mut impl FnMut(&str, &Value)) {
    for (key, value) in row {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                walk(inner, &format!("{above}{key}."), see);
            }
            _ if above.is_empty() => see(key, value),
            _ => see(&format!("{above}{key}"), value),
        }
    }
}

/// Widens the type of a column to take a value too.
fn see(columns: &mut Vec<(String, Option<DataType>)>, name: &str, value: &Value) {
    let found = match value {
        Value::Null => None,
        Value::Bool(_) => Some(DataType::Boolean),
        Value::Number(number) if number.is_i64() => Some(DataType::Int64),
        Value::Number(number) if number.is_f64() => Some(DataType::Float64),
        _ => Some(DataType::Utf8View),
    };
    let index = columns.iter().position(|(known, _)| known == name);
    let Some(index) = index else {
        columns.push((name.to_owned(), found));
        return;
    };
    let known = &mut columns[index].1;
    *known = match (known.take(), found) {
        (None, other) | (other, None) => other,
        (Some(a), Some(b)) if a == b => Some(a),
        (Some(DataType::Int64), Some(DataType::Float64))
        | (Some(DataType::Float64), Some(DataType::Int64)) => Some(DataType::Float64),
        _ => Some(DataType::Utf8View),
    };
}

/// Gives every record of a file with its line, or place in an array, to `sink`, until it answers that it wants no more.
/// Gives how many lines were no records, and the first of them.
fn each(
    shared: &Shared,
    object: &Object,
    reader: Box<dyn Read + Send>,
    sink: &mut dyn FnMut(i64, Row) -> bool,
) -> std::io::Result<(u64, i64)> {
    if object.size == 0 {
        return Ok((0, 0));
    }
    let reader = shared.decompressed(object, reader)?;
    let mut reader = BufReader::with_capacity(256 * 1024, reader);
    if shared.kind == Kind::Csv {
        return csv(reader, sink);
    }
    let begin = reader.fill_buf()?;
    let begin = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begin);
    let first = begin.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let mut text = Vec::new();
        reader.read_to_end(&mut text)?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let rows: Vec<Value> = serde_json::from_slice(text)?;
        let mut bad = (0, 0);
        for (number, row) in (1..).zip(rows) {
            match row {
                Value::Object(row) => {
                    if !sink(number, row) {
                        break;
                    }
                }
                _ => bad = (bad.0 + 1, if bad.0 == 0 { number } else { bad.1 }),
            }
        }
        return Ok(bad);
    }
    let mut bad = (0, 0);
    let mut line = Vec::new();
    let mut number = 0;
    while {
        line.clear();
        reader.read_until(b'\n', &mut line)? > 0
    } {
        number += 1;
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<Row>(text) {
            Ok(row) => {
                if !sink(number, row) {
                    break;
                }
            }
            Err(_) => bad = (bad.0 + 1, if bad.0 == 0 { number } else { bad.1 }),
        }
    }
    Ok(bad)
}

fn csv(reader: impl Read, sink: &mut dyn FnMut(i64, Row) -> bool) -> std::io::Result<(u64, i64)> {
    use datafusion::arrow::array::{Array, AsArray};
    use datafusion::arrow::csv::reader::{Format, ReaderBuilder};
    use datafusion::arrow::datatypes::Schema;

    let wrong = |error: datafusion::arrow::error::ArrowError| std::io::Error::other(error);
    // The header is read first, and so by itself: the reader cannot go back.
    let mut reader = BufReader::new(reader);
    let mut header = Vec::new();
    reader.read_until(b'\n', &mut header)?;
    let named = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&header);
    let format = Format::default().with_header(true);
    let (schema, _) = format.infer_schema(named, Some(0)).map_err(wrong)?;
    let fields = schema.fields().iter();
    let names: Vec<String> = fields.map(|field| field.name().trim().to_owned()).collect();
    let fields = names
        .iter()
        .map(|name| Field::new(name, DataType::Utf8, true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batches = ReaderBuilder::new(schema)
        .with_header(false)
        .with_truncated_rows(true)
        .build(reader)
        .map_err(wrong)?;
    let mut number = 1;
    for batch in batches {
        let batch = batch.map_err(wrong)?;
        for row in 0..batch.num_rows() {
            number += 1;
            let cells = names.iter().zip(batch.columns()).map(|(name, column)| {
                let texts = column.as_string::<i32>();
                let value = if texts.is_null(row) {
                    Value::Null
                } else {
                    texts.value(row).into()
                };
                (name.clone(), value)
            });
            if !sink(number, cells.collect()) {
                return Ok((0, 0));
            }
        }
    }
    Ok((0, 0))
}

/// Reads one file; false when nobody listens any more.
pub(super) async fn read(
    shared: &Arc<Shared>,
    object: &Object,
    schema: &SchemaRef,
    whole: &SchemaRef,
    sender: &Batches,
) -> std::result::Result<bool, String> {
    let opened = shared.open(object).await;
    let (reader, _stopper) = opened.map_err(|error| error.message().to_owned())?;
    let (shared, object) = (Arc::clone(shared), object.clone());
    let (schema, whole, sender) = (Arc::clone(schema), Arc::clone(whole), sender.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut batch = Batch::new(&schema, &whole, &object.path);
        let mut listens = true;
        let read = each(&shared, &object, reader, &mut |line, row| {
            batch.add(line, &row);
            if batch.rows == ROWS {
                listens = sender.blocking_send(batch.take()).is_ok();
            }
            listens
        });
        if listens && batch.rows > 0 {
            listens = sender.blocking_send(batch.take()).is_ok();
        }
        batch.complain(&shared, &object);
        let (bad, first) = read.map_err(|error| error.to_string())?;
        if bad > 0 {
            shared.note(format!(
                "{}: {bad} of its lines are no JSON objects, the first is {first}",
                object.path
            ));
        }
        Ok(listens)
    });
    reading.await.map_err(|error| error.to_string())?
}

/// A column that is being filled.
enum Filling {
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Text(StringViewBuilder),
    File,
    Row(Int64Builder),
}

struct Batch {
    schema: SchemaRef,
    path: String,
    /// Index of each wanted column by its dotted name.
    places: BTreeMap<String, usize>,
    /// All columns that the sample had.
    known: std::collections::BTreeSet<String>,
    columns: Vec<Filling>,
    rows: usize,
    /// Values that did not fit, by column.
    misfits: BTreeMap<String, u64>,
    /// Columns that the sample did not have.
    strangers: std::collections::BTreeSet<String>,
}

impl Batch {
    fn new(schema: &SchemaRef, whole: &SchemaRef, path: &str) -> Self {
        let names = schema.fields().iter().enumerate();
        let places = names.map(|(index, field)| (field.name().clone(), index));
        let known = whole.fields().iter().map(|field| field.name().clone());
        Self {
            columns: empty(schema),
            schema: Arc::clone(schema),
            path: path.to_owned(),
            places: places.collect(),
            known: known.collect(),
            rows: 0,
            misfits: BTreeMap::new(),
            strangers: std::collections::BTreeSet::new(),
        }
    }

    fn add(&mut self, line: i64, row: &Row) {
        let mut filled = vec![false; self.columns.len()];
        let Self {
            columns,
            places,
            known,
            misfits,
            strangers,
            ..
        } = self;
        walk(row, "", &mut |name, value| {
            let Some(&place) = places.get(name) else {
                if strangers.len() < 100 && !known.contains(name) {
                    strangers.insert(name.to_owned());
                }
                return;
            };
            if filled[place] || matches!(columns[place], Filling::File | Filling::Row(_)) {
                return;
            }
            filled[place] = true;
            if !columns[place].push(value) {
                *misfits.entry(name.to_owned()).or_default() += 1;
            }
        });
        for (column, filled) in columns.iter_mut().zip(filled) {
            match column {
                Filling::Row(numbers) => numbers.append_value(line),
                Filling::File => {}
                _ if filled => {}
                _ => {
                    column.push(&Value::Null);
                }
            }
        }
        self.rows += 1;
    }

    fn take(&mut self) -> datafusion::common::Result<RecordBatch> {
        let rows = std::mem::take(&mut self.rows);
        let columns = std::mem::replace(&mut self.columns, empty(&self.schema));
        let columns = columns
            .into_iter()
            .map(|column| column.finish(&self.path, rows));
        let options =
            datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect(), &options)
            .map_err(|error| DataFusionError::ArrowError(Box::new(error), None))
    }

    fn complain(&self, shared: &Shared, object: &Object) {
        for (column, times) in &self.misfits {
            shared.note(format!(
                "{}: {times} values of `{column}` have another type than in the sample, and are NULL; \
                 `all_text => true` or a larger `sample` reads them",
                object.path
            ));
        }
        if !self.strangers.is_empty() {
            let names: Vec<_> = self.strangers.iter().map(String::as_str).collect();
            shared.note(format!(
                "{}: the sample did not have {}; a larger `sample` finds them",
                object.path,
                names.join(", ")
            ));
        }
    }
}

fn empty(schema: &SchemaRef) -> Vec<Filling> {
    let fields = schema.fields().iter();
    let columns = fields.map(|field| match (field.name().as_str(), field.data_type()) {
        (FILE_COLUMN, _) => Filling::File,
        (ROW_COLUMN, _) => Filling::Row(Int64Builder::new()),
        (_, DataType::Int64) => Filling::Int(Int64Builder::new()),
        (_, DataType::Float64) => Filling::Float(Float64Builder::new()),
        (_, DataType::Boolean) => Filling::Bool(BooleanBuilder::new()),
        _ => Filling::Text(StringViewBuilder::new()),
    });
    columns.collect()
}

impl Filling {
    /// Appends a value; false when it does not fit and is NULL.
    fn push(&mut self, value: &Value) -> bool {
        match self {
            Self::Int(numbers) => {
                numbers.append_option(value.as_i64());
                value.is_null() || value.is_i64()
            }
            Self::Float(numbers) => {
                numbers.append_option(value.as_f64());
                value.is_null() || value.is_number()
            }
            Self::Bool(flags) => {
                flags.append_option(value.as_bool());
                value.is_null() || value.is_boolean()
            }
            Self::Text(texts) => {
                match value {
                    Value::Null => texts.append_null(),
                    Value::String(text) => texts.append_value(text),
                    other => texts.append_value(other.to_string()),
                }
                true
            }
            Self::File | Self::Row(_) => true,
        }
    }

    fn finish(self, path: &str, rows: usize) -> ArrayRef {
        match self {
            Self::Int(mut numbers) | Self::Row(mut numbers) => Arc::new(numbers.finish()),
            Self::Float(mut numbers) => Arc::new(numbers.finish()),
            Self::Bool(mut flags) => Arc::new(flags.finish()),
            Self::Text(mut texts) => Arc::new(texts.finish()),
            Self::File => {
                let mut texts = StringViewBuilder::new();
                (0..rows).for_each(|_| texts.append_value(path));
                Arc::new(texts.finish())
            }
        }
    }
}
