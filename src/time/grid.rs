//! A job's grid: a cron expression and two relative times cut time into tiles. It knows nothing of
//! what is done in a tile, or which were done. That tiles touch is `grid_check`'s to prove.

use std::fmt;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::{RelativeTime, TimeError, Window, calendar, format_instant, grid_check};

/// How many firings a search may step over; far more than any lag between a firing and its tile.
const MAX_STEPS: usize = 100_000;

const CRON_FORMS: &str = "write five fields: minute hour day-of-month month day-of-week, as `0 2 * * *` for 02:00 every day; or @hourly, @daily, @weekly, @monthly";

/// The tiles of a job. Each firing `t` of the cron expression, read in the grid's time zone, gives
/// the tile `[earliest at t, latest at t)`. Tiles touch: every instant since `since` lies in
/// exactly one.
///
/// Clock changes: a cron expression with one hour and one minute fires once a day; where the
/// clocks skip that time it fires right after the skip, where it comes twice at the earlier. Any
/// other expression fires whenever the wall clock matches, also twice.
///
/// # Example
/// `0 2 * * *`, `-1d@d`, `@d` in UTC: whole days, at two o'clock of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    expression: String,
    cron: Cron,
    earliest: RelativeTime,
    latest: RelativeTime,
    timezone: Tz,
    since: Option<DateTime<Utc>>,
}

/// A firing of the cron expression and the tile it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Firing {
    pub(super) at: DateTime<Utc>,
    pub(super) tile: Window,
}

impl Grid {
    /// The grid that fires at `cron` (five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`,
    /// `@yearly`) and covers `earliest` to `latest`, relative to each firing. There are no tiles
    /// before `since`: the first tile is the first whole one that starts at or after it.
    ///
    /// That tiles touch is checked on at least 500 consecutive firings and, around every midnight
    /// and clock change, for more than a year, from `since` on.
    ///
    /// # Errors
    /// [`TimeError::Cron`], [`TimeError::Relative`] or [`TimeError::Instant`] for a text that
    /// cannot be read; [`TimeError::GridTile`] for a firing without a usable tile;
    /// [`TimeError::GridGap`] and [`TimeError::GridOverlap`] with the two tiles that do not touch.
    pub fn new(
        cron: &str,
        earliest: &str,
        latest: &str,
        timezone: Tz,
        since: Option<DateTime<Utc>>,
    ) -> Result<Self, TimeError> {
        let grid = Self {
            expression: cron.trim().to_owned(),
            cron: parse_cron(cron.trim())?,
            earliest: RelativeTime::parse(earliest)?,
            latest: RelativeTime::parse(latest)?,
            timezone,
            since,
        };
        if let Some(since) = since.filter(|since| calendar::in_range(*since).is_none()) {
            return Err(grid.unusable(
                format!("it begins at {}", format_instant(since)),
                "`since` has to lie in the years 1 to 9999",
            ));
        }
        for spec in [&grid.earliest, &grid.latest] {
            if spec.is_fixed() {
                return Err(grid.unusable(
                    format!("`{}` is the same at every firing", spec.as_str()),
                    "write a relative time, as -1d@d; where the grid begins is `since`",
                ));
            }
        }
        grid_check::check(&grid)?;
        Ok(grid)
    }

    /// The cron expression as written.
    pub fn cron(&self) -> &str {
        &self.expression
    }

    /// The zone in which the cron expression and the relative times are read.
    pub fn timezone(&self) -> Tz {
        self.timezone
    }

