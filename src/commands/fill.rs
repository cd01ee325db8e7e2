//! Many tiles: which of them lack something, and those run, by one worker or several. `run --due` and `backfill` differ in
//! how far they look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Instant;

use futures::StreamExt;

use super::deliver::deliver;
use super::run::{break_off, print_reports, print_text, worse};
use super::run_tile::{Outcome, Round, Scope, TileRun, run_tiles};
use super::setup::Setup;
use super::tile_report::object_record;
use super::{plan, repeats};
use crate::cli::{Format, RunArgs};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::history::coverage::{Coverage, Reach, Verdict};
use crate::history::pruned_before;
use crate::history::second::Second;
use crate::hunt::Level;
use crate::lake::consumer::Consumers;
use crate::lake::decoded::DecodePlan;
use crate::lake::exec::parallelism;
use crate::lake::scan::Pass;
use crate::lake::table::{DataFile, Listing, Table};
use crate::lake::{FileReport, SharedReport};
use crate::output::Output;
use crate::printer::{Printer, Progress};
use crate::report::Report;
use crate::time::Window;

/// Neighbours that are run in one pass, at least where there are so many, and at most.
const LEAST_AT_ONCE: usize = 8;
const MOST_AT_ONCE: usize = 24;
const MINUTES_OF_A_DAY: i64 = 24 * 60;

/// A tile that lacks something.
pub(super) type Task = (Window, Verdict);

