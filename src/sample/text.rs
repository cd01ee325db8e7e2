//! Bytes of JSON and of timestamps, written by hand: a generator of millions of rows cannot afford a tree of values a row.
//! It knows nothing of events.

/// Microseconds of a second, of a day.
pub(crate) const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400 * SECOND;

const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

/// Appends text as the inside of a JSON string.
pub(crate) fn put_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut clean = 0;
    for (position, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[clean..position]);
        clean = position + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(LOWER[usize::from(byte >> 4)]);
                out.push(LOWER[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[clean..]);
}

/// Appends a number in decimal.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut position = digits.len();
    let mut rest = number;
    loop {
        position -= 1;
        digits[position] = digit(rest % 10);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[position..]);
}

/// Appends a number in decimal, with leading zeros up to `width`.
pub(crate) fn put_padded(out: &mut Vec<u8>, number: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = number;
    for slot in out[start..].iter_mut().rev() {
        *slot = digit(rest % 10);
        rest /= 10;
    }
}

/// Appends the low `width` hex digits.
pub(crate) fn put_hex(out: &mut Vec<u8>, number: u64, width: u32, upper: bool) {
    let digits = if upper { UPPER } else { LOWER };
    for place in (0..width).rev() {
        let nibble = (number >> (place * 4)) & 15;
        out.push(digits[usize::try_from(nibble).unwrap_or(0)]);
    }
}

/// Appends `0x…` as Windows writes ids: lower case, no leading zeros.
pub(crate) fn put_hex_id(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(b"0x");
    let width = (64 - number.leading_zeros()).div_ceil(4).max(1);
    put_hex(out, number, width, false);
}

/// Appends `2026-01-03` for days since 1970-01-01.
pub(crate) fn put_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil(days);
    put_padded(out, year, 4);
    out.push(b'-');
    put_padded(out, month, 2);
    out.push(b'-');
    put_padded(out, day, 2);
}

/// Appends `2026-01-03<separator>14:05:07` for microseconds since 1970.
pub(crate) fn put_seconds(out: &mut Vec<u8>, micros: i64, separator: u8) {
    put_date(out, micros.div_euclid(DAY));
    out.push(separator);
    let seconds = u64::try_from(micros.rem_euclid(DAY) / SECOND).unwrap_or(0);
    put_padded(out, seconds / 3600, 2);
    out.push(b':');
    put_padded(out, seconds / 60 % 60, 2);
    out.push(b':');
    put_padded(out, seconds % 60, 2);
}

/// Appends `2026-01-03T14:05:07.123456Z`, as flattened EVTX has `TimeCreated`.
pub(crate) fn put_iso(out: &mut Vec<u8>, micros: i64) {
    put_seconds(out, micros, b'T');
    out.push(b'.');
    put_padded(out, fraction(micros), 6);
    out.push(b'Z');
}

/// Appends `2026-01-03 14:05:07.123`, as Sysmon writes `UtcTime`.
pub(crate) fn put_utc_time(out: &mut Vec<u8>, micros: i64) {
    put_seconds(out, micros, b' ');
    out.push(b'.');
    put_padded(out, fraction(micros) / 1000, 3);
}

/// Microseconds that New York's clock is away from UTC at a moment (negative: behind). The rule since 2007:
/// summer time from 02:00 on the second Sunday of March to 02:00 on the first Sunday of November.
pub(crate) fn new_york_offset(micros: i64) -> i64 {
    const HOUR: i64 = 3600 * SECOND;
    let (year, ..) = civil(micros.div_euclid(DAY));
    let begin = sunday(year, 3, 2) * DAY + 7 * HOUR;
    let end = sunday(year, 11, 1) * DAY + 6 * HOUR;
    if (begin..end).contains(&micros) {
        -4 * HOUR
    } else {
        -5 * HOUR
    }
}

fn sunday(year: u64, month: u32, nth: i64) -> i64 {
    let first = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).unwrap_or(1970), month, 1)
        .map_or(0, |date| i64::from(date.to_epoch_days()));
    // 1970-01-01 was a Thursday, so day 3 was a Sunday.
    first + (3 - first).rem_euclid(7) + (nth - 1) * 7
}

/// Year, month and day of a day number (Howard Hinnant's `civil_from_days`), for years from 0 on.
fn civil(days: i64) -> (u64, u64, u64) {
    let shifted = u64::try_from(days + 719_468).unwrap_or(0);
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn fraction(micros: i64) -> u64 {
    u64::try_from(micros.rem_euclid(SECOND)).unwrap_or(0)
}

fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value).unwrap_or(0)
}

/// The bytes as text. Everything written here is ASCII or was `str` before.
pub(crate) fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::with_capacity(40);
    write(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        chrono::DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp_micros()
    }

    #[test]
    fn escapes_what_json_must_escape_and_nothing_else() {
        let text = "cd \\ 1> \"x\"\r\n\t\u{1} ®";
        let written = text_of(|out| put_escaped(out, text));
        assert_eq!(written, "cd \\\\ 1> \\\"x\\\"\\r\\n\\t\\u0001 ®");
        let back: String = serde_json::from_str(&format!("\"{written}\"")).unwrap();
        assert_eq!(back, text);
    }

    #[test]
    fn times_read_as_the_logs_write_them() {
        let moment = micros("2026-02-28T23:59:07.012345Z");
        assert_eq!(
            text_of(|out| put_iso(out, moment)),
            "2026-02-28T23:59:07.012345Z"
        );
        assert_eq!(
            text_of(|out| put_utc_time(out, moment)),
            "2026-02-28 23:59:07.012"
        );
        for day in (0..60_000).step_by(17) {
            let expected = chrono::NaiveDate::from_epoch_days(day).unwrap().to_string();
            assert_eq!(text_of(|out| put_date(out, i64::from(day))), expected);
        }
    }

    #[test]
    fn numbers_and_ids() {
        assert_eq!(
            text_of(|out| put_number(out, u64::MAX)),
            u64::MAX.to_string()
        );
        assert_eq!(text_of(|out| put_number(out, 0)), "0");
        assert_eq!(text_of(|out| put_hex_id(out, 0x3e7)), "0x3e7");
        assert_eq!(text_of(|out| put_hex_id(out, 0)), "0x0");
        assert_eq!(text_of(|out| put_hex(out, 0xA3C, 4, true)), "0A3C");
    }

    #[test]
    fn new_york_changes_its_clock_in_march_and_november() {
        let hours = |text: &str| new_york_offset(micros(text)) / SECOND / 3600;
        assert_eq!(hours("2026-01-01T00:00:00Z"), -5);
        assert_eq!(hours("2026-03-08T06:59:59Z"), -5);
        assert_eq!(hours("2026-03-08T07:00:00Z"), -4);
        assert_eq!(hours("2026-11-01T05:59:59Z"), -4);
        assert_eq!(hours("2026-11-01T06:00:00Z"), -5);
    }
}
