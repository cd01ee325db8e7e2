//! A table: files at one location, the form of their rows, and which of them a window needs.
//!
//! Listing the files is [`super::listing`]'s business, reading them [`super::scan`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::Duration;
use chrono_tz::Tz;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::config::{Compression, Format, TableConfig};
use super::layout::Layout;
use super::listing::Listed;
use super::raw_event::RawEvents;
use super::{Form, LakeFile as LakeConfigFile, RawField};
use crate::error::Result;
use crate::store::{Budget, Location, Object};
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
    /// Where it holds some rows of another file: which.
    pub numbers: Option<Vec<i64>>,
}

impl DataFile {
    /// What the row at a place (1-based) is called.
    pub fn number_of(&self, place: i64) -> i64 {
        let number = self.numbers.as_ref().and_then(|numbers| {
            let index = usize::try_from(place.checked_sub(1)?).ok()?;
            numbers.get(index).copied()
        });
        number.unwrap_or(place)
    }
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
#[derive(Debug, Clone)]
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
    /// The texts of records that are its form's last columns.
    pub(super) raw: BTreeSet<RawField>,
    /// How much of its files may be held before it is decoded; one for all tables.
    pub read_ahead: Arc<Budget>,
    /// The name of the file that says that a folder, with all below it, is complete.
    pub(super) complete: Option<String>,
    pub(super) layout: Layout,
    schema: SchemaRef,
    pub(super) listed: Arc<Listed>,
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
        let schema = schema(&form, &layout);
        no_two_alike(&schema).map_err(&wrong)?;
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
            read_ahead: Budget::of_process(),
            complete: config.complete.clone(),
            form,
            layout,
            schema,
            raw: BTreeSet::new(),
            listed: Arc::default(),
        })
    }

    /// The same table over nothing but some events of its files, by file; and these files: for readers that come back to
    /// events they have.
    ///
    /// # Errors
    /// When they cannot be held, which would be a bug.
    pub async fn of_events(
        &self,
        events: BTreeMap<String, (Object, RawEvents)>,
    ) -> Result<(Self, Vec<DataFile>)> {
        let contents = events.values();
        let contents = contents.map(|(object, events)| (object, events.file.clone()));
        let (location, objects) = self.location.with(contents.collect()).await?;
        let table = Self {
            location,
            compression: None,
            ..self.clone()
        };
        let files = objects.into_iter().zip(events.into_values());
        let files = files.map(|(object, (_, events))| DataFile {
            object,
            time: None,
            partitions: Vec::new(),
            numbers: events.numbers,
        });
        Ok((table, files.collect()))
    }

    /// The same files read with another form, whose last columns are texts of records.
    pub(super) fn with_form(&self, form: Form, raw: BTreeSet<RawField>) -> Self {
        Self {
            schema: schema(&form, &self.layout),
            form: Arc::new(form),
            raw,
            ..self.clone()
        }
    }

    /// The texts of records that it has as columns.
    pub fn raw_fields(&self) -> impl Iterator<Item = RawField> {
        self.raw.iter().cloned()
    }

    /// The schema that a table of a form has, whatever its location: all but partition columns.
    ///
    /// # Errors
    /// Two columns of one name.
    pub fn schema_of(form: &Form) -> Result<SchemaRef, String> {
        let schema = schema(form, &Layout::parse("**")?);
        no_two_alike(&schema)?;
        Ok(schema)
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

fn schema(form: &Form, layout: &Layout) -> SchemaRef {
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
    Arc::new(Schema::new(fields))
}

/// Names without quotes ignore case.
fn no_two_alike(schema: &Schema) -> Result<(), String> {
    let fields = schema.fields();
    for (index, field) in fields.iter().enumerate() {
        if fields[..index]
            .iter()
            .any(|other| other.name().eq_ignore_ascii_case(field.name()))
        {
            return Err(format!("two columns are named `{}`", field.name()));
        }
    }
    Ok(())
}
