//! A Parquet file before its first row is decoded: its footer, which of its row groups a window needs, and their bytes on
//! the way: those of the next row groups come while one is decoded.
//!
//! Knows places and statistics; what rows say is [`super::parquet`]'s business.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::RowGroupMetaData;
use datafusion::parquet::file::statistics::Statistics;
use futures::FutureExt;

use super::consumer::{Consumers, Predicates};
use super::decoded::DecodePlan;
use super::late::Late;
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
    pub(super) footer: Footer,
    /// Wanted columns that the file does not have at all.
    pub absent: Vec<String>,
    /// Row groups whose statistics say that the window is elsewhere.
    pub pruned: u64,
    /// From when to when the statistics of the row groups say that events are, in microseconds; of those that say it.
    pub told: Option<(i64, i64)>,
    /// What is tested on its rows.
    pub(super) predicates: Arc<Predicates>,
    pub(super) late: Option<Late>,
    pub(super) groups: Groups,
}

/// What a footer says, as far as it is wanted.
pub(super) struct Footer {
    pub(super) metadata: ArrowReaderMetadata,
    /// By slot, the leaves that hold a column.
    pub(super) leaves: Vec<Vec<usize>>,
    pub(super) nested: Vec<Vec<usize>>,
    /// The leaves that are decoded, of all rows or of some.
    pub(super) wanted: BTreeSet<usize>,
    /// Those that come before they are asked for.
    pub(super) ahead: BTreeSet<usize>,
}

/// The row groups that are to be decoded, on their way.
pub(super) struct Groups {
    places: VecDeque<Group>,
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
    /// Stored bytes of what is decoded of it, of all rows or of some.
    pub bytes: u64,
}

/// A reader that has what comes of a row group before it is asked for.
pub struct Arrived {
    /// For the decoder; it fetches the rest.
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
        consumers: &Consumers,
        file: &DataFile,
        reading: &Reading,
    ) -> Result<Self, String> {
        let opening = Self::open_unguarded(plan, consumers, file, reading);
        let opening = AssertUnwindSafe(opening).catch_unwind();
        opening.await.unwrap_or_else(|panic| Err(crashed(&panic)))
    }

    async fn open_unguarded(
        plan: &DecodePlan,
        consumers: &Consumers,
        file: &DataFile,
        reading: &Reading,
    ) -> Result<Self, String> {
        let mut reader = ObjectReader::new(&plan.table.location, &file.object);
        let metadata = match load_footer(&mut reader).await {
            // What did not come was asked for often enough.
            Err(error @ ParquetError::External(_)) => Err(error),
            // As row groups: once more before it is called broken.
            Err(_) if reader.is_remote() => load_footer(&mut reader).await,
            loaded => loaded,
        };
        let metadata = metadata.map_err(|error| error.to_string())?;
        let mut footer = Footer::new(plan, metadata);
        let absent = plan
            .form_columns
            .iter()
            .zip(footer.leaves.iter().zip(&footer.nested));
        let absent = absent
            .filter(|(_, (exact, below))| exact.is_empty() && below.is_empty())
            .map(|(column, _)| plan.table.form.columns[*column].name.clone())
            .collect();
        let predicates = consumers.predicates_of_file(plan, &footer);
        let late = Late::of(plan, &predicates, &footer);
        // A round trip costs more than bytes that nobody may want; reading them from a disk is all they cost.
        let is_local = plan.table.location.folder().is_some();
        footer.wanted = match &late {
            Some(late) => late.leaves(),
            None => footer.leaves_of(0..plan.form_columns.len()),
        };
        footer.ahead = match &late {
            Some(late) if is_local => late.first(),
            _ => footer.wanted.clone(),
        };
        let (mut groups, mut jobs) = (VecDeque::new(), Vec::new());
        let (mut pruned, mut told, mut first_row) = (0, None, 0_i64);
        for (index, group) in footer.metadata.metadata().row_groups().iter().enumerate() {
            let rows = first_row..first_row + group.num_rows();
            first_row = rows.end;
            if let Some((oldest, newest)) = told_range(plan, group, &footer.leaves) {
                let (first, last) = told.unwrap_or((oldest, newest));
                told = Some((oldest.min(first), newest.max(last)));
                if is_outside(plan.window, oldest, newest) {
                    pruned += 1;
                    continue;
                }
            }
            let size_of = |leaf: &usize| group.column(*leaf).compressed_size();
            let bytes: i64 = footer.wanted.iter().map(size_of).sum();
            groups.push_back(Group {
                index,
                rows,
                bytes: bytes.unsigned_abs(),
            });
            let places = places(group, &footer.ahead, file.object.size);
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
            footer,
            absent,
            pruned,
            told,
            predicates,
            late,
            groups: Groups {
                places: groups,
                reader,
                ahead,
            },
        })
    }
}

impl Footer {
    fn new(plan: &DecodePlan, metadata: ArrowReaderMetadata) -> Self {
        // A report of types wants those that the file has.
        let metadata = if plan.profile {
            metadata
        } else {
            with_views(metadata)
        };
        let leaves = leaves(plan, &metadata);
        Self {
            nested: nested_leaves(plan, &metadata, &leaves),
            wanted: BTreeSet::new(),
            ahead: BTreeSet::new(),
            leaves,
            metadata,
        }
    }

    /// The leaves that hold some slots.
    pub(super) fn leaves_of(&self, slots: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let slots = slots.into_iter();
        slots
            .flat_map(|slot| self.leaves[slot].iter().chain(&self.nested[slot]))
            .copied()
            .collect()
    }
}

/// Texts as views: those of a dictionary page are decoded without copying any, and known again by their views.
fn with_views(metadata: ArrowReaderMetadata) -> ArrowReaderMetadata {
    let schema = metadata.schema();
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => {
                let field = field.as_ref().clone();
                Arc::new(field.with_data_type(DataType::Utf8View))
            }
            _ => Arc::clone(field),
        })
        .collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    let found = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options);
    found.unwrap_or(metadata)
}

impl Groups {
    /// The next row group to decode, and its bytes or, in words, why they did not come. Waits for them; not to be called on
    /// the async runtime.
    pub(super) fn next_group(&mut self) -> Option<(Group, Result<Arrived, String>)> {
        let group = self.places.pop_front()?;
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

/// Fetches and reads the footer.
async fn load_footer(reader: &mut ObjectReader) -> Result<ArrowReaderMetadata, ParquetError> {
    let fetched = reader.fetch_end().await;
    fetched.map_err(|error| ParquetError::External(Box::new(error)))?;
    ArrowReaderMetadata::load_async(reader, ArrowReaderOptions::default()).await
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
