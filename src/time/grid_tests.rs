//! Grids: what tiles they give, and which are refused.

use chrono_tz::{Africa, America, Asia, Australia, Europe};

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn window(start: &str, end: &str) -> Window {
    Window::new(at(start), at(end)).unwrap()
}

fn grid(cron: &str, earliest: &str, latest: &str, timezone: Tz) -> Grid {
    Grid::new(cron, earliest, latest, timezone, None).unwrap()
}

fn nightly() -> Grid {
    let since = Some(at("2026-01-01T00:00:00Z"));
    Grid::new("0 2 * * *", "-1d@d", "@d", Tz::UTC, since).unwrap()
}

#[test]
fn nightly_tiles_are_whole_utc_days() {
    let range = window("2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z");
    let tiles = nightly().tiles_within(range);
    assert_eq!(
        tiles.iter().map(Window::to_string).collect::<Vec<_>>(),
        [
            "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z",
            "2026-01-02T00:00:00Z/2026-01-03T00:00:00Z",
            "2026-01-03T00:00:00Z/2026-01-04T00:00:00Z",
        ]
    );
    assert_eq!(
        nightly().firing_of(*tiles.first().unwrap()),
        Some(at("2026-01-02T02:00:00Z"))
    );
}

#[test]
fn hourly_tiles_with_ten_minutes_of_lag() {
    let hourly = grid("0 * * * *", "-70m@m", "-10m@m", Tz::UTC);
    let range = window("2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z");
    let tiles = hourly.tiles_within(range);
    assert_eq!(
        tiles,
        [
            window("2026-01-01T00:50:00Z", "2026-01-01T01:50:00Z"),
            window("2026-01-01T01:50:00Z", "2026-01-01T02:50:00Z"),
        ]
    );
    for tile in tiles {
        assert_eq!(tile.length(), TimeDelta::minutes(60));
        let firing = hourly.firing_of(tile).unwrap();
        assert_eq!(firing - tile.end, TimeDelta::minutes(10));
    }
}

#[test]
fn the_previous_day_with_ten_minutes_of_lag() {
    let baseline = grid("10 0 * * *", "-1450m@m", "-10m@m", Tz::UTC);
    assert_eq!(
        baseline.tile_containing(at("2026-01-01T12:00:00Z")),
        Some(window("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"))
    );
}

#[test]
fn days_are_23_and_25_hours_where_clocks_change() {
    let daily = grid("0 2 * * *", "-1d@d", "@d", America::New_York);
    for (instant, hours) in [
        ("2026-03-07T12:00:00Z", 24),
        ("2026-03-08T12:00:00Z", 23),
        ("2026-03-09T12:00:00Z", 24),
        ("2026-10-31T12:00:00Z", 24),
        ("2026-11-01T12:00:00Z", 25),
        ("2026-11-02T12:00:00Z", 24),
    ] {
        let tile = daily.tile_containing(at(instant)).unwrap();
        assert_eq!(tile.length(), TimeDelta::hours(hours), "{instant}");
    }
    // 02:00 is skipped on 8 March: that firing comes at 03:00 EDT.
    let tile = daily.tile_containing(at("2026-03-07T12:00:00Z")).unwrap();
    assert_eq!(daily.firing_of(tile), Some(at("2026-03-08T07:00:00Z")));
}

#[test]
fn hourly_tiles_go_on_through_clock_changes() {
    for (earliest, latest) in [("-70m@m", "-10m@m"), ("-1h@h", "@h")] {
        let hourly = grid("0 * * * *", earliest, latest, America::New_York);
        for day in ["2026-03-08", "2026-11-01"] {
            let start = at(&format!("{day}T00:00:00Z"));
            let range = Window::new(start, start + TimeDelta::days(1)).unwrap();
            let tiles = hourly.tiles_within(range);
            assert!(tiles.len() >= 23, "{day}: {}", tiles.len());
            for tile in tiles {
                assert_eq!(tile.length(), TimeDelta::hours(1), "{tile}");
            }
        }
    }
}

/// Grids of many shapes: the tests below hold for each.
fn many() -> Vec<Grid> {
    vec![
        nightly(),
        grid("0 * * * *", "-70m@m", "-10m@m", Tz::UTC),
        grid("0 * * * *", "-1h@h", "@h", America::New_York),
        grid("*/15 * * * *", "-25m@m", "-10m@m", Europe::Berlin),
        grid("* * * * *", "-1d-1m@m", "-1d@m", Tz::UTC),
        grid("0 2 * * *", "-1d@d", "@d", America::New_York),
        grid("30 1 * * *", "-1d@d", "@d", Europe::London),
        grid("0 0 * * *", "-1d@d", "@d", America::Santiago),
        grid("0 0 * * *", "-1d@d", "@d", Africa::Cairo),
        grid("0 0 * * *", "-1d@d", "@d", America::Havana),
        grid("15 2 * * *", "-1d@d", "@d", Australia::Lord_Howe),
        grid("0 6 * * 1", "-1w@w1", "@w1", Asia::Kolkata),
        grid("@weekly", "-1w@w0", "@w0", Tz::UTC),
        grid("0 3 1 * *", "-1mon@mon", "@mon", America::New_York),
        grid("@monthly", "-mon@mon", "@mon", Tz::UTC),
        grid("0 3 1 1,4,7,10 *", "-q@q", "@q", Tz::UTC),
        grid("@yearly", "-y@y", "@y", Tz::UTC),
        grid("0 2 * * *", "+1d@d", "+2d@d", Tz::UTC),
        grid("@daily", "-8d@d", "-7d@d", Europe::Paris),
        grid("@hourly", "-1h", "now", Tz::UTC),
    ]
}

