//! The front matter of a hunt: YAML in SQL line comments between two `-- ---` fences at the top of the file.
//!
//! Line comments, because `/* */` nests in DataFusion's dialect and `s3://x/*.parquet` would open one; and so that
//! lines of errors are lines of the file. Knows the keys, not the SQL.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::yaml;
use crate::error::{Error, Result};

const FENCE: &str = "-- ---";

/// Maturity, in Sigma's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// 0 to 100.
    pub score: u8,
    /// Text with `{column}` placeholders.
    pub message: String,
}

/// The value of a parameter: what SQL can have as a literal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    /// A UUID that stays when the file is renamed.
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

/// Splits off and parses the front matter of a hunt file.
///
/// # Errors
/// A configuration error with file, line and column: no opening fence on the first line, no closing fence, a line
/// between them that is not a comment, YAML that does not parse, an unknown key.
pub fn parse(file: &Path, text: &str) -> Result<FrontMatter> {
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some(FENCE) {
        return Err(Error::configuration("a hunt starts with its front matter")
            .at(file, 1, 1, text)
            .hint(format!("the first line must be exactly `{FENCE}`; `lakehunt hunts show wmic_format` prints an example")));
    }
    let mut front = String::new();
    for (index, line) in lines.enumerate() {
        if line.trim_end() == FENCE {
            let front_matter: FrontMatter = yaml::parse(&front, file, 2, 3, text)?;
            return check(front_matter, file);
        }
        let Some(content) = line.strip_prefix("-- ").or_else(|| line.strip_prefix("--")) else {
            return Err(Error::configuration("the front matter is not closed")
                .at(file, index + 2, 1, text)
                .hint(format!(
                    "every line of it starts with `-- `, and a line `{FENCE}` ends it"
                )));
        };
        front.push_str(content);
        front.push('\n');
    }
    Err(Error::configuration("the front matter is not closed")
        .at(file, 1, 1, text)
        .hint(format!("end it with a line `{FENCE}`")))
}

fn check(front_matter: FrontMatter, file: &Path) -> Result<FrontMatter> {
    let id = &front_matter.id;
    let is_uuid = id.len() == 36
        && id.char_indices().all(|(index, c)| match index {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        });
    if !is_uuid {
        return Err(Error::configuration(format!("`id: {id}` is not a UUID"))
            .in_file(file)
            .hint("make one with `uuidgen`; it stays when the file is renamed"));
    }
    if front_matter
        .risk
        .as_ref()
        .is_some_and(|risk| risk.score > 100)
    {
        return Err(Error::configuration("`risk.score` is a number from 0 to 100").in_file(file));
    }
    Ok(front_matter)
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