/// Tiles that are to be filled.
pub(super) struct Fill<'a> {
    pub(super) setup: &'a Setup,
    pub(super) second: &'a Second,
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
    /// Its hunts of stage two are to run, after those of others.
    Again,
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
    let output = if arguments.plan {
        setup.output_as_it_is()?
    } else {
        runtime.block_on(setup.output(&setup.root))?
    };
    let second = runtime.block_on(setup.second())?;
    let reach = setup.reach(false, false);
    let (coverage, tiles) = runtime.block_on(async {
        let coverage = setup.coverage(&output).await?;
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
        second,
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
        let tasks = plan::Tasks {
            at_once: at_once(&fill.tiles, 1),
            tiles: tasks.collect(),
        };
        return runtime.block_on(plan::print(setup, tasks, arguments.format, printer));
    }
    let mut reports = Vec::new();
    let mut code = u8::from(!setup.broken.is_empty());
    let result = fill.run(&runtime, printer, &mut |event| {
        match event {
            Event::Ran(report) => {
                let own = report.exit_code(fail_on);
                code = worse(code, own);
                if arguments.format == Format::Text {
                    print_text(&report, &setup.root, true, own, started, printer)?;
                }
                reports.push(*report);
            }
            Event::Unneeded | Event::Again => {}
            Event::Taken(tile) => printer.note(&format!(
                "{tile}: another run is writing this tile; skipped"
            )),
            Event::Failed(error) => return Err(error),
        }
        Ok(())
    });
    if let Err(error) = result {
        return Err(break_off(runtime, &output, error));
    }
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

/// How many neighbours are run in one pass: as many as make what they share small against what is theirs, and a day of
/// them where they are short. A run that is killed loses what its pass has not published.
pub(super) fn at_once(tiles: &[Window], workers: usize) -> usize {
    let length = tiles.first().map_or(1, |tile| tile.length().num_minutes());
    let of_a_day = usize::try_from(MINUTES_OF_A_DAY / length.max(1)).unwrap_or(1);
    let most = of_a_day.clamp(LEAST_AT_ONCE, MOST_AT_ONCE);
    tiles.len().div_ceil(workers.max(1)).clamp(1, most)
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
    /// for their times, so that only tiles run that they have events for. Hunts over results run in a tile when those it
    /// looks at are done, which may be in a second round.
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
        let is_first = |(_, verdict): &Task| !verdict.hunts.iter().all(|hunt| self.is_second(hunt));
        loop {
            let (mut tasks, unread) = runtime.block_on(self.tasks(&tried))?;
            tasks.retain(is_first);
            if tasks.is_empty() && unread.is_empty() {
                break;
            }
            if tasks.is_empty() {
                runtime.block_on(self.look_at(unread))?;
                continue;
            }
            tried.extend(tasks.iter().map(|(tile, _)| *tile));
            self.coverage.expect(tasks.iter().map(|(tile, _)| *tile));
            self.run_all(runtime, &tasks, Round::First, printer, listen)?;
        }
        if self.second.is_empty() {
            return Ok(());
        }
        if !tried.is_empty() {
            runtime.block_on(self.coverage.refresh(&self.tiles))?;
        }
        let (mut tasks, _) = runtime.block_on(self.tasks(&BTreeSet::new()))?;
        tasks.retain(|(_, verdict)| verdict.hunts.iter().any(|hunt| self.is_second(hunt)));
        tasks.sort_by_key(|(tile, _)| *tile);
        for _ in tasks.iter().filter(|(tile, _)| tried.contains(tile)) {
            listen(Event::Again)?;
        }
        if tasks.is_empty() {
            return Ok(());
        }
        self.run_all(runtime, &tasks, Round::Second, printer, listen)
    }

    fn is_second(&self, hunt: &str) -> bool {
        self.second.hunts.contains_key(hunt)
    }

    fn run_all(
        &self,
        runtime: &tokio::runtime::Runtime,
        tasks: &[Task],
        round: Round,
        printer: &Printer,
        listen: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let workers = self.parallel.clamp(1, tasks.len());
        let batches = self.batches(tasks, workers, round);
        let engines = self.engines(workers)?;
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let (sender, events) = mpsc::channel();
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let (sender, next, stop, batches) = (sender.clone(), &next, &stop, &batches);
                let engine = engines.get(worker).unwrap_or(&self.setup.engine);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let Some(tiles) = batches.get(next.fetch_add(1, Ordering::Relaxed)) else {
                            return;
                        };
                        for event in self.run_some(runtime, engine, tiles, round, printer) {
                            if matches!(event, Event::Failed(_)) {
                                stop.store(true, Ordering::Relaxed);
                            }
                            if sender.send(event).is_err() {
                                return;
                            }
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
        let memory = self
            .setup
            .memory
            .unwrap_or_else(crate::engine::default_memory);
        let engine = |_| Engine::new(Arc::clone(&self.setup.lake), Some(memory / workers));
        (0..workers).map(engine).collect()
    }

    /// The tiles of each pass.
    fn batches(&self, tasks: &[Task], workers: usize, round: Round) -> Vec<Vec<Window>> {
        let mut tiles: Vec<Window> = tasks.iter().map(|(tile, _)| *tile).collect();
        tiles.sort_unstable();
        let size = at_once(&tiles, workers);
        let mut batches: Vec<Vec<Window>> = tiles.chunks(size).map(<[_]>::to_vec).collect();
        if self.newest_first && round == Round::First {
            batches.reverse();
        }
        batches
    }

    fn run_some(
        &self,
        runtime: &tokio::runtime::Runtime,
        engine: &Engine,
        tiles: &[Window],
        round: Round,
        printer: &Printer,
    ) -> Vec<Event> {
        let run = |tile: &Window| self.tile_run(engine, *tile, round);
        let runs: Vec<TileRun<'_>> = tiles.iter().map(run).collect();
        let outcomes = runtime.block_on(async {
            tokio::select! {
                outcomes = run_tiles(&runs, printer) => outcomes,
                _ = tokio::signal::ctrl_c() => vec![Err(Error::failure(
                    "interrupted; what was published stands, and the same command goes on from there",
                ))],
            }
        });
        let events = tiles.iter().zip(outcomes);
        events
            .map(|(tile, outcome)| match outcome {
                Ok(Outcome::Ran(report)) => Event::Ran(report),
                Ok(Outcome::Unneeded) => Event::Unneeded,
                Ok(Outcome::Taken) => Event::Taken(*tile),
                Err(error) => Event::Failed(error),
            })
            .collect()
    }

    fn tile_run<'b>(&'b self, engine: &'b Engine, tile: Window, round: Round) -> TileRun<'b> {
        TileRun {
            engine,
            job: &self.setup.job,
            hunts: &self.setup.hunts,
            told: &self.setup.all,
            second: self.second,
            scope: Scope::Needed(self.coverage, self.reach, round),
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
            let run = self.tile_run(&self.setup.engine, tile, Round::First);
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
    let plan = DecodePlan::new(Arc::clone(table), None, []);
    let nobody = Consumers::new(&[], &plan);
    let pass = Pass {
        consumers: nobody.map_err(|error| Error::failure(error.strip_backtrace()))?,
        plan,
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
