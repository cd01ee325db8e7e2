//! Proves, as far as firings can be tried, that a grid's tiles touch. A gap would be data that no
//! hunt ever sees, an overlap findings that come twice; both are found when the job is loaded, not
//! on the night it happens.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::calendar::instant_of;
use super::grid::{Firing, Grid};
use super::{TimeError, Window};

/// Firings tried one after another, at least. With daily firings this is more than a year.
const CONSECUTIVE: usize = 500;
/// Time that those firings have to cover too, so that every hour and minute of a day is tried.
const WHOLE_DAY: TimeDelta = TimeDelta::hours(26);
/// How far midnights and clock changes are tried: every month end and both clock changes.
const CALENDAR_DAYS: u64 = 400;
/// Firings tried around one clock change.
const AROUND_CLOCK_CHANGE: TimeDelta = TimeDelta::hours(3);
/// Where the check begins for a grid without a beginning: 2024-01-01, a year with a leap day.
const DEFAULT_ORIGIN: i64 = 1_704_067_200;

/// Tries firings from the beginning of the grid on.
///
/// Between two firings of one day the tiles can only stop touching in ways that every day shows;
/// across days they do at a midnight (month ends, weekdays, clamped days) or a clock change, at
/// the firing or at what the tile's ends refer to. So those are tried for more than a year, and
/// everything else for a day.
pub(super) fn check(grid: &Grid) -> Result<(), TimeError> {
    let origin = grid
        .since()
        .unwrap_or_else(|| DateTime::from_timestamp(DEFAULT_ORIGIN, 0).unwrap_or_default());
    let Some(first) = grid
        .firing_at_or_before(origin)
        .or_else(|| grid.firing_after(origin))
    else {
        return Err(TimeError::Cron {
            text: grid.cron().to_owned(),
            problem: "it never fires".to_owned(),
            hint: "no such day exists, as 30 February; check day and month".to_owned(),
        });
    };

    let mut walk = Walk::begin(grid, first)?;
    let lags = [
        TimeDelta::zero(),
        first - walk.last.tile.start,
        first - walk.last.tile.end,
    ];
    let mut count = 1;
    while count < CONSECUTIVE || walk.last.at < origin + WHOLE_DAY {
        if !walk.step()? {
            return Ok(());
        }
        count += 1;
    }

    let tried_until = walk.last.at;
    let midnights = midnights(origin, grid.timezone());
    let changes = clock_changes(&midnights, grid.timezone());
    // In the order of time, so that the first place where tiles part is the one reported.
    let spans: BTreeSet<(DateTime<Utc>, DateTime<Utc>)> = lags
        .iter()
        .flat_map(|lag| {
            let midnights = midnights.iter().map(|point| (*point, *point));
            let changes = changes
                .iter()
                .map(|point| (*point - AROUND_CLOCK_CHANGE, *point + AROUND_CLOCK_CHANGE));
            midnights
                .chain(changes)
                .map(|(from, until)| (from + *lag, until + *lag))
        })
        .filter(|(_, until)| *until > tried_until)
        .collect();
    for (from, until) in spans {
        try_around(grid, from, until)?;
    }
    Ok(())
}

/// Tries the firings from the last before `from` to the first after `until`, and one more.
fn try_around(grid: &Grid, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<(), TimeError> {
    let Some(first) = grid.firing_at_or_before(from - TimeDelta::seconds(1)) else {
        return Ok(());
    };
    let mut walk = Walk::begin(grid, first)?;
    while walk.last.at <= until {
        if !walk.step()? {
            return Ok(());
        }
    }
    walk.step().map(|_| ())
}

/// Goes from firing to firing and compares each tile with the one before.
struct Walk<'a> {
    grid: &'a Grid,
    last: Firing,
}

impl<'a> Walk<'a> {
    fn begin(grid: &'a Grid, at: DateTime<Utc>) -> Result<Self, TimeError> {
        let tile = grid.tile_at(at)?;
        let last = Firing { at, tile };
        Ok(Self { grid, last })
    }

    /// Whether there was a next firing; an error where its tile does not touch the last.
    fn step(&mut self) -> Result<bool, TimeError> {
        let Some(at) = self.grid.firing_after(self.last.at) else {
            return Ok(false);
        };
        let tile = self.grid.tile_at(at)?;
        if tile.start != self.last.tile.end {
            return Err(self.apart(at, tile));
        }
        self.last = Firing { at, tile };
        Ok(true)
    }

