//! Sysmon events as Parquet with the columns of flat EVTX, sorted by time, a row group for each quarter of the day: so that
//! a hunt over an hour reads one row group of four. It knows nothing of why an event happens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::SampleError;
use super::answers::Place;
use super::event::{Body, Event, Leaf, Running};
use super::forms::{put_details, put_guid, put_user};
use super::heads::{SYSMON_CHANNEL, writer_process};
use super::members::put_address;
use super::text::{
    DAY, put_date, put_hex_id, put_iso, put_number, put_padded, put_utc_time, text_of,
};
use super::writer::Tally;

/// Columns of text, in the order of the file; `EventRecordID` and `EventID` come before them as Int64.
const TEXT: [&str; 51] = [
    "Channel",
    "Provider",
    "Version",
    "Level",
    "Task",
    "TimeCreated",
    "Computer",
    "ExecutionProcessID",
    "SecurityUserID",
    "RuleName",
    "UtcTime",
    "ProcessGuid",
    "ProcessId",
    "Image",
    "FileVersion",
    "Description",
    "Product",
    "Company",
    "OriginalFileName",
    "CommandLine",
    "CurrentDirectory",
    "User",
    "LogonId",
    "TerminalSessionId",
    "IntegrityLevel",
    "Hashes",
    "ParentProcessGuid",
    "ParentProcessId",
    "ParentImage",
    "ParentCommandLine",
    "Protocol",
    "Initiated",
    "SourceIp",
    "SourcePort",
    "DestinationIp",
    "DestinationPort",
    "ImageLoaded",
    "Signed",
    "TargetFilename",
    "CreationUtcTime",
    "EventType",
    "TargetObject",
    "Details",
    "Operation",
    "EventNamespace",
    "Name",
    "Query",
    "Type",
    "Destination",
    "Consumer",
    "Filter",
];

const ROWS_A_BATCH: usize = 8192;
const ROWS_A_GROUP: usize = 122_880;
const ROWS_A_FILE: u64 = 1_000_000;
/// A row group ends at least this often: a quarter of a day.
const QUARTER: i64 = DAY / 4;

struct ColumnFile {
    path: PathBuf,
    relative: String,
    day: i64,
    quarter: i64,
    rows: u64,
    writer: ArrowWriter<File>,
}

/// All Parquet files of one collector.
pub(crate) struct ColumnSink {
    root: PathBuf,
    table: &'static str,
    stem: &'static str,
    schema: SchemaRef,
    record: Int64Builder,
    event_id: Int64Builder,
    text: Vec<StringBuilder>,
    /// The values of the row at hand, by position in `TEXT`; cleared, not dropped, from row to row.
    row: Vec<(bool, Vec<u8>)>,
    buffered: usize,
    file: Option<ColumnFile>,
    part: u32,
}

/// Position of a column in `TEXT`, found when the program is compiled.
const fn column(name: &str) -> usize {
    let wanted = name.as_bytes();
    let mut index = 0;
    while index < TEXT.len() {
        let have = TEXT[index].as_bytes();
        let mut same = have.len() == wanted.len();
        let mut byte = 0;
        while same && byte < wanted.len() {
            same = have[byte] == wanted[byte];
            byte += 1;
        }
        if same {
            return index;
        }
        index += 1;
    }
    TEXT.len()
}

macro_rules! put {
    ($row:expr, $name:literal, $text:expr) => {{
        const COLUMN: usize = column($name);
        let cell = &mut $row[COLUMN];
        cell.0 = true;
        cell.1.extend_from_slice($text.as_bytes());
    }};
    ($row:expr, $name:literal => $write:expr) => {{
        const COLUMN: usize = column($name);
        let cell = &mut $row[COLUMN];
        cell.0 = true;
        $write(&mut cell.1);
    }};
}

type Row = Vec<(bool, Vec<u8>)>;

impl ColumnSink {
    pub(crate) fn new(lake: &Path, table: &'static str, stem: &'static str) -> Self {
        let mut fields = vec![
            Field::new("EventRecordID", DataType::Int64, true),
            Field::new("EventID", DataType::Int64, true),
        ];
        fields.extend(TEXT.map(|name| Field::new(name, DataType::Utf8, true)));
        Self {
            root: lake.join(table),
            table,
            stem,
            schema: Arc::new(Schema::new(fields)),
            record: Int64Builder::new(),
            event_id: Int64Builder::new(),
            text: TEXT.iter().map(|_| StringBuilder::new()).collect(),
            row: vec![(false, Vec::new()); TEXT.len()],
            buffered: 0,
            file: None,
            part: 0,
        }
    }

