//! What runs leave behind, as relations that hunts can read: `alerts`, `findings`, `risk`, `runs`, `reads`, `objects`,
//! `quarantine`. A hunt over them is one of stage two: it runs when the others have.
//!
//! Knows their names and columns, so that such a hunt is planned and checked where nothing ever ran; `history` has the
//! rows. A lake that has a table, view or lookup of such a name has that, and no relation of results under this name.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::json::ReaderBuilder;
use serde_json::{Map, Value};

use super::source::SqlSource;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::lake::table::{FILE_COLUMN, ROW_COLUMN, TABLE_COLUMN};

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Int,
    Time,
    Bool,
    Texts,
    Entities,
    Places,
}
use Kind::{Bool, Entities, Int, Places, Text, Texts, Time};

/// Name, what it holds, and whether it can be NULL.
type Column = (&'static str, Kind, bool);

const RELATIONS: [(&str, &[Column]); 7] = [
    (
        "alerts",
        &[
            ("job", Text, false),
            ("hunt", Text, false),
            ("status", Text, false),
            ("alert_id", Text, false),
            ("group_id", Text, false),
            ("title", Text, false),
            ("level", Text, false),
            ("risk_score", Int, true),
            ("message", Text, false),
            ("tags", Texts, false),
            ("tactics", Texts, false),
            ("techniques", Texts, false),
            ("entities", Entities, false),
            ("first_seen", Time, false),
            ("last_seen", Time, false),
            ("event_count", Int, false),
            ("finding_count", Int, false),
            ("finding", Text, false),
            ("evidence", Places, false),
            ("evidence_truncated", Bool, false),
            ("window_start", Time, false),
            ("window_end", Time, false),
            ("logic_hash", Text, false),
            ("excepted_by", Text, true),
        ],
    ),
    (
        "findings",
        &[
            ("job", Text, false),
            ("hunt", Text, false),
            ("window_start", Time, false),
            ("window_end", Time, false),
            ("first_seen", Time, true),
            ("last_seen", Time, false),
            ("event_count", Int, false),
            ("host_name", Text, true),
            ("finding", Text, false),
        ],
    ),
    (
        "objects",
        &[
            ("job", Text, false),
            ("window_start", Time, false),
            ("window_end", Time, false),
            ("table", Text, false),
            ("object", Text, false),
            ("size", Int, false),
            ("modified", Time, false),
            ("settle_seconds", Int, true),
            ("rows", Int, false),
            ("rejected", Int, false),
            ("oldest_event", Time, true),
            ("newest_event", Time, true),
            ("lost", Text, true),
        ],
    ),
    (
        "quarantine",
        &[
            ("job", Text, false),
            ("window_start", Time, false),
            ("window_end", Time, false),
            ("table", Text, false),
            ("file", Text, true),
            ("line", Int, true),
            ("offset", Int, true),
            ("reason", Text, true),
            ("record", Text, false),
        ],
    ),
    (
        "reads",
        &[
            ("job", Text, false),
            ("window_start", Time, false),
            ("window_end", Time, false),
            ("table", Text, false),
            ("objects", Int, false),
            ("objects_lost", Int, false),
            ("bytes_read", Int, false),
            ("rows_read", Int, false),
            ("rows_in_window", Int, false),
            ("rows_rejected", Int, false),
            ("quarantined", Int, false),
            ("newest_event", Time, true),
        ],
    ),
    (
        "risk",
        &[
            ("job", Text, false),
            ("hunt", Text, false),
            ("kind", Text, false),
            ("entity", Text, false),
            ("risk_score", Int, false),
            ("level", Text, false),
            ("title", Text, false),
            ("message", Text, false),
            ("tactics", Texts, false),
            ("techniques", Texts, false),
            ("alert_id", Text, false),
            ("group_id", Text, false),
            ("first_seen", Time, false),
            ("last_seen", Time, false),
            ("window_start", Time, false),
            ("window_end", Time, false),
        ],
    ),
    (
        "runs",
        &[
            ("job", Text, false),
            ("window_start", Time, false),
            ("window_end", Time, false),
            ("hunt", Text, false),
            ("state", Text, false),
            ("reason", Text, true),
            ("findings", Int, false),
            ("alerts", Int, false),
            ("result_rows", Int, false),
            ("tables", Text, false),
            ("rows_read", Int, false),
            ("rows_rejected", Int, false),
            ("newest_event", Time, true),
            ("logic_hash", Text, false),
        ],
    ),
];

/// The columns that say where a row lies.
pub const PLACE: [&str; 3] = [TABLE_COLUMN, FILE_COLUMN, ROW_COLUMN];

impl Kind {
    fn arrow(self) -> DataType {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let list = |item| DataType::List(Arc::new(Field::new("element", item, false)));
        match self {
            Text => DataType::Utf8View,
            Int => DataType::Int64,
            Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Bool => DataType::Boolean,
            Texts => list(DataType::Utf8),
            Entities => list(DataType::Struct(Fields::from(vec![
                text("kind"),
                text("value"),
            ]))),
            Places => list(DataType::Struct(Fields::from(vec![
                text("table"),
                text("file"),
                Field::new("row", DataType::Int64, false),
            ]))),
        }
    }
}

/// The names of the relations.
pub fn names() -> impl Iterator<Item = &'static str> {
    RELATIONS.iter().map(|(name, _)| *name)
}

