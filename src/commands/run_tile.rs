//! One tile of a job from plan to ledger: job → tile → tables → scan → hunts → findings → alerts → report.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Duration;

use super::judge::Judge;
use super::left_over::stale;
use super::stage_two;
use super::summary::write_summary;
use super::tile_report::{quarantine, report, table_record};
use super::tile_results::{Results, conclude, lookups, stored_alerts, unplanned_record};
use super::tile_scan::scan;
use super::tile_state::{problem, waiting};
use crate::engine::{Engine, Group, HuntOutcome, PlannedHunt, Session, TableScan};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{
    coverage::{Coverage, Reach},
    second::Second,
};
use crate::hunt::Hunt;
use crate::job::Job;
use crate::output::Output;
use crate::output::ledger::{FORMAT_VERSION, Ledger};
use crate::output::publish::{TileLock, quarantine_path};
use crate::printer::{Printer, Progress};
use crate::report::Report;
use crate::stats::Stats;
use crate::time::{Window, parse_duration};

/// Everything one tile needs.
pub(super) struct TileRun<'a> {
    pub(super) engine: &'a Engine,
    pub(super) job: &'a Job,
    /// The hunts that are meant.
    pub(super) hunts: &'a [Hunt],
    /// The hunts that the summary tells of: those, and what the ledger has of others.
    pub(super) told: &'a [Hunt],
    /// Which of the job's hunts look at results, and what they see.
    pub(super) second: &'a Second,
    /// Which of them run, and what becomes of what others left.
    pub(super) scope: Scope<'a>,
    /// Off the grid: a look at a window, not a tile.
    pub(super) is_exploratory: bool,
    pub(super) output: &'a Output,
    /// What is wrong with hunts that could not even be read.
    pub(super) broken: &'a [String],
    /// What it costs.
    pub(super) stats: &'a Stats,
    pub(super) tile: Window,
    /// Its alerts leave for the targets of the job.
    pub(super) delivers: bool,
    /// A bar that many tiles share; each has its own without.
    pub(super) bar: Option<&'a Progress>,
}

impl TileRun<'_> {
    /// Not all of the job's hunts run: what the others left stays.
    pub(super) const fn is_part(&self) -> bool {
        !matches!(self.scope, Scope::Whole)
    }

    pub(super) const fn is_named(&self) -> bool {
        matches!(self.scope, Scope::Named)
    }
}

/// Which hunts of a tile run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    /// All of the job: nothing but theirs is left.
    Whole,
    /// Some that were named: what others left stays, and no summary is written, because it would hide them.
    Named,
    /// Those that have to: what others left stays, and the summary tells of all.
    Needed(&'a Coverage<'a>, Reach, Round),
}

/// Which hunts a pass over many tiles is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// Those over the lake, and those over results in tiles where what they look at is done.
    First,
    /// Those over results alone.
    Second,
}

/// How a tile ended.
pub(super) enum Outcome {
    /// It ran, and this is what it says.
    Ran(Box<Report>),
    /// Nothing of it had to run.
    Unneeded,
    /// Another run has it.
    Taken,
}

/// Plans all hunts for a tile; hunts with the same lookback share a session. A hunt that does not plan costs itself. Those
/// of stage two are planned over no results.
pub(super) async fn plan_all(
    engine: &Engine,
    job: &Job,
    hunts: &[Hunt],
    second: &Second,
    tile: Window,
) -> Result<Vec<Result<(PlannedHunt, Arc<Session>)>>> {
    // A table that could not be listed costs the hunts of its tile, and not those of the next.
    engine.lake().forget_failures().await;
    let mut sessions: BTreeMap<(bool, i64), Arc<Session>> = BTreeMap::new();
    let mut planned = Vec::new();
    for hunt in hunts {
        let lookback = lookback(hunt)?;
        let is_second = second.hunts.contains_key(&hunt.name);
        let key = (is_second, lookback.num_milliseconds());
        let session = if let Some(session) = sessions.get(&key) {
            Arc::clone(session)
        } else {
            let scope = tile.extended(lookback, Duration::zero());
            let session = if is_second {
                engine.session_of_results(BTreeMap::new(), tile).await?
            } else {
                engine.session(Some(scope), Some(tile)).await?
            };
            let session = Arc::new(session);
            sessions.insert(key, Arc::clone(&session));
            session
        };
        let parameters = job.parameters(hunt)?;
        let plan = session
            .plan_hunt(hunt, engine.lake(), lookback, &parameters)
            .await;
        planned.push(plan.map(|plan| (plan, session)));
    }
    Ok(planned)
}

