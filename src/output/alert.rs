//! Alerts: all findings of a hunt and tile with one key, in the schema that all hunts share.
//!
//! Ids are hashes of content: the same activity in the same tile has the same id on every run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::json::ReaderBuilder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::findings::{Findings, arrow, last_seen_column};
use super::value;
use crate::engine::plan::{RESERVED, placeholders};
use crate::error::Result;
use crate::hunt::Hunt;
use crate::lake::table::{FILE_COLUMN, ROW_COLUMN, TABLE_COLUMN};
use crate::time::Window;

/// Raw events an alert points at; more are counted as truncated.
pub const MAX_EVIDENCE: usize = 100;

/// Somebody or something an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entity {
    /// `host`, `user`, `ip`, ...
    pub kind: String,
    /// Its name.
    pub value: String,
}

/// A raw event: the row (Parquet) or line (NDJSON) of a file, 1-based.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// The table.
    pub table: String,
    /// The file, relative to the table's location.
    pub file: String,
    /// The row or line.
    pub row: i64,
}

/// One alert; the fields are the columns of the alert files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Hash of hunt id, key values and tile: unique by construction.
    pub alert_id: String,
    /// Hash of hunt id and key values: the same activity in every tile.
    pub group_id: String,
    /// The hunt's title.
    pub title: String,
    /// The hunt's level.
    pub level: String,
    /// 0 to 100, where the hunt has a risk.
    pub risk_score: Option<i64>,
    /// The filled message of the risk, else the title.
    pub message: String,
    /// The hunt's tags.
    pub tags: Vec<String>,
    /// ATT&CK tactics among the tags, such as `execution`.
    pub tactics: Vec<String>,
    /// ATT&CK techniques among the tags, such as `T1047`.
    pub techniques: Vec<String>,
    /// Whom it is about, over all findings.
    pub entities: Vec<Entity>,
    /// Earliest over all findings.
    #[serde(serialize_with = "as_rfc3339")]
    pub first_seen: DateTime<Utc>,
    /// Latest over all findings.
    #[serde(serialize_with = "as_rfc3339")]
    pub last_seen: DateTime<Utc>,
    /// Raw events over all findings.
    pub event_count: i64,
    /// Findings with this key.
    pub finding_count: i64,
    /// The latest finding as JSON.
    pub finding: String,
    /// Raw events, at most 100.
    pub evidence: Vec<Evidence>,
    /// There were more.
    pub evidence_truncated: bool,
    /// Start of the tile.
    #[serde(serialize_with = "as_rfc3339")]
    pub window_start: DateTime<Utc>,
    /// End of the tile.
    #[serde(serialize_with = "as_rfc3339")]
    pub window_end: DateTime<Utc>,
    /// What the hunt was when it fired.
    pub logic_hash: String,
    /// The exception that covers it.
    pub excepted_by: Option<String>,
}

/// The risk that an alert is about without having it: the finding's own `risk_score`, where the hunt gives none. The alerts
/// that it adds up have it, so no sum may count it again.
pub fn risk_sum(score: Option<i64>, finding: &str) -> Option<i64> {
    if score.is_some_and(|score| score > 0) {
        return None;
    }
    let finding: Value = serde_json::from_str(finding).ok()?;
    finding.get("risk_score")?.as_i64()
}

/// The lines of a finding's `story`: what of other alerts led to it.
pub fn story(finding: &str) -> Vec<String> {
    let finding: Value = serde_json::from_str(finding).unwrap_or_default();
    let lines = finding.get("story").and_then(Value::as_array);
    let lines = lines.into_iter().flatten();
    lines
        .filter_map(|line| Some(line.as_str()?.to_owned()))
        .collect()
}

fn as_rfc3339<S: serde::Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&value::rfc3339(*time))
}

