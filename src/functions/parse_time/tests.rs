//! Every format on the texts logs really hold, and on nonsense.

use super::*;

fn read(format: &str, text: &str) -> Option<String> {
    read_in(format, text, Tz::UTC)
}

fn read_in(format: &str, text: &str, zone: Tz) -> Option<String> {
    let micros = TimeFormat::parse(format).unwrap().parse_text(text, zone)?;
    let time = DateTime::<Utc>::from_timestamp_micros(micros).unwrap();
    Some(time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is compared with what was read"
)]
fn is(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn iso8601_may_leave_the_seconds_out() {
    let expected = is("2020-10-18T02:17:00.000000");
    for text in [
        "2020-10-18T02:17",
        "2020-10-18 02:17Z",
        "2020-10-18T04:17+02:00",
    ] {
        assert_eq!(read("iso8601", text), expected, "{text}");
    }
}

#[test]
fn iso8601_in_all_its_forms() {
    for text in [
        "2020-10-18T02:17:06.330Z",
        "2020-10-18t02:17:06.330z",
        "2020-10-18 02:17:06.330",
        "2020-10-18T02:17:06,33",
        "2020-10-18 02:17:06.330 UTC",
        " 2020-10-18T04:17:06.330+02:00 ",
        "2020-10-18T04:17:06.330+0200",
        "2020-10-18T04:17:06.330+02",
        "2020-10-17T20:47:06.330000999-05:30",
    ] {
        assert_eq!(
            read("iso8601", text),
            is("2020-10-18T02:17:06.330000"),
            "{text}"
        );
    }
    assert_eq!(
        read("iso8601", "2020-10-18"),
        is("2020-10-18T00:00:00.000000")
    );
    assert_eq!(
        read("iso8601", "2020-10-18T02:17:06.123456789Z"),
        is("2020-10-18T02:17:06.123456")
    );
    assert_eq!(
        read("iso8601", "1969-12-31T23:59:59.9999999Z"),
        is("1969-12-31T23:59:59.999999")
    );
}

#[test]
fn nonsense_is_no_time() {
    for text in [
        "",
        "2020-13-01",
        "2020-02-31",
        "2021-02-29T00:00:00Z",
        "2020-10-18T24:00:00Z",
        "2020-10-18T23:60:00Z",
        "2020-10-18T23:59:60Z",
        "2020-10-18T02:17:06.Z",
        "2020-10-18T02:17:06.1234567890Z",
        "2020-10-18T02:17:06+24:00",
        "2020-10-18T02:17:06Zx",
        "2020-10-18T02:",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "20-10-18T02:17:06Z",
        "２020-10-18",
    ] {
        assert_eq!(read("iso8601", text), None, "{text}");
    }
}

#[test]
fn numbers_since_1970_are_exact() {
    assert_eq!(
        read("unix_s", "1602987426.330001"),
        is("2020-10-18T02:17:06.330001")
    );
    assert_eq!(
        read("unix_s", "1602987426"),
        is("2020-10-18T02:17:06.000000")
    );
    assert_eq!(
        read("unix_s", "1602987426.3300019"),
        is("2020-10-18T02:17:06.330001")
    );
    assert_eq!(read("unix_s", "-0.5"), is("1969-12-31T23:59:59.500000"));
    assert_eq!(
        read("unix_s", "-0.0000001"),
        is("1969-12-31T23:59:59.999999")
    );
    assert_eq!(
        read("unix_ms", "1602987426330"),
        is("2020-10-18T02:17:06.330000")
    );
    assert_eq!(
        read("unix_ms", "1602987426330.5"),
        is("2020-10-18T02:17:06.330500")
    );
    for text in [
        "",
        "-",
        ".5",
        "1e9",
        "1.2.3",
        "0x10",
        "99999999999999999999",
        "253402300800",
    ] {
        assert_eq!(read("unix_s", text), None, "{text}");
    }
}

#[test]
fn windows_ticks() {
    assert_eq!(
        read("filetime", "132474610263300010"),
        is("2020-10-18T02:17:06.330001")
    );
    assert_eq!(
        read("filetime", "0x1d6a4f4c680ba2a"),
        read("filetime", "132474610263308842")
    );
    assert_eq!(read("filetime", "0"), is("1601-01-01T00:00:00.000000"));
    for text in ["9223372036854775807", "-1", "+1", "1.5", "0x", ""] {
        assert_eq!(read("filetime", text), None, "{text}");
    }
}

#[test]
fn patterns_are_chronos() {
    let blank = "%Y-%m-%d %H:%M:%S%.f";
    assert_eq!(
        read(blank, "2020-10-18 02:17:06.33"),
        is("2020-10-18T02:17:06.330000")
    );
    assert_eq!(
        read(blank, "2020-10-18 02:17:06"),
        is("2020-10-18T02:17:06.000000")
    );
    assert_eq!(
        read(blank, "2020-1-8 2:17:06"),
        is("2020-01-08T02:17:06.000000"),
        "chrono's way"
    );
    assert_eq!(read(blank, "2020-02-31 02:17:06"), None);
    assert_eq!(read("%Y-%m-%d %H:%M:%S", "2020-10-18 02:17:06.5"), None);
    assert_eq!(
        read("%d/%b/%Y:%H:%M:%S %z", "18/Oct/2020:04:17:06 +0200"),
        is("2020-10-18T02:17:06.000000")
    );
    assert_eq!(
        read("%m/%d/%Y", "10/18/2020"),
        is("2020-10-18T00:00:00.000000")
    );
    assert_eq!(read("%s", "1602987426"), is("2020-10-18T02:17:06.000000"));
    assert_eq!(
        read("%m/%d/%Y %I:%M:%S %p", "10/18/2020 02:17:06 PM"),
        is("2020-10-18T14:17:06.000000")
    );
}

#[test]
fn bad_formats_are_explained() {
    for (format, reason) in [
        ("rfc822", "unknown time format"),
        ("%Q", "is not a strftime pattern"),
        ("%b %d %H:%M:%S", "does not hold a whole date"),
        ("%Y-%m-%d %H:%M:%S %Z", "zone names are ambiguous"),
    ] {
        let error = TimeFormat::parse(format).unwrap_err();
        assert!(error.contains(reason) && error.contains("hint:"), "{error}");
    }
}

#[test]
fn a_zone_applies_where_the_text_has_none() {
    let zone = Tz::Europe__Berlin;
    assert_eq!(
        read_in("iso8601", "2020-07-01T12:00:00", zone),
        is("2020-07-01T10:00:00.000000")
    );
    assert_eq!(
        read_in("iso8601", "2020-07-01T12:00:00Z", zone),
        is("2020-07-01T12:00:00.000000")
    );
    assert_eq!(
        read_in("%Y-%m-%d %H:%M:%S", "2020-01-01 12:00:00", zone),
        is("2020-01-01T11:00:00.000000")
    );
    assert_eq!(
        read_in("unix_s", "0", zone),
        is("1970-01-01T00:00:00.000000")
    );
    // The hour that was twice, then the hour that was not.
    assert_eq!(
        read_in("iso8601", "2020-10-25T02:30:00", zone),
        is("2020-10-25T00:30:00.000000")
    );
    assert_eq!(
        read_in("iso8601", "2020-03-29T02:30:00", zone),
        is("2020-03-29T01:30:00.000000")
    );
}
