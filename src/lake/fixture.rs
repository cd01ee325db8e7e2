//! The lake of a fixture: one table per file of events, raw in some form or already in the columns of a view; and what
//! the readers make of each line.
//!
//! For tests of hunts only: a lake of real telemetry has a lake file.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use super::config::{Format, TableConfig};
use super::decoded::DecodePlan;
use super::form::{ColumnSpec, ColumnType, Paths, TimeSource};
use super::table::{DataFile, EVENT_TIME, RECORD_ID};
use super::view::{FormSql, ViewType};
use super::{
    BadRecord, FileReport, Form, Lake, LakeFile, Lookup, Progress, Table, View, form, ndjson, view,
};
use crate::error::{Error, Result, did_you_mean};
use crate::hunt::Content;
use crate::hunt::fixture::{EventsFile, Fixture};

/// The forms and views that files of events can be of: read once for all fixtures.
#[derive(Debug, Clone)]
pub struct Shapes {
    forms: BTreeMap<String, Arc<Form>>,
    views: BTreeMap<String, Arc<View>>,
}

impl Shapes {
    /// Reads the forms and views of a `sql/` folder.
    ///
    /// # Errors
    /// The first that does not parse.
    pub fn load(content: &Content) -> Result<Self> {
        Ok(Self {
            forms: form::load(content)?,
            views: view::load(content)?,
        })
    }

    /// Whether there is a form or view of this name.
    pub fn has(&self, shape: &str) -> bool {
        self.forms.contains_key(shape) || self.views.contains_key(shape)
    }

    /// The lake of a fixture, for a query over it. A file that is named after a view feeds just that view. Views that the
    /// query does not name are there, and empty: what is wrong with them is no matter of this fixture.
    ///
    /// # Errors
    /// A configuration error with file and line: a file that is named after neither a form nor a view, a row of a view
    /// with a column that the view has not, or without `event_time`.
    pub fn lake(&self, fixture: &Fixture, query: &str) -> Result<Lake> {
        let lake_file = LakeFile::imagined(&fixture.folder);
        let query = query.to_lowercase();
        let mut views = self.views.clone();
        for view in views.values_mut() {
            if !query.contains(&view.name.to_lowercase()) {
                Arc::make_mut(view).forms.clear();
            }
        }
        let mut tables = BTreeMap::new();
        for file in &fixture.files {
            let form = match (views.get(&file.shape), self.forms.get(&file.shape)) {
                (Some(view), _) => {
                    let view = Arc::clone(view);
                    check_columns(&fixture.folder, file, &view)?;
                    let (form, view) = feeding(&view, file, &fixture.folder)?;
                    views.insert(view.name.clone(), Arc::new(view));
                    Arc::new(form)
                }
                (None, Some(form)) => Arc::clone(form),
                (None, None) => return Err(self.unknown(&fixture.folder, file)),
            };
            let config = config(&format!(
                "{{location: ., format: ndjson, layout: {:?}}}",
                file.name
            ))?;
            let table = Table::open(&file.table, &config, form, &lake_file)?;
            tables.insert(file.table.clone(), Arc::new(table));
        }
        let mut lookups = BTreeMap::new();
        for (name, file) in &fixture.lookups {
            let format = if Format::Csv.takes(file) {
                "csv"
            } else {
                "ndjson"
            };
            let config = config(&format!(
                "{{location: {file:?}, format: {format}, time: none}}"
            ))?;
            lookups.insert(
                name.clone(),
                Arc::new(Lookup::open(name, &config, &lake_file)?),
            );
        }
        Ok(Lake {
            path: fixture.folder.clone(),
            tables,
            lookups,
            views,
        })
    }

    fn unknown(&self, folder: &Path, file: &EventsFile) -> Error {
        let known = self.forms.keys().chain(self.views.keys());
        let known: Vec<_> = known.map(String::as_str).collect();
        let hint = did_you_mean(&file.shape, known.iter().copied());
        Error::configuration(format!("`{}` is neither a form nor a view", file.shape))
            .in_file(folder.join(&file.name))
            .hint(hint.unwrap_or_else(|| format!("there are {}", known.join(", "))))
    }
}

/// A table as a lake file would say it.
fn config(written: &str) -> Result<TableConfig> {
    yaml_serde::from_str(written)
        .map_err(|error| Error::failure(format!("table of a fixture: {error}")))
}

