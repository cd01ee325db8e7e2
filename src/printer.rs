//! The only place that writes to stdout or stderr. stdout is data, stderr is talk: results can be piped while notes,
//! warnings, errors and the progress bar stay on the screen.
//!
//! It decides colour and progress from what the two streams are and from the environment. It must not know what is
//! printed: renderings come as finished text. Talk often quotes file names and lines of telemetry, so control characters
//! in it are shown, not sent; data goes out as it is.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::visible::neutral_lines;

/// The columns assumed where nothing says how wide the terminal is.
const DEFAULT_WIDTH: usize = 100;
/// How often the progress bar is drawn while nothing advances, so that it shows the time going by.
const TICK: Duration = Duration::from_millis(200);

/// What the user asked for about colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// Colour where a terminal reads along and the environment does not object.
    #[default]
    Auto,
    /// Colour, whatever the environment says.
    Always,
    /// No colour.
    Never,
}

/// What the environment says about colour and width. Taken once, so that the rules can be tested.
#[derive(Clone, Debug, Default)]
struct Environment {
    no_color: bool,
    force_color: bool,
    dumb: bool,
    columns: Option<usize>,
}

impl Environment {
    fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            // https://no-color.org: any value that is not empty.
            no_color: filled("NO_COLOR").is_some(),
            // http://bixense.com/clicolors: set and not 0.
            force_color: filled("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: variable("TERM").is_some_and(|value| value == "dumb"),
            columns: variable("COLUMNS")
                .and_then(|value| value.to_str()?.trim().parse().ok())
                .filter(|columns| *columns > 0),
        }
    }

    /// What the user says comes first, then `NO_COLOR`, then `CLICOLOR_FORCE`, then what the stream is.
    const fn color(&self, choice: ColorChoice, is_terminal: bool) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.no_color => false,
            ColorChoice::Auto => self.force_color || (is_terminal && !self.dumb),
        }
    }
}

/// Writes for the whole program. Cheap to clone; clones share the progress bar, so that talk never tears it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the user and the two streams are like"
)]
#[derive(Clone, Debug)]
pub struct Printer {
    quiet: bool,
    stdout_color: bool,
    stderr_color: bool,
    is_terminal: bool,
    columns: Option<usize>,
    width: usize,
    /// Absent where nobody watches.
    bars: Option<MultiProgress>,
}

impl Printer {
    /// A printer for this process. `quiet` drops notes and the progress bar, never warnings, errors or data.
    pub fn new(quiet: bool, color: ColorChoice) -> Self {
        let environment = Environment::new(|name| env::var_os(name));
        Self::with(
            quiet,
            color,
            &environment,
            io::stdout().is_terminal(),
            io::stderr().is_terminal(),
        )
    }

    fn with(
        quiet: bool,
        color: ColorChoice,
        environment: &Environment,
        stdout_is_terminal: bool,
        stderr_is_terminal: bool,
    ) -> Self {
        let watched = !quiet && stderr_is_terminal && !environment.dumb;
        Self {
            quiet,
            stdout_color: environment.color(color, stdout_is_terminal),
            stderr_color: environment.color(color, stderr_is_terminal),
            is_terminal: stdout_is_terminal,
            columns: environment.columns,
            width: environment.columns.unwrap_or(DEFAULT_WIDTH),
            bars: watched.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
        }
    }

    /// Whether text for stdout should be coloured.
    pub const fn color(&self) -> bool {
        self.stdout_color
    }

    /// The columns a line of stdout may take: `COLUMNS`, else 100.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Columns and lines of the terminal that shows stdout, as they are now; `None` where none does. `COLUMNS` comes first.
    pub fn screen(&self) -> Option<(usize, usize)> {
        if !self.is_terminal {
            return None;
        }
        let size = terminal_size::terminal_size();
        let (width, height) = size.map_or((DEFAULT_WIDTH, usize::MAX), |(width, height)| {
            (usize::from(width.0), usize::from(height.0))
        });
        // Some terminals say that they are nothing wide.
        let width = if width == 0 { DEFAULT_WIDTH } else { width };
        Some((self.columns.unwrap_or(width), height))
    }

