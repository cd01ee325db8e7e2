//! `lakehunt test`: runs hunts over their fixtures, and says where they do not find what they should.
//!
//! A fixture is judged by [`crate::hunt::fixture`]; here its events become a lake, and the hunt runs over it as over any
//! other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datafusion::arrow::record_batch::RecordBatch;
use serde_json::Value;

use super::data;
use super::test_report;
pub use super::test_report::{Outcome, Verdict};
use crate::cli::{TestArgs, TestFormat};
use crate::engine::{Engine, PlannedHunt, TableScan, results};
use crate::error::{Error, Result, did_you_mean};
use crate::hunt::fixture::{self, EventsFile, Fixture, Found, Place, Problem};
use crate::hunt::{Content, Hunt, Library, Parameter, Status};
use crate::lake::Lake;
use crate::lake::fixture::{Shapes, inspect};
use crate::lake::table::{FILE_COLUMN, ROW_COLUMN, TABLE_COLUMN};
use crate::output::{Findings, value};
use crate::printer::Printer;
use crate::time::{Window, parse_duration};

/// How long a hunt may take over the few events of a fixture.
const TIMEOUT: Duration = Duration::from_mins(1);

pub(super) fn run(arguments: &TestArgs, printer: &Printer) -> Result<u8> {
    let content = Content::beside(None)?;
    let library = Library::load(&content);
    let suite = Suite::open(&content, &library, &arguments.hunts)?;
    let runtime = super::runtime()?;
    let outcomes = suite.run(runtime.handle(), arguments.accept)?;
    if let Some(file) = &arguments.junit {
        std::fs::write(file, test_report::junit(&outcomes)).map_err(|error| {
            Error::configuration(format!("--junit: cannot write the file: {error}")).in_file(file)
        })?;
    }
    match arguments.format {
        TestFormat::Json => super::json(printer, &test_report::json(&outcomes))?,
        TestFormat::Text => data(printer, &test_report::text(&outcomes, printer.color()))?,
    }
    let mut failed = outcomes.iter().any(|outcome| outcome.verdict.is_failed());
    // A hunt that cannot be read cannot pass.
    let broken = library.broken().filter(|_| arguments.hunts.is_empty());
    for error in broken.flat_map(|(_, errors)| errors) {
        printer.error(&error.to_string(), error.hint_text());
        failed = true;
    }
    Ok(u8::from(failed))
}

/// Some hunts and their fixtures.
#[derive(Debug)]
pub struct Suite<'a> {
    tests: PathBuf,
    shapes: Shapes,
    cases: Vec<Case<'a>>,
}

#[derive(Debug)]
struct Case<'a> {
    /// Its path below `tests/`.
    inside: String,
    /// `None` for a fixture whose hunt is gone.
    hunt: Option<&'a Hunt>,
    /// `None` for a hunt that has none.
    fixture: Option<PathBuf>,
}

impl<'a> Suite<'a> {
    /// The fixtures in `tests/hunts` beside the `sql/` folder: of the hunts that are named, or all.
    ///
    /// # Errors
    /// A configuration error for an unknown name, a folder that cannot be listed, a form or view that does not parse, and
    /// for the hunts inside the binary, which have no folder beside them.
    pub fn open(content: &Content, library: &'a Library, names: &[String]) -> Result<Self> {
        let tests = content.tests().ok_or_else(|| {
            Error::configuration(
                "there is no folder `sql` here: the hunts inside the binary are tested where they are made",
            )
            .hint("run it in a folder with `sql/hunts` and `tests/hunts`; `lakehunt init DIR` makes one")
        })?;
        let mut fixtures = fixture::find(&tests)?;
        let hunts: Vec<&Hunt> = match names {
            [] => library.iter().collect(),
            names => names
                .iter()
                .map(|name| library.get(name))
                .collect::<Result<_>>()?,
        };
        let mut cases: BTreeMap<String, Case<'_>> = BTreeMap::new();
        for hunt in hunts {
            let inside = fixture::folder_of(hunt).to_owned();
            if cases.contains_key(&inside) {
                continue;
            }
            let case = Case {
                fixture: fixtures.remove(&inside),
                hunt: Some(hunt),
                inside: inside.clone(),
            };
            cases.insert(inside, case);
        }
        if names.is_empty() {
            for (inside, folder) in fixtures {
                let case = Case {
                    inside: inside.clone(),
                    hunt: None,
                    fixture: Some(folder),
                };
                cases.insert(inside, case);
            }
        }
        Ok(Self {
            tests,
            shapes: Shapes::load(content)?,
            cases: cases.into_values().collect(),
        })
    }

