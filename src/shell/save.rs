//! From a query to a hunt: a file with front matter, and a fixture made from the events that the query found.
//!
//! What a hunt must return is added where it is missing; what it must not say (LIMIT, ORDER BY) is left out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use datafusion::arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast::{GroupByExpr, Query, Select, SetExpr, TableFactor};
use serde_json::{Map, Value};

use super::Shell;
use crate::engine::SqlSource;
use crate::engine::adhoc::Statement;
use crate::engine::adhoc::statement::{parse, split};
use crate::error::{Error, Result};
use crate::hunt::Library;
use crate::hunt::template::fresh_id;
use crate::lake::table::{FILE_COLUMN, RECORD_ID, ROW_COLUMN, TABLE_COLUMN};
use crate::output::value;

/// Events of a fixture.
const EVENTS: usize = 20;

/// What rows of plain events must have.
const OF_EVENTS: [&str; 6] = [
    "event_time",
    "host_id",
    "host_name",
    "_table",
    "_file",
    "_row",
];
/// What an aggregate must have.
const OF_GROUPS: [(&str, &str); 4] = [
    ("first_seen", "min(event_time) AS first_seen"),
    ("last_seen", "max(event_time) AS last_seen"),
    ("event_count", "count(*) AS event_count"),
    ("evidence", "evidence(_table, _file, _row) AS evidence"),
];
/// Columns that do not say what a finding is about.
const NOT_KEYS: [&str; 12] = [
    "event_time",
    "first_seen",
    "last_seen",
    "event_count",
    "evidence",
    "record_id",
    "source",
    "event_type",
    "_table",
    "_file",
    "_row",
    "host_name",
];

