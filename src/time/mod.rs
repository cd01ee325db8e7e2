//! Time: windows, durations, instants, Splunk's relative times, a job's grid of tiles.
//!
//! This room is pure. It reads no clock ("now" is a parameter), touches no file, knows nothing of
//! lakes, hunts or jobs, and imports nothing else of the crate.
//!
//! Two rules hold everywhere:
//! - Inside it is UTC. A time zone matters only where people write wall-clock times: an instant
//!   without an offset, a day or month in a relative time, the hours of a cron expression.
//! - A wall-clock time that a zone skips (clocks go forward) means the first instant after the
//!   skip; one that a zone has twice (clocks go back) means the earlier.

mod calendar;
mod duration;
mod error;
mod grid;
mod grid_check;
mod instant;
mod range;
mod relative;
mod timer;
mod window;

pub use duration::{format_duration, parse_duration};
pub use error::TimeError;
pub use grid::Grid;
pub use instant::{format_instant, parse_instant, parse_timezone};
pub use range::resolve_range;
pub use relative::{RelativeTime, resolve_relative};
pub use timer::Timer;
pub use window::Window;
