//! Many tiles: which of them lack something, and those run, by one worker or several. `run --due` and `backfill` differ in
//! how far they look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Instant;

use futures::StreamExt;

use super::deliver::deliver;
use super::run::{print_reports, print_text, worse};
use super::run_tile::{Outcome, Scope, TileRun, run_tile};
use super::setup::Setup;
use super::tile_report::object_record;
use super::{plan, repeats};
use crate::cli::{Format, RunArgs};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::history::coverage::{Coverage, Reach, Verdict};
use crate::history::pruned_before;
use crate::hunt::Level;
use crate::lake::decoded::DecodePlan;
use crate::lake::exec::parallelism;
use crate::lake::scan::Pass;
use crate::lake::table::{DataFile, Listing, Table};
use crate::lake::{FileReport, SharedReport};
use crate::output::Output;
use crate::printer::{Printer, Progress};
use crate::report::Report;
use crate::time::Window;

/// A tile that lacks something.
pub(super) type Task = (Window, Verdict);

/// Tiles that are to be filled.
pub(super) struct Fill<'a> {
    pub(super) setup: &'a Setup,
    pub(super) output: &'a Output,
    pub(super) coverage: &'a Coverage<'a>,
    pub(super) reach: Reach,
    /// The tiles that are looked at, oldest first.
    pub(super) tiles: Vec<Window>,
    /// Tiles at a time.
    pub(super) parallel: usize,
    pub(super) newest_first: bool,
    /// Alerts leave for the targets of the job.
    pub(super) delivers: bool,
    pub(super) bar: Option<&'a Progress>,
}

/// How one tile ended, for whoever listens.
pub(super) enum Event {
    Ran(Box<Report>),
    /// Another run had filled it by then.
    Unneeded,
    Taken(Window),
    Failed(Error),
}

/// `run --due`: every complete tile that was not run, and those of late that lack something.
pub(super) fn due(
    setup: &Setup,
    arguments: &RunArgs,
    fail_on: Option<Level>,
    printer: &Printer,
    started: Instant,
) -> Result<u8> {
    let runtime = super::runtime()?;
    let output = runtime.block_on(setup.output(&setup.root))?;
    let wanted = runtime.block_on(setup.wanted())?;
    let reach = setup.reach(false, false);
    let (coverage, tiles) = runtime.block_on(async {
        let coverage = Coverage::open(&setup.lake, &output, &setup.job.name, wanted).await?;
        same_grid_of(setup, coverage.run_tiles())?;
        let all = complete_tiles(setup, &output, coverage.run_tiles()).await?;
        let late = setup.now - setup.late();
        let is_asked = |tile: &Window| tile.end > late || !coverage.run_tiles().contains(tile);
        let tiles: Vec<Window> = all.into_iter().filter(is_asked).collect();
        coverage.read(tiles.iter().copied()).await;
        Ok::<_, Error>((coverage, tiles))
    })?;
    let fill = Fill {
        setup,
        output: &output,
        coverage: &coverage,
        reach,
        tiles,
        parallel: 1,
        newest_first: false,
        delivers: true,
        bar: None,
    };
    if arguments.plan {
        let tasks = runtime.block_on(fill.tasks(&BTreeSet::new()))?.0;
        let tasks = tasks.into_iter();
        let tasks = tasks.map(|(tile, verdict)| (tile, Some(verdict)));
        let tasks = tasks.collect();
        return runtime.block_on(plan::print(setup, tasks, arguments.format, printer));
    }
    let mut reports = Vec::new();
    let mut code = u8::from(!setup.broken.is_empty());
    fill.run(&runtime, printer, &mut |event| {
        match event {
            Event::Ran(report) => {
                code = worse(code, report.exit_code(fail_on));
                if arguments.format == Format::Text {
                    print_text(&report, &setup.root, true, fail_on, started, printer)?;
                }
                reports.push(*report);
            }
            Event::Unneeded => {}
            Event::Taken(tile) => printer.note(&format!(
                "{tile}: another run is writing this tile; skipped"
            )),
            Event::Failed(error) => return Err(error),
        }
        Ok(())
    })?;
    let ran: BTreeSet<Window> = reports.iter().map(window_of).collect();
    runtime.block_on(fill.tell_again(&ran))?;
    if reports.is_empty() {
        let newest = setup.newest().map(|tile| tile.to_string());
        let newest = newest.unwrap_or_else(|| "none".to_owned());
        printer.note(&format!(
            "nothing is due; the newest complete tile is {newest}"
        ));
    }
    if arguments.format == Format::Json {
        super::json(printer, &reports)?;
    } else {
        print_reports(&reports, arguments.format, printer)?;
    }
    let delivered = runtime.block_on(deliver(&setup.job, &output, printer))?;
    Ok(worse(code, delivered))
}

