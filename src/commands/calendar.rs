//! Tiles as a calendar: one character each, a row for each month of days, day of hours, or year of longer tiles.
//!
//! Pure: standings in, text out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::history::coverage::Standing;
use crate::time::Window;

/// What stands for a tile.
pub(super) const fn symbol(standing: Standing) -> char {
    match standing {
        Standing::Done => '#',
        Standing::Empty => 'o',
        Standing::Partial => 'p',
        Standing::Stale => 's',
        Standing::Failed => 'F',
        Standing::Missing => '-',
    }
}

/// The colour of a symbol (ECMA-48 8.3.117).
const fn code(standing: Standing) -> &'static str {
    match standing {
        Standing::Done => "32",
        Standing::Empty => "2",
        Standing::Partial | Standing::Stale => "33",
        Standing::Failed | Standing::Missing => "1;31",
    }
}

/// The calendar of some tiles, oldest first, in a zone; each row with a line end.
pub(super) fn calendar(tiles: &[(Window, Standing)], zone: Tz, color: bool) -> String {
    let Some((first, _)) = tiles.first() else {
        return String::new();
    };
    // By the usual length: those of a clock change are an hour off.
    let mut lengths: Vec<TimeDelta> = tiles.iter().map(|(tile, _)| tile.length()).collect();
    lengths.sort_unstable();
    let usual = lengths.get(lengths.len() / 2).copied();
    let usual = usual.unwrap_or_else(|| first.length());
    let row = |tile: &Window| row_of(tile.start, usual, zone);
    let mut rows: BTreeMap<NaiveDate, String> = BTreeMap::new();
    for (tile, standing) in tiles {
        let (key, begins) = row(tile);
        let line = rows.entry(key).or_insert_with(|| {
            // The first row begins where the first tile does.
            let before = (tile.start - begins).num_seconds() / usual.num_seconds().max(1);
            " ".repeat(usize::try_from(before).unwrap_or(0))
        });
        let symbol = symbol(*standing);
        if color {
            let _ = write!(line, "\u{1b}[{}m{symbol}\u{1b}[0m", code(*standing));
        } else {
            line.push(symbol);
        }
    }
    let label = if usual <= TimeDelta::hours(12) {
        "%Y-%m-%d"
    } else if usual <= TimeDelta::days(2) {
        "%Y-%m"
    } else {
        "%Y"
    };
    let mut text = String::new();
    for (day, line) in rows {
        let _ = writeln!(text, "{}  {line}", day.format(label));
    }
    text
}

/// The row that an instant is in, and the instant it begins at.
fn row_of(instant: DateTime<Utc>, usual: TimeDelta, zone: Tz) -> (NaiveDate, DateTime<Utc>) {
    let day = instant.with_timezone(&zone).date_naive();
    let first = if usual <= TimeDelta::hours(12) {
        day
    } else if usual <= TimeDelta::days(2) {
        day.with_day(1).unwrap_or(day)
    } else {
        day.with_ordinal(1).unwrap_or(day)
    };
    let midnight = first.and_hms_opt(0, 0, 0).unwrap_or_default();
    // A midnight that a zone skips has no instant; the row then begins with its first tile.
    let begins = zone.from_local_datetime(&midnight).earliest();
    (
        first,
        begins.map_or(instant, |begins| begins.with_timezone(&Utc)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiles(start: &str, hours: i64, standings: &[Standing]) -> Vec<(Window, Standing)> {
        let start: DateTime<Utc> = start.parse().unwrap();
        let at = |index: usize| start + TimeDelta::hours(hours * index as i64);
        let standings = standings.iter().enumerate();
        standings
            .map(|(index, standing)| {
                let tile = Window::new(at(index), at(index + 1)).unwrap();
                (tile, *standing)
            })
            .collect()
    }

    #[test]
    fn days_are_rows_of_months() {
        let mut standings = vec![Standing::Done; 33];
        standings[2] = Standing::Missing;
        standings[3] = Standing::Stale;
        standings[32] = Standing::Failed;
        let days = tiles("2026-01-03T00:00:00Z", 24, &standings);
        assert_eq!(
            calendar(&days, Tz::UTC, false),
            "2026-01    ##-s#########################\n2026-02  ###F\n"
        );
    }

    #[test]
    fn hours_are_rows_of_days_in_their_zone() {
        let standings = [Standing::Partial, Standing::Empty, Standing::Done];
        let hours = tiles("2026-01-03T03:00:00Z", 1, &standings);
        let indent = " ".repeat(22);
        assert_eq!(
            calendar(&hours, Tz::America__New_York, false),
            format!("2026-01-02  {indent}po\n2026-01-03  #\n")
        );
        assert!(calendar(&hours, Tz::UTC, true).contains("\u{1b}[33mp\u{1b}[0m"));
    }

    #[test]
    fn weeks_are_rows_of_years() {
        let weeks = tiles("2025-12-22T00:00:00Z", 168, &[Standing::Done; 4]);
        let text = calendar(&weeks, Tz::UTC, false);
        let rows: Vec<_> = text.lines().map(str::trim_end).collect();
        assert_eq!(rows.len(), 2);
        assert!(
            rows[0].starts_with("2025 ") && rows[0].ends_with(" ##"),
            "{text}"
        );
        assert_eq!(rows[1], "2026  ##");
    }
}
