//! Parquet files: row groups outside the window are not read, columns are matched without regard to case, a value of
//! another type becomes NULL and is counted, a torn row group costs itself only.
//!
//! Blocking; runs on a thread of its own. Knows nothing of queries.

use std::any::Any;
use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StructArray, new_null_array,
};
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::{cast, is_not_null};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use datafusion::parquet::basic::ConvertedType;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use datafusion::parquet::schema::types::SchemaDescriptor;
use tokio::runtime::Handle;

use super::consumer::filter_block;
use super::convert::convert;
use super::decoded::{Block, BlockColumn, DecodePlan, NEVER};
use super::decoder::Decoder;
use super::file_report::{FileReport, Progress};
use super::form::{ColumnType, FormColumn};
use super::index::{Look, RowSet};
use super::late::Went;
use super::quarantine::BadRecord;
use super::row_groups::OpenFile;
use super::table::DataFile;
use crate::store::Stop;

/// Decodes a file and gives its rows block by block to those who read them.
pub fn read(
    plan: &DecodePlan,
    file: &DataFile,
    open: OpenFile,
    handles: &Handles<'_>,
    report: &mut FileReport,
    readers: &mut Readers<'_>,
) {
    let OpenFile {
        footer,
        absent,
        pruned,
        told,
        predicates: _,
        mut late,
        mut groups,
    } = open;
    report.absent = absent;
    report.row_groups_pruned = pruned;
    if let Some((oldest, newest)) = told {
        report.spans(oldest, newest);
    }
    let decoder = Decoder {
        plan,
        file,
        footer: &footer,
        handles,
    };
    while let Some((place, arrived)) = groups.next_group() {
        if handles.stop.is_stopped() {
            return;
        }
        report.row_groups_read += 1;
        decoder.count_bytes(place.bytes, report);
        // Kept to the end of the loop: it holds the room that the bytes take.
        let arrived = match arrived {
            Ok(arrived) => arrived,
            Err(error) => {
                decoder.lose(&place, place.rows.start, &error, report);
                continue;
            }
        };
        let group = (&place, &arrived);
        let went = match &mut late {
            Some(late) => late.read(&decoder, group, report, readers),
            None => Went::Dense {
                counted: place.rows.start,
            },
        };
        let goes_on = match went {
            Went::Done => true,
            Went::Enough => false,
            Went::Dense { counted } => decoder.read_whole(group, counted, report, readers),
        };
        if !goes_on {
            return;
        }
        if report.lost.is_none() && decoder.contradicts_itself(&place) {
            let error = "its columns hold another number of rows than the footer says";
            decoder.lose(&place, place.rows.start, error, report);
        }
    }
}

/// Those who read the rows of a file.
pub struct Readers<'a> {
    /// Asked first, with the columns that these sources of values need, which rows of a block anybody may want; `None` is all
    /// that there are.
    pub wanted: &'a mut dyn FnMut(&Block, Look<'_>) -> Option<RowSet>,
    /// Takes rows block by block, and answers whether it wants more.
    pub sink: &'a mut dyn FnMut(&Block, &mut FileReport) -> bool,
}

/// What decoding needs besides the file.
pub struct Handles<'a> {
    /// Where the decoder fetches what did not come by itself.
    pub runtime: &'a Handle,
    /// Counters for the terminal.
    pub progress: &'a Progress,
    /// Whether the rows are still wanted.
    pub stop: &'a Stop,
}

/// What the work gives. The decoders panic on some broken pages; that must cost the row group, not the file.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // What it worked on is given up with it.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(crashed(&panic)))
}

/// A panic of a decoder in words.
pub(super) fn crashed(panic: &Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the decoder crashed: {}", text.unwrap_or("without a word"))
}

