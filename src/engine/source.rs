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

    /// An error of the parser or planner, with its place and hint where it has them.
    pub fn planning_error(&self, error: &DataFusionError) -> Error {
        if let Some(error) = self.no_such_column(error) {
            return error;
        }
        let diagnostic = error.iter().find_map(DataFusionError::diagnostic);
        if let Some(diagnostic) = diagnostic {
            let helps = diagnostic.helps.iter().map(|help| help.message.clone());
            let notes = diagnostic.notes.iter().map(|note| note.message.clone());
            let hints: Vec<_> = helps.chain(notes).collect();
            let message = diagnostic.message.clone();
            let error = match diagnostic.span {
                Some(span) => {
                    let place = Location::new(span.start.line, span.start.column);
                    self.error_at(place, message)
                }
                None => Error::configuration(message).in_file(&self.path),
            };
            return error.maybe_hint((!hints.is_empty()).then(|| hints.join("; ")));
        }
        let text = error.strip_backtrace();
        let message = first_cause(&text).to_owned();
        match position(&message) {
            Some((line, column, message)) => {
                Error::configuration(message).at(&self.path, line, column, &self.text)
            }
            None => Error::configuration(message).in_file(&self.path),
        }
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
        let error = match place.or_else(|| self.find_word(name)) {
            Some(place) => self.error_at(place, message),
            None => Error::configuration(message).in_file(&self.path),
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

    /// Where a word stands first outside of comments.
    fn find_word(&self, word: &str) -> Option<Location> {
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        for (line, text) in self
            .text
            .lines()
            .enumerate()
            .filter(|(_, text)| !text.trim_start().starts_with("--"))
        {
            for (at, _) in text.match_indices(word) {
                let (before, after) = (
                    text[..at].chars().next_back(),
                    text[at + word.len()..].chars().next(),
                );
                if !is_part(before) && !is_part(after) {
                    return Some(Location::new(
                        line as u64 + 1,
                        text[..at].chars().count() as u64 + 1,
                    ));
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

/// `... at Line: 3, Column: 7` of a parser error.
fn position(message: &str) -> Option<(usize, usize, String)> {
    let at = message.find(" at Line: ")?;
    let rest = &message[at + " at Line: ".len()..];
    let (line, rest) = rest.split_once(", Column: ")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let shown = message[..at]
        .trim_start_matches("ParserError(\"")
        .trim_start_matches("TokenizerError(\"");
    Some((
        line.parse().ok()?,
        rest[..digits].parse().ok()?,
        shown.to_owned(),
    ))
}
