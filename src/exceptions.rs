//! Exceptions: findings that somebody has judged and explained. A hunt, a SQL condition over its findings, the reason,
//! and the day it ends; in a job, or in a file of its own.
//!
//! An exception never hides anything: what it covers is still written, marked with `excepted_by`, and counted. Pure: what
//! a condition means is the engine's business.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};
use crate::hunt::yaml;
use crate::time::parse_instant;

/// One exception as it is written; unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// What alerts say in `excepted_by`; the reason by default.
    pub name: Option<String>,
    /// The hunt whose findings it is about.
    pub hunt: String,
    /// A SQL condition over the columns of that hunt's findings, such as `host_name = 'BACKUP01'`.
    pub condition: String,
    /// Why these findings are no cause for alarm, for those who come after.
    pub reason: String,
    /// Who decided it.
    pub owner: Option<String>,
    /// The day (or time) it ends: it holds for tiles that start before.
    pub expires: String,
}

/// The `exceptions` of a job: a file, or the list itself.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Exceptions {
    /// A file, relative to the job.
    File(PathBuf),
    /// The exceptions themselves.
    List(Vec<Written>),
}

/// By hand, because an untagged enum would not say which key is wrong.
impl<'de> Deserialize<'de> for Exceptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct FileOrList;
        impl<'de> Visitor<'de> for FileOrList {
            type Value = Exceptions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file of exceptions, or a list of them")
            }
            fn visit_str<E>(self, file: &str) -> std::result::Result<Exceptions, E> {
                Ok(Exceptions::File(PathBuf::from(file)))
            }
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                list: A,
            ) -> std::result::Result<Exceptions, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Exceptions::List)
            }
        }
        deserializer.deserialize_any(FileOrList)
    }
}

/// A file of exceptions with their key; without it the file is the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keyed {
    /// The exceptions.
    exceptions: Vec<Written>,
}

/// What a file of exceptions holds.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(
    dead_code,
    reason = "says what is read; reading tries one, then the other"
)]
enum FileContent {
    /// With the key.
    Keyed(Keyed),
    /// The list alone.
    List(Vec<Written>),
}

/// The JSON Schema of a file of exceptions.
pub fn json_schema() -> schemars::Schema {
    schemars::schema_for!(FileContent)
}

/// One exception, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// What alerts say in `excepted_by`.
    pub name: String,
    /// The hunt.
    pub hunt: String,
    /// A SQL condition over the columns of its findings; NULL is no.
    pub condition: String,
    /// Why.
    pub reason: String,
    /// Who decided it.
    pub owner: Option<String>,
    /// It holds for tiles that start before.
    pub expires: DateTime<Utc>,
    /// The file it stands in.
    pub path: PathBuf,
    /// The text of that file.
    source: Arc<str>,
}

impl Exception {
    /// Whether it holds for a tile that starts then.
    pub fn holds_at(&self, tile_start: DateTime<Utc>) -> bool {
        tile_start < self.expires
    }

    /// An error about the condition, which knows places in the condition, as one about the file.
    pub fn error(&self, error: &Error) -> Error {
        self.error_about(&self.condition, error)
    }

    /// An error about one of its values, as one about the file.
    pub fn error_about(&self, value: &str, error: &Error) -> Error {
        let message = format!("exception `{}`: {}", self.name, error.message());
        let inside = error.place().filter(|place| place.line > 0);
        let (line, column) = inside.map_or((1, 1), |place| (place.line, place.column));
        let written = value.lines().nth(line - 1).unwrap_or_default();
        let moved = Error::configuration(message);
        let moved = match find(&self.source, written) {
            Some((line, start)) => moved.at(&self.path, line, start + column - 1, &self.source),
            None => moved.in_file(&self.path),
        };
        moved.maybe_hint(error.hint_text().map(str::to_owned))
    }
}

/// Checks exceptions that stand in a file; `text` is the file's.
///
/// # Errors
/// A configuration error at its place: an `expires` that is no time, an empty condition or reason, two of one name.
pub fn check(list: Vec<Written>, path: &Path, text: &str, zone: Tz) -> Result<Vec<Exception>> {
    let source: Arc<str> = text.into();
    let mut checked: Vec<Exception> = Vec::new();
    for written in list {
        let name = written.name.unwrap_or_else(|| written.reason.clone());
        let wrong = |value: &str, message: String| {
            let message = format!("exception `{name}`: {message}");
            match find(text, value) {
                Some((line, column)) => Error::configuration(message).at(path, line, column, text),
                None => Error::configuration(message).in_file(path),
            }
        };
        let expires = parse_instant(&written.expires, zone)
            .map_err(|error| wrong(&written.expires, format!("expires: {error}")))?;
        for (key, value) in [
            ("condition", &written.condition),
            ("reason", &written.reason),
        ] {
            if value.trim().is_empty() {
                return Err(wrong(&written.hunt, format!("its `{key}` is empty")));
            }
        }
        if checked.iter().any(|other| other.name == name) {
            return Err(wrong(&name, "there are two of this name".to_owned())
                .hint("alerts say by name what excepted them: give each a `name` of its own"));
        }
        checked.push(Exception {
            name,
            hunt: written.hunt,
            condition: written.condition,
            reason: written.reason,
            owner: written.owner,
            expires,
            path: path.to_owned(),
            source: Arc::clone(&source),
        });
    }
    Ok(checked)
}