/// The columns of a relation, the place of its rows last: `_table` (`alerts` for what is of an alert, else the relation),
/// `_file` (relative to the output) and `_row` (1-based). `None` where there is no such relation.
pub fn schema(relation: &str) -> Option<SchemaRef> {
    let (_, columns) = RELATIONS.iter().find(|(name, _)| *name == relation)?;
    let own = columns
        .iter()
        .map(|(name, kind, nullable)| Field::new(*name, kind.arrow(), *nullable));
    let place = [
        Field::new(TABLE_COLUMN, Text.arrow(), false),
        Field::new(FILE_COLUMN, Text.arrow(), false),
        Field::new(ROW_COLUMN, Int.arrow(), false),
    ];
    Some(Arc::new(Schema::new(own.chain(place).collect::<Vec<_>>())))
}

/// Rows of a relation. Columns that a row does not have are NULL, or what stands for nothing where they cannot be.
///
/// # Errors
/// When there is no such relation, or a value is of another type than its column.
pub fn batch(relation: &str, mut rows: Vec<Map<String, Value>>) -> Result<RecordBatch> {
    let schema = schema(relation)
        .ok_or_else(|| Error::failure(format!("there is no relation `{relation}`")))?;
    let wrong = |error: datafusion::arrow::error::ArrowError| Error::failure(error.to_string());
    for row in &mut rows {
        for field in schema.fields().iter().filter(|field| !field.is_nullable()) {
            if row.get(field.name()).is_none_or(Value::is_null) {
                row.insert(field.name().clone(), nothing(field.data_type()));
            }
        }
    }
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema))
        .with_batch_size(rows.len().max(1))
        .build_decoder()
        .map_err(wrong)?;
    decoder.serialize(&rows).map_err(wrong)?;
    let batch = decoder.flush().map_err(wrong)?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(schema)))
}

fn nothing(data_type: &DataType) -> Value {
    match data_type {
        DataType::Int64 => 0.into(),
        DataType::Boolean => false.into(),
        DataType::List(_) => Value::Array(Vec::new()),
        DataType::Timestamp(..) => "1970-01-01T00:00:00Z".into(),
        _ => "".into(),
    }
}

/// The relations that a lake does not hide, with their columns.
pub(super) fn known(lake: &Lake) -> impl Iterator<Item = (String, Vec<String>)> {
    let seen = names().filter(|name| !is_shadowed(name, lake));
    seen.filter_map(|name| Some((name.to_owned(), super::column_names(schema(name)?.as_ref()))))
}

/// Whether a lake has something else under a name.
pub(super) fn is_shadowed(name: &str, lake: &Lake) -> bool {
    let is_it = |own: &String| own.eq_ignore_ascii_case(name);
    lake.tables.keys().any(is_it) || lake.lookups.keys().any(is_it) || lake.views.keys().any(is_it)
}

/// Those of some relations that are results of runs.
///
/// # Errors
/// A configuration error where the others are of the lake: results are there when a tile is done with its lake, so that no
/// hunt reads both.
pub(super) fn read(
    relations: &BTreeSet<String>,
    lake: &Lake,
    source: &SqlSource,
) -> Result<BTreeSet<String>> {
    let is_result =
        |name: &&String| names().any(|own| own == name.as_str()) && !is_shadowed(name, lake);
    let results: BTreeSet<String> = relations.iter().filter(is_result).cloned().collect();
    let of_lake = relations
        .iter()
        .find(|name| lake.tables.contains_key(*name) || lake.views.contains_key(*name));
    match (results.first(), of_lake) {
        (Some(result), Some(other)) => Err(source
            .error_about(
                result,
                format!("`{result}` is what runs leave behind, `{other}` is of the lake: a hunt reads one or the other"),
            )
            .hint(format!(
                "write two hunts: one over `{other}`, and one over `{result}` that reads what the first found"
            ))),
        _ => Ok(results),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lack_what_they_may_and_no_more() {
        let row = |json: &str| serde_json::from_str::<Map<String, Value>>(json).unwrap();
        let rows = vec![
            row(
                r#"{"hunt": "a", "tags": ["x"], "entities": [{"kind": "host", "value": "A"}],
                "last_seen": "2026-01-01T00:00:00Z", "_note": "not a column", "risk_score": 3}"#,
            ),
            row("{}"),
        ];
        let batch = batch("alerts", rows).unwrap();
        assert_eq!(batch.num_rows(), 2);
        assert!(batch.column_by_name("risk_score").unwrap().is_null(1));
        assert!(!batch.column_by_name("hunt").unwrap().is_null(1));
        let wrong = super::batch("alerts", vec![row(r#"{"last_seen": "yesterday"}"#)]);
        assert!(wrong.is_err());
        for name in names() {
            assert_eq!(
                super::batch(name, Vec::new()).unwrap().num_rows(),
                0,
                "{name}"
            );
        }
    }
}
