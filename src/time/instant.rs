//! Points in time as people write them, with or without an offset, and time zones by name.
//! Relative times are `relative`'s.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use chrono_tz::Tz;

use super::{TimeError, calendar};

const FORMS: &str = "write 2026-01-31, 2026-01-31 14:30, 2026-01-31T14:30:05.25, or with a zone 2026-01-31T14:30:00Z or 2026-01-31T14:30:00+02:00";

/// A point in time before a time zone was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// The text named its offset.
    Instant(DateTime<Utc>),
    /// A wall-clock time somewhere.
    Local(NaiveDateTime),
}

impl Written {
    /// The instant, in `timezone` where the text named no offset; `None` outside the years 1 to 9999.
    pub(super) fn resolve(self, timezone: Tz) -> Option<DateTime<Utc>> {
        match self {
            Self::Instant(instant) => calendar::in_range(instant),
            Self::Local(local) => calendar::instant_of(local, timezone),
        }
    }
}

/// Reads a point in time: `YYYY-MM-DD` (its midnight), `YYYY-MM-DD HH:MM[:SS[.fraction]]` with a
/// blank or `T` between, and any of those with a time followed by `Z` or `±HH:MM` (RFC 3339).
/// Without an offset it is a wall-clock time of `timezone`; one that the zone skips gives the
/// first instant after the skip, one that it has twice the earlier.
///
/// # Errors
/// [`TimeError::Instant`], which lists the forms.
///
/// # Example
/// `parse_instant("2026-01-31", Tz::UTC)` is 2026-01-31T00:00:00Z.
pub fn parse_instant(text: &str, timezone: Tz) -> Result<DateTime<Utc>, TimeError> {
    parse_written(text)?
        .resolve(timezone)
        .ok_or_else(|| error(text, "it is out of range", "years are 0001 to 9999"))
}

/// An instant as everything outside sees it: RFC 3339 with `Z`, a fraction only where there is one.
pub fn format_instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Reads the name of a time zone of the IANA database, as `UTC` or `Europe/Berlin`.
///
/// # Errors
/// [`TimeError::Timezone`] for a name the database does not have.
pub fn parse_timezone(text: &str) -> Result<Tz, TimeError> {
    text.parse().map_err(|_| TimeError::Timezone {
        text: text.to_owned(),
        hint: "write a name of the IANA database, as UTC, Europe/Berlin or America/New_York; case matters".to_owned(),
    })
}

/// The reading half of [`parse_instant`].
pub(super) fn parse_written(text: &str) -> Result<Written, TimeError> {
    let text = text.trim();
    // The shape is checked first, because chrono's own parser takes signs, blanks and short fields.
    let Some(date_text) = text.get(..10).filter(|date| has_shape(date, "dddd-dd-dd")) else {
        return Err(error(
            text,
            "it does not begin with a date YYYY-MM-DD",
            FORMS,
        ));
    };
    let Some(date) = number(date_text, 0..4)
        .zip(number(date_text, 5..7))
        .zip(number(date_text, 8..10))
        .and_then(|((year, month), day)| {
            NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
        })
    else {
        let problem = format!("there is no day {date_text}");
        return Err(error(text, &problem, FORMS));
    };
    let rest = text.get(10..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(Written::Local(date.and_time(NaiveTime::MIN)));
    }
    let Some(time_and_zone) = rest.strip_prefix(['T', 't', ' ']) else {
        let problem = format!("`{rest}` follows the date");
        return Err(error(text, &problem, FORMS));
    };
    let (time_text, zone_text) = time_and_zone.split_at(
        time_and_zone
            .find(|character: char| !matches!(character, '0'..='9' | ':' | '.'))
            .unwrap_or(time_and_zone.len()),
    );
    let Some(time) = parse_time(time_text) else {
        let problem = format!("`{time_text}` is not a time of day HH:MM[:SS[.fraction]]");
        return Err(error(text, &problem, FORMS));
    };
    let local = date.and_time(time);
    if zone_text.is_empty() {
        return Ok(Written::Local(local));
    }
    let Some(offset) = parse_offset(zone_text) else {
        let problem = format!("`{zone_text}` is neither Z nor an offset as +02:00");
        return Err(error(text, &problem, FORMS));
    };
    local
        .and_local_timezone(offset)
        .single()
        .map(|instant| Written::Instant(instant.with_timezone(&Utc)))
        .ok_or_else(|| error(text, "it is out of range", "years are 0001 to 9999"))
}

fn parse_time(text: &str) -> Option<NaiveTime> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) if has_shape(clock, "dd:dd:dd") => (clock, fraction),
        Some(_) => return None,
        None => (text, "0"),
    };
    if !has_shape(clock, "dd:dd:dd") && !has_shape(clock, "dd:dd") {
        return None;
    }
    let seconds = if clock.len() == 5 {
        0
    } else {
        number(clock, 6..8)?
    };
    NaiveTime::from_hms_nano_opt(
        number(clock, 0..2)?,
        number(clock, 3..5)?,
        seconds,
        parse_fraction(fraction)?,
    )
}

