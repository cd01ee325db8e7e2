//! Between wall clocks and instants: where a local time lies, how a unit of time is added and
//! how it is floored. Knows units, not their spellings.

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, Months, NaiveDate, NaiveDateTime, NaiveTime,
    TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::{GapInfo, Tz};

/// Years in which times may lie: what RFC 3339 can write, without year 0.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// A unit of time. The first group has a fixed length; the second follows the calendar of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Centisecond,
    Decisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// What a time is floored to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Snap {
    /// The start of a unit; a week starts on Sunday.
    Unit(Unit),
    /// The last midnight of a weekday, in days from Sunday (0 to 6).
    Weekday(u32),
}

/// The instant, if it lies in a year that can be written.
pub(super) fn in_range(instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    YEARS.contains(&instant.year()).then_some(instant)
}

/// The instant of a wall-clock time. A time that the zone skips gives the first instant after the
/// skip, one that it has twice the earlier. `None` outside the years 1 to 9999.
pub(super) fn instant_of(local: NaiveDateTime, timezone: Tz) -> Option<DateTime<Utc>> {
    if !YEARS.contains(&local.year()) {
        return None;
    }
    let found = match timezone.from_local_datetime(&local) {
        MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => instant,
        MappedLocalTime::None => GapInfo::new(&local, &timezone)?.end?,
    };
    in_range(found.with_timezone(&Utc))
}

/// `amount` units later (earlier, where negative).
///
/// Hours and smaller units are absolute: 24 hours are 24 hours on every day. Days and larger move
/// the wall clock of the zone and keep its time of day; months, quarters and years keep the day
/// of the month, or take the month's last where it has no such day. `None` outside the years 1 to
/// 9999.
pub(super) fn add(
    instant: DateTime<Utc>,
    amount: i64,
    unit: Unit,
    timezone: Tz,
) -> Option<DateTime<Utc>> {
    // Nothing added is nothing moved, also in the second pass of a repeated hour.
    if amount == 0 {
        return Some(instant);
    }
    let elapsed = match unit {
        Unit::Microsecond => Some(TimeDelta::microseconds(amount)),
        Unit::Millisecond => TimeDelta::try_milliseconds(amount),
        Unit::Centisecond => TimeDelta::try_milliseconds(amount.checked_mul(10)?),
        Unit::Decisecond => TimeDelta::try_milliseconds(amount.checked_mul(100)?),
        Unit::Second => TimeDelta::try_seconds(amount),
        Unit::Minute => TimeDelta::try_minutes(amount),
        Unit::Hour => TimeDelta::try_hours(amount),
        Unit::Day => return add_days(instant, amount, timezone),
        Unit::Week => return add_days(instant, amount.checked_mul(7)?, timezone),
        Unit::Month => return add_months(instant, amount, timezone),
        Unit::Quarter => return add_months(instant, amount.checked_mul(3)?, timezone),
        Unit::Year => return add_months(instant, amount.checked_mul(12)?, timezone),
    };
    in_range(instant.checked_add_signed(elapsed?)?)
}

fn add_days(instant: DateTime<Utc>, amount: i64, timezone: Tz) -> Option<DateTime<Utc>> {
    let local = local_of(instant, timezone);
    let days = Days::new(amount.unsigned_abs());
    let moved = if amount < 0 {
        local.checked_sub_days(days)
    } else {
        local.checked_add_days(days)
    };
    instant_of(moved?, timezone)
}

fn add_months(instant: DateTime<Utc>, amount: i64, timezone: Tz) -> Option<DateTime<Utc>> {
    let local = local_of(instant, timezone);
    let months = Months::new(u32::try_from(amount.unsigned_abs()).ok()?);
    let moved = if amount < 0 {
        local.checked_sub_months(months)
    } else {
        local.checked_add_months(months)
    };
    instant_of(moved?, timezone)
}