#[test]
fn every_instant_lies_in_one_tile_and_the_next_begins_where_it_ends() {
    for grid in many() {
        let mut instant = at("2026-01-01T00:00:00Z");
        for _ in 0..300 {
            let tile = grid.tile_containing(instant).unwrap();
            assert!(tile.contains(instant), "{grid}: {instant} {tile}");
            let next = grid.tile_containing(tile.end).unwrap();
            assert_eq!(next.start, tile.end, "{grid}");
            let last = grid.tile_containing(tile.end - TimeDelta::microseconds(1));
            assert_eq!(last, Some(tile), "{grid}");
            assert_eq!(grid.tiles_within(tile), [tile], "{grid}");
            let firing = grid.firing_of(tile).unwrap();
            assert_eq!(grid.tile_at(firing).unwrap(), tile, "{grid}");
            // A stride without a common measure with hours, that meets the clock changes.
            instant += TimeDelta::seconds(105_373);
        }
    }
}

#[test]
fn firings_are_the_same_forwards_and_backwards() {
    for grid in many() {
        for begin in [
            "2026-03-05T00:00:00Z",
            "2026-10-22T00:00:00Z",
            "2026-04-03T13:30:00Z",
        ] {
            for firing in grid.next_firings(at(begin), 60) {
                assert_eq!(grid.firing_at_or_before(firing), Some(firing), "{grid}");
                let next = grid.firing_after(firing).unwrap();
                assert_eq!(
                    grid.firing_before(next),
                    Some(firing),
                    "{grid} before {next}"
                );
            }
        }
    }
}

#[test]
fn a_range_of_tiles_joins_up() {
    for grid in many() {
        let range = window("2026-02-27T03:04:05Z", "2026-04-02T01:00:00.5Z");
        let tiles = grid.tiles_within(range);
        for pair in tiles.windows(2) {
            assert_eq!(pair[0].end, pair[1].start, "{grid}");
        }
        for tile in tiles.first().into_iter().chain(tiles.last()) {
            assert!(tile.start >= range.start && tile.end <= range.end, "{grid}");
        }
        // Nothing whole is left out at either end.
        let before = grid.tile_containing(range.start).unwrap();
        let after = grid.tile_containing(range.end).unwrap();
        if let (Some(first), Some(last)) = (tiles.first(), tiles.last()) {
            assert!(first.start == before.end || *first == before, "{grid}");
            assert_eq!(last.end, after.start, "{grid}");
        } else {
            assert!(before == after || before.end == after.start, "{grid}");
        }
    }
}

