//! Tables for Splunk's relative times. The first is Splunk's own worked examples.

use chrono_tz::America;

use super::*;

/// A Friday.
const NOW: &str = "2025-06-06T12:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn resolve(spec: &str, now: &str, timezone: Tz) -> String {
    format_instant(resolve_relative(spec, at(now), timezone).unwrap())
}

#[test]
fn worked_examples() {
    for (spec, expected) in [
        ("-70m@m", "2025-06-06T10:50:00Z"),
        ("-10m@m", "2025-06-06T11:50:00Z"),
        ("@w1", "2025-06-02T00:00:00Z"),
        ("-1w@w1", "2025-05-26T00:00:00Z"),
        ("@w0", "2025-06-01T00:00:00Z"),
        ("@w6", "2025-05-31T00:00:00Z"),
        ("-5d@w1", "2025-05-26T00:00:00Z"),
        ("-2h@h", "2025-06-06T10:00:00Z"),
        ("@d-2h", "2025-06-05T22:00:00Z"),
        ("@d+3h", "2025-06-06T03:00:00Z"),
        ("-mon@mon", "2025-05-01T00:00:00Z"),
        ("-1450m@m", "2025-06-05T11:50:00Z"),
        ("-1d@d", "2025-06-05T00:00:00Z"),
        ("@d", "2025-06-06T00:00:00Z"),
    ] {
        assert_eq!(resolve(spec, NOW, Tz::UTC), expected, "{spec}");
    }
}

#[test]
fn every_form() {
    for (spec, expected) in [
        ("now", "2025-06-06T12:00:00Z"),
        ("now()", "2025-06-06T12:00:00Z"),
        (" -1h ", "2025-06-06T11:00:00Z"),
        ("0", "1970-01-01T00:00:00Z"),
        ("1", "1970-01-01T00:00:00Z"),
        ("2", "1970-01-01T00:00:02Z"),
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("1700000000.1234567", "2023-11-14T22:13:20.123456700Z"),
        ("06/30/2025:14:30:05", "2025-06-30T14:30:05Z"),
        ("6/3/2025:4:3:5", "2025-06-03T04:03:05Z"),
        ("2025-06-30", "2025-06-30T00:00:00Z"),
        ("2025-06-30 14:30", "2025-06-30T14:30:00Z"),
        ("2025-06-30T14:30:00+02:00", "2025-06-30T12:30:00Z"),
        ("+1d", "2025-06-07T12:00:00Z"),
        ("-d", "2025-06-05T12:00:00Z"),
        ("+h", "2025-06-06T13:00:00Z"),
        ("-0d", "2025-06-06T12:00:00Z"),
        ("-1d-2h", "2025-06-05T10:00:00Z"),
        ("-1d+2h@h-5m+1s", "2025-06-05T13:55:01Z"),
        ("@w", "2025-06-01T00:00:00Z"),
        ("@week", "2025-06-01T00:00:00Z"),
        ("@w7", "2025-06-01T00:00:00Z"),
        ("@w2", "2025-06-03T00:00:00Z"),
        ("@w3", "2025-06-04T00:00:00Z"),
        ("@w4", "2025-06-05T00:00:00Z"),
        ("@w5", "2025-06-06T00:00:00Z"),
        ("@mon", "2025-06-01T00:00:00Z"),
        ("@q", "2025-04-01T00:00:00Z"),
        ("-q@q", "2025-01-01T00:00:00Z"),
        ("+1q@q", "2025-07-01T00:00:00Z"),
        ("@y", "2025-01-01T00:00:00Z"),
        ("-1y@y", "2024-01-01T00:00:00Z"),
        ("-2w", "2025-05-23T12:00:00Z"),
    ] {
        assert_eq!(resolve(spec, NOW, Tz::UTC), expected, "{spec}");
    }
}

