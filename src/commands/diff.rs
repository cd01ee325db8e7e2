//! `lakehunt diff`: what a hunt finds now and found as it was before, over history: the findings that a change adds and
//! takes away. Both texts run over every tile in one pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use super::data;
use super::run_tile::lookback;
use crate::cli::{DiffArgs, Format};
use crate::engine::{Engine, PlannedHunt, Session};
use crate::error::{Error, Result};
use crate::hunt::{Content, Hunt, Library, Parameter, front_matter};
use crate::job::{Job, parse_bytes};
use crate::lake::Lake;
use crate::lake::table::{FILE_COLUMN, ROW_COLUMN, TABLE_COLUMN};
use crate::output::{Findings, value};
use crate::printer::Printer;
use crate::report::escape::code;
use crate::report::figures::{amount, grouped};
use crate::report::visible::neutral;
use crate::time::{Grid, Window, parse_instant, resolve_range};

/// How long one of the two may take over all tiles.
const TIMEOUT: std::time::Duration = std::time::Duration::from_hours(1);
/// Findings of either kind that are shown; the JSON has all.
const SHOWN: usize = 50;

#[derive(Debug, Serialize)]
struct Difference {
    hunt: String,
    against: String,
    #[serde(flatten)]
    window: Window,
    tiles: usize,
    before: usize,
    now: usize,
    /// Columns that only one of the two results has: they are not compared.
    columns_added: BTreeSet<String>,
    columns_removed: BTreeSet<String>,
    added: Vec<Value>,
    removed: Vec<Value>,
}

pub(super) fn run(arguments: &DiffArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let job = arguments.job.as_deref().map(Job::read).transpose()?;
    let lake_path = match (&arguments.lake, &job) {
        (None, Some(job)) => job.lake.clone(),
        (named, _) => super::lake_file(named.as_ref())?,
    };
    let beside = arguments.job.as_deref().unwrap_or(&lake_path);
    let content = Content::beside(Some(beside))?;
    let library = Library::load(&content);
    let hunt = library.get(&arguments.hunt)?.clone();
    let before = earlier(&hunt, &arguments.against)?;
    let zone = job
        .as_ref()
        .map_or(chrono_tz::Tz::UTC, |job| job.grid.timezone());
    let usage = |error: crate::time::TimeError| Error::configuration(error.to_string());
    let window = &arguments.window;
    let now = match &window.at {
        Some(at) => parse_instant(at, zone).map_err(|error| usage(error).about("--at"))?,
        None => job.as_ref().and_then(|job| job.at).unwrap_or(now),
    };
    let range = resolve_range(
        window.from.as_deref(),
        window.to.as_deref(),
        window.last.as_deref(),
        window.earliest.as_deref(),
        window.latest.as_deref(),
        now,
        zone,
    )
    .map_err(usage)?
    .ok_or_else(|| {
        Error::configuration("diff needs to know how far back")
            .hint("--last 30d, or --from and --to")
    })?;
    let tiles = tiles(job.as_ref(), range)?;
    let memory = arguments.memory.as_deref().map(parse_bytes).transpose();
    let memory = memory.map_err(|error| error.about("--memory"))?;
    let engine = Engine::new(Arc::new(Lake::open(&lake_path, &content)?), memory)?;
    let parameters = |hunt: &Hunt| match &job {
        Some(job) => job.parameters(hunt),
        None => Ok(hunt.front_matter.params.clone()),
    };
    let hunts = [
        (before.clone(), parameters(&before)?),
        (hunt.clone(), parameters(&hunt)?),
    ];
    let runtime = super::runtime()?;
    let [old, new] = runtime.block_on(async {
        tokio::select! {
            found = find(&engine, &hunts, &tiles, printer) => found,
            _ = tokio::signal::ctrl_c() => Err(Error::failure("interrupted")),
        }
    })?;
    let difference = difference(&arguments.against, &hunt, range, tiles.len(), &old, &new);
    match arguments.format {
        Format::Json => super::json(printer, &difference)?,
        Format::Markdown => data(printer, &markdown(&difference))?,
        Format::Text => data(printer, &text(&difference))?,
    }
    Ok(0)
}