/// The start of what `snap` names that `instant` lies in, by the zone's wall clock; never later
/// than `instant`.
///
/// A day or longer begins at its first instant, also where midnight is skipped or comes twice. An
/// hour or minute that comes twice is floored within its own pass: the later 01:30 gives the later
/// 01:00, so that hourly tiles go on through the night the clocks go back.
pub(super) fn floor(instant: DateTime<Utc>, snap: Snap, timezone: Tz) -> Option<DateTime<Utc>> {
    let local = local_of(instant, timezone);
    let date = local.date();
    let day = match snap {
        Snap::Unit(Unit::Microsecond) => return floor_fraction(instant, 1_000),
        Snap::Unit(Unit::Millisecond) => return floor_fraction(instant, 1_000_000),
        Snap::Unit(Unit::Centisecond) => return floor_fraction(instant, 10_000_000),
        Snap::Unit(Unit::Decisecond) => return floor_fraction(instant, 100_000_000),
        Snap::Unit(Unit::Second) => return floor_fraction(instant, 1_000_000_000),
        Snap::Unit(Unit::Minute) => {
            let floored = date.and_hms_opt(local.hour(), local.minute(), 0)?;
            return latest_not_after(instant, floored, timezone);
        }
        Snap::Unit(Unit::Hour) => {
            let floored = date.and_hms_opt(local.hour(), 0, 0)?;
            return latest_not_after(instant, floored, timezone);
        }
        Snap::Unit(Unit::Day) => date,
        Snap::Unit(Unit::Week) => last_weekday(date, 0)?,
        Snap::Weekday(weekday) => last_weekday(date, weekday)?,
        Snap::Unit(Unit::Month) => date.with_day(1)?,
        Snap::Unit(Unit::Quarter) => {
            NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1)?
        }
        Snap::Unit(Unit::Year) => NaiveDate::from_ymd_opt(date.year(), 1, 1)?,
    };
    instant_of(day.and_time(NaiveTime::MIN), timezone)
}

/// Zone offsets are whole seconds, so fractions are the same in every zone.
fn floor_fraction(instant: DateTime<Utc>, nanoseconds: u32) -> Option<DateTime<Utc>> {
    let beyond = instant.timestamp_subsec_nanos() % nanoseconds;
    instant.checked_sub_signed(TimeDelta::nanoseconds(i64::from(beyond)))
}

fn latest_not_after(
    instant: DateTime<Utc>,
    local: NaiveDateTime,
    timezone: Tz,
) -> Option<DateTime<Utc>> {
    if let MappedLocalTime::Ambiguous(_, later) = timezone.from_local_datetime(&local)
        && later <= instant
    {
        return in_range(later.with_timezone(&Utc));
    }
    instant_of(local, timezone)
}

fn last_weekday(date: NaiveDate, weekday: u32) -> Option<NaiveDate> {
    let back = (date.weekday().num_days_from_sunday() + 7 - weekday) % 7;
    date.checked_sub_days(Days::new(u64::from(back)))
}

