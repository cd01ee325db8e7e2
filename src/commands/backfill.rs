//! `lakehunt backfill`: the tiles of a range that lack something, planned first, then run under one progress bar.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::deliver::deliver;
use super::fill::{Event, Fill, Task, at_once, same_grid_of, window_of};
use super::level;
use super::run::{break_off, peak_memory, worse};
use super::setup::Setup;
use super::{data, plan};
use crate::cli::{BackfillArgs, Format, Notify, TestFormat};
use crate::error::{Error, Result};
use crate::printer::Printer;
use crate::report::figures::{amount, bytes, grouped};
use crate::report::{HuntState, Report};
use crate::time::{Window, format_instant, resolve_range};

/// What a backfill did.
#[derive(Debug, Serialize)]
struct Outcome {
    job: String,
    /// The whole, complete tiles of the range.
    windows: u64,
    /// Those that ran.
    filled: u64,
    /// Those that another run is writing.
    taken: Vec<Window>,
    /// Those of them with a hunt that is partial.
    partial: Vec<Window>,
    /// Those with a hunt that failed.
    failed: Vec<Window>,
    hunts: BTreeMap<String, Counts>,
}

/// What hunts gave in the windows that ran.
#[derive(Debug, Default, Serialize)]
struct Counts {
    windows: u64,
    findings: u64,
    new: u64,
    repeat: u64,
    excepted: u64,
}

pub(super) fn run(arguments: &BackfillArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let started = Instant::now();
    let (memory, at) = (arguments.memory.as_deref(), arguments.at.as_deref());
    let setup = Setup::open(&arguments.of, memory, at, printer, now)?;
    let tiles = tiles(&setup, arguments, printer)?;
    let runtime = super::runtime()?;
    let output = if arguments.plan {
        setup.output_as_it_is()?
    } else {
        runtime.block_on(setup.output(&setup.root))?
    };
    let second = runtime.block_on(setup.second())?;
    let coverage = runtime.block_on(async {
        let coverage = setup.coverage(&output).await?;
        same_grid_of(&setup, coverage.run_tiles())?;
        coverage.read(tiles.iter().copied()).await;
        Ok::<_, Error>(coverage)
    })?;
    let bar = printer.window_progress(tiles.len() as u64);
    let windows = tiles.len() as u64;
    let fill = Fill {
        setup: &setup,
        second,
        output: &output,
        coverage: &coverage,
        reach: setup.reach(true, true),
        tiles,
        parallel: usize::from(arguments.parallel),
        newest_first: arguments.newest_first,
        delivers: arguments.notify != Notify::None,
        bar: Some(&bar),
    };
    let (tasks, unread) = runtime.block_on(fill.tasks(&BTreeSet::new()))?;
    if arguments.plan {
        bar.finish();
        let tasks = as_planned(tasks, fill.parallel);
        let format = match arguments.format {
            TestFormat::Text => Format::Text,
            TestFormat::Json => Format::Json,
        };
        return runtime.block_on(plan::print(&setup, tasks, format, printer));
    }
    printer.note(&format!(
        "{} of {} to fill{}",
        grouped(tasks.len() as u64),
        amount(windows, "window"),
        match unread.len() as u64 {
            0 => String::new(),
            unread => format!("; {} to look at", amount(unread, "new object")),
        }
    ));
    bar.set_windows(tasks.len() as u64);
    let mut taken = Vec::new();
    let mut ran = BTreeSet::new();
    let result = fill.run(&runtime, printer, &mut |event| {
        if !matches!(event, Event::Again) {
            bar.window_done();
        }
        match event {
            Event::Ran(report) => {
                ran.insert(window_of(&report));
            }
            Event::Unneeded => {}
            Event::Again => bar.another_window(),
            Event::Taken(tile) => taken.push(tile),
            Event::Failed(error) => return Err(error),
        }
        Ok(())
    });
    bar.finish();
    let reports = runtime.block_on(fill.tell_again(&ran))?;
    let filled = filled(&setup, windows, taken, &reports);
    match arguments.format {
        TestFormat::Json => super::json(printer, &filled)?,
        TestFormat::Text => {
            data(printer, &told(&reports, arguments.notify))?;
            data(printer, &text(&filled))?;
        }
    }
    if let Err(error) = result {
        return Err(break_off(runtime, &output, error));
    }
    let peak =
        peak_memory().map_or_else(String::new, |peak| format!(", peak memory {}", bytes(peak)));
    printer.note(&format!(
        "took {:.1}s{peak}",
        started.elapsed().as_secs_f64()
    ));
    let fail_on = arguments.fail_on.as_deref().and_then(level);
    let codes = reports.iter().map(|report| report.exit_code(fail_on));
    let code = codes.fold(u8::from(!setup.broken.is_empty()), worse);
    let delivered = runtime.block_on(deliver(&setup.job, &output, printer))?;
    Ok(worse(code, delivered))
}

/// The tiles to be filled, oldest first, for a plan.
fn as_planned(tasks: Vec<Task>, workers: usize) -> plan::Tasks {
    let tasks = tasks.into_iter();
    let mut tasks: Vec<_> = tasks.map(|(tile, verdict)| (tile, Some(verdict))).collect();
    tasks.sort_by_key(|(tile, _)| *tile);
    let tiles: Vec<Window> = tasks.iter().map(|(tile, _)| *tile).collect();
    plan::Tasks {
        at_once: at_once(&tiles, workers),
        tiles: tasks,
    }
}

