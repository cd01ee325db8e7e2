//! One tile of a job from plan to ledger: job → tile → tables → scan → hunts → findings → alerts → report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::Duration;

use super::judge::Judge;
use super::stats::{SCAN, Stats};
use super::summary::write_summary;
use super::tile_report::{quarantine, report, table_record};
use crate::engine::{Engine, HuntOutcome, PlannedHunt, Session, TableScan};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{
    self,
    coverage::{Coverage, Reach},
};
use crate::hunt::Hunt;
use crate::job::Job;
use crate::output::findings::parquet_bytes;
use crate::output::ledger::{FORMAT_VERSION, HuntRecord, Ledger, State};
use crate::output::publish::{TileLock, hunt_path, quarantine_path};
use crate::output::{Alert, Findings, Output, alert};
use crate::printer::{Printer, Progress};
use crate::report::Report;
use crate::time::{Window, parse_duration};

/// More bad lines than this, and a ratio above the table's, make a table's results partial.
const BAD_LINES_FREE: u64 = 100;

/// Everything one tile needs.
pub(super) struct TileRun<'a> {
    pub(super) engine: &'a Engine,
    pub(super) job: &'a Job,
    /// The hunts that are meant.
    pub(super) hunts: &'a [Hunt],
    /// The hunts that the summary tells of: those, and what the ledger has of others.
    pub(super) told: &'a [Hunt],
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
    Needed(&'a Coverage<'a>, Reach),
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

/// What a tile leaves behind, hunt by hunt.
#[derive(Default)]
pub(super) struct Results {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) hunts: BTreeMap<String, HuntRecord>,
    pub(super) alerts: BTreeMap<String, Vec<Alert>>,
}

