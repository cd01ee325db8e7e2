//! `lakehunt run`: which tiles, then each of them, then what to say.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Duration, Utc};

use super::data;
use super::rebuild_tile::rebuild_tile;
use super::run_tile::{TileRun, run_tile};
use crate::cli::{Format, RunArgs, WindowArgs};
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::hunt::{Content, Hunt, Level, Library};
use crate::job::{Job, parse_bytes};
use crate::lake::Lake;
use crate::output::Output;
use crate::output::publish::summary_path;
use crate::printer::Printer;
use crate::report::{self, Report};
use crate::time::{Window, format_instant, parse_instant, resolve_range};

/// The windows of a run.
enum Target {
    /// Tiles of the grid, oldest first: published.
    Tiles(Vec<Window>),
    /// A window off the grid: looked at, written aside.
    Exploratory(Window),
}

pub(super) fn run(arguments: &RunArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let started = Instant::now();
    let job = Job::read(&arguments.job)?;
    let content = Content::beside(Some(&arguments.job))?;
    let library = Library::load(&content);
    let hunts = chosen(&library, &job, &arguments.hunts)?;
    let broken = broken(&library, &job, &arguments.hunts, printer);
    known(&library, &job)?;
    let lake = Arc::new(Lake::open(
        arguments.lake.as_deref().unwrap_or(&job.lake),
        &content,
    )?);
    let memory = arguments.memory.as_deref().map(parse_bytes).transpose();
    let memory = memory
        .map_err(|error| error.about("--memory"))?
        .or(job.limits.memory);
    let engine = Engine::new(Arc::clone(&lake), memory)?;
    let target = target(&arguments.window, &job, &lake, now, printer)?;
    let root = arguments.output.as_deref().unwrap_or(&job.output);
    let is_exploratory = matches!(target, Target::Exploratory(_));
    let (tiles, root) = match target {
        Target::Tiles(tiles) => (tiles, root.to_owned()),
        Target::Exploratory(window) => {
            printer.note(&format!(
                "{window} is not a range of tiles of `{}`: the results are printed and written under {} only",
                job.name,
                root.join("adhoc").display()
            ));
            (vec![window], root.join("adhoc"))
        }
    };
    let runtime = super::runtime()?;
    if arguments.explain {
        let text = runtime.block_on(explain(&engine, &job, &hunts, tiles[0]))?;
        data(printer, &text)?;
        return Ok(0);
    }
    // Before the scan, so that a wrong path costs nothing.
    let output = runtime.block_on(Output::open(&root, credentials(&job, arguments)))?;
    let fail_on = arguments.fail_on.as_deref().and_then(level);
    let mut reports = Vec::new();
    let mut code = u8::from(!broken.is_empty());
    for tile in tiles {
        let tile_run = TileRun {
            engine: &engine,
            job: &job,
            hunts: &hunts,
            is_subset: !arguments.hunts.is_empty(),
            is_exploratory,
            output: &output,
            broken: &broken,
            tile,
        };
        let result = runtime.block_on(async {
            tokio::select! {
                result = async {
                    if arguments.rebuild {
                        rebuild_tile(&tile_run).await
                    } else {
                        run_tile(&tile_run, printer).await
                    }
                } => result,
                _ = tokio::signal::ctrl_c() => Err(Error::failure("interrupted; nothing of this tile was published")),
            }
        });
        let report = match result {
            Ok(Some(report)) => report,
            Ok(None) => {
                printer.note(&format!(
                    "{tile}: another run is writing this tile; skipped"
                ));
                continue;
            }
            Err(error) => {
                // Readers on other threads end by themselves; an interrupted user does not wait for them.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        code = worse(code, report.exit_code(fail_on));
        if arguments.format == Format::Text {
            let summary =
                (!tile_run.is_subset).then(|| root.join(summary_path(&job.name, tile, "md")));
            let summary = summary.map(|path| path.display().to_string());
            let text = report::terminal::render(
                &report,
                report::terminal::Style {
                    color: printer.color(),
                    width: printer.width(),
                },
                report::terminal::Ending {
                    elapsed: started.elapsed(),
                    peak: peak_memory(),
                    summary: summary.as_deref(),
                    exit_code: report.exit_code(fail_on),
                },
            );
            data(printer, &text)?;
        }
        reports.push(report);
    }
    print_reports(&reports, arguments.format, printer)?;
    Ok(code)
}

fn print_reports(reports: &[Report], format: Format, printer: &Printer) -> Result<()> {
    match (format, reports) {
        (Format::Text, _) => Ok(()),
        (Format::Markdown, _) => data(
            printer,
            &reports
                .iter()
                .map(report::markdown::render)
                .collect::<String>(),
        ),
        (Format::Json, [one]) => super::json(printer, one),
        (Format::Json, several) => super::json(printer, &several),
    }
}

/// How to reach the output; those of the job are for its own.
fn credentials<'a>(job: &'a Job, arguments: &RunArgs) -> Option<&'a Credentials> {
    let credentials = job.credentials.as_ref();
    credentials.filter(|_| arguments.output.is_none())
}

/// 1 wins over 3, anything over 0.
fn worse(a: u8, b: u8) -> u8 {
    match (a, b) {
        (1, _) | (_, 1) => 1,
        _ => a.max(b),
    }
}