/// Rows of a view have its columns, and what starts with `_`: a column that is misspelled would be NULL unseen.
fn check_columns(folder: &Path, file: &EventsFile, view: &View) -> Result<()> {
    let is_column = |key: &str| view.columns.iter().any(|column| column.name == *key);
    for event in &file.events {
        let wrong = |message: String| {
            let line = usize::try_from(event.line).unwrap_or(0);
            Error::configuration(message).at(folder.join(&file.name), line, 0, &file.text)
        };
        let mut keys = event.row.keys();
        if let Some(key) = keys.find(|key| !key.starts_with('_') && !is_column(key)) {
            let known = view.columns.iter().map(|column| column.name.as_str());
            let hint = did_you_mean(key, known);
            let message = format!("`{key}` is not a column of the view `{}`", view.name);
            return Err(wrong(message).maybe_hint(hint));
        }
        if event
            .row
            .get(EVENT_TIME)
            .is_none_or(serde_json::Value::is_null)
        {
            return Err(wrong(format!("a row of a view needs an `{EVENT_TIME}`")));
        }
    }
    Ok(())
}

/// A form whose rows are those of a view already, and the view with a SELECT for it.
fn feeding(view: &View, file: &EventsFile, folder: &Path) -> Result<(Form, View)> {
    // The table has a clock and an identity of its own: what the rows say is kept beside them.
    let kept_as = |name: &str| match name {
        EVENT_TIME | RECORD_ID => format!("_{name}"),
        other => other.to_owned(),
    };
    let mut columns = BTreeMap::new();
    let mut select = Vec::new();
    for column in &view.columns {
        let name = column.name.as_str();
        let kept = kept_as(name);
        let (column_type, value) = match column.column_type {
            ViewType::Utf8View => (ColumnType::Text, format!("\"{kept}\"")),
            ViewType::Int64 => (ColumnType::Int, format!("\"{kept}\"")),
            ViewType::Float64 => (ColumnType::Float, format!("\"{kept}\"")),
            ViewType::Boolean => (ColumnType::Bool, format!("\"{kept}\"")),
            ViewType::Timestamp => (
                ColumnType::Text,
                format!("parse_time(\"{kept}\", 'iso8601')"),
            ),
        };
        match name {
            EVENT_TIME => {}
            RECORD_ID => select.push(format!("coalesce({value}, \"{name}\") AS \"{name}\"")),
            "source" => select.push(format!("coalesce({value}, '{}') AS \"{name}\"", file.table)),
            _ => select.push(format!("{value} AS \"{name}\"")),
        }
        let spec = ColumnSpec::Full {
            r#type: Some(column_type),
            path: Some(Paths::One(name.to_owned())),
        };
        columns.insert(kept, spec);
    }
    let time = TimeSource {
        column: kept_as(EVENT_TIME),
        format: "iso8601".to_owned(),
        timezone: None,
    };
    let form = Form::inline(&file.table, columns, vec![time], None)
        .map_err(|error| Error::failure(format!("view `{}`: {error}", view.name)))?;
    let mut view = view.clone();
    let sql = FormSql {
        path: folder.join(&file.name),
        sql: format!("SELECT {} FROM source", select.join(", ")),
    };
    view.forms.insert(form.name.clone(), vec![sql]);
    Ok((form, view))
}

/// What the readers make of a file of events.
#[derive(Debug)]
pub struct Inspection {
    /// Lines that are no event, with the reason.
    pub bad: Vec<BadRecord>,
    /// Lines that are the same record as an earlier line: both of them.
    pub copies: Vec<(u64, u64)>,
    /// Values of another type than declared: line and column.
    pub conflicts: Vec<(u64, String)>,
}

/// Reads a file of events as a run does, all its columns, and says what became of its lines.
///
/// # Errors
/// When the file cannot be listed.
pub async fn inspect(table: &Arc<Table>, file: &EventsFile) -> Result<Inspection> {
    let listing = table.list(None).await?;
    let Some(data_file) = listing.files.first() else {
        return Err(Error::failure(format!("{} is gone", file.name)));
    };
    let columns = 0..table.schema().fields().len();
    let plan = DecodePlan::new(Arc::clone(table), None, columns);
    let (report, ids) = decode(&plan, data_file, &file.text);
    let mut first = HashMap::new();
    let mut copies = Vec::new();
    for (line, id) in ids {
        match first.get(&id) {
            Some(earlier) => copies.push((*earlier, line)),
            None => {
                first.insert(id, line);
            }
        }
    }
    // The readers count conflicts by file. Line by line is slow, and rarely needed.
    let mut conflicts = Vec::new();
    if !report.conflicts.is_empty() {
        for (number, line) in (1..).zip(file.text.lines()) {
            let (report, _) = decode(&plan, data_file, line);
            let columns = report.conflicts.into_keys();
            conflicts.extend(columns.map(|column| (number, column)));
        }
    }
    Ok(Inspection {
        bad: report.bad_records,
        copies,
        conflicts,
    })
}

