//! The findings of a hunt and tile: rows in a total order, only those that count in this tile, as Parquet bytes that
//! are the same on every run.

use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

use super::value;
use crate::error::{Error, Result};
use crate::time::Window;

/// The findings of one hunt and tile.
#[derive(Debug, Clone)]
pub struct Findings {
    /// The rows, in a total order of all columns.
    pub rows: RecordBatch,
    /// Rows of the result without a `last_seen`: they belong to no tile.
    pub timeless: usize,
}

/// The column that says when a finding was last seen.
pub fn last_seen_column(batch: &RecordBatch) -> Option<&Arc<dyn Array>> {
    batch
        .column_by_name("last_seen")
        .or_else(|| batch.column_by_name("event_time"))
}

impl Findings {
    /// Keeps the rows whose `last_seen` (or `event_time`) is in the tile, and orders them.
    ///
    /// # Errors
    /// When Arrow cannot order a column of the result.
    pub fn of_tile(schema: &SchemaRef, batches: &[RecordBatch], tile: Window) -> Result<Self> {
        let all = concat_batches(schema, batches).map_err(|e| arrow(&e))?;
        let times = last_seen_column(&all)
            .ok_or_else(|| Error::failure("the result has neither `last_seen` nor `event_time`"))?;
        let inside: BooleanArray = (0..all.num_rows())
            .map(|row| Some(value::time(times, row).is_some_and(|time| tile.contains(time))))
            .collect();
        let rows = filter_record_batch(&all, &inside).map_err(|e| arrow(&e))?;
        Ok(Self {
            rows: in_total_order(&rows)?,
            timeless: (0..all.num_rows())
                .filter(|row| times.is_null(*row))
                .count(),
        })
    }

    /// The first rows, at most `limit`, for the file of findings.
    pub fn first(&self, limit: usize) -> RecordBatch {
        self.rows.slice(0, self.rows.num_rows().min(limit))
    }
}

fn in_total_order(batch: &RecordBatch) -> Result<RecordBatch> {
    if batch.num_rows() < 2 {
        return Ok(batch.clone());
    }
    let fields = batch
        .schema()
        .fields()
        .iter()
        .map(|field| SortField::new(field.data_type().clone()))
        .collect();
    let converter = RowConverter::new(fields).map_err(|e| arrow(&e))?;
    let rows = converter
        .convert_columns(batch.columns())
        .map_err(|e| arrow(&e))?;
    let mut order: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).collect();
    order.sort_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    take_record_batch(batch, &UInt32Array::from(order)).map_err(|e| arrow(&e))
}

/// A batch as the bytes of a Parquet file, the same for the same rows: no time, no random name inside.
///
/// # Errors
/// When a column has a type that Parquet cannot hold.
pub fn parquet_bytes(batch: &RecordBatch) -> Result<Vec<u8>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("lakehunt ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    // Arrow's own schema inside would make readers insist on types of this version of Arrow.
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options)
        .map_err(|e| parquet(&e))?;
    writer.write(batch).map_err(|e| parquet(&e))?;
    writer.close().map_err(|e| parquet(&e))?;
    Ok(bytes)
}

pub(super) fn arrow(error: &datafusion::arrow::error::ArrowError) -> Error {
    Error::failure(error.to_string())
}

pub(super) fn parquet(error: &datafusion::parquet::errors::ParquetError) -> Error {
    Error::failure(format!("cannot write Parquet: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, StringViewArray, TimestampMicrosecondArray};
    use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    fn batch(names: &[&str], micros: &[i64]) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("name", DataType::Utf8View, true),
            Field::new(
                "last_seen",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                true,
            ),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from(names.to_vec())),
            Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("UTC")),
        ];
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    fn tile() -> Window {
        Window::from_file_stem("19700101T000000Z_19700101T000001Z").unwrap()
    }

    #[test]
    fn any_order_of_batches_gives_the_same_bytes() {
        let one = [batch(&["b", "a"], &[1, 2]), batch(&["a"], &[1])];
        let other = [batch(&["a"], &[1]), batch(&["a", "b"], &[2, 1])];
        let bytes = |batches: &[RecordBatch]| {
            parquet_bytes(
                &Findings::of_tile(&batches[0].schema(), batches, tile())
                    .unwrap()
                    .rows,
            )
            .unwrap()
        };
        assert_eq!(bytes(&one), bytes(&other));
    }

    #[test]
    fn only_what_was_last_seen_in_the_tile_counts() {
        let rows = [batch(&["before", "in", "end"], &[-1, 0, 1_000_000])];
        let findings = Findings::of_tile(&rows[0].schema(), &rows, tile()).unwrap();
        assert_eq!(findings.rows.num_rows(), 1);
        let many = [batch(&["a", "b", "c"], &[0, 0, 0])];
        let findings = Findings::of_tile(&many[0].schema(), &many, tile()).unwrap();
        assert_eq!(findings.first(2).num_rows(), 2);
    }
}
