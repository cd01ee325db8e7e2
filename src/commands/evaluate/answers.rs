//! What a labelled lake says of itself: which raw events each hunt must find, in either of the two shapes that
//! `lakehunt evaluate` reads. It must not know what any hunt found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// Where one raw event lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    /// The table's name in the lake file.
    pub(super) table: String,
    /// The file, relative to the table's location.
    pub(super) file: String,
    /// 1-based line, or row of a Parquet file.
    pub(super) row: u64,
}

/// What is known of one hunt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels {
    /// The raw events it must find; `None` where nobody labelled any, so that nothing is missed and nothing is wrong.
    pub(super) events: Option<BTreeSet<Place>>,
    /// Events that look like those and are none: found, they are extra.
    pub(super) near_misses: BTreeSet<Place>,
    /// Events that may stand beside those in a finding, such as the connection before a process: they count neither way.
    pub(super) context: BTreeSet<Place>,
    /// Events that the hunt finds beyond its labels, or misses of them, and why that is right.
    pub(super) explained: BTreeMap<Place, String>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// By the name of the hunt.
    pub(super) hunts: BTreeMap<String, Labels>,
    /// Records that lie there twice: of each copy, which one it is a copy of.
    copies: BTreeMap<Place, Place>,
}

/// As people and programs write it: `{"hunts": {...}}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    hunts: BTreeMap<String, Value>,
    #[serde(default)]
    duplicates: Vec<Duplicate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainLabels {
    events: Option<BTreeSet<Place>>,
    #[serde(default)]
    near_misses: BTreeSet<Place>,
    #[serde(default)]
    context: BTreeSet<Place>,
    #[serde(default)]
    explained: Vec<Explained>,
}

#[derive(Deserialize)]
struct Explained {
    #[serde(flatten)]
    place: Place,
    why: String,
}

/// As `lakehunt sample` writes it. What else stands there is not needed.
#[derive(Deserialize)]
struct Sample {
    planted: Vec<Planted>,
    #[serde(default)]
    duplicates: Vec<Duplicate>,
}

#[derive(Deserialize)]
struct Planted {
    hunt: String,
    kind: Kind,
    events: Vec<Place>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Hit,
    NearMiss,
}

#[derive(Deserialize)]
struct Duplicate {
    #[serde(flatten)]
    copy: Place,
    of: Place,
}

impl Answers {
    /// Reads either shape.
    ///
    /// # Errors
    /// A configuration error that says where the text is not JSON, or which hunt's labels are not understood.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            Error::configuration(format!("the answers are no JSON: {error}")).in_file(path)
        })?;
        if value.get("planted").is_some() {
            return Ok(Self::of_sample(read(path, "answers of a sample", value)?));
        }
        if value.get("hunts").is_none() {
            return Err(
                Error::configuration("no answers: neither `hunts` nor `planted` is in it")
                    .hint("`lakehunt evaluate --help` shows what the file holds")
                    .in_file(path),
            );
        }
        let plain: Plain = read(path, "answers", value)?;
        let mut hunts = BTreeMap::new();
        for (name, value) in plain.hunts {
            let what = format!("hunts.{name}");
            let labels = if value.is_array() {
                Labels {
                    events: Some(read(path, &what, value)?),
                    ..Labels::default()
                }
            } else {
                let labels: PlainLabels = read(path, &what, value)?;
                let explained = labels.explained.into_iter();
                Labels {
                    events: labels.events,
                    near_misses: labels.near_misses,
                    context: labels.context,
                    explained: explained.map(|one| (one.place, one.why)).collect(),
                }
            };
            hunts.insert(name, labels);
        }
        Ok(Self {
            hunts,
            copies: copies(plain.duplicates),
        })
    }

    fn of_sample(sample: Sample) -> Self {
        let mut hunts: BTreeMap<String, Labels> = BTreeMap::new();
        for planted in sample.planted {
            let labels = hunts.entry(planted.hunt).or_default();
            let events = labels.events.get_or_insert_default();
            match planted.kind {
                Kind::Hit => events.extend(planted.events),
                Kind::NearMiss => labels.near_misses.extend(planted.events),
            }
        }
        Self {
            hunts,
            copies: copies(sample.duplicates),
        }
    }

    /// The first copy of a record: whichever copy a lake keeps, it is this event.
    pub(super) fn original(&self, place: &Place) -> Place {
        let mut place = place;
        // A copy of a copy leads on; a circle, which no lake has, ends when all were seen.
        for _ in 0..=self.copies.len() {
            match self.copies.get(place) {
                Some(of) => place = of,
                None => break,
            }
        }
        place.clone()
    }

    /// The tables that are named anywhere in it.
    pub(super) fn tables(&self) -> BTreeSet<&str> {
        let labels = self.hunts.values().flat_map(|labels| {
            let events = labels.events.iter().flatten();
            let beside = labels.near_misses.iter().chain(&labels.context);
            events.chain(beside).chain(labels.explained.keys())
        });
        labels.map(|place| place.table.as_str()).collect()
    }
}

