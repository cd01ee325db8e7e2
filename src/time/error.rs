//! What can be wrong with a time that somebody wrote. Each error names the text it is about and
//! says what to write instead; which file or flag the text came from is the caller's to add.

use thiserror::Error;

use super::Window;

/// A time, duration, window or grid that cannot be used. `hint` says what to write instead; it is
/// part of the message, so that it survives being wrapped (a serde error keeps only the message).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Not a duration such as `24h`.
    #[error("`{text}` is not a duration: {problem} (hint: {hint})")]
    Duration {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: String,
        /// What to write instead.
        hint: String,
    },
    /// Not an instant such as `2026-01-01T00:00:00Z`.
    #[error("`{text}` is not a point in time: {problem} (hint: {hint})")]
    Instant {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: String,
        /// What to write instead.
        hint: String,
    },
    /// Not the name of a time zone.
    #[error("`{text}` is not a time zone (hint: {hint})")]
    Timezone {
        /// What was written.
        text: String,
        /// What to write instead.
        hint: String,
    },
    /// Not a relative time such as `-1d@d`.
    #[error("`{text}` is not a relative time: {problem}, at character {position} (hint: {hint})")]
    Relative {
        /// What was written.
        text: String,
        /// Where in the text the problem begins, in characters from 1.
        position: usize,
        /// What is wrong there.
        problem: String,
        /// What to write instead.
        hint: String,
    },
    /// A window that does not end after it starts.
    #[error("the window {text} does not end after it starts (hint: {hint})")]
    EmptyWindow {
        /// The two ends, as `start/end`.
        text: String,
        /// What to write instead.
        hint: String,
    },
    /// Not the stem of a file that holds one window's output.
    #[error("`{text}` does not name a window (hint: {hint})")]
    FileStem {
        /// What was found.
        text: String,
        /// What such a name looks like.
        hint: String,
    },
    /// Window flags that do not go together.
    #[error("{problem}: {text} (hint: {hint})")]
    WindowFlags {
        /// The flags as given.
        text: String,
        /// What is wrong with them.
        problem: String,
        /// What to write instead.
        hint: String,
    },
    /// Not a cron expression, or one that never fires.
    #[error("`{text}` is not a usable cron expression: {problem} (hint: {hint})")]
    Cron {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: String,
        /// What to write instead.
        hint: String,
    },
    /// A grid one of whose firings gives no tile.
    #[error("the grid {text} has an unusable tile: {problem} (hint: {hint})")]
    GridTile {
        /// The grid as written.
        text: String,
        /// The firing and what is wrong with its tile.
        problem: String,
        /// What to write instead.
        hint: String,
    },
    /// A grid that leaves time between two tiles uncovered.
    #[error("the grid {text} leaves a gap between the tiles {earlier} and {later} (hint: {hint})")]
    GridGap {
        /// The grid as written.
        text: String,
        /// The tile before the gap.
        earlier: Window,
        /// The tile after the gap.
        later: Window,
        /// What to write instead.
        hint: String,
    },
    /// A grid that covers some time twice.
    #[error("the grid {text} has overlapping tiles {earlier} and {later} (hint: {hint})")]
    GridOverlap {
        /// The grid as written.
        text: String,
        /// The tile of the earlier firing.
        earlier: Window,
        /// The tile of the later firing.
        later: Window,
        /// What to write instead.
        hint: String,
    },
}