    /// Writes data to stdout, as it is, and flushes it.
    ///
    /// The error is the stream's own. [`io::ErrorKind::BrokenPipe`] means that the reader has seen enough (`| head`):
    /// main ends with success then.
    pub fn data(&self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Like [`Self::data`], for what is no text.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.without_bars(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        })
    }

    /// Says something that is good to know. Quiet drops it.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            self.talk(&labelled("note", "36", message, None, self.stderr_color));
        }
    }

    /// Says that something is not as it should be, while the work goes on.
    pub fn warn(&self, message: &str) {
        self.talk(&labelled("warning", "33", message, None, self.stderr_color));
    }

    /// Says what failed and, after a blank line, what to do about it.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        self.talk(&labelled("error", "1;31", message, hint, self.stderr_color));
    }

    /// Says one of several errors or warnings, with an empty line behind it.
    pub fn diagnostic(&self, is_error: bool, message: &str, hint: Option<&str>) {
        let (label, color_code) = if is_error {
            ("error", "1;31")
        } else {
            ("warning", "33")
        };
        let text = labelled(label, color_code, message, hint, self.stderr_color);
        self.talk(&(text + "\n"));
    }

    /// Says how it went, in one line without a label. Quiet drops it.
    pub fn conclude(&self, line: &str) {
        if !self.quiet {
            self.talk(&format!("{}\n", neutral_lines(line)));
        }
    }

    fn talk(&self, text: &str) {
        self.without_bars(|| {
            // Nobody is left to tell when stderr is gone, and the work is worth finishing all the same.
            drop(io::stderr().lock().write_all(text.as_bytes()));
        });
    }

    /// Takes the bars off the screen while `write` writes, and puts them back below it.
    fn without_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// A progress bar on stderr. Where stderr is no terminal, or under quiet, it draws nothing and costs nothing.
    pub fn progress(&self) -> Progress {
        let bar = self.bars.as_ref().map_or_else(ProgressBar::hidden, |bars| {
            let bar = bars.add(ProgressBar::no_length());
            let template = "{elapsed_precise} {wide_bar} {bytes}/{total_bytes} {msg}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Progress {
            bar,
            counts: Arc::default(),
            of_windows: false,
        }
    }

    /// A progress bar over windows, with the bytes that were read and the time that is left. Like [`Printer::progress`].
    pub fn window_progress(&self, windows: u64) -> Progress {
        let bar = self.bars.as_ref().map_or_else(ProgressBar::hidden, |bars| {
            let bar = bars.add(ProgressBar::new(windows));
            let template = "{elapsed_precise} {wide_bar} {pos}/{len} windows, {msg}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Progress {
            bar,
            counts: Arc::default(),
            of_windows: true,
        }
    }
}

/// `error: what failed`, a blank line, `hint: what to do`, each with a line end.
fn labelled(
    label: &str,
    color_code: &str,
    message: &str,
    hint: Option<&str>,
    color: bool,
) -> String {
    let paint = |label: &str, code: &str| {
        if color {
            format!("\u{1b}[{code}m{label}:\u{1b}[0m")
        } else {
            format!("{label}:")
        }
    };
    let said = format!("{} {}\n", paint(label, color_code), neutral_lines(message));
    match hint {
        Some(hint) => format!("{said}\n{} {}\n", paint("hint", "36"), neutral_lines(hint)),
        None => said,
    }
}

#[derive(Debug, Default)]
struct Counts {
    files_total: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    rows: AtomicU64,
}

/// How far a scan is. Shared by the tasks that scan: clones count together.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    counts: Arc<Counts>,
    /// The bar counts windows and not bytes.
    of_windows: bool,
}

impl Progress {
    /// Says how much there is: files, and bytes as stored. May be called again when more is found.
    pub fn set_total(&self, files: u64, bytes: u64) {
        self.counts.files_total.store(files, Ordering::Relaxed);
        self.bar.set_length(bytes);
        self.show();
    }

    /// Says that this much more was read.
    pub fn advance(&self, files: u64, bytes: u64, rows: u64) {
        self.counts.files.fetch_add(files, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counts.rows.fetch_add(rows, Ordering::Relaxed);
        if !self.of_windows {
            self.bar.inc(bytes);
        }
        self.show();
    }

    /// Says that there are this many windows.
    pub fn set_windows(&self, windows: u64) {
        self.bar.set_length(windows);
    }

    /// Says that a window is there to be done that was not counted.
    pub fn another_window(&self) {
        self.bar.inc_length(1);
    }

    /// Says that a window is done.
    pub fn window_done(&self) {
        self.bar.inc(1);
        self.show();
    }

    /// Takes the bar off the screen. Dropping every clone without it leaves the bar's last state there.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self) {
        if !self.bar.is_hidden() {
            self.bar.set_message(self.message());
        }
    }

