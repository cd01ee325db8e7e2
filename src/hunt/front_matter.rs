//! The front matter of a hunt: YAML in SQL line comments between two `-- ---` fences at the top of the file.
//!
//! Line comments, because `/* */` nests in DataFusion's dialect and `s3://x/*.parquet` would open one; and so that
//! lines of errors are lines of the file. Knows the keys, not the SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::yaml;
use crate::error::{Error, Result};
use crate::time::parse_duration;

const FENCE: &str = "-- ---";

/// Maturity, in Sigma's words.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No longer meant to run.
    Unsupported,
    /// Replaced by another hunt.
    Deprecated,
    /// New, may be noisy.
    Experimental,
    /// Works, but is not for the nightly job: the faithful ports.
    Test,
    /// For production; has fixtures.
    Stable,
}

/// Severity, in Sigma's words; ordered from least to most severe.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the record.
    Informational,
    /// Worth a look in context.
    Low,
    /// Worth a look.
    Medium,
    /// Look today.
    High,
    /// Look now.
    Critical,
}

impl Level {
    /// The word as it is written in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Status {
    /// The word as it is written in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Deprecated => "deprecated",
            Self::Experimental => "experimental",
            Self::Test => "test",
            Self::Stable => "stable",
        }
    }
}

/// Where a port comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Query language of the original: `LogScale`, `SPL`, `KQL`.
    pub language: String,
    /// The published document.
    pub document: String,
    /// The query as published.
    pub query: String,
}

/// Risk of one alert, as Splunk's risk-based alerting has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// 0 to 100.
    #[schemars(range(max = 100))]
    pub score: u8,
    /// Text with `{column}` placeholders.
    pub message: String,
}

/// The value of a parameter: what SQL can have as a literal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Parameter {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(String),
}

impl std::fmt::Display for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "'{value}'"),
        }
    }
}

/// All keys of a hunt's front matter; unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    /// A UUID that stays when the file is renamed.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    pub id: String,
    /// One line for people.
    pub title: String,
    /// Maturity.
    pub status: Status,
    /// Severity.
    pub level: Level,
    /// What it finds and what it misses.
    pub description: String,
    /// `attack.t1047` and the like.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Links.
    #[serde(default)]
    pub references: Vec<String>,
    /// Provenance of a port.
    pub source: Option<Source>,
    /// Known causes of false alarms.
    #[serde(default)]
    pub falsepositives: Vec<String>,
    /// What to do when it fires.
    #[serde(default)]
    pub response: Vec<String>,
    /// How far before the window its tables are read, such as `3h`.
    pub lookback: Option<String>,
    /// `$name` in the SQL; a job may override.
    #[serde(default)]
    pub params: BTreeMap<String, Parameter>,
    /// Kind of entity to column.
    #[serde(default)]
    pub entities: BTreeMap<String, String>,
    /// Columns that make findings the same activity.
    #[serde(default)]
    pub key: Vec<String>,
    /// Risk score and message.
    pub risk: Option<Risk>,
}

/// The JSON Schema of front matter.
pub fn json_schema() -> schemars::Schema {
    schemars::schema_for!(FrontMatter)
}

/// A front matter, and all that is wrong with it.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What could be read; a key that is wrong or missing holds a stand-in. `None` when nothing could be read.
    pub front_matter: Option<FrontMatter>,
    /// The keys that hold a stand-in.
    pub stand_ins: BTreeSet<String>,
    /// In the order in which they were found.
    pub errors: Vec<Error>,
}

/// Splits off and parses the front matter of a hunt file.
///
/// # Errors
/// The first of [`read`].
pub fn parse(file: &Path, text: &str) -> Result<FrontMatter> {
    let reading = read(file, text);
    match (reading.errors.into_iter().next(), reading.front_matter) {
        (None, Some(front_matter)) => Ok(front_matter),
        (Some(error), _) => Err(error),
        (None, None) => Err(Error::configuration("there is no front matter").in_file(file)),
    }
}