impl Shell<'_> {
    /// Saves the last query.
    pub(super) async fn save_last(&mut self, name: &str) -> Result<()> {
        let Some(source) = self.last.clone() else {
            return Err(Error::configuration("there is no query to save yet")
                .hint("run it first; the last one is saved"));
        };
        self.save(name, &source).await
    }

    /// Writes a hunt of a query, and its fixture.
    ///
    /// # Errors
    /// A query that no hunt can be, a name that is taken, a folder that cannot be written.
    pub async fn save(&mut self, name: &str, source: &SqlSource) -> Result<()> {
        let tests = self.place.content.tests().ok_or_else(|| {
            Error::configuration("there is no sql/hunts folder here to write into")
                .hint("`lakehunt init DIR` starts a project; run this in its folder")
        })?;
        check_name(name)?;
        if let Ok(other) = Library::load(&self.place.content).get(name) {
            return Err(
                Error::configuration(format!("there is a hunt `{name}` already"))
                    .in_file(&other.path)
                    .hint("choose another name; nothing is overwritten"),
            );
        }
        let query = only_query(source)?;
        let view = self.single_view(&query);
        let hunt = self
            .hunt_query(source, query.clone(), view.as_deref())
            .await?;
        let columns = self.columns_of(&hunt.to_string()).await?;
        if !columns
            .iter()
            .any(|name| name == "event_time" || name == "last_seen")
        {
            return Err(source
                .error_after(
                    "SELECT",
                    "a hunt returns `event_time` of events, or `last_seen` of groups",
                )
                .hint("add event_time, _table, _file, _row, or max(event_time) AS last_seen"));
        }
        let folder = view.as_deref().unwrap_or("other");
        let inside = format!("hunts/windows/{folder}/{name}");
        let path = self.place.content.display_path(&format!("{inside}.sql"));
        let id = fresh_id(&path.to_string_lossy(), self.place.now);
        let text = front_matter(name, &id, &columns) + &pretty(&hunt);
        write(&path, &text)?;
        let mut written = format!("{}\n", path.display());
        if let Some(view) = &view {
            let fixture = tests.join(&inside);
            let events = self.events(&query, view).await?;
            if events.is_empty() {
                self.printer
                    .warn("the query finds nothing now: the fixture is yours to write");
            } else {
                let file = fixture.join(format!("events.{view}.ndjson"));
                write(&file, &events)?;
                let _ = writeln!(written, "{}", file.display());
            }
        } else {
            self.printer.warn(
                "no fixture: its events cannot be told from a query over several tables, or a raw one; write \
                 tests/hunts/... by hand",
            );
        }
        self.printer
            .data(&written)
            .map_err(|error| Error::failure(format!("cannot write to stdout: {error}")))?;
        self.printer.note(&format!(
            "next: lakehunt test {name} --accept; then edit title, level and response, and read the fixture: its \
             events are real ones of this lake"
        ));
        Ok(())
    }

    /// The view that a query of one SELECT over one view reads.
    fn single_view(&self, query: &Query) -> Option<String> {
        let select = plain_select(query)?;
        let [from] = select.from.as_slice() else {
            return None;
        };
        if !from.joins.is_empty() || query.with.is_some() {
            return None;
        }
        let TableFactor::Table {
            name, args: None, ..
        } = &from.relation
        else {
            return None;
        };
        let named = name.to_string();
        let lake = self.console.engine().lake();
        let views = lake.views.keys();
        views
            .into_iter()
            .find(|view| view.eq_ignore_ascii_case(named.trim_matches('"')))
            .cloned()
    }

    /// The query as a hunt has it.
    async fn hunt_query(
        &mut self,
        source: &SqlSource,
        mut query: Box<Query>,
        view: Option<&str>,
    ) -> Result<Box<Query>> {
        if query.limit_clause.take().is_some() || query.fetch.take().is_some() {
            self.printer
                .note("LIMIT is left out: a hunt finds all there is");
        }
        query.order_by = None;
        if view.is_none() {
            return Ok(query);
        }
        let columns = self.columns_of(&query.to_string()).await?;
        let is_aggregate = self.is_aggregate(source, &query)?;
        let missing = |name: &str| !columns.iter().any(|column| column == name);
        let added: Vec<&str> = if is_aggregate {
            let added = OF_GROUPS.iter().filter(|(name, _)| missing(name));
            added.map(|(_, text)| *text).collect()
        } else {
            OF_EVENTS.into_iter().filter(|name| missing(name)).collect()
        };
        let has_distinct = plain_select(&query).is_some_and(|select| select.distinct.is_some());
        if !added.is_empty() && !has_distinct {
            let items = only_query(&SqlSource {
                path: source.path.clone(),
                text: format!("SELECT {}", added.join(", ")),
            })?;
            if let (SetExpr::Select(items), SetExpr::Select(select)) =
                (*items.body, query.body.as_mut())
            {
                select.projection.extend(items.projection);
            }
            self.printer.note(&format!(
                "added, because a hunt returns them: {}",
                added.join(", ")
            ));
        }
        Ok(query)
    }

    fn is_aggregate(&self, source: &SqlSource, query: &Query) -> Result<bool> {
        let Some(select) = plain_select(query) else {
            return Ok(false);
        };
        let grouped = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(by, _) => !by.is_empty(),
        };
        if grouped {
            return Ok(true);
        }
        let text = query.to_string().to_lowercase();
        let aggregates = self.console.aggregates();
        let names = aggregates
            .iter()
            .filter(|name| text.contains(&format!("{name}(")));
        if names.count() > 0 && text.contains(" over (") {
            return Err(source
                .error_after("SELECT", "a hunt of window functions is beyond this")
                .hint("`lakehunt hunts new` writes a template for it"));
        }
        Ok(aggregates.iter().any(|name| {
            let call = format!("{name}(");
            text.match_indices(&call)
                .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        }))
    }

    async fn columns_of(&mut self, text: &str) -> Result<Vec<String>> {
        let batch = self.console.schema_of(text).await?;
        Ok(batch
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect())
    }

    /// The events that a query's WHERE lets through, and one that it does not, as lines of a fixture.
    async fn events(&mut self, query: &Query, view: &str) -> Result<String> {
        let Some(select) = plain_select(query) else {
            return Ok(String::new());
        };
        let selection = select.selection.as_ref().map(ToString::to_string);
        let from = &select.from[0];
        let condition = selection.clone().unwrap_or_else(|| "true".to_owned());
        let hits = format!(
            "SELECT * FROM {from} WHERE {condition} ORDER BY event_time, record_id LIMIT {EVENTS}"
        );
        let hits = self.console.rows_of(&hits).await?;
        let mut lines = lines(
            &hits,
            "hit: the query that this hunt was saved from finds it",
        );
        if lines.is_empty() {
            return Ok(lines);
        }
        match selection {
            Some(condition) => {
                let near = format!(
                    "SELECT * FROM {from} WHERE coalesce({condition}, false) = false \
                     ORDER BY event_time, record_id LIMIT 1"
                );
                let near = self.console.rows_of(&near).await?;
                lines += &self::lines(&near, &format!("near miss: another event of {view}"));
            }
            None => self
                .printer
                .warn("the query has no WHERE, so nothing is a near miss"),
        }
        Ok(lines)
    }
}

