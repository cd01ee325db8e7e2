//! Formats that are written batch by batch: CSV, JSON, NDJSON; and Markdown, which is as simple.

use std::fmt::Write as _;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema};
use serde_json::{Map, Value};

use super::cell;
use crate::cli::RowFormat;
use crate::output::value;
use crate::report::visible::neutral;

/// A writer of one result.
#[derive(Debug)]
pub struct Writer {
    format: RowFormat,
    rows: usize,
}

impl Writer {
    /// A writer in a format.
    pub fn new(format: RowFormat) -> Self {
        Self { format, rows: 0 }
    }

    /// What stands before the rows.
    pub fn begin(&self, schema: &Schema) -> String {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        match self.format {
            RowFormat::Csv => {
                let names: Vec<_> = names.map(quoted).collect();
                names.join(",") + "\r\n"
            }
            RowFormat::Json => "[".to_owned(),
            RowFormat::Markdown => {
                let names: Vec<_> = names.map(in_markdown).collect();
                let right = |field: &std::sync::Arc<datafusion::arrow::datatypes::Field>| {
                    if field.data_type().is_numeric() {
                        " ---: |"
                    } else {
                        " --- |"
                    }
                };
                let rule: String = schema.fields().iter().map(right).collect();
                format!("| {} |\n|{rule}\n", names.join(" | "))
            }
            _ => String::new(),
        }
    }

    /// The rows of a batch.
    pub fn rows(&mut self, batch: &RecordBatch) -> String {
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            match self.format {
                RowFormat::Csv => {
                    let cells = batch
                        .columns()
                        .iter()
                        .map(|column| csv(column.as_ref(), row));
                    text.push_str(&cells.collect::<Vec<_>>().join(","));
                    text.push_str("\r\n");
                }
                RowFormat::Markdown => {
                    let cells = batch.columns().iter().map(|column| {
                        cell(column.as_ref(), row)
                            .map_or_else(String::new, |text| in_markdown(&text))
                    });
                    let _ = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
                }
                RowFormat::Json => {
                    text.push_str(if self.rows == 0 { "\n  " } else { ",\n  " });
                    text.push_str(&object(batch, row));
                }
                _ => {
                    text.push_str(&object(batch, row));
                    text.push('\n');
                }
            }
            self.rows += 1;
        }
        text
    }

    /// What stands behind the rows.
    pub fn end(&self) -> String {
        match self.format {
            RowFormat::Json if self.rows == 0 => "]\n".to_owned(),
            RowFormat::Json => "\n]\n".to_owned(),
            _ => String::new(),
        }
    }
}

/// A row as a JSON object; of columns of one name the later ones get a number.
fn object(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let mut members = Map::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let mut name = field.name().clone();
        let mut number = 1;
        while members.contains_key(&name) {
            number += 1;
            name = format!("{}_{number}", field.name());
        }
        members.insert(name, value::json(column.as_ref(), row));
    }
    Value::from(members).to_string()
}

/// A cell of CSV: NULL is empty, an empty text is quoted, what is nested is JSON.
fn csv(array: &dyn Array, row: usize) -> String {
    if value::is_null(array, row) {
        return String::new();
    }
    match array.data_type() {
        DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) => {
            quoted(&value::json(array, row).to_string())
        }
        _ => quoted(&value::text(array, row)),
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) || text != text.trim() {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// What Markdown would take for markup is escaped; an underscore inside a word is none.
fn in_markdown(text: &str) -> String {
    let text = neutral(text);
    let mut shown = String::new();
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_markup = match character {
            '_' => !is_word(before) || !is_word(rest.peek().copied()),
            other => matches!(other, '|' | '\\' | '`' | '*' | '<' | '[' | ']' | '~' | '&'),
        };
        if is_markup {
            shown.push('\\');
        }
        shown.push(character);
        before = Some(character);
    }
    shown
}