/// Plans all hunts for a tile; hunts with the same lookback share a session. A hunt that does not plan costs itself.
pub(super) async fn plan_all(
    engine: &Engine,
    job: &Job,
    hunts: &[Hunt],
    tile: Window,
) -> Result<Vec<Result<(PlannedHunt, Arc<Session>)>>> {
    let mut sessions: BTreeMap<i64, Arc<Session>> = BTreeMap::new();
    let mut planned = Vec::new();
    for hunt in hunts {
        let lookback = lookback(hunt)?;
        let key = lookback.num_milliseconds();
        let session = if let Some(session) = sessions.get(&key) {
            Arc::clone(session)
        } else {
            let scope = tile.extended(lookback, Duration::zero());
            let session = Arc::new(engine.session(Some(scope), Some(tile)).await?);
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
    let Some(lock) = run.output.lock(&run.job.name, run.tile).await? else {
        return Ok(Outcome::Taken);
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
    let Scope::Needed(coverage, reach) = run.scope else {
        return write_tile(run, &lock, previous, printer)
            .await
            .map(|(report, _)| Outcome::Ran(Box::new(report)));
    };
    // Asked again with the lock in hand: another run may have written the tile since.
    let verdict = coverage
        .verdict_of(run.tile, previous.as_ref(), reach)
        .await?;
    if verdict.hunts.is_empty() {
        lock.release().await?;
        if let Some(previous) = previous {
            coverage.learn(run.tile, Ok(previous));
        }
        return Ok(Outcome::Unneeded);
    }
    let is_needed = |hunt: &&Hunt| verdict.hunts.contains(&hunt.name);
    let needed: Vec<Hunt> = run.hunts.iter().filter(is_needed).cloned().collect();
    let all = needed.len() == run.told.len();
    let part = TileRun {
        hunts: &needed,
        scope: if all { Scope::Whole } else { run.scope },
        ..*run
    };
    let (report, ledger) = write_tile(&part, &lock, previous, printer).await?;
    coverage.learn(run.tile, Ok(ledger));
    Ok(Outcome::Ran(Box::new(report)))
}

/// Runs the hunts of a tile and publishes it. What the report tells of others is from the ledger and what is stored.
async fn write_tile(
    run: &TileRun<'_>,
    lock: &TileLock,
    previous: Option<Ledger>,
    printer: &Printer,
) -> Result<(Report, Ledger)> {
    let planned = plan_all(run.engine, run.job, run.hunts, run.tile).await?;
    let mut results = Results::default();
    let (mut hunts, mut sessions, mut planned_of) = (Vec::new(), Vec::new(), Vec::new());
    let mut unplanned = Vec::new();
    for (hunt, planned) in run.hunts.iter().zip(planned) {
        match planned {
            Ok((planned, session)) => {
                hunts.push(planned);
                sessions.push(session);
                planned_of.push(hunt);
            }
            Err(error) => unplanned.push((hunt, error)),
        }
    }
    let is_needed = matches!(run.scope, Scope::Needed(..));
    if !is_needed {
        not_all_mistakes(&hunts, &unplanned)?;
    }
    for (hunt, error) in unplanned {
        printer.error(&error.to_string(), error.hint_text());
        let record = unplanned_record(run, hunt, &error).await?;
        results.hunts.insert(hunt.name.clone(), record);
    }
    let mut judge = Judge::new(run);
    for (hunt, planned) in planned_of.iter().zip(&hunts) {
        judge.check(hunt, &planned.schema).await?;
    }
    let (outcomes, scans) = scan(run, &hunts, &sessions, printer).await?;
    let problems: BTreeMap<&str, String> = scans
        .iter()
        .filter_map(|(name, scan)| Some((name.as_str(), problem(scan)?)))
        .collect();
    for outcome in outcomes {
        let hunt = planned_of[outcome.hunt];
        let planned = &hunts[outcome.hunt];
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
    for (name, scan) in &scans {
        if let Some(bytes) = quarantine(scan, run.tile, run.is_exploratory)? {
            let path = quarantine_path(&run.job.name, run.tile, name);
            results.files.insert(path, bytes);
        }
        let record = table_record(scan, run.tile, run.is_exploratory);
        tables.insert(name.clone(), record);
    }
    let (covered, mut notes) = judge.conclude().await?;
    notes.extend_from_slice(run.broken);
    notes.extend(scans.values().filter_map(waiting));
    notes.extend(super::blind::notes(&hunts, &scans));
    let mut ledger = Ledger {
        format_version: FORMAT_VERSION,
        lakehunt_version: env!("CARGO_PKG_VERSION").to_owned(),
        job: run.job.name.clone(),
        window_start: run.tile.start,
        window_end: run.tile.end,
        tables,
        lookups: lookups(run.engine).await,
        hunts: results.hunts,
        exceptions: covered,
        outputs: BTreeMap::new(),
    };
    ledger.count_matched();
    let stale = stale(run, &mut ledger, previous).await?;
    super::deliver::mark(run).await?;
    let stored = stored_alerts(run, &ledger, &mut notes).await;
    results.alerts.extend(stored);
    let report = report(run, &ledger.tables, &ledger.hunts, &results.alerts, notes).await?;
    let ledger = run
        .output
        .publish(
            lock,
            &run.job.name,
            run.tile,
            &results.files,
            &stale,
            ledger,
        )
        .await?;
    write_summary(run, &report, &ledger.tables, &results.alerts).await?;
    Ok((report, ledger))
}

/// That not all hunts are mistakes in what they say; a lake that does not answer is none.
fn not_all_mistakes(planned: &[PlannedHunt], unplanned: &[(&Hunt, Error)]) -> Result<()> {
    let is_mistake = |(_, error): &(&Hunt, Error)| error.kind() == ErrorKind::Configuration;
    match unplanned.first() {
        Some((_, first)) if planned.is_empty() && unplanned.iter().all(is_mistake) => {
            Err(first.clone())
        }
        _ => Ok(()),
    }
}

/// The alerts of hunts that did not run, as an earlier run left them.
async fn stored_alerts(
    run: &TileRun<'_>,
    ledger: &Ledger,
    notes: &mut Vec<String>,
) -> BTreeMap<String, Vec<Alert>> {
    let mut alerts = BTreeMap::new();
    for hunt in run.told.iter().filter(|hunt| !run.hunts.contains(hunt)) {
        let record = ledger.hunts.get(&hunt.name);
        if record.is_none_or(|record| record.alerts == 0) {
            continue;
        }
        let stored = history::alerts_of(run.output, &run.job.name, &hunt.name, run.tile).await;
        match stored {
            Ok(stored) => {
                alerts.insert(hunt.name.clone(), stored);
            }
            Err(error) => notes.push(error.in_one_line()),
        }
    }
    alerts
}

/// The record of a hunt that does not plan. Where not even its text can be read it has no hash: whatever it becomes, the
/// tile is stale for it.
async fn unplanned_record(run: &TileRun<'_>, hunt: &Hunt, error: &Error) -> Result<HuntRecord> {
    let asked = [(hunt, lookback(hunt)?, run.job.parameters(hunt)?)];
    let hash = run.engine.logic_hashes(&asked).await.pop();
    let hash = hash.and_then(Result::ok).unwrap_or_default();
    let reason = Some(error.in_one_line());
    Ok(HuntRecord::new(hash, State::Failed, reason))
}

/// What the lookups of the lake hold: results depend on them too.
async fn lookups(engine: &Engine) -> BTreeMap<String, String> {
    let mut hashes = BTreeMap::new();
    for (name, lookup) in &engine.lake().lookups {
        // One that is lost has failed the hunts that read it.
        if let Ok(rows) = lookup.rows().await {
            hashes.insert(name.clone(), rows.sha256.clone());
        }
    }
    hashes
}

async fn scan(
    run: &TileRun<'_>,
    hunts: &[PlannedHunt],
    sessions: &[Arc<Session>],
    printer: &Printer,
) -> Result<(Vec<HuntOutcome>, BTreeMap<String, TableScan>)> {
    run.stats.stage("plan");
    let own_bar = run.bar.is_none().then(|| printer.progress());
    let counters = Arc::clone(&run.engine.progress);
    let read = || {
        let counters = [&counters.files, &counters.bytes, &counters.rows];
        counters.map(|counter| counter.load(Ordering::Relaxed))
    };
    let session_of = |hunt: usize| Arc::clone(&sessions[hunt]);
    let watch = |files, bytes| {
        if let Some(bar) = &own_bar {
            bar.set_total(files, bytes);
        }
    };
    let timeout = run
        .job
        .limits
        .hunt_timeout
        .to_std()
        .unwrap_or(std::time::Duration::MAX);
    let mut running = Box::pin(
        run.engine
            .run(&session_of, hunts, run.tile, timeout, &watch),
    );
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
    let mut shown = read();
    let result = loop {
        tokio::select! {
            result = &mut running => break result,
            _ = tick.tick() => {
                let now = read();
                if let Some(bar) = own_bar.as_ref().or(run.bar) {
                    bar.advance(now[0] - shown[0], now[1] - shown[1], now[2] - shown[2]);
                }
                shown = now;
            }
        }
    };
    run.stats.stage(SCAN);
    if let Ok((_, scans)) = &result {
        run.stats.scanned(scans);
    }
    let now = read();
    match (&own_bar, run.bar) {
        (Some(bar), _) => bar.finish(),
        (None, Some(bar)) => {
            bar.advance(now[0] - shown[0], now[1] - shown[1], now[2] - shown[2]);
        }
        (None, None) => {}
    }
    result
}

/// Why results over a table are partial: something of it was lost, or too much of it was bad.
fn problem(scan: &TableScan) -> Option<String> {
    let lost = scan.files.iter().filter(|file| file.lost.is_some()).count();
    if lost > 0 {
        return Some(format!(
            "{lost} of {} files of `{}` could not be read in full",
            scan.files.len(),
            scan.table.name
        ));
    }
    let rejected: u64 = scan.files.iter().map(|file| file.rejected).sum();
    let rows: u64 = scan.files.iter().map(|file| file.rows).sum();
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let ratio = rejected as f64 / (rows + rejected).max(1) as f64;
    (rejected > BAD_LINES_FREE && ratio > scan.table.max_bad_ratio).then(|| {
        format!(
            "{rejected} of {} records of `{}` are bad",
            rows + rejected,
            scan.table.name
        )
    })
}

/// What is to be said of files that are not read yet: they are no loss, a later run reads them.
fn waiting(scan: &TableScan) -> Option<String> {
    let count = scan.listing.files_waiting;
    (count > 0).then(|| {
        format!(
            "{count} files of `{}` were not read: nothing says yet that their folders are complete",
            scan.table.name
        )
    })
}

/// What is known of a hunt's state before its own result: what it reads is there, and whole.
fn state_before(
    planned: &PlannedHunt,
    problems: &BTreeMap<&str, String>,
) -> (State, Option<String>) {
    if planned.tables.is_empty() && !planned.missing_views.is_empty() {
        let missing = planned.missing_views.join(", ");
        return (
            State::Skipped,
            Some(format!("the lake has no table for {missing}")),
        );
    }
    let reasons = planned
        .tables
        .iter()
        .filter_map(|table| problems.get(table.as_str()));
    let mut reasons: Vec<String> = reasons.cloned().collect();
    let state = if reasons.is_empty() {
        State::Complete
    } else {
        State::Partial
    };
    // What joins two views can find nothing without one of them; what unites them has the other.
    if !planned.missing_views.is_empty() {
        let missing = planned.missing_views.join(", ");
        reasons.push(format!("the lake has no table for {missing}"));
    }
    (state, (!reasons.is_empty()).then(|| reasons.join("; ")))
}

/// Findings, alerts and records of one hunt.
async fn conclude(
    run: &TileRun<'_>,
    hunt: &Hunt,
    planned: &PlannedHunt,
    outcome: HuntOutcome,
    problems: &BTreeMap<&str, String>,
    judge: &mut Judge<'_>,
    results: &mut Results,
) -> Result<()> {
    let (state, reason) = state_before(planned, problems);
    let lookback = lookback(hunt)?;
    let mut record = HuntRecord {
        tables: planned.tables.clone(),
        lookups: planned.lookups.clone(),
        reads_from: (!lookback.is_zero())
            .then(|| run.tile.extended(lookback, Duration::zero()).start),
        matched: outcome.matched,
        ..HuntRecord::new(planned.logic_hash.clone(), state, reason)
    };
    let findings = outcome.rows.and_then(|batches| {
        record.rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        Findings::of_tile(&planned.schema, &batches, run.tile).map_err(|error| error.to_string())
    });
    match findings {
        Err(reason) => {
            record.state = State::Failed;
            record.reason = Some(reason);
        }
        Ok(findings) => {
            let mut found = judge.alerts(hunt, &findings, &planned.logic_hash).await?;
            let limit = run.job.limits.max_findings;
            let kept = findings.first(limit);
            record.findings = kept.num_rows() as u64;
            record.timeless = findings.timeless as u64;
            record.truncated = findings.rows.num_rows() > kept.num_rows() || found.len() > limit;
            found.truncate(limit);
            record.alerts = found.len() as u64;
            if kept.num_rows() > 0 {
                let path = hunt_path("findings", &run.job.name, run.tile, &hunt.name);
                results.files.insert(path, parquet_bytes(&kept)?);
            }
            results.add_alerts(run, hunt, found)?;
        }
    }
    results.hunts.insert(hunt.name.clone(), record);
    Ok(())
}

impl Results {
    /// Adds the alerts of a hunt and their file.
    pub(super) fn add_alerts(
        &mut self,
        run: &TileRun<'_>,
        hunt: &Hunt,
        alerts: Vec<Alert>,
    ) -> Result<()> {
        if !alerts.is_empty() {
            let path = hunt_path("alerts", &run.job.name, run.tile, &hunt.name);
            let bytes = parquet_bytes(&alert::batch(&alerts)?)?;
            self.files.insert(path, bytes);
        }
        self.alerts.insert(hunt.name.clone(), alerts);
        Ok(())
    }
}

/// What of this tile is there and no longer its. Hunts that were not run keep their files and records, hunts that did
/// not end keep their files.
async fn stale(
    run: &TileRun<'_>,
    ledger: &mut Ledger,
    previous: Option<Ledger>,
) -> Result<BTreeSet<String>> {
    let job = &run.job.name;
    let mut stale = run.output.files_of(job, run.tile).await?;
    let hunt_files =
        |hunt: &str| ["findings", "alerts"].map(|kind| hunt_path(kind, job, run.tile, hunt));
    if run.is_part() {
        let hunts = ledger.hunts.keys().flat_map(|hunt| hunt_files(hunt));
        let tables = ledger
            .tables
            .keys()
            .map(|table| quarantine_path(job, run.tile, table));
        let own: BTreeSet<String> = hunts.chain(tables).collect();
        stale.retain(|path| own.contains(path));
    }
    for (hunt, record) in &ledger.hunts {
        if record.state == State::Failed {
            for path in hunt_files(hunt) {
                stale.remove(&path);
            }
        }
    }
    for (name, record) in &mut ledger.hunts {
        if matches!(record.state, State::Failed | State::Partial) {
            let before = previous
                .as_ref()
                .and_then(|previous| previous.hunts.get(name));
            let before = before.filter(|before| before.logic_hash == record.logic_hash);
            record.attempts = 1 + before.map_or(0, |before| before.attempts);
        }
    }
    let Some(previous) = previous else {
        return Ok(stale);
    };
    for (path, record) in &previous.outputs {
        if !stale.contains(path) && run.output.exists(path).await? {
            ledger.outputs.insert(path.clone(), record.clone());
        }
    }
    if run.is_part() {
        ledger.merge(previous);
    }
    Ok(stale)
}