#[test]
fn since_is_where_tiles_begin() {
    let since = Some(at("2026-01-01T06:00:00Z"));
    let grid = Grid::new("0 2 * * *", "-1d@d", "@d", Tz::UTC, since).unwrap();
    let range = window("2025-12-01T00:00:00Z", "2026-01-03T00:00:00Z");
    let first = window("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
    assert_eq!(grid.tiles_within(range), [first]);
    assert_eq!(grid.tile_containing(at("2026-01-01T12:00:00Z")), None);
    let day_before = window("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    assert_eq!(grid.firing_of(day_before), None);
    let settle = TimeDelta::minutes(10);
    assert_eq!(
        grid.newest_complete(at("2026-01-03T01:00:00Z"), settle),
        None
    );
    assert_eq!(
        grid.newest_complete(at("2026-01-03T02:00:00Z"), settle),
        Some(first)
    );
}

#[test]
fn a_tile_is_complete_after_its_firing_and_its_settling() {
    let first = window("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let second = window("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
    for (now, settle, expected) in [
        // The firing has not come.
        ("2026-01-02T01:59:59.999Z", TimeDelta::minutes(10), None),
        ("2026-01-02T02:00:00Z", TimeDelta::minutes(10), Some(first)),
        ("2026-01-03T01:59:59Z", TimeDelta::minutes(10), Some(first)),
        ("2026-01-03T02:00:00Z", TimeDelta::minutes(10), Some(second)),
        // The data has not settled: now has to be past end + settle.
        ("2026-01-02T03:00:00Z", TimeDelta::hours(3), None),
        ("2026-01-02T03:00:00.001Z", TimeDelta::hours(3), Some(first)),
        ("2026-01-09T00:00:00Z", TimeDelta::days(7), None),
        ("2026-01-10T00:00:00Z", TimeDelta::days(7), Some(first)),
        ("2026-01-10T00:00:01Z", TimeDelta::days(7), Some(second)),
        ("2026-01-02T02:00:00Z", TimeDelta::zero(), Some(first)),
        ("2025-06-01T00:00:00Z", TimeDelta::zero(), None),
    ] {
        assert_eq!(
            nightly().newest_complete(at(now), settle),
            expected,
            "{now} {settle}"
        );
    }
}

#[test]
fn the_newest_complete_tile_is_the_newest_by_trying_them_all() {
    for grid in many() {
        for settle in [
            TimeDelta::zero(),
            TimeDelta::minutes(10),
            TimeDelta::days(2),
        ] {
            for now in [
                "2026-03-08T07:00:00Z",
                "2026-03-09T00:00:00Z",
                "2026-03-29T02:07:03.5Z",
            ] {
                let now = at(now);
                let found = grid.newest_complete(now, settle).unwrap();
                let complete =
                    |tile: Window| grid.firing_of(tile).unwrap() <= now && now > tile.end + settle;
                assert!(complete(found), "{grid} {now} {settle}: {found}");
                let next = grid.tile_containing(found.end).unwrap();
                assert!(!complete(next), "{grid} {now} {settle}: {next}");
            }
        }
    }
}

#[test]
fn next_firings_come_after_now() {
    let firings = nightly().next_firings(at("2026-01-01T02:00:00Z"), 2);
    assert_eq!(
        firings,
        [at("2026-01-02T02:00:00Z"), at("2026-01-03T02:00:00Z")]
    );
    let firings = nightly().next_firings(at("2026-01-01T01:59:59.5Z"), 1);
    assert_eq!(firings, [at("2026-01-01T02:00:00Z")]);
    assert!(
        nightly()
            .next_firings(at("2026-01-01T00:00:00Z"), 0)
            .is_empty()
    );
}

#[test]
fn unusable_tiles_are_refused() {
    for (earliest, latest, expected) in [
        (
            "@d",
            "-1d@d",
            "it runs from 2023-12-31T00:00:00Z to 2023-12-30T00:00:00Z",
        ),
        ("@d", "@d", "it runs from"),
        (
            "2026-01-01",
            "now",
            "`2026-01-01` is the same at every firing",
        ),
        ("-1d@d", "0", "`0` is the same at every firing"),
    ] {
        let error = Grid::new("0 2 * * *", earliest, latest, Tz::UTC, None).unwrap_err();
        assert!(matches!(error, TimeError::GridTile { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = Grid::new("0 2 * * *", "1d@d", "@d", Tz::UTC, None).unwrap_err();
    assert!(matches!(error, TimeError::Relative { .. }), "{error}");
    let error = Grid::new("0 2 * * *", "-9000y", "@d", Tz::UTC, None).unwrap_err();
    assert!(matches!(error, TimeError::Relative { .. }), "{error}");
}

#[test]
fn bad_cron_expressions_are_refused() {
    for (cron, expected) in [
        ("", "it has 0 fields"),
        ("0 2 * *", "it has 4 fields"),
        ("0 0 2 * * *", "it has 6 fields"),
        ("0 0 2 * * * 2026", "it has 7 fields"),
        ("60 * * * *", "`60 * * * *` is not a usable"),
        ("0 25 * * *", "is not a usable"),
        ("x * * * *", "is not a usable"),
        ("@nightly", "is not a usable"),
        ("@reboot", "is not a usable"),
        ("0 0 30 2 *", "it never fires"),
    ] {
        let error = Grid::new(cron, "-1d@d", "@d", Tz::UTC, None).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, TimeError::Cron { .. }), "{message}");
        assert!(message.contains(expected), "{cron}: {message}");
        assert!(message.contains("hint: "), "{message}");
    }
}

#[test]
fn the_ends_of_time_have_no_tiles() {
    let ends = [
        DateTime::<Utc>::MIN_UTC,
        DateTime::<Utc>::MAX_UTC,
        at("0001-01-01T00:00:00Z"),
        at("9999-12-31T23:59:59Z"),
    ];
    for instant in ends {
        let grid = grid("0 2 * * *", "-1d@d", "@d", America::New_York);
        assert_eq!(grid.tile_containing(instant), None, "{instant}");
        assert_eq!(grid.newest_complete(instant, TimeDelta::MAX), None);
    }
    let since = Some(DateTime::<Utc>::MAX_UTC);
    let error = Grid::new("0 2 * * *", "-1d@d", "@d", Tz::UTC, since).unwrap_err();
    assert!(error.to_string().contains("`since` has to lie"), "{error}");
    let all = Window::new(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC).unwrap();
    assert_eq!(grid("@daily", "-1d@d", "@d", Tz::UTC).tiles_within(all), []);
}

#[test]
fn a_grid_says_what_it_is() {
    assert_eq!(nightly().to_string(), "`0 2 * * *` from -1d@d to @d in UTC");
    assert_eq!(nightly().cron(), "0 2 * * *");
    assert_eq!(nightly().timezone(), Tz::UTC);
    assert_eq!(nightly().since(), Some(at("2026-01-01T00:00:00Z")));
}