    /// Runs all of them, as many at a time as there are processors.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn run(&self, runtime: &tokio::runtime::Handle, accept: bool) -> Result<Vec<Outcome>> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(Vec::new());
        let work = || {
            while let Some(case) = self.cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = runtime.block_on(self.outcome(case, accept));
                let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                outcomes.push(outcome);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads.min(self.cases.len()) {
                std::thread::Builder::new()
                    .name("fixture".to_owned())
                    .spawn_scoped(scope, work)
                    .map_err(|error| Error::failure(format!("cannot start a thread: {error}")))?;
            }
            Ok::<_, Error>(())
        })?;
        let mut outcomes = outcomes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by(|a, b| a.inside.cmp(&b.inside));
        Ok(outcomes)
    }

    async fn outcome(&self, case: &Case<'_>, accept: bool) -> Outcome {
        let started = Instant::now();
        let mut outcome = Outcome {
            inside: case.inside.clone(),
            fixture: case.fixture.clone(),
            status: case.hunt.map(|hunt| hunt.front_matter.status),
            verdict: Verdict::NoFixture,
            events: 0,
            findings: 0,
            accepted: false,
            elapsed: Duration::ZERO,
        };
        outcome.verdict = match (case.hunt, &case.fixture) {
            (Some(hunt), Some(folder)) => {
                let problems = self.check(hunt, folder, accept, &mut outcome).await;
                match problems.unwrap_or_else(|error| vec![error.into()]) {
                    problems if problems.is_empty() => Verdict::Passed,
                    problems => Verdict::Failed(problems),
                }
            }
            (Some(hunt), None) if hunt.front_matter.status == Status::Stable => {
                Verdict::Failed(vec![Problem::new(format!(
                    "no fixture, and a stable hunt needs one: {}",
                    self.tests
                        .join(&case.inside)
                        .join("events.ndjson")
                        .display()
                ))])
            }
            (Some(_), None) => Verdict::NoFixture,
            (None, _) => Verdict::Failed(vec![Problem::new(format!(
                "no hunt sql/{}.sql belongs to this fixture",
                case.inside
            ))]),
        };
        outcome.elapsed = started.elapsed();
        outcome
    }

    /// Everything that is wrong with one fixture.
    async fn check(
        &self,
        hunt: &Hunt,
        folder: &Path,
        accept: bool,
        outcome: &mut Outcome,
    ) -> Result<Vec<Problem>> {
        let fixture = Fixture::read(folder)?;
        outcome.events = fixture.events().count();
        let parameters = fixture.parameters(hunt)?;
        let found = match find(&self.shapes, hunt, &fixture, &parameters).await? {
            Ok(found) => found,
            Err(problems) => return Ok(problems),
        };
        outcome.findings = found.len();
        if accept {
            outcome.accepted = fixture.accept(&found)?;
        }
        fixture.judge(hunt, &found)
    }
}

/// What a hunt finds in the events of a fixture, or what is wrong with them: a line that is no event or a copy of
/// another would pass for a near miss.
///
/// # Errors
/// A configuration error when the hunt does not plan over the events; a failure when it does not run.
pub async fn find(
    shapes: &Shapes,
    hunt: &Hunt,
    fixture: &Fixture,
    parameters: &BTreeMap<String, Parameter>,
) -> Result<std::result::Result<Vec<Found>, Vec<Problem>>> {
    let (of_lake, results) = results_of(shapes, fixture)?;
    let lake = Arc::new(shapes.lake(&of_lake, &hunt.sql)?);
    let window = all_time()?;
    let lookback = match &hunt.front_matter.lookback {
        Some(text) => parse_duration(text).map_err(|error| {
            Error::configuration(format!("lookback: {error}")).in_file(&hunt.path)
        })?,
        None => chrono::Duration::zero(),
    };
    let engine = Engine::new(Arc::clone(&lake), None)?;
    let scope = window.extended(lookback, chrono::Duration::zero());
    let session = if results.is_empty() {
        engine.session(Some(scope), Some(window)).await?
    } else {
        engine.session_of_results(results, window).await?
    };
    let session = Arc::new(session);
    let planned = session.plan_hunt(hunt, &lake, lookback, parameters).await?;
    let unread = unread(fixture, &planned);
    if !unread.is_empty() {
        return Ok(Err(unread));
    }
    let schema = Arc::clone(&planned.schema);
    let session_of = |_| Arc::clone(&session);
    let (outcomes, scans) = engine
        .run(&session_of, &[planned], window, TIMEOUT, &|_, _| {})
        .await?;
    let wrong = check_lines(&of_lake, &lake, &scans).await?;
    if !wrong.is_empty() {
        return Ok(Err(wrong));
    }
    let rows = outcomes
        .into_iter()
        .next()
        .ok_or_else(|| Error::failure("the hunt did not run"))?
        .rows
        .map_err(|reason| Error::failure(reason).in_file(&hunt.path))?;
    let findings = Findings::of_tile(&schema, &rows, window)?;
    if findings.timeless > 0 {
        let message = format!(
            "{}: {} rows of its result have no last_seen, and count in no tile",
            hunt.path.display(),
            findings.timeless
        );
        return Ok(Err(vec![Problem::new(message)]));
    }
    let rows = 0..findings.rows.num_rows();
    Ok(Ok(rows
        .map(|row| finding(fixture, &findings.rows, row))
        .collect()))
}