/// The alerts of some findings, in order of their ids. `excepted` has the exceptions that cover each finding: covered
/// findings make an alert of their own, which is marked, so that they neither hide nor colour what is live.
pub fn alerts(
    hunt: &Hunt,
    findings: &Findings,
    tile: Window,
    logic_hash: &str,
    excepted: &[BTreeSet<&str>],
) -> Vec<Alert> {
    let rows = &findings.rows;
    let key = key_columns(hunt, rows);
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let values: Vec<Value> = key
            .iter()
            .map(|column| {
                rows.column_by_name(column)
                    .map_or(Value::Null, |array| value::json(array, row))
            })
            .collect();
        groups
            .entry(Value::from(values).to_string())
            .or_default()
            .push(row);
    }
    let is_covered = |row: &usize| excepted.get(*row).is_some_and(|by| !by.is_empty());
    let mut alerts = Vec::new();
    for (key, members) in groups {
        let (covered, live): (Vec<usize>, Vec<usize>) = members.into_iter().partition(is_covered);
        let both = !covered.is_empty() && !live.is_empty();
        alerts.extend(alert(hunt, rows, &key, &live, tile, logic_hash));
        if let Some(alert) = alert(hunt, rows, &key, &covered, tile, logic_hash) {
            let names: BTreeSet<&str> = covered
                .iter()
                .flat_map(|row| &excepted[*row])
                .copied()
                .collect();
            let names: Vec<&str> = names.into_iter().collect();
            alerts.push(Alert {
                // Two of one key need two ids; what is live keeps the usual one.
                alert_id: if both {
                    hash(&[&alert.alert_id, "excepted"])
                } else {
                    alert.alert_id
                },
                excepted_by: Some(names.join(", ")),
                ..alert
            });
        }
    }
    alerts.sort_by(|a, b| a.alert_id.cmp(&b.alert_id));
    alerts
}

/// The columns that make findings the same activity: the hunt's `key`, else all that say what was found.
fn key_columns(hunt: &Hunt, rows: &RecordBatch) -> Vec<String> {
    if !hunt.front_matter.key.is_empty() {
        return hunt.front_matter.key.clone();
    }
    let schema = rows.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    names
        .filter(|name| !RESERVED.contains(&name.as_str()) && !is_locating(name))
        .collect()
}

fn is_locating(name: &str) -> bool {
    [TABLE_COLUMN, FILE_COLUMN, ROW_COLUMN].contains(&name)
}

fn alert(
    hunt: &Hunt,
    rows: &RecordBatch,
    key: &str,
    members: &[usize],
    tile: Window,
    logic_hash: &str,
) -> Option<Alert> {
    let front = &hunt.front_matter;
    let last = last_seen_column(rows)?;
    let first = rows.column_by_name("first_seen").unwrap_or(last);
    let last_seen = members
        .iter()
        .filter_map(|row| value::time(last, *row))
        .max()?;
    let first_seen = members
        .iter()
        .filter_map(|row| value::time(first, *row))
        .min()
        .unwrap_or(last_seen);
    let latest = members
        .iter()
        .copied()
        .max_by_key(|row| value::time(last, *row))?;
    let counts = rows.column_by_name("event_count");
    let event_count = members
        .iter()
        .map(|row| {
            counts
                .and_then(|counts| value::json(counts, *row).as_i64())
                .unwrap_or(1)
        })
        .sum();
    let mut entities = BTreeSet::new();
    for (kind, column) in &front.entities {
        let Some(array) = rows.column_by_name(column) else {
            continue;
        };
        for row in members {
            entities.extend(
                value::texts(array, *row)
                    .into_iter()
                    .filter(|value| !value.is_empty())
                    .map(|value| Entity {
                        kind: kind.clone(),
                        value,
                    }),
            );
        }
    }
    let evidence: BTreeSet<_> = members
        .iter()
        .flat_map(|row| evidence(rows, *row))
        .collect();
    let attack = |tag: &String| tag.strip_prefix("attack.").map(str::to_owned);
    let is_technique = |tag: &String| {
        tag.strip_prefix('t')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let (techniques, tactics): (Vec<_>, Vec<_>) =
        front.tags.iter().filter_map(attack).partition(is_technique);
    Some(Alert {
        alert_id: hash(&[&front.id, key, &tile.file_stem()]),
        group_id: hash(&[&front.id, key]),
        title: front.title.clone(),
        level: front.level.as_str().to_owned(),
        risk_score: front.risk.as_ref().map(|risk| i64::from(risk.score)),
        message: message(hunt, rows, latest),
        tags: front.tags.clone(),
        tactics,
        techniques: techniques
            .iter()
            .map(|technique| technique.to_uppercase())
            .collect(),
        entities: entities.into_iter().collect(),
        first_seen,
        last_seen,
        event_count,
        finding_count: members.len() as i64,
        finding: finding_json(rows, latest),
        evidence_truncated: evidence.len() > MAX_EVIDENCE,
        evidence: evidence.into_iter().take(MAX_EVIDENCE).collect(),
        window_start: tile.start,
        window_end: tile.end,
        logic_hash: logic_hash.to_owned(),
        excepted_by: None,
    })
}

fn message(hunt: &Hunt, rows: &RecordBatch, row: usize) -> String {
    let Some(risk) = &hunt.front_matter.risk else {
        return hunt.front_matter.title.clone();
    };
    let mut message = String::new();
    let mut rest = risk.message.as_str();
    for column in placeholders(&risk.message) {
        let placeholder = format!("{{{column}}}");
        // Text that a value brings along is never a placeholder.
        if let Some((before, after)) = rest.split_once(&placeholder) {
            message.push_str(before);
            if let Some(array) = rows.column_by_name(&column) {
                message.push_str(&value::text(array, row));
            }
            rest = after;
        }
    }
    message + rest
}

fn finding_json(rows: &RecordBatch, row: usize) -> String {
    let schema = rows.schema();
    let members = schema.fields().iter().zip(rows.columns());
    let members =
        members.filter(|(field, _)| field.name() != "evidence" && !is_locating(field.name()));
    let object: Map<String, Value> = members
        .map(|(field, array)| (field.name().clone(), value::json(array, row)))
        .collect();
    Value::Object(object).to_string()
}

/// The raw events of a finding: its `evidence`, or the row it is itself.
fn evidence(rows: &RecordBatch, row: usize) -> Vec<Evidence> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    if let Some(array) = rows.column_by_name("evidence") {
        let Value::Array(items) = value::json(array, row) else {
            return Vec::new();
        };
        return items
            .iter()
            .filter_map(|item| {
                Some(Evidence {
                    table: text(item.get("table"))?,
                    file: text(item.get("file"))?,
                    row: item.get("row")?.as_i64()?,
                })
            })
            .collect();
    }
    let cell = |name: &str| {
        rows.column_by_name(name)
            .map(|array: &Arc<dyn Array>| value::json(array, row))
    };
    let own = || {
        Some(Evidence {
            table: text(cell(TABLE_COLUMN).as_ref())?,
            file: text(cell(FILE_COLUMN).as_ref())?,
            row: cell(ROW_COLUMN)?.as_i64()?,
        })
    };
    own().into_iter().collect()
}

