//! All tests of one dress of a text: exact ones by hash, patterns by one search for all their literals, then each pattern
//! whose literals are there.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, HashMap, Result};
use datafusion::physical_expr::PhysicalExpr;

use super::atoms::TextAtom;
use super::prefilter::Prefilter;
use crate::functions::TextTest;

/// Literals of all patterns above which the automaton takes its small form.
const LARGE: usize = 60_000;
/// Texts by which it is judged whether a prefilter pays, and the share of them that may hold a literal: one in so many.
const ENOUGH: usize = 1024;
const DENSE: usize = 4;

/// The text as the tests want it: itself, in lower case, its base name.
#[derive(Debug)]
pub(super) struct Subject {
    dress: Option<Arc<dyn PhysicalExpr>>,
    atoms: Vec<usize>,
    exact: HashMap<String, Vec<usize>>,
    automaton: Option<AhoCorasick>,
    /// Finds the texts that the automaton need not look at.
    prefilter: Option<Prefilter>,
    /// Which tests a literal speaks for, the first literals of a test only.
    triggers: Vec<Vec<usize>>,
    gated: Vec<Gated>,
    /// Those among the gated that case folds beyond ASCII for.
    folding: Vec<usize>,
    always: Vec<(usize, Pattern)>,
}

#[derive(Debug)]
struct Gated {
    atom: usize,
    pattern: Pattern,
    /// Of each further group one literal must have been seen.
    groups: Vec<Vec<usize>>,
}

#[derive(Debug, Clone)]
enum Pattern {
    Test(TextTest),
    Prefix(String),
}

impl Pattern {
    fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Test(test) => test.is_match(text),
            Self::Prefix(prefix) => text.starts_with(prefix),
        }
    }
}

/// What was found of the text at hand.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) truths: Vec<usize>,
    pub(super) nulls: Vec<usize>,
}

impl Subject {
    /// Tests of one dress.
    ///
    /// # Errors
    /// When the literals are too many for one search.
    pub(super) fn new(
        dress: Option<Arc<dyn PhysicalExpr>>,
        tests: Vec<(usize, TextAtom)>,
    ) -> Result<Self> {
        let mut subject = Self {
            dress,
            atoms: tests.iter().map(|(atom, _)| *atom).collect(),
            exact: HashMap::new(),
            automaton: None,
            prefilter: None,
            triggers: Vec::new(),
            gated: Vec::new(),
            folding: Vec::new(),
            always: Vec::new(),
        };
        let mut literals: HashMap<String, usize> = HashMap::new();
        let mut searched: Vec<String> = Vec::new();
        for (atom, test) in tests {
            let required = test.required();
            let pattern = match test {
                TextAtom::OneOf(texts) => {
                    for text in texts {
                        let atoms = subject.exact.entry(text).or_default();
                        if !atoms.contains(&atom) {
                            atoms.push(atom);
                        }
                    }
                    continue;
                }
                TextAtom::Pattern(test) => Pattern::Test(test),
                TextAtom::Prefix(prefix) => Pattern::Prefix(prefix),
                TextAtom::Other(_) => continue,
            };
            let mut groups: Vec<Vec<usize>> = Vec::new();
            for group in required.groups {
                let numbers = group.into_iter().map(|literal| {
                    *literals.entry(literal).or_insert_with_key(|literal| {
                        searched.push(literal.clone());
                        searched.len() - 1
                    })
                });
                groups.push(numbers.collect());
            }
            let Some(first) = groups.first().cloned() else {
                subject.always.push((atom, pattern));
                continue;
            };
            let gated = subject.gated.len();
            subject.triggers.resize_with(searched.len(), Vec::new);
            for literal in first {
                subject.triggers[literal].push(gated);
            }
            if required.folds {
                subject.folding.push(gated);
            }
            subject.gated.push(Gated {
                atom,
                pattern,
                groups: groups.split_off(1),
            });
        }
        subject.triggers.resize_with(searched.len(), Vec::new);
        if !searched.is_empty() {
            subject.automaton = Some(automaton(&searched)?);
            subject.prefilter = Prefilter::new(&searched);
        }
        Ok(subject)
    }

    /// Whether it is about something made of the texts.
    pub(super) fn is_dressed(&self) -> bool {
        self.dress.is_some()
    }

