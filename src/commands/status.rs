//! `lakehunt status`: how every complete tile of a job stands, at a glance and for machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::calendar::{calendar, symbol};
use super::data;
use super::fill::{complete_tiles, same_grid_of};
use super::setup::Setup;
use crate::cli::{StatusArgs, TestFormat};
use crate::error::Result;
use crate::history::coverage::{Reason, Standing, Verdict};
use crate::output::ledger::State;
use crate::output::{Ledger, Output};
use crate::printer::Printer;
use crate::report::figures::{amount, grouped};
use crate::report::visible::neutral;
use crate::time::{Window, format_instant};

/// Tiles that are told of one by one; all are in the JSON.
const TILES_SHOWN: usize = 20;
/// Reasons of a tile that are told of; all are in the JSON.
const REASONS_SHOWN: usize = 3;

/// How a job stands.
#[derive(Debug, Serialize)]
struct Status {
    job: String,
    grid: String,
    now: DateTime<Utc>,
    /// How many tiles stand how.
    counts: BTreeMap<&'static str, usize>,
    tiles: Vec<Tile>,
    /// The next tile that will be complete, and when it is due.
    next: Option<Window>,
    due: Option<DateTime<Utc>>,
    /// New and changed objects of each table whose times nobody knows yet.
    unread: BTreeMap<String, BTreeSet<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    hunts: BTreeMap<String, BTreeMap<&'static str, usize>>,
}

#[derive(Debug, Serialize)]
struct Tile {
    #[serde(flatten)]
    window: Window,
    standing: Standing,
    /// The hunts that have to run.
    hunts: BTreeSet<String>,
    reasons: BTreeSet<Reason>,
    /// Published files that are not what the ledger says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
}

pub(super) fn run(arguments: &StatusArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let setup = Setup::open(&arguments.of, None, arguments.at.as_deref(), printer, now)?;
    let runtime = super::runtime()?;
    let status = runtime.block_on(look(&setup, arguments))?;
    match arguments.format {
        TestFormat::Json => super::json(printer, &status)?,
        TestFormat::Text => data(printer, &text(&setup, &status, printer.color()))?,
    }
    let is_missing = |tile: &Tile| tile.standing == Standing::Missing;
    Ok(u8::from(
        arguments.check && status.tiles.iter().any(is_missing),
    ))
}

async fn look(setup: &Setup, arguments: &StatusArgs) -> Result<Status> {
    let output = setup.output_as_it_is()?;
    let job = &setup.job;
    let coverage = setup.coverage(&output).await?;
    same_grid_of(setup, coverage.run_tiles())?;
    let complete = complete_tiles(setup, &output, coverage.run_tiles()).await?;
    coverage.read(complete.iter().copied()).await;
    let reach = setup.reach(arguments.verify, true);
    let mut tiles = Vec::new();
    let (mut hunts, mut unread) = (BTreeMap::new(), BTreeMap::new());
    for window in complete {
        let verdict = coverage.verdict(window, reach).await?;
        for (table, file) in &verdict.unread {
            let paths: &mut BTreeSet<String> = unread.entry(table.clone()).or_default();
            paths.insert(file.object.path.clone());
        }
        let ledger = coverage.ledger(window).and_then(std::result::Result::ok);
        if arguments.by_hunt {
            count_hunts(setup, &verdict, ledger.as_deref(), &mut hunts);
        }
        let damaged = match ledger {
            Some(ledger) if arguments.verify => damaged(&output, &ledger).await,
            _ => Vec::new(),
        };
        tiles.push(Tile {
            window,
            standing: if damaged.is_empty() {
                verdict.standing
            } else {
                verdict.standing.max(Standing::Stale)
            },
            hunts: verdict.hunts,
            reasons: verdict.reasons,
            damaged,
        });
    }
    let mut counts = BTreeMap::new();
    for tile in &tiles {
        *counts.entry(tile.standing.as_str()).or_default() += 1;
    }
    let next = setup.newest().map(|newest| newest.end);
    let next = next.and_then(|end| job.grid.tile_containing(end));
    let fires = next.and_then(|next| job.grid.firing_of(next));
    Ok(Status {
        job: job.name.clone(),
        grid: job.grid.to_string(),
        now: setup.now,
        counts,
        tiles,
        due: next.map(|next| {
            let settled = next.end + setup.settle();
            fires.map_or(settled, |fires| fires.max(settled))
        }),
        next,
        unread,
        hunts,
    })
}

/// How each hunt stands in a tile.
fn count_hunts(
    setup: &Setup,
    verdict: &Verdict,
    ledger: Option<&Ledger>,
    hunts: &mut BTreeMap<String, BTreeMap<&'static str, usize>>,
) {
    for hunt in &setup.hunts {
        let record = ledger.and_then(|ledger| ledger.hunts.get(&hunt.name));
        let standing = match record {
            None => Standing::Missing,
            Some(record) if record.state == State::Failed => Standing::Failed,
            Some(record) if record.state == State::Partial => Standing::Partial,
            Some(_) if verdict.hunts.contains(&hunt.name) => Standing::Stale,
            Some(record) if record.results.is_some() => Standing::Done,
            Some(record) => {
                let ledger = ledger.into_iter();
                let tables = ledger.flat_map(|ledger| &ledger.tables);
                let mut read = tables.filter(|(name, _)| record.tables.contains(name));
                if read.any(|(_, table)| table.rows_in_window > 0) {
                    Standing::Done
                } else {
                    Standing::Empty
                }
            }
        };
        let counts = hunts.entry(hunt.name.clone()).or_default();
        *counts.entry(standing.as_str()).or_default() += 1;
    }
}