    fn apart(&self, at: DateTime<Utc>, tile: Window) -> TimeError {
        let (text, earlier, later) = (self.grid.to_string(), self.last.tile, tile);
        let timezone = self.grid.timezone();
        let near_change = [self.last.at, at, earlier.start, earlier.end, later.end]
            .into_iter()
            .any(|instant| clock_changes_near(instant, timezone));
        let hint = if near_change {
            format!(
                "the clocks of {timezone} change here; use timezone UTC, or `-1d@d` to `@d` with one firing a day"
            )
        } else {
            "each tile has to begin where the one before ends: make `latest` minus `earliest` equal the time between firings, as `0 * * * *` with -70m@m to -10m@m".to_owned()
        };
        if tile.start > self.last.tile.end {
            TimeError::GridGap {
                text,
                earlier,
                later,
                hint,
            }
        } else {
            TimeError::GridOverlap {
                text,
                earlier,
                later,
                hint,
            }
        }
    }
}

fn midnights(origin: DateTime<Utc>, timezone: Tz) -> Vec<DateTime<Utc>> {
    let first = origin.with_timezone(&timezone).date_naive();
    (0..CALENDAR_DAYS)
        .filter_map(|day| first.checked_add_days(Days::new(day)))
        .filter_map(|date| instant_of(date.and_time(NaiveTime::MIN), timezone))
        .collect()
}

/// The instants at which the zone's offset changes, to the second.
fn clock_changes(midnights: &[DateTime<Utc>], timezone: Tz) -> Vec<DateTime<Utc>> {
    midnights
        .windows(2)
        .filter_map(|pair| match pair {
            [before, after] => change_between(*before, *after, timezone),
            _ => None,
        })
        .collect()
}

fn change_between(
    mut before: DateTime<Utc>,
    mut after: DateTime<Utc>,
    timezone: Tz,
) -> Option<DateTime<Utc>> {
    let offset = |instant: DateTime<Utc>| timezone.offset_from_utc_datetime(&instant.naive_utc());
    let old = offset(before);
    if old == offset(after) {
        return None;
    }
    // In whole seconds, as zones change their clocks.
    loop {
        let half = (after - before).num_seconds() / 2;
        if half == 0 {
            return Some(after);
        }
        let middle = before + TimeDelta::seconds(half);
        if offset(middle) == old {
            before = middle;
        } else {
            after = middle;
        }
    }
}

