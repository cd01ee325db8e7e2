//! `lakehunt evaluate`: hunts over all time of a labelled lake, in one scan, and how what they find compares with the
//! labels: recall and precision, counted in raw events.

mod answers;
mod render;
mod score;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use datafusion::arrow::record_batch::RecordBatch;
use serde_json::Value;

use self::answers::{Answers, Labels, Place};
use self::score::{Found, Score};
use super::data;
use super::run_tile::lookback;
use crate::cli::{EvaluateArgs, Format};
use crate::engine::{Engine, HuntOutcome, PlannedHunt, Session};
use crate::error::{Error, Result, did_you_mean};
use crate::hunt::{Content, Hunt, Library};
use crate::job::parse_bytes;
use crate::lake::Lake;
use crate::output::alert::MAX_EVIDENCE;
use crate::output::{Findings, value};
use crate::printer::Printer;
use crate::time::Window;

/// How long one hunt may take over its survivors.
const TIMEOUT: Duration = Duration::from_mins(10);

pub(super) fn run(arguments: &EvaluateArgs, printer: &Printer) -> Result<u8> {
    let answers = Answers::parse(&arguments.answers, &read(&arguments.answers)?)?;
    let path = lake_file(arguments)?;
    let content = Content::beside(Some(&path))?;
    let library = Library::load(&content);
    let hunts = chosen(&library, &answers, arguments)?;
    let lake = Arc::new(Lake::open(&path, &content)?);
    for table in answers.tables() {
        if !lake.tables.contains_key(table) {
            let names = lake.tables.keys().map(String::as_str);
            return Err(
                Error::configuration(format!("the lake has no table `{table}`"))
                    .in_file(&arguments.answers)
                    .maybe_hint(did_you_mean(table, names)),
            );
        }
    }
    let memory = arguments.memory.as_deref().map(parse_bytes).transpose();
    let memory = memory.map_err(|error| error.about("--memory"))?;
    let engine = Engine::new(lake, memory)?;
    let found = super::runtime()?.block_on(async {
        tokio::select! {
            found = find(&engine, &hunts, printer) => found,
            _ = tokio::signal::ctrl_c() => Err(Error::failure("interrupted")),
        }
    })?;
    let none = Labels::default();
    let scores: Vec<_> = hunts
        .iter()
        .zip(found)
        .map(|(hunt, found)| {
            let labels = answers.hunts.get(&hunt.name).unwrap_or(&none);
            Score::new(
                &hunt.name,
                hunt.front_matter.status,
                labels,
                found,
                &answers,
            )
        })
        .collect();
    match arguments.format {
        Format::Json => super::json(printer, &render::json(&scores))?,
        Format::Markdown => data(printer, &render::markdown(&scores))?,
        Format::Text => data(
            printer,
            &render::text(&scores, arguments.verbose, printer.color()),
        )?,
    }
    Ok(u8::from(scores.iter().any(Score::is_failed)))
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn read(path: &Path) -> Result<String> {
    if is_stdin(path) {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Error::configuration(format!("cannot read stdin: {error}")))?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(|error| {
        Error::configuration(format!("cannot read the answers: {error}")).in_file(path)
    })
}

/// The lake that was named, or the one beside the answers, or the nearest.
fn lake_file(arguments: &EvaluateArgs) -> Result<PathBuf> {
    if arguments.lake.is_none() && !is_stdin(&arguments.answers) {
        let beside = arguments.answers.with_file_name("lake.yaml");
        if beside.is_file() {
            return Ok(beside);
        }
    }
    super::lake_file(arguments.lake.as_ref())
}

/// The hunts that were named, or all that the answers know.
fn chosen(library: &Library, answers: &Answers, arguments: &EvaluateArgs) -> Result<Vec<Hunt>> {
    let mut hunts: Vec<Hunt> = Vec::new();
    if arguments.hunts.is_empty() {
        for name in answers.hunts.keys() {
            let hunt = library
                .get(name)
                .map_err(|error| error.in_file(&arguments.answers))?;
            hunts.push(hunt.clone());
        }
    }
    for name in &arguments.hunts {
        let hunt = library.get(name)?;
        if !hunts.contains(hunt) {
            hunts.push(hunt.clone());
        }
    }
    Ok(hunts)
}

/// What each hunt finds over all time.
async fn find(engine: &Engine, hunts: &[Hunt], printer: &Printer) -> Result<Vec<Found>> {
    let window = Window::from_file_stem("20000101T000000Z_21000101T000000Z")
        .map_err(|error| Error::failure(error.to_string()))?;
    let mut planned = Vec::new();
    let mut sessions = Vec::new();
    // Views are planned for each session: hunts with the same lookback share one.
    let mut by_lookback: BTreeMap<TimeDelta, Arc<Session>> = BTreeMap::new();
    for hunt in hunts {
        let lookback = lookback(hunt)?;
        let session = if let Some(session) = by_lookback.get(&lookback) {
            Arc::clone(session)
        } else {
            let scope = window.extended(lookback, TimeDelta::zero());
            let session = Arc::new(engine.session(Some(scope), Some(window)).await?);
            by_lookback.insert(lookback, Arc::clone(&session));
            session
        };
        let parameters = &hunt.front_matter.params;
        let plan = session
            .plan_hunt(hunt, engine.lake(), lookback, parameters)
            .await?;
        planned.push(plan);
        sessions.push(session);
    }
    let session_of = |hunt: usize| Arc::clone(&sessions[hunt]);
    let (outcomes, scans) = engine
        .run(&session_of, &planned, window, TIMEOUT, &|_, _| {})
        .await?;
    for (table, scan) in &scans {
        for file in scan.files.iter().filter(|file| file.lost.is_some()) {
            let path = &file.object.path;
            printer.warn(&format!("`{table}`: {path} could not be read in full"));
        }
    }
    let found = outcomes.into_iter();
    found
        .map(|outcome| found_by(&planned[outcome.hunt], outcome, window))
        .collect()
}

fn found_by(planned: &PlannedHunt, outcome: HuntOutcome, window: Window) -> Result<Found> {
    let rows = match outcome.rows {
        Ok(rows) => rows,
        Err(failure) => {
            return Ok(Found {
                failure: Some(failure),
                ..Found::default()
            });
        }
    };
    // As a job counts them: a finding without a time is in no tile.
    let findings = Findings::of_tile(&planned.schema, &rows, window)?;
    let rows = &findings.rows;
    let mut found = Found {
        findings: rows.num_rows(),
        note: note(planned),
        ..Found::default()
    };
    for row in 0..rows.num_rows() {
        let events = events(rows, row).ok_or_else(|| {
            Error::failure(format!(
                "{}: its result has neither `evidence` nor `_table`, `_file` and `_row`",
                planned.name
            ))
        })?;
        found.truncated += usize::from(events.len() > MAX_EVIDENCE);
        found.events.extend(events);
    }
    Ok(found)
}

fn note(planned: &PlannedHunt) -> Option<String> {
    let missing = &planned.missing_views;
    (!missing.is_empty()).then(|| format!("the lake has no table for {}", missing.join(", ")))
}

/// The raw events behind a finding: of its evidence, or the one it is.
fn events(rows: &RecordBatch, row: usize) -> Option<Vec<Place>> {
    let cell = |name: &str| {
        let column = rows.column_by_name(name)?;
        Some(value::json(column.as_ref(), row))
    };
    let place = |table: &Value, file: &Value, row: &Value| {
        Some(Place {
            table: table.as_str()?.to_owned(),
            file: file.as_str()?.to_owned(),
            row: row.as_u64()?,
        })
    };
    if let Some(Value::Array(items)) = cell("evidence") {
        let events = items.iter();
        return Some(
            events
                .filter_map(|item| place(&item["table"], &item["file"], &item["row"]))
                .collect(),
        );
    }
    let own = place(&cell("_table")?, &cell("_file")?, &cell("_row")?)?;
    Some(vec![own])
}