/// Notes that the rest of a row group could not be read: which rows these are, and where the group lies in the file.
pub(super) fn lose_group(
    report: &mut FileReport,
    index: usize,
    group: &RowGroupMetaData,
    rows: Range<i64>,
    error: &str,
) {
    let places = group.columns().iter().map(ColumnChunkMetaData::byte_range);
    let start = places.clone().map(|(start, _)| start).min().unwrap_or(0);
    let end = places
        .map(|(start, length)| start + length)
        .max()
        .unwrap_or(0);
    report.lose(format!(
        "row group {index} (rows {} to {}, bytes {start} to {end}): {error}",
        rows.start + 1,
        rows.end
    ));
}

/// For each wanted column of the form the file's leaves that hold it, in order of its paths: each the one spelled as the
/// form spells it, else the first that differs only in case.
pub(super) fn leaves(plan: &DecodePlan, metadata: &ArrowReaderMetadata) -> Vec<Vec<usize>> {
    let schema = metadata.parquet_schema();
    let path_of = |leaf: usize| schema.column(leaf).path().string();
    let leaf = |path: &String| {
        let mut all = 0..schema.num_columns();
        let exact = all.clone().find(|leaf| path_of(*leaf) == *path);
        exact.or_else(|| all.find(|leaf| path_of(*leaf).to_lowercase() == path.to_lowercase()))
    };
    plan.form_columns
        .iter()
        .map(|column| {
            let paths = &plan.table.form.columns[*column].paths;
            paths.iter().filter_map(leaf).collect()
        })
        .collect()
}

/// The leaves below wanted columns that the file has as structs, lists or maps: all of them where the form wants JSON,
/// else one, so that the values that do not fit are counted. Of a map, which cannot be read in part, all that are wanted
/// with one of it.
pub(super) fn nested_leaves(
    plan: &DecodePlan,
    metadata: &ArrowReaderMetadata,
    leaves: &[Vec<usize>],
) -> Vec<Vec<usize>> {
    let schema = metadata.parquet_schema();
    let below = |column: &FormColumn| -> Vec<usize> {
        let parents = column.paths.iter().map(|path| match path.as_str() {
            // The row itself.
            "" => String::new(),
            path => path.to_lowercase() + ".",
        });
        let parents: Vec<_> = parents.collect();
        let below = (0..schema.num_columns()).filter(|leaf| {
            let path = schema.column(*leaf).path().string().to_lowercase();
            parents.iter().any(|parent| path.starts_with(parent))
        });
        let is_json = column.column_type == ColumnType::Json;
        below.take(if is_json { usize::MAX } else { 1 }).collect()
    };
    plan.form_columns
        .iter()
        .zip(leaves)
        .map(|(column, exact)| {
            let mut nested = if exact.is_empty() {
                below(&plan.table.form.columns[*column])
            } else {
                // A column that has a scalar needs no other.
                Vec::new()
            };
            let whole: Vec<_> = exact.iter().chain(&nested).copied().collect();
            nested.extend(whole.into_iter().flat_map(|leaf| map_of(schema, leaf)));
            nested
        })
        .collect()
}

/// The leaves of the outermost map that a leaf is in.
fn map_of(schema: &SchemaDescriptor, leaf: usize) -> Vec<usize> {
    let path = schema.column(leaf).path().clone();
    let parts = path.parts();
    let mut group = schema.root_schema();
    for depth in 0..parts.len() {
        let mut fields = group.get_fields().iter();
        let Some(field) = fields.find(|field| field.name() == parts[depth]) else {
            break;
        };
        if field.is_primitive() {
            break;
        }
        if field.get_basic_info().converted_type() == ConvertedType::MAP {
            let is_inside = |other: &usize| {
                schema
                    .column(*other)
                    .path()
                    .parts()
                    .starts_with(&parts[..=depth])
            };
            return (0..schema.num_columns()).filter(is_inside).collect();
        }
        group = field;
    }
    Vec::new()
}

/// Where a name is among fields: spelled so, else but for case.
fn position<'a>(names: impl Iterator<Item = &'a String> + Clone, name: &str) -> Option<usize> {
    let exact = names.clone().position(|other| other == name);
    exact.or_else(|| {
        let mut names = names;
        names.position(|other| other.to_lowercase() == name.to_lowercase())
    })
}

