//! NDJSON files, and files that are one JSON array: plain, gzip with several members, zstd with several frames; in UTF-8,
//! or in UTF-16 with a byte order mark. A broken line or element goes to quarantine with its place and costs nothing else.
//!
//! Blocking; runs on a thread of its own. Knows nothing of queries.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::columns::Columns;
use super::config::Compression;
use super::decoded::{BLOCK_ROWS, Block, DecodePlan, NEVER, Record, content_identity, identity};
use super::encoding::decode;
use super::file_report::{FileReport, Progress};
use super::lines::Lines;
use super::quarantine::BadRecord;
use super::row::{Row, RowShape, Slot};
use super::table::DataFile;

/// How often the counters for the terminal are told of rows.
const PROGRESS_ROWS: u64 = 1024;

/// Text of a block after which it is handed on, however few its rows are: a file of long lines must not fill the memory.
const BLOCK_BYTES: usize = 8 * 1024 * 1024;

/// Counts the bytes that are read, as they lie on disk.
struct Counted<R> {
    reader: R,
    progress: Arc<Progress>,
    /// Of this file.
    own: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.progress
            .bytes
            .fetch_add(read as u64, Ordering::Relaxed);
        self.own.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

pub(super) fn decompress(
    compression: Compression,
    reader: impl Read + Send + 'static,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::Gzip => {
            let reader = BufReader::with_capacity(128 * 1024, reader);
            Box::new(flate2::bufread::MultiGzDecoder::new(reader))
        }
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
        Compression::None => Box::new(reader),
    })
}

/// Reads a file and gives its rows block by block to `sink`, which answers whether it wants more.
pub fn read(
    plan: &DecodePlan,
    file: &DataFile,
    reader: Box<dyn Read + Send>,
    progress: &Arc<Progress>,
    report: &mut FileReport,
    sink: &mut dyn FnMut(Block, &mut FileReport) -> bool,
) {
    if file.object.size == 0 {
        // Nothing is no broken gzip.
        return;
    }
    let bytes_read = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        // A file that grows is read as far as the listing, and so the ledger, knows it; the rest makes the tile stale.
        reader: reader.take(file.object.size),
        progress: Arc::clone(progress),
        own: Arc::clone(&bytes_read),
    };
    let by_name = Compression::of(&file.object.path);
    let compression = plan.table.compression.unwrap_or(by_name);
    let (reader, encoding) = match decompress(compression, counted).and_then(decode) {
        Ok(decoded) => decoded,
        Err(error) => {
            report.lost = Some(format!("after 0 records: {error}"));
            return;
        }
    };
    let form = &plan.table.form;
    let shape = RowShape::new(plan.form_columns.iter().map(|index| &form.columns[*index]));
    let mut row = shape.row();
    let mut columns = Columns::new(&shape);
    let mut pending = Pending::default();
    let mut lines = Lines::new(reader, encoding);
    let mut wanted = true;
    while wanted {
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => {
                report.lost = Some(format!(
                    "after {} records: {error}",
                    report.rows + report.rejected
                ));
                break;
            }
        };
        // At the start of a file, and of every file that was appended to it.
        let bytes = line.bytes;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if line.too_long.is_none() && bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let reason = match read_line(&shape, &mut row, bytes, line.too_long) {
            Err(bad) => Some(bad),
            Ok(()) => match event_time(plan, &row) {
                None => Some(("no_time", plan.no_time_detail())),
                Some(micros) => {
                    report.saw(micros);
                    if plan.wants(micros) {
                        report.in_window += u64::from(plan.focuses(micros));
                        columns.push(&row);
                        pending.bytes += row.text.len();
                        pending.times.push(micros);
                        pending.rows.push(line.number.cast_signed());
                        pending.ids.push(record_identity(plan, &row, micros, bytes));
                    }
                    None
                }
            },
        };
        match reason {
            None => {
                report.rows += 1;
                if report.rows.is_multiple_of(PROGRESS_ROWS) {
                    progress.rows.fetch_add(PROGRESS_ROWS, Ordering::Relaxed);
                }
            }
            Some((reason, detail)) => {
                let (number, offset) = (line.number, line.offset);
                let path = &file.object.path;
                let mut bad = BadRecord::line(path, number, offset, reason, detail, bytes);
                bad.length = line.length;
                report.reject(bad);
            }
        }
        if pending.times.len() >= BLOCK_ROWS || pending.bytes >= BLOCK_BYTES {
            wanted = sink(pending.take(&mut columns), report);
        }
    }
    if wanted && !pending.times.is_empty() {
        sink(pending.take(&mut columns), report);
    }
    if lines.is_cut_off() {
        report.lose("its JSON array is not closed: the end of the file is missing".to_owned());
    }
    if wanted {
        told_of_shrinking(file, bytes_read.load(Ordering::Relaxed), report);
    }
    let untold = report.rows % PROGRESS_ROWS;
    progress.rows.fetch_add(untold, Ordering::Relaxed);
    tell_of_columns(plan, &columns, report);
}

