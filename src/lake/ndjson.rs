//! NDJSON files, and files that are one JSON array or objects over several lines each: plain, gzip with several members, zstd with several frames; in UTF-8,
//! or in UTF-16 with a byte order mark. A broken line or element goes to quarantine with its place and costs nothing else.
//!
//! Blocking; runs on a thread of its own. Knows nothing of queries.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::columns::Columns;
use super::config::Compression;
use super::decoded::{BLOCK_ROWS, Block, DecodePlan, NEVER, Record, says_which};
use super::decompress::{decompress, decompress_as_found};
use super::encoding::{Encoding, decode};
use super::file_report::{FileReport, Progress};
use super::form::ColumnType;
use super::kept_lines::BlockLines;
use super::lines::{Line, Lines};
use super::pieces::{DEEPEST, pieces};
use super::quarantine::BadRecord;
use super::row::{Row, RowShape, Slot};
use super::table::DataFile;
use crate::functions::keyed_hash;

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

/// Reads a file and gives its rows block by block to `sink`, which answers whether it wants more.
pub fn read(
    plan: &DecodePlan,
    file: &DataFile,
    reader: Box<dyn Read + Send>,
    progress: &Arc<Progress>,
    report: &mut FileReport,
    sink: &mut dyn FnMut(&Block, &mut FileReport) -> bool,
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
    let stream = match plan.table.compression {
        Some(compression) => decompress(compression, counted),
        None => decompress_as_found(Compression::of(&file.object.path), counted),
    };
    let (reader, encoding) = match stream.and_then(decode) {
        Ok(decoded) => decoded,
        Err(error) => {
            report.lost = Some(format!("after 0 records: {error}"));
            return;
        }
    };
    let mut records = Records::new(plan, file, progress);
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
        // At the start of a file, and of every file that was appended to it; of which one may have been empty.
        let bytes = line.bytes;
        let mut bytes = bytes;
        while let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
            bytes = rest;
        }
        if line.too_long.is_none() && bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        wanted = match line.too_long {
            Some(length) => {
                let detail = format!("a line of {length} bytes");
                let mut bad = records.bad(&line, ("too_long", detail), bytes);
                bad.length = line.length;
                report.reject(bad);
                true
            }
            None => records.take(&Line { bytes, ..line }, encoding, 0, report, sink),
        };
    }
    if wanted && !records.pending.times.is_empty() {
        records.hand_on(report, sink);
    }
    if lines.is_cut_off() {
        report.lose("its JSON array is not closed: the end of the file is missing".to_owned());
    }
    if wanted {
        told_of_shrinking(file, bytes_read.load(Ordering::Relaxed), report);
    }
    let untold = report.rows % PROGRESS_ROWS;
    progress.rows.fetch_add(untold, Ordering::Relaxed);
    tell_of_columns(plan, &records.columns, report);
}

