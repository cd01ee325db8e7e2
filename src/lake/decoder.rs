//! Batches and blocks of an open Parquet file, row group by row group.
//!
//! Blocking. Knows one file, nothing of consumers.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::RowSelection;
use datafusion::parquet::arrow::async_reader::{
    ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder,
};
use futures::StreamExt;
use tokio::runtime::Handle;

use super::decoded::{BLOCK_ROWS, Block, DecodePlan};
use super::file_report::FileReport;
use super::object_reader::ObjectReader;
use super::parquet::{Handles, Readers, block, caught, column, lose_group};
use super::row_groups::{Arrived, Footer, Group};
use super::table::DataFile;

/// Rows of a batch at least, however few of a row group are wanted: each costs something of its own.
const FEWEST_ROWS: usize = 1024;

/// A file whose row groups are decoded one after the other.
pub(super) struct Decoder<'a> {
    pub(super) plan: &'a DecodePlan,
    pub(super) file: &'a DataFile,
    pub(super) footer: &'a Footer,
    pub(super) handles: &'a Handles<'a>,
}

/// A row group, and the bytes of it that are here.
pub(super) type Here<'a> = (&'a Group, &'a Arrived);

/// Decoded batches of a row group. Of a bucket their bytes are fetched once more before they are called broken: a bit may
/// have flipped on the way.
pub(super) struct Batches<'a> {
    stream: ParquetRecordBatchStream<ObjectReader>,
    runtime: &'a Handle,
    /// Rows that were given.
    given: usize,
    /// The same without so many rows, with nothing at hand.
    again: Option<Again>,
}

type Again = Box<dyn FnOnce(usize) -> Result<ParquetRecordBatchStream<ObjectReader>, String>>;

impl Batches<'_> {
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>, String> {
        let mut batch = self.next_of_stream();
        if batch.is_err()
            && let Some(again) = self.again.take()
        {
            self.stream = again(self.given)?;
            batch = self.next_of_stream();
        }
        if let Ok(Some(batch)) = &batch {
            self.given += batch.num_rows();
        }
        batch
    }

    fn next_of_stream(&mut self) -> Result<Option<RecordBatch>, String> {
        caught(|| {
            let batch = self.runtime.block_on(self.stream.next()).transpose();
            batch.map_err(|error| error.to_string())
        })
    }
}

impl Decoder<'_> {
    /// Notes that a row group could not be read from a row on.
    pub(super) fn lose(&self, group: &Group, row: i64, error: &str, report: &mut FileReport) {
        let metadata = self.footer.metadata.metadata().row_group(group.index);
        lose_group(report, group.index, metadata, row..group.rows.end, error);
    }

    pub(super) fn count_bytes(&self, bytes: u64, report: &mut FileReport) {
        let progress = self.handles.progress;
        progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        report.bytes += bytes;
    }

    pub(super) fn count_rows(&self, rows: i64) {
        let rows = u64::try_from(rows).unwrap_or(0);
        let progress = self.handles.progress;
        progress.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Counts what some leaves of a row group cost besides those that are counted with it.
    pub(super) fn charge(&self, group: &Group, leaves: &BTreeSet<usize>, report: &mut FileReport) {
        let metadata = self.footer.metadata.metadata().row_group(group.index);
        let asked = leaves.difference(&self.footer.wanted);
        let bytes: i64 = asked
            .map(|leaf| metadata.column(*leaf).compressed_size())
            .sum();
        self.count_bytes(bytes.unsigned_abs(), report);
    }

    /// Some leaves of a row group, of all rows or of some.
    pub(super) fn batches(
        &self,
        (group, arrived): Here<'_>,
        leaves: &BTreeSet<usize>,
        rows: Option<RowSelection>,
    ) -> Result<Batches<'_>, String> {
        let metadata = self.footer.metadata.clone();
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), leaves.iter().copied());
        let index = group.index;
        // As many pages are open at a time as where all rows are read: one after the other is decoded into the same memory.
        let batch_rows = rows.as_ref().map_or(BLOCK_ROWS, |rows| {
            let all = usize::try_from(group.rows.end - group.rows.start).unwrap_or(usize::MAX);
            (BLOCK_ROWS.saturating_mul(rows.row_count()) / all.max(1)).max(FEWEST_ROWS)
        });
        let build = move |reader: ObjectReader, given: usize| {
            let mut builder =
                ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata.clone())
                    .with_projection(mask.clone())
                    .with_row_groups(vec![index])
                    .with_batch_size(batch_rows);
            if let Some(rows) = &rows {
                builder = builder.with_row_selection(rows.clone());
            }
            // Of the selected rows.
            let builder = builder.with_offset(given);
            builder.build().map_err(|error| error.to_string())
        };
        let reader = &arrived.reader;
        let stream = build(reader.clone(), 0)?;
        let again: Option<Again> = reader.is_remote().then(|| {
            let anew = reader.without();
            Box::new(move |given| build(anew, given)) as Again
        });
        Ok(Batches {
            stream,
            runtime: self.handles.runtime,
            given: 0,
            again,
        })
    }

    /// Whether the footer says of a column that is neither list nor map that it has another number of values than rows.
    pub(super) fn contradicts_itself(&self, group: &Group) -> bool {
        let metadata = self.footer.metadata.metadata().row_group(group.index);
        metadata.columns().iter().any(|column| {
            column.column_descr().max_rep_level() == 0 && column.num_values() != metadata.num_rows()
        })
    }

    /// Some columns of a decoded batch as a block; the others are NULL in it.
    pub(super) fn block(
        &self,
        batch: &RecordBatch,
        first_row: i64,
        slots: &[usize],
        report: &mut FileReport,
    ) -> Result<Block, String> {
        let block = block(self.plan, self.file, batch, first_row, slots, report);
        block.map_err(|error| error.to_string())
    }

    /// One column of a decoded batch.
    pub(super) fn column(
        &self,
        batch: &RecordBatch,
        slot: usize,
        report: &mut FileReport,
    ) -> datafusion::error::Result<ArrayRef> {
        Ok(column(self.plan, batch, slot, report)?.0)
    }

    /// Reads a row group with all columns; false when nobody wants more. Rows before `counted` were counted before.
    pub(super) fn read_whole(
        &self,
        group: Here<'_>,
        counted: i64,
        report: &mut FileReport,
        readers: &mut Readers<'_>,
    ) -> bool {
        let place = group.0;
        let slots: Vec<usize> = (0..self.plan.form_columns.len()).collect();
        let leaves = self.footer.leaves_of(slots.iter().copied());
        self.charge(place, &leaves, report);
        let mut row = place.rows.start;
        let mut batches = match self.batches(group, &leaves, None) {
            Ok(batches) => batches,
            Err(error) => {
                self.lose(place, row, &error, report);
                return true;
            }
        };
        loop {
            let block = batches.next_batch().and_then(|batch| {
                let Some(batch) = batch else { return Ok(None) };
                let rows = batch.num_rows() as i64;
                self.count_rows(row + rows - counted.max(row));
                let block = self.block(&batch, row, &slots, report)?;
                row += rows;
                Ok(Some(block))
            });
            match block {
                Ok(None) => return true,
                Ok(Some(block)) => {
                    let is_wanted = block.times.is_empty() || (readers.sink)(&block, report);
                    if !is_wanted || self.handles.stop.is_stopped() {
                        return false;
                    }
                }
                Err(error) => {
                    self.lose(place, row, &error, report);
                    return true;
                }
            }
        }
    }
}
