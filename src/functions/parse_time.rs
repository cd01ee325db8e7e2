//! Time formats of logs, and `parse_time(text, format [, timezone])` over them. The lake's readers use [`TimeFormat`] for
//! every row, so the two commonest forms are read digit by digit. It must not know forms or tables.

use std::fmt::Write as _;

use chrono::format::{Fixed, Item, Parsed, StrftimeItems};
use chrono::{
    DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;

/// How a text or a number says an instant.
///
/// `TimeFormat::parse` reads the name of a format: `iso8601`, `unix`, `unix_s`, `unix_ms`, `filetime`, or a pattern of chrono's
/// strftime such as `%d/%b/%Y:%H:%M:%S %z`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TimeFormat {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// RFC 3339; also with a blank for the `T`, without a zone, or a date alone.
    Iso8601,
    /// Seconds since 1970 with a fraction; the number of digits that make a microsecond.
    Unix { scale: u32 },
    /// The same in seconds, milliseconds, microseconds or nanoseconds, as its size says.
    UnixAny,
    /// Ticks of 100 ns since 1601, decimal or 0x hexadecimal.
    Filetime,
    /// A chrono pattern; `blank` when it is `%Y-%m-%d %H:%M:%S` with or without `%.f`, which has a faster way.
    Pattern {
        pattern: String,
        blank: bool,
        fraction: bool,
        items: Vec<Item<'static>>,
    },
}

/// Microseconds from 1601-01-01 to 1970-01-01.
const FILETIME_EPOCH: i64 = 11_644_473_600_000_000;
/// The years 1 to 9999: what RFC 3339 can write and every reader of the output understands.
const EARLIEST: i64 = -62_135_596_800_000_000;
const LATEST: i64 = 253_402_300_799_999_999;

impl TimeFormat {
    /// Reads the name of a format or a strftime pattern. The error, one line with a hint, says what is wrong with it.
    ///
    /// ```
    /// let format = TimeFormat::parse("%Y-%m-%d %H:%M:%S%.f")?;
    /// let micros = format.parse_text("2020-10-18 02:17:06.330", chrono_tz::UTC);
    /// ```
    pub fn parse(format: &str) -> Result<TimeFormat, String> {
        let kind = match format {
            "iso8601" => Kind::Iso8601,
            "unix" => Kind::UnixAny,
            "unix_s" => Kind::Unix { scale: 6 },
            "unix_ms" => Kind::Unix { scale: 3 },
            "filetime" => Kind::Filetime,
            pattern if pattern.contains('%') => pattern_kind(pattern)?,
            unknown => {
                return Err(format!(
                    "unknown time format '{unknown}' (hint: iso8601, unix, unix_s, unix_ms, filetime or a strftime pattern such as %Y-%m-%d %H:%M:%S)"
                ));
            }
        };
        Ok(TimeFormat { kind })
    }

    /// Whether its texts are numbers that grow with time.
    pub fn is_number(&self) -> bool {
        matches!(
            self.kind,
            Kind::Unix { .. } | Kind::UnixAny | Kind::Filetime
        )
    }

    /// The instants between which those of all numbers from `least` to `most` lie; `None` where that cannot be told.
    pub fn bounds(&self, least: i64, most: i64) -> Option<(i64, i64)> {
        if self.kind == Kind::UnixAny && unit(least) != unit(most) {
            return None;
        }
        let micros = |number: i64| self.parse_text(&number.to_string(), Tz::UTC);
        Some((micros(least)?, micros(most)?))
    }

    /// The instant in microseconds since 1970 (UTC), finer digits cut off; `None` when the text is not of this format or
    /// outside the years 1 to 9999. Blanks around the text are ignored.
    ///
    /// `zone` is where a text without an offset was written. A local time that happened twice is the earlier one; one that
    /// was skipped is read with the offset that held before, as `java.time` does.
    pub fn parse_text(&self, text: &str, zone: Tz) -> Option<i64> {
        let text = text.trim();
        let micros = match &self.kind {
            Kind::Iso8601 => iso8601(text, zone),
            Kind::Unix { scale } => decimal(text, *scale),
            Kind::UnixAny => unix_any(text),
            Kind::Filetime => filetime(text),
            Kind::Pattern {
                items,
                blank,
                fraction,
                ..
            } => blank
                .then(|| blank_separated(text, *fraction, zone))
                .flatten()
                .or_else(|| by_pattern(text, items, zone)),
        }?;
        (EARLIEST..=LATEST).contains(&micros).then_some(micros)
    }
}

