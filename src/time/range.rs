//! The window flags of the command line, put together. It knows their names, for its messages,
//! and nothing else of the command line.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{
    RelativeTime, TimeError, Window, format_duration, parse_duration, parse_instant,
    resolve_relative,
};

const KINDS: &str = "use one of: --from T --to T; --last 24h; --earliest SPEC [--latest SPEC]";

/// The window that the flags `--from`, `--to`, `--last`, `--earliest` and `--latest` ask for;
/// `None` where none of them is given.
///
/// - `--from T --to T`: two points in time, both needed; in `timezone` where they name no offset.
/// - `--last 24h`: the duration before `now`.
/// - `--earliest SPEC [--latest SPEC]`: relative times; `--latest` is `now` where left out.
///
/// # Errors
/// [`TimeError::WindowFlags`] for flags that do not go together or whose text cannot be read,
/// [`TimeError::EmptyWindow`] where the end is not after the start.
pub fn resolve_range(
    from: Option<&str>,
    to: Option<&str>,
    last: Option<&str>,
    earliest: Option<&str>,
    latest: Option<&str>,
    now: DateTime<Utc>,
    timezone: Tz,
) -> Result<Option<Window>, TimeError> {
    let given: Vec<String> = [
        ("--from", from),
        ("--to", to),
        ("--last", last),
        ("--earliest", earliest),
        ("--latest", latest),
    ]
    .into_iter()
    .filter_map(|(flag, value)| Some(format!("{flag} {}", value?)))
    .collect();
    let refuse = |problem: &str, hint: &str| {
        Err(TimeError::WindowFlags {
            text: given.join(" "),
            problem: problem.to_owned(),
            hint: hint.to_owned(),
        })
    };

    match (from, to, last, earliest, latest) {
        (None, None, None, None, None) => Ok(None),
        (Some(from), Some(to), None, None, None) => {
            let start = flag_instant("--from", from, timezone)?;
            let end = flag_instant("--to", to, timezone)?;
            Window::new(start, end).map(Some)
        }
        (Some(_), None, None, None, None) => refuse("--from needs --to", "add --to T"),
        (None, Some(_), None, None, None) => refuse("--to needs --from", "add --from T"),
        (None, None, Some(last), None, None) => last_window(last, now).map(Some),
        (None, None, None, Some(earliest), latest) => {
            let start = flag_relative("--earliest", earliest, now, timezone)?;
            let end = flag_relative("--latest", latest.unwrap_or("now"), now, timezone)?;
            Window::new(start, end).map(Some)
        }
        (None, None, None, None, Some(_)) => {
            refuse("--latest needs --earliest", "add --earliest SPEC, as -1d@d")
        }
        _ => refuse("these window flags do not go together", KINDS),
    }
}

fn last_window(last: &str, now: DateTime<Utc>) -> Result<Window, TimeError> {
    let duration = parse_duration(last).map_err(|error| in_flag("--last", last, &error, KINDS))?;
    let refuse = |problem: &str| TimeError::WindowFlags {
        text: format!("--last {}", format_duration(duration)),
        problem: problem.to_owned(),
        hint: "write a length of time back from now, as --last 24h".to_owned(),
    };
    if duration.is_zero() {
        return Err(refuse("the window is empty"));
    }
    let start = now
        .checked_sub_signed(duration)
        .and_then(super::calendar::in_range)
        .ok_or_else(|| refuse("the window begins before year 1"))?;
    Window::new(start, now)
}

fn flag_instant(flag: &str, text: &str, timezone: Tz) -> Result<DateTime<Utc>, TimeError> {
    parse_instant(text, timezone).map_err(|error| {
        let hint = if RelativeTime::parse(text).is_ok() {
            "--from and --to take points in time; for relative times use --earliest and --latest"
        } else {
            KINDS
        };
        in_flag(flag, text, &error, hint)
    })
}

fn flag_relative(
    flag: &str,
    text: &str,
    now: DateTime<Utc>,
    timezone: Tz,
) -> Result<DateTime<Utc>, TimeError> {
    resolve_relative(text, now, timezone).map_err(|error| in_flag(flag, text, &error, KINDS))
}

