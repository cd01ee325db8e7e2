//! The hunt that `lakehunt hunts new` writes, and its fixture: small, commented, and passing `check` and `test` as it is.
//!
//! Texts in, texts out. Knows the format of a hunt and of a fixture, and of a view just the names of its text columns.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

/// What tells one view's events apart best, most telling first.
const TELLING: [&str; 10] = [
    "command_line",
    "script_block_text",
    "image_loaded",
    "relative_target_name",
    "query",
    "operation",
    "destination_hostname",
    "destination_ip",
    "text",
    "image",
];

/// Columns that every view has, or most, so that they tell nothing.
const COMMON: [&str; 6] = [
    "event_type",
    "host_id",
    "host_name",
    "source",
    "record_id",
    "user",
];

/// Names of columns that SQL takes for something else unless they are in double quotes.
const RESERVED: [&str; 12] = [
    "user", "filter", "order", "group", "table", "from", "to", "end", "start", "values", "default",
    "path",
];

/// The word that the template looks for.
const WORD: &str = "replace-me";

/// The files of a new hunt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The `.sql` file.
    pub hunt: String,
    /// The events of its fixture, in the view's columns: one hit, one near miss.
    pub events: String,
    /// The findings they give.
    pub expected: String,
}

impl Template {
    /// A hunt over a view with these text columns; `None` when the view has none that tells its events apart.
    pub fn new(name: &str, category: &str, texts: &[&str], id: &str) -> Option<Self> {
        let telling = TELLING.iter().find(|column| texts.contains(column));
        let subject = telling
            .or_else(|| texts.iter().find(|column| !COMMON.contains(column)))
            .copied()?;
        let has_user = texts.contains(&"user");
        Some(Self {
            hunt: hunt(name, category, subject, has_user, id),
            events: events(subject, has_user),
            expected: expected(subject),
        })
    }
}

fn hunt(name: &str, category: &str, subject: &str, has_user: bool, id: &str) -> String {
    let column = quoted(subject);
    let (entity, user) = if has_user {
        (", user: user", "  \"user\",\n")
    } else {
        ("", "")
    };
    let title = title(name);
    let mut text = String::new();
    let _ = write!(
        text,
        r#"-- ---
-- # `lakehunt schema front-matter` explains every key; drop these comments when you are done.
-- id: {id}
-- title: {title}
-- status: experimental               # then test, and stable once it is for production
-- level: low                         # informational, low, medium, high, critical
-- description: >
--   What it finds, what it misses, and why that is worth somebody's time.
-- tags: []                           # attack.execution, attack.t1047, ...
-- references: []
-- falsepositives:
--   - Who does this for a good reason.
-- response:
--   - What to look at first when it fires.
-- # lookback: 1h                     # how far before the window it reads, for hunts that join or aggregate
-- # params: {{min_events: 2}}          # $min_events in the SQL; a job may override it
-- entities: {{host: host_name{entity}}}
-- key: [host_id, {subject}]          # findings that agree in these are the same activity
-- risk: {{score: 10, message: "{subject} on {{host_name}}: {{{subject}}}"}}
-- ---
-- Nothing here says when: the job does. A hunt that aggregates returns first_seen, last_seen, event_count and
-- evidence(_table, _file, _row) AS evidence in place of event_time, _table, _file and _row.
SELECT
  event_time,
  host_id,
  host_name,
{user}  {column},
  _table,
  _file,
  _row
FROM {category}
WHERE {column} ILIKE '%{WORD}%'
"#
    );
    text
}

fn events(subject: &str, has_user: bool) -> String {
    let event = |note: &str, minute: u8, value: &str| {
        let mut event = json!({
            "_note": note,
            "event_time": format!("2026-01-05T09:{minute:02}:00Z"),
            "event_type": "example:1",
            "host_id": "ws-1.corp.example",
            "host_name": "ws-1.corp.example",
        });
        if has_user {
            event["user"] = r"CORP\mina.okafor".into();
        }
        event[subject] = value.into();
        format!("{event}\n")
    };
    event(
        "hit: the word, in any case",
        1,
        &format!("example {}", WORD.to_uppercase()),
    ) + &event(
        "near miss: the word is broken",
        2,
        &format!("example {}", WORD.replace('-', " ")),
    )
}

fn expected(subject: &str) -> String {
    let mut finding = json!({"event_time": "2026-01-05T09:01:00Z", "host_id": "ws-1.corp.example"});
    finding[subject] = format!("example {}", WORD.to_uppercase()).into();
    finding["evidence_rows"] = json!([1]);
    format!("{finding}\n")
}

fn quoted(column: &str) -> String {
    if RESERVED.contains(&column) {
        format!("\"{column}\"")
    } else {
        column.to_owned()
    }
}

/// `wmic_format` as `Wmic format`.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// A UUID of version 4 whose random bits come from what is being made, and when to the nanosecond.
pub fn fresh_id(about: &str, now: DateTime<Utc>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(about.as_bytes());
    hasher.update([0]);
    hasher.update(now.timestamp().to_le_bytes());
    hasher.update(now.timestamp_subsec_nanos().to_le_bytes());
    let mut bytes: Vec<u8> = hasher.finalize().iter().copied().take(16).collect();
    // RFC 9562, 5.4: version and variant.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = crate::hex(&bytes);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::front_matter;

    #[test]
    fn its_front_matter_parses() {
        let texts = ["host_id", "user", "filter"];
        let template =
            Template::new("odd_filter", "wmi_activity", &texts, &fresh_id("x", now())).unwrap();
        let path = std::path::Path::new("odd_filter.sql");
        let front = front_matter::parse(path, &template.hunt).unwrap();
        assert_eq!(front.title, "Odd filter");
        assert_eq!(front.key, ["host_id", "filter"]);
        assert!(
            template.hunt.contains("WHERE \"filter\" ILIKE"),
            "{}",
            template.hunt
        );
        assert_eq!(Template::new("x", "y", &["host_id", "source"], "z"), None);
    }

    fn now() -> DateTime<Utc> {
        "2026-01-05T09:00:00.000000001Z".parse().unwrap()
    }

    #[test]
    fn ids_are_uuids_and_differ() {
        let id = fresh_id("a", now());
        assert_eq!(id, fresh_id("a", now()));
        assert_ne!(id, fresh_id("b", now()));
        assert_ne!(id, fresh_id("a", now() + chrono::Duration::nanoseconds(1)));
        let parts: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&id[14..15], "4", "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
    }
}