/// The whole tiles of the range that are complete.
fn tiles(setup: &Setup, arguments: &BackfillArgs, printer: &Printer) -> Result<Vec<Window>> {
    let zone = setup.job.grid.timezone();
    let (from, to) = (Some(arguments.from.as_str()), Some(arguments.to.as_str()));
    let range = resolve_range(from, to, None, None, None, setup.now, zone)
        .map_err(|error| Error::configuration(error.to_string()))?
        .ok_or_else(|| Error::configuration("--from and --to say no range"))?;
    let whole = setup.job.grid.tiles_within(range);
    let newest = setup.newest().ok_or_else(|| setup.none_complete())?;
    let all = whole.len();
    let tiles: Vec<Window> = whole.into_iter().filter(|tile| *tile <= newest).collect();
    let (Some(first), Some(last)) = (tiles.first(), tiles.last()) else {
        return Err(Error::configuration(format!(
            "{range} holds no whole tile of `{}` that is complete at {}",
            setup.job.name,
            format_instant(setup.now)
        ))
        .in_file(&setup.job.path)
        .hint(
            "the job's `since` says where its grid begins; `lakehunt schedule` shows its tiles",
        ));
    };
    if tiles.len() < all {
        printer.warn(&format!(
            "{last} is the newest tile that is complete: what follows is left out"
        ));
    } else if (first.start, last.end) != (range.start, range.end) {
        printer.note(&format!(
            "the whole tiles of the range are those from {} to {}",
            format_instant(first.start),
            format_instant(last.end)
        ));
    }
    Ok(tiles)
}

fn filled(setup: &Setup, windows: u64, mut taken: Vec<Window>, reports: &[Report]) -> Outcome {
    taken.sort_unstable();
    let with = |state: HuntState| {
        let has = |report: &&Report| report.hunts.iter().any(|hunt| hunt.state == state);
        reports.iter().filter(has).map(window_of).collect()
    };
    let mut hunts: BTreeMap<String, Counts> = BTreeMap::new();
    for hunt in reports.iter().flat_map(|report| &report.hunts) {
        let counts = hunts.entry(hunt.name.clone()).or_default();
        counts.windows += 1;
        counts.findings += hunt.findings;
        counts.new += hunt.alerts_new;
        counts.repeat += hunt.alerts_repeat;
        counts.excepted += hunt.alerts_excepted;
    }
    Outcome {
        job: setup.job.name.clone(),
        windows,
        filled: reports.len() as u64,
        taken,
        partial: with(HuntState::Partial),
        failed: with(HuntState::Failed),
        hunts,
    }
}

fn text(filled: &Outcome) -> String {
    let mut text = format!(
        "{}: {} filled, {} as they should be",
        filled.job,
        amount(filled.filled, "window"),
        grouped(filled.windows - filled.filled - filled.taken.len() as u64)
    );
    for (windows, what) in [
        (&filled.partial, "partial"),
        (&filled.failed, "failed"),
        (&filled.taken, "left to another run"),
    ] {
        if !windows.is_empty() {
            let _ = write!(text, ", {} {what}", grouped(windows.len() as u64));
        }
    }
    text.push('\n');
    let found = filled
        .hunts
        .iter()
        .filter(|(_, counts)| counts.findings > 0);
    let width = found.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    if width > 0 {
        let _ = writeln!(
            text,
            "\n{:<width$}  findings      new   repeat  excepted",
            "hunt"
        );
    }
    for (name, counts) in found {
        let numbers = [counts.findings, counts.new, counts.repeat, counts.excepted].map(grouped);
        let [findings, new, repeat, excepted] = numbers;
        let _ = writeln!(
            text,
            "{name:<width$}  {findings:>8} {new:>8} {repeat:>8}  {excepted:>8}"
        );
    }
    let silent = filled.hunts.len()
        - filled
            .hunts
            .values()
            .filter(|counts| counts.findings > 0)
            .count();
    if silent > 0 {
        let _ = writeln!(text, "{} without findings", amount(silent as u64, "hunt"));
    }
    for (windows, what) in [(&filled.partial, "partial"), (&filled.failed, "failed")] {
        for window in windows {
            let _ = writeln!(text, "{what}: {window}");
        }
    }
    text
}

/// The alerts that somebody wants to be told of, the oldest first.
fn told(reports: &[Report], notify: Notify) -> String {
    let alerts = reports.iter().flat_map(|report| &report.alerts);
    let mut alerts: Vec<_> = alerts
        .filter(|alert| match notify {
            Notify::None => false,
            Notify::New => alert.is_new(),
            Notify::All => true,
        })
        .collect();
    alerts.sort_by(|a, b| (a.first_seen, &a.alert_id).cmp(&(b.first_seen, &b.alert_id)));
    let mut text = String::new();
    for alert in &alerts {
        let _ = writeln!(
            text,
            "{}  {:<13}  {}  {}  {}",
            format_instant(alert.first_seen),
            alert.level.as_str(),
            alert.standing(),
            alert.hunt,
            crate::report::visible::neutral(&alert.message)
        );
    }
    if !alerts.is_empty() {
        text.push('\n');
    }
    text
}