pub(super) const fn window_of(report: &Report) -> Window {
    Window {
        start: report.window_start,
        end: report.window_end,
    }
}

/// Every complete tile of a job, oldest first: from `since` on, else from the first that was run, else the newest alone;
/// and none that was pruned.
pub(super) async fn complete_tiles(
    setup: &Setup,
    output: &Output,
    run: &BTreeSet<Window>,
) -> Result<Vec<Window>> {
    let Some(newest) = setup.newest() else {
        return Ok(Vec::new());
    };
    let grid = &setup.job.grid;
    let first = run.first().map_or(newest.start, |tile| tile.start);
    let mut start = grid.since().unwrap_or(first.min(newest.start));
    if let Some(pruned) = pruned_before(output, &setup.job.name).await? {
        start = start.max(pruned);
    }
    let all = Window::new(start, newest.end);
    Ok(all.map_or_else(|_| Vec::new(), |all| grid.tiles_within(all)))
}

/// Refuses an output whose tiles are of another grid: two tiles would say the same.
///
/// # Errors
/// A configuration error that names one of them.
pub(super) async fn same_grid(setup: &Setup, output: &Output) -> Result<()> {
    same_grid_of(setup, &output.tiles(&setup.job.name).await?)
}

pub(super) fn same_grid_of(setup: &Setup, run: &BTreeSet<Window>) -> Result<()> {
    let grid = &setup.job.grid;
    let since = grid.since();
    let mut inside = run
        .iter()
        .filter(|tile| since.is_none_or(|since| tile.start >= since));
    let (Some(first), Some(last)) = (inside.clone().next(), inside.clone().next_back()) else {
        return Ok(());
    };
    let all = Window {
        start: first.start,
        end: last.end,
    };
    let tiles: BTreeSet<Window> = grid.tiles_within(all).into_iter().collect();
    let Some(other) = inside.find(|tile| !tiles.contains(tile)) else {
        return Ok(());
    };
    Err(setup
        .job
        .error_at(
            "grid",
            format!("the output has {other}, which is no tile of the grid {grid}"),
        )
        .hint("its results would stand there twice; give the job another name or output, or put the grid back"))
}

