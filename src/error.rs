//! Errors of every room above `functions`: what went wrong, where, and what to do about it.
//!
//! An error knows its exit code through its [`ErrorKind`] and never knows how it is printed.

use std::fmt;
use std::path::{Path, PathBuf};

/// Shorthand used by all rooms.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Decides the exit code (DESIGN.md, "Bad input and exit codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line, a configuration file or a hunt is wrong: exit code 2.
    Configuration,
    /// Something failed while running on good configuration: exit code 1.
    Failure,
}

/// A place in a text file, 1-based.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user can open it.
    pub file: PathBuf,
    /// Line, 1-based; 0 when only the file is known.
    pub line: usize,
    /// Column in characters, 1-based; 0 when only the line is known.
    pub column: usize,
    /// Characters from there on that the error is about; 0 when that is not known.
    pub length: usize,
    /// The text of that line, for the caret.
    pub text: Option<String>,
}

/// One error: a message that names what it is about, its place, and a hint.
///
/// ```
/// use lakehunt::error::Error;
/// let error = Error::configuration("unknown hunt `wmic_fromat`").hint("did you mean `wmic_format`?");
/// assert_eq!(error.exit_code(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    place: Option<Box<Place>>,
    hint: Option<String>,
}

impl Error {
    /// A mistake in what the user wrote: exit code 2.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Something failed on the way: exit code 1.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failure, message)
    }

    /// Rooms with errors of their own (`time`, `functions`) write hints into their messages; here they become ours.
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        let mut hints = Vec::new();
        while let Some(start) = message.find(" (hint: ") {
            let (end, hint) = match message[start..].rfind(')') {
                Some(end) => (start + end + 1, &message[start + 8..start + end]),
                None => (message.len(), &message[start + 8..]),
            };
            // The closing bracket of the first hint is the one before the second.
            let (end, hint) = match hint.find(") (hint: ") {
                Some(next) => (start + 8 + next + 1, &hint[..next]),
                None => (end, hint),
            };
            hints.push(hint.to_owned());
            message.replace_range(start..end, "");
        }
        Self {
            kind,
            message,
            place: None,
            hint: (!hints.is_empty()).then(|| hints.join("; ")),
        }
    }

    /// Adds the file the error is about.
    #[must_use]
    pub fn in_file(mut self, file: impl AsRef<Path>) -> Self {
        self.place = Some(Box::new(Place {
            file: file.as_ref().to_owned(),
            line: 0,
            column: 0,
            length: 0,
            text: None,
        }));
        self
    }

    /// Adds file, line and column (1-based, 0 for unknown) and, from `source`, the line itself for the caret.
    #[must_use]
    pub fn at(mut self, file: impl AsRef<Path>, line: usize, column: usize, source: &str) -> Self {
        self.place = Some(Box::new(Place {
            file: file.as_ref().to_owned(),
            line,
            column,
            length: 0,
            text: line
                .checked_sub(1)
                .and_then(|index| source.lines().nth(index))
                .map(str::to_owned),
        }));
        self
    }

    /// Shows the line of another text: of a whole, where the error is about a part of it with its places kept.
    #[must_use]
    pub fn showing(mut self, source: &str) -> Self {
        if let Some(place) = &mut self.place
            && place.text.is_some()
        {
            let index = place.line.saturating_sub(1);
            place.text = source.lines().nth(index).map(str::to_owned);
        }
        self
    }

    /// Underlines the word that stands at the place, where the message names it: `^~~~` in place of `^`.
    #[must_use]
    pub fn underlined(mut self) -> Self {
        if let Some(place) = &mut self.place
            && place.length == 0
            && let Some(text) = &place.text
        {
            let word = text.chars().skip(place.column.saturating_sub(1));
            let word = word.take_while(|c| c.is_alphanumeric() || "_-.".contains(*c));
            let word: String = word.collect();
            let word = word.trim_end_matches('.');
            if self.message.to_lowercase().contains(&word.to_lowercase()) {
                place.length = word.chars().count();
            }
        }
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint where there is one to give.
    #[must_use]
    pub fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Puts `what` before the message, as in `hunt wmic_format: ...`.
    #[must_use]
    pub fn about(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The kind, which decides the exit code.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where, if the error is about a place in a file.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }

    /// Message and place in one line, for summaries.
    pub fn in_one_line(&self) -> String {
        match &self.place {
            None => self.message.clone(),
            Some(place) if place.line == 0 => format!("{}: {}", place.file.display(), self.message),
            Some(place) => {
                format!(
                    "{}:{}:{}: {}",
                    place.file.display(),
                    place.line,
                    place.column,
                    self.message
                )
            }
        }
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// 2 for configuration, 1 for failure.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::Configuration => 2,
            ErrorKind::Failure => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        let Some(place) = &self.place else {
            return Ok(());
        };
        write!(f, "\n  --> {}", place.file.display())?;
        if place.line == 0 {
            return Ok(());
        }
        write!(f, ":{}", place.line)?;
        if place.column > 0 {
            write!(f, ":{}", place.column)?;
        }
        if let Some(text) = &place.text {
            let (text, column) = around(text, place.column);
            let number = place.line.to_string();
            let margin = " ".repeat(number.len());
            write!(f, "\n{margin} |\n{number} | {text}")?;
            if column > 0 {
                let indent: String = text
                    .chars()
                    .take(column - 1)
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                let tail = "~".repeat(place.length.saturating_sub(1));
                write!(f, "\n{margin} | {indent}^{tail}")?;
            }
        }
        Ok(())
    }
}

