//! Forms: the raw shapes of rows. One file `sql/forms/<form>.yaml` says where the event time is, what makes a record
//! itself, and which raw paths there are, with types. A form may extend another: one shape of events, shipped another way.
//!
//! Knows no files and no views.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};
use crate::functions::TimeFormat;
use crate::hunt::{Content, yaml};

/// The type a raw path is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
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
    /// The word for it, as forms write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Json => "json",
        }
    }

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

/// One declared column: a type, or a type and paths that differ from the column's name.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged, deny_unknown_fields)]
pub enum ColumnSpec {
    /// Only a type: the name is the path.
    Type(ColumnType),
    /// A type, or that of the form it extends, and where it lies.
    Full {
        /// The type; needed unless the form extends one that has the column.
        r#type: Option<ColumnType>,
        /// The raw path or paths.
        path: Option<Paths>,
    },
}

/// By hand, because an untagged enum would not say which word is wrong.
impl<'de> Deserialize<'de> for ColumnSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            r#type: Option<ColumnType>,
            path: Option<Paths>,
        }
        struct TypeOrFull;
        impl<'de> Visitor<'de> for TypeOrFull {
            type Value = ColumnSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type, or {type, path}")
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<ColumnSpec, E> {
                ColumnType::deserialize(word.into_deserializer()).map(ColumnSpec::Type)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ColumnSpec, A::Error> {
                let Full { r#type, path } = Full::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ColumnSpec::Full { r#type, path })
            }
        }
        deserializer.deserialize_any(TypeOrFull)
    }
}

/// Raw paths, with dots between nested keys. Of several the first that holds a value counts, row by row.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Paths {
    /// One path.
    One(String),
    /// Several, in order.
    Several(Vec<String>),
}

impl ColumnSpec {
    fn column_type(&self) -> Option<ColumnType> {
        match self {
            Self::Type(column_type) => Some(*column_type),
            Self::Full { r#type, .. } => *r#type,
        }
    }
}

impl Paths {
    /// The paths of a column, with its name where they say `{name}`.
    fn of(&self, column: &str) -> Vec<String> {
        let paths = match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        };
        paths
            .iter()
            .map(|path| path.replace("{name}", column))
            .collect()
    }
}

/// One place to find the event time; a form lists several, the first that parses wins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeSource {
    /// A declared column.
    pub column: String,
    /// A format of `parse_time`: strftime, `unix`, `unix_s`, `unix_ms`, `iso8601`, `filetime`.
    pub format: String,
    /// Zone for texts without one: a name, or `local` for the table's `timezone`. UTC by default.
    pub timezone: Option<String>,
}

/// What makes a record itself: the same event delivered twice has the same identity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Column of the host.
    pub host: String,
    /// Column of the log.
    pub channel: Option<String>,
    /// Column of the number of the record in its log, or of another id of it.
    pub record: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    #[expect(
        dead_code,
        reason = "documentation for people; typed so that it may be written"
    )]
    /// What its events are, and where they come from.
    description: Option<String>,
    /// A form whose columns, clock, identity and views this one has too, unless it says otherwise.
    extends: Option<String>,
    /// Where inherited columns lie, such as `event_data.{name}`.
    path: Option<Paths>,
    /// Where the event time is: the first that parses counts.
    time: Option<Vec<TimeSource>>,
    /// What makes a record itself, so that a copy is dropped.
    identity: Option<Identity>,
    /// Raw columns by their names in SQL: a type, or a type and a path.
    #[serde(default)]
    columns: BTreeMap<String, ColumnSpec>,
}

/// The JSON Schema of a form.
pub fn json_schema() -> schemars::Schema {
    schemars::schema_for!(Written)
}

/// One column of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormColumn {
    /// The name in SQL.
    pub name: String,
    /// The raw paths, of which the first that holds a value counts.
    pub paths: Vec<String>,
    /// The type it is read as.
    pub column_type: ColumnType,
}