/// The array at a dotted path of a batch, whatever its case; a NULL struct makes its children NULL. The empty path is the
/// whole row.
fn array_at(batch: &RecordBatch, path: &str) -> Option<ArrayRef> {
    if path.is_empty() {
        return Some(Arc::new(StructArray::from(batch.clone())));
    }
    let mut parts = path.split('.');
    let first = parts.next()?;
    let schema = batch.schema();
    let flat = |name: &str| {
        let names = schema.fields().iter().map(|field| field.name());
        position(names, name).map(|position| Arc::clone(batch.column(position)))
    };
    // A flat column may have a dotted name.
    if let Some(array) = flat(path) {
        return Some(array);
    }
    let mut array = flat(first)?;
    for part in parts {
        let parent = array.as_struct_opt()?;
        let position = position(parent.fields().iter().map(|field| field.name()), part)?;
        let child = Arc::clone(parent.column(position));
        array = match parent.nulls() {
            Some(nulls) => {
                let valid: BooleanArray = nulls.iter().map(Some).collect();
                let absent = datafusion::arrow::compute::not(&valid).ok()?;
                datafusion::arrow::compute::nullif(&child, &absent).ok()?
            }
            None => child,
        };
    }
    Some(array)
}

/// One column of a decoded batch: in its declared type, and as the file has it.
pub(super) fn column(
    plan: &DecodePlan,
    batch: &RecordBatch,
    slot: usize,
    report: &mut FileReport,
) -> datafusion::error::Result<(ArrayRef, Option<ArrayRef>)> {
    let column = &plan.table.form.columns[plan.form_columns[slot]];
    let (mut first, mut merged) = (None, None::<ArrayRef>);
    for array in column.paths.iter().filter_map(|path| array_at(batch, path)) {
        if plan.profile {
            let present = array.len() - array.logical_null_count();
            let kind = array.data_type();
            report.saw_column(&column.name, || kind.to_string(), present as u64);
        }
        // Written out as text only where somebody asks for it: it is the clock of most files.
        if matches!(array.data_type(), DataType::Timestamp(..))
            && column.column_type == ColumnType::Text
            && column.paths.len() == 1
        {
            return Ok((Arc::clone(&array), Some(array)));
        }
        let (values, conflicts) = convert(&array, column.column_type)?;
        // A struct where a scalar should be, when another path has the scalar, is none.
        let is_parent = array.data_type().is_nested() && column.paths.len() > 1;
        if conflicts > 0 && !is_parent {
            report.conflict(&column.name, conflicts);
        }
        (first, merged) = match merged {
            None => (Some(array), Some(values)),
            Some(before) => {
                let both = zip(&is_not_null(&before)?, &before, &values)?;
                // No one column of the file has these values.
                (Some(Arc::clone(&both)), Some(both))
            }
        };
    }
    let null = || new_null_array(&column.column_type.arrow(), batch.num_rows());
    Ok((merged.unwrap_or_else(null), first))
}