/// Reads the front matter of a hunt file with all its errors: what is wrong is cut out, and the rest is read again.
///
/// The errors are configuration errors with file, line and column: no opening fence on the first line, no closing
/// fence, a line between them that is not a comment, YAML that does not parse, an unknown or missing key, a value that
/// does not fit.
pub fn read(file: &Path, text: &str) -> Reading {
    let mut reading = Reading {
        front_matter: None,
        stand_ins: BTreeSet::new(),
        errors: Vec::new(),
    };
    let mut lines = match split(file, text) {
        Ok(lines) => lines,
        Err(error) => {
            reading.errors.push(error);
            return reading;
        }
    };
    // Every round cuts a key out or adds one, so it ends.
    loop {
        let written = lines.join("\n") + "\n";
        let error = match yaml::parse::<FrontMatter>(&written, file, 2, 3, text) {
            Ok(front_matter) => {
                reading.front_matter = Some(front_matter);
                break;
            }
            Err(error) => error,
        };
        match repair(&mut lines, &error) {
            // What was cut out is missing, which is no second error.
            Some(key) if reading.stand_ins.contains(&key) => {}
            Some(key) => {
                reading.stand_ins.insert(key);
                reading.errors.push(error);
            }
            None => {
                reading.errors.push(error);
                return reading;
            }
        }
    }
    if let Some(front_matter) = &reading.front_matter {
        let values = check(front_matter, file, text);
        for (key, error) in values {
            if reading.stand_ins.insert(key.to_owned()) {
                reading.errors.push(error);
            }
        }
    }
    reading
}

/// The lines between the fences, without their comment signs.
fn split<'a>(file: &Path, text: &'a str) -> Result<Vec<&'a str>> {
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some(FENCE) {
        return Err(Error::configuration("a hunt starts with its front matter")
            .at(file, 1, 1, text)
            .hint(format!("the first line must be exactly `{FENCE}`; `lakehunt hunts show wmic_format` prints an example")));
    }
    let mut front = Vec::new();
    for (index, line) in lines.enumerate() {
        if line.trim_end() == FENCE {
            return Ok(front);
        }
        let Some(content) = line.strip_prefix("-- ").or_else(|| line.strip_prefix("--")) else {
            return Err(Error::configuration("the front matter is not closed")
                .at(file, index + 2, 1, text)
                .hint(format!(
                    "every line of it starts with `-- `, and a line `{FENCE}` ends it"
                )));
        };
        front.push(content);
    }
    Err(Error::configuration("the front matter is not closed")
        .at(file, 1, 1, text)
        .hint(format!("end it with a line `{FENCE}`")))
}

/// Makes lines that gave an error readable, and says which key now holds a stand-in; `None` when that cannot be done.
fn repair(lines: &mut Vec<&str>, error: &Error) -> Option<String> {
    let message = error.message();
    if let Some(missing) = message.strip_prefix("missing key `") {
        let key = missing.strip_suffix('`')?;
        lines.push(match key {
            "id" => "id: 00000000-0000-4000-8000-000000000000",
            "title" => "title: ''",
            "status" => "status: experimental",
            "level" => "level: low",
            "description" => "description: ''",
            _ => return None,
        });
        return Some(key.to_owned());
    }
    // A mistake in YAML itself leaves it open where a key ends.
    let about_a_key = [
        "unknown ",
        "missing ",
        "invalid ",
        "duplicate ",
        "did not match",
    ];
    if !about_a_key.iter().any(|words| message.contains(words)) {
        return None;
    }
    let line = error.place()?.line.checked_sub(2)?;
    let first = (0..=line.min(lines.len().checked_sub(1)?))
        .rev()
        .find(|index| key_of(lines[*index]).is_some())?;
    let key = key_of(lines[first])?.to_owned();
    let next = lines[first + 1..]
        .iter()
        .position(|line| key_of(line).is_some());
    let end = next.map_or(lines.len(), |next| first + 1 + next);
    // Blank lines, so that the others stay where they are.
    lines[first..end].fill("");
    Some(key)
}

/// The key that an entry of the front matter starts with.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_key.then_some(key)
}

/// Where a key of the front matter stands in the text of a hunt, or rather `word` in its value where that is there:
/// line and column, 1-based.
pub fn locate(text: &str, key: &str, word: &str) -> Option<(usize, usize)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let content = |line: &'_ str| line.strip_prefix("-- ").map(str::to_owned);
    let mut lines = text.lines().enumerate().skip(1);
    let (first, line) = lines
        .find(|(_, line)| content(line).is_some_and(|content| key_of(&content) == Some(key)))?;
    let entry = std::iter::once((first, line)).chain(lines.take_while(|(_, line)| {
        line.trim_end() != FENCE && content(line).is_none_or(|content| key_of(&content).is_none())
    }));
    for (index, line) in entry {
        // Not in the key itself.
        let from = if index == first { 3 + key.len() } else { 0 };
        let rest = line.get(from..).unwrap_or_default();
        for (at, _) in rest.match_indices(word).filter(|_| !word.is_empty()) {
            let before = rest[..at].chars().next_back();
            let after = rest[at + word.len()..].chars().next();
            if !before.is_some_and(is_part) && !after.is_some_and(is_part) {
                return Some((index + 1, line[..from + at].chars().count() + 1));
            }
        }
    }
    Some((first + 1, 4))
}

