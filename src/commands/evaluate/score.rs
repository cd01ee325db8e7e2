//! What a hunt found against what it should: recall and precision over raw events, not over findings, as one finding may
//! rest on many. It must not know where either comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{Answers, Labels, Place};
use crate::hunt::Status;

/// What a hunt gave.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// How many findings.
    pub(super) findings: usize,
    /// The raw events behind them.
    pub(super) events: BTreeSet<Place>,
    /// Findings with more events than their evidence holds.
    pub(super) truncated: usize,
    /// Why it did not run to its end.
    pub(super) failure: Option<String>,
    /// What else a reader must know.
    pub(super) note: Option<String>,
}

/// An event that is not as labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// Where it lies.
    pub(super) place: Place,
    /// Why that is right, where the answers say so.
    pub(super) why: Option<String>,
}

/// How one hunt did.
#[derive(Debug, Clone)]
pub(super) struct Score {
    /// Its name.
    pub(super) hunt: String,
    /// Its status.
    pub(super) status: Status,
    /// How many findings it gave.
    pub(super) findings: usize,
    /// Labelled events; `None` where nobody labelled any.
    pub(super) labelled: Option<usize>,
    /// Labelled events that it found.
    pub(super) found: usize,
    /// Labelled events that it did not find.
    pub(super) missed: Vec<Difference>,
    /// Other events that it found.
    pub(super) extra: Vec<Difference>,
    /// How many near misses there are.
    pub(super) near_misses: usize,
    /// How many of them it found; they are extra too.
    pub(super) near_misses_found: usize,
    /// Findings with more events than their evidence holds: of these, found may count as missed.
    pub(super) truncated: usize,
    /// Why it did not run to its end.
    pub(super) failure: Option<String>,
    /// What else a reader must know.
    pub(super) note: Option<String>,
}

impl Score {
    /// Compares what was found with the labels. A record that lies there twice is one event.
    pub(super) fn new(
        hunt: &str,
        status: Status,
        labels: &Labels,
        found: Found,
        answers: &Answers,
    ) -> Self {
        let originals = |places: &BTreeSet<Place>| -> BTreeSet<Place> {
            places.iter().map(|place| answers.original(place)).collect()
        };
        let explained = labels.explained.iter();
        let explained: BTreeMap<Place, &String> = explained
            .map(|(place, why)| (answers.original(place), why))
            .collect();
        let labelled = labels.events.as_ref().map(originals);
        let wanted = labelled.clone().unwrap_or_default();
        let near_misses = originals(&labels.near_misses);
        let context = originals(&labels.context);
        let events = originals(&found.events);
        let difference = |place: &Place| Difference {
            place: place.clone(),
            why: explained.get(place).map(|why| (*why).clone()),
        };
        let extra = events.difference(&wanted);
        // An activity's events may be a near miss alone and part of a hit with others.
        let near_misses: BTreeSet<_> = near_misses.difference(&wanted).collect();
        Self {
            hunt: hunt.to_owned(),
            status,
            findings: found.findings,
            labelled: labelled.map(|labelled| labelled.len()),
            found: events.intersection(&wanted).count(),
            missed: wanted.difference(&events).map(difference).collect(),
            extra: extra
                .filter(|place| !context.contains(place))
                .map(difference)
                .collect(),
            near_misses_found: near_misses
                .iter()
                .filter(|place| events.contains(**place))
                .count(),
            near_misses: near_misses.len(),
            truncated: found.truncated,
            failure: found.failure,
            note: found.note,
        }
    }

    /// How many of the missed and extra events the answers have a word for.
    pub(super) fn explained(&self) -> usize {
        let differences = self.missed.iter().chain(&self.extra);
        differences.filter(|one| one.why.is_some()).count()
    }

    /// The share of the labelled events that it found.
    pub(super) fn recall(&self) -> Option<f64> {
        share(self.found, self.labelled?)
    }

    /// The share of what it found that is labelled.
    pub(super) fn precision(&self) -> Option<f64> {
        self.labelled?;
        share(self.found, self.found + self.extra.len())
    }

