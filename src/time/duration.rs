//! Lengths of time as people write them: `24h`, `1h30m`. Only units of a fixed length; what a
//! month or a calendar day is belongs to `relative`.

use chrono::TimeDelta;

use super::TimeError;

/// Unit names and their nanoseconds, longest first: the order in which terms must be written.
const UNITS: [(&str, i128); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const FORMS: &str = "write whole numbers with w, d, h, m, s, ms, us or ns, longest unit first, as 24h, 7d, 1h30m or 500ms";

/// Reads a duration: one or more `<number><unit>`, longest unit first, each unit at most once,
/// nothing between them. Units: `w` `d` `h` `m` `s` `ms` `us` `ns`; a day is 24 hours, a week
/// 7 days. `0s` is a duration.
///
/// # Errors
/// [`TimeError::Duration`]. Years and months are refused because they have no fixed length;
/// so are signs, fractions and numbers without a unit.
///
/// # Example
/// `parse_duration("1h30m")` is 90 minutes.
pub fn parse_duration(text: &str) -> Result<TimeDelta, TimeError> {
    let error = |problem: String, hint: &str| TimeError::Duration {
        text: text.to_owned(),
        problem,
        hint: hint.to_owned(),
    };
    if text.is_empty() {
        return Err(error("it is empty".to_owned(), FORMS));
    }
    if text.starts_with(['-', '+']) {
        return Err(error("it has a sign".to_owned(), "leave the sign out"));
    }
    let too_long = || error("it is too long".to_owned(), "write at most 100000000d");

    let mut rest = text;
    let mut total: i128 = 0;
    // The index in UNITS that the next term may have at least.
    let mut next_unit = 0;
    while !rest.is_empty() {
        let (digits, after) = split_while(rest, |character| character.is_ascii_digit());
        if digits.is_empty() {
            let problem = format!("expected a number at `{rest}`");
            return Err(error(problem, FORMS));
        }
        if after.starts_with(['.', ',']) {
            return Err(error(
                "fractions are not taken".to_owned(),
                "use a smaller unit: 1h30m for one and a half hours",
            ));
        }
        let (name, after) = split_while(after, char::is_alphabetic);
        if name.is_empty() {
            let problem = format!("`{digits}` has no unit");
            return Err(error(problem, FORMS));
        }
        let Some(index) = UNITS.iter().position(|(unit, _)| *unit == name) else {
            let (problem, hint) = explain_unit(name);
            return Err(error(problem, hint));
        };
        if index < next_unit {
            let problem = format!("`{digits}{name}` comes after a unit that is not longer");
            return Err(error(problem, FORMS));
        }
        next_unit = index + 1;
        let amount: i128 = digits.parse().map_err(|_| too_long())?;
        total = UNITS
            .get(index)
            .and_then(|(_, nanoseconds)| amount.checked_mul(*nanoseconds))
            .and_then(|term| total.checked_add(term))
            .ok_or_else(too_long)?;
        rest = after;
    }
    from_nanoseconds(total).ok_or_else(too_long)
}

/// The shortest text that [`parse_duration`] reads as exactly this duration; among equally short
/// ones the one with fewer terms, then the longer units: `90s`, `1d`, `1w`, `1d1s`. Zero is `0s`.
/// A negative duration gets a leading `-`, which `parse_duration` does not read.
pub fn format_duration(duration: TimeDelta) -> String {
    let nanoseconds =
        i128::from(duration.num_seconds()) * 1_000_000_000 + i128::from(duration.subsec_nanos());
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let sign = if nanoseconds < 0 { "-" } else { "" };
    // Every choice of units: a bit a unit, the longest unit being the highest bit, so that of
    // equals the first has the longest units.
    (1_u32..1 << UNITS.len())
        .rev()
        .filter_map(|choice| spell(nanoseconds.abs(), choice))
        .min_by_key(|(terms, text)| (text.len(), *terms))
        .map_or_else(|| "0s".to_owned(), |(_, text)| format!("{sign}{text}"))
}

/// The number of terms and the text of `nanoseconds` in the units of `choice`, where that is exact.
fn spell(nanoseconds: i128, choice: u32) -> Option<(usize, String)> {
    let mut rest = nanoseconds;
    let mut terms = 0;
    let mut text = String::new();
    for (index, (name, unit)) in UNITS.iter().enumerate() {
        if choice & (1 << (UNITS.len() - 1 - index)) != 0 && rest >= *unit {
            text.push_str(&(rest / unit).to_string());
            text.push_str(name);
            rest %= unit;
            terms += 1;
        }
    }
    (rest == 0).then_some((terms, text))
}

fn explain_unit(name: &str) -> (String, &'static str) {
    match name.to_lowercase().as_str() {
        "y" | "yr" | "yrs" | "year" | "years" => (
            format!("`{name}`: a year has no fixed length"),
            "write days, as 365d",
        ),
        "mo" | "mon" | "month" | "months" | "q" | "qtr" | "quarter" | "quarters" => (
            format!("`{name}`: a month has no fixed length"),
            "write days, as 30d",
        ),
        _ if name == "M" => (
            "`M`: a month has no fixed length, and minutes are `m`".to_owned(),
            "write days, as 30d, or minutes, as 10m",
        ),
        _ => (format!("unknown unit `{name}`"), FORMS),
    }
}

fn from_nanoseconds(total: i128) -> Option<TimeDelta> {
    let seconds = i64::try_from(total / 1_000_000_000).ok()?;
    let nanoseconds = u32::try_from(total % 1_000_000_000).ok()?;
    TimeDelta::new(seconds, nanoseconds)
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(
        text.find(|character| !keep(character))
            .unwrap_or(text.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        for (text, expected) in [
            ("24h", TimeDelta::hours(24)),
            ("10m", TimeDelta::minutes(10)),
            ("7d", TimeDelta::days(7)),
            ("90s", TimeDelta::seconds(90)),
            ("1w", TimeDelta::days(7)),
            ("500ms", TimeDelta::milliseconds(500)),
            ("1h30m", TimeDelta::minutes(90)),
            (
                "1w2d3h4m5s6ms7us8ns",
                TimeDelta::new(788_645, 6_007_008).unwrap(),
            ),
            ("0s", TimeDelta::zero()),
            ("007m", TimeDelta::minutes(7)),
            ("100000000d", TimeDelta::days(100_000_000)),
        ] {
            assert_eq!(parse_duration(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_duration_and_says_why() {
        for (text, expected) in [
            ("", "it is empty"),
            ("24", "`24` has no unit"),
            ("1h30", "`30` has no unit"),
            ("h", "expected a number at `h`"),
            ("1 h", "`1` has no unit"),
            ("1h 30m", "expected a number at ` 30m`"),
            (" 1h", "expected a number at ` 1h`"),
            ("-1h", "leave the sign out"),
            ("+1h", "leave the sign out"),
            ("1.5h", "1h30m for one and a half hours"),
            ("1y", "365d"),
            ("2years", "365d"),
            ("1mon", "30d"),
            ("3months", "30d"),
            ("1M", "minutes, as 10m"),
            ("1q", "30d"),
            ("1H", "unknown unit `H`"),
            ("1hour", "unknown unit `hour`"),
            ("30m1h", "`1h` comes after"),
            ("1h1h", "`1h` comes after"),
            ("99999999999999999999w", "too long"),
            ("9999999999999999999999999999999999999999999w", "too long"),
            ("1h\u{661}m", "expected a number"),
        ] {
            let error = parse_duration(text).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(message.contains("hint: "), "{text}: {message}");
            assert!(message.starts_with(&format!("`{text}`")), "{message}");
        }
    }

    #[test]
    fn writes_the_shortest_exact_form() {
        for (duration, expected) in [
            (TimeDelta::zero(), "0s"),
            (TimeDelta::hours(24), "1d"),
            (TimeDelta::days(7), "1w"),
            (TimeDelta::days(10), "10d"),
            (TimeDelta::seconds(90), "90s"),
            (TimeDelta::minutes(90), "90m"),
            (TimeDelta::seconds(86_401), "1d1s"),
            (TimeDelta::milliseconds(1_500), "1500ms"),
            (TimeDelta::milliseconds(3_600_001), "1h1ms"),
            (TimeDelta::nanoseconds(1), "1ns"),
            (TimeDelta::hours(-1), "-1h"),
        ] {
            assert_eq!(format_duration(duration), expected);
        }
    }

    #[test]
    fn reading_undoes_writing() {
        // Steps by a number prime to every unit, over magnitudes from nanoseconds to centuries.
        let mut nanoseconds: i64 = 1;
        while nanoseconds < i64::MAX / 17 {
            for offset in [-1, 0, 1, 60_000_000_000, 86_400_000_000_000] {
                let duration = TimeDelta::nanoseconds((nanoseconds + offset).max(0));
                let text = format_duration(duration);
                assert_eq!(parse_duration(&text).unwrap(), duration, "{text}");
            }
            nanoseconds *= 7;
        }
        assert_eq!(
            parse_duration(&format_duration(TimeDelta::MAX)).unwrap(),
            TimeDelta::MAX
        );
    }
}
