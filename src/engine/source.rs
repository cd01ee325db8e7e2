//! One SQL text with its file, and errors that point into it.

use std::path::PathBuf;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::{Error, did_you_mean};

/// A SQL text and where it comes from.
#[derive(Debug, Clone)]
pub struct SqlSource {
    /// The file, or a name such as `<query>`.
    pub path: PathBuf,
    /// The whole text, so that lines of errors are lines of the file.
    pub text: String,
}

impl SqlSource {
    /// A configuration error at a place of the text.
    pub fn error_at(&self, location: Location, message: impl Into<String>) -> Error {
        let line = usize::try_from(location.line).unwrap_or(0);
        let column = usize::try_from(location.column).unwrap_or(0);
        Error::configuration(message).at(&self.path, line, column, &self.text)
    }

    /// A configuration error about a word of the text, at the place where it stands.
    pub fn error_about(&self, word: &str, message: impl Into<String>) -> Error {
        match self.find_word(word) {
            Some(place) => self.error_at(place, message),
            None => Error::configuration(message).in_file(&self.path),
        }
    }

    /// A configuration error at the first place that holds a text, word or not.
    pub fn error_after(&self, text: &str, message: impl Into<String>) -> Error {
        match self.find(text, |_, _| true) {
            Some(place) => self.error_at(place, message),
            None => Error::configuration(message).in_file(&self.path),
        }
    }

    /// Where a text stands first, word or not; the beginning where it does not.
    pub(super) fn place_of(&self, text: &str) -> Location {
        self.find(text, |_, _| true).unwrap_or(Location::new(1, 1))
    }

    /// An error of the parser or planner, with its place and hint where it has them.
    pub fn planning_error(&self, error: &DataFusionError) -> Error {
        // What went wrong below the planner is no mistake in the text: a lake that does not answer, say.
        if let DataFusionError::External(cause) = error.find_root()
            && let Some(cause) = cause.downcast_ref::<Error>()
        {
            return cause.clone();
        }
        if let Some(error) = self.no_such_column(error) {
            return error;
        }
        let text = error.strip_backtrace();
        if let Some(error) = self.no_such_function(&text) {
            return error;
        }
        let (message, written) = without_position(first_cause(&text));
        let Some(diagnostic) = error.iter().find_map(DataFusionError::diagnostic) else {
            let place = written
                .or_else(|| self.end().filter(|_| message.contains("EOF")))
                .or_else(|| self.find_quoted(&message));
            let is_command = message.contains("an SQL statement, found: .");
            let error = match place {
                Some(place) => self.error_at(place, message.replace("EOF", "the end")),
                None => Error::configuration(message).in_file(&self.path),
            };
            if is_command {
                return error.hint(
                    "commands that begin with a dot are of the interactive shell; here use options, such as --last 7d",
                );
            }
            return error;
        };
        let (message, _) = without_position(&diagnostic.message);
        let helps = diagnostic.helps.iter().map(|help| help.message.clone());
        let types: Vec<_> = diagnostic
            .notes
            .iter()
            .filter_map(|note| note.message.strip_prefix("has type "))
            .collect();
        let notes = diagnostic.notes.iter().map(|note| note.message.clone());
        let hints: Vec<_> = match types.as_slice() {
            [left, right] => vec![format!("one side is {left}, the other {right}")],
            _ => helps.chain(notes).collect(),
        };
        let place = diagnostic
            .span
            .map(|span| Location::new(span.start.line, span.start.column));
        let error = match place.or(written).or_else(|| self.find_quoted(&message)) {
            Some(place) => self.error_at(place, message),
            None => Error::configuration(message).in_file(&self.path),
        };
        error.maybe_hint((!hints.is_empty()).then(|| hints.join("; ")))
    }
}