/// The longest line that an error shows whole.
const LINE: usize = 400;

/// What stands around a column of a line, and the column in that: queries of programs are one line of any length.
fn around(text: &str, column: usize) -> (std::borrow::Cow<'_, str>, usize) {
    let length = text.chars().count();
    if length <= LINE {
        return (text.into(), column);
    }
    let skipped = column.saturating_sub(LINE / 2);
    let part: String = text.chars().skip(skipped).take(LINE).collect();
    let (before, moved) = match skipped {
        0 => ("", column),
        _ => ("… ", column - skipped + 2),
    };
    let after = if skipped + LINE < length { " …" } else { "" };
    (format!("{before}{part}{after}").into(), moved)
}

impl std::error::Error for Error {}

/// The closest of `candidates` to what was typed, if any is close enough to be a slip of the finger.
///
/// ```
/// assert_eq!(lakehunt::error::did_you_mean("sysmom", ["sysmon", "security"]), Some("did you mean `sysmon`?".into()));
/// assert_eq!(lakehunt::error::did_you_mean("x", ["sysmon"]), None);
/// ```
pub fn did_you_mean<'a>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let typed = typed.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&typed, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_inside_messages_become_hints() {
        let error = Error::failure("bad `x` (hint: write f(x)) (hint: or y)");
        assert_eq!(error.message(), "bad `x`");
        assert_eq!(error.hint_text(), Some("write f(x); or y"));
        let error = Error::failure("plain (as it is)");
        assert_eq!(
            (error.message(), error.hint_text()),
            ("plain (as it is)", None)
        );
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let line = format!("{}x{}", "a".repeat(1000), "b".repeat(1000));
        let shown = Error::configuration("x")
            .at("a.sql", 1, 1001, &line)
            .to_string();
        let lines: Vec<_> = shown.lines().collect();
        let (text, caret) = (lines[3], lines[4]);
        assert!(text.chars().count() < LINE + 20, "{text}");
        let at = caret.chars().position(|c| c == '^').unwrap();
        assert_eq!(text.chars().nth(at), Some('x'));
    }

    #[test]
    fn shows_the_line_and_a_caret() {
        let error =
            Error::configuration("unknown key `levl`").at("a.sql", 2, 4, "-- ---\n-- levl: high\n");
        assert_eq!(
            error.to_string(),
            "unknown key `levl`\n  --> a.sql:2:4\n  |\n2 | -- levl: high\n  |    ^"
        );
        let underlined = error.underlined().to_string();
        assert!(underlined.ends_with("\n  |    ^~~~"), "{underlined}");
        let about_another = Error::configuration("missing key `level`").at(
            "a.sql",
            2,
            4,
            "-- ---\n-- levl: high\n",
        );
        let underlined = about_another.underlined().to_string();
        assert!(underlined.ends_with("\n  |    ^"), "{underlined}");
    }
}
