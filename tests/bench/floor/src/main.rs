//! Decodes some columns of Parquet files and does nothing with them: no scan can be faster that decodes them.
//!
//!     floor THREADS COLUMN,COLUMN FILE...
//!
//! Prints seconds and rows. Columns that a file does not have are passed over; names ignore case.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arrow_schema::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Rows of a batch, as in a scan of lakehunt.
const BATCH: usize = 8192;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "floor THREADS COLUMN,COLUMN FILE...";
    let threads: usize = arguments.next().ok_or(usage)?.parse()?;
    let columns = arguments.next().ok_or(usage)?.to_lowercase();
    let columns: Vec<&str> = columns.split(',').collect();
    let files: Vec<String> = arguments.collect();
    let (next, rows) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let work = || -> Result<()> {
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                rows.fetch_add(decode(file, &columns)?, Ordering::Relaxed);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| "a thread crashed")??;
        }
        Ok(())
    })?;
    println!(
        "{} {}",
        started.elapsed().as_secs_f64(),
        rows.load(Ordering::Relaxed)
    );
    Ok(())
}

fn decode(path: &str, columns: &[&str]) -> Result<usize> {
    let file = File::open(path)?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    // Texts as views, as any engine reads them: those of a dictionary are not copied.
    let fields = metadata.schema().fields().iter();
    let fields: Vec<_> = fields
        .map(|field| match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => {
                let field = field.as_ref().clone();
                Arc::new(field.with_data_type(DataType::Utf8View))
            }
            _ => Arc::clone(field),
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let options = ArrowReaderOptions::new().with_schema(schema);
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)?;
    let descriptor = metadata.parquet_schema();
    let wanted = (0..descriptor.num_columns()).filter(|leaf| {
        let name = descriptor.column(*leaf).path().string().to_lowercase();
        columns.contains(&name.as_str())
    });
    let mask = ProjectionMask::leaves(descriptor, wanted);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_projection(mask)
        .with_batch_size(BATCH)
        .build()?;
    let mut rows = 0;
    for batch in reader {
        rows += std::hint::black_box(batch?).num_rows();
    }
    Ok(rows)
}