/// The hunt as it was: a file, or what git has under a revision.
fn earlier(hunt: &Hunt, against: &str) -> Result<Hunt> {
    let path = Path::new(against);
    let (path, sql) = if path.is_file() {
        let sql = std::fs::read_to_string(path).map_err(|error| {
            Error::configuration(format!("cannot read the hunt: {error}")).in_file(path)
        })?;
        (path.to_owned(), sql)
    } else {
        let folder = hunt.path.parent().filter(|folder| folder.is_dir());
        let name = hunt.path.file_name().map(|name| name.to_string_lossy());
        let (Some(folder), Some(name)) = (folder, name) else {
            return Err(
                Error::configuration(format!("there is no file {against}")).hint(
                    "a hunt that ships inside the binary is in no repository of yours: name a file",
                ),
            );
        };
        let asked = format!("{against}:./{name}");
        let shown = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["show", "--end-of-options", &asked])
            .output();
        let shown = shown.map_err(|error| {
            Error::configuration(format!(
                "there is no file {against}, and git cannot be run: {error}"
            ))
        })?;
        if !shown.status.success() {
            let said = String::from_utf8_lossy(&shown.stderr).trim().to_owned();
            return Err(Error::configuration(format!(
                "{against} is no file, and git does not have the hunt there: {said}"
            ))
            .hint("name a file, or a revision such as main or HEAD~1"));
        }
        let sql = String::from_utf8(shown.stdout)
            .map_err(|_| Error::configuration(format!("{asked} is no text")))?;
        (Path::new(&format!("{against}:{name}")).to_owned(), sql)
    };
    Ok(Hunt {
        front_matter: front_matter::parse(&path, &sql)?,
        name: hunt.name.clone(),
        inside: hunt.inside.clone(),
        path,
        sql,
    })
}

/// The tiles of a job's grid, or whole UTC days, in a range: what the hunt would be run over.
fn tiles(job: Option<&Job>, range: Window) -> Result<Vec<Window>> {
    let days = Grid::new("0 0 * * *", "-1d@d", "@d", chrono_tz::Tz::UTC, None);
    let days = days.map_err(|error| Error::failure(error.to_string()))?;
    let tiles = job.map_or(&days, |job| &job.grid).tiles_within(range);
    if tiles.is_empty() {
        return Err(Error::configuration(format!("{range} holds no whole tile"))
            .hint("a hunt runs over tiles: whole UTC days, or those of the job that --job names"));
    }
    Ok(tiles)
}

/// What two hunts find in some tiles: rows by JSON, and the columns.
struct Found {
    rows: Vec<Map<String, Value>>,
    columns: BTreeSet<String>,
}

async fn find(
    engine: &Engine,
    hunts: &[(Hunt, BTreeMap<String, Parameter>); 2],
    tiles: &[Window],
    printer: &Printer,
) -> Result<[Found; 2]> {
    let mut planned: Vec<PlannedHunt> = Vec::new();
    let mut of = Vec::new();
    let mut sessions: Vec<Arc<Session>> = Vec::new();
    for tile in tiles {
        let mut by_lookback: BTreeMap<TimeDelta, Arc<Session>> = BTreeMap::new();
        for (side, (hunt, parameters)) in hunts.iter().enumerate() {
            let lookback = lookback(hunt)?;
            let session = if let Some(session) = by_lookback.get(&lookback) {
                Arc::clone(session)
            } else {
                let scope = tile.extended(lookback, TimeDelta::zero());
                let session = Arc::new(engine.session(Some(scope), Some(*tile)).await?);
                by_lookback.insert(lookback, Arc::clone(&session));
                session
            };
            let plan = session.plan_hunt(hunt, engine.lake(), lookback, parameters);
            planned.push(plan.await?);
            sessions.push(session);
            of.push((side, *tile));
        }
    }
    let (Some(first), Some(last)) = (tiles.first(), tiles.last()) else {
        return Err(Error::failure("there is no tile"));
    };
    let all = Window {
        start: first.start,
        end: last.end,
    };
    let bar = printer.progress();
    let session_of = |hunt: usize| Arc::clone(&sessions[hunt]);
    let watch = |files, bytes| bar.set_total(files, bytes);
    let (outcomes, scans) = engine
        .run(&session_of, &planned, all, TIMEOUT, &watch)
        .await?;
    bar.finish();
    for (table, scan) in &scans {
        for file in scan.files.iter().filter(|file| file.lost.is_some()) {
            let path = &file.object.path;
            printer.warn(&format!("`{table}`: {path} could not be read in full"));
        }
    }
    let mut found = [0, 1].map(|side: usize| Found {
        rows: Vec::new(),
        columns: columns(&planned[side]),
    });
    for outcome in outcomes {
        let (side, tile) = of[outcome.hunt];
        let name = ["before", "now"][side];
        let rows = outcome.rows.map_err(|error| {
            Error::failure(format!(
                "the hunt as it {} failed in {tile}: {error}",
                ["was", "is"][side]
            ))
            .about(name)
        })?;
        let findings = Findings::of_tile(&planned[outcome.hunt].schema, &rows, tile)?;
        found[side].rows.extend(json_rows(&findings));
    }
    Ok(found)
}

