//! `lakehunt tables`: what a lake holds. Reads every file once for its records and times.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Timelike, Utc};
use futures::StreamExt;
use serde_json::json;

use super::{data, drift};
use crate::cli::{Format, TablesArgs};
use crate::error::{Error, Result, did_you_mean};
use crate::hunt::Content;
use crate::lake::Lake;
use crate::lake::consumer::Consumers;
use crate::lake::decoded::DecodePlan;
use crate::lake::exec::parallelism;
use crate::lake::scan::Pass;
use crate::lake::table::Table;
use crate::lake::{Progress, ScanReport};
use crate::printer::Printer;
use crate::stats::{SCAN, Stats};
use crate::time::format_instant;

struct Row {
    table: Arc<Table>,
    files: usize,
    bytes: u64,
    report: ScanReport,
}

pub(super) fn run(arguments: &TablesArgs, printer: &Printer) -> Result<u8> {
    let stats = Stats::start();
    let path = super::lake_file(arguments.lake.as_ref())?;
    let lake = Lake::open(&path, &Content::beside(Some(&path))?)?;
    let tables: Vec<_> = match &arguments.table {
        None => lake.tables.values().cloned().collect(),
        Some(name) => vec![lake.tables.get(name).cloned().ok_or_else(|| {
            let known = lake.tables.keys().map(String::as_str);
            let hint = did_you_mean(name, known.clone())
                .unwrap_or_else(|| known.collect::<Vec<_>>().join(", "));
            Error::configuration(format!("the lake has no table `{name}`"))
                .in_file(&path)
                .hint(hint)
        })?],
    };
    let rows = super::runtime()?.block_on(async {
        let mut rows = Vec::new();
        for table in tables {
            rows.push(look_at(table, arguments.drift, printer, &stats).await?);
        }
        Ok::<_, Error>(rows)
    })?;
    if arguments.table.is_none() && arguments.format == Format::Text {
        for name in lake.lookups.keys() {
            printer.note(&format!(
                "{name} is a lookup: `lakehunt sql \"SELECT * FROM {name}\"` shows it"
            ));
        }
    }
    let lost: usize = rows
        .iter()
        .flat_map(|row| &row.report.files)
        .filter(|file| file.lost.is_some())
        .count();
    match arguments.format {
        format if arguments.drift => {
            for row in &rows {
                drift::print(&row.table, &row.report, format, printer)?;
            }
        }
        Format::Json => super::json(printer, &rows.iter().map(as_json).collect::<Vec<_>>())?,
        Format::Markdown => data(printer, &as_markdown(&rows, arguments.table.is_some()))?,
        Format::Text => data(printer, &as_text(&rows, arguments.table.is_some()))?,
    }
    if arguments.stats {
        stats.print(printer, arguments.format == Format::Json);
    }
    for file in rows.iter().flat_map(|row| &row.report.files) {
        if let Some(reason) = &file.lost {
            printer.warn(&format!("{}: {reason}", file.object.path));
        }
    }
    Ok(u8::from(lost > 0))
}

async fn look_at(table: Arc<Table>, drift: bool, printer: &Printer, stats: &Stats) -> Result<Row> {
    let listing = table.list(None).await?;
    stats.stage("list");
    let bytes = listing.files.iter().map(|file| file.object.size).sum();
    let bar = printer.progress();
    bar.set_total(listing.files.len() as u64, bytes);
    let report = Arc::new(Mutex::new(ScanReport::default()));
    let columns = if drift {
        0..table.form.columns.len()
    } else {
        0..0
    };
    let mut plan = DecodePlan::new(Arc::clone(&table), None, columns);
    plan.profile = drift;
    let nobody = Consumers::new(&[], &plan);
    let pass = Pass {
        consumers: nobody.map_err(|error| Error::failure(error.strip_backtrace()))?,
        plan,
        listing: Arc::clone(&listing),
        parallel: parallelism(1),
        progress: Arc::new(Progress::default()),
    };
    let mut rows = Box::pin(pass.run(Arc::clone(&report)));
    while let Some(delivery) = rows.next().await {
        delivery.map_err(|error| Error::failure(error.strip_backtrace()))?;
    }
    drop(rows);
    bar.finish();
    let report = report
        .lock()
        .map_err(|_| Error::failure("a reader crashed"))?
        .clone();
    stats.stage(SCAN);
    stats.read(&table.name, &listing, &report.files);
    Ok(Row {
        files: listing.files.len(),
        table,
        bytes,
        report,
    })
}

impl Row {
    fn events(&self) -> u64 {
        self.report.files.iter().map(|file| file.rows).sum()
    }
    fn rejected(&self) -> u64 {
        self.report.files.iter().map(|file| file.rejected).sum()
    }
    fn oldest(&self) -> String {
        self.report
            .files
            .iter()
            .filter_map(crate::lake::FileReport::oldest_event)
            .min()
            .map(second)
            .unwrap_or_default()
    }
    fn newest(&self) -> String {
        self.report
            .files
            .iter()
            .filter_map(crate::lake::FileReport::newest_event)
            .max()
            .map(second)
            .unwrap_or_default()
    }
}

/// To the second: these are the ends of a range.
fn second(time: DateTime<Utc>) -> String {
    format_instant(time.with_nanosecond(0).unwrap_or(time))
}

fn as_json(row: &Row) -> serde_json::Value {
    let schema = row.table.schema();
    json!({
        "name": row.table.name,
        "form": row.table.form.name,
        "files": row.files,
        "bytes": row.bytes,
        "events": row.events(),
        "rejected": row.rejected(),
        "oldest_event": row.oldest(),
        "newest_event": row.newest(),
        "columns": schema.fields().iter().map(|field| json!({
            "name": field.name(),
            "type": field.data_type().to_string(),
        })).collect::<Vec<_>>(),
    })
}

const HEADINGS: [&str; 8] = [
    "table", "form", "files", "bytes", "events", "rejected", "oldest", "newest",
];

fn cells(row: &Row) -> [String; 8] {
    [
        row.table.name.clone(),
        row.table.form.name.clone(),
        row.files.to_string(),
        row.bytes.to_string(),
        row.events().to_string(),
        row.rejected().to_string(),
        row.oldest(),
        row.newest(),
    ]
}

fn as_markdown(rows: &[Row], with_columns: bool) -> String {
    let mut text = format!(
        "| {} |\n|{}\n",
        HEADINGS.join(" | "),
        " --- |".repeat(HEADINGS.len())
    );
    for row in rows {
        let _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    for row in rows.iter().filter(|_| with_columns) {
        text.push_str("\n| column | type |\n| --- | --- |\n");
        for field in row.table.schema().fields() {
            let _ = writeln!(text, "| {} | {} |", field.name(), field.data_type());
        }
    }
    text
}

fn as_text(rows: &[Row], with_columns: bool) -> String {
    let lines: Vec<_> = std::iter::once(HEADINGS.map(str::to_uppercase))
        .chain(rows.iter().map(cells))
        .collect();
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].len())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..HEADINGS.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                // Numbers to the right.
                if (2..6).contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:width$}")
                }
            });
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    for row in rows.iter().filter(|_| with_columns) {
        let schema = row.table.schema();
        let width = schema
            .fields()
            .iter()
            .map(|field| field.name().len())
            .max()
            .unwrap_or(0);
        text.push_str("\nCOLUMNS\n");
        for field in schema.fields() {
            let _ = writeln!(text, "  {:width$}  {}", field.name(), field.data_type());
        }
    }
    text
}
