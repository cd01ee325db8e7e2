//! `lakehunt sql`: one query over tables and views of a lake, rows to stdout.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::FormatOptions;
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use serde_json::{Map, Value};

use super::data;
use super::stats::{SCAN, Stats};
use crate::cli::{RowFormat, SqlArgs};
use crate::engine::{Engine, SqlSource};
use crate::error::{Error, Result};
use crate::hunt::Content;
use crate::job::parse_bytes;
use crate::lake::Lake;
use crate::output::value;
use crate::printer::Printer;
use crate::time::resolve_range;

pub(super) fn run(arguments: &SqlArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let stats = Stats::start();
    let path = super::lake_file(arguments.lake.as_ref())?;
    let lake = Arc::new(Lake::open(&path, &Content::beside(Some(&path))?)?);
    let source = source(arguments)?;
    let memory = arguments.memory.as_deref().map(parse_bytes).transpose();
    let memory = memory.map_err(|error| error.about("--memory"))?;
    let engine = Engine::new(lake, memory)?;
    let window = &arguments.window;
    let range = resolve_range(
        window.from.as_deref(),
        window.to.as_deref(),
        window.last.as_deref(),
        window.earliest.as_deref(),
        window.latest.as_deref(),
        now,
        Tz::UTC,
    )
    .map_err(|error| Error::configuration(error.to_string()))?;
    let runtime = super::runtime()?;
    let batches = runtime.block_on(async {
        let session = engine.session(range, range).await?;
        let rows = async {
            let frame = session.query(&source).await?;
            stats.stage("plan");
            let rows = frame.collect().await;
            stats.stage(SCAN);
            for (name, report) in &session.reports {
                let files = std::mem::take(
                    &mut report.lock().unwrap_or_else(PoisonError::into_inner).files,
                );
                if let (Some(table), false) = (engine.lake().tables.get(name), files.is_empty()) {
                    stats.read(name, table.list(range).await?.as_ref(), &files);
                }
            }
            rows.map_err(|error| Error::failure(error.strip_backtrace()))
        };
        tokio::select! {
            rows = rows => rows,
            _ = tokio::signal::ctrl_c() => Err(Error::failure("interrupted")),
        }
    })?;
    data(printer, &render(&batches, arguments.format)?)?;
    if arguments.stats {
        stats.print(printer, arguments.format != RowFormat::Text);
    }
    Ok(0)
}

/// The query as it was typed, read from a file, or from stdin.
fn source(arguments: &SqlArgs) -> Result<SqlSource> {
    if let Some(file) = &arguments.file {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::configuration(format!("cannot read the query: {error}")).in_file(file)
        })?;
        return Ok(SqlSource {
            path: file.clone(),
            text,
        });
    }
    let mut text = arguments.query.clone().unwrap_or_default();
    if arguments.query.as_deref().is_none_or(|query| query == "-") {
        text.clear();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Error::configuration(format!("cannot read stdin: {error}")))?;
    }
    Ok(SqlSource {
        path: PathBuf::from("query"),
        text,
    })
}

fn render(batches: &[RecordBatch], format: RowFormat) -> Result<String> {
    if format == RowFormat::Text {
        let options = FormatOptions::default().with_null("");
        let table = pretty_format_batches_with_options(batches, &options)
            .map_err(|error| Error::failure(error.to_string()))?;
        return Ok(format!("{table}\n"));
    }
    let mut text = String::new();
    for batch in batches {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let names = schema.fields().iter().map(|field| field.name().clone());
            let cells = names
                .zip(batch.columns())
                .map(|(name, column)| (name, value::json(column.as_ref(), row)));
            text.push_str(&Value::from(cells.collect::<Map<_, _>>()).to_string());
            text.push('\n');
        }
    }
    Ok(text)
}