/// How far before the tile a hunt looks.
pub(super) fn lookback(hunt: &Hunt) -> Result<Duration> {
    let Some(text) = &hunt.front_matter.lookback else {
        return Ok(Duration::zero());
    };
    parse_duration(text)
        .map_err(|error| Error::configuration(format!("lookback: {error}")).in_file(&hunt.path))
}

/// Runs one tile.
pub(super) async fn run_tile(run: &TileRun<'_>, printer: &Printer) -> Result<Outcome> {
    let mut outcomes = run_tiles(std::slice::from_ref(run), printer).await;
    outcomes
        .pop()
        .unwrap_or_else(|| Err(Error::failure("no tile was run")))
}

/// What a tile holds while it is run.
pub(super) struct Held<'a> {
    lock: TileLock,
    previous: Option<Ledger>,
    /// The hunts that run; all that are meant where nobody says.
    needed: Option<Vec<Hunt>>,
    pub(super) run: &'a TileRun<'a>,
}

/// A tile whose hunts are planned.
pub(super) struct Prepared<'a> {
    run: TileRun<'a>,
    planned_of: Vec<&'a Hunt>,
    /// Those that run when these have.
    second: Vec<&'a Hunt>,
    results: Results,
}

/// Runs neighbouring tiles of one engine, oldest first, in one pass over what they read: each gets what it gets alone.
pub(super) async fn run_tiles(runs: &[TileRun<'_>], printer: &Printer) -> Vec<Result<Outcome>> {
    let mut outcomes: Vec<Option<Result<Outcome>>> = Vec::new();
    let mut held = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        match hold(run, printer).await {
            Ok(Ok(own)) => {
                held.push((index, own));
                outcomes.push(None);
            }
            Ok(Err(outcome)) => outcomes.push(Some(Ok(outcome))),
            Err(error) => outcomes.push(Some(Err(error))),
        }
    }
    let mut parts = Vec::new();
    let (mut hunts, mut sessions, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for (index, own) in &held {
        match prepare(own, &mut hunts, &mut sessions, &mut groups, printer).await {
            Ok(prepared) => parts.push((*index, own, prepared)),
            Err(error) => outcomes[*index] = Some(Err(error)),
        }
    }
    let scanned = scan(&parts, &hunts, &sessions, &groups, printer).await;
    let mut scanned = match scanned {
        Ok(scanned) => scanned.into_iter(),
        Err(error) => {
            let none = || Err(error.clone());
            let outcomes = outcomes.into_iter();
            return outcomes
                .map(|outcome| outcome.unwrap_or_else(none))
                .collect();
        }
    };
    let mut planned = hunts.as_slice();
    for (index, own, prepared) in parts {
        let (of_tile, others) = planned.split_at(prepared.planned_of.len());
        planned = others;
        let (found, scans) = scanned.next().unwrap_or_default();
        let finished = finish(own, prepared, of_tile, found, &scans).await;
        outcomes[index] = Some(finished.map(|report| Outcome::Ran(Box::new(report))));
    }
    let missing = || Err(Error::failure("a tile was not run"));
    let outcomes = outcomes.into_iter();
    outcomes
        .map(|outcome| outcome.unwrap_or_else(missing))
        .collect()
}

/// Takes a tile and asks what of it has to run; the inner error is how it ended without running.
async fn hold<'a>(
    run: &'a TileRun<'a>,
    printer: &Printer,
) -> Result<std::result::Result<Held<'a>, Outcome>> {
    let Some(lock) = run.output.lock(&run.job.name, run.tile).await? else {
        return Ok(Err(Outcome::Taken));
    };
    // A ledger that cannot be read says nothing: the tile is written anew.
    let previous = run
        .output
        .ledger(&run.job.name, run.tile)
        .await
        .unwrap_or_else(|error| {
            printer.warn(&format!("{error}; the tile is written anew"));
            None
        });
    let mut needed = None;
    if let Scope::Needed(coverage, reach, round) = run.scope {
        // Asked again with the lock in hand: another run may have written the tile since.
        let mut verdict = coverage
            .verdict_of(run.tile, previous.as_ref(), reach)
            .await?;
        let is_second = |hunt: &String| run.second.hunts.contains_key(hunt);
        let is_unneeded = match round {
            Round::First => verdict.hunts.iter().all(is_second),
            Round::Second => {
                verdict.hunts.retain(is_second);
                verdict.hunts.is_empty()
            }
        };
        if is_unneeded {
            lock.release().await?;
            if let Some(previous) = previous {
                coverage.learn(run.tile, Ok(previous));
            }
            coverage.settle(run.tile);
            return Ok(Err(Outcome::Unneeded));
        }
        // What those over the lake find decides what those over results do.
        let is_needed = |hunt: &&Hunt| {
            let name = &hunt.name;
            verdict.hunts.contains(name) || round == Round::First && is_second(name)
        };
        needed = Some(run.hunts.iter().filter(is_needed).cloned().collect());
    }
    Ok(Ok(Held {
        lock,
        previous,
        needed,
        run,
    }))
}

