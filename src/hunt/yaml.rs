//! Typed YAML with errors that name file, line and column; shared by front matter, jobs, lakes, forms and views.
//!
//! Knows nothing of what the files mean.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result, did_you_mean};

/// Parses a YAML text into a typed value. `first_line` is the line of the file on which the text starts (1-based),
/// `indent` the number of characters that were cut from the front of each of its lines, `source` the whole file.
///
/// # Errors
/// A configuration error at the place the parser names: unknown keys, wrong types, missing keys, bad YAML.
pub fn parse<T: DeserializeOwned>(
    text: &str,
    file: &Path,
    first_line: usize,
    indent: usize,
    source: &str,
) -> Result<T> {
    yaml_serde::from_str(text).map_err(|error| {
        let full = error.to_string();
        // The location is shown as file:line:column; the parser's own wording of it would say it twice,
        // and with the wrong line for front matter.
        let message = full.split(" at line ").next().unwrap_or(&full);
        let message = message
            .replace("unknown field `", "unknown key `")
            .replace("unknown variant `", "unknown word `")
            .replace("missing field `", "missing key `");
        let message = not_a_mapping(&message).unwrap_or(message);
        let hint = unknown_key(&message);
        let message = Error::configuration(message).maybe_hint(hint);
        match error.location() {
            Some(place) => message.at(
                file,
                place.line() + first_line - 1,
                place.column() + indent,
                source,
            ),
            None => message.in_file(file),
        }
    })
}

/// What stands where keys and values should, from serde's "invalid type: string \"x\", expected struct JobFile": the name
/// of a type of ours says nothing to anybody.
fn not_a_mapping(message: &str) -> Option<String> {
    let (found, _) = message.split_once(", expected struct ")?;
    let (key, found) = found.split_once("invalid type: ")?;
    Some(format!("{key}expected keys and values, not {found}"))
}

/// What was meant, from serde's "unknown field `a`, expected one of `b`, `c`".
fn unknown_key(message: &str) -> Option<String> {
    let (_, rest) = message
        .split_once("unknown key `")
        .or_else(|| message.split_once("unknown word `"))?;
    let mut words = rest.split('`').step_by(2);
    let typed = words.next()?;
    did_you_mean(typed, words)
}

/// Reads a whole YAML file.
///
/// # Errors
/// A configuration error when it cannot be read, with a hint for a folder.
pub fn text(file: &Path, what: &str) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| {
        let hint = match error.kind() {
            _ if file.is_dir() => Some(format!(
                "{} is a folder; name the {what} file itself",
                file.display()
            )),
            std::io::ErrorKind::NotFound => {
                Some(format!("check the path; a {what} is a YAML file"))
            }
            _ => None,
        };
        Error::configuration(format!("cannot read the {what}: {error}"))
            .in_file(file)
            .maybe_hint(hint)
    })
}

/// Reads and parses a whole YAML file.
///
/// # Errors
/// Those of [`text`] and [`parse`].
pub fn read<T: DeserializeOwned>(file: &Path, what: &str) -> Result<(T, String)> {
    let text = text(file, what)?;
    Ok((parse(&text, file, 1, 0, &text)?, text))
}
