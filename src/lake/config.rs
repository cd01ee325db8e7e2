//! `lake.yaml` as it is written. Knows the keys; opening locations is [`super::Table`]'s business.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::form::{ColumnSpec, Identity, TimeSource};
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::hunt::yaml;
use crate::store::Address;

/// How the bytes of a table's files are to be read. Compression is told by the suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet: `.parquet`.
    Parquet,
    /// One JSON object a line: `.ndjson`, `.jsonl`, `.json`, plain or with `.gz` or `.zst`.
    Ndjson,
    /// Comma-separated values with a header, for lookups: `.csv`, plain or with `.gz` or `.zst`.
    Csv,
}

/// How files are compressed where their names do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all, whatever the suffix says.
    None,
    /// gzip, with any number of members.
    Gzip,
    /// zstd, with any number of frames.
    Zstd,
}

impl Compression {
    /// What a file's suffix says: `.gz`, `.zst`, else nothing.
    pub fn of(path: &str) -> Self {
        match path.rsplit('.').next() {
            Some(suffix) if suffix.eq_ignore_ascii_case("gz") => Self::Gzip,
            Some(suffix) if suffix.eq_ignore_ascii_case("zst") => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Where a table's event time is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// Nowhere: a lookup, read whole.
    None,
    /// In these columns, the first that parses.
    Sources(Vec<TimeSource>),
}

/// By hand, because an untagged enum would not say which key is wrong.
impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NoneOrSources;
        impl<'de> Visitor<'de> for NoneOrSources {
            type Value = Clock;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`none`, or a list of {column, format, timezone}")
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Clock, E> {
                match word {
                    "none" => Ok(Clock::None),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Clock, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Clock::Sources)
            }
        }
        deserializer.deserialize_any(NoneOrSources)
    }
}

impl JsonSchema for Clock {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Clock".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let sources = generator.subschema_for::<Vec<TimeSource>>();
        schemars::json_schema!({"anyOf": [{"const": "none"}, sources]})
    }
}

/// One table as it is written; unknown keys are errors.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// A folder, relative to the lake file, or `s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix`.
    pub location: String,
    /// How to reach the bucket; the environment by default.
    pub credentials: Option<Credentials>,
    /// The raw shape of the rows: a file in `sql/forms`.
    pub form: Option<String>,
    /// Parquet or NDJSON.
    pub format: Format,
    /// The path template, such as `day={time:%Y-%m-%d}/**`; without one, all files below the location.
    pub layout: Option<String>,
    /// The name of the file that says that a folder, with all below it, is written to its end, such as `_SUCCESS`:
    /// files without it in their folder or one above are not read yet.
    pub complete: Option<String>,
    /// Paths are by arrival or local day: list this much wider.
    pub slack: Option<String>,
    /// A tile is complete when this much time has passed since its end.
    pub settle: Option<String>,
    /// How far back late objects are looked for.
    pub late: Option<String>,
    /// For NDJSON whose names do not say how they are compressed.
    pub compression: Option<Compression>,
    /// Zone of event times that are written without one.
    pub timezone: Option<String>,
    /// Above this share of bad lines (and more than 100 of them) results are `partial`.
    pub max_bad_ratio: Option<f64>,
    /// Without a form: where the event time is; `none` for a lookup.
    pub time: Option<Clock>,
    /// Without a form: what makes a record itself.
    pub identity: Option<Identity>,
    /// Without a form: raw paths and their types.
    pub schema: Option<BTreeMap<String, ColumnSpec>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Tables by their names in SQL.
    tables: BTreeMap<String, TableConfig>,
}

/// The JSON Schema of a lake file.
pub fn json_schema() -> schemars::Schema {
    schemars::schema_for!(Written)
}

/// A lake file with its text, so that later errors can show the line.
#[derive(Debug, Clone)]
pub struct LakeFile {
    /// The file.
    pub path: PathBuf,
    /// Tables by name.
    pub tables: BTreeMap<String, TableConfig>,
    text: String,
}

impl LakeFile {
    /// Reads a lake file.
    ///
    /// # Errors
    /// A configuration error with file, line and column.
    pub fn read(path: &Path) -> Result<Self> {
        let (written, text): (Written, String) = yaml::read(path, "lake")?;
        if written.tables.is_empty() {
            return Err(Error::configuration("the lake has no tables").in_file(path));
        }
        Ok(Self {
            path: path.to_owned(),
            tables: written.tables,
            text,
        })
    }

    /// A lake file that is not there, in a folder that tables without one are relative to: of fixtures.
    pub(super) fn imagined(folder: &Path) -> Self {
        Self {
            path: folder.join("lake.yaml"),
            tables: BTreeMap::new(),
            text: String::new(),
        }
    }

    /// An error about one table, at its line of the file.
    pub fn error_at(&self, table: &str, message: impl Into<String>) -> Error {
        let error = Error::configuration(message);
        let found = self.text.lines().enumerate().find_map(|(index, line)| {
            let start = line.trim_start();
            (line.len() > start.len() && start.strip_prefix(table)?.trim_start().starts_with(':'))
                .then_some((index + 1, line.len() - start.len() + 1))
        });
        match found {
            Some((line, column)) => error.at(&self.path, line, column, &self.text),
            None => error.in_file(&self.path),
        }
    }

    /// Where a table's location is.
    ///
    /// # Errors
    /// A configuration error for what is on another store.
    pub fn address(&self, location: &str) -> Result<Address> {
        Ok(match Address::parse(location, "location")? {
            Address::Local(path) => Address::Local(self.resolve(&path)),
            bucket @ Address::Bucket { .. } => bucket,
        })
    }

    /// A table's location as a path: relative ones are relative to the lake file.
    pub fn resolve(&self, location: &Path) -> PathBuf {
        let joined = self.path.parent().unwrap_or(Path::new("")).join(location);
        if joined.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            joined
        }
    }
}