/// Plans the hunts of a tile and adds them to those of others.
async fn prepare<'a>(
    held: &'a Held<'a>,
    hunts: &mut Vec<PlannedHunt>,
    sessions: &mut Vec<Arc<Session>>,
    groups: &mut Vec<Group>,
    printer: &Printer,
) -> Result<Prepared<'a>> {
    let whole = held.run;
    let meant = held.needed.as_deref().unwrap_or(whole.hunts);
    let run = TileRun {
        hunts: meant,
        scope: match whole.scope {
            Scope::Needed(..) if meant.len() == whole.told.len() => Scope::Whole,
            scope => scope,
        },
        ..*whole
    };
    let first = hunts.len();
    let (mut planned_of, mut unplanned, mut results) = (Vec::new(), Vec::new(), Results::default());
    let mut second = Vec::new();
    let judge = Judge::new(&run);
    let planned = plan_all(run.engine, run.job, meant, run.second, run.tile).await?;
    for (hunt, planned) in meant.iter().zip(planned) {
        match planned {
            Ok((planned, _)) if run.second.hunts.contains_key(&hunt.name) => {
                judge.check(hunt, &planned.schema).await?;
                second.push(hunt);
            }
            Ok((planned, session)) => {
                judge.check(hunt, &planned.schema).await?;
                hunts.push(planned);
                sessions.push(session);
                planned_of.push(hunt);
            }
            Err(error) => unplanned.push((hunt, error)),
        }
    }
    let is_needed = matches!(run.scope, Scope::Needed(..));
    if !is_needed && second.is_empty() {
        not_all_mistakes(&planned_of, &unplanned)?;
    }
    for (hunt, error) in unplanned {
        printer.error(&error.to_string(), error.hint_text());
        let record = unplanned_record(&run, hunt, &error).await?;
        results.hunts.insert(hunt.name.clone(), record);
    }
    groups.push(Group {
        focus: run.tile,
        hunts: first..hunts.len(),
    });
    Ok(Prepared {
        run,
        planned_of,
        second,
        results,
    })
}