/// The files of a tile that are not what its ledger says.
async fn damaged(output: &Output, ledger: &Ledger) -> Vec<String> {
    let mut damaged = Vec::new();
    for (path, record) in &ledger.outputs {
        let is_whole = output.read(path).await.is_ok_and(|bytes| {
            bytes.len() as u64 == record.size
                && crate::hex(&Sha256::digest(&bytes)) == record.sha256
        });
        if !is_whole {
            damaged.push(path.clone());
        }
    }
    damaged
}

fn text(setup: &Setup, status: &Status, color: bool) -> String {
    let mut text = format!(
        "{}  {}  in {}\n",
        status.job,
        status.grid,
        setup.root.display()
    );
    if status.tiles.is_empty() {
        text.push_str("no tile is complete yet\n");
    } else {
        let standings = Standing::ALL.into_iter();
        let counts: Vec<String> = standings
            .filter_map(|standing| {
                let count = status.counts.get(standing.as_str())?;
                Some(format!("{} {}", grouped(*count as u64), standing.as_str()))
            })
            .collect();
        let all = amount(status.tiles.len() as u64, "tile");
        let _ = writeln!(text, "{all}: {}\n", counts.join(", "));
        let tiles = status.tiles.iter();
        let tiles: Vec<_> = tiles.map(|tile| (tile.window, tile.standing)).collect();
        text.push_str(&calendar(&tiles, setup.job.grid.timezone(), color));
        let legend =
            Standing::ALL.map(|standing| format!("{} {}", symbol(standing), standing.as_str()));
        let _ = writeln!(text, "\n{}", legend.join("  "));
    }
    lacking(&mut text, &status.tiles);
    for (hunt, counts) in &status.hunts {
        let counts: Vec<String> = counts
            .iter()
            .map(|(standing, count)| format!("{} {standing}", grouped(*count as u64)))
            .collect();
        let _ = writeln!(text, "{hunt}: {}", counts.join(", "));
    }
    for (table, paths) in &status.unread {
        let first = paths.first().map_or("", String::as_str);
        let _ = writeln!(
            text,
            "{table}: {} of unknown times, such as {}: the next `run --due` finds out whose they are",
            amount(paths.len() as u64, "new or changed object"),
            neutral(first)
        );
    }
    if let (Some(next), Some(due)) = (status.next, status.due) {
        let _ = writeln!(text, "\nnext: {next}, due {}", format_instant(due));
    }
    text
}

/// What tiles lack, the newest first.
fn lacking(text: &mut String, tiles: &[Tile]) {
    let is_well = |tile: &Tile| {
        matches!(tile.standing, Standing::Done | Standing::Empty) && tile.reasons.is_empty()
    };
    let lacking: Vec<&Tile> = tiles.iter().rev().filter(|tile| !is_well(tile)).collect();
    if !lacking.is_empty() {
        text.push('\n');
    }
    let mut lines: Vec<String> = Vec::new();
    let mut index = 0;
    while let Some(tile) = lacking.get(index) {
        let is_next = |tile: &&&Tile| tile.reasons.contains(&Reason::NotRun);
        // Those that were not run, one after the other, are told of as one.
        let missing = lacking[index..].iter().take_while(is_next).count();
        index += missing.max(1);
        if missing > 1 {
            let first = lacking[index - 1].window;
            let all = Window {
                start: first.start,
                end: tile.window.end,
            };
            lines.push(format!("{all}  missing, {missing} tiles"));
        } else {
            lines.push(line_of(tile));
        }
    }
    for line in lines.iter().take(TILES_SHOWN) {
        let _ = writeln!(text, "{line}");
    }
    if lines.len() > TILES_SHOWN {
        let more = (lines.len() - TILES_SHOWN) as u64;
        let _ = writeln!(text, "and {} more: --format json lists them", grouped(more));
    }
}

/// A tile, how it stands, and why.
fn line_of(tile: &Tile) -> String {
    let head = format!("{}  {}", tile.window, tile.standing.as_str());
    if tile.reasons.contains(&Reason::NotRun) {
        return head;
    }
    let damaged = tile.damaged.iter();
    let damaged = damaged.map(|path| format!("{path} is not what the ledger says"));
    let reasons = tile.reasons.iter().map(ToString::to_string);
    let reasons: Vec<String> = damaged.chain(reasons).collect();
    let shown = reasons.iter().take(REASONS_SHOWN);
    let shown: Vec<_> = shown.map(|reason| neutral(reason)).collect();
    let mut line = format!("{head}  {}", shown.join("; "));
    if reasons.len() > REASONS_SHOWN {
        let more = (reasons.len() - REASONS_SHOWN) as u64;
        let _ = write!(line, "; and {} more", grouped(more));
    }
    line
}