/// The first 128 bits of SHA-256 over length-prefixed parts, in hex.
fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    crate::hex(&hasher.finalize()[..16])
}

/// The schema of alert files: DESIGN.md, "Alert columns".
pub fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let time = |name: &str| {
        Field::new(
            name,
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            false,
        )
    };
    let list = |name: &str, item: DataType| {
        Field::new(
            name,
            DataType::List(Arc::new(Field::new("element", item, false))),
            false,
        )
    };
    let number = |name: &str, nullable| Field::new(name, DataType::Int64, nullable);
    let entity = DataType::Struct(Fields::from(vec![text("kind"), text("value")]));
    let place = DataType::Struct(Fields::from(vec![
        text("table"),
        text("file"),
        number("row", false),
    ]));
    Arc::new(Schema::new(vec![
        text("alert_id"),
        text("group_id"),
        text("title"),
        text("level"),
        number("risk_score", true),
        text("message"),
        list("tags", DataType::Utf8),
        list("tactics", DataType::Utf8),
        list("techniques", DataType::Utf8),
        list("entities", entity),
        time("first_seen"),
        time("last_seen"),
        number("event_count", false),
        number("finding_count", false),
        text("finding"),
        list("evidence", place),
        Field::new("evidence_truncated", DataType::Boolean, false),
        time("window_start"),
        time("window_end"),
        text("logic_hash"),
        Field::new("excepted_by", DataType::Utf8, true),
    ]))
}

/// Alerts as a batch of [`schema`].
///
/// # Errors
/// When Arrow refuses a value, which would be a bug.
pub fn batch(alerts: &[Alert]) -> Result<RecordBatch> {
    let mut decoder = ReaderBuilder::new(schema())
        .with_batch_size(alerts.len().max(1))
        .build_decoder()
        .map_err(|e| arrow(&e))?;
    decoder.serialize(alerts).map_err(|e| arrow(&e))?;
    let batch = decoder.flush().map_err(|e| arrow(&e))?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(schema())))
}