    /// Writes one Sysmon event. Events come in order of time.
    pub(crate) fn write(
        &mut self,
        event: &Event<'_>,
        record: u64,
        tally: &mut Tally,
    ) -> Result<u64, SampleError> {
        let day = event.at.div_euclid(DAY);
        self.turn_to(day, event.at.div_euclid(QUARTER), tally)?;
        self.record.append_value(i64::try_from(record).unwrap_or(0));
        self.event_id
            .append_value(i64::try_from(event.body.event_id()).unwrap_or(0));
        fill(&mut self.row, event);
        for ((given, bytes), builder) in self.row.iter_mut().zip(&mut self.text) {
            if *given {
                builder.append_value(String::from_utf8_lossy(bytes));
            } else {
                builder.append_null();
            }
            *given = false;
            bytes.clear();
        }
        self.buffered += 1;
        if let Some(file) = &mut self.file {
            file.rows += 1;
        }
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
        if self.buffered == 0 {
            return Ok(());
        }
        self.buffered = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.record.finish()),
            Arc::new(self.event_id.finish()),
        ];
        for builder in &mut self.text {
            columns.push(Arc::new(builder.finish()));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        if let Some(file) = &mut self.file {
            let failed = |source| SampleError::parquet(&file.path, source);
            let batch = batch.map_err(|error: ArrowError| failed(error.into()))?;
            file.writer.write(&batch).map_err(failed)?;
        }
        Ok(())
    }

    fn turn_to(&mut self, day: i64, quarter: i64, tally: &mut Tally) -> Result<(), SampleError> {
        if let Some((of_day, of_quarter, rows)) = self
            .file
            .as_ref()
            .map(|file| (file.day, file.quarter, file.rows))
        {
            if of_day != day || rows >= ROWS_A_FILE {
                self.part = if of_day == day { self.part + 1 } else { 0 };
                self.finish(tally)?;
            } else if of_quarter != quarter {
                self.flush()?;
                if let Some(file) = &mut self.file {
                    file.quarter = quarter;
                    file.writer
                        .flush()
                        .map_err(|source| SampleError::parquet(&file.path, source))?;
                }
            }
        }
        if self.file.is_none() {
            self.file = Some(self.open(day, quarter)?);
        }
        Ok(())
    }

    fn open(&self, day: i64, quarter: i64) -> Result<ColumnFile, SampleError> {
        let folder = format!("day={}", text_of(|out| put_date(out, day)));
        let part = text_of(|out| put_padded(out, u64::from(self.part), 4));
        let name = format!("{}-{part}.parquet", self.stem);
        let relative = format!("{folder}/{name}");
        let path = self.root.join(&folder).join(name);
        fs::create_dir_all(self.root.join(&folder))
            .map_err(|source| SampleError::write(&path, source))?;
        let file = File::create(&path).map_err(|source| SampleError::write(&path, source))?;
        let level = ZstdLevel::try_new(3).map_err(|source| SampleError::parquet(&path, source))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(ROWS_A_GROUP))
            // Row groups are what is pruned here; page statistics of 53 columns would outweigh small groups.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by("lakehunt sample".to_owned())
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&self.schema), Some(properties))
            .map_err(|source| SampleError::parquet(&path, source))?;
        Ok(ColumnFile {
            path,
            relative,
            day,
            quarter,
            rows: 0,
            writer,
        })
    }
}

