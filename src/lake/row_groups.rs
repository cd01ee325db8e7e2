//! A Parquet file before its first row is decoded: its footer, which of its row groups a window needs, and their bytes on
//! the way: those of the next row groups come while one is decoded.
//!
//! Knows places and statistics; what rows say is [`super::parquet`]'s business.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::panic::AssertUnwindSafe;

use chrono_tz::Tz;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::RowGroupMetaData;
use datafusion::parquet::file::statistics::Statistics;
use futures::FutureExt;

use super::decoded::DecodePlan;
use super::object_reader::{ObjectReader, Part};
use super::parquet::{crashed, leaves, nested_leaves};
use super::table::DataFile;
use crate::store::{Ahead, Fetched, Reading};
use crate::time::Window;

/// Row groups that are under way or ready, besides the one that is decoded; the budget may allow fewer.
const GROUPS_AHEAD: usize = 8;

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// A file whose footer was read.
pub struct OpenFile {
    /// What the footer says.
    pub metadata: ArrowReaderMetadata,
    /// The leaves that are decoded.
    pub mask: ProjectionMask,
    /// Wanted columns that the file does not have at all.
    pub absent: Vec<String>,
    /// Row groups whose statistics say that the window is elsewhere.
    pub pruned: u64,
    /// From when to when the statistics of the row groups say that events are, in microseconds; of those that say it.
    pub told: Option<(i64, i64)>,
    groups: VecDeque<Group>,
    reader: ObjectReader,
    ahead: Ahead<Vec<Part>>,
}

/// A row group that is to be decoded.
#[derive(Debug)]
pub struct Group {
    /// Its index in the file.
    pub index: usize,
    /// Its rows in the file, from 0.
    pub rows: Range<i64>,
    /// Stored bytes of the wanted columns.
    pub bytes: u64,
}

/// A reader that has what a row group needs.
pub struct Arrived {
    /// For the decoder.
    pub reader: ObjectReader,
    /// The room its bytes take, until it is decoded.
    _bytes: Fetched<Vec<Part>>,
}

impl OpenFile {
    /// Fetches the footer, decides what to read, and starts to fetch it.
    ///
    /// # Errors
    /// In words, when the footer cannot be read.
    pub async fn open(
        plan: &DecodePlan,
        file: &DataFile,
        reading: &Reading,
    ) -> Result<Self, String> {
        let opening = AssertUnwindSafe(Self::open_unguarded(plan, file, reading)).catch_unwind();
        opening.await.unwrap_or_else(|panic| Err(crashed(&panic)))
    }

    async fn open_unguarded(
        plan: &DecodePlan,
        file: &DataFile,
        reading: &Reading,
    ) -> Result<Self, String> {
        let mut reader = ObjectReader::new(&plan.table.location, &file.object);
        let fetched = reader.fetch_end().await;
        fetched.map_err(|error| ParquetError::External(Box::new(error)).to_string())?;
        let metadata = ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::default());
        let metadata = metadata.await.map_err(|error| error.to_string())?;
        let leaves = leaves(plan, &metadata);
        let nested = nested_leaves(plan, &metadata, &leaves);
        let absent = plan.form_columns.iter().zip(leaves.iter().zip(&nested));
        let absent = absent
            .filter(|(_, (exact, below))| exact.is_empty() && below.is_empty())
            .map(|(column, _)| plan.table.form.columns[*column].name.clone())
            .collect();
        let wanted: BTreeSet<usize> = leaves
            .iter()
            .flatten()
            .chain(nested.iter().flatten())
            .copied()
            .collect();
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), wanted.iter().copied());
        let (mut groups, mut jobs) = (VecDeque::new(), Vec::new());
        let (mut pruned, mut told, mut first_row) = (0, None, 0_i64);
        for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
            let rows = first_row..first_row + group.num_rows();
            first_row = rows.end;
            if let Some((oldest, newest)) = told_range(plan, group, &leaves) {
                let (first, last) = told.unwrap_or((oldest, newest));
                told = Some((oldest.min(first), newest.max(last)));
                if is_outside(plan.window, oldest, newest) {
                    pruned += 1;
                    continue;
                }
            }
            let size_of = |leaf: &usize| group.column(*leaf).compressed_size();
            let bytes: i64 = wanted.iter().map(size_of).sum();
            groups.push_back(Group {
                index,
                rows,
                bytes: bytes.unsigned_abs(),
            });
            let places = places(group, &wanted, file.object.size);
            let missing = reader.missing(places.unwrap_or_default());
            let bytes = missing.iter().map(|range| range.end - range.start).sum();
            jobs.push((bytes, missing));
        }
        let from = reader.clone();
        let ahead = Ahead::start(
            reading.clone(),
            jobs.into_iter(),
            GROUPS_AHEAD,
            move |ranges| {
                let reader = from.clone();
                async move { reader.fetch(ranges).await }
            },
        );
        Ok(Self {
            metadata,
            mask,
            absent,
            pruned,
            told,
            groups,
            reader,
            ahead,
        })
    }

    /// The next row group to decode, and its bytes or, in words, why they did not come. Waits for them; not to be called on
    /// the async runtime.
    pub fn next_group(&mut self) -> Option<(Group, Result<Arrived, String>)> {
        let group = self.groups.pop_front()?;
        let arrived = match futures::executor::block_on(self.ahead.next()) {
            Some(Ok(bytes)) => Ok(Arrived {
                reader: self.reader.with(bytes.value.clone()),
                _bytes: bytes,
            }),
            Some(Err(error)) => Err(ParquetError::External(Box::new(error)).to_string()),
            None => Err("nobody waits for it any more".to_owned()),
        };
        Some((group, arrived))
    }
}