/// What the columns have seen: values that did not fit, and, where it is asked, which values there were.
fn tell_of_columns(plan: &DecodePlan, columns: &Columns, report: &mut FileReport) {
    let form = &plan.table.form;
    for (slot, count) in (0..).zip(&columns.conflicts) {
        if *count > 0 {
            report.conflict(&form.columns[plan.form_columns[slot]].name, *count);
        }
    }
    if plan.profile {
        for (column, kinds) in plan.form_columns.iter().zip(&columns.kinds) {
            for (kind, rows) in Slot::KINDS.iter().zip(kinds) {
                let name = &form.columns[*column].name;
                report.saw_column(name, || (*kind).to_owned(), *rows);
            }
        }
    }
}

/// A file that is shorter than the listing said was written anew: what was read of it may be half of this and half of that.
fn told_of_shrinking(file: &DataFile, bytes_read: u64, report: &mut FileReport) {
    let size = file.object.size;
    if report.lost.is_none() && bytes_read < size {
        report.lose(format!(
            "it shrank while it was read: {bytes_read} of {size} bytes were there"
        ));
    }
}

#[derive(Default)]
struct Pending {
    bytes: usize,
    times: Vec<i64>,
    rows: Vec<i64>,
    ids: Vec<u128>,
}

impl Pending {
    fn take(&mut self, columns: &mut Columns) -> Block {
        self.bytes = 0;
        Block {
            columns: columns.finish(),
            times: std::mem::take(&mut self.times),
            rows: std::mem::take(&mut self.rows),
            ids: std::mem::take(&mut self.ids),
        }
    }
}

fn read_line(
    shape: &RowShape,
    row: &mut Row,
    bytes: &[u8],
    too_long: Option<u64>,
) -> Result<(), (&'static str, String)> {
    if let Some(length) = too_long {
        return Err(("too_long", format!("a line of {length} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ("not_utf8", error.to_string()))?;
    row.read(shape, text).map_err(|error| {
        let reason = if error.is_data() {
            "not_an_object"
        } else {
            "not_json"
        };
        (reason, error.to_string())
    })
}

/// The event time of a row: the first of the form's sources that parses.
fn event_time(plan: &DecodePlan, row: &Row) -> Option<i64> {
    plan.table.form.time.iter().find_map(|source| {
        let text = row.text_of(plan.slot_of(source.column))?;
        source
            .format
            .parse_text(text, source.zone.unwrap_or(plan.table.zone))
            .filter(|micros| *micros != NEVER)
    })
}

fn record_identity(plan: &DecodePlan, row: &Row, micros: i64, line: &[u8]) -> u128 {
    let by_number = plan.table.form.identity.and_then(|columns| {
        let host = row.text_of(plan.slot_of(columns.host))?;
        let record = plan.slot_of(columns.record);
        let record = match row.int_of(record) {
            Some(number) => Record::Number(number),
            None => Record::of(row.text_of(record)?),
        };
        let channel = columns
            .channel
            .and_then(|channel| row.text_of(plan.slot_of(channel)));
        identity(host, channel.unwrap_or_default(), record, micros)
    });
    by_number.unwrap_or_else(|| content_identity(line))
}
