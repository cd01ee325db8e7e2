//! Numbers, sizes and times as people read them. Knows nothing of the model.

use chrono::{DateTime, SecondsFormat, Utc};

/// `1 file`, `2 files`, `1,203 files`.
pub(super) fn count(number: usize, noun: &str) -> String {
    amount(number as u64, noun)
}

/// Like `count`, for what may be more than memory holds.
pub fn amount(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in binary units with one decimal, rounded down: `1536` is `1.5 KiB`.
pub fn bytes(number: u64) -> String {
    let mut unit = "B";
    let mut size = 1_u64;
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if number / size < 1024 {
            break;
        }
        size *= 1024;
        unit = larger;
    }
    if size == 1 {
        return format!("{number} B");
    }
    // The remainder is below `size`, at most 2^50: times ten fits.
    format!("{}.{} {unit}", number / size, number % size * 10 / size)
}

/// An instant for people: RFC 3339 to the second. The exact one is in the JSON and in the alert files.
pub(super) fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// From first to last: the day once, and one instant where both are the same to the second.
pub(super) fn span(first: DateTime<Utc>, last: DateTime<Utc>) -> String {
    if first.timestamp() == last.timestamp() {
        instant(first)
    } else if first.date_naive() == last.date_naive() {
        format!("{} to {}", instant(first), last.format("%H:%M:%SZ"))
    } else {
        format!("{} to {}", instant(first), instant(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::time;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
        assert_eq!(
            instant(time("2026-01-03T00:00:00Z")),
            "2026-01-03T00:00:00Z"
        );
        let noon = time("2026-01-03T12:00:00.5Z");
        assert_eq!(span(noon, noon), "2026-01-03T12:00:00Z");
        assert_eq!(
            span(noon, time("2026-01-03T12:00:07Z")),
            "2026-01-03T12:00:00Z to 12:00:07Z"
        );
        assert_eq!(
            span(noon, time("2026-01-04T00:00:00Z")),
            "2026-01-03T12:00:00Z to 2026-01-04T00:00:00Z"
        );
    }
}
