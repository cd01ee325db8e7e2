//! Splunk's relative times: `-1d@d`, `@w1`, `-70m@m`. Users know this grammar, so it is the
//! interface wherever a time is relative (help.splunk.com, "Time modifiers"). What units do to a
//! time is `calendar`'s; which flag or file a text came from is the caller's to say.

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;

use super::calendar::{self, Snap, Unit};
use super::instant::{Written, parse_fraction, parse_written};
use super::{TimeError, format_instant};

const EXAMPLES: &str = "write offsets and at most one snap, as -24h, -1d@d, @w1, -mon@mon or -1d@d+2h; or now; or a date";
const UNIT_NAMES: &str = "units are s, m (minutes), h, d, w, mon (months), q, y and their long names, and us, ms, cs, ds; a snap also takes w0 (Sunday) to w6";

/// Resolves a relative time against `now`; see [`RelativeTime`] for the grammar and its rules.
///
/// # Errors
/// [`TimeError::Relative`] with the position in the text, or [`TimeError::Instant`] where the
/// text begins like a date.
///
/// # Example
/// At 2025-06-06T12:00:00Z, in UTC, `-70m@m` is 2025-06-06T10:50:00Z.
pub fn resolve_relative(
    spec: &str,
    now: DateTime<Utc>,
    timezone: Tz,
) -> Result<DateTime<Utc>, TimeError> {
    RelativeTime::parse(spec)?.resolve(now, timezone)
}

/// A relative time, read once and resolved against many "now"s.
///
/// ```text
/// spec   := "now" | "now()" | epoch | absolute | offset* snap? offset*
/// offset := ("+" | "-") integer? unit             integer: 1 where left out
/// snap   := "@" (unit | "w0" .. "w7")
/// unit   := s sec secs second seconds | m min mins minute minutes | h hr hrs hour hours
///         | d day days | w week weeks | mon month months | q qtr qtrs quarter quarters
///         | y yr yrs year years | us | ms | cs | ds
/// ```
///
/// - Steps apply from left to right, each to the instant the one before gave.
/// - Hours and smaller offsets are absolute. Days and larger move the zone's wall clock and keep
///   its time of day, so `-1d` is 23 or 25 hours across a clock change.
/// - Months, quarters (3 months) and years keep the day of the month, or take the month's last:
///   `-1mon` from 31 March is the last of February.
/// - A snap floors, by the zone's wall clock: `@w` and `@week` are Sunday, as are `@w0` and
///   `@w7`; `@w1` is Monday, `@w6` Saturday; `@q` is 1 January, April, July or October. On the
///   day itself it gives that day.
/// - A wall-clock time that the zone skips gives the first instant after the skip, one that it has
///   twice the earlier; only snaps to hours and minutes stay in the pass they are in.
/// - `epoch` is seconds since 1970 with up to nine decimals. `0` (earliest data) and `1` (all time)
///   both mean 1970-01-01.
/// - `absolute` is `%m/%d/%Y:%H:%M:%S` or anything `parse_instant` reads; without an offset it is
///   the zone's wall clock.
/// - Units are lower case. Unsigned offsets, a second snap and real-time (`rt`) are refused, as is
///   everything that leaves the years 1 to 9999.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelativeTime {
    text: String,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Fixed(Written),
    /// No steps is "now".
    Steps(Vec<Step>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// Where the step begins, in characters from 1.
    position: usize,
    change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Offset(i64, Unit),
    Snap(Snap),
}