fn local_of(instant: DateTime<Utc>, timezone: Tz) -> NaiveDateTime {
    instant.with_timezone(&timezone).naive_local()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Asia, Australia, Pacific};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn local(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn skipped_wall_clock_times_move_to_the_first_instant_after_the_skip() {
        for (timezone, wall_clock, expected) in [
            (
                America::New_York,
                "2026-03-08T01:59:59",
                "2026-03-08T06:59:59Z",
            ),
            (
                America::New_York,
                "2026-03-08T02:00:00",
                "2026-03-08T07:00:00Z",
            ),
            (
                America::New_York,
                "2026-03-08T02:59:59.5",
                "2026-03-08T07:00:00Z",
            ),
            (
                America::New_York,
                "2026-03-08T03:00:00",
                "2026-03-08T07:00:00Z",
            ),
            // Midnight itself is skipped.
            (
                America::Santiago,
                "2025-09-07T00:00:00",
                "2025-09-07T04:00:00Z",
            ),
            // A whole day is skipped.
            (Pacific::Apia, "2011-12-30T12:00:00", "2011-12-30T10:00:00Z"),
        ] {
            let found = instant_of(local(wall_clock), timezone).unwrap();
            assert_eq!(found, at(expected), "{timezone} {wall_clock}");
        }
    }

    #[test]
    fn repeated_wall_clock_times_take_the_earlier() {
        let found = instant_of(local("2026-11-01T01:30:00"), America::New_York).unwrap();
        assert_eq!(found, at("2026-11-01T05:30:00Z"));
    }

    #[test]
    fn hours_floor_within_their_own_pass() {
        let hour = Snap::Unit(Unit::Hour);
        for (instant, expected) in [
            ("2026-11-01T05:30:00Z", "2026-11-01T05:00:00Z"),
            ("2026-11-01T06:30:00Z", "2026-11-01T06:00:00Z"),
            ("2026-11-01T06:00:00Z", "2026-11-01T06:00:00Z"),
        ] {
            let found = floor(at(instant), hour, America::New_York).unwrap();
            assert_eq!(found, at(expected), "{instant}");
        }
        // Half-hour offsets floor to the local hour, not the UTC one.
        assert_eq!(
            floor(at("2026-01-01T12:10:00Z"), hour, Asia::Kolkata).unwrap(),
            at("2026-01-01T11:30:00Z")
        );
    }

    #[test]
    fn a_day_begins_at_its_first_instant() {
        let day = Snap::Unit(Unit::Day);
        // Midnight comes twice in Havana when clocks go back: both passes belong to the day.
        for instant in ["2026-11-01T04:30:00Z", "2026-11-01T05:30:00Z"] {
            let found = floor(at(instant), day, America::Havana).unwrap();
            assert_eq!(found, at("2026-11-01T04:00:00Z"), "{instant}");
        }
        // Midnight is skipped in Santiago when clocks go forward.
        assert_eq!(
            floor(at("2025-09-07T15:00:00Z"), day, America::Santiago).unwrap(),
            at("2025-09-07T04:00:00Z")
        );
    }

    #[test]
    fn a_floor_is_never_later_and_floors_to_itself() {
        let snaps = [
            Unit::Decisecond,
            Unit::Second,
            Unit::Minute,
            Unit::Hour,
            Unit::Day,
            Unit::Week,
            Unit::Month,
            Unit::Quarter,
            Unit::Year,
        ]
        .map(Snap::Unit)
        .into_iter()
        .chain((0..7).map(Snap::Weekday));
        for snap in snaps {
            for timezone in [
                Tz::UTC,
                America::New_York,
                America::Havana,
                America::Santiago,
                Australia::Lord_Howe,
            ] {
                let mut instant = at("2025-01-01T00:07:11.730Z");
                while instant < at("2027-01-01T00:00:00Z") {
                    let once = floor(instant, snap, timezone).unwrap();
                    assert!(once <= instant, "{timezone} {snap:?} {instant}");
                    let twice = floor(once, snap, timezone).unwrap();
                    assert_eq!(twice, once, "{timezone} {snap:?} {instant}");
                    instant += TimeDelta::minutes(397);
                }
            }
        }
    }

    #[test]
    fn out_of_range_is_none() {
        let now = at("2026-01-01T00:00:00Z");
        for unit in [
            Unit::Microsecond,
            Unit::Centisecond,
            Unit::Decisecond,
            Unit::Hour,
            Unit::Day,
            Unit::Week,
            Unit::Month,
            Unit::Quarter,
            Unit::Year,
        ] {
            assert_eq!(add(now, i64::MIN, unit, Tz::UTC), None, "{unit:?}");
            assert_eq!(add(now, i64::MAX, unit, Tz::UTC), None, "{unit:?}");
        }
        assert_eq!(add(now, 7974, Unit::Year, Tz::UTC), None);
        assert!(add(now, 7973, Unit::Year, Tz::UTC).is_some());
        assert_eq!(add(now, -2026, Unit::Year, Tz::UTC), None);
    }
}