/// Reads lines, and gives the identities of the records by line.
fn decode(plan: &DecodePlan, file: &DataFile, text: &str) -> (FileReport, Vec<(u64, u128)>) {
    let mut report = FileReport::new(file);
    let mut ids = Vec::new();
    let bytes = Box::new(Cursor::new(text.as_bytes().to_vec()));
    let progress = Arc::new(Progress::default());
    ndjson::read(
        plan,
        file,
        bytes,
        &progress,
        &mut report,
        &mut |block, _| {
            let lines = block.rows.iter().map(|line| line.cast_unsigned());
            ids.extend(lines.zip(plan.identities(file, block, None)));
            true
        },
    );
    (report, ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const VIEW: &str = "description: d\ncolumns:\n  \
        - {name: event_time, type: \"Timestamp(us, UTC)\", meaning: m}\n  \
        - {name: event_type, type: Utf8View, meaning: m}\n  - {name: host_id, type: Utf8View, meaning: m}\n  \
        - {name: host_name, type: Utf8View, meaning: m}\n  - {name: source, type: Utf8View, meaning: m}\n  \
        - {name: record_id, type: Utf8View, meaning: m}\n  - {name: port, type: Int64, meaning: m}\n";
    const FORM: &str = "time: [{column: At, format: iso8601}]\nidentity: {host: Host, record: Number}\ncolumns: {At: text, Host: text, Number: int, Port: int}\n";

    /// A fixture with one file of events.
    fn fixture(name: &str, text: &str) -> (tempfile::TempDir, Shapes, Fixture) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("sql/forms/raw.yaml", FORM),
            ("sql/views/flow/schema.yaml", VIEW),
            (&format!("one/{name}"), text),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let content = Content::read(&folder.path().join("sql")).unwrap();
        let fixture = Fixture::read(&folder.path().join("one")).unwrap();
        (folder, Shapes::load(&content).unwrap(), fixture)
    }

    async fn inspected(name: &str, text: &str) -> Inspection {
        let (_folder, shapes, fixture) = fixture(name, text);
        let lake = shapes.lake(&fixture, "flow").unwrap();
        let file = &fixture.files[0];
        inspect(&lake.tables[&file.table], file).await.unwrap()
    }

    #[tokio::test]
    async fn copies_conflicts_and_bad_lines_are_told_by_line() {
        let text = concat!(
            r#"{"At": "2026-01-01T00:00:00Z", "Host": "A", "Number": 1}"#,
            "\n\n",
            r#"{"At": "2026-01-01T00:00:00Z", "Host": "A", "Number": 1, "Port": {}}"#,
            "\n",
            r#"{"Host": "A", "Number": 2}"#,
            "\n",
            r#"{"At": "2026-01-01T00:00:00Z", "Host": "A", "Number": 2, "Port": "x"}"#,
            "\n",
        );
        let inspection = inspected("events.raw.ndjson", text).await;
        assert_eq!(inspection.copies, [(1, 3)]);
        let conflicts = [(3, "Port".to_owned()), (5, "Port".to_owned())];
        assert_eq!(inspection.conflicts, conflicts);
        let bad: Vec<_> = inspection
            .bad
            .iter()
            .map(|bad| (bad.line, bad.reason))
            .collect();
        assert_eq!(bad, [(4, "no_time")]);
    }

    #[tokio::test]
    async fn rows_of_a_view_are_typed_as_the_view_says() {
        let text =
            "{\"event_time\": \"2026-01-01T00:00:00Z\", \"port\": \"http\", \"_note\": {}}\n";
        let inspection = inspected("events.flow.ndjson", text).await;
        assert_eq!(inspection.conflicts, [(1, "port".to_owned())]);
    }

    #[test]
    fn names_that_mean_nothing_are_told_with_their_place() {
        let error = |name, text| {
            let (_folder, shapes, fixture) = fixture(name, text);
            shapes.lake(&fixture, "flow").unwrap_err()
        };
        let unknown = error("events.rav.ndjson", "{}");
        assert_eq!(unknown.message(), "`rav` is neither a form nor a view");
        assert_eq!(unknown.hint_text(), Some("did you mean `raw`?"));
        let column = error(
            "events.flow.ndjson",
            "{\"event_time\": \"2026-01-01\"}\n{\"event_time\": \"2026-01-01\", \"prot\": 1}",
        );
        assert_eq!(
            column.message(),
            "`prot` is not a column of the view `flow`"
        );
        assert_eq!(column.place().unwrap().line, 2);
        assert_eq!(column.hint_text(), Some("did you mean `port`?"));
        let timeless = error("events.flow.ndjson", "{\"port\": 1}");
        assert_eq!(timeless.message(), "a row of a view needs an `event_time`");
    }
}