fn clock_changes_near(instant: DateTime<Utc>, timezone: Tz) -> bool {
    let around = TimeDelta::hours(26);
    instant
        .checked_sub_signed(around)
        .zip(instant.checked_add_signed(around))
        .is_some_and(|(before, after)| change_between(before, after, timezone).is_some())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use chrono_tz::America;

    use super::*;

    fn refusal(cron: &str, earliest: &str, latest: &str, timezone: Tz) -> TimeError {
        Grid::new(cron, earliest, latest, timezone, None).unwrap_err()
    }

    #[test]
    fn gaps_are_refused_with_the_two_tiles() {
        for (cron, earliest, latest, expected) in [
            (
                "0 * * * *",
                "-60m@m",
                "-10m@m",
                "2023-12-31T23:00:00Z/2023-12-31T23:50:00Z and 2024-01-01T00:00:00Z/2024-01-01T00:50:00Z",
            ),
            // Workdays only: the weekend is missing.
            (
                "0 2 * * 1-5",
                "-1d@d",
                "@d",
                "2023-12-28T00:00:00Z/2023-12-29T00:00:00Z and 2023-12-31T00:00:00Z/2024-01-01T00:00:00Z",
            ),
            // Every minute, but not at 11, not at the weekend, not in July.
            (
                "* 0-10,12-23 * * *",
                "-1m@m",
                "@m",
                "and 2024-01-01T11:59:00Z/",
            ),
            ("* * * * 1-5", "-1m@m", "@m", "and 2024-01-07T23:59:00Z/"),
            (
                "* * * 1-6,8-12 *",
                "-1m@m",
                "@m",
                "and 2024-07-31T23:59:00Z/",
            ),
            // A month is not always 30 days.
            (
                "0 0 1 * *",
                "-30d@d",
                "@d",
                "2024-01-01T00:00:00Z and 2024-01-02T00:00:00Z/",
            ),
        ] {
            let error = refusal(cron, earliest, latest, Tz::UTC);
            let message = error.to_string();
            assert!(matches!(error, TimeError::GridGap { .. }), "{message}");
            assert!(message.contains(expected), "{cron}: {message}");
            assert!(
                message.contains("hint: each tile has to begin"),
                "{message}"
            );
        }
    }

    #[test]
    fn overlaps_are_refused_with_the_two_tiles() {
        for (cron, earliest, latest, expected) in [
            (
                "0 * * * *",
                "-70m@m",
                "now",
                "2023-12-31T22:50:00Z/2024-01-01T00:00:00Z and 2023-12-31T23:50:00Z/2024-01-01T01:00:00Z",
            ),
            // The same day twice.
            (
                "0 2,14 * * *",
                "-1d@d",
                "@d",
                "2023-12-31T00:00:00Z/2024-01-01T00:00:00Z and 2023-12-31T00:00:00Z/2024-01-01T00:00:00Z",
            ),
            // Seven does not divide sixty.
            (
                "*/7 * * * *",
                "-7m@m",
                "@m",
                "2024-01-01T00:49:00Z/2024-01-01T00:56:00Z and 2024-01-01T00:53:00Z/2024-01-01T01:00:00Z",
            ),
        ] {
            let error = refusal(cron, earliest, latest, Tz::UTC);
            let message = error.to_string();
            assert!(matches!(error, TimeError::GridOverlap { .. }), "{message}");
            assert!(message.contains(expected), "{cron}: {message}");
        }
    }

    #[test]
    fn months_back_break_a_dense_grid_at_a_month_end() {
        for (cron, earliest, latest) in [
            ("0 * * * *", "-1mon-1h@h", "-1mon@h"),
            ("* * * * *", "-1mon-1m@m", "-1mon@m"),
            ("*/5 * * * *", "-5d-1mon-5m@m", "-5d-1mon@m"),
        ] {
            // The first month end that is not as long as the one before: days are left out.
            let since = Some("2025-02-10T00:00:00Z".parse().unwrap());
            let error = Grid::new(cron, earliest, latest, Tz::UTC, since).unwrap_err();
            let TimeError::GridGap { earlier, later, .. } = error else {
                panic!("{cron}: {error}");
            };
            assert_eq!(earlier.end.date_naive().to_string(), "2025-01-28", "{cron}");
            assert_eq!(
                later.end.to_rfc3339(),
                "2025-02-01T00:00:00+00:00",
                "{cron}"
            );
        }
    }

    #[test]
    fn a_day_is_not_24_hours_where_clocks_change() {
        let error = refusal("0 0 * * *", "-24h", "now", America::New_York);
        assert_eq!(
            error.to_string(),
            "the grid `0 0 * * *` from -24h to now in America/New_York has overlapping tiles 2024-03-09T05:00:00Z/2024-03-10T05:00:00Z and 2024-03-10T04:00:00Z/2024-03-11T04:00:00Z (hint: the clocks of America/New_York change here; use timezone UTC, or `-1d@d` to `@d` with one firing a day)"
        );
    }

    #[test]
    fn clock_changes_that_break_a_dense_grid_are_found() {
        for (cron, earliest, latest) in [
            // A day or a week back from either side of the change.
            ("0 * * * *", "-1d-1h@h", "-1d@h"),
            ("* * * * *", "-1w-1m@m", "-1w@m"),
            // Does not fire at 02:00 in March.
            ("0 2,14 * * *", "-12h", "now"),
            // Fires twice at 01:30 in November.
            ("30 1,13 * * *", "-12h", "now"),
        ] {
            let since = Some("2026-01-15T00:00:00Z".parse().unwrap());
            assert!(
                Grid::new(cron, earliest, latest, Tz::UTC, since).is_ok(),
                "{cron}"
            );
            let error = Grid::new(cron, earliest, latest, America::New_York, since).unwrap_err();
            let message = error.to_string();
            assert!(
                message.contains("the clocks of America/New_York change"),
                "{message}"
            );
        }
    }

    #[test]
    fn clock_changes_are_found_to_the_second() {
        let origin = "2026-01-01T00:00:00Z".parse().unwrap();
        let found = clock_changes(&midnights(origin, America::New_York), America::New_York);
        let expected: Vec<DateTime<Utc>> = ["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(found, expected);
        assert!(clock_changes(&midnights(origin, Tz::UTC), Tz::UTC).is_empty());
    }

    #[test]
    fn the_check_is_quick() {
        for (cron, earliest, latest) in [
            ("* * * * *", "-1m@m", "@m"),
            ("0 * * * *", "-70m@m", "-10m@m"),
            ("0 2 * * *", "-1d@d", "@d"),
            ("@yearly", "-y@y", "@y"),
        ] {
            let begin = Instant::now();
            Grid::new(cron, earliest, latest, America::New_York, None).unwrap();
            // Unoptimised, on a busy machine; optimised it is a few milliseconds.
            assert!(begin.elapsed().as_millis() < 2_000, "{cron}");
        }
    }
}
