//! Views: categories of events with a declared schema, and one SELECT per form that fills them.
//!
//! Holds texts and types; planning them is the engine's business.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Form;
use super::table::{FILE_COLUMN, ROW_COLUMN, TABLE_COLUMN};
use crate::error::{Error, Result};
use crate::hunt::{Content, yaml};

/// The Arrow types a view's column can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ViewType {
    /// Text.
    Utf8View,
    /// A whole number.
    Int64,
    /// A number.
    Float64,
    /// True or false.
    Boolean,
    /// Microseconds, UTC.
    #[serde(rename = "Timestamp(us, UTC)")]
    Timestamp,
}

impl ViewType {
    /// The Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Utf8View => DataType::Utf8View,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// What a row of a view stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TellsOf {
    /// Something that happened.
    #[default]
    Activities,
    /// That a record is there, whatever it says. What shows people what happened looks into no such view: its events are
    /// in another too, or in none.
    Records,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenColumn {
    /// Its name: Sigma's field in `snake_case`, else OCSF's.
    name: String,
    /// Its Arrow type.
    r#type: ViewType,
    /// What it means, and where it is missing.
    meaning: String,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What its events are.
    description: String,
    /// What a row stands for.
    #[serde(default)]
    tells_of: TellsOf,
    /// Its columns, in order.
    columns: Vec<WrittenColumn>,
}

/// The JSON Schema of the schema of a view.
pub fn json_schema() -> schemars::Schema {
    schemars::schema_for!(Written)
}

/// One column of a view.
#[derive(Debug, Clone)]
pub struct ViewColumn {
    /// Its name: Sigma's field in `snake_case`, else OCSF's.
    pub name: String,
    /// Its type.
    pub column_type: ViewType,
    /// What it means.
    pub meaning: String,
}

/// The SELECT of one form; its table is called `source`.
#[derive(Debug, Clone)]
pub struct FormSql {
    /// The file, for errors.
    pub path: PathBuf,
    /// The text.
    pub sql: String,
}

/// One view.
#[derive(Debug, Clone)]
pub struct View {
    /// The category, such as `process_creation`.
    pub name: String,
    /// What its events are.
    pub description: String,
    /// What a row stands for.
    pub tells_of: TellsOf,
    /// The declared columns, in order.
    pub columns: Vec<ViewColumn>,
    /// SQL by form; several SELECTs of one form are united.
    pub forms: BTreeMap<String, Vec<FormSql>>,
}

impl View {
    /// The SELECTs for a form: its own, else those of the nearest form that it extends.
    pub fn selects(&self, form: &Form) -> &[FormSql] {
        let mut names = std::iter::once(&form.name).chain(&form.extends);
        names
            .find_map(|name| self.forms.get(name))
            .map_or(&[], Vec::as_slice)
    }

    /// The declared columns and those that locate the raw event (`_table`, `_file`, `_row`).
    pub fn schema(&self) -> SchemaRef {
        let declared = self
            .columns
            .iter()
            .map(|column| Field::new(&column.name, column.column_type.arrow(), true));
        let locating = [
            Field::new(TABLE_COLUMN, DataType::Utf8View, false),
            Field::new(FILE_COLUMN, DataType::Utf8View, false),
            Field::new(ROW_COLUMN, DataType::Int64, false),
        ];
        Arc::new(Schema::new(declared.chain(locating).collect::<Vec<_>>()))
    }
}

/// Reads every view of a `sql/` folder: `views/<category>/schema.yaml` and `views/<category>/<form>.sql`, or
/// `<form>.<what>.sql` where a form needs several SELECTs.
///
/// # Errors
/// The first file that does not parse, or a category without a schema.
pub fn load(content: &Content) -> Result<BTreeMap<String, Arc<View>>> {
    let mut schemas = BTreeMap::new();
    let mut forms: BTreeMap<&str, BTreeMap<String, Vec<FormSql>>> = BTreeMap::new();
    for (inside, text) in content.below("views") {
        let Some((category, file)) = inside
            .strip_prefix("views/")
            .and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        let path = content.display_path(inside);
        if file == "schema.yaml" {
            let written: Written = yaml::parse(text, &path, 1, 0, text)?;
            for needed in [
                "event_time",
                "event_type",
                "host_id",
                "host_name",
                "source",
                "record_id",
            ] {
                if !written.columns.iter().any(|column| column.name == needed) {
                    return Err(Error::configuration(format!("view `{category}` lacks the column `{needed}`"))
                        .in_file(&path)
                        .hint("every view has event_time, event_type, host_id, host_name, source and record_id"));
                }
            }
            schemas.insert(category, written);
        } else if let Some(stem) = file.strip_suffix(".sql") {
            let form = stem.split('.').next().unwrap_or(stem);
            let forms = forms.entry(category).or_default();
            forms.entry(form.to_owned()).or_default().push(FormSql {
                path,
                sql: text.to_owned(),
            });
        }
    }
    if let Some(category) = forms
        .keys()
        .find(|category| !schemas.contains_key(*category))
    {
        return Err(
            Error::configuration(format!("view `{category}` has no schema.yaml"))
                .in_file(content.display_path(&format!("views/{category}"))),
        );
    }
    Ok(schemas
        .into_iter()
        .map(|(category, written)| {
            let view = View {
                name: category.to_owned(),
                description: written.description,
                tells_of: written.tells_of,
                columns: written
                    .columns
                    .into_iter()
                    .map(|column| ViewColumn {
                        name: column.name,
                        column_type: column.r#type,
                        meaning: column.meaning,
                    })
                    .collect(),
                forms: forms.remove(category).unwrap_or_default(),
            };
            (category.to_owned(), Arc::new(view))
        })
        .collect())
}