fn pattern_kind(pattern: &str) -> Result<Kind, String> {
    let wrong = |reason: &str| Err(format!("time format '{pattern}' {reason}"));
    let Ok(items) = StrftimeItems::new(pattern).parse_to_owned() else {
        return wrong("is not a strftime pattern (hint: see chrono::format::strftime)");
    };
    if items.contains(&Item::Fixed(Fixed::TimezoneName)) {
        return wrong("has %Z, but zone names are ambiguous (hint: use %z, or name the time zone)");
    }
    // A pattern that cannot read back what it wrote, such as one without a year, would make every row NULL.
    let sample = DateTime::<Utc>::from_timestamp_micros(1_600_000_000_000_000).unwrap_or_default();
    let mut written = String::new();
    let complete = write!(
        written,
        "{}",
        sample.fixed_offset().format_with_items(items.iter())
    )
    .is_ok_and(|()| by_pattern(&written, &items, Tz::UTC).is_some());
    if !complete {
        return wrong(
            "does not hold a whole date (hint: it needs a year, a month and a day, or %s)",
        );
    }
    let fraction = pattern == "%Y-%m-%d %H:%M:%S%.f";
    Ok(Kind::Pattern {
        pattern: pattern.to_owned(),
        blank: fraction || pattern == "%Y-%m-%d %H:%M:%S",
        fraction,
        items,
    })
}