/// What the columns have seen: values that did not fit, and, where it is asked, which values there were.
fn tell_of_columns(plan: &DecodePlan, columns: &Columns, report: &mut FileReport) {
    let form = &plan.table.form;
    for (slot, count) in (0..).zip(&columns.conflicts) {
        if *count > 0 {
            report.conflict(&form.columns[plan.form_columns[slot]].name, *count);
        }
    }
    for (column, kinds) in plan.form_columns.iter().zip(&columns.kinds) {
        if columns.rows > 0 && kinds.iter().all(|rows| *rows == 0) {
            report.valueless.extend(u32::try_from(*column));
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

/// The records of a file on their way into blocks.
struct Records<'a> {
    plan: &'a DecodePlan,
    file: &'a DataFile,
    progress: &'a Progress,
    shape: RowShape,
    row: Row,
    columns: Columns,
    pending: Pending,
    /// Whether the lines of the pending block are kept.
    keeps: bool,
}

fn keeps(plan: &DecodePlan) -> bool {
    plan.keep.as_ref().is_some_and(|keep| !keep.is_full())
}

#[derive(Default)]
struct Pending {
    times: Vec<i64>,
    rows: Vec<i64>,
    ids: Vec<Option<u128>>,
    lines: BlockLines,
}

impl<'a> Records<'a> {
    fn new(plan: &'a DecodePlan, file: &'a DataFile, progress: &'a Progress) -> Self {
        let form = &plan.table.form;
        let shape = RowShape::new(plan.form_columns.iter().map(|index| &form.columns[*index]));
        Self {
            row: shape.row(),
            columns: Columns::new(&shape),
            pending: Pending::default(),
            keeps: keeps(plan),
            plan,
            file,
            progress,
            shape,
        }
    }

    /// Gives the pending rows to `sink`; false when it wants no more.
    fn hand_on(
        &mut self,
        report: &mut FileReport,
        sink: &mut dyn FnMut(&Block, &mut FileReport) -> bool,
    ) -> bool {
        let pending = std::mem::take(&mut self.pending);
        let block = Block {
            columns: self.columns.finish(),
            times: pending.times,
            rows: pending.rows,
            ids: Some(pending.ids),
            lines: self.keeps.then_some(pending.lines),
        };
        let goes_on = sink(&block, report);
        self.keeps = keeps(self.plan);
        self.columns.reuse(block.columns);
        self.pending.lines = block.lines.unwrap_or_default();
        self.pending.lines.clear();
        goes_on
    }

    fn bad(&self, line: &Line<'_>, why: (&'static str, String), bytes: &[u8]) -> BadRecord {
        let path = &self.file.object.path;
        BadRecord::line(path, line.number, line.offset, why.0, why.1, bytes)
    }

    /// Takes a line, or the records that it turns out to hold, which all have its number; false when `sink` wants no more.
    fn take(
        &mut self,
        line: &Line<'_>,
        encoding: Encoding,
        depth: usize,
        report: &mut FileReport,
        sink: &mut dyn FnMut(&Block, &mut FileReport) -> bool,
    ) -> bool {
        let why = match self.event(line, depth, report) {
            Ok(()) => {
                report.rows += 1;
                if report.rows.is_multiple_of(PROGRESS_ROWS) {
                    self.progress
                        .rows
                        .fetch_add(PROGRESS_ROWS, Ordering::Relaxed);
                }
                let is_full =
                    self.pending.times.len() >= BLOCK_ROWS || self.columns.bytes >= BLOCK_BYTES;
                return !is_full || self.hand_on(report, sink);
            }
            Err(why) => why,
        };
        let mut wanted = true;
        let mut each = |piece: &str| {
            let before = piece.as_ptr().addr() - line.bytes.as_ptr().addr();
            let piece = Line {
                offset: line.offset + encoding.width(&line.bytes[..before]),
                bytes: piece.as_bytes(),
                length: encoding.width(piece.as_bytes()),
                ..*line
            };
            wanted = wanted && self.take(&piece, encoding, depth + 1, report, sink);
        };
        let text = std::str::from_utf8(line.bytes).ok();
        let text = text.filter(|_| depth < DEEPEST);
        if !text.is_some_and(|text| pieces(text, &mut each)) {
            let mut bad = self.bad(line, why, line.bytes);
            bad.length = line.length;
            report.reject(bad);
        }
        wanted
    }

    /// Takes one event.
    fn event(
        &mut self,
        line: &Line<'_>,
        depth: usize,
        report: &mut FileReport,
    ) -> Result<(), (&'static str, String)> {
        let text = simdutf8::basic::from_utf8(line.bytes);
        let text = text.or_else(|_| {
            let text = std::str::from_utf8(line.bytes);
            text.map_err(|error| ("not_utf8", error.to_string()))
        })?;
        self.row.read(&self.shape, text).map_err(|error| {
            let reason = if error.is_data() {
                "not_an_object"
            } else {
                "not_json"
            };
            (reason, error.to_string())
        })?;
        let (plan, row) = (self.plan, &self.row);
        let micros =
            event_time(plan, row, text).ok_or_else(|| ("no_time", plan.no_time_detail()))?;
        report.saw(micros);
        if plan.wants(micros) {
            report.inside(plan.focus_of(micros));
            self.columns.push(row, text);
            self.pending.times.push(micros);
            self.pending.rows.push(line.number.cast_signed());
            let has_number = has_number(plan, row, text);
            let id = (!has_number).then(|| keyed_hash(line.bytes));
            self.pending.ids.push(id);
            if self.keeps {
                self.pending.lines.push(if depth == 0 { text } else { "" });
            }
        }
        Ok(())
    }
}

/// The event time of a row: the first of the form's sources that parses.
fn event_time(plan: &DecodePlan, row: &Row, line: &str) -> Option<i64> {
    plan.table.form.time.iter().find_map(|source| {
        let text = row.text_of(line, plan.slot_of(source.column))?;
        source
            .format
            .parse_text(&text, source.zone.unwrap_or(plan.table.zone))
            .filter(|micros| *micros != NEVER)
    })
}

/// Whether the columns of a row say which record it is; else its bytes do.
fn has_number(plan: &DecodePlan, row: &Row, line: &str) -> bool {
    let known = plan.table.form.identity.and_then(|columns| {
        let host = row.text_of(line, plan.slot_of(columns.host))?;
        let slot = plan.slot_of(columns.record);
        let written;
        let record = match plan.table.form.columns[columns.record].column_type {
            ColumnType::Int => Record::Number(row.int_of(line, slot)?),
            ColumnType::Text | ColumnType::Json => {
                written = row.text_of(line, slot)?;
                Record::of(&written)
            }
            ColumnType::Float | ColumnType::Bool => return None,
        };
        Some(says_which(&host, record))
    });
    known.unwrap_or(false)
}