fn fill(row: &mut Row, event: &Event<'_>) {
    put!(row, "Channel", SYSMON_CHANNEL);
    put!(row, "Provider", "Microsoft-Windows-Sysmon");
    put!(row, "Version" => |out: &mut Vec<u8>| put_number(out, event.body.version()));
    put!(row, "Level", "4");
    put!(row, "Task" => |out: &mut Vec<u8>| put_number(out, event.body.task()));
    put!(row, "TimeCreated" => |out: &mut Vec<u8>| put_iso(out, event.logged));
    put!(row, "Computer", event.host.name);
    put!(row, "ExecutionProcessID" => |out: &mut Vec<u8>| put_number(out, u64::from(writer_process(event))));
    put!(row, "SecurityUserID", "S-1-5-18");
    put!(row, "RuleName", "-");
    put!(row, "UtcTime" => |out: &mut Vec<u8>| put_utc_time(out, event.at));
    match event.body {
        Body::Process { process, parent } => fill_process(row, event, process, parent),
        Body::Network {
            process,
            initiated,
            udp,
            source,
            destination,
        } => {
            fill_actor(row, event, process);
            let account = &event.accounts[process.account];
            put!(row, "User" => |out: &mut Vec<u8>| put_user(out, account, "\\"));
            put!(row, "Protocol", if udp { "udp" } else { "tcp" });
            put!(row, "Initiated", if initiated { "true" } else { "false" });
            put!(row, "SourceIp" => |out: &mut Vec<u8>| put_address(out, source.address));
            put!(row, "SourcePort" => |out: &mut Vec<u8>| put_number(out, u64::from(source.port)));
            put!(row, "DestinationIp" => |out: &mut Vec<u8>| put_address(out, destination.address));
            put!(row, "DestinationPort" => |out: &mut Vec<u8>| put_number(out, u64::from(destination.port)));
        }
        Body::ImageLoad { process, module } => {
            fill_actor(row, event, process);
            put!(row, "ImageLoaded", module.path);
            put!(row, "FileVersion", module.version);
            put!(row, "Description", module.description);
            put!(row, "Product", module.product);
            put!(row, "Company", module.company);
            put!(row, "OriginalFileName", module.original_name);
            put!(row, "Hashes", module.hashes());
            put!(row, "Signed", "true");
        }
        Body::FileCreate { process, target } => {
            fill_actor(row, event, process);
            put!(row, "TargetFilename", target);
            put!(row, "CreationUtcTime" => |out: &mut Vec<u8>| put_utc_time(out, event.at));
        }
        Body::Registry {
            process,
            target,
            value,
        } => {
            fill_actor(row, event, process);
            put!(row, "EventType", "SetValue");
            put!(row, "TargetObject", target);
            put!(row, "Details" => |out: &mut Vec<u8>| put_details(out, value));
        }
        Body::Record(record) => {
            for (name, leaf) in &record.fields {
                if let (Some(cell), Leaf::Text(text)) = (row.get_mut(column(name)), leaf) {
                    cell.0 = true;
                    cell.1.extend_from_slice(text.as_bytes());
                }
            }
        }
        // What Sysmon does not tell.
        _ => {}
    }
}

fn fill_actor(row: &mut Row, event: &Event<'_>, process: &Running) {
    let (mark, started, sequence) = (event.host.mark, process.started, process.sequence);
    put!(row, "ProcessGuid" => |out: &mut Vec<u8>| put_guid(out, mark, started, sequence, true));
    put!(row, "ProcessId" => |out: &mut Vec<u8>| put_number(out, u64::from(process.process_id)));
    put!(row, "Image", process.image());
}

fn fill_process(row: &mut Row, event: &Event<'_>, process: &Running, parent: &Running) {
    let program = process.program;
    let account = &event.accounts[process.account];
    fill_actor(row, event, process);
    put!(row, "FileVersion", program.version);
    put!(row, "Description", program.description);
    put!(row, "Product", program.product);
    put!(row, "Company", program.company);
    put!(row, "OriginalFileName", program.original_name);
    put!(row, "CommandLine", process.command_line);
    put!(row, "CurrentDirectory", process.directory);
    put!(row, "User" => |out: &mut Vec<u8>| put_user(out, account, "\\"));
    put!(row, "LogonId" => |out: &mut Vec<u8>| put_hex_id(out, account.logon));
    put!(row, "TerminalSessionId", process.integrity.session());
    put!(row, "IntegrityLevel", process.integrity.name());
    put!(row, "Hashes", program.hashes());
    let (mark, started, sequence) = (event.host.mark, parent.started, parent.sequence);
    put!(row, "ParentProcessGuid" => |out: &mut Vec<u8>| put_guid(out, mark, started, sequence, true));
    put!(row, "ParentProcessId" => |out: &mut Vec<u8>| put_number(out, u64::from(parent.process_id)));
    put!(row, "ParentImage", parent.image());
    put!(row, "ParentCommandLine", parent.command_line);
}