impl RelativeTime {
    /// Reads a relative time; blanks around it do not count.
    ///
    /// # Errors
    /// As [`resolve_relative`], for all that does not depend on "now".
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        let form = if matches!(text, "now" | "now()") {
            Form::Steps(Vec::new())
        } else if let Some(written) = parse_fixed(text)? {
            Form::Fixed(written)
        } else {
            Form::Steps(Scanner { text, at: 0 }.steps()?)
        };
        Ok(Self {
            text: text.to_owned(),
            form,
        })
    }

    /// The instant it means at `now` in `timezone`.
    ///
    /// # Errors
    /// [`TimeError::Relative`] where the result leaves the years 1 to 9999.
    pub fn resolve(&self, now: DateTime<Utc>, timezone: Tz) -> Result<DateTime<Utc>, TimeError> {
        let out_of_range = |position| {
            let now = format_instant(now);
            fail(
                &self.text,
                position,
                &format!("counted from {now} this leaves the years 1 to 9999"),
                "use a smaller offset; epoch times are in seconds, not milliseconds",
            )
        };
        match &self.form {
            Form::Fixed(written) => written.resolve(timezone).ok_or_else(|| out_of_range(1)),
            Form::Steps(steps) => {
                let start = calendar::in_range(now).ok_or_else(|| out_of_range(1))?;
                steps.iter().try_fold(start, |instant, step| {
                    match step.change {
                        Change::Offset(amount, unit) => {
                            calendar::add(instant, amount, unit, timezone)
                        }
                        Change::Snap(snap) => calendar::floor(instant, snap, timezone),
                    }
                    .ok_or_else(|| out_of_range(step.position))
                })
            }
        }
    }

    /// Whether it means the same instant at every "now": an epoch or absolute time.
    pub fn is_fixed(&self) -> bool {
        matches!(self.form, Form::Fixed(_))
    }

    /// The text it was read from, without blanks around it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The forms that do not depend on "now"; `None` where the text is none of them.
