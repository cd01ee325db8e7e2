//! Ad-hoc SQL for people: statements in, rows out, in many formats; and the interactive prompt.
//!
//! Knows what a session is set to and how rows are shown; what SQL means is the engine's business.

mod complete;
mod dot;
mod editor;
mod highlight;
mod interrupt;
mod prompt;
pub mod render;
mod run;
mod save;
mod sink;
pub mod window;

pub use interrupt::Interrupts;
pub use prompt::interact;
pub use run::Ended;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::cli::RowFormat;
use crate::engine::SqlSource;
use crate::engine::adhoc::Console;
use crate::history::tables::RunOutput;
use crate::hunt::Content;
use crate::printer::Printer;
use crate::stats::Stats;

/// Rows that a table shows, and formats for people keep in memory, where nothing else is said.
pub const TABLE_ROWS: usize = 10_000;

/// What a session is set to.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch that users turn"
)]
#[derive(Debug, Clone)]
pub struct Settings {
    /// How rows are shown.
    pub format: RowFormat,
    /// Where they go; stdout without one.
    pub out: Option<PathBuf>,
    /// All columns and whole values.
    pub wide: bool,
    /// Stop after so many rows.
    pub max_rows: Option<usize>,
    /// Stop after this time.
    pub timeout: Option<Duration>,
    /// Say how long it took.
    pub timer: bool,
    /// Say what would be read, and do not run.
    pub explain: bool,
    /// Say what was read.
    pub stats: bool,
    /// Show long results in a pager.
    pub pager: bool,
}

impl Settings {
    /// The rows after which to stop: what was said, else enough for a table.
    pub fn row_limit(&self) -> Option<usize> {
        let for_people = matches!(
            self.format,
            RowFormat::Table | RowFormat::Vertical | RowFormat::Markdown
        );
        self.max_rows.or(for_people.then_some(TABLE_ROWS))
    }
}

/// Where a session is, and when.
#[derive(Debug)]
pub struct Place {
    /// Hunts, views and forms.
    pub content: Content,
    /// Where runs over the lake wrote.
    pub outputs: Vec<RunOutput>,
    /// The time that is taken for now.
    pub now: DateTime<Utc>,
}

impl RowFormat {
    /// The format that a file's suffix says.
    pub fn of_file(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "md" => Some(Self::Markdown),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A session of statements.
#[expect(
    missing_debug_implementations,
    reason = "a session of the engine has none"
)]
pub struct Shell<'a> {
    settings: Settings,
    /// The lake, over a window.
    pub console: Console,
    printer: &'a Printer,
    place: Place,
    /// The query that ran last, for saving it.
    last: Option<SqlSource>,
    interrupts: Interrupts,
    /// The format that comes back when rows go to the screen again.
    format_before: Option<RowFormat>,
    /// What the statement that runs cost so far.
    stats: Stats,
    /// The count that the first statement goes on with.
    begun: Option<Stats>,
}

impl<'a> Shell<'a> {
    /// A session that says all through `printer`.
    pub fn new(
        settings: Settings,
        console: Console,
        printer: &'a Printer,
        place: Place,
        interrupts: Interrupts,
    ) -> Self {
        Self {
            interrupts,
            settings,
            console,
            printer,
            place,
            last: None,
            format_before: None,
            stats: Stats::from_here(),
            begun: None,
        }
    }

    /// Counts what opening the lake cost with the first statement, because that is all that runs.
    pub fn count_with(&mut self, stats: Stats) {
        self.begun = Some(stats);
    }
}
