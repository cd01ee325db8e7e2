//! A table: files at one location, the form of their rows, and which of them a window needs.
//!
//! Lists; reading the files is [`super::scan`]'s business.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::Duration;
use chrono_tz::Tz;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::config::{Compression, Format, TableConfig};
use super::layout::{Layout, PathValues, Segment};
use super::{Form, LakeFile as LakeConfigFile};
use crate::error::Result;
use crate::store::{Location, Object};
use crate::time::{Window, parse_duration};

/// The one clock: microseconds, UTC.
pub const EVENT_TIME: &str = "event_time";
/// The content identity of a record, as 32 hex digits.
pub const RECORD_ID: &str = "record_id";
/// The table a row comes from.
pub const TABLE_COLUMN: &str = "_table";
/// The file a row comes from, relative to the table's location.
pub const FILE_COLUMN: &str = "_file";
/// The line (NDJSON), element (JSON array) or row (Parquet) in that file, 1-based.
pub const ROW_COLUMN: &str = "_row";

/// One file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The object.
    pub object: Object,
    /// The time its path holds.
    pub time: Option<Window>,
    /// Partition columns and their text.
    pub partitions: Vec<(String, String)>,
}

/// The files a window needs.
#[derive(Debug, Default)]
pub struct Listing {
    /// In order of their paths.
    pub files: Vec<DataFile>,
    /// Folders that were seen and not entered, because their time is outside the window.
    pub folders_pruned: usize,
    /// Files that were seen and not taken, because their time is outside the window.
    pub files_pruned: usize,
    /// Files that were seen and not taken, because nothing says yet that their folder is complete.
    pub files_waiting: usize,
}

/// A prefix that is to be listed.
#[derive(Debug, Default)]
struct Prefix {
    path: String,
    /// The segment of the layout that says what is below.
    depth: usize,
    values: PathValues,
}

/// What stands below a prefix and fits the layout.
enum Entries {
    /// However deep: the layout ends with `**`.
    All(Vec<Object>),
    Files(Vec<(Object, PathValues)>),
    Folders(Vec<Prefix>),
}

/// Requests for lists under way at a time, of one table.
const LISTS_AT_ONCE: usize = 16;

/// What a column of a table's schema is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Index into the form's columns.
    Form(usize),
    /// Index into the layout's partitions.
    Partition(usize),
    /// [`EVENT_TIME`]
    EventTime,
    /// [`RECORD_ID`]
    RecordId,
    /// [`TABLE_COLUMN`]
    Table,
    /// [`FILE_COLUMN`]
    File,
    /// [`ROW_COLUMN`]
    Row,
}

/// An opened table.
#[derive(Debug)]
pub struct Table {
    /// Its name in SQL.
    pub name: String,
    /// The raw shape of its rows.
    pub form: Arc<Form>,
    /// Parquet or NDJSON.
    pub format: Format,
    /// Where its files are.
    pub location: Location,
    /// How much wider than the window to list.
    pub slack: Duration,
    /// How long after its end a tile is complete.
    pub settle: Duration,
    /// How far back late objects are looked for.
    pub late: Duration,
    /// How its NDJSON is compressed, where the names do not say.
    pub compression: Option<Compression>,
    /// Zone of times that are written without one.
    pub zone: Tz,
    /// Above this share of bad lines, and more than 100 of them, results are partial.
    pub max_bad_ratio: f64,
    /// The name of the file that says that a folder, with all below it, is complete.
    complete: Option<String>,
    layout: Layout,
    schema: SchemaRef,
    listings: Mutex<HashMap<Option<Window>, Arc<Listing>>>,
}

