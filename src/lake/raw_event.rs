//! Raw events read back by their place: the line or element of an NDJSON file, the row of a Parquet file, as text.
//!
//! Knows places, not what the events say: nothing is flattened, mapped or filtered, so that people see what the sensor
//! wrote. Blocking where a file is decompressed; of Parquet only the pages that hold the rows are decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use datafusion::parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use futures::TryStreamExt;

use super::config::{Compression, Format};
use super::decompress::{decompress, decompress_as_found};
use super::encoding::decode;
use super::lines::Lines;
use super::object_reader::ObjectReader;
use super::table::Table;
use crate::error::{Error, Result};
use crate::store::{Earlier, Object, Reading, Stopper};

/// Some events of a file.
#[derive(Debug)]
pub struct RawEvents {
    /// As JSON text, by row.
    pub texts: BTreeMap<i64, String>,
    /// As a file of the same format that holds them alone.
    pub file: Bytes,
    /// Which rows of their file those of [`Self::file`] are; `None` where they have the same places in both.
    pub numbers: Option<Vec<i64>>,
}

/// The events of some rows of a file (1-based). A row that is not there is left out.
///
/// # Errors
/// A failure that names the file, when it is gone or cannot be decoded up to the last of the rows.
pub async fn read(table: &Arc<Table>, object: &Object, rows: &BTreeSet<i64>) -> Result<RawEvents> {
    let read = match table.format {
        Format::Parquet => parquet_rows(table, object, rows).await,
        Format::Ndjson | Format::Csv => lines(table, object, rows).await.map(of_lines),
    };
    read.map_err(|error| {
        Error::failure(format!("cannot be read back: {}", error.message()))
            .in_file(table.location.display(&object.path))
    })
}

/// Some lines, by number, with nothing between them: empty lines are no records, and keep the numbers of those that are.
pub fn of_lines(texts: BTreeMap<i64, String>) -> RawEvents {
    let mut file = String::new();
    let mut next = 1;
    for (number, line) in &texts {
        let between = usize::try_from(number - next).unwrap_or(0);
        file.extend(std::iter::repeat_n('\n', between));
        // A record over several lines: none of their ends is inside a string.
        file.push_str(&line.replace(['\n', '\r'], " "));
        file.push('\n');
        next = number + 1;
    }
    RawEvents {
        texts,
        file: file.into(),
        numbers: None,
    }
}

async fn lines(
    table: &Arc<Table>,
    object: &Object,
    rows: &BTreeSet<i64>,
) -> Result<BTreeMap<i64, String>> {
    let stopper = Stopper::new();
    let reading = Reading {
        budget: Arc::clone(&table.read_ahead),
        stop: stopper.stop(),
    };
    let once = Earlier::default();
    let opened = table.location.open_object(object, &reading, &once);
    let reader = opened.await?;
    let by_name = Compression::of(&object.path);
    let compression = table.compression;
    let rows = rows.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut found = BTreeMap::new();
        let plain = match compression {
            Some(compression) => decompress(compression, reader),
            None => decompress_as_found(by_name, reader),
        };
        let (reader, encoding) = plain.and_then(decode)?;
        let mut lines = Lines::new(reader, encoding);
        while found.len() < rows.len() {
            let Some(line) = lines.next_line()? else {
                break;
            };
            let number = line.number.cast_signed();
            if rows.contains(&number) {
                let bytes = line.bytes.strip_prefix(b"\xef\xbb\xbf");
                let text = String::from_utf8_lossy(bytes.unwrap_or(line.bytes));
                found.insert(number, text.into_owned());
            } else if rows.last().is_some_and(|last| number > *last) {
                break;
            }
        }
        Ok::<_, std::io::Error>(found)
    });
    let read = reading
        .await
        .map_err(|error| Error::failure(error.to_string()))?;
    read.map_err(|error| Error::failure(error.to_string()))
}

async fn parquet_rows(
    table: &Arc<Table>,
    object: &Object,
    rows: &BTreeSet<i64>,
) -> Result<RawEvents> {
    let failed = |error: &dyn std::fmt::Display| Error::failure(error.to_string());
    let reader = ObjectReader::new(&table.location, object);
    let builder = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .map_err(|error| failed(&error))?;
    let total = builder.metadata().file_metadata().num_rows();
    let schema = Arc::clone(builder.schema());
    let rows: Vec<i64> = rows
        .iter()
        .copied()
        .filter(|row| (1..=total).contains(row))
        .collect();
    let mut selectors = Vec::new();
    let mut next = 1;
    for row in &rows {
        let between = usize::try_from(row - next).unwrap_or(usize::MAX);
        selectors.push(RowSelector::skip(between));
        selectors.push(RowSelector::select(1));
        next = row + 1;
    }
    let stream = builder
        .with_row_selection(RowSelection::from(selectors))
        .build()
        .map_err(|error| failed(&error))?;
    let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(|error| failed(&error))?;
    let texts = texts(&batches).map_err(|error| failed(&error))?;
    let file = file(schema, &batches).map_err(|error| failed(&error))?;
    Ok(RawEvents {
        texts: rows.iter().copied().zip(texts).collect(),
        file: file.into(),
        numbers: Some(rows),
    })
}

fn texts(batches: &[RecordBatch]) -> datafusion::arrow::error::Result<Vec<String>> {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(str::to_owned).collect())
}

fn file(
    schema: SchemaRef,
    batches: &[RecordBatch],
) -> datafusion::parquet::errors::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, schema, None)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.close()?;
    Ok(file)
}
