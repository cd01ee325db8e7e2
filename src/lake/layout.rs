//! Path templates: which folders and files a table has, and what time and partition values a path holds.
//!
//! Pure: matches names, lists nothing.

use chrono::{DateTime, Duration, Months, NaiveDate, TimeZone, Utc};
use regex::Regex;

use crate::time::Window;

/// A parsed template such as `day={time:%Y-%m-%d}/**` or `region={region}/{time:%Y/%m/%d}/*.parquet`.
///
/// `{time:...}` pieces (`%Y %m %d %H %M %j`) say what time a path holds, `{name}` is a partition column (text),
/// `*` any characters of one name, `**` (last) everything below.
#[derive(Debug, Clone)]
pub struct Layout {
    segments: Vec<Segment>,
    partitions: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Segment {
    /// Names that match; the captures in order.
    Name(Regex, Vec<Capture>),
    /// Everything below.
    Rest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Capture {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Partition(String),
}

/// What the folders of a path have said so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathValues {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: Option<u32>,
    minute: Option<u32>,
    /// Partition columns and their text.
    pub partitions: Vec<(String, String)>,
}

impl Layout {
    /// Parses a template.
    ///
    /// # Errors
    /// What is wrong with it, for the caller to place.
    pub fn parse(template: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut partitions: Vec<String> = Vec::new();
        let mut pattern = String::new();
        let mut captures = Vec::new();
        let mut rest = template;
        let mut ended = false;
        let close =
            |pattern: &mut String, captures: &mut Vec<Capture>, segments: &mut Vec<Segment>| {
                if pattern.is_empty() {
                    return Err("it has an empty folder name".to_owned());
                }
                let regex = Regex::new(&format!("^{pattern}$")).map_err(|e| e.to_string())?;
                segments.push(Segment::Name(regex, std::mem::take(captures)));
                pattern.clear();
                Ok(())
            };
        while let Some(first) = rest.chars().next() {
            if ended {
                return Err("`**` must be its last part".to_owned());
            }
            if let Some(after) = rest.strip_prefix("**") {
                if !pattern.is_empty() {
                    return Err("`**` must stand alone between slashes".to_owned());
                }
                segments.push(Segment::Rest);
                ended = true;
                rest = after;
                continue;
            }
            match first {
                '/' => {
                    close(&mut pattern, &mut captures, &mut segments)?;
                    rest = &rest[1..];
                }
                '*' => {
                    pattern.push_str("[^/]*");
                    rest = &rest[1..];
                }
                '{' => {
                    let end = rest.find('}').ok_or("a `{` is not closed")?;
                    let piece = &rest[1..end];
                    rest = &rest[end + 1..];
                    if let Some(format) = piece.strip_prefix("time:") {
                        let mut format = format.chars();
                        while let Some(c) = format.next() {
                            match c {
                                '/' => close(&mut pattern, &mut captures, &mut segments)?,
                                '%' => {
                                    let (capture, digits) = match format.next() {
                                        Some('Y') => (Capture::Year, r"(\d{4})"),
                                        Some('m') => (Capture::Month, r"(\d{1,2})"),
                                        Some('d') => (Capture::Day, r"(\d{1,2})"),
                                        Some('j') => (Capture::DayOfYear, r"(\d{1,3})"),
                                        Some('H') => (Capture::Hour, r"(\d{1,2})"),
                                        Some('M') => (Capture::Minute, r"(\d{1,2})"),
                                        other => {
                                            let other = other.map(String::from).unwrap_or_default();
                                            return Err(format!(
                                                "`%{other}` cannot be part of a path's time; use %Y %m %d %j %H %M"
                                            ));
                                        }
                                    };
                                    captures.push(capture);
                                    pattern.push_str(digits);
                                }
                                literal => pattern.push_str(&regex::escape(&literal.to_string())),
                            }
                        }
                    } else {
                        if piece.is_empty()
                            || !piece.chars().all(|c| c.is_alphanumeric() || c == '_')
                        {
                            return Err(format!(
                                "`{{{piece}}}` is neither {{time:...}} nor a column name"
                            ));
                        }
                        captures.push(Capture::Partition(piece.to_owned()));
                        if !partitions.iter().any(|name| name == piece) {
                            partitions.push(piece.to_owned());
                        }
                        pattern.push_str("([^/]*)");
                    }
                }
                literal => {
                    pattern.push_str(&regex::escape(&literal.to_string()));
                    rest = &rest[literal.len_utf8()..];
                }
            }
        }
        if !ended {
            close(&mut pattern, &mut captures, &mut segments)?;
        }
        Ok(Self {
            segments,
            partitions,
        })
    }