fn only_query(source: &SqlSource) -> Result<Box<Query>> {
    let pieces = split(source);
    match pieces.as_slice() {
        [piece] => match parse(piece)? {
            Statement::Query(query) => Ok(query),
            _ => Err(Error::configuration("only a SELECT becomes a hunt")),
        },
        _ => Err(Error::configuration("one SELECT becomes a hunt")
            .hint("run the one that is meant by itself")),
    }
}

fn plain_select(query: &Query) -> Option<&Select> {
    match query.body.as_ref() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

fn check_name(name: &str) -> Result<()> {
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if fits {
        return Ok(());
    }
    Err(
        Error::configuration(format!("`{name}` is no name of a hunt"))
            .hint("small letters, digits and underscores, a letter first: rare_wmic_parent"),
    )
}

fn lines(rows: &RecordBatch, note: &str) -> String {
    let mut text = String::new();
    let schema = rows.schema();
    for row in 0..rows.num_rows() {
        let mut event = Map::new();
        event.insert("_note".to_owned(), note.into());
        for (field, column) in schema.fields().iter().zip(rows.columns()) {
            let name = field.name().as_str();
            // Where it lay is no matter of the fixture, and a copy has an identity of its own.
            if [TABLE_COLUMN, FILE_COLUMN, ROW_COLUMN, RECORD_ID].contains(&name) {
                continue;
            }
            let value = value::json(column.as_ref(), row);
            if !value.is_null() {
                event.insert(name.to_owned(), value);
            }
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", Value::from(event));
    }
    text
}

fn front_matter(name: &str, id: &str, columns: &[String]) -> String {
    let has = |name: &str| columns.iter().any(|column| column == name);
    let mut key: Vec<&str> = ["host_id", "host_name"]
        .into_iter()
        .find(|name| has(name))
        .into_iter()
        .collect();
    let telling = columns
        .iter()
        .find(|column| !NOT_KEYS.contains(&column.as_str()) && !key.contains(&column.as_str()));
    key.extend(telling.map(String::as_str));
    let mut entities = Vec::new();
    for (kind, column) in [("host", "host_name"), ("user", "user"), ("ip", "source_ip")] {
        if has(column) {
            entities.push(format!("{kind}: {column}"));
        }
    }
    let words = name.replace('_', " ");
    let mut title = words.chars();
    let title: String = title
        .next()
        .map(|first| first.to_uppercase().chain(title).collect())
        .unwrap_or_default();
    let on = if has("host_name") {
        " on {host_name}"
    } else {
        ""
    };
    let about = telling.map_or_else(String::new, |column| format!(": {{{column}}}"));
    format!(
        "-- ---\n-- id: {id}\n-- title: {title}\n-- status: experimental\n-- level: low\n-- description: >\n\
         --   What it finds, what it misses, and why that is worth somebody's time.\n-- tags: []\n\
         -- falsepositives:\n--   - Who does this for a good reason.\n-- response:\n\
         --   - What to look at first when it fires.\n-- entities: {{{}}}\n-- key: [{}]\n\
         -- risk: {{score: 10, message: \"{title}{on}{about}\"}}\n-- ---\n",
        entities.join(", "),
        key.join(", "),
    )
}

/// The query with a line a clause.
fn pretty(query: &Query) -> String {
    format!("{query:#}\n")
}

/// Writes a new file and the folders above it.
fn write(path: &PathBuf, text: &str) -> Result<()> {
    let wrong = |error: std::io::Error| {
        Error::failure(format!("cannot write the file: {error}")).in_file(path)
    };
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).map_err(wrong)?;
    }
    let mut file = match std::fs::File::create_new(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::configuration("the file is there already")
                .in_file(path)
                .hint("choose another name; nothing is overwritten"));
        }
        created => created.map_err(wrong)?,
    };
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(wrong)
}