/// The digits after a decimal point of a second, as nanoseconds; 1 to 9 digits.
pub(super) fn parse_fraction(digits: &str) -> Option<u32> {
    if !(1..=9).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<9}").parse().ok()
}

fn parse_offset(text: &str) -> Option<FixedOffset> {
    if matches!(text, "Z" | "z") {
        return FixedOffset::east_opt(0);
    }
    let (sign, clock) = match text.split_at_checked(1)? {
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        _ => return None,
    };
    if !has_shape(clock, "dd:dd") {
        return None;
    }
    let (hours, minutes) = (number(clock, 0..2)?, number(clock, 3..5)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    FixedOffset::east_opt(sign * seconds)
}

fn number(text: &str, range: std::ops::Range<usize>) -> Option<u32> {
    text.get(range)?.parse().ok()
}

/// Whether `text` looks like `shape`, where `d` is a digit and anything else itself.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, expected)| {
            if expected == b'd' {
                byte.is_ascii_digit()
            } else {
                byte == expected
            }
        })
}

fn error(text: &str, problem: &str, hint: &str) -> TimeError {
    TimeError::Instant {
        text: text.to_owned(),
        problem: problem.to_owned(),
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::America;

    #[test]
    fn reads_instants() {
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31 14:30", "2026-01-31T14:30:00Z"),
            ("2026-01-31T14:30", "2026-01-31T14:30:00Z"),
            ("2026-01-31 14:30:05", "2026-01-31T14:30:05Z"),
            ("2026-01-31T14:30:05.25", "2026-01-31T14:30:05.250Z"),
            (
                "2026-01-31T14:30:05.123456789",
                "2026-01-31T14:30:05.123456789Z",
            ),
            ("2026-01-31T14:30:05Z", "2026-01-31T14:30:05Z"),
            ("2026-01-31t14:30:05.5z", "2026-01-31T14:30:05.500Z"),
            ("2026-01-31T14:30:05+02:00", "2026-01-31T12:30:05Z"),
            ("2026-01-31T14:30-05:30", "2026-01-31T20:00:00Z"),
            (" 2026-01-31 ", "2026-01-31T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
        ] {
            let found = parse_instant(text, Tz::UTC).unwrap();
            assert_eq!(format_instant(found), expected, "{text}");
        }
    }

    #[test]
    fn the_zone_applies_only_where_no_offset_is_written() {
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T05:00:00Z"),
            ("2026-07-31 12:00", "2026-07-31T16:00:00Z"),
            ("2026-07-31T12:00Z", "2026-07-31T12:00:00Z"),
            // Skipped and repeated wall-clock times.
            ("2026-03-08 02:30", "2026-03-08T07:00:00Z"),
            ("2026-11-01 01:30", "2026-11-01T05:30:00Z"),
        ] {
            let found = parse_instant(text, America::New_York).unwrap();
            assert_eq!(format_instant(found), expected, "{text}");
        }
    }

    #[test]
    fn refuses_everything_else_and_lists_the_forms() {
        for (text, expected) in [
            ("", "does not begin with a date"),
            ("yesterday", "does not begin with a date"),
            ("2026", "does not begin with a date"),
            ("2026-1-31", "does not begin with a date"),
            ("20260131", "does not begin with a date"),
            ("+2026-01-31", "does not begin with a date"),
            ("31.01.2026", "does not begin with a date"),
            ("2026-02-30", "there is no day 2026-02-30"),
            ("2026-13-01", "there is no day"),
            ("2026-01-31x", "`x` follows the date"),
            ("2026-01-31T", "`` is not a time of day"),
            ("2026-01-31 14", "`14` is not a time of day"),
            ("2026-01-31 24:00", "`24:00` is not a time of day"),
            ("2026-01-31 23:59:60", "`23:59:60` is not a time of day"),
            ("2026-01-31 14:30.5", "not a time of day"),
            ("2026-01-31 14:30:05.", "not a time of day"),
            ("2026-01-31 14:30:05.1234567890", "not a time of day"),
            ("2026-01-31T14:30:05 Z", "` Z` is neither"),
            ("2026-01-31T14:30:05+0200", "`+0200` is neither"),
            ("2026-01-31T14:30:05+24:00", "neither"),
            ("2026-01-31T14:30:05 Europe/Berlin", "neither"),
            ("２026-01-31", "does not begin with a date"),
        ] {
            let message = parse_instant(text, Tz::UTC).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(message.contains("hint: write 2026-01-31, "), "{message}");
        }
        assert!(parse_instant("0000-01-01", Tz::UTC).is_err());
        assert!(parse_instant("9999-12-31T23:59:59-12:00", Tz::UTC).is_err());
    }

    #[test]
    fn reads_time_zones() {
        assert_eq!(parse_timezone("UTC").unwrap(), Tz::UTC);
        assert_eq!(
            parse_timezone("America/New_York").unwrap(),
            America::New_York
        );
        for text in ["", "Berlin", "europe/berlin", "+02:00"] {
            let message = parse_timezone(text).unwrap_err().to_string();
            assert!(message.contains("Europe/Berlin"), "{message}");
        }
    }
}