impl Table {
    pub(super) fn open(
        name: &str,
        config: &TableConfig,
        form: Arc<Form>,
        file: &LakeConfigFile,
    ) -> Result<Self> {
        let wrong = |message: String| file.error_at(name, format!("table `{name}`: {message}"));
        let template = config.layout.as_deref().unwrap_or("**");
        let layout =
            Layout::parse(template).map_err(|e| wrong(format!("layout `{template}`: {e}")))?;
        let duration = |key: &str, value: &Option<String>, default: Duration| match value {
            Some(text) => parse_duration(text).map_err(|e| wrong(format!("{key}: {e}"))),
            None => Ok(default),
        };
        let zone = config.timezone.as_deref().unwrap_or("UTC");
        let schema = schema(&form, &layout).map_err(&wrong)?;
        if config
            .complete
            .as_deref()
            .is_some_and(|name| name.is_empty() || name.contains('/'))
        {
            return Err(wrong(
                "`complete` is the name of a file, such as _SUCCESS".to_owned(),
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            format: config.format,
            location: location(config, file).map_err(|e| {
                wrong(e.message().to_owned()).maybe_hint(e.hint_text().map(str::to_owned))
            })?,
            slack: duration("slack", &config.slack, Duration::zero())?,
            settle: duration("settle", &config.settle, Duration::zero())?,
            late: duration("late", &config.late, Duration::days(7))?,
            compression: config.compression,
            zone: zone.parse().map_err(|_| {
                wrong(format!("unknown timezone `{zone}`"))
                    .hint("an IANA name such as Europe/Berlin")
            })?,
            max_bad_ratio: config.max_bad_ratio.unwrap_or(0.01),
            complete: config.complete.clone(),
            form,
            layout,
            schema,
            listings: Mutex::default(),
        })
    }

    /// The schema that a table of a form has, whatever its location: all but partition columns.
    ///
    /// # Errors
    /// Two columns of one name.
    pub fn schema_of(form: &Form) -> Result<SchemaRef, String> {
        schema(form, &Layout::parse("**")?)
    }

    /// The form's columns, the partition columns, [`EVENT_TIME`], [`RECORD_ID`] and the columns that locate the row.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// What the column at an index of the schema is.
    pub fn column_kind(&self, index: usize) -> ColumnKind {
        let form = self.form.columns.len();
        let partitions = self.layout.partitions().len();
        match index.checked_sub(form) {
            None => ColumnKind::Form(index),
            Some(after) if after < partitions => ColumnKind::Partition(after),
            Some(after) => match after - partitions {
                0 => ColumnKind::EventTime,
                1 => ColumnKind::RecordId,
                2 => ColumnKind::Table,
                3 => ColumnKind::File,
                _ => ColumnKind::Row,
            },
        }
    }

    /// The files that may hold events of a window (all files for `None`), listed once per window.
    ///
    /// # Errors
    /// When the location cannot be listed.
    pub async fn list(&self, window: Option<Window>) -> Result<Arc<Listing>> {
        let mut listings = self.listings.lock().await;
        if let Some(listing) = listings.get(&window) {
            return Ok(Arc::clone(listing));
        }
        let listing = Arc::new(
            self.walk(window)
                .await
                .map_err(|e| e.about(format!("table `{}`", self.name)))?,
        );
        listings.insert(window, Arc::clone(&listing));
        Ok(listing)
    }

    async fn walk(&self, window: Option<Window>) -> Result<Listing> {
        let mut listing = Listing::default();
        let wanted = |values: &PathValues| match (window, values.time()) {
            // The slack widens what a path may hold: paths are by arrival or local day.
            (Some(window), Some(time)) => {
                time.start < window.end + self.slack && time.end > window.start - self.slack
            }
            _ => true,
        };
        // Level by level, the prefixes of one level in parallel: on a bucket each is a request.
        let mut open = vec![Prefix::default()];
        let mut complete = BTreeSet::new();
        while !open.is_empty() {
            // In boxes: the compiler cannot prove a stream of borrowing closures Send.
            let lists: Vec<_> = open
                .iter()
                .map(|prefix| self.entries(prefix).boxed())
                .collect();
            let found: Vec<(Entries, Vec<String>)> = futures::stream::iter(lists)
                .buffered(LISTS_AT_ONCE)
                .try_collect()
                .await?;
            let mut below = Vec::new();
            for (prefix, (entries, completed)) in open.iter().zip(found) {
                complete.extend(completed);
                match entries {
                    Entries::All(objects) => {
                        for object in objects {
                            self.take(&mut listing, object, &prefix.values);
                        }
                    }
                    Entries::Files(files) => {
                        for (object, values) in files {
                            if wanted(&values) {
                                self.take(&mut listing, object, &values);
                            } else {
                                listing.files_pruned += 1;
                            }
                        }
                    }
                    Entries::Folders(folders) => {
                        let (inside, outside): (Vec<_>, Vec<_>) = folders
                            .into_iter()
                            .partition(|folder| wanted(&folder.values));
                        listing.folders_pruned += outside.len();
                        below.extend(inside);
                    }
                }
            }
            open = below;
        }
        if self.complete.is_some() {
            let seen = listing.files.len();
            listing.files.retain(|file| {
                folders_of(&file.object.path).any(|folder| complete.contains(folder))
            });
            listing.files_waiting = seen - listing.files.len();
        }
        listing
            .files
            .sort_by(|a, b| a.object.path.cmp(&b.object.path));
        Ok(listing)
    }

    /// What stands below a prefix, and the folders that are said to be complete: one LIST.
    async fn entries(&self, prefix: &Prefix) -> Result<(Entries, Vec<String>)> {
        let segments = self.layout.segments();
        let (regex, captures) = match &segments[prefix.depth] {
            Segment::Rest => {
                let objects = self.location.list_all(&prefix.path).await?;
                let completed = objects.iter().filter_map(|object| self.completes(object));
                let completed = completed.collect();
                return Ok((Entries::All(objects), completed));
            }
            Segment::Name(regex, captures) => (regex, captures),
        };
        let level = self.location.list_level(&prefix.path).await?;
        let completed = level.objects.iter();
        let completed = completed
            .filter_map(|object| self.completes(object))
            .collect();
        if prefix.depth + 1 == segments.len() {
            let files = level.objects.into_iter().filter_map(|object| {
                let name = object.path.rsplit('/').next().unwrap_or_default();
                let values = prefix.values.with(regex, captures, name)?;
                Some((object, values))
            });
            return Ok((Entries::Files(files.collect()), completed));
        }
        let folders = level.folders.iter().filter_map(|name| {
            Some(Prefix {
                path: match prefix.path.as_str() {
                    "" => name.clone(),
                    above => format!("{above}/{name}"),
                },
                depth: prefix.depth + 1,
                values: prefix.values.with(regex, captures, name)?,
            })
        });
        Ok((Entries::Folders(folders.collect()), completed))
    }

    /// The folder that an object says is complete.
    fn completes(&self, object: &Object) -> Option<String> {
        let (folder, name) = object.path.rsplit_once('/').unwrap_or(("", &object.path));
        (self.complete.as_deref() == Some(name)).then(|| folder.to_owned())
    }

    fn take(&self, listing: &mut Listing, object: Object, values: &PathValues) {
        let hidden = object
            .path
            .split('/')
            .any(|part| part.starts_with(['.', '_']));
        // A template that names the files says which they are, whatever their suffix.
        let named = !matches!(self.layout.segments().last(), Some(Segment::Rest));
        if !hidden && (named || self.format.takes(&object.path)) {
            listing.files.push(DataFile {
                object,
                time: values.time(),
                partitions: values.partitions.clone(),
            });
        }
    }
}

/// The folder of a file and those above it; the location itself is the empty one.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.rmatch_indices('/').map(|(end, _)| end);
    ends.chain(std::iter::once(0)).map(|end| &path[..end])
}

