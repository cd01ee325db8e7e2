//! `tests/lakes/real_telemetry_answers.json`: which letters of the answers a hunt answers to, and everything that it finds
//! beyond them or misses of them, each with its reason. The one place where such things are written down.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Place;
use super::truth::Truth;
use crate::workspace::repository;

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mapping {
    /// Folder of a table, how the names of its files begin, its name in the lake.
    tables: Vec<(String, String, String)>,
    hunts: BTreeMap<String, Answer>,
}

/// What is known of one hunt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// Absent where the answers have no letter for what the hunt looks for.
    letters: Option<Vec<String>>,
    #[serde(default)]
    context: Vec<Events>,
    #[serde(default)]
    explained: Vec<Events>,
}

/// Several events, by letter or by line, and why they are named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    #[serde(default)]
    letters: Vec<String>,
    file: Option<String>,
    #[serde(default)]
    lines: Vec<u64>,
    why: String,
}

/// The raw events of one hunt.
pub(crate) struct Labels {
    /// What it must find, where there is a letter.
    pub(crate) events: Option<BTreeSet<Place>>,
    /// What may stand beside those in a finding.
    pub(crate) context: BTreeSet<Place>,
    /// What it finds or misses otherwise, and why.
    pub(crate) explained: BTreeMap<Place, String>,
}

impl Events {
    fn places(&self, truth: &Truth) -> BTreeSet<Place> {
        assert_ne!(self.why, "");
        let lines = self.lines.iter();
        let own = lines.map(|line| (self.file.clone().unwrap(), *line));
        own.chain(truth.of(&self.letters)).collect()
    }
}

impl Mapping {
    pub(crate) fn read() -> Self {
        let path = repository().join("tests/lakes/real_telemetry_answers.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// The hunts it knows.
    pub(crate) fn hunts(&self) -> BTreeSet<&str> {
        self.hunts.keys().map(String::as_str).collect()
    }

    /// The labels of a hunt.
    pub(crate) fn labels(&self, hunt: &str, truth: &Truth) -> Labels {
        let answer = &self.hunts[hunt];
        let letters = answer.letters.as_ref();
        let context = answer.context.iter();
        let explained = answer.explained.iter().flat_map(|one| {
            let places = one.places(truth).into_iter();
            places.map(|place| (place, one.why.clone()))
        });
        Labels {
            events: letters.map(|letters| truth.of(letters)),
            context: context.flat_map(|one| one.places(truth)).collect(),
            explained: explained.collect(),
        }
    }

    /// All labels as `lakehunt evaluate` reads them.
    pub(crate) fn answers(&self, truth: &Truth) -> Value {
        let hunts = self.hunts.keys().map(|hunt| {
            let labels = self.labels(hunt, truth);
            let events = |places: &BTreeSet<Place>| -> Vec<Value> {
                places.iter().map(|place| self.event(place)).collect()
            };
            let explained = labels.explained.iter().map(|(place, why)| {
                let mut event = self.event(place);
                event["why"] = why.as_str().into();
                event
            });
            let mut said = json!({
                "context": events(&labels.context),
                "explained": explained.collect::<Vec<_>>(),
            });
            if let Some(places) = &labels.events {
                said["events"] = events(places).into();
            }
            (hunt.clone(), said)
        });
        json!({"hunts": hunts.collect::<Map<_, _>>()})
    }

    /// A line of a file as an event of the lake.
    fn event(&self, (file, line): &Place) -> Value {
        let mut tables = self.tables.iter();
        let table = tables.find(|(_, prefix, _)| file.starts_with(prefix));
        let (folder, _, table) = table.unwrap();
        json!({"table": table, "file": file.strip_prefix(folder.as_str()).unwrap(), "row": line})
    }
}
