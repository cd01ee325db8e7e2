//! Nested Parquet in the folders of an Amazon Security Lake: one class a table, sorted by time. Rows are written as JSON and
//! decoded by the schema. It knows nothing of why an event happens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::arrow::json::ReaderBuilder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::SampleError;
use super::answers::Place;
use super::event::Event;
use super::ocsf;
use super::text::{DAY, put_date, text_of};
use super::writer::Tally;

const ROWS_A_BATCH: usize = 8192;
const ROWS_A_FILE: u64 = 500_000;

struct NestedFile {
    path: PathBuf,
    relative: String,
    day: i64,
    rows: u64,
    writer: ArrowWriter<File>,
}

/// All files of one class.
pub(crate) struct NestedSink {
    root: PathBuf,
    table: &'static str,
    /// The custom source's name, which is the first folder.
    source: &'static str,
    schema: SchemaRef,
    lines: Vec<u8>,
    buffered: usize,
    file: Option<NestedFile>,
    part: u32,
}

impl NestedSink {
    pub(crate) fn new(lake: &Path, network: bool) -> Self {
        let (table, source) = if network {
            ("ocsf_network", "CORP_NETWORK_ACTIVITY")
        } else {
            ("ocsf_process", "CORP_PROCESS_ACTIVITY")
        };
        Self {
            root: lake.join(table),
            table,
            source,
            schema: ocsf::schema(network),
            lines: Vec::new(),
            buffered: 0,
            file: None,
            part: 0,
        }
    }

    /// Writes one event. Events come in order of time.
    pub(crate) fn write(
        &mut self,
        event: &Event<'_>,
        record: u64,
        tally: &mut Tally,
    ) -> Result<u64, SampleError> {
        let day = event.at.div_euclid(DAY);
        if let Some((of_day, rows)) = self.file.as_ref().map(|file| (file.day, file.rows))
            && (of_day != day || rows >= ROWS_A_FILE)
        {
            self.part = if of_day == day { self.part + 1 } else { 0 };
            self.finish(tally)?;
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open(day)?,
        };
        file.rows += 1;
        self.file = Some(file);
        ocsf::put(&mut self.lines, event, record);
        self.lines.push(b'\n');
        self.buffered += 1;
        if self.buffered >= ROWS_A_BATCH {
            self.flush()?;
        }
        tally.add(self.table, day, 1, 1);
        Ok(1)
    }

    /// Where the last event went.
    pub(crate) fn place(&self) -> Place {
        let (file, row) = self.file.as_ref().map_or((String::new(), 0), |file| {
            (file.relative.clone(), file.rows)
        });
        Place {
            table: self.table.to_owned(),
            file,
            row,
        }
    }

    /// Ends the open file.
    pub(crate) fn finish(&mut self, tally: &mut Tally) -> Result<(), SampleError> {
        self.flush()?;
        if let Some(file) = self.file.take() {
            file.writer
                .close()
                .map_err(|source| SampleError::parquet(&file.path, source))?;
            tally
                .files
                .push(format!("{}/{}", self.table, file.relative));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SampleError> {
        self.buffered = 0;
        let lines = std::mem::take(&mut self.lines);
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let failed = |source| SampleError::parquet(&file.path, source);
        let rows = ReaderBuilder::new(self.schema.clone())
            .with_batch_size(ROWS_A_BATCH)
            .build(lines.as_slice())
            .and_then(Iterator::collect::<Result<Vec<_>, ArrowError>>)
            .map_err(|error| failed(error.into()))?;
        for batch in rows {
            file.writer.write(&batch).map_err(failed)?;
        }
        self.lines = lines;
        self.lines.clear();
        Ok(())
    }

    fn open(&self, day: i64) -> Result<NestedFile, SampleError> {
        let date = text_of(|out| put_date(out, day)).replace('-', "");
        let folder = format!(
            "ext/{}/region=eu-west-1/accountId=000412907733/eventDay={date}",
            self.source
        );
        let relative = format!("{folder}/part-{:04}.parquet", self.part);
        let path = self.root.join(&relative);
        fs::create_dir_all(self.root.join(&folder))
            .map_err(|source| SampleError::write(&path, source))?;
        let file = File::create(&path).map_err(|source| SampleError::write(&path, source))?;
        let level = ZstdLevel::try_new(3).map_err(|source| SampleError::parquet(&path, source))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by("lakehunt sample".to_owned())
            .build();
        let writer = ArrowWriter::try_new(file, self.schema.clone(), Some(properties))
            .map_err(|source| SampleError::parquet(&path, source))?;
        Ok(NestedFile {
            path,
            relative,
            day,
            rows: 0,
            writer,
        })
    }
}
