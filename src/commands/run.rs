//! `lakehunt run`: which tiles, then each of them, then what to say.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::deliver::deliver;
use super::rebuild_tile::rebuild_tile;
use super::run_tile::{Outcome, Scope, TileRun, run_tile};
use super::setup::Setup;
use super::{data, fill, level, plan};
use crate::cli::{Format, RunArgs, WindowArgs};
use crate::error::{Error, Result};
use crate::output::Output;
use crate::output::publish::summary_path;
use crate::printer::Printer;
use crate::report::{self, Report};
use crate::time::{Window, resolve_range};

/// The windows of a run.
enum Target {
    /// Tiles of the grid, oldest first: published.
    Tiles(Vec<Window>),
    /// A window off the grid: looked at, written aside.
    Exploratory(Window),
}

pub(super) fn run(arguments: &RunArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let started = Instant::now();
    let (memory, at) = (arguments.memory.as_deref(), arguments.window.at.as_deref());
    let setup = Setup::open(&arguments.of, memory, at, printer, now)?;
    let fail_on = arguments.fail_on.as_deref().and_then(level);
    if arguments.due {
        return fill::due(&setup, arguments, fail_on, printer, started);
    }
    let target = target(&arguments.window, &setup, printer)?;
    let root = setup.root.clone();
    let is_exploratory = matches!(target, Target::Exploratory(_));
    let (tiles, root) = match target {
        Target::Tiles(tiles) => (tiles, root),
        Target::Exploratory(window) => {
            let aside = root.join("adhoc");
            off_the_grid(window, &setup, &aside, printer);
            (vec![window], aside)
        }
    };
    let runtime = super::runtime()?;
    if arguments.explain {
        let text = runtime.block_on(explain(&setup, tiles[0]))?;
        data(printer, &text)?;
        return Ok(0);
    }
    if arguments.plan {
        let tasks = plan::Tasks {
            at_once: 1,
            tiles: tiles.into_iter().map(|tile| (tile, None)).collect(),
        };
        return runtime.block_on(plan::print(&setup, tasks, arguments.format, printer));
    }
    // Before the scan, so that a wrong path costs nothing.
    let output = runtime.block_on(setup.output(&root))?;
    if !is_exploratory {
        runtime.block_on(fill::same_grid(&setup, &output))?;
    }
    let second = runtime.block_on(setup.second())?;
    let mut reports = Vec::new();
    let mut code = u8::from(!setup.broken.is_empty());
    let mut last = tiles.last().copied();
    for tile in tiles {
        let tile_run = TileRun {
            engine: &setup.engine,
            job: &setup.job,
            hunts: &setup.hunts,
            told: &setup.hunts,
            second,
            scope: if arguments.of.hunts.is_empty() {
                Scope::Whole
            } else {
                Scope::Named
            },
            is_exploratory,
            output: &output,
            broken: &setup.broken,
            stats: &setup.stats,
            tile,
            delivers: !is_exploratory,
            bar: None,
        };
        let made = made(&tile_run, arguments.rebuild, printer);
        let report = match runtime.block_on(made) {
            Ok(Outcome::Ran(report)) => report,
            Ok(Outcome::Taken | Outcome::Unneeded) => {
                taken(tile, printer);
                continue;
            }
            Err(error) => return Err(break_off(runtime, &output, error)),
        };
        let mut own = report.exit_code(fail_on);
        if Some(&tile) == last.as_ref() {
            // Before its summary, whose last line says how the run ends.
            own = worse(
                own,
                runtime.block_on(deliver(&setup.job, &output, printer))?,
            );
            last = None;
        }
        code = worse(code, own);
        setup.stats.stage("publish");
        if arguments.format == Format::Text {
            let summary = arguments.of.hunts.is_empty();
            print_text(&report, &root, summary, own, started, printer)?;
        }
        reports.push(*report);
    }
    print_reports(&reports, arguments.format, printer)?;
    if last.is_some() {
        code = worse(
            code,
            runtime.block_on(deliver(&setup.job, &output, printer))?,
        );
    }
    if arguments.stats {
        setup.stats.print(printer, arguments.format == Format::Json);
    }
    Ok(code)
}

