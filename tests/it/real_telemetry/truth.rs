//! The answers that come with the telemetry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{Place, Row};

/// A group: its events, how many commands and how many processes.
pub(super) type Session = (BTreeSet<Place>, u64, u64);

/// The answers.
pub(crate) struct Truth(Value);

impl Truth {
    pub(crate) fn read(folder: &Path) -> Self {
        let text = std::fs::read(folder.join("ground_truth.json")).unwrap();
        Self(serde_json::from_slice(&text).unwrap())
    }

    /// How many records there are in all files.
    pub(super) fn events(&self) -> u64 {
        self.0["total_events"].as_u64().unwrap()
    }

    /// How many raw events match a letter of the definitions, over all files.
    pub(super) fn total(&self, letter: &str) -> u64 {
        self.0["total_counts"][letter].as_u64().unwrap_or_default()
    }

    pub(super) fn files(&self) -> &Row {
        self.0["files"].as_object().unwrap()
    }

    /// The raw events that match one letter of the definitions.
    pub(super) fn hits(&self, letter: &str) -> BTreeMap<Place, &Value> {
        let mut hits = BTreeMap::new();
        for (file, answers) in self.files() {
            for hit in answers["hits"][letter].as_array().into_iter().flatten() {
                hits.insert((file.clone(), hit["line"].as_u64().unwrap()), hit);
            }
        }
        assert_eq!(
            hits.len() as u64,
            self.total(letter),
            "the answers agree with themselves on {letter}"
        );
        hits
    }

    pub(super) fn places(&self, letter: &str) -> BTreeSet<Place> {
        self.hits(letter).into_keys().collect()
    }

    /// The raw events that match any of some letters; of sequences, their processes.
    pub(super) fn of(&self, letters: &[String]) -> BTreeSet<Place> {
        let one = |letter: &String| {
            let sequences = self.derived(letter).into_iter();
            let processes = sequences.map(|(file, entry)| (file.to_owned(), line_of(entry)));
            processes
                .chain(self.places(letter))
                .collect::<BTreeSet<_>>()
        };
        letters.iter().flat_map(one).collect()
    }

    /// The groups or sequences of a kind, with the files they are in.
    pub(super) fn derived(&self, kind: &str) -> Vec<(&str, &Value)> {
        let files = self.files().iter();
        let derived = files.flat_map(|(file, answers)| {
            let entries = answers["derived"][kind].as_array().into_iter().flatten();
            entries.map(move |entry| (file.as_str(), entry))
        });
        derived.collect()
    }

    /// The groups of a kind, merged over the sensors that saw them: (host, redirect file) to (events, commands, pids).
    pub(super) fn groups(&self, kind: &str) -> BTreeMap<(String, String), Session> {
        let mut groups: BTreeMap<_, Session> = BTreeMap::new();
        for (file, group) in self.derived(kind) {
            let text = |key: &str| group[key].as_str().unwrap().to_lowercase();
            let count = |key: &str| group[key].as_u64().unwrap();
            let merged = groups
                .entry((text("host"), text("redirect_file")))
                .or_default();
            let lines = group["lines"].as_array().unwrap().iter();
            merged
                .0
                .extend(lines.map(|line| (file.to_owned(), line.as_u64().unwrap())));
            merged.1 = merged.1.max(count("total_commands"));
            merged.2 = merged.2.max(count("total_pids"));
        }
        groups
    }
}

/// The line of the process of a sequence.
pub(super) fn line_of(sequence: &Value) -> u64 {
    sequence["e_line"].as_u64().unwrap()
}
