//! Prefixes that a window needs, as far as a layout's names follow from the time alone: nobody has to list the folders of
//! five years to find a day.
//!
//! Pure: computes names, lists nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Duration, Months, NaiveDate, TimeZone, Timelike, Utc};

use super::layout::{Capture, Layout, Name, PathValues, Segment};

/// More prefixes than this are not asked for one by one: the folders above them are listed.
const MOST_NAMED: usize = 500;

/// A prefix that may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: String,
    /// The segment of the layout that says what is below.
    pub(super) depth: usize,
    pub(super) values: PathValues,
    /// A day that lies wholly in the window: whatever hours are below, all is wanted.
    pub(super) is_whole: bool,
}

/// The smallest unit that names say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
}

impl Layout {
    /// The prefixes below one that a time range needs, as deep as their names can be computed; without a range, as deep as
    /// names are the same at all times. `None` where the next level has to be listed.
    pub(super) fn named(
        &self,
        above: &Named,
        range: Option<(DateTime<Utc>, DateTime<Utc>)>,
    ) -> Option<Vec<Named>> {
        let segments = self.segments();
        // The last one says what files are called.
        let folders = segments.get(above.depth..segments.len() - 1)?.iter();
        let mut run: Vec<&Name> = folders
            .map_while(|segment| match segment {
                Segment::Name(name) if name.is_computable() => Some(name),
                _ => None,
            })
            .collect();
        while !run.is_empty() {
            let Some(last) = run.iter().rposition(|name| name.times().next().is_some()) else {
                return Some(vec![above.followed(&run, DateTime::UNIX_EPOCH, true)?]);
            };
            let named = range.and_then(|(from, to)| above.over(&run, from, to));
            if named.is_some() {
                return named;
            }
            run.truncate(last);
        }
        None
    }
}

impl Named {
    /// The location itself.
    pub(super) fn root() -> Self {
        Self {
            path: String::new(),
            depth: 0,
            values: PathValues::default(),
            is_whole: false,
        }
    }

    /// The prefix below this one at a time.
    fn followed(&self, run: &[&Name], time: DateTime<Utc>, is_padded: bool) -> Option<Self> {
        let mut below = self.clone();
        for name in run {
            let text = name.at(time, is_padded);
            below.values = below.values.with(name, &text)?;
            if !below.path.is_empty() {
                below.path.push('/');
            }
            below.path.push_str(&text);
            below.depth += 1;
        }
        Some(below)
    }

    /// The prefixes of a range, or `None` when there are too many, or names that do not say when.
    fn over(&self, run: &[&Name], from: DateTime<Utc>, to: DateTime<Utc>) -> Option<Vec<Self>> {
        let unit = unit(self, run)?;
        let days =
            (1..run.len()).find(|length| self::unit(self, &run[..*length]) == Some(Unit::Day));
        let spellings: &[bool] = if run.iter().any(|name| name.has_neighbours()) {
            &[true]
        } else {
            // `month=1` is as good as `month=01`.
            &[true, false]
        };
        let mut named = BTreeMap::new();
        let mut time = floor(from, unit)?;
        while time < to {
            let day = floor(time, Unit::Day)?;
            let is_inside = unit > Unit::Day && day >= from && day + Duration::days(1) <= to;
            let whole = days.filter(|_| is_inside);
            for is_padded in spellings {
                let names = &run[..whole.unwrap_or(run.len())];
                let mut found = self.followed(names, time, *is_padded)?;
                // Above may be a year that is another one.
                if found.values.time().is_some_and(|span| span.contains(time)) && self.agrees(time)
                {
                    found.is_whole = whole.is_some();
                    named.insert(found.path.clone(), found);
                }
            }
            if named.len() > MOST_NAMED {
                return None;
            }
            time = next(time, if whole.is_some() { Unit::Day } else { unit })?;
        }
        Some(named.into_values().collect())
    }

    /// Whether a time is within what the path says already.
    fn agrees(&self, time: DateTime<Utc>) -> bool {
        self.values.time().is_none_or(|span| span.contains(time))
    }
}