/// Turns a decoded batch into a block: declared types, clock, and only rows of the window.
pub(super) fn block(
    plan: &DecodePlan,
    file: &DataFile,
    batch: &RecordBatch,
    first_row: i64,
    slots: &[usize],
    report: &mut FileReport,
) -> datafusion::error::Result<Block> {
    let rows = batch.num_rows();
    let mut raw = vec![None; plan.form_columns.len()];
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.form_columns.len());
    let mut nulls: HashMap<DataType, ArrayRef> = HashMap::new();
    for (slot, raw) in raw.iter_mut().enumerate() {
        if slots.contains(&slot) {
            let (values, found) = column(plan, batch, slot, report)?;
            columns.push(values);
            *raw = found;
        } else {
            let null = nulls.entry(plan.type_of_slot(slot));
            let null = null.or_insert_with_key(|data_type| new_null_array(data_type, rows));
            columns.push(Arc::clone(null));
        }
    }
    let (times, is_known) = event_times(plan, &raw, &columns, rows)?;
    let block = Block {
        // A Parquet row has no bytes of its own.
        ids: None,
        lines: None,
        columns: columns.into_iter().map(BlockColumn::Array).collect(),
        rows: (0..rows as i64).map(|row| first_row + row + 1).collect(),
        times,
    };
    let ends = block.times.iter().min().zip(block.times.iter().max());
    if let (None, Some((first, last))) = (&is_known, ends)
        && plan.wants(*first)
        && plan.wants(*last)
        && plan.focus_of(*first).is_some()
        && plan.focus_of(*first) == plan.focus_of(*last)
    {
        report.saw_all(&block.times, plan.focus_of(*first));
        return Ok(block);
    }
    let mut keep = Vec::with_capacity(rows);
    for (row, micros) in block.times.iter().enumerate() {
        if is_known.as_ref().is_none_or(|known| known[row]) {
            report.rows += 1;
            report.saw(*micros);
            report.inside(plan.focus_of(*micros));
            keep.push(plan.wants(*micros));
            continue;
        }
        keep.push(false);
        report.reject(BadRecord {
            file: file.object.path.clone(),
            line: block.rows[row].unsigned_abs(),
            offset: 0,
            reason: "no_time",
            detail: plan.no_time_detail(),
            length: 0,
            near: None,
            text: None,
            base64: None,
        });
    }
    if keep.iter().all(|kept| *kept) {
        Ok(block)
    } else {
        filter_block(block, &BooleanArray::from(keep))
    }
}

/// The event times of all rows, and which of them are known; `None` when all are.
fn event_times(
    plan: &DecodePlan,
    raw: &[Option<ArrayRef>],
    columns: &[ArrayRef],
    rows: usize,
) -> datafusion::error::Result<(Vec<i64>, Option<Vec<bool>>)> {
    let mut times = vec![NEVER; rows];
    for source in &plan.table.form.time {
        let slot = plan.slot_of(source.column);
        let Some(array) = &raw[slot] else { continue };
        let zone = source.zone.unwrap_or(plan.table.zone);
        if matches!(
            array.data_type(),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64
        ) {
            for (time, found) in times.iter_mut().zip(timestamps(array, zone)?) {
                if *time == NEVER {
                    *time = found;
                }
            }
        } else {
            let texts = cast(&columns[slot], &DataType::Utf8View)?;
            for (time, text) in times.iter_mut().zip(texts.as_string_view()) {
                if *time == NEVER {
                    let found = text.and_then(|text| source.format.parse_text(text, zone));
                    *time = found.unwrap_or(NEVER);
                }
            }
        }
        if times.iter().all(|time| *time != NEVER) {
            return Ok((times, None));
        }
    }
    let known = times.iter().map(|time| *time != NEVER).collect();
    Ok((times, Some(known)))
}

/// Microseconds of a timestamp or date column; [`NEVER`] where there is none. One without a zone is local time, as texts
/// without one are.
fn timestamps(array: &ArrayRef, zone: Tz) -> datafusion::error::Result<Vec<i64>> {
    let is_utc = zone == Tz::UTC || matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    let micros = cast(
        array,
        &DataType::Timestamp(TimeUnit::Microsecond, is_utc.then(|| "UTC".into())),
    )?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    if is_utc && micros.null_count() == 0 {
        return Ok(micros.values().to_vec());
    }
    let local = |micros| {
        let clock = DateTime::from_timestamp_micros(micros)?.naive_utc();
        Some(
            zone.from_local_datetime(&clock)
                .earliest()?
                .timestamp_micros(),
        )
    };
    let found = micros.iter().map(|micros| {
        let found = if is_utc {
            micros
        } else {
            micros.and_then(local)
        };
        found.unwrap_or(NEVER)
    });
    Ok(found.collect())
}