/// Reads a file of exceptions.
///
/// # Errors
/// A configuration error with file and place.
pub fn read(path: &Path, zone: Tz) -> Result<Vec<Exception>> {
    let text = yaml::text(path, "file of exceptions")?;
    // Parsed as what it looks like, so that a mistake is told by its key and line.
    let is_keyed = text.lines().any(|line| line.starts_with("exceptions:"));
    let list = if is_keyed {
        yaml::parse::<Keyed>(&text, path, 1, 0, &text)?.exceptions
    } else {
        yaml::parse::<Vec<Written>>(&text, path, 1, 0, &text)?
    };
    check(list, path, &text, zone)
}

/// Where a text stands in a file, as line and column; only its first line is looked for. Behind one of an exception's
/// keys where it stands there, because a short text stands in many places.
fn find(text: &str, value: &str) -> Option<(usize, usize)> {
    const KEYS: [&str; 5] = ["condition:", "hunt:", "expires:", "name:", "reason:"];
    let first = value.lines().next().filter(|line| !line.is_empty())?;
    let places = text.lines().enumerate().filter_map(|(index, line)| {
        let key = KEYS
            .iter()
            .find_map(|key| Some(line.find(key)? + key.len()));
        let behind = key.and_then(|from| Some(line[from..].find(first)? + from));
        let at = behind.or_else(|| line.find(first))?;
        Some((
            behind.is_none(),
            (index + 1, line[..at].chars().count() + 1),
        ))
    });
    places
        .min_by_key(|(elsewhere, place)| (*elsewhere, place.0))
        .map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Vec<Exception>> {
        let list = yaml::parse(text, Path::new("e.yaml"), 1, 0, text)?;
        check(list, Path::new("e.yaml"), text, Tz::UTC)
    }

    fn place(error: &Error) -> Option<(usize, usize)> {
        error.place().map(|place| (place.line, place.column))
    }

    const ONE: &str = "- hunt: wmic_format\n  condition: host_name = 'A'\n  reason: inventory\n  expires: 2026-02-01\n";

    #[test]
    fn an_exception_holds_for_tiles_that_start_before_it_expires() {
        let one = checked(ONE).unwrap().remove(0);
        let at = |text: &str| text.parse().unwrap();
        assert!(one.holds_at(at("2026-01-31T00:00:00Z")));
        assert!(!one.holds_at(at("2026-02-01T00:00:00Z")));
        assert_eq!(one.name, "inventory", "without a name the reason is it");
        let inside = Error::configuration("unknown column `host`").at("", 1, 3, "");
        assert_eq!(place(&one.error(&inside)), Some((2, 16)));
    }

    #[test]
    fn mistakes_are_told_at_their_place() {
        let error = checked(&ONE.replace("2026-02-01", "soon")).unwrap_err();
        assert!(error.to_string().contains("exception `inventory`: expires"));
        assert_eq!(place(&error), Some((4, 12)));
        let error = checked(&format!("{ONE}{ONE}")).unwrap_err();
        assert!(error.message().contains("two of this name"), "{error}");
        let error = checked(&ONE.replace("inventory", "' '")).unwrap_err();
        assert!(error.message().contains("`reason` is empty"), "{error}");
        let error = checked(&ONE.replace("condition", "where")).unwrap_err();
        assert!(error.message().contains("unknown key `where`"), "{error}");
    }

    #[test]
    fn a_file_is_a_list_with_or_without_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("exceptions.yaml");
        std::fs::write(&file, ONE).unwrap();
        let bare = read(&file, Tz::UTC).unwrap();
        let indented = ONE.trim_end().replace('\n', "\n  ");
        std::fs::write(&file, format!("# judged\nexceptions:\n  {indented}\n")).unwrap();
        let keyed = read(&file, Tz::UTC).unwrap();
        assert_eq!(bare[0].condition, keyed[0].condition);
        let inside = Error::configuration("no").at("", 1, 1, "");
        assert_eq!(place(&keyed[0].error(&inside)), Some((4, 16)));
    }
}
