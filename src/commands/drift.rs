//! `lakehunt tables TABLE --drift`: what the files of a table have of each column that its form declares.
//!
//! Renders; the readers count.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::data;
use crate::cli::Format;
use crate::error::Result;
use crate::lake::table::Table;
use crate::lake::{ColumnSeen, FileReport, ScanReport};
use crate::printer::Printer;

/// One declared column over all files of its table.
struct Column<'a> {
    name: &'a str,
    declared: &'static str,
    /// Files that have a value of it.
    files: usize,
    seen: ColumnSeen,
    /// Values that did not fit and became NULL, by file.
    misfits: BTreeMap<&'a str, u64>,
}

pub(super) fn print(
    table: &Table,
    report: &ScanReport,
    format: Format,
    printer: &Printer,
) -> Result<()> {
    let columns = columns(table, report);
    // A file without a record has no columns to lack.
    let files = report.files.iter().filter(|file| file.rows > 0).count();
    let rows = report.files.iter().map(|file| file.rows).sum();
    if format == Format::Json {
        let columns: Vec<_> = columns.iter().map(as_json).collect();
        let document =
            json!({"table": table.name, "files": files, "rows": rows, "columns": columns});
        return super::json(printer, &document);
    }
    // A form declares what its sensors may write; what they do not is one line.
    let (present, nowhere): (Vec<_>, Vec<_>) =
        columns.iter().partition(|column| column.seen.rows > 0);
    let lines: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned))
        .chain(present.iter().map(|column| cells(column, files, rows)))
        .collect();
    let nowhere: Vec<_> = nowhere.iter().map(|column| column.name).collect();
    let mut text = String::new();
    if format == Format::Markdown {
        for (index, line) in lines.iter().enumerate() {
            let _ = writeln!(text, "| {} |", line.join(" | "));
            if index == 0 {
                let _ = writeln!(text, "|{}", " --- |".repeat(HEADINGS.len()));
            }
        }
        if !nowhere.is_empty() {
            let _ = writeln!(text, "\nIn no record: {}", nowhere.join(", "));
        }
        return data(printer, &text);
    }
    let widths: Vec<_> = (0..HEADINGS.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].len())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    if !nowhere.is_empty() {
        let _ = writeln!(text, "\nIN NO RECORD\n  {}", nowhere.join(", "));
    }
    data(printer, &text)
}

fn columns<'a>(table: &'a Table, report: &'a ScanReport) -> Vec<Column<'a>> {
    let form = table.form.columns.iter();
    form.map(|column| {
        let mut seen = ColumnSeen::default();
        let having: Vec<&ColumnSeen> = report
            .files
            .iter()
            .filter_map(|file| file.seen.get(&column.name))
            .collect();
        for file in &having {
            seen.rows += file.rows;
            for (kind, rows) in &file.types {
                *seen.types.entry(kind.clone()).or_default() += rows;
            }
        }
        let misfits = |file: &'a FileReport| {
            let count = file.conflicts.get(&column.name)?;
            Some((file.object.path.as_str(), *count))
        };
        Column {
            name: &column.name,
            declared: column.column_type.as_str(),
            files: having.len(),
            seen,
            misfits: report.files.iter().filter_map(misfits).collect(),
        }
    })
    .collect()
}

fn as_json(column: &Column<'_>) -> serde_json::Value {
    json!({
        "name": column.name,
        "declared": column.declared,
        "files": column.files,
        "rows": column.seen.rows,
        "types": column.seen.types,
        "misfits": column.misfits,
    })
}

const HEADINGS: [&str; 6] = ["COLUMN", "DECLARED", "FILES", "RECORDS", "MISFITS", "TYPES"];

fn cells(column: &Column<'_>, files: usize, rows: u64) -> [String; 6] {
    let misfits: u64 = column.misfits.values().sum();
    let types: Vec<_> = column
        .seen
        .types
        .iter()
        .map(|(kind, rows)| format!("{kind} {rows}"))
        .collect();
    [
        column.name.to_owned(),
        column.declared.to_owned(),
        share(column.files as u64, files as u64),
        share(column.seen.rows, rows),
        match column.misfits.len() {
            0 => String::new(),
            1 => format!("{misfits} in 1 file"),
            several => format!("{misfits} in {several} files"),
        },
        types.join(", "),
    ]
}

/// A share that says 0 % and 100 % only of none and all.
fn share(part: u64, all: u64) -> String {
    match part {
        0 => "-".to_owned(),
        _ if part == all => "all".to_owned(),
        _ => format!("{} %", (part * 100 / all.max(1)).clamp(1, 99)),
    }
}
