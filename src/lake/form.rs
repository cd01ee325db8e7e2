//! Forms: the raw shapes of rows. One file `sql/forms/<form>.yaml` says where the event time is, what makes a record
//! itself, and which raw paths there are, with types.
//!
//! Knows no files and no views.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::datatypes::DataType;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::functions::TimeFormat;
use crate::hunt::{Content, yaml};

/// The type a raw path is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// `Utf8View`. Numbers and booleans become their text; objects and arrays do not fit.
    Text,
    /// `Int64`. Whole numbers, also written as decimal or `0x` hex text (both occur for one field in one file).
    Int,
    /// `Float64`. Numbers, also written as text.
    Float,
    /// `Boolean`. Booleans, also `"true"`, `"False"`, 0 and 1.
    Bool,
    /// `Utf8View`. Any value as JSON text; a JSON string as its content.
    Json,
}

impl ColumnType {
    /// The Arrow type of the column.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8View,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// One declared raw path: a type, or a type and a path that differs from the column's name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ColumnSpec {
    /// Only a type: the name is the path.
    Type(ColumnType),
    /// A type and a path.
    Full {
        /// The type.
        r#type: ColumnType,
        /// The raw path, with dots between nested keys.
        path: String,
    },
}

/// One place to find the event time; a form lists several, the first that parses wins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSource {
    /// A declared column.
    pub column: String,
    /// A format of `parse_time`: strftime, `unix_s`, `unix_ms`, `iso8601`, `filetime`.
    pub format: String,
    /// Zone for texts without one: a name, or `local` for the table's `timezone`. UTC by default.
    pub timezone: Option<String>,
}

/// What makes a record itself: the same event delivered twice has the same identity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Column of the host.
    pub host: String,
    /// Column of the log.
    pub channel: Option<String>,
    /// Column of the number of the record in its log.
    pub record: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[expect(
        dead_code,
        reason = "documentation for people; typed so that it may be written"
    )]
    description: Option<String>,
    time: Vec<TimeSource>,
    identity: Option<Identity>,
    columns: BTreeMap<String, ColumnSpec>,
}

/// One column of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormColumn {
    /// The name in SQL.
    pub name: String,
    /// The raw path.
    pub path: String,
    /// The type it is read as.
    pub column_type: ColumnType,
}

/// A parsed form.
#[derive(Debug, Clone)]
pub struct Form {
    /// The file stem, such as `windows_event`.
    pub name: String,
    /// Declared columns in order of their names.
    pub columns: Vec<FormColumn>,
    /// Where the event time is, in order.
    pub time: Vec<EventTime>,
    /// What makes a record itself, as indices into `columns`.
    pub identity: Option<IdentityColumns>,
}

/// A checked [`TimeSource`].
#[derive(Debug, Clone)]
pub struct EventTime {
    /// Index into the form's columns.
    pub column: usize,
    /// How to parse it.
    pub format: TimeFormat,
    /// `None`: the table's timezone.
    pub zone: Option<Tz>,
    /// Where texts of this format sort as their times do, give or take this many microseconds: statistics of a row
    /// group then bound its times.
    pub text_slack: Option<i64>,
}

/// A checked [`Identity`]: indices into the form's columns.
#[derive(Debug, Clone, Copy)]
pub struct IdentityColumns {
    /// Host.
    pub host: usize,
    /// Log.
    pub channel: Option<usize>,
    /// Record number.
    pub record: usize,
}

impl Form {
    /// A form of one table, from the `time` and `schema` of its lake file.
    ///
    /// # Errors
    /// What is wrong, for the caller to place.
    pub fn inline(
        table: &str,
        columns: BTreeMap<String, ColumnSpec>,
        time: Vec<TimeSource>,
        identity: Option<Identity>,
    ) -> Result<Self, String> {
        Self::build(format!("table:{table}"), columns, &time, identity.as_ref())
    }

    fn build(
        name: String,
        columns: BTreeMap<String, ColumnSpec>,
        time: &[TimeSource],
        identity: Option<&Identity>,
    ) -> Result<Self, String> {
        let columns: Vec<_> = columns
            .into_iter()
            .map(|(name, spec)| match spec {
                ColumnSpec::Type(column_type) => FormColumn {
                    path: name.clone(),
                    name,
                    column_type,
                },
                ColumnSpec::Full { r#type, path } => FormColumn {
                    name,
                    path,
                    column_type: r#type,
                },
            })
            .collect();
        let index = |column: &str| {
            columns
                .iter()
                .position(|c| c.name == column)
                .ok_or_else(|| format!("column `{column}` is not among its columns"))
        };
        for (position, column) in columns.iter().enumerate() {
            let same = |other: &&FormColumn| other.name.eq_ignore_ascii_case(&column.name);
            if let Some(other) = columns[..position].iter().find(same) {
                return Err(format!(
                    "columns `{}` and `{}` differ only in case",
                    other.name, column.name
                ));
            }
        }
        if time.is_empty() {
            return Err("`time` must name at least one column".to_owned());
        }
        let time = time
            .iter()
            .map(|source| {
                let zone = match source.timezone.as_deref() {
                    None => Some(Tz::UTC),
                    Some("local") => None,
                    Some(zone) => Some(
                        zone.parse()
                            .map_err(|_| format!("unknown timezone `{zone}`"))?,
                    ),
                };
                Ok(EventTime {
                    column: index(&source.column)?,
                    format: TimeFormat::parse(&source.format)?,
                    zone,
                    text_slack: text_slack(&source.format),
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        let identity = identity
            .map(|identity| {
                Ok::<_, String>(IdentityColumns {
                    host: index(&identity.host)?,
                    channel: identity.channel.as_deref().map(index).transpose()?,
                    record: index(&identity.record)?,
                })
            })
            .transpose()?;
        Ok(Self {
            name,
            columns,
            time,
            identity,
        })
    }
}

/// How far texts of a format can be from sorting as their times do.
fn text_slack(format: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    match format {
        // `...:00Z` sorts behind `...:00.5Z`.
        "%Y-%m-%d %H:%M:%S%.f" | "%Y-%m-%dT%H:%M:%S%.f" | "%Y-%m-%dT%H:%M:%S%.fZ" => Some(SECOND),
        "%Y-%m-%d %H:%M:%S" | "%Y-%m-%dT%H:%M:%S" | "%Y-%m-%dT%H:%M:%SZ" => Some(0),
        // Any text may bring an offset of its own, of up to 14 hours, and a day may be written with a blank or a T.
        "iso8601" => Some(48 * 3600 * SECOND),
        _ => None,
    }
}

/// Reads every form of a `sql/` folder.
///
/// # Errors
/// The first form that does not parse, with file and place.
pub fn load(content: &Content) -> Result<BTreeMap<String, Arc<Form>>> {
    let mut forms = BTreeMap::new();
    for (inside, text) in content.below("forms") {
        let Some(name) = inside
            .strip_prefix("forms/")
            .and_then(|file| file.strip_suffix(".yaml"))
        else {
            continue;
        };
        let path = content.display_path(inside);
        let written: Written = yaml::parse(text, &path, 1, 0, text)?;
        let form = Form::build(
            name.to_owned(),
            written.columns,
            &written.time,
            written.identity.as_ref(),
        )
        .map_err(|e| Error::configuration(format!("form `{name}`: {e}")).in_file(&path))?;
        forms.insert(name.to_owned(), Arc::new(form));
    }
    Ok(forms)
}