    /// Whether a labelled event is missing without a word, or the hunt did not run.
    pub(super) fn is_failed(&self) -> bool {
        self.failure.is_some() || self.missed.iter().any(|one| one.why.is_none())
    }
}

/// A part of a whole; nothing has no share.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of events in labelled lakes are far below 2^53"
)]
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(row: u64) -> Place {
        Place {
            table: "t".to_owned(),
            file: "f".to_owned(),
            row,
        }
    }

    fn places(rows: &[u64]) -> BTreeSet<Place> {
        rows.iter().map(|row| place(*row)).collect()
    }

    fn score(labels: &Labels, rows: &[u64]) -> Score {
        let found = Found {
            events: places(rows),
            ..Found::default()
        };
        Score::new("h", Status::Stable, labels, found, &Answers::default())
    }

    fn is(share: Option<f64>, wanted: f64) -> bool {
        share == Some(wanted)
    }

    #[test]
    fn found_missed_and_extra() {
        let labels = Labels {
            events: Some(places(&[1, 2])),
            near_misses: places(&[2, 3, 4]),
            context: places(&[5]),
            ..Labels::default()
        };
        let score = score(&labels, &[2, 3, 5]);
        assert_eq!((score.labelled, score.found), (Some(2), 1));
        let rows =
            |list: &[Difference]| -> Vec<u64> { list.iter().map(|one| one.place.row).collect() };
        assert_eq!(rows(&score.missed), [1]);
        assert_eq!(rows(&score.extra), [3], "context is neither");
        assert_eq!(
            (score.near_misses, score.near_misses_found),
            (2, 1),
            "what is labelled is no near miss"
        );
        assert!(is(score.recall(), 0.5) && is(score.precision(), 0.5));
        assert_eq!(score.explained(), 0);
        assert!(score.is_failed());
    }

    #[test]
    fn what_is_explained_counts_and_does_not_fail() {
        let explained = [(place(1), "why".to_owned()), (place(9), "too".to_owned())];
        let labels = Labels {
            events: Some(places(&[1])),
            explained: explained.into(),
            ..Labels::default()
        };
        let score = score(&labels, &[9]);
        assert_eq!(score.missed[0].why.as_deref(), Some("why"));
        assert_eq!(score.extra[0].why.as_deref(), Some("too"));
        assert_eq!(score.explained(), 2);
        assert!(is(score.recall(), 0.0) && is(score.precision(), 0.0));
        assert!(!score.is_failed());
    }

    #[test]
    fn without_labels_there_is_no_share() {
        let score = score(&Labels::default(), &[9]);
        assert_eq!((score.labelled, score.extra.len()), (None, 1));
        assert_eq!((score.recall(), score.precision()), (None, None));
        assert!(!score.is_failed());
        let nothing = Labels {
            events: Some(places(&[])),
            ..Labels::default()
        };
        let score = super::tests::score(&nothing, &[]);
        assert_eq!((score.recall(), score.precision()), (None, None));
    }

    #[test]
    fn a_copy_stands_for_its_original() {
        let text = r#"{"hunts": {"h": [{"table": "t", "file": "f", "row": 1}]}, "duplicates":
            [{"table": "t", "file": "f", "row": 2, "of": {"table": "t", "file": "f", "row": 1}}]}"#;
        let answers = Answers::parse(std::path::Path::new("a"), text).unwrap();
        let found = Found {
            events: places(&[2]),
            ..Found::default()
        };
        let score = Score::new("h", Status::Test, &answers.hunts["h"], found, &answers);
        assert_eq!((score.found, score.extra.len()), (1, 0));
    }

    #[test]
    fn a_hunt_that_fails_fails() {
        let found = Found {
            failure: Some("too slow".to_owned()),
            ..Found::default()
        };
        let score = Score::new(
            "h",
            Status::Stable,
            &Labels::default(),
            found,
            &Answers::default(),
        );
        assert!(score.is_failed());
    }
}