impl SqlSource {
    /// The planner's list of every qualified column is no help: the closest name is, and the place.
    fn no_such_column(&self, error: &DataFusionError) -> Option<Error> {
        let DataFusionError::SchemaError(schema_error, _) = error.find_root() else {
            return None;
        };
        let SchemaError::FieldNotFound {
            field,
            valid_fields,
        } = schema_error.as_ref()
        else {
            return None;
        };
        let name = field.name.as_str();
        let message = format!("unknown column `{name}`");
        let place = field
            .spans
            .first()
            .map(|span| Location::new(span.start.line, span.start.column));
        let error = match place {
            Some(place) => self.error_at(place, message),
            None => self.error_about(name, message),
        };
        let mut known: Vec<_> = valid_fields
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        known.sort_unstable();
        known.dedup();
        let hint = did_you_mean(name, known.iter().copied());
        Some(error.hint(hint.unwrap_or_else(|| format!("there are {}", known.join(", ")))))
    }

    /// `Invalid function 'x'.` and its guess, in our words.
    fn no_such_function(&self, text: &str) -> Option<Error> {
        let (_, rest) = text.split_once("Invalid function '")?;
        let (name, rest) = rest.split_once('\'')?;
        let error = self.error_about(name, format!("unknown function `{name}`"));
        let guess = rest
            .split_once('\'')
            .and_then(|(_, rest)| rest.split_once('\''));
        Some(error.maybe_hint(guess.map(|(guess, _)| format!("did you mean `{guess}`?"))))
    }

    /// Behind the last word that is no comment.
    fn end(&self) -> Option<Location> {
        let lines = self.text.lines().enumerate();
        let is_sql = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("--");
        let (number, line) = lines.filter(|(_, line)| is_sql(line)).last()?;
        let column = line.trim_end().chars().count() + 1;
        Some(Location::new(number as u64 + 1, column as u64))
    }

    /// Where something that the message quotes stands: a pattern, a unit, a name.
    fn find_quoted(&self, message: &str) -> Option<Location> {
        let quoted = |quote| {
            let pieces = message.split(quote).skip(1).step_by(2);
            pieces
                .filter(|piece: &&str| !piece.is_empty())
                .collect::<Vec<_>>()
        };
        let pieces = quoted('`').into_iter().chain(quoted('\''));
        pieces
            .into_iter()
            .find_map(|piece| self.find(piece, |_, _| true))
    }

    /// Where a word stands first outside of comments, whatever its case.
    fn find_word(&self, word: &str) -> Option<Location> {
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        self.find(word, |before, after| !is_part(before) && !is_part(after))
    }

    fn find(
        &self,
        text: &str,
        fits: impl Fn(Option<char>, Option<char>) -> bool,
    ) -> Option<Location> {
        // ASCII only, so that places in the folded line are places in the line.
        let text = text.to_ascii_lowercase();
        let lines = self.text.lines().enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.trim_start().starts_with("--")) {
            for (at, _) in line.to_ascii_lowercase().match_indices(&text) {
                let before = line[..at].chars().next_back();
                if fits(before, line[at + text.len()..].chars().next()) {
                    let column = line[..at].chars().count() + 1;
                    return Some(Location::new(number as u64 + 1, column as u64));
                }
            }
        }
        None
    }
}

/// The message without DataFusion's prefixes, which name its phases and not the user's mistake.
fn first_cause(text: &str) -> &str {
    let mut rest = text;
    loop {
        let shorter = [
            "Error during planning: ",
            "SQL error: ",
            "Schema error: ",
            "Execution error: ",
            "External error: ",
            "type_coercion\ncaused by\n",
            "Arrow error: ",
            "Optimizer rule 'simplify_expressions' failed\ncaused by\n",
        ]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix));
        match shorter {
            Some(shorter) => rest = shorter,
            None => return rest.trim_end(),
        }
    }
}

/// Splits `... at Line: 3, Column: 7` off a parser's message.
fn without_position(message: &str) -> (String, Option<Location>) {
    let shown = message
        .trim_start_matches("ParserError(\"")
        .trim_start_matches("TokenizerError(\"")
        .trim_end_matches("\")");
    let Some((before, rest)) = shown.split_once(" at Line: ") else {
        return (shown.to_owned(), None);
    };
    let place = rest.split_once(", Column: ").and_then(|(line, rest)| {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        Some(Location::new(
            line.parse().ok()?,
            rest[..digits].parse().ok()?,
        ))
    });
    (before.to_owned(), place)
}