/// The columns of a result that say what was found, and not where it lies.
fn columns(planned: &PlannedHunt) -> BTreeSet<String> {
    let names = planned.schema.fields().iter().map(|field| field.name());
    let locating = [TABLE_COLUMN, FILE_COLUMN, ROW_COLUMN, "evidence"];
    names
        .filter(|name| !locating.contains(&name.as_str()))
        .cloned()
        .collect()
}

fn json_rows(findings: &Findings) -> impl Iterator<Item = Map<String, Value>> {
    let rows = &findings.rows;
    let schema = rows.schema();
    (0..rows.num_rows()).map(move |row| {
        let names = schema.fields().iter().map(|field| field.name().clone());
        let cells = names.zip(rows.columns());
        cells
            .map(|(name, column)| (name, value::json(column.as_ref(), row)))
            .collect()
    })
}

fn difference(
    against: &str,
    hunt: &Hunt,
    window: Window,
    tiles: usize,
    old: &Found,
    new: &Found,
) -> Difference {
    let both: BTreeSet<&String> = old.columns.intersection(&new.columns).collect();
    let counted = |found: &Found| {
        let mut counted: BTreeMap<String, (usize, Value)> = BTreeMap::new();
        for row in &found.rows {
            let shared: Map<String, Value> = both
                .iter()
                .filter_map(|name| Some(((*name).clone(), row.get(*name)?.clone())))
                .collect();
            let row = Value::Object(shared);
            counted.entry(row.to_string()).or_insert((0, row)).0 += 1;
        }
        counted
    };
    let (before, now) = (counted(old), counted(new));
    let more = |one: &BTreeMap<String, (usize, Value)>,
                other: &BTreeMap<String, (usize, Value)>| {
        let mut rows: Vec<Value> = Vec::new();
        for (key, (count, row)) in one {
            let others = other.get(key).map_or(0, |(count, _)| *count);
            rows.extend(std::iter::repeat_n(
                row.clone(),
                count.saturating_sub(others),
            ));
        }
        rows.sort_by_key(last_seen);
        rows
    };
    Difference {
        hunt: hunt.name.clone(),
        against: against.to_owned(),
        window,
        tiles,
        before: old.rows.len(),
        now: new.rows.len(),
        columns_added: new.columns.difference(&old.columns).cloned().collect(),
        columns_removed: old.columns.difference(&new.columns).cloned().collect(),
        added: more(&now, &before),
        removed: more(&before, &now),
    }
}

fn last_seen(row: &Value) -> String {
    let time = row.get("last_seen").or_else(|| row.get("event_time"));
    time.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn head(difference: &Difference) -> String {
    format!(
        "{} in {} of {}: {} before, {} now; {} added, {} removed",
        difference.hunt,
        amount(difference.tiles as u64, "tile"),
        difference.window,
        grouped(difference.before as u64),
        grouped(difference.now as u64),
        grouped(difference.added.len() as u64),
        grouped(difference.removed.len() as u64)
    )
}

/// Columns that only one result has, in words.
fn columns_changed(difference: &Difference) -> Option<String> {
    let words = [
        (&difference.columns_added, "new columns"),
        (&difference.columns_removed, "columns that went"),
    ];
    let words = words.into_iter().filter(|(names, _)| !names.is_empty());
    let words = words.map(|(names, what)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("{what}: {}", names.join(", "))
    });
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| format!("not compared: {}", words.join("; ")))
}

fn text(difference: &Difference) -> String {
    let mut text = head(difference) + "\n";
    if let Some(changed) = columns_changed(difference) {
        let _ = writeln!(text, "{changed}");
    }
    for (rows, sign) in [(&difference.added, '+'), (&difference.removed, '-')] {
        for row in rows.iter().take(SHOWN) {
            let _ = writeln!(text, "{sign} {}", neutral(&row.to_string()));
        }
        if rows.len() > SHOWN {
            let _ = writeln!(
                text,
                "{sign} and {} more",
                grouped((rows.len() - SHOWN) as u64)
            );
        }
    }
    text
}

fn markdown(difference: &Difference) -> String {
    let mut text = format!(
        "### {} against {}\n\n{}.\n",
        code(&difference.hunt),
        code(&difference.against),
        head(difference)
    );
    if let Some(changed) = columns_changed(difference) {
        let _ = writeln!(text, "\n{}{}.", changed[..1].to_uppercase(), &changed[1..]);
    }
    for (rows, what) in [
        (&difference.added, "Added"),
        (&difference.removed, "Removed"),
    ] {
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{what}:\n");
        for row in rows.iter().take(SHOWN) {
            let _ = writeln!(text, "- {} {}", last_seen(row), code(&row.to_string()));
        }
        if rows.len() > SHOWN {
            let _ = writeln!(text, "- and {} more", grouped((rows.len() - SHOWN) as u64));
        }
    }
    text
}