/// Runs a tile, or makes it again from what it found, until somebody interrupts it.
async fn made(run: &TileRun<'_>, again: bool, printer: &Printer) -> Result<Outcome> {
    let made = async {
        if again {
            rebuild_tile(run).await
        } else {
            run_tile(run, printer).await
        }
    };
    tokio::select! {
        made = made => made,
        _ = tokio::signal::ctrl_c() => Err(Error::failure("interrupted; nothing of this tile was published")),
    }
}

fn off_the_grid(window: Window, setup: &Setup, aside: &Path, printer: &Printer) {
    printer.note(&format!(
        "{window} is not a range of tiles of `{}`: the results are printed and written under {} only",
        setup.job.name,
        aside.display()
    ));
}

fn taken(tile: Window, printer: &Printer) {
    printer.note(&format!(
        "{tile}: another run is writing this tile; skipped"
    ));
}

/// The summary of one tile for people.
pub(super) fn print_text(
    report: &Report,
    root: &Path,
    has_summary: bool,
    exit_code: u8,
    started: Instant,
    printer: &Printer,
) -> Result<()> {
    let summary = summary_path(&report.job, fill::window_of(report), "md");
    let summary = has_summary.then(|| root.join(summary));
    let summary = summary.map(|path| path.display().to_string());
    let text = report::terminal::render(
        report,
        report::terminal::Style {
            color: printer.color(),
            width: printer.width(),
        },
        report::terminal::Ending {
            elapsed: started.elapsed(),
            peak: peak_memory(),
            summary: summary.as_deref(),
            exit_code,
        },
    );
    data(printer, &text)
}

/// Leaves a run whose tile broke off.
pub(super) fn break_off(runtime: tokio::runtime::Runtime, output: &Output, error: Error) -> Error {
    runtime.block_on(output.abandon());
    // Readers on other threads end by themselves; an interrupted user does not wait for them.
    runtime.shutdown_background();
    error
}

pub(super) fn print_reports(reports: &[Report], format: Format, printer: &Printer) -> Result<()> {
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

/// 1 wins over 3, anything over 0.
pub(super) fn worse(a: u8, b: u8) -> u8 {
    match (a, b) {
        (1, _) | (_, 1) => 1,
        _ => a.max(b),
    }
}

fn target(arguments: &WindowArgs, setup: &Setup, printer: &Printer) -> Result<Target> {
    let job = &setup.job;
    let range = resolve_range(
        arguments.from.as_deref(),
        arguments.to.as_deref(),
        arguments.last.as_deref(),
        arguments.earliest.as_deref(),
        arguments.latest.as_deref(),
        setup.now,
        job.grid.timezone(),
    )
    .map_err(|error| Error::configuration(error.to_string()))?;
    let Some(range) = range else {
        let tile = setup.newest().ok_or_else(|| setup.none_complete())?;
        return Ok(Target::Tiles(vec![tile]));
    };
    let tiles = job.grid.tiles_within(range);
    let covers = tiles.first().is_some_and(|tile| tile.start == range.start)
        && tiles.last().is_some_and(|tile| tile.end == range.end);
    if !covers {
        return Ok(Target::Exploratory(range));
    }
    let settle = setup.settle();
    let (complete, open): (Vec<_>, Vec<_>) = tiles
        .into_iter()
        .partition(|tile| setup.now >= tile.end + settle);
    if let Some(tile) = open.first() {
        printer.warn(&format!(
            "{tile} is not over yet: it and what follows is not run"
        ));
    }
    if complete.is_empty() {
        return Err(setup.none_complete());
    }
    Ok(Target::Tiles(complete))
}

async fn explain(setup: &Setup, tile: Window) -> Result<String> {
    let mut hunts = Vec::new();
    let (engine, second) = (&setup.engine, setup.second().await?);
    let planned = super::run_tile::plan_all(engine, &setup.job, &setup.hunts, second, tile);
    for planned in planned.await? {
        hunts.push(planned?.0);
    }
    let mut text = setup.engine.explain(&hunts)?;
    for hunt in &hunts {
        let plan = datafusion::physical_plan::displayable(hunt.plan.as_ref())
            .indent(false)
            .to_string();
        let _ = writeln!(text, "\n{}\n{plan}", hunt.name);
    }
    Ok(text)
}

/// The most memory this process has held, in bytes, where the system says.
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