fn parse_fixed(text: &str) -> Result<Option<Written>, TimeError> {
    if text.contains('/') {
        return NaiveDateTime::parse_from_str(text, "%m/%d/%Y:%H:%M:%S")
            .map(|local| Some(Written::Local(local)))
            .map_err(|_| {
                fail(
                    text,
                    1,
                    "it has a `/` but is not %m/%d/%Y:%H:%M:%S",
                    "write 06/30/2025:14:30:00, or better 2025-06-30T14:30:00Z",
                )
            });
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 4 && text.as_bytes().get(4) == Some(&b'-') {
        return parse_written(text).map(Some);
    }
    if digits == 0
        || !text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Ok(None);
    }
    // Splunk's two special epochs: earliest data, and all time.
    if matches!(text, "0" | "1") {
        return Ok(Some(Written::Instant(DateTime::UNIX_EPOCH)));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    parse_fraction(fraction)
        .zip(seconds.parse().ok())
        .and_then(|(nanoseconds, seconds)| DateTime::from_timestamp(seconds, nanoseconds))
        .map(|instant| Some(Written::Instant(instant)))
        .ok_or_else(|| {
            fail(
                text,
                1,
                "it is not a number of seconds since 1970",
                "write 1700000000 or 1700000000.25 (at most 9 decimals)",
            )
        })
}

/// Reads steps from left to right. `at` is in bytes, positions in messages are in characters.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn steps(mut self) -> Result<Vec<Step>, TimeError> {
        if self.text.is_empty() {
            return Err(self.fail(0, "it is empty", EXAMPLES));
        }
        if self.text.starts_with("rt") {
            return Err(self.fail(
                0,
                "real-time windows are not supported",
                "leave `rt` out: a hunt reads data that has arrived, as -5m to now",
            ));
        }
        if self.text.starts_with("now") {
            return Err(self.fail(
                3,
                "nothing may follow `now`",
                "leave `now` out: offsets count from it anyway, as -1d@d",
            ));
        }
        let mut steps = Vec::new();
        let mut snapped = false;
        while let Some(next) = self.rest().chars().next() {
            let begin = self.at;
            let change = match next {
                '+' | '-' => self.offset()?,
                '@' if snapped => {
                    return Err(self.fail(begin, "a second snap", "snap once, as -1d@d+2h"));
                }
                '@' => {
                    snapped = true;
                    self.snap()?
                }
                _ => return Err(self.unexpected(next)),
            };
            steps.push(Step {
                position: position(self.text, begin),
                change,
            });
        }
        Ok(steps)
    }

    fn offset(&mut self) -> Result<Change, TimeError> {
        let begin = self.at;
        let negative = self.rest().starts_with('-');
        self.at += 1;
        let digits = self.take(|character| character.is_ascii_digit());
        let amount: i64 = if digits.is_empty() {
            1
        } else {
            digits.parse().map_err(|_| {
                self.fail(
                    begin,
                    "the number is too large",
                    "use a larger unit, or a date",
                )
            })?
        };
        let unit = self.unit("an offset ends in a unit, as -24h")?;
        Ok(Change::Offset(
            if negative { -amount } else { amount },
            unit,
        ))
    }

    fn snap(&mut self) -> Result<Change, TimeError> {
        self.at += 1;
        let begin = self.at;
        let unit = self.unit("a snap is @ and a unit without a number, as @h or @w1")?;
        if self.text.get(begin..self.at) != Some("w") {
            return Ok(Change::Snap(Snap::Unit(unit)));
        }
        match self.take(|character| character.is_ascii_digit()).as_str() {
            "" => Ok(Change::Snap(Snap::Unit(Unit::Week))),
            "7" => Ok(Change::Snap(Snap::Weekday(0))),
            digits => digits
                .parse()
                .ok()
                .filter(|weekday| digits.len() == 1 && *weekday < 7)
                .map(|weekday| Change::Snap(Snap::Weekday(weekday)))
                .ok_or_else(|| {
                    self.fail(
                        begin,
                        &format!("there is no weekday w{digits}"),
                        "weekdays are w0 (Sunday) to w6 (Saturday); w7 is w0",
                    )
                }),
        }
    }

    fn unit(&mut self, missing: &str) -> Result<Unit, TimeError> {
        let begin = self.at;
        let name = self.take(char::is_alphabetic);
        if name.is_empty() {
            return Err(self.fail(begin, "a unit is missing", missing));
        }
        unit_named(&name).ok_or_else(|| {
            let hint = if unit_named(&name.to_lowercase()).is_some() {
                "units are lower case: m is minutes, mon is months"
            } else {
                UNIT_NAMES
            };
            self.fail(begin, &format!("unknown unit `{name}`"), hint)
        })
    }

    fn unexpected(&self, next: char) -> TimeError {
        let unsigned = self
            .rest()
            .trim_start_matches(|character: char| character.is_ascii_digit());
        let name: String = unsigned
            .chars()
            .take_while(|character| character.is_alphabetic())
            .collect();
        if unit_named(&name).is_some() {
            let offset = self.rest().len() - unsigned.len() + name.len();
            let offset = self.rest().get(..offset).unwrap_or_default();
            return self.fail(
                self.at,
                &format!("the offset `{offset}` has no sign"),
                &format!("write -{offset} or +{offset}"),
            );
        }
        self.fail(self.at, &format!("unexpected `{next}`"), EXAMPLES)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, keep: impl Fn(char) -> bool) -> String {
        let taken: String = self.rest().chars().take_while(|next| keep(*next)).collect();
        self.at += taken.len();
        taken
    }

    fn fail(&self, at: usize, problem: &str, hint: &str) -> TimeError {
        fail(self.text, position(self.text, at), problem, hint)
    }
}

/// The character, from 1, that begins at the byte `at`.
fn position(text: &str, at: usize) -> usize {
    text.char_indices()
        .take_while(|(byte, _)| *byte < at)
        .count()
        + 1
}

fn fail(text: &str, position: usize, problem: &str, hint: &str) -> TimeError {
    TimeError::Relative {
        text: text.to_owned(),
        position,
        problem: problem.to_owned(),
        hint: hint.to_owned(),
    }
}

fn unit_named(name: &str) -> Option<Unit> {
    Some(match name {
        "us" => Unit::Microsecond,
        "ms" => Unit::Millisecond,
        "cs" => Unit::Centisecond,
        "ds" => Unit::Decisecond,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "month" | "months" => Unit::Month,
        "q" | "qtr" | "qtrs" | "quarter" | "quarters" => Unit::Quarter,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "relative_tests.rs"]
mod tests;