fn copies(duplicates: Vec<Duplicate>) -> BTreeMap<Place, Place> {
    let copies = duplicates.into_iter();
    copies.map(|one| (one.copy, one.of)).collect()
}

fn read<T: DeserializeOwned>(path: &Path, what: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| {
        Error::configuration(format!("{what}: {error}"))
            .hint("an event is {\"table\": ..., \"file\": ..., \"row\": ...}; see `lakehunt evaluate --help`")
            .in_file(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Answers> {
        Answers::parse(Path::new("answers.json"), text)
    }

    fn place(row: u64) -> Place {
        Place {
            table: "t".to_owned(),
            file: "f".to_owned(),
            row,
        }
    }

    const ONE: &str = r#"{"table": "t", "file": "f", "row": 1}"#;

    #[test]
    fn a_list_is_the_events() {
        let answers = parse(&format!(r#"{{"hunts": {{"a": [{ONE}], "b": []}}}}"#)).unwrap();
        assert_eq!(answers.hunts["a"].events, Some(BTreeSet::from([place(1)])));
        assert_eq!(answers.hunts["b"].events, Some(BTreeSet::new()));
        assert_eq!(answers.tables(), BTreeSet::from(["t"]));
    }

    #[test]
    fn an_object_says_more_and_may_leave_the_events_out() {
        let answers = parse(
            r#"{"hunts": {"a": {"context": [{"table": "t", "file": "f", "row": 2}],
                "explained": [{"table": "t", "file": "f", "row": 3, "why": "so"}]}}}"#,
        )
        .unwrap();
        let labels = &answers.hunts["a"];
        assert_eq!(labels.events, None);
        assert_eq!(labels.context, BTreeSet::from([place(2)]));
        assert_eq!(labels.explained[&place(3)], "so");
    }

    #[test]
    fn a_sample_says_what_is_planted_and_what_came_twice() {
        let answers = parse(&format!(
            r#"{{"seed": 1, "planted": [
                {{"id": "p1", "hunt": "a", "kind": "hit", "events": [{ONE}]}},
                {{"id": "p2", "hunt": "a", "kind": "near_miss", "events": [{{"table": "t", "file": "f", "row": 2}}]}},
                {{"id": "p3", "hunt": "b", "kind": "near_miss", "events": []}}],
                "duplicates": [{{"table": "t", "file": "f", "row": 7, "of": {ONE}}},
                               {{"table": "t", "file": "f", "row": 8, "of": {{"table": "t", "file": "f", "row": 7}}}}]}}"#
        ))
        .unwrap();
        let labels = &answers.hunts["a"];
        assert_eq!(labels.events, Some(BTreeSet::from([place(1)])));
        assert_eq!(labels.near_misses, BTreeSet::from([place(2)]));
        assert_eq!(answers.hunts["b"].events, Some(BTreeSet::new()));
        for row in [1, 7, 8] {
            assert_eq!(answers.original(&place(row)), place(1));
        }
        assert_eq!(answers.original(&place(2)), place(2));
    }

    #[test]
    fn a_circle_of_copies_ends() {
        let answers = parse(&format!(
            r#"{{"hunts": {{}}, "duplicates": [{{"table": "t", "file": "f", "row": 2, "of": {ONE}}},
                {{"table": "t", "file": "f", "row": 1, "of": {{"table": "t", "file": "f", "row": 2}}}}]}}"#
        ))
        .unwrap();
        answers.original(&place(1));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, wanted) in [
            ("{", "the answers are no JSON"),
            ("{}", "neither `hunts` nor `planted`"),
            (
                r#"{"hunts": {"a": [{"table": "t"}]}}"#,
                "hunts.a: missing field",
            ),
            (
                r#"{"hunts": {"a": {"event": []}}}"#,
                "hunts.a: unknown field `event`",
            ),
            (r#"{"hunts": {}, "hunt": 1}"#, "unknown field `hunt`"),
            (
                r#"{"planted": [{"hunt": "a", "kind": "maybe", "events": []}]}"#,
                "unknown variant `maybe`",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