/// Values that parse and cannot be meant, each with its key.
fn check(front_matter: &FrontMatter, file: &Path, text: &str) -> Vec<(&'static str, Error)> {
    let error = |key: &str, word: &str, message: String| {
        let error = Error::configuration(message);
        match locate(text, key, word) {
            Some((line, column)) => error.at(file, line, column, text),
            None => error.in_file(file),
        }
    };
    let mut wrong = Vec::new();
    let id = &front_matter.id;
    let is_uuid = id.len() == 36
        && id.char_indices().all(|(index, c)| match index {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        });
    if !is_uuid {
        let error = error("id", id, format!("`id: {id}` is not a UUID"))
            .hint("make one with `uuidgen`; it stays when the file is renamed");
        wrong.push(("id", error));
    }
    if let Some(risk) = &front_matter.risk
        && risk.score > 100
    {
        let score = risk.score.to_string();
        let message = "`risk.score` is a number from 0 to 100".to_owned();
        wrong.push(("risk", error("risk", &score, message)));
    }
    if let Some(lookback) = &front_matter.lookback
        && let Err(reason) = parse_duration(lookback)
    {
        let message = format!("lookback: {reason}");
        wrong.push(("lookback", error("lookback", lookback, message)));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "-- ---\n-- id: 7d2c0c5e-0f5b-4c7e-9b1e-3a6f7f0f4a11\n-- title: T\n-- status: stable\n-- level: high\n-- description: D\n-- ---\nSELECT 1\n";

    #[test]
    fn parses_the_keys() {
        let front_matter = parse(Path::new("h.sql"), GOOD).unwrap();
        assert_eq!(front_matter.level, Level::High);
        assert_eq!(front_matter.status, Status::Stable);
    }

    #[test]
    fn an_unknown_key_is_an_error_at_its_line() {
        let text = GOOD.replace("-- title: T", "-- title: T\n-- levle: low");
        let error = parse(Path::new("h.sql"), &text).unwrap_err();
        let place = error.place().unwrap();
        assert_eq!((place.line, place.column), (4, 4), "{error}");
        assert!(error.message().contains("levle"), "{error}");
    }

    #[test]
    fn all_errors_are_found_at_once() {
        let text = "-- ---\n-- id: 7\n-- levle: low\n-- status:\n--   severe\n-- params: {a: 1\n--   , b: [2]}\n-- risk: {score: 101, message: x}\n-- lookback: 3 elephants\n-- ---\nSELECT 1\n";
        let reading = read(Path::new("h.sql"), text);
        let found: Vec<_> = reading
            .errors
            .iter()
            .map(|error| {
                let line = error.place().map_or(0, |place| place.line);
                (line, error.message().split('`').nth(1).unwrap_or_default())
            })
            .collect();
        for expected in [
            (3, "levle"),
            (5, "severe"),
            (2, "id: 7"),
            (8, "risk.score"),
            (9, "3 elephants"),
        ] {
            assert!(found.contains(&expected), "{expected:?} of {found:?}");
        }
        let missing = ["title", "level", "description"];
        for key in missing {
            assert!(
                found.iter().any(|(_, word)| *word == key),
                "{key} of {found:?}"
            );
        }
        assert!(
            found.iter().any(|(line, _)| (6..=7).contains(line)),
            "{found:?}"
        );
        assert_eq!(found.len(), 9, "{found:?}");
        assert!(reading.front_matter.is_some());
    }

    #[test]
    fn yaml_that_is_broken_is_one_error() {
        let text = GOOD.replace("-- title: T", "-- title: \"T");
        let reading = read(Path::new("h.sql"), &text);
        assert_eq!(reading.errors.len(), 1, "{:?}", reading.errors);
        assert!(reading.front_matter.is_none());
    }

    #[test]
    fn words_are_located_in_the_value_of_a_key() {
        let text =
            "-- ---\n-- key: [host, user]\n-- entities:\n--   host: user\n-- ---\nSELECT user\n";
        assert_eq!(locate(text, "key", "user"), Some((2, 16)));
        assert_eq!(locate(text, "entities", "user"), Some((4, 12)));
        assert_eq!(
            locate(text, "key", "use"),
            Some((2, 4)),
            "no whole word: the key"
        );
        assert_eq!(locate(text, "risk", "user"), None);
    }

    #[test]
    fn fences_are_exact() {
        for (text, line) in [
            ("SELECT 1", 1),
            ("-- ---\n-- id: x\nSELECT 1", 3),
            ("-- ---\n-- id: x\n", 1),
        ] {
            let error = parse(Path::new("h.sql"), text).unwrap_err();
            assert_eq!(error.place().unwrap().line, line, "{text}");
        }
    }
}
