//! The half-open interval of UTC time that everything is scoped to. It knows nothing of grids:
//! a tile is a window that a grid made.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::TimeError;

/// How a window's ends appear in file names; `%.f` is empty for whole seconds.
const STEM_FORMAT: &str = "%Y%m%dT%H%M%S%.fZ";

/// A half-open interval of UTC time, `[start, end)`: `start` belongs to it, `end` does not.
///
/// Windows order by start, then end. As text `2026-01-01T00:00:00Z/2026-01-02T00:00:00Z`, in
/// JSON `{"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}`.
///
/// Make one with [`Window::new`], which checks that it is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Ends")]
pub struct Window {
    /// The first instant that belongs to the window.
    pub start: DateTime<Utc>,
    /// The first instant after the window.
    pub end: DateTime<Utc>,
}

/// A window as it is read, before its ends are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ends {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl TryFrom<Ends> for Window {
    type Error = TimeError;

    fn try_from(ends: Ends) -> Result<Self, Self::Error> {
        Self::new(ends.start, ends.end)
    }
}

impl Window {
    /// The window `[start, end)`.
    ///
    /// # Errors
    /// [`TimeError::EmptyWindow`] unless `end` is after `start`.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Self, TimeError> {
        let window = Self { start, end };
        if start < end {
            return Ok(window);
        }
        let hint = if start == end {
            "a window is half-open: `start` belongs to it, `end` does not, so one day ends at the next midnight"
        } else {
            "swap the two ends"
        };
        Err(TimeError::EmptyWindow {
            text: window.to_string(),
            hint: hint.to_owned(),
        })
    }

    /// Whether `instant` lies in the window.
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }

    /// Whether the windows share an instant. Windows that only touch do not.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// How long the window is; positive.
    pub fn length(&self) -> TimeDelta {
        self.end - self.start
    }

    /// The window a listing has to cover: `lookback` earlier, and `slack` wider at both ends,
    /// because paths follow arrival or a local day, and that can be on either side of the event.
    /// Saturates at the ends of representable time. Both durations are meant to be non-negative.
    #[must_use]
    pub fn extended(&self, lookback: TimeDelta, slack: TimeDelta) -> Self {
        let start = self
            .start
            .checked_sub_signed(lookback)
            .and_then(|start| start.checked_sub_signed(slack))
            .unwrap_or(DateTime::<Utc>::MIN_UTC);
        let end = self
            .end
            .checked_add_signed(slack)
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        Self { start, end }
    }

    /// The window in a file name: `20260101T000000Z_20260102T000000Z`. Ends off the whole second
    /// keep their fraction, so that no two windows share a name.
    pub fn file_stem(&self) -> String {
        format!(
            "{}_{}",
            self.start.format(STEM_FORMAT),
            self.end.format(STEM_FORMAT)
        )
    }

    /// The window that [`Window::file_stem`] gave this name; no other spelling is taken.
    ///
    /// # Errors
    /// [`TimeError::FileStem`] for any other text.
    pub fn from_file_stem(stem: &str) -> Result<Self, TimeError> {
        let end = |text: &str| NaiveDateTime::parse_from_str(text, STEM_FORMAT).ok();
        stem.split_once('_')
            .and_then(|(first, second)| Some((end(first)?.and_utc(), end(second)?.and_utc())))
            .and_then(|(start, end)| Self::new(start, end).ok())
            // Parsing is lenient (signs, blanks); only what we write ourselves is ours.
            .filter(|window| window.file_stem() == stem)
            .ok_or_else(|| TimeError::FileStem {
                text: stem.to_owned(),
                hint: "expected <start>_<end>, as 20260101T000000Z_20260102T000000Z".to_owned(),
            })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/{}",
            self.start.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            self.end.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn day() -> Window {
        Window::new(at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z")).unwrap()
    }

    #[test]
    fn the_end_does_not_belong_to_it() {
        assert!(day().contains(at("2026-01-01T00:00:00Z")));
        assert!(day().contains(at("2026-01-01T23:59:59.999999Z")));
        assert!(!day().contains(at("2026-01-02T00:00:00Z")));
        assert!(!day().contains(at("2025-12-31T23:59:59.999999Z")));
        assert_eq!(day().length(), TimeDelta::days(1));
    }

    #[test]
    fn touching_windows_do_not_overlap() {
        let next = Window::new(day().end, at("2026-01-03T00:00:00Z")).unwrap();
        assert!(!day().overlaps(&next) && !next.overlaps(&day()));
        let across = Window::new(at("2026-01-01T23:00:00Z"), at("2026-01-02T01:00:00Z")).unwrap();
        assert!(day().overlaps(&across) && across.overlaps(&day()) && across.overlaps(&next));
        assert!(day().overlaps(&day()));
        assert!(day() < across && across < next);
    }

    #[test]
    fn empty_and_reversed_windows_are_refused() {
        let same = Window::new(day().start, day().start).unwrap_err();
        assert!(same.to_string().contains("half-open"), "{same}");
        let reversed = Window::new(day().end, day().start).unwrap_err();
        assert_eq!(
            reversed.to_string(),
            "the window 2026-01-02T00:00:00Z/2026-01-01T00:00:00Z does not end after it starts (hint: swap the two ends)"
        );
    }

    #[test]
    fn extended_by_lookback_before_and_slack_on_both_sides() {
        let wide = day().extended(TimeDelta::hours(3), TimeDelta::days(1));
        assert_eq!(
            wide.to_string(),
            "2025-12-30T21:00:00Z/2026-01-03T00:00:00Z"
        );
        assert_eq!(day().extended(TimeDelta::zero(), TimeDelta::zero()), day());
        let all = day().extended(TimeDelta::MAX, TimeDelta::MAX);
        assert_eq!(
            (all.start, all.end),
            (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC)
        );
    }

    #[test]
    fn file_stems_round_trip() {
        assert_eq!(day().file_stem(), "20260101T000000Z_20260102T000000Z");
        let fraction =
            Window::new(at("2026-01-01T00:00:00.250Z"), at("2026-01-01T00:00:01Z")).unwrap();
        assert_eq!(
            fraction.file_stem(),
            "20260101T000000.250Z_20260101T000001Z"
        );
        for window in [day(), fraction] {
            assert_eq!(Window::from_file_stem(&window.file_stem()).unwrap(), window);
        }
    }

    #[test]
    fn other_file_names_are_refused() {
        for stem in [
            "",
            "20260101T000000Z",
            "20260101T000000Z-20260102T000000Z",
            "20260102T000000Z_20260101T000000Z",
            "20260101T000000Z_20260101T000000Z",
            "20260101T000000_20260102T000000",
            " 20260101T000000Z_20260102T000000Z",
            "20260101T000000Z_20260102T000000Z_x",
            "+20260101T000000Z_20260102T000000Z",
            "20261301T000000Z_20270102T000000Z",
            "2026-01-01T00:00:00Z_2026-01-02T00:00:00Z",
        ] {
            let error = Window::from_file_stem(stem).unwrap_err();
            assert!(
                matches!(&error, TimeError::FileStem { text, .. } if text == stem),
                "{stem}"
            );
        }
    }

    #[test]
    fn json_is_checked_when_read() {
        let json = serde_json::to_string(&day()).unwrap();
        assert_eq!(
            json,
            r#"{"start":"2026-01-01T00:00:00Z","end":"2026-01-02T00:00:00Z"}"#
        );
        assert_eq!(serde_json::from_str::<Window>(&json).unwrap(), day());
        let reversed = r#"{"start":"2026-01-02T00:00:00Z","end":"2026-01-01T00:00:00Z"}"#;
        assert!(serde_json::from_str::<Window>(reversed).is_err());
    }
}