impl Fill<'_> {
    /// The tiles that lack something, and the objects whose times nobody knows.
    pub(super) async fn tasks(
        &self,
        but: &BTreeSet<Window>,
    ) -> Result<(Vec<Task>, BTreeMap<(String, String), DataFile>)> {
        let mut tasks = Vec::new();
        let mut unread = BTreeMap::new();
        for tile in self.tiles.iter().filter(|tile| !but.contains(tile)) {
            let mut verdict = self.coverage.verdict(*tile, self.reach).await?;
            for (table, file) in std::mem::take(&mut verdict.unread) {
                unread.insert((table, file.object.path.clone()), file);
            }
            if !verdict.hunts.is_empty() {
                tasks.push((*tile, verdict));
            }
        }
        if self.newest_first {
            tasks.reverse();
        }
        Ok((tasks, unread))
    }

    /// Runs what lacks something until nothing does; each tile once. Objects that nobody has read by then are looked at
    /// for their times, so that only tiles run that they have events for.
    ///
    /// # Errors
    /// The first of `listen`, and whatever keeps the coverage from being told.
    pub(super) fn run(
        &self,
        runtime: &tokio::runtime::Runtime,
        printer: &Printer,
        listen: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let mut tried = BTreeSet::new();
        loop {
            let (tasks, unread) = runtime.block_on(self.tasks(&tried))?;
            if tasks.is_empty() && unread.is_empty() {
                return Ok(());
            }
            if tasks.is_empty() {
                runtime.block_on(self.look_at(unread))?;
                continue;
            }
            tried.extend(tasks.iter().map(|(tile, _)| *tile));
            self.run_all(runtime, &tasks, printer, listen)?;
        }
    }

    fn run_all(
        &self,
        runtime: &tokio::runtime::Runtime,
        tasks: &[Task],
        printer: &Printer,
        listen: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let workers = self.parallel.clamp(1, tasks.len());
        let engines = self.engines(workers)?;
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let (sender, events) = mpsc::channel();
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let (sender, next, stop) = (sender.clone(), &next, &stop);
                let engine = engines.get(worker).unwrap_or(&self.setup.engine);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let Some((tile, _)) = tasks.get(next.fetch_add(1, Ordering::Relaxed))
                        else {
                            return;
                        };
                        let event = self.run_one(runtime, engine, *tile, printer);
                        if matches!(event, Event::Failed(_)) {
                            stop.store(true, Ordering::Relaxed);
                        }
                        if sender.send(event).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut result = Ok(());
            for event in events {
                if let (Ok(()), Err(error)) = (&result, listen(event)) {
                    stop.store(true, Ordering::Relaxed);
                    result = Err(error);
                }
            }
            result
        })
    }

    /// An engine for each worker where there are several: the memory is shared out, so that what one hunt needs does not
    /// depend on what runs beside it.
    fn engines(&self, workers: usize) -> Result<Vec<Engine>> {
        if workers < 2 {
            return Ok(Vec::new());
        }
        let memory = self.setup.memory.unwrap_or(crate::engine::DEFAULT_MEMORY);
        let engine = |_| Engine::new(Arc::clone(&self.setup.lake), Some(memory / workers));
        (0..workers).map(engine).collect()
    }

    fn run_one(
        &self,
        runtime: &tokio::runtime::Runtime,
        engine: &Engine,
        tile: Window,
        printer: &Printer,
    ) -> Event {
        let run = self.tile_run(engine, tile);
        let result = runtime.block_on(async {
            tokio::select! {
                result = run_tile(&run, printer) => result,
                _ = tokio::signal::ctrl_c() => Err(Error::failure(format!(
                    "interrupted in {tile}; what was published before stands, and the same command goes on from there"
                ))),
            }
        });
        match result {
            Ok(Outcome::Ran(report)) => Event::Ran(report),
            Ok(Outcome::Unneeded) => Event::Unneeded,
            Ok(Outcome::Taken) => Event::Taken(tile),
            Err(error) => Event::Failed(error),
        }
    }

    fn tile_run<'b>(&'b self, engine: &'b Engine, tile: Window) -> TileRun<'b> {
        TileRun {
            engine,
            job: &self.setup.job,
            hunts: &self.setup.hunts,
            told: &self.setup.all,
            scope: Scope::Needed(self.coverage, self.reach),
            is_exploratory: false,
            output: self.output,
            broken: &self.setup.broken,
            stats: &self.setup.stats,
            tile,
            delivers: self.delivers,
            bar: self.bar,
        }
    }

    /// Tells repeats from new alerts again in tiles that ran and those after them; gives the summaries of those that ran.
    pub(super) async fn tell_again(&self, ran: &BTreeSet<Window>) -> Result<Vec<Report>> {
        let job = &self.setup.job;
        let run = self.coverage.run_tiles().iter().copied();
        let mut reports = Vec::new();
        for tile in repeats::concerned(ran, run, job.suppress) {
            let run = self.tile_run(&self.setup.engine, tile);
            let report = repeats::tell_again(&run).await?;
            reports.extend(report.filter(|_| ran.contains(&tile)));
        }
        Ok(reports)
    }

    /// Reads objects for nothing but the times of their events.
    async fn look_at(&self, unread: BTreeMap<(String, String), DataFile>) -> Result<()> {
        let mut by_table: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
        for ((table, _), file) in unread {
            by_table.entry(table).or_default().push(file);
        }
        for (name, files) in by_table {
            let Some(table) = self.setup.lake.tables.get(&name) else {
                continue;
            };
            for report in span_of(table, files).await? {
                self.coverage.learn_object(&name, object_record(&report));
            }
        }
        Ok(())
    }
}

async fn span_of(table: &Arc<Table>, files: Vec<DataFile>) -> Result<Vec<FileReport>> {
    let listing = Listing {
        files,
        ..Listing::default()
    };
    let report = SharedReport::default();
    let pass = Pass {
        plan: DecodePlan::new(Arc::clone(table), None, []),
        consumers: Vec::new(),
        listing: Arc::new(listing),
        parallel: parallelism(1),
        progress: Arc::default(),
    };
    let mut rows = Box::pin(pass.run(Arc::clone(&report)));
    while let Some(delivery) = rows.next().await {
        delivery.map_err(|error| Error::failure(error.strip_backtrace()))?;
    }
    drop(rows);
    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut report.files))
}