/// Where the wanted columns of a row group lie; `None` where the footer says what cannot be, which the decoder will tell.
fn places(
    group: &RowGroupMetaData,
    wanted: &BTreeSet<usize>,
    size: u64,
) -> Option<Vec<Range<u64>>> {
    let place = |leaf: &usize| {
        let chunk = group.column(*leaf);
        let start = chunk.dictionary_page_offset();
        let start = u64::try_from(start.unwrap_or(chunk.data_page_offset())).ok()?;
        let end = start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?;
        (end <= size).then_some(start..end)
    };
    wanted.iter().map(place).collect()
}

/// What the statistics of a row group say of the times of its events, in microseconds.
///
/// Only the first time source counts, and only where no row lacks it: a row without it takes its time from the next.
fn told_range(
    plan: &DecodePlan,
    group: &RowGroupMetaData,
    leaves: &[Vec<usize>],
) -> Option<(i64, i64)> {
    let source = &plan.table.form.time[0];
    // With several leaves a row without the first takes its time from the next.
    let leaf = *leaves[plan.slot_of(source.column)].first()?;
    let statistics = group.column(leaf).statistics()?;
    if statistics.null_count_opt() != Some(0) {
        return None;
    }
    let logical = group.column(leaf).column_descr().logical_type_ref();
    time_range(plan, statistics, logical)
}

fn is_outside(window: Option<Window>, oldest: i64, newest: i64) -> bool {
    window.is_some_and(|window| {
        oldest >= window.end.timestamp_micros() || newest < window.start.timestamp_micros()
    })
}

fn time_range(
    plan: &DecodePlan,
    statistics: &Statistics,
    logical: Option<&datafusion::parquet::basic::LogicalType>,
) -> Option<(i64, i64)> {
    use datafusion::parquet::basic::{LogicalType, TimeUnit as ParquetUnit};
    let source = &plan.table.form.time[0];
    match (statistics, logical) {
        (Statistics::Int64(values), Some(LogicalType::Timestamp(time))) => {
            let micros = |value: i64| match time.unit {
                ParquetUnit::MILLIS => value.checked_mul(1000),
                ParquetUnit::MICROS => Some(value),
                ParquetUnit::NANOS => Some(value.div_euclid(1000)),
            };
            // A local time is within a day of UTC.
            let slack = if time.is_adjusted_to_u_t_c { 0 } else { DAY };
            Some((
                micros(*values.min_opt()?)? - slack,
                micros(*values.max_opt()?)? + slack,
            ))
        }
        (Statistics::Int64(values), _) if source.format.is_number() => {
            source.format.bounds(*values.min_opt()?, *values.max_opt()?)
        }
        (Statistics::ByteArray(values), _) => {
            if !values.max_is_exact() || !values.min_is_exact() {
                return None;
            }
            let zone = source.zone.unwrap_or(plan.table.zone);
            // The hour that a clock repeats in autumn does not sort.
            let slack = source.text_slack? + if zone == Tz::UTC { 0 } else { DAY };
            let micros = |bytes: &[u8]| {
                source
                    .format
                    .parse_text(std::str::from_utf8(bytes).ok()?, zone)
            };
            let (oldest, newest) = (values.min_opt()?.data(), values.max_opt()?.data());
            Some((micros(oldest)? - slack, micros(newest)? + slack))
        }
        _ => None,
    }
}