    /// The names of the partition columns, in order.
    pub fn partitions(&self) -> &[String] {
        &self.partitions
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl PathValues {
    /// Adds what a name says, or `None` when it does not match.
    pub(super) fn with(&self, regex: &Regex, captures: &[Capture], name: &str) -> Option<Self> {
        let found = regex.captures(name)?;
        let mut values = self.clone();
        for (index, capture) in captures.iter().enumerate() {
            let text = found.get(index + 1)?.as_str();
            match capture {
                Capture::Year => values.year = Some(text.parse().ok()?),
                Capture::Month => values.month = Some(text.parse().ok()?),
                Capture::Day => values.day = Some(text.parse().ok()?),
                Capture::DayOfYear => values.day_of_year = Some(text.parse().ok()?),
                Capture::Hour => values.hour = Some(text.parse().ok()?),
                Capture::Minute => values.minute = Some(text.parse().ok()?),
                Capture::Partition(name) => values.partitions.push((name.clone(), text.to_owned())),
            }
        }
        Some(values)
    }

    /// The time the path holds so far: the whole year, month, day, hour or minute it names, in UTC. `None` when it
    /// names none, or one that does not exist.
    pub fn time(&self) -> Option<Window> {
        let year = self.year?;
        let date = match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(year, day)?,
            None => NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        let start: DateTime<Utc> = Utc.from_utc_datetime(&date.and_hms_opt(
            self.hour.unwrap_or(0),
            self.minute.unwrap_or(0),
            0,
        )?);
        let end = if self.minute.is_some() {
            start + Duration::minutes(1)
        } else if self.hour.is_some() {
            start + Duration::hours(1)
        } else if self.day.is_some() || self.day_of_year.is_some() {
            start + Duration::days(1)
        } else if self.month.is_some() {
            start.checked_add_months(Months::new(1))?
        } else {
            start.checked_add_months(Months::new(12))?
        };
        Window::new(start, end).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(template: &str, path: &str) -> Option<PathValues> {
        let layout = Layout::parse(template).unwrap();
        let mut values = PathValues::default();
        for (segment, name) in layout.segments().iter().zip(path.split('/')) {
            match segment {
                Segment::Rest => return Some(values),
                Segment::Name(regex, captures) => values = values.with(regex, captures, name)?,
            }
        }
        Some(values)
    }

    #[test]
    fn reads_times_and_partitions() {
        for (template, path, time) in [
            (
                "day={time:%Y-%m-%d}/**",
                "day=2026-01-03/x.gz",
                "2026-01-03T00:00:00Z/2026-01-04T00:00:00Z",
            ),
            (
                "{time:%Y/%m/%d}/**",
                "2026/01/03/x.gz",
                "2026-01-03T00:00:00Z/2026-01-04T00:00:00Z",
            ),
            (
                "y={time:%Y}/m={time:%m}/**",
                "y=2026/m=12/x",
                "2026-12-01T00:00:00Z/2027-01-01T00:00:00Z",
            ),
            (
                "{time:%Y%m%dT%H}.ndjson",
                "20260103T05.ndjson",
                "2026-01-03T05:00:00Z/2026-01-03T06:00:00Z",
            ),
            (
                "eventDay={time:%Y%m%d}/*",
                "eventDay=20260103/x",
                "2026-01-03T00:00:00Z/2026-01-04T00:00:00Z",
            ),
        ] {
            assert_eq!(
                walk(template, path).unwrap().time().unwrap().to_string(),
                time,
                "{template}"
            );
        }
        let values = walk("accountId={account}/**", "accountId=0012/x").unwrap();
        assert_eq!(
            values.partitions,
            [("account".to_owned(), "0012".to_owned())]
        );
        assert_eq!(values.time(), None);
        assert!(walk("day={time:%Y-%m-%d}/**", "month=2026/x").is_none());
        assert_eq!(
            walk("day={time:%Y-%m-%d}/**", "day=2026-02-30/x")
                .unwrap()
                .time(),
            None
        );
    }

    #[test]
    fn refuses_what_it_cannot_mean() {
        for template in ["**/a", "a**", "{time:%Q}/**", "{", "a//b", "{a b}", "/a"] {
            assert!(Layout::parse(template).is_err(), "{template}");
        }
    }
}
