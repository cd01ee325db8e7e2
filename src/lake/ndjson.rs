//! NDJSON files: plain, gzip with several members, zstd with several frames. A broken line goes to quarantine with its
//! place and costs nothing else.
//!
//! Blocking; runs on a thread of its own. Knows nothing of queries.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::columns::Columns;
use super::config::Compression;
use super::decoded::{BLOCK_ROWS, Block, DecodePlan, NEVER, Record, content_identity, identity};
use super::file_report::{FileReport, Progress};
use super::lines::Lines;
use super::quarantine::BadRecord;
use super::row::{Row, RowShape};
use super::table::DataFile;

/// How often the counters for the terminal are told of rows.
const PROGRESS_ROWS: u64 = 1024;

/// Counts the bytes that are read, as they lie on disk.
struct Counted<R> {
    reader: R,
    progress: Arc<Progress>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.progress
            .bytes
            .fetch_add(read as u64, Ordering::Relaxed);
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
    let counted = Counted {
        reader,
        progress: Arc::clone(progress),
    };
    let by_name = Compression::of(&file.object.path);
    let reader = match decompress(plan.table.compression.unwrap_or(by_name), counted) {
        Ok(reader) => reader,
        Err(error) => {
            report.lost = Some(format!("cannot decompress: {error}"));
            return;
        }
    };
    let form = &plan.table.form;
    let shape = RowShape::new(plan.form_columns.iter().map(|index| &form.columns[*index]));
    let mut row = shape.row();
    let mut columns = Columns::new(&shape);
    let mut pending = Pending::default();
    let mut lines = Lines::new(reader);
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
                let mut bad = BadRecord::line(
                    &file.object.path,
                    line.number,
                    line.offset,
                    reason,
                    detail,
                    bytes,
                );
                bad.length = line.too_long.unwrap_or(bad.length);
                report.reject(bad);
            }
        }
        if pending.times.len() >= BLOCK_ROWS {
            wanted = sink(pending.take(&mut columns), report);
        }
    }
    if wanted && !pending.times.is_empty() {
        sink(pending.take(&mut columns), report);
    }
    let untold = report.rows % PROGRESS_ROWS;
    progress.rows.fetch_add(untold, Ordering::Relaxed);
    for (slot, count) in columns
        .conflicts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
    {
        report.conflict(&form.columns[plan.form_columns[slot]].name, *count);
    }
}

#[derive(Default)]
struct Pending {
    times: Vec<i64>,
    rows: Vec<i64>,
    ids: Vec<u128>,
}

impl Pending {
    fn take(&mut self, columns: &mut Columns) -> Block {
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
