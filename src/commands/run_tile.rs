//! One tile of a job from plan to ledger: job → tile → tables → scan → hunts → findings → alerts → report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::Duration;

use super::judge::Judge;
use super::tile_report::{quarantine, report, table_record};
use crate::engine::{Engine, HuntOutcome, PlannedHunt, Session, TableScan};
use crate::error::{Error, Result};
use crate::hunt::Hunt;
use crate::job::Job;
use crate::output::findings::parquet_bytes;
use crate::output::ledger::{FORMAT_VERSION, HuntRecord, Ledger, State};
use crate::output::publish::{hunt_path, quarantine_path, summary_path};
use crate::output::{Alert, Findings, Output, alert};
use crate::printer::Printer;
use crate::report::{self, Report};
use crate::time::{Window, parse_duration};

/// More bad lines than this, and a ratio above the table's, make a table's results partial.
const BAD_LINES_FREE: u64 = 100;

/// Everything one tile needs.
pub(super) struct TileRun<'a> {
    pub(super) engine: &'a Engine,
    pub(super) job: &'a Job,
    pub(super) hunts: &'a [Hunt],
    /// Not all of the job's hunts: what the others left stays.
    pub(super) is_subset: bool,
    /// Off the grid: a look at a window, not a tile.
    pub(super) is_exploratory: bool,
    pub(super) output: &'a Output,
    /// What is wrong with hunts that could not even be read.
    pub(super) broken: &'a [String],
    pub(super) tile: Window,
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

/// Runs one tile; `None` when another run has it.
pub(super) async fn run_tile(run: &TileRun<'_>, printer: &Printer) -> Result<Option<Report>> {
    let Some(lock) = run.output.lock(&run.job.name, run.tile).await? else {
        return Ok(None);
    };
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
    if let (true, Some((_, error))) = (hunts.is_empty(), unplanned.first()) {
        return Err(error.clone());
    }
    for (hunt, error) in unplanned {
        printer.error(&error.to_string(), error.hint_text());
        results
            .hunts
            .insert(hunt.name.clone(), unplanned_record(&error));
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
        tables.insert(
            name.clone(),
            table_record(scan, run.tile, run.is_exploratory),
        );
    }
    let (covered, mut notes) = judge.conclude().await?;
    notes.extend_from_slice(run.broken);
    notes.extend(scans.values().filter_map(waiting));
    notes.extend(super::blind::notes(&hunts, &scans));
    let report = report(run, &tables, &results.hunts, &results.alerts, notes).await?;
    // A ledger that cannot be read says nothing: the tile is written anew.
    let previous = run
        .output
        .ledger(&run.job.name, run.tile)
        .await
        .unwrap_or_else(|error| {
            printer.warn(&format!("{error}; the tile is written anew"));
            None
        });
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
    let stale = stale(run, &mut ledger, previous).await?;
    run.output
        .publish(
            &lock,
            &run.job.name,
            run.tile,
            &results.files,
            &stale,
            ledger,
        )
        .await?;
    write_summary(run, &report).await?;
    Ok(Some(report))
}

/// The record of a hunt that does not plan. Without a hash: whatever it becomes, the tile is stale for it.
fn unplanned_record(error: &Error) -> HuntRecord {
    HuntRecord {
        logic_hash: String::new(),
        state: State::Failed,
        reason: Some(error.in_one_line()),
        tables: Vec::new(),
        rows: 0,
        timeless: 0,
        findings: 0,
        alerts: 0,
        truncated: false,
    }
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

/// The renderings of a report, outside the commit; of a subset they would hide what the other hunts found.
pub(super) async fn write_summary(run: &TileRun<'_>, report: &Report) -> Result<()> {
    if run.is_subset {
        return Ok(());
    }
    let json = report::json::render(report).map_err(|error| Error::failure(error.to_string()))?;
    let markdown = report::markdown::render(report);
    for (suffix, text) in [("json", json), ("md", markdown)] {
        let path = summary_path(&run.job.name, run.tile, suffix);
        run.output.put(&path, text.as_bytes()).await?;
    }
    Ok(())
}

async fn scan(
    run: &TileRun<'_>,
    hunts: &[PlannedHunt],
    sessions: &[Arc<Session>],
    printer: &Printer,
) -> Result<(Vec<HuntOutcome>, BTreeMap<String, TableScan>)> {
    let bar = printer.progress();
    let counters = Arc::clone(&run.engine.progress);
    let read = || {
        let counters = [&counters.files, &counters.bytes, &counters.rows];
        counters.map(|counter| counter.load(Ordering::Relaxed))
    };
    let session_of = |hunt: usize| Arc::clone(&sessions[hunt]);
    let watch = |files, bytes| bar.set_total(files, bytes);
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
                bar.advance(now[0] - shown[0], now[1] - shown[1], now[2] - shown[2]);
                shown = now;
            }
        }
    };
    bar.finish();
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
    let mut record = HuntRecord {
        logic_hash: planned.logic_hash.clone(),
        state,
        reason,
        tables: planned.tables.clone(),
        rows: 0,
        timeless: 0,
        findings: 0,
        alerts: 0,
        truncated: false,
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
    if run.is_subset {
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
    let Some(previous) = previous else {
        return Ok(stale);
    };
    if run.is_subset {
        for (hunt, record) in previous.hunts {
            ledger.hunts.entry(hunt).or_insert(record);
        }
        for (table, record) in previous.tables {
            ledger.tables.entry(table).or_default().merge(record);
        }
        for (exception, covered) in previous.exceptions {
            ledger.exceptions.entry(exception).or_insert(covered);
        }
    }
    for (path, record) in previous.outputs {
        if !stale.contains(&path) && run.output.exists(&path).await? {
            ledger.outputs.insert(path, record);
        }
    }
    Ok(stale)
}