    /// Patterns that no literal speaks for.
    pub(super) fn unindexed(&self) -> impl Iterator<Item = usize> + '_ {
        self.always.iter().map(|(atom, _)| *atom)
    }

    /// Whether it takes more than looking texts up.
    pub(super) fn is_searched(&self) -> bool {
        !self.gated.is_empty() || !self.always.is_empty()
    }

    /// How many literals are searched for.
    pub(super) fn literals(&self) -> usize {
        self.triggers.len()
    }

    /// Whether a prefilter tells the texts that need a look.
    pub(super) fn is_prefiltered(&self) -> bool {
        self.prefilter.is_some() || self.automaton.is_none()
    }

    /// A look at some texts, which a batch has for what is made of them. Says where prefilters spare little.
    pub(super) fn look(
        &self,
        texts: &[Option<&str>],
        batch: Option<&RecordBatch>,
        is_dense: &mut bool,
    ) -> Result<LookAt<'_>> {
        let dressed = match (&self.dress, batch) {
            (Some(dress), Some(batch)) => {
                let dressed = dress.evaluate(batch)?.into_array(batch.num_rows())?;
                Some(
                    cast(&dressed, &DataType::Utf8View)?
                        .as_string_view()
                        .clone(),
                )
            }
            _ => None,
        };
        let prefilter = self.prefilter.as_ref();
        let prefilter = prefilter.filter(|_| dressed.is_none() && !*is_dense);
        let suspects = prefilter.map(|prefilter| prefilter.suspects(texts));
        if let Some(suspects) = &suspects {
            let found = suspects.iter().filter(|suspect| **suspect).count();
            *is_dense = texts.len() >= ENOUGH && found > texts.len() / DENSE;
        }
        let scratch = Scratch {
            literals: vec![0; self.triggers.len()],
            gated: vec![0; self.gated.len()],
            candidates: Vec::new(),
        };
        Ok(LookAt {
            subject: self,
            dressed,
            suspects,
            scratch,
            turn: 0,
        })
    }

    /// `is_suspect`: whether a literal may be in the text.
    fn judge_one(
        &self,
        text: &str,
        turn: u32,
        is_suspect: bool,
        scratch: &mut Scratch,
        truths: &mut Vec<usize>,
    ) {
        if !self.exact.is_empty()
            && let Some(atoms) = self.exact.get(text)
        {
            truths.extend(atoms);
        }
        scratch.candidates.clear();
        let automaton = self.automaton.as_ref().filter(|_| is_suspect);
        if let Some(automaton) = automaton {
            for hit in automaton.find_overlapping_iter(text) {
                let literal = hit.pattern().as_usize();
                if scratch.literals[literal] == turn {
                    continue;
                }
                scratch.literals[literal] = turn;
                for gated in &self.triggers[literal] {
                    if scratch.gated[*gated] != turn {
                        scratch.gated[*gated] = turn;
                        scratch.candidates.push(*gated);
                    }
                }
            }
        }
        let folds =
            !self.folding.is_empty() && !text.is_ascii() && text.contains(['\u{17f}', '\u{212a}']);
        if folds {
            for gated in &self.folding {
                if scratch.gated[*gated] != turn {
                    scratch.gated[*gated] = turn;
                    scratch.candidates.push(*gated);
                }
            }
        }
        for gated in &scratch.candidates {
            let gated = &self.gated[*gated];
            let seen = |group: &Vec<usize>| {
                let mut literals = group.iter();
                literals.any(|literal| scratch.literals[*literal] == turn)
            };
            if (folds || gated.groups.iter().all(seen)) && gated.pattern.is_match(text) {
                truths.push(gated.atom);
            }
        }
        for (atom, pattern) in &self.always {
            if pattern.is_match(text) {
                truths.push(*atom);
            }
        }
    }
}

/// What a subject makes of some texts.
pub(super) struct LookAt<'s> {
    subject: &'s Subject,
    dressed: Option<StringViewArray>,
    /// The texts that hold a literal, if that is known.
    suspects: Option<Vec<bool>>,
    scratch: Scratch,
    turn: u32,
}

impl LookAt<'_> {
    /// Adds what holds of the next text.
    pub(super) fn judge(&mut self, index: usize, text: Option<&str>, found: &mut Found) {
        let text = match &self.dressed {
            Some(dressed) => dressed.is_valid(index).then(|| dressed.value(index)),
            None => text,
        };
        let Some(text) = text else {
            found.nulls.extend(&self.subject.atoms);
            return;
        };
        self.turn += 1;
        let (turn, scratch) = (self.turn, &mut self.scratch);
        let is_suspect = self.suspects.as_ref().is_none_or(|known| known[index]);
        let truths = &mut found.truths;
        self.subject
            .judge_one(text, turn, is_suspect, scratch, truths);
    }
}

/// What has been seen of the text at hand: marked with its turn, so that nothing need be cleared.
struct Scratch {
    literals: Vec<u32>,
    gated: Vec<u32>,
    candidates: Vec<usize>,
}

fn automaton(literals: &[String]) -> Result<AhoCorasick> {
    let bytes: usize = literals.iter().map(String::len).sum();
    let kind = if bytes > LARGE {
        AhoCorasickKind::ContiguousNFA
    } else {
        AhoCorasickKind::DFA
    };
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(Some(kind))
        .build(literals)
        .map_err(|error| DataFusionError::External(Box::new(error)))
}
