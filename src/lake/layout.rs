//! Path templates: which folders and files a table has, and what time and partition values a path holds.
//!
//! Pure: matches names, lists nothing.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Duration, Months, NaiveDate, TimeZone, Timelike, Utc};
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
    /// Names that match.
    Name(Name),
    /// Everything below.
    Rest,
}

/// The names of one level.
#[derive(Debug, Clone)]
pub(super) struct Name {
    regex: Regex,
    /// The groups of the expression, in order.
    captures: Vec<Capture>,
    pieces: Vec<Piece>,
}

/// What a name is made of.
#[derive(Debug, Clone)]
enum Piece {
    Literal(char),
    Time(Capture),
    /// Anything: a partition value, or `*`.
    Free,
}

/// A name that is being read.
#[derive(Default)]
struct Written {
    pattern: String,
    captures: Vec<Capture>,
    pieces: Vec<Piece>,
}

impl Written {
    fn literal(&mut self, literal: char) {
        self.pattern.push_str(&regex::escape(&literal.to_string()));
        self.pieces.push(Piece::Literal(literal));
    }

    fn free(&mut self, pattern: &str) {
        self.pattern.push_str(pattern);
        self.pieces.push(Piece::Free);
    }

    fn time(&mut self, capture: Capture, digits: &str) {
        self.pattern.push_str(digits);
        self.captures.push(capture.clone());
        self.pieces.push(Piece::Time(capture));
    }

    fn close(&mut self) -> Result<Segment, String> {
        if self.pattern.is_empty() {
            return Err("it has an empty folder name".to_owned());
        }
        let Self {
            pattern,
            captures,
            pieces,
        } = std::mem::take(self);
        let regex = Regex::new(&format!("^{pattern}$")).map_err(|e| e.to_string())?;
        Ok(Segment::Name(Name {
            regex,
            captures,
            pieces,
        }))
    }
}

impl Name {
    /// Whether a time alone says what the name is.
    pub(super) fn is_computable(&self) -> bool {
        !self.pieces.iter().any(|piece| matches!(piece, Piece::Free))
    }

    /// The parts of a time that it holds.
    pub(super) fn times(&self) -> impl Iterator<Item = &Capture> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Time(capture) => Some(capture),
            _ => None,
        })
    }

    /// Whether it has two numbers side by side: these are never written without leading zeros.
    pub(super) fn has_neighbours(&self) -> bool {
        let is_time = |piece: &Piece| matches!(piece, Piece::Time(_));
        self.pieces.windows(2).any(|pair| pair.iter().all(is_time))
    }

    /// The name at a time, with leading zeros or without.
    pub(super) fn at(&self, time: DateTime<Utc>, is_padded: bool) -> String {
        let mut name = String::new();
        for piece in &self.pieces {
            let (number, width) = match piece {
                Piece::Literal(literal) => {
                    name.push(*literal);
                    continue;
                }
                Piece::Free | Piece::Time(Capture::Partition(_)) => continue,
                Piece::Time(Capture::Year) => (time.year().unsigned_abs(), 4),
                Piece::Time(Capture::Month) => (time.month(), 2),
                Piece::Time(Capture::Day) => (time.day(), 2),
                Piece::Time(Capture::DayOfYear) => (time.ordinal(), 3),
                Piece::Time(Capture::Hour) => (time.hour(), 2),
                Piece::Time(Capture::Minute) => (time.minute(), 2),
            };
            let width = if is_padded || width == 4 { width } else { 1 };
            let _ = write!(name, "{number:0width$}");
        }
        name
    }
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
        let mut name = Written::default();
        let mut rest = template;
        let mut ended = false;
        while let Some(first) = rest.chars().next() {
            if ended {
                return Err("`**` must be its last part".to_owned());
            }
            if let Some(after) = rest.strip_prefix("**") {
                if !name.pattern.is_empty() {
                    return Err("`**` must stand alone between slashes".to_owned());
                }
                segments.push(Segment::Rest);
                ended = true;
                rest = after;
                continue;
            }
            match first {
                '/' => {
                    segments.push(name.close()?);
                    rest = &rest[1..];
                }
                '*' => {
                    name.free("[^/]*");
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
                                '/' => segments.push(name.close()?),
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
                                    name.time(capture, digits);
                                }
                                literal => name.literal(literal),
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
                        name.captures.push(Capture::Partition(piece.to_owned()));
                        if !partitions.iter().any(|other| other == piece) {
                            partitions.push(piece.to_owned());
                        }
                        name.free("([^/]*)");
                    }
                }
                literal => {
                    name.literal(literal);
                    rest = &rest[literal.len_utf8()..];
                }
            }
        }
        if !ended {
            segments.push(name.close()?);
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

    /// Whether names from a level on say a time.
    pub(super) fn has_time_below(&self, depth: usize) -> bool {
        self.segments[depth..].iter().any(|segment| match segment {
            Segment::Name(name) => name.times().next().is_some(),
            Segment::Rest => false,
        })
    }

    /// What the path of a file below a level says, or `None` when it does not fit.
    pub(super) fn read_below(
        &self,
        depth: usize,
        values: &PathValues,
        path: &str,
    ) -> Option<PathValues> {
        let mut values = values.clone();
        let mut parts = path.split('/');
        for segment in &self.segments[depth..] {
            match segment {
                Segment::Rest => return parts.next().map(|_| values),
                Segment::Name(name) => values = values.with(name, parts.next()?)?,
            }
        }
        parts.next().is_none().then_some(values)
    }
}

impl PathValues {
    /// Adds what a name says, or `None` when it does not match.
    pub(super) fn with(&self, level: &Name, name: &str) -> Option<Self> {
        let found = level.regex.captures(name)?;
        let mut values = self.clone();
        for (index, capture) in level.captures.iter().enumerate() {
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

    /// The parts of a time that are known.
    pub(super) fn known(&self) -> Vec<Capture> {
        let parts = [
            (Capture::Year, self.year.is_some()),
            (Capture::Month, self.month.is_some()),
            (Capture::Day, self.day.is_some()),
            (Capture::DayOfYear, self.day_of_year.is_some()),
            (Capture::Hour, self.hour.is_some()),
            (Capture::Minute, self.minute.is_some()),
        ];
        let known = parts.into_iter().filter(|(_, is_known)| *is_known);
        known.map(|(capture, _)| capture).collect()
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
                Segment::Name(level) => values = values.with(level, name)?,
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