#[test]
fn every_spelling_of_every_unit() {
    for (names, expected, snapped) in [
        (
            &["us"][..],
            "2025-06-06T12:34:56.789122Z",
            "2025-06-06T12:34:56.789123Z",
        ),
        (
            &["ms"],
            "2025-06-06T12:34:56.788123Z",
            "2025-06-06T12:34:56.789Z",
        ),
        (
            &["cs"],
            "2025-06-06T12:34:56.779123Z",
            "2025-06-06T12:34:56.780Z",
        ),
        (
            &["ds"],
            "2025-06-06T12:34:56.689123Z",
            "2025-06-06T12:34:56.700Z",
        ),
        (
            &["s", "sec", "secs", "second", "seconds"],
            "2025-06-06T12:34:55.789123Z",
            "2025-06-06T12:34:56Z",
        ),
        (
            &["m", "min", "mins", "minute", "minutes"],
            "2025-06-06T12:33:56.789123Z",
            "2025-06-06T12:34:00Z",
        ),
        (
            &["h", "hr", "hrs", "hour", "hours"],
            "2025-06-06T11:34:56.789123Z",
            "2025-06-06T12:00:00Z",
        ),
        (
            &["d", "day", "days"],
            "2025-06-05T12:34:56.789123Z",
            "2025-06-06T00:00:00Z",
        ),
        (
            &["w", "week", "weeks"],
            "2025-05-30T12:34:56.789123Z",
            "2025-06-01T00:00:00Z",
        ),
        (
            &["mon", "month", "months"],
            "2025-05-06T12:34:56.789123Z",
            "2025-06-01T00:00:00Z",
        ),
        (
            &["q", "qtr", "qtrs", "quarter", "quarters"],
            "2025-03-06T12:34:56.789123Z",
            "2025-04-01T00:00:00Z",
        ),
        (
            &["y", "yr", "yrs", "year", "years"],
            "2024-06-06T12:34:56.789123Z",
            "2025-01-01T00:00:00Z",
        ),
    ] {
        let now = "2025-06-06T12:34:56.789123Z";
        for name in names {
            assert_eq!(
                resolve(&format!("-1{name}"), now, Tz::UTC),
                expected,
                "{name}"
            );
            assert_eq!(
                resolve(&format!("-{name}"), now, Tz::UTC),
                expected,
                "{name}"
            );
            assert_eq!(
                resolve(&format!("@{name}"), now, Tz::UTC),
                snapped,
                "{name}"
            );
        }
    }
}

#[test]
fn a_snap_on_its_own_boundary_stays() {
    for (spec, now) in [
        ("@w0", "2025-06-01T00:00:00Z"),
        ("@w1", "2025-06-02T00:00:00Z"),
        ("@d", "2025-06-02T00:00:00Z"),
        ("@q", "2025-10-01T00:00:00Z"),
    ] {
        assert_eq!(resolve(spec, now, Tz::UTC), now, "{spec}");
    }
    assert_eq!(
        resolve("@w1", "2025-06-01T23:59:59Z", Tz::UTC),
        "2025-05-26T00:00:00Z"
    );
}

#[test]
fn months_clamp_the_day() {
    for (spec, now, expected) in [
        ("-1mon", "2025-01-31T08:00:00Z", "2024-12-31T08:00:00Z"),
        ("-1mon", "2025-03-31T08:00:00Z", "2025-02-28T08:00:00Z"),
        ("-1mon", "2024-03-31T08:00:00Z", "2024-02-29T08:00:00Z"),
        ("+1mon", "2025-01-31T08:00:00Z", "2025-02-28T08:00:00Z"),
        ("-1q", "2025-05-31T08:00:00Z", "2025-02-28T08:00:00Z"),
        ("-1y", "2024-02-29T08:00:00Z", "2023-02-28T08:00:00Z"),
        ("-4y", "2024-02-29T08:00:00Z", "2020-02-29T08:00:00Z"),
        ("-1mon@mon", "2025-03-31T08:00:00Z", "2025-02-01T00:00:00Z"),
        // Each step works on what the one before gave, so clamping does not undo itself.
        ("-1mon+1mon", "2025-03-31T08:00:00Z", "2025-03-28T08:00:00Z"),
        ("-13mon", "2025-01-31T08:00:00Z", "2023-12-31T08:00:00Z"),
    ] {
        assert_eq!(resolve(spec, now, Tz::UTC), expected, "{spec} at {now}");
    }
}

#[test]
fn days_follow_the_wall_clock_and_hours_do_not() {
    for (spec, now, expected) in [
        // Clocks went forward at 2026-03-08T07:00:00Z: noon EDT is 16:00Z, noon EST 17:00Z.
        ("-1d", "2026-03-08T16:00:00Z", "2026-03-07T17:00:00Z"),
        ("-24h", "2026-03-08T16:00:00Z", "2026-03-07T16:00:00Z"),
        ("-1w", "2026-03-08T16:00:00Z", "2026-03-01T17:00:00Z"),
        ("-1mon", "2026-03-08T16:00:00Z", "2026-02-08T17:00:00Z"),
        ("@d", "2026-03-08T16:00:00Z", "2026-03-08T05:00:00Z"),
        ("+1d@d", "2026-03-08T16:00:00Z", "2026-03-09T04:00:00Z"),
        // 02:30 does not exist on the day the clocks go forward.
        ("-1d", "2026-03-09T06:30:00Z", "2026-03-08T07:00:00Z"),
        // 01:30 comes twice on the day the clocks go back.
        ("-1d", "2026-11-02T06:30:00Z", "2026-11-01T05:30:00Z"),
        ("-0d", "2026-11-01T06:30:00Z", "2026-11-01T06:30:00Z"),
        ("@h", "2026-11-01T06:30:00Z", "2026-11-01T06:00:00Z"),
        ("@d", "2026-11-01T06:30:00Z", "2026-11-01T04:00:00Z"),
        // The local Friday evening is already Saturday in UTC.
        ("@w5", "2025-06-07T02:00:00Z", "2025-06-06T04:00:00Z"),
        ("@mon", "2025-07-01T02:00:00Z", "2025-06-01T04:00:00Z"),
        ("06/30/2025:14:30:05", NOW, "2025-06-30T18:30:05Z"),
        ("2025-06-30", NOW, "2025-06-30T04:00:00Z"),
        ("1700000000", NOW, "2023-11-14T22:13:20Z"),
    ] {
        let found = resolve(spec, now, America::New_York);
        assert_eq!(found, expected, "{spec} at {now}");
    }
}