/// The files of events that are rows of what runs leave behind, as those relations; and the fixture without them.
fn results_of(
    shapes: &Shapes,
    fixture: &Fixture,
) -> Result<(Fixture, BTreeMap<String, RecordBatch>)> {
    let mut of_lake = fixture.clone();
    let mut rows: BTreeMap<String, Vec<fixture::Row>> = BTreeMap::new();
    let is_result =
        |file: &EventsFile| !shapes.has(&file.shape) && results::schema(&file.shape).is_some();
    of_lake.files.retain(|file| !is_result(file));
    for file in fixture.files.iter().filter(|file| is_result(file)) {
        let schema = results::schema(&file.shape);
        let columns = schema.iter().flat_map(|schema| schema.fields());
        let columns: Vec<&str> = columns.map(|field| field.name().as_str()).collect();
        let path = fixture.folder.join(&file.name);
        for event in &file.events {
            let line = usize::try_from(event.line).unwrap_or(0);
            let mut keys = event.row.keys();
            let is_known = |key: &String| key.starts_with('_') || columns.contains(&key.as_str());
            if let Some(key) = keys.find(|key| !is_known(key)) {
                let message = format!("`{key}` is not a column of `{}`", file.shape);
                let hint = did_you_mean(key, columns.iter().copied());
                let error = Error::configuration(message).at(&path, line, 0, &file.text);
                return Err(error.maybe_hint(hint));
            }
            let mut row = event.row.clone();
            row.insert(TABLE_COLUMN.to_owned(), file.table.as_str().into());
            row.insert(FILE_COLUMN.to_owned(), file.name.as_str().into());
            row.insert(ROW_COLUMN.to_owned(), event.line.into());
            results::batch(&file.shape, vec![row.clone()]).map_err(|error| {
                Error::configuration(error.message()).at(&path, line, 0, &file.text)
            })?;
            rows.entry(file.shape.clone()).or_default().push(row);
        }
    }
    let rows = rows.into_iter();
    let batches = rows.map(|(relation, rows)| {
        let batch = results::batch(&relation, rows)?;
        Ok((relation, batch))
    });
    Ok((of_lake, batches.collect::<Result<_>>()?))
}

/// A tile that holds every event people write.
fn all_time() -> Result<Window> {
    Window::from_file_stem("20000101T000000Z_21000101T000000Z")
        .map_err(|error| Error::failure(error.to_string()))
}

/// Files that the hunt does not read: no event of theirs could be evidence.
fn unread(fixture: &Fixture, planned: &PlannedHunt) -> Vec<Problem> {
    let missing_views = &planned.missing_views;
    let mut problems = Vec::new();
    for file in &fixture.files {
        if !planned.tables.contains(&file.table) && !planned.results.contains(&file.shape) {
            let path = fixture.folder.join(&file.name);
            let mut problem = Problem::new(format!(
                "{}: the hunt reads nothing that events of the shape `{}` feed",
                path.display(),
                file.shape
            ));
            if !missing_views.is_empty() {
                problem.details.push(format!(
                    "hint: it reads {}; name the file events.<form or view>.ndjson",
                    missing_views.join(", ")
                ));
            }
            problems.push(problem);
        }
    }
    problems
}

/// Lines that are no events, copies of others, or have values of a wrong type where it matters: in columns that the hunt
/// reads, or in any column of rows that are said to be a view's.
async fn check_lines(
    fixture: &Fixture,
    lake: &Lake,
    scans: &BTreeMap<String, TableScan>,
) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (index, file) in fixture.files.iter().enumerate() {
        let shown = |line| fixture.shown(Place { file: index, line });
        let Some(table) = lake.tables.get(&file.table) else {
            continue;
        };
        let inspection = inspect(table, file).await?;
        for bad in inspection.bad {
            let (line, reason) = (shown(bad.line), bad.reason);
            problems.push(Problem::new(format!("{line}: {reason}: {}", bad.detail)));
        }
        for (earlier, line) in inspection.copies {
            problems.push(Problem {
                message: format!(
                    "{}: the same record as line {earlier}, so it is dropped",
                    shown(line)
                ),
                details: vec!["hint: give each event a record number of its own".to_owned()],
            });
        }
        let scan = scans.get(&file.table);
        let is_read = |column: &String| {
            let mut files = scan.iter().flat_map(|scan| &scan.files);
            files.any(|file| file.conflicts.contains_key(column))
        };
        let is_view = lake.views.contains_key(&file.shape);
        for (line, column) in inspection.conflicts {
            if is_view || is_read(&column) {
                let message = format!("{}: `{column}` has a value of a wrong type", shown(line));
                problems.push(Problem::new(message));
            }
        }
    }
    Ok(problems)
}

/// One row of a result, and the events it rests on.
fn finding(fixture: &Fixture, batch: &RecordBatch, row: usize) -> Found {
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    let cells: fixture::Row = names
        .zip(batch.columns())
        .map(|(name, column)| (name, value::json(column.as_ref(), row)))
        .collect();
    let place = |table: Option<&Value>, line: Option<&Value>| {
        fixture.place(table?.as_str()?, line?.as_u64()?)
    };
    let places = match cells.get("evidence") {
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| place(item.get("table"), item.get("row")))
            .collect(),
        _ => place(cells.get("_table"), cells.get("_row"))
            .into_iter()
            .collect(),
    };
    Found::new(fixture, cells, places)
}