fn by_pattern(text: &str, items: &[Item<'static>], zone: Tz) -> Option<i64> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, items.iter()).ok()?;
    if parsed.offset().is_some() {
        return Some(parsed.to_datetime().ok()?.timestamp_micros());
    }
    if parsed.timestamp().is_some() {
        let utc = parsed.to_naive_datetime_with_offset(0).ok()?;
        return Some(utc.and_utc().timestamp_micros());
    }
    let date = parsed.to_naive_date().ok()?;
    let has_time = parsed.hour_mod_12().is_some() || parsed.minute().is_some();
    let local = if has_time {
        date.and_time(parsed.to_naive_time().ok()?)
    } else {
        date.and_hms_opt(0, 0, 0)?
    };
    in_zone(local, zone)
}

/// A local time of a zone as microseconds since 1970.
fn in_zone(local: NaiveDateTime, zone: Tz) -> Option<i64> {
    if zone == Tz::UTC {
        return Some(local.and_utc().timestamp_micros());
    }
    let offset = match zone.offset_from_local_datetime(&local) {
        MappedLocalTime::Single(offset) => offset.fix(),
        MappedLocalTime::Ambiguous(one, other) => {
            // The earlier instant is the one with the larger offset from UTC.
            let (one, other) = (one.fix(), other.fix());
            if one.local_minus_utc() >= other.local_minus_utc() {
                one
            } else {
                other
            }
        }
        // A day is longer than any gap in the database, so the day before has the offset from before the gap.
        MappedLocalTime::None => {
            let before = local.checked_sub_signed(TimeDelta::try_days(1)?)?;
            zone.offset_from_local_datetime(&before).earliest()?.fix()
        }
    };
    let micros = local.and_utc().timestamp_micros();
    micros.checked_sub(i64::from(offset.local_minus_utc()) * 1_000_000)
}

/// Takes `count` digits off the front.
fn digits(bytes: &mut &[u8], count: usize) -> Option<u32> {
    let (front, rest) = bytes.split_at_checked(count)?;
    let mut number = 0;
    for byte in front {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u32::from(byte - b'0');
    }
    *bytes = rest;
    Some(number)
}

/// Takes one byte off the front when it is one of `allowed`.
fn take_byte(bytes: &mut &[u8], allowed: &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    if !allowed.contains(first) {
        return None;
    }
    *bytes = rest;
    Some(*first)
}

fn date(bytes: &mut &[u8]) -> Option<NaiveDate> {
    let year = digits(bytes, 4)?;
    take_byte(bytes, b"-")?;
    let month = digits(bytes, 2)?;
    take_byte(bytes, b"-")?;
    let day = digits(bytes, 2)?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
}

/// `HH:MM:SS` and, where allowed, a fraction of 1 to 9 digits, cut to microseconds.
fn time_of_day(bytes: &mut &[u8], date: NaiveDate, fraction: bool) -> Option<NaiveDateTime> {
    let hour = digits(bytes, 2)?;
    take_byte(bytes, b":")?;
    let minute = digits(bytes, 2)?;
    take_byte(bytes, b":")?;
    seconds(bytes, date, (hour, minute), fraction)
}

/// ISO 8601 may leave the seconds out.
fn iso_time_of_day(bytes: &mut &[u8], date: NaiveDate) -> Option<NaiveDateTime> {
    let hour = digits(bytes, 2)?;
    take_byte(bytes, b":")?;
    let minute = digits(bytes, 2)?;
    if take_byte(bytes, b":").is_none() {
        return date.and_hms_opt(hour, minute, 0);
    }
    seconds(bytes, date, (hour, minute), true)
}

fn seconds(
    bytes: &mut &[u8],
    date: NaiveDate,
    (hour, minute): (u32, u32),
    fraction: bool,
) -> Option<NaiveDateTime> {
    let second = digits(bytes, 2)?;
    let mut micros = 0;
    if fraction && take_byte(bytes, b".,").is_some() {
        let length = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if !(1..=9).contains(&length) {
            return None;
        }
        let kept = length.min(6);
        micros = digits(bytes, kept)?;
        for _ in kept..6 {
            micros *= 10;
        }
        *bytes = bytes.get(length - kept..)?;
    }
    date.and_hms_micro_opt(hour, minute, second, micros)
}

fn blank_separated(text: &str, fraction: bool, zone: Tz) -> Option<i64> {
    let mut bytes = text.as_bytes();
    let date = date(&mut bytes)?;
    take_byte(&mut bytes, b" ")?;
    let local = time_of_day(&mut bytes, date, fraction)?;
    if !bytes.is_empty() {
        return None;
    }
    in_zone(local, zone)
}

fn iso8601(text: &str, zone: Tz) -> Option<i64> {
    let mut bytes = text.as_bytes();
    let date = date(&mut bytes)?;
    if bytes.is_empty() {
        return in_zone(date.and_hms_opt(0, 0, 0)?, zone);
    }
    take_byte(&mut bytes, b"Tt ")?;
    let local = iso_time_of_day(&mut bytes, date)?;
    if bytes.is_empty() {
        return in_zone(local, zone);
    }
    let utc = local.and_utc().timestamp_micros();
    if matches!(bytes, b"Z" | b"z" | b" UTC") {
        return Some(utc);
    }
    let sign = take_byte(&mut bytes, b"+-")?;
    let hours = digits(&mut bytes, 2)?;
    let minutes = if bytes.is_empty() {
        0
    } else {
        // Both +02:00 and +0200 are written.
        let _ = take_byte(&mut bytes, b":");
        digits(&mut bytes, 2)?
    };
    if !bytes.is_empty() || hours > 23 || minutes > 59 {
        return None;
    }
    let offset = i64::from(hours * 60 + minutes) * 60_000_000;
    Some(if sign == b'+' {
        utc - offset
    } else {
        utc + offset
    })
}

/// A decimal number times ten to the power of `scale`, exactly; further digits are cut off towards the past, so that the
/// same instant gives the same value in every format.
fn decimal(text: &str, scale: u32) -> Option<i64> {
    let (negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let mut value = whole.parse::<i64>().ok()?.checked_mul(10_i64.pow(scale))?;
    let mut rest = fraction.bytes();
    for power in (0..scale).rev() {
        let digit = rest.next().map_or(0, |byte| i64::from(byte - b'0'));
        value = value.checked_add(digit * 10_i64.pow(power))?;
    }
    if negative {
        let cut = i64::from(rest.any(|byte| byte != b'0'));
        return value.checked_neg()?.checked_sub(cut);
    }
    Some(value)
}

/// How many digits of a number since 1970 are below the second: 10^11 seconds are the year 5138, 10^11 milliseconds 1973.
fn unit(number: i64) -> u32 {
    match number.unsigned_abs() / 100_000_000_000 {
        0 => 0,
        1..1_000 => 3,
        1_000..1_000_000 => 6,
        _ => 9,
    }
}

fn unix_any(text: &str) -> Option<i64> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let whole: i64 = whole.parse().ok()?;
    match unit(whole) {
        9 => Some(whole.div_euclid(1000)),
        digits => decimal(text, 6 - digits),
    }
}

fn filetime(text: &str) -> Option<i64> {
    let ticks = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()?
        }
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
        _ => return None,
    };
    i64::try_from(ticks / 10).ok()?.checked_sub(FILETIME_EPOCH)
}

#[cfg(test)]
mod tests;