/// Says which flag a text that cannot be read was given to; keeps the reader's own hint.
fn in_flag(flag: &str, text: &str, error: &TimeError, hint: &str) -> TimeError {
    TimeError::WindowFlags {
        text: error.to_string(),
        problem: format!("cannot read `{flag} {text}`"),
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::America;

    type Flags<'a> = [Option<&'a str>; 5];

    fn resolve(flags: Flags<'_>, timezone: Tz) -> Result<Option<Window>, TimeError> {
        let now = "2025-06-06T12:00:00Z".parse().unwrap();
        let [from, to, last, earliest, latest] = flags;
        resolve_range(from, to, last, earliest, latest, now, timezone)
    }

    #[test]
    fn each_kind_gives_its_window() {
        let cases: [(Flags<'_>, Tz, &str); 8] = [
            (
                [Some("2025-06-01"), Some("2025-06-02"), None, None, None],
                Tz::UTC,
                "2025-06-01T00:00:00Z/2025-06-02T00:00:00Z",
            ),
            (
                [
                    Some("2025-06-01"),
                    Some("2025-06-01T12:00:00Z"),
                    None,
                    None,
                    None,
                ],
                America::New_York,
                "2025-06-01T04:00:00Z/2025-06-01T12:00:00Z",
            ),
            (
                [None, None, Some("24h"), None, None],
                America::New_York,
                "2025-06-05T12:00:00Z/2025-06-06T12:00:00Z",
            ),
            (
                [None, None, None, Some("-1d@d"), None],
                Tz::UTC,
                "2025-06-05T00:00:00Z/2025-06-06T12:00:00Z",
            ),
            (
                [None, None, None, Some("-1d@d"), Some("@d")],
                America::New_York,
                "2025-06-05T04:00:00Z/2025-06-06T04:00:00Z",
            ),
            (
                [None, None, None, Some("0"), Some("now()")],
                Tz::UTC,
                "1970-01-01T00:00:00Z/2025-06-06T12:00:00Z",
            ),
            (
                [None, None, None, Some("2025-06-01"), Some("-1d")],
                Tz::UTC,
                "2025-06-01T00:00:00Z/2025-06-05T12:00:00Z",
            ),
            (
                [None, None, None, Some("-70m@m"), Some("-10m@m")],
                Tz::UTC,
                "2025-06-06T10:50:00Z/2025-06-06T11:50:00Z",
            ),
        ];
        for (flags, timezone, expected) in cases {
            let window = resolve(flags, timezone).unwrap().unwrap();
            assert_eq!(window.to_string(), expected, "{flags:?}");
        }
        assert_eq!(resolve([None; 5], Tz::UTC).unwrap(), None);
    }

    #[test]
    fn refusals_say_which_flags() {
        let cases: [(Flags<'_>, &[&str]); 14] = [
            (
                [Some("2025-06-01"), None, None, None, None],
                &["--from needs --to"],
            ),
            (
                [None, Some("2025-06-01"), None, None, None],
                &["--to needs --from"],
            ),
            (
                [None, None, None, None, Some("@d")],
                &["--latest needs --earliest"],
            ),
            (
                [Some("2025-06-01"), None, Some("1d"), None, None],
                &[
                    "do not go together: --from 2025-06-01 --last 1d",
                    "use one of",
                ],
            ),
            (
                [
                    Some("2025-06-01"),
                    Some("2025-06-02"),
                    None,
                    Some("-1d"),
                    None,
                ],
                &["--from 2025-06-01 --to 2025-06-02 --earliest -1d"],
            ),
            (
                [None, None, Some("1d"), None, Some("@d")],
                &["do not go together: --last 1d --latest @d"],
            ),
            (
                [None, Some("2025-06-02"), None, Some("-1d"), None],
                &["do not go together: --to 2025-06-02 --earliest -1d"],
            ),
            (
                [Some("-1d@d"), Some("2025-06-02"), None, None, None],
                &["`--from -1d@d`", "use --earliest and --latest"],
            ),
            (
                [Some("2025-06-01"), Some("soon"), None, None, None],
                &["`--to soon`", "write 2026-01-31"],
            ),
            (
                [Some("2025-06-02"), Some("2025-06-01"), None, None, None],
                &["does not end after it starts", "swap"],
            ),
            (
                [None, None, Some("0s"), None, None],
                &["the window is empty"],
            ),
            (
                [None, None, Some("1y"), None, None],
                &["`--last 1y`", "365d"],
            ),
            (
                [None, None, Some("9999999w"), None, None],
                &["before year 1"],
            ),
            (
                [None, None, None, Some("1d"), None],
                &["`--earliest 1d`", "write -1d or +1d"],
            ),
        ];
        for (flags, expected) in cases {
            let message = resolve(flags, Tz::UTC).unwrap_err().to_string();
            for part in expected {
                assert!(message.contains(part), "{flags:?}: {message}");
            }
            assert!(message.contains("hint: "), "{message}");
        }
    }
}