fn level(word: &str) -> Option<Level> {
    [
        Level::Informational,
        Level::Low,
        Level::Medium,
        Level::High,
        Level::Critical,
    ]
    .into_iter()
    .find(|level| level.as_str() == word)
}

pub(super) fn chosen(library: &Library, job: &Job, named: &[String]) -> Result<Vec<Hunt>> {
    if named.is_empty() {
        let chosen = library.select(&job.hunts).map_err(|error| {
            let unknown = job.hunts.names.iter().flatten();
            let mut unknown = unknown.filter(|name| library.get(name).is_err());
            // A broken hunt's error is at its own place.
            match unknown.next() {
                _ if error.place().is_some() => error,
                Some(name) => at_job(job, name, error),
                None => at_job(job, "hunts", error),
            }
        })?;
        return Ok(chosen.into_iter().cloned().collect());
    }
    let mut hunts: Vec<Hunt> = Vec::new();
    for name in named {
        let hunt = library.get(name)?;
        if !hunts.contains(hunt) {
            hunts.push(hunt.clone());
        }
    }
    Ok(hunts)
}

/// Says what is wrong with hunts that the job may mean, for each tile to note: they cost themselves, and the exit code.
fn broken(library: &Library, job: &Job, named: &[String], printer: &Printer) -> Vec<String> {
    if !named.is_empty() {
        return Vec::new();
    }
    let names = job.hunts.names.as_ref();
    let is_meant = |name: &str| names.is_none_or(|names| names.iter().any(|other| other == name));
    let mut notes = Vec::new();
    for (name, errors) in library.broken().filter(|(name, _)| is_meant(name)) {
        for error in errors {
            printer.error(&error.to_string(), error.hint_text());
        }
        let first = errors.first().map(Error::in_one_line).unwrap_or_default();
        notes.push(format!("{name} is broken and was not run: {first}"));
    }
    notes
}

/// That what the job says about hunts is about hunts there are.
fn known(library: &Library, job: &Job) -> Result<()> {
    let is_broken = |name: &str| {
        library
            .get(name)
            .is_err_and(|error| error.place().is_some())
    };
    for name in job.params.keys().filter(|name| !is_broken(name)) {
        let hunt = library
            .get(name)
            .map_err(|error| at_job(job, name, error.about("params")))?;
        job.parameters(hunt)?;
    }
    for exception in job
        .exceptions
        .iter()
        .filter(|found| !is_broken(&found.hunt))
    {
        library
            .get(&exception.hunt)
            .map_err(|error| exception.error_about(&exception.hunt, &error))?;
    }
    Ok(())
}

/// An error about something that the job file says, at its line.
pub(super) fn at_job(job: &Job, word: &str, error: Error) -> Error {
    job.error_at(word, error.message())
        .maybe_hint(error.hint_text().map(str::to_owned))
}

fn target(
    arguments: &WindowArgs,
    job: &Job,
    lake: &Lake,
    now: DateTime<Utc>,
    printer: &Printer,
) -> Result<Target> {
    let zone = job.grid.timezone();
    let usage = |error: crate::time::TimeError| Error::configuration(error.to_string());
    let now = match &arguments.at {
        Some(at) => parse_instant(at, zone).map_err(|error| usage(error).about("--at"))?,
        None => job.at.unwrap_or(now),
    };
    let range = resolve_range(
        arguments.from.as_deref(),
        arguments.to.as_deref(),
        arguments.last.as_deref(),
        arguments.earliest.as_deref(),
        arguments.latest.as_deref(),
        now,
        zone,
    )
    .map_err(usage)?;
    let settle = lake
        .tables
        .values()
        .map(|table| table.settle)
        .max()
        .unwrap_or(Duration::zero());
    let none_complete = || {
        Error::configuration(format!(
            "no tile of `{}` is complete at {}",
            job.name,
            format_instant(now)
        ))
        .in_file(&job.path)
        .hint("the job's `since` says where its grid begins; --at moves the clock, --from and --to name a range")
    };
    let Some(range) = range else {
        let tile = job
            .grid
            .newest_complete(now, settle)
            .ok_or_else(none_complete)?;
        return Ok(Target::Tiles(vec![tile]));
    };
    let tiles = job.grid.tiles_within(range);
    let covers = tiles.first().is_some_and(|tile| tile.start == range.start)
        && tiles.last().is_some_and(|tile| tile.end == range.end);
    if !covers {
        return Ok(Target::Exploratory(range));
    }
    let (complete, open): (Vec<_>, Vec<_>) =
        tiles.into_iter().partition(|tile| now >= tile.end + settle);
    if let Some(tile) = open.first() {
        printer.warn(&format!(
            "{tile} is not over yet: it and what follows is not run"
        ));
    }
    if complete.is_empty() {
        return Err(none_complete());
    }
    Ok(Target::Tiles(complete))
}

async fn explain(engine: &Engine, job: &Job, hunts: &[Hunt], tile: Window) -> Result<String> {
    let mut text = String::new();
    for planned in super::run_tile::plan_all(engine, job, hunts, tile).await? {
        let (planned, _) = planned?;
        let plan = datafusion::physical_plan::displayable(planned.plan.as_ref())
            .indent(false)
            .to_string();
        let _ = writeln!(text, "{}\n{plan}", planned.name);
    }
    Ok(text)
}

/// The most memory this process has held, in bytes, where the system says.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
