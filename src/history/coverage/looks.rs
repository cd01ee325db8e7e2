//! Hunts of stage two in the coverage of a job: which tiles they look at, whether those are done, and whether what they saw
//! is what there is.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};

use super::{Coverage, Reason, Standing, Verdict};
use crate::error::Result;
use crate::history::pruned_before;
use crate::history::second::{Look, Past, Second};
use crate::output::Ledger;
use crate::output::ledger::{HuntRecord, ResultsRead};
use crate::time::{Grid, Window};

/// The tiles of a grid over some time: many tiles ask for nearly the same.
#[derive(Debug, Default)]
pub(super) struct Expected {
    over: Option<Window>,
    tiles: BTreeSet<Window>,
}

impl Expected {
    /// Reaches over a time at least.
    fn reach(&mut self, grid: &Grid, start: DateTime<Utc>, end: DateTime<Utc>) {
        let Ok(asked) = Window::new(start, end) else {
            return;
        };
        let is_in = |over: Window| over.start <= asked.start && asked.end <= over.end;
        if self.over.is_some_and(is_in) {
            return;
        }
        let over = self.over.map_or(asked, |over| Window {
            start: over.start.min(asked.start),
            end: over.end.max(asked.end),
        });
        self.tiles = grid.tiles_within(over).into_iter().collect();
        self.over = Some(over);
    }
}

impl<'a> Coverage<'a> {
    /// Judges hunts of stage two, too: by what they look at.
    ///
    /// # Errors
    /// When the record of what was pruned cannot be read.
    pub async fn with_second(mut self, second: &'a Second) -> Result<Self> {
        if !second.is_empty() {
            self.pruned = pruned_before(self.output, self.job).await?;
            self.second = Some(second);
        }
        Ok(self)
    }

    /// Reads the ledgers again of some tiles, and of those before that their hunts look at, because other runs may have
    /// written some.
    ///
    /// # Errors
    /// When the ledgers cannot be listed.
    pub async fn refresh(&self, tiles: &[Window]) -> Result<()> {
        let listed = self.output.tiles(self.job).await?;
        let mut asked: BTreeSet<Window> = tiles.iter().copied().collect();
        self.add_before(&listed, &mut asked);
        self.read_all(asked.intersection(&listed).copied()).await;
        Ok(())
    }

    /// Adds the tiles that hunts of some look at.
    pub(super) fn add_before(&self, listed: &BTreeSet<Window>, tiles: &mut BTreeSet<Window>) {
        if let (Some(second), Some(first)) = (self.second, tiles.first().copied())
            && let Some(from) = second.earliest(first)
        {
            let before = listed.range(..first);
            tiles.extend(before.filter(|tile| tile.end > from));
        }
    }

    /// Says in which tiles hunts of stage one are still to run.
    pub fn expect(&self, tiles: impl Iterator<Item = Window>) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        *open = tiles.collect();
    }

    /// Whether hunts of stage two can look at a tile and those before it: none of them is still to run.
    pub fn is_settled(&self, tile: Window) -> bool {
        let Some(from) = self.second.and_then(|second| second.earliest(tile)) else {
            return true;
        };
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let mut before = open.range(..tile);
        !before.any(|other| other.end > from)
    }

    /// What a hunt of stage two looks at before a tile, by the ledgers that were read.
    pub fn past(&self, second: &Second, look: &Look, tile: Window) -> Past {
        let from = second.from(look, tile);
        let mut past = Past::default();
        let ledgers = self.ledgers.read().unwrap_or_else(PoisonError::into_inner);
        for (window, ledger) in ledgers.range(..tile) {
            if let Ok(ledger) = ledger
                && window.end > from
                && window.start < tile.start
            {
                past.tiles.push((*window, Arc::clone(ledger)));
            }
        }
        // A job that does not say when it begins began with the first tile in reach: one that was run by hand long ago
        // asks for none in between.
        let first = match second.grid.since() {
            Some(_) => [self.run.first(), ledgers.keys().next()],
            None => [past.tiles.first().map(|(tile, _)| tile), None],
        };
        let first = first.into_iter().flatten().min().map(|first| first.start);
        let first = first.map(|first| self.pruned.map_or(first, |pruned| pruned.max(first)));
        let Some(first) = first.map(|first| first.max(from)) else {
            return past;
        };
        let is_there = |tile: &Window| matches!(ledgers.get(tile), Some(Ok(_)));
        let known = [ledgers.keys().next_back(), self.run.last(), Some(&tile)];
        let end = known.into_iter().flatten().map(|tile| tile.end).max();
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.reach(&second.grid, first, end.unwrap_or(tile.end));
        let before = expected.tiles.range(..tile).rev();
        let before = before.take_while(|tile| tile.start >= first);
        past.missing = before.filter(|tile| !is_there(tile)).copied().collect();
        past.missing.reverse();
        past
    }

    /// What a hunt of stage two sees of a tile and those before it.
    pub fn seen(
        &self,
        second: &Second,
        look: &Look,
        tile: Window,
        own: &Ledger,
        past: &Past,
    ) -> ResultsRead {
        second.seen(look, tile, own, past, &self.digests)
    }

    /// Takes in that the hunts of stage one of a tile have run.
    pub fn settle(&self, tile: Window) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.remove(&tile);
    }

    /// Whether a hunt of stage two saw what there is to see.
    pub(super) fn judge_second(
        &self,
        tile: Window,
        name: &str,
        record: &HuntRecord,
        ledger: &Ledger,
        verdict: &mut Verdict,
    ) {
        let Some((second, look)) = self
            .second
            .and_then(|second| Some((second, second.hunts.get(name)?)))
        else {
            return;
        };
        // What is gone on purpose is not asked for again.
        if self
            .pruned
            .is_some_and(|pruned| second.from(look, tile) < pruned)
        {
            return;
        }
        let past = self.past(second, look, tile);
        let seen = self.seen(second, look, tile, ledger, &past);
        if record.results.as_ref() != Some(&seen) {
            let hunt = name.to_owned();
            verdict.run(name, Standing::Stale, Reason::Results { hunt });
        }
    }
}