    fn message(&self) -> String {
        if self.of_windows {
            let read = self.counts.bytes.load(Ordering::Relaxed);
            return format!("{} read", indicatif::HumanBytes(read));
        }
        format!(
            "{}/{} files, {} rows",
            self.counts.files.load(Ordering::Relaxed),
            self.counts.files_total.load(Ordering::Relaxed),
            self.counts.rows.load(Ordering::Relaxed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn colour_follows_the_user_then_the_environment_then_the_stream() {
        let auto = |variables: &[(&str, &str)], is_terminal| {
            environment(variables).color(ColorChoice::Auto, is_terminal)
        };
        assert!(auto(&[], true));
        assert!(!auto(&[], false));
        assert!(
            !auto(&[("NO_COLOR", "0")], true),
            "any value that is not empty"
        );
        assert!(auto(&[("NO_COLOR", "")], true));
        assert!(auto(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!auto(&[("CLICOLOR_FORCE", "0")], false));
        assert!(!auto(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true));
        assert!(!auto(&[("TERM", "dumb")], true));
        assert!(environment(&[("NO_COLOR", "1")]).color(ColorChoice::Always, false));
        assert!(!environment(&[("CLICOLOR_FORCE", "1")]).color(ColorChoice::Never, true));
    }

    #[test]
    fn the_streams_are_judged_apart() {
        let piped = Printer::with(false, ColorChoice::Auto, &environment(&[]), false, true);
        assert!(!piped.color());
        assert!(piped.stderr_color);
        assert!(piped.bars.is_some());
    }

    #[test]
    fn the_bar_is_drawn_only_where_somebody_watches() {
        let drawn = |quiet, variables: &[(&str, &str)], stderr_is_terminal| {
            Printer::with(
                quiet,
                ColorChoice::Auto,
                &environment(variables),
                true,
                stderr_is_terminal,
            )
            .bars
            .is_some()
        };
        assert!(drawn(false, &[], true));
        assert!(!drawn(true, &[], true));
        assert!(!drawn(false, &[], false));
        assert!(!drawn(false, &[("TERM", "dumb")], true));
    }

    #[test]
    fn the_width_is_what_the_environment_says_or_a_hundred() {
        let width = |variables: &[(&str, &str)]| {
            Printer::with(
                true,
                ColorChoice::Auto,
                &environment(variables),
                false,
                false,
            )
            .width()
        };
        assert_eq!(width(&[]), 100);
        assert_eq!(width(&[("COLUMNS", "132")]), 132);
        assert_eq!(width(&[("COLUMNS", "0")]), 100);
        assert_eq!(width(&[("COLUMNS", "wide")]), 100);
    }

    #[test]
    fn a_hint_stands_after_a_blank_line() {
        assert_eq!(labelled("note", "36", "read", None, false), "note: read\n");
        assert_eq!(
            labelled(
                "error",
                "1;31",
                "cannot read lake.yaml",
                Some("name it with --lake"),
                false
            ),
            "error: cannot read lake.yaml\n\nhint: name it with --lake\n"
        );
        assert_eq!(
            labelled("error", "1;31", "a", Some("b"), true),
            "\u{1b}[1;31merror:\u{1b}[0m a\n\n\u{1b}[36mhint:\u{1b}[0m b\n"
        );
    }

    #[test]
    fn talk_that_quotes_telemetry_does_not_act() {
        assert_eq!(
            labelled(
                "warning",
                "33",
                "file \u{1b}[2Jx\u{202e}\nline two",
                None,
                false
            ),
            "warning: file \\x1b[2Jx\\u{202e}\nline two\n"
        );
    }

    #[test]
    fn clones_of_a_progress_count_together() {
        let printer = Printer::with(true, ColorChoice::Never, &environment(&[]), false, false);
        let progress = printer.progress();
        let other = progress.clone();
        progress.set_total(3, 300);
        progress.advance(1, 100, 10);
        other.advance(1, 100, 20);
        assert_eq!(progress.message(), "2/3 files, 30 rows");
        assert_eq!(progress.bar.position(), 200);
        assert_eq!(progress.bar.length(), Some(300));
        progress.finish();
        assert!(other.bar.is_finished());
    }
}