#[test]
fn refusals_name_the_place_and_the_way_out() {
    for (spec, place, problem, hint) in [
        ("", 1, "it is empty", "-1d@d"),
        ("2d@d", 1, "the offset `2d` has no sign", "write -2d or +2d"),
        ("d", 1, "the offset `d` has no sign", "write -d or +d"),
        ("@d2h", 3, "the offset `2h` has no sign", "write -2h or +2h"),
        ("-1d@d@h", 6, "a second snap", "snap once"),
        ("-1d@d-1h@h", 9, "a second snap", "snap once"),
        ("-5", 3, "a unit is missing", "-24h"),
        ("-", 2, "a unit is missing", "-24h"),
        ("@", 2, "a unit is missing", "@h or @w1"),
        ("-1d@", 5, "a unit is missing", "@h or @w1"),
        ("@2d", 2, "a unit is missing", "without a number"),
        ("--1d", 2, "a unit is missing", "-24h"),
        ("-1x", 3, "unknown unit `x`", "mon (months)"),
        ("-1D", 3, "unknown unit `D`", "lower case"),
        ("-1M", 3, "unknown unit `M`", "m is minutes, mon is months"),
        ("@fortnight", 2, "unknown unit `fortnight`", "units are"),
        ("-1d@w8", 5, "there is no weekday w8", "w0 (Sunday)"),
        ("@w12", 2, "there is no weekday w12", "w0 (Sunday)"),
        ("@w00", 2, "there is no weekday w00", "w0 (Sunday)"),
        ("rt", 1, "real-time", "leave `rt` out"),
        ("rt-5m", 1, "real-time", "leave `rt` out"),
        ("now-1d", 4, "nothing may follow `now`", "leave `now` out"),
        ("yesterday", 1, "unexpected `y`", "-1d@d"),
        ("-1d @d", 4, "unexpected ` `", "-1d@d"),
        ("-1d,-2d", 4, "unexpected `,`", "-1d@d"),
        ("-1.5d", 3, "a unit is missing", "-24h"),
        ("-1d\u{e9}", 3, "unknown unit `d\u{e9}`", "units are"),
        ("\u{e9}-1d", 1, "unexpected `\u{e9}`", "-1d@d"),
        ("30/06/2025:00:00:00", 1, "has a `/`", "06/30/2025:14:30:00"),
        ("06/30/2025", 1, "has a `/`", "06/30/2025:14:30:00"),
        ("1.2.3", 1, "not a number of seconds", "1700000000"),
        ("17.", 1, "not a number of seconds", "1700000000"),
        (
            "99999999999999999999",
            1,
            "not a number of seconds",
            "1700000000",
        ),
        ("1700000000000", 1, "leaves the years", "not milliseconds"),
        ("-99999999999y", 1, "leaves the years", "smaller offset"),
        ("@d-9999y", 3, "leaves the years", "smaller offset"),
        (
            "+9223372036854775807s",
            1,
            "leaves the years",
            "smaller offset",
        ),
        (
            "-9223372036854775807w",
            1,
            "leaves the years",
            "smaller offset",
        ),
        (
            "-99999999999999999999d",
            1,
            "the number is too large",
            "larger unit",
        ),
    ] {
        let error = resolve_relative(spec, at(NOW), Tz::UTC).unwrap_err();
        let message = error.to_string();
        let TimeError::Relative { text, position, .. } = error else {
            panic!("{spec}: {message}");
        };
        assert_eq!((text.as_str(), position), (spec, place), "{message}");
        assert!(message.contains(problem), "{spec}: {message}");
        assert!(message.contains(hint), "{spec}: {message}");
    }
}

#[test]
fn a_broken_date_is_reported_as_a_date() {
    let error = resolve_relative("2025-06-31", at(NOW), Tz::UTC).unwrap_err();
    assert!(matches!(error, TimeError::Instant { .. }), "{error}");
}

#[test]
fn fixed_times_are_known_as_such() {
    for (spec, fixed) in [
        ("0", true),
        ("2025-06-30", true),
        ("now", false),
        ("@d", false),
    ] {
        assert_eq!(
            RelativeTime::parse(spec).unwrap().is_fixed(),
            fixed,
            "{spec}"
        );
    }
}