/// A parsed form.
#[derive(Debug, Clone)]
pub struct Form {
    /// The file stem, such as `windows_event`.
    pub name: String,
    /// The forms it extends, nearest first: a view without a SELECT for this form takes theirs.
    pub extends: Vec<String>,
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
        let columns = columns
            .into_iter()
            .map(|(name, spec)| {
                let (column_type, path) = match spec {
                    ColumnSpec::Type(column_type) => (column_type, None),
                    ColumnSpec::Full { r#type, path } => (
                        r#type.ok_or_else(|| format!("column `{name}` needs a `type`"))?,
                        path,
                    ),
                };
                let paths = path.map_or_else(|| vec![name.clone()], |path| path.of(&name));
                if paths.is_empty() {
                    return Err(format!("column `{name}` has an empty list of paths"));
                }
                Ok(FormColumn {
                    name,
                    paths,
                    column_type,
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
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
            extends: Vec::new(),
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
    let mut written = BTreeMap::new();
    for (inside, text) in content.below("forms") {
        let Some(name) = inside
            .strip_prefix("forms/")
            .and_then(|file| file.strip_suffix(".yaml"))
        else {
            continue;
        };
        let path = content.display_path(inside);
        let form: Written = yaml::parse(text, &path, 1, 0, text)?;
        written.insert(name.to_owned(), (form, path));
    }
    let mut forms = BTreeMap::new();
    for (name, (_, path)) in &written {
        let form = inherited(name, &written)
            .map_err(|e| Error::configuration(format!("form `{name}`: {e}")).in_file(path))?;
        forms.insert(name.clone(), Arc::new(form));
    }
    Ok(forms)
}

/// A form with what it has of the forms it extends.
fn inherited(name: &str, written: &BTreeMap<String, (Written, PathBuf)>) -> Result<Form, String> {
    let mut chain = vec![name];
    while let Some(base) = written[chain[chain.len() - 1]].0.extends.as_deref() {
        if chain.contains(&base) {
            return Err(format!("it extends itself by way of `{base}`"));
        }
        if !written.contains_key(base) {
            return Err(format!("it extends `{base}`, which is no form"));
        }
        chain.push(base);
    }
    let mut columns: BTreeMap<String, ColumnSpec> = BTreeMap::new();
    let (mut time, mut identity) = (None, None);
    // From the base outwards: each form moves what it inherits, and then has its own say.
    for form in chain.iter().rev().map(|form| &written[*form].0) {
        if let Some(place) = &form.path {
            for spec in columns.values_mut() {
                let r#type = spec.column_type();
                let path = Some(place.clone());
                *spec = ColumnSpec::Full { r#type, path };
            }
        }
        for (name, own) in &form.columns {
            let before = columns.get(name);
            let r#type = own
                .column_type()
                .or_else(|| before.and_then(ColumnSpec::column_type));
            let path = match own {
                ColumnSpec::Full {
                    path: Some(path), ..
                } => Some(path.clone()),
                _ => None,
            };
            columns.insert(name.clone(), ColumnSpec::Full { r#type, path });
        }
        time = form.time.as_ref().or(time);
        identity = form.identity.as_ref().or(identity);
    }
    let time = time.ok_or("`time` is missing")?;
    let mut form = Form::build(name.to_owned(), columns, time, identity)?;
    form.extends = chain[1..].iter().map(|form| (*form).to_owned()).collect();
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "time: [{column: At, format: iso8601}]\n\
        identity: {host: Host, record: Number}\n\
        columns: {At: text, Host: text, Number: int, Image: text}\n";

    fn forms(extra: &[(&str, &str)]) -> Result<BTreeMap<String, Arc<Form>>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("forms")).unwrap();
        for (name, text) in [("base", BASE)].iter().chain(extra) {
            let file = folder.path().join(format!("forms/{name}.yaml"));
            std::fs::write(file, text).unwrap();
        }
        load(&Content::read(folder.path()).unwrap())
    }

    fn paths<'a>(form: &'a Form, column: &str) -> (&'a [String], ColumnType) {
        let mut columns = form.columns.iter();
        let column = columns.find(|found| found.name == column).unwrap();
        (&column.paths, column.column_type)
    }

    #[test]
    fn a_form_has_what_it_extends_unless_it_says_otherwise() {
        let shipped = "extends: base\npath: \"event.{name}\"\ncolumns:\n  \
            Host: {path: [computer, host.name]}\n  Image: json\n  Extra: int\n";
        let again = "extends: shipped\ntime: [{column: Extra, format: unix_ms}]\n";
        let forms = forms(&[("shipped", shipped), ("again", again)]).unwrap();
        let form = &forms["shipped"];
        assert_eq!(form.extends, ["base"]);
        assert_eq!(
            paths(form, "At"),
            (&["event.At".to_owned()][..], ColumnType::Text)
        );
        let hosts = ["computer", "host.name"].map(str::to_owned);
        assert_eq!(paths(form, "Host"), (&hosts[..], ColumnType::Text));
        assert_eq!(
            paths(form, "Image"),
            (&["Image".to_owned()][..], ColumnType::Json)
        );
        assert!(form.identity.is_some());
        let again = &forms["again"];
        assert_eq!(again.extends, ["shipped", "base"]);
        assert_eq!(again.columns, form.columns);
        assert_eq!(again.columns[again.time[0].column].name, "Extra");
    }

    #[test]
    fn what_a_form_cannot_extend_is_said() {
        let error = |text| forms(&[("odd", text)]).unwrap_err().to_string();
        assert!(error("extends: bas").contains("it extends `bas`, which is no form"));
        assert!(error("extends: odd").contains("it extends itself"));
        assert!(error("columns: {A: text}").contains("`time` is missing"));
        assert!(
            error("extends: base\ncolumns: {A: {path: b}}").contains("column `A` needs a `type`")
        );
        assert!(error("extends: base\ncolumns: {A: {type: int, path: []}}").contains("empty list"));
    }
}