/// Publishes a tile. What its report tells of hunts that did not run is from the ledger and what is stored.
async fn finish(
    held: &Held<'_>,
    prepared: Prepared<'_>,
    hunts: &[PlannedHunt],
    found: Vec<HuntOutcome>,
    scans: &BTreeMap<String, TableScan>,
) -> Result<Report> {
    let Prepared {
        mut run,
        planned_of,
        mut second,
        mut results,
    } = prepared;
    let without: Vec<Hunt>;
    if !second.is_empty() && !is_ready(held) {
        // They run in the second round; what they left before stays till then.
        let is_first = |hunt: &&Hunt| !run.second.hunts.contains_key(&hunt.name);
        without = run.hunts.iter().filter(is_first).cloned().collect();
        (run.hunts, run.scope) = (&without, held.run.scope);
        second.clear();
    }
    let run = &run;
    let mut judge = Judge::new(run);
    let problems: BTreeMap<&str, String> = scans
        .iter()
        .filter_map(|(name, scan)| Some((name.as_str(), problem(scan)?)))
        .collect();
    for ((hunt, planned), outcome) in planned_of.iter().zip(hunts).zip(found) {
        conclude(
            run,
            hunt,
            planned,
            outcome,
            &problems,
            &mut judge,
            &mut results,
        )
        .await?;
    }
    let mut tables = BTreeMap::new();
    for (name, scan) in scans {
        if let Some(bytes) = quarantine(scan, run.tile, run.is_exploratory)? {
            let path = quarantine_path(&run.job.name, run.tile, name);
            results.files.insert(path, bytes);
        }
        let record = table_record(scan, run.tile, run.is_exploratory);
        tables.insert(name.clone(), record);
    }
    let mut ledger = Ledger {
        format_version: FORMAT_VERSION,
        lakehunt_version: env!("CARGO_PKG_VERSION").to_owned(),
        job: run.job.name.clone(),
        window_start: run.tile.start,
        window_end: run.tile.end,
        tables,
        lookups: lookups(run.engine).await,
        hunts: results.hunts.clone(),
        exceptions: BTreeMap::new(),
        outputs: BTreeMap::new(),
    };
    if !second.is_empty() {
        let previous = held.previous.as_ref();
        let own = ledger.as_published(&results.files, previous, run.is_part());
        stage_two::run(held, run, &second, own, &mut judge, &mut results).await?;
    }
    let (covered, mut notes) = judge.conclude().await?;
    notes.extend_from_slice(run.broken);
    notes.extend(scans.values().filter_map(waiting));
    notes.extend(super::blind::notes(hunts, scans));
    if let Scope::Needed(_, _, Round::Second) = held.run.scope {
        super::summary::add_earlier_notes(run, &mut notes).await;
    }
    (ledger.hunts, ledger.exceptions) = (results.hunts, covered);
    ledger.count_matched();
    let stale = stale(run, &mut ledger, held.previous.clone()).await?;
    super::deliver::mark(run).await?;
    let stored = stored_alerts(run, &ledger, &mut notes).await;
    results.alerts.extend(stored);
    let report = report(run, &ledger.tables, &ledger.hunts, &results.alerts, notes).await?;
    let (job, files) = (&run.job.name, &results.files);
    let published = run
        .output
        .publish(&held.lock, job, run.tile, files, &stale, ledger);
    let ledger = published.await?;
    write_summary(run, &report, &ledger.tables, &results.alerts).await?;
    if let Scope::Needed(coverage, ..) = held.run.scope {
        coverage.learn(run.tile, Ok(ledger));
        coverage.settle(run.tile);
    }
    Ok(report)
}

/// Whether what hunts of stage two look at has run as far as this pass will run it.
fn is_ready(held: &Held<'_>) -> bool {
    match held.run.scope {
        Scope::Needed(coverage, _, Round::First) => coverage.is_settled(held.run.tile),
        _ => true,
    }
}

/// That not all hunts are mistakes in what they say; a lake that does not answer is none.
fn not_all_mistakes(planned: &[&Hunt], unplanned: &[(&Hunt, Error)]) -> Result<()> {
    let is_mistake = |(_, error): &(&Hunt, Error)| error.kind() == ErrorKind::Configuration;
    match unplanned.first() {
        Some((_, first)) if planned.is_empty() && unplanned.iter().all(is_mistake) => {
            Err(first.clone())
        }
        _ => Ok(()),
    }
}