/// The smallest unit that is known after some names, where all larger ones are.
fn unit(above: &Named, run: &[&Name]) -> Option<Unit> {
    let known = above.values.known();
    let times: Vec<Capture> = known
        .into_iter()
        .chain(run.iter().flat_map(|name| name.times().cloned()))
        .collect();
    let has = |capture: Capture| times.contains(&capture);
    let day = has(Capture::DayOfYear) || has(Capture::Month) && has(Capture::Day);
    let levels = [
        (Unit::Year, has(Capture::Year)),
        (Unit::Month, has(Capture::Month) || has(Capture::DayOfYear)),
        (Unit::Day, day),
        (Unit::Hour, has(Capture::Hour)),
        (Unit::Minute, has(Capture::Minute)),
    ];
    let depth = levels.iter().take_while(|(_, is_known)| *is_known).count();
    let is_whole = levels[depth..].iter().all(|(_, is_known)| !is_known);
    // A day without its month is a gap of another kind.
    let is_gap = has(Capture::Day) && !day;
    let (unit, _) = levels.get(depth.checked_sub(1)?)?;
    (is_whole && !is_gap).then_some(*unit)
}

/// The start of the unit that holds a time.
fn floor(time: DateTime<Utc>, unit: Unit) -> Option<DateTime<Utc>> {
    let at_least = |wanted| unit >= wanted;
    let date = NaiveDate::from_ymd_opt(
        time.year(),
        if at_least(Unit::Month) {
            time.month()
        } else {
            1
        },
        if at_least(Unit::Day) { time.day() } else { 1 },
    )?;
    let hour = if at_least(Unit::Hour) { time.hour() } else { 0 };
    let minute = if at_least(Unit::Minute) {
        time.minute()
    } else {
        0
    };
    Some(Utc.from_utc_datetime(&date.and_hms_opt(hour, minute, 0)?))
}

/// The start of the next unit.
fn next(time: DateTime<Utc>, unit: Unit) -> Option<DateTime<Utc>> {
    match unit {
        Unit::Year => floor(time, unit)?.checked_add_months(Months::new(12)),
        Unit::Month => floor(time, unit)?.checked_add_months(Months::new(1)),
        Unit::Day => floor(time, unit)?.checked_add_signed(Duration::days(1)),
        Unit::Hour => time.checked_add_signed(Duration::hours(1)),
        Unit::Minute => time.checked_add_signed(Duration::minutes(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(template: &str, from: &str, to: &str) -> Vec<String> {
        let layout = Layout::parse(template).unwrap();
        let range = (from.parse().unwrap(), to.parse().unwrap());
        let found = layout.named(&Named::root(), Some(range));
        let found = found.into_iter().flatten();
        let shown = found.map(|named| named.path + if named.is_whole { "/**" } else { "" });
        shown.collect()
    }

    #[test]
    fn a_day_is_asked_for_by_name() {
        let (from, to) = ("2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z");
        for (template, expected) in [
            (
                "day={time:%Y-%m-%d}/**",
                &["day=2026-01-03", "day=2026-1-3"][..],
            ),
            ("eventDay={time:%Y%m%d}/*.parquet", &["eventDay=20260103"]),
            ("a/b/{time:%Y/%j}/**", &["a/b/2026/003", "a/b/2026/3"]),
            ("a/b/*/{time:%Y}/**", &["a/b"]),
            ("a/{x}/{time:%Y}/**", &["a"]),
            ("{x}/{time:%Y}/**", &[]),
            ("{time:%d}/**", &[]),
            ("{time:%Y%m%dT%H}.ndjson", &[]),
            ("y={time:%Y}/m={time:%m}/*", &["y=2026/m=01", "y=2026/m=1"]),
            ("{time:%Y/%m/%d/%H}/*", &["2026/01/03/**", "2026/1/3/**"]),
        ] {
            assert_eq!(named(template, from, to), expected, "{template}");
        }
    }

    #[test]
    fn whole_days_are_listed_whole_and_others_by_the_hour() {
        let found = named(
            "{time:%Y/%m/%d}/h={time:%H}/m=*/*.json",
            "2026-11-30T22:30:00Z",
            "2026-12-02T01:00:00Z",
        );
        let expected = [
            "2026/11/30/h=22",
            "2026/11/30/h=23",
            "2026/12/01/**",
            "2026/12/02/h=00",
            "2026/12/1/**",
            "2026/12/2/h=0",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn too_many_names_are_listed_one_level_above() {
        let found = named(
            "{time:%Y}/{time:%m%d}/**",
            "2020-01-01T00:00:00Z",
            "2025-01-01T00:00:00Z",
        );
        assert_eq!(found, ["2020", "2021", "2022", "2023", "2024"]);
    }
}