    /// Where the grid begins, if anywhere.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.since
    }

    /// The whole tiles inside `range`, in order: no tile that starts before it or ends after it.
    pub fn tiles_within(&self, range: Window) -> Vec<Window> {
        let begin = self
            .since
            .map_or(range.start, |since| since.max(range.start));
        let mut tiles = Vec::new();
        let mut next = self.first_from(begin);
        while let Some(firing) = next.filter(|firing| firing.tile.end <= range.end) {
            tiles.push(firing.tile);
            next = self.after(firing.at);
        }
        tiles
    }

    /// The tile that `instant` lies in; `None` before the grid begins.
    pub fn tile_containing(&self, instant: DateTime<Utc>) -> Option<Window> {
        self.locate(instant)
            .map(|firing| firing.tile)
            .filter(|tile| self.has_begun(tile))
    }

    /// The newest tile that is complete at `now`: its firing time has come, and `now` is more than
    /// `settle` after its end. `None` while the grid has no such tile.
    pub fn newest_complete(&self, now: DateTime<Utc>, settle: TimeDelta) -> Option<Window> {
        let settled = now.checked_sub_signed(settle)?;
        let fired = self.firing_at_or_before(now)?;
        let mut newest = self.locate(settled)?;
        while newest.tile.end >= settled {
            newest = self.before(newest.at)?;
        }
        // Tiles come in the order of their firings, so the earlier of the two satisfies both.
        if fired < newest.at {
            newest = self.fire(fired)?;
        }
        Some(newest.tile).filter(|tile| self.has_begun(tile))
    }

    /// When `tile` is due; `None` for a window that is not a tile of this grid.
    pub fn firing_of(&self, tile: Window) -> Option<DateTime<Utc>> {
        self.locate(tile.start)
            .filter(|firing| firing.tile == tile && self.has_begun(&tile))
            .map(|firing| firing.at)
    }

    /// The next `count` firings after `now`, in order.
    pub fn next_firings(&self, now: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.firing_after(now), |firing| self.firing_after(*firing))
            .take(count)
            .collect()
    }

    /// The next `count` firings after `now` whose tiles belong to the grid, each with its tile, in order.
    pub fn next_tiles(&self, now: DateTime<Utc>, count: usize) -> Vec<(DateTime<Utc>, Window)> {
        let first = match self.since {
            Some(since) if since > now => self.first_from(since),
            _ => self.firing_after(now).and_then(|at| self.fire(at)),
        };
        std::iter::successors(first, |firing| self.after(firing.at))
            .filter(|firing| self.has_begun(&firing.tile))
            .take(count)
            .map(|firing| (firing.at, firing.tile))
            .collect()
    }

    /// The tile that the firing at `firing` gives, whether or not the cron expression fires then.
    ///
    /// # Errors
    /// [`TimeError::GridTile`] where it would be empty, [`TimeError::Relative`] where it would
    /// leave the years 1 to 9999.
    pub(super) fn tile_at(&self, firing: DateTime<Utc>) -> Result<Window, TimeError> {
        let start = self.earliest.resolve(firing, self.timezone)?;
        let end = self.latest.resolve(firing, self.timezone)?;
        Window::new(start, end).map_err(|_| {
            self.unusable(
                format!(
                    "at the firing {} it runs from {} to {}",
                    format_instant(firing),
                    format_instant(start),
                    format_instant(end)
                ),
                "`latest` has to come after `earliest`, as earliest -1d@d and latest @d",
            )
        })
    }

    /// The first firing after `instant`; `None` where there is none.
    pub(super) fn firing_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = calendar::in_range(whole_second(instant))?.with_timezone(&self.timezone);
        let next = self.cron.find_next_occurrence(&local, false).ok()?;
        Some(next.with_timezone(&Utc))
    }

    /// The last firing at or before `instant`; `None` where there is none.
    pub(super) fn firing_at_or_before(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = calendar::in_range(whole_second(instant))?.with_timezone(&self.timezone);
        let previous = self.cron.find_previous_occurrence(&local, true).ok()?;
        Some(previous.with_timezone(&Utc))
    }

    fn firing_before(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.firing_at_or_before(instant.checked_sub_signed(TimeDelta::seconds(1))?)
    }

    fn fire(&self, at: DateTime<Utc>) -> Option<Firing> {
        let tile = self.tile_at(at).ok()?;
        Some(Firing { at, tile })
    }

    fn after(&self, firing: DateTime<Utc>) -> Option<Firing> {
        self.fire(self.firing_after(firing)?)
    }

    fn before(&self, firing: DateTime<Utc>) -> Option<Firing> {
        self.fire(self.firing_before(firing)?)
    }

    /// The first tile that starts at or after `instant`.
    fn first_from(&self, instant: DateTime<Utc>) -> Option<Firing> {
        let firing = self.locate(instant)?;
        if firing.tile.start >= instant {
            Some(firing)
        } else {
            self.after(firing.at)
        }
    }

    /// The tile that holds `instant`, also before the grid begins.
    fn locate(&self, instant: DateTime<Utc>) -> Option<Firing> {
        let near = match self.firing_at_or_before(instant) {
            Some(at) => self.fire(at)?,
            None => self.after(instant)?,
        };
        // A tile ends about as long before its firing as the one near `instant` does.
        let guess = instant.checked_add_signed(near.at - near.tile.end)?;
        let mut firing = self.after(guess)?;
        for _ in 0..MAX_STEPS {
            if instant >= firing.tile.end {
                firing = self.after(firing.at)?;
                // Past it: tiles far from the checked ones do not touch here.
                if instant < firing.tile.start {
                    return None;
                }
            } else if instant < firing.tile.start {
                firing = self.before(firing.at)?;
                if instant >= firing.tile.end {
                    return None;
                }
            } else {
                return Some(firing);
            }
        }
        None
    }

    fn has_begun(&self, tile: &Window) -> bool {
        self.since.is_none_or(|since| tile.start >= since)
    }

    fn unusable(&self, problem: String, hint: &str) -> TimeError {
        TimeError::GridTile {
            text: self.to_string(),
            problem,
            hint: hint.to_owned(),
        }
    }
}

/// As in messages: `0 2 * * *` from -1d@d to @d in UTC.
impl fmt::Display for Grid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "`{}` from {} to {} in {}",
            self.expression,
            self.earliest.as_str(),
            self.latest.as_str(),
            self.timezone
        )
    }
}

fn parse_cron(text: &str) -> Result<Cron, TimeError> {
    let error = |problem: String, hint: &str| TimeError::Cron {
        text: text.to_owned(),
        problem,
        hint: hint.to_owned(),
    };
    let fields = text.split_whitespace().count();
    if !text.starts_with('@') && fields != 5 {
        return Err(error(format!("it has {fields} fields"), CRON_FORMS));
    }
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(text)
        .map_err(|problem| error(problem.to_string(), CRON_FORMS))
}

/// Cron works in whole seconds; a fraction must not hide or repeat a firing.
fn whole_second(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.with_nanosecond(0).unwrap_or(instant)
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