impl Format {
    /// Whether a file's name says that it is of this format.
    pub fn takes(self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let compressed = [".gz", ".zst"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        let plain = compressed.unwrap_or(&name);
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| plain.ends_with(suffix));
        match self {
            Self::Parquet => name.ends_with(".parquet"),
            // CrowdStrike's replicator writes `part-00000.gz` and `part-00000.c000.txt.gz`, Zeek `conn.log`.
            Self::Ndjson => {
                ends(&[".ndjson", ".jsonl", ".json", ".log"])
                    || compressed.is_some() && (!plain.contains('.') || ends(&[".txt"]))
            }
            Self::Csv => ends(&[".csv"]),
        }
    }
}

fn location(config: &TableConfig, file: &LakeConfigFile) -> Result<Location> {
    Location::open(
        &file.address(&config.location)?,
        config.credentials.as_ref(),
    )
}

fn schema(form: &Form, layout: &Layout) -> Result<SchemaRef, String> {
    let mut fields: Vec<Field> = form
        .columns
        .iter()
        .map(|column| Field::new(&column.name, column.column_type.arrow(), true))
        .collect();
    fields.extend(
        layout
            .partitions()
            .iter()
            .map(|name| Field::new(name, DataType::Utf8View, true)),
    );
    fields.extend([
        Field::new(
            EVENT_TIME,
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            false,
        ),
        Field::new(RECORD_ID, DataType::Utf8View, false),
        Field::new(TABLE_COLUMN, DataType::Utf8View, false),
        Field::new(FILE_COLUMN, DataType::Utf8View, false),
        Field::new(ROW_COLUMN, DataType::Int64, false),
    ]);
    for (index, field) in fields.iter().enumerate() {
        if fields[..index]
            .iter()
            .any(|other| other.name().eq_ignore_ascii_case(field.name()))
        {
            return Err(format!("two columns are named `{}`", field.name()));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}
