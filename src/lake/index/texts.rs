//! All tests of one source of texts at once: exact ones by hash, patterns by one search for all their literals, and what
//! was found of a text is remembered, so that each distinct text is looked at once.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError, HashMap, Result};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

use super::atoms::{TextAtom, VALUE};
use super::rows::RowSet;
use super::{AtomRows, physical};
use crate::functions::TextTest;

/// Bytes of texts that are remembered for one source and thread.
const REMEMBERED: usize = 8 << 20;
/// Literals of all patterns above which the automaton takes its small form.
const LARGE: usize = 60_000;
/// Fewer literals are found faster in a text than the text in a table.
const FEW: usize = 8;
/// Texts after which it is judged whether remembering them pays.
const TRIAL: usize = 1 << 16;

/// The tests of one source.
#[derive(Debug)]
pub(super) struct Texts {
    schema: SchemaRef,
    subjects: Vec<Subject>,
    /// Tests without a form that the index knows: evaluated on each distinct text.
    others: Vec<(usize, Arc<dyn PhysicalExpr>)>,
    /// Whether remembering a text costs less than looking at it anew.
    is_costly: bool,
    /// What is true where there is no text.
    of_null: Outcome,
    /// What is NULL there: most tests.
    strict: Vec<usize>,
}

/// The text as the tests want it: itself, in lower case, its base name.
#[derive(Debug)]
struct Subject {
    dress: Option<Arc<dyn PhysicalExpr>>,
    atoms: Vec<usize>,
    exact: HashMap<String, Vec<usize>>,
    automaton: Option<AhoCorasick>,
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

/// The atoms that are true of a text, and those that are NULL though it is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Outcome {
    truths: Box<[usize]>,
    nulls: Box<[usize]>,
}

/// What one thread remembers of one source.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashMap<Box<str>, u32>,
    bytes: usize,
    outcomes: Vec<Outcome>,
    numbers: HashMap<Outcome, u32>,
    looked: usize,
    missed: usize,
    /// Blocks for which nothing is remembered, because hardly a text came twice.
    resting: usize,
}

/// Tests of one dress of the text.
type OfSubject = (Option<Expr>, Vec<(usize, TextAtom)>);

/// A number that stands for a text of this block which is still to be judged.
const PENDING: u32 = 1 << 31;

impl Texts {
    /// The tests of a source whose texts have this type.
    pub(super) fn new(
        text_type: &DataType,
        tests: Vec<(usize, Option<Expr>, TextAtom)>,
    ) -> Result<Self> {
        let schema = Arc::new(Schema::new(vec![Field::new(
            VALUE,
            text_type.clone(),
            true,
        )]));
        let planned = DFSchema::try_from(Arc::clone(&schema))?;
        let mut dresses: HashMap<Option<Expr>, usize> = HashMap::new();
        let mut of_subject: Vec<OfSubject> = Vec::new();
        let mut others = Vec::new();
        for (atom, dress, test) in tests {
            if let TextAtom::Other(expr) = &test {
                others.push((atom, physical(expr, &planned)?));
                continue;
            }
            let subject = *dresses.entry(dress).or_insert_with_key(|dress| {
                of_subject.push((dress.clone(), Vec::new()));
                of_subject.len() - 1
            });
            of_subject[subject].1.push((atom, test));
        }
        let mut subjects = Vec::new();
        for (dress, tests) in of_subject {
            let dress = dress.map(|dress| physical(&dress, &planned)).transpose()?;
            subjects.push(Subject::new(dress, tests)?);
        }
        let mut texts = Self {
            schema,
            subjects,
            others,
            is_costly: false,
            of_null: Outcome::default(),
            strict: Vec::new(),
        };
        let needs_work = |subject: &Subject| subject.dress.is_some() || !subject.always.is_empty();
        texts.is_costly = !texts.others.is_empty()
            || texts.subjects.iter().any(needs_work)
            || texts.literals() >= FEW;
        let null = StringViewArray::from(vec![None::<&str>]);
        let mut of_null = texts.judge(&null)?.swap_remove(0);
        texts.strict = std::mem::take(&mut of_null.nulls).into_vec();
        texts.of_null = of_null;
        Ok(texts)
    }

    /// The atoms that are NULL where there is no text.
    pub(super) fn strict(&self) -> &[usize] {
        &self.strict
    }

    /// Whether it takes more than looking texts up.
    pub(super) fn has_patterns(&self) -> bool {
        let searched = |subject: &Subject| !subject.gated.is_empty() || !subject.always.is_empty();
        !self.others.is_empty() || self.subjects.iter().any(searched)
    }

    /// Patterns that no literal speaks for.
    pub(super) fn unindexed(&self) -> impl Iterator<Item = usize> + '_ {
        let always = self.subjects.iter().flat_map(|subject| &subject.always);
        let always = always.map(|(atom, _)| *atom);
        always.chain(self.others.iter().map(|(atom, _)| *atom))
    }

    /// How many literals are searched for.
    pub(super) fn literals(&self) -> usize {
        let subjects = self.subjects.iter();
        subjects.map(|subject| subject.triggers.len()).sum()
    }

    /// Judges the texts of some rows, and adds what it found to the atoms' rows.
    pub(super) fn evaluate(
        &self,
        column: &ArrayRef,
        needed: &RowSet,
        memory: &mut Memory,
        found: &mut [Option<AtomRows>],
    ) -> Result<()> {
        let column = cast(column, &DataType::Utf8View)?;
        let column = column.as_string_view();
        let rows = column.len();
        if memory.bytes > REMEMBERED {
            memory.forget();
        }
        let remembers = memory.remembers() && self.is_costly;
        let mut numbers = Vec::with_capacity(rows);
        let mut pending: Vec<&str> = Vec::new();
        // Texts of a dictionary come as the same view again and again.
        let mut recent: Vec<Option<(u128, u32)>> = vec![None; RECENT];
        for row in needed.iter() {
            if column.is_null(row) {
                mark(found, &self.of_null, row, rows);
                continue;
            }
            let view = column.views()[row];
            let recent = &mut recent[place_of(view)];
            if let Some((same, number)) = *recent
                && same == view
            {
                numbers.push((row, number));
                continue;
            }
            let text = column.value(row);
            let number = if remembers {
                memory.number(text, &mut pending)
            } else {
                pending.push(text);
                PENDING | number(pending.len() - 1)
            };
            *recent = Some((view, number));
            numbers.push((row, number));
        }
        let judged = self.judge(&StringViewArray::from_iter_values(&pending));
        // What is left pending in it must not be taken for a number.
        let outcomes = judged.inspect_err(|_| memory.forget())?;
        let judged: Vec<u32> = outcomes
            .into_iter()
            .map(|outcome| memory.number_of(outcome))
            .collect();
        if remembers {
            for (text, number) in pending.iter().zip(&judged) {
                if let Some(known) = memory.known.get_mut(*text) {
                    *known = *number;
                }
            }
        }
        for (row, number) in numbers {
            let number = match number {
                pending if pending & PENDING != 0 => judged[(pending & !PENDING) as usize],
                known => known,
            };
            if number != 0 {
                mark(found, &memory.outcomes[number as usize], row, rows);
            }
        }
        Ok(())
    }

    /// What holds of each text.
    fn judge(&self, texts: &StringViewArray) -> Result<Vec<Outcome>> {
        let count = texts.len();
        let mut truths: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut nulls: Vec<Vec<usize>> = vec![Vec::new(); count];
        if count == 0 {
            return Ok(Vec::new());
        }
        let array: ArrayRef = Arc::new(texts.clone());
        let array = cast(&array, self.schema.field(0).data_type())?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![array])?;
        for subject in &self.subjects {
            subject.judge(texts, &batch, &mut truths, &mut nulls)?;
        }
        for (atom, expr) in &self.others {
            let held = expr.evaluate(&batch)?.into_array(count)?;
            let held = held.as_boolean_opt().ok_or_else(|| no_boolean(expr))?;
            for index in 0..count {
                if held.is_null(index) {
                    nulls[index].push(*atom);
                } else if held.value(index) {
                    truths[index].push(*atom);
                }
            }
        }
        let outcomes = truths.into_iter().zip(nulls);
        Ok(outcomes
            .map(|(truths, nulls)| Outcome {
                truths: truths.into(),
                nulls: nulls.into(),
            })
            .collect())
    }
}

/// A place in a block, or among outcomes, of which there are at most a few for each: far below 2^31.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(!PENDING)
}

/// Views of a block that are kept at hand.
const RECENT: usize = 256;

/// Where a view is kept: its length, first bytes and place in its buffer, mixed.
#[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
fn place_of(view: u128) -> usize {
    let halves = (view as u64) ^ ((view >> 64) as u64);
    (halves.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % RECENT
}

fn no_boolean(expr: &Arc<dyn PhysicalExpr>) -> DataFusionError {
    DataFusionError::Internal(format!("filter {expr} gave no boolean"))
}

fn mark(found: &mut [Option<AtomRows>], outcome: &Outcome, row: usize, rows: usize) {
    for atom in &outcome.truths {
        let found = found[*atom].get_or_insert_with(|| AtomRows::none(rows));
        found.truths.insert(row);
    }
    for atom in &outcome.nulls {
        let found = found[*atom].get_or_insert_with(|| AtomRows::none(rows));
        found
            .nulls
            .get_or_insert_with(|| RowSet::none(rows))
            .insert(row);
    }
}

impl Subject {
    fn new(dress: Option<Arc<dyn PhysicalExpr>>, tests: Vec<(usize, TextAtom)>) -> Result<Self> {
        let mut subject = Self {
            dress,
            atoms: tests.iter().map(|(atom, _)| *atom).collect(),
            exact: HashMap::new(),
            automaton: None,
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
        }
        Ok(subject)
    }

    fn judge(
        &self,
        texts: &StringViewArray,
        batch: &RecordBatch,
        truths: &mut [Vec<usize>],
        nulls: &mut [Vec<usize>],
    ) -> Result<()> {
        let dressed = match &self.dress {
            None => None,
            Some(dress) => {
                let dressed = dress.evaluate(batch)?.into_array(batch.num_rows())?;
                Some(cast(&dressed, &DataType::Utf8View)?)
            }
        };
        let texts = dressed
            .as_ref()
            .map_or(texts, |array| array.as_string_view());
        let mut scratch = Scratch {
            literals: vec![0; self.triggers.len()],
            gated: vec![0; self.gated.len()],
            candidates: Vec::new(),
        };
        for index in 0..texts.len() {
            if texts.is_null(index) {
                nulls[index].extend(&self.atoms);
            } else {
                self.judge_one(
                    texts.value(index),
                    number(index) + 1,
                    &mut scratch,
                    &mut truths[index],
                );
            }
        }
        Ok(())
    }

    fn judge_one(&self, text: &str, turn: u32, scratch: &mut Scratch, truths: &mut Vec<usize>) {
        if let Some(atoms) = self.exact.get(text) {
            truths.extend(atoms);
        }
        scratch.candidates.clear();
        if let Some(automaton) = &self.automaton {
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

impl Memory {
    fn forget(&mut self) {
        self.known.clear();
        self.outcomes.clear();
        self.numbers.clear();
        self.bytes = 0;
    }

    /// Whether this block's texts are looked up and remembered.
    fn remembers(&mut self) -> bool {
        if self.outcomes.is_empty() {
            // 0 is nothing, and looked at no further.
            self.number_of(Outcome::default());
        }
        if self.looked >= TRIAL {
            if self.missed * 10 > self.looked * 8 {
                self.resting = 64;
                self.forget();
                self.number_of(Outcome::default());
            }
            (self.looked, self.missed) = (0, 0);
        }
        if self.resting > 0 {
            self.resting -= 1;
            return false;
        }
        true
    }

    fn number<'t>(&mut self, text: &'t str, pending: &mut Vec<&'t str>) -> u32 {
        self.looked += 1;
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        self.missed += 1;
        let number = PENDING | number(pending.len());
        pending.push(text);
        self.known.insert(text.into(), number);
        self.bytes += text.len() + 40;
        number
    }

    fn number_of(&mut self, outcome: Outcome) -> u32 {
        // Most texts by far: the number is known without a look.
        let is_nothing = outcome.truths.is_empty() && outcome.nulls.is_empty();
        if is_nothing && !self.outcomes.is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(&outcome) {
            return *number;
        }
        let number = number(self.outcomes.len());
        self.bytes += 8 * (outcome.truths.len() + outcome.nulls.len()) + 100;
        self.outcomes.push(outcome.clone());
        self.numbers.insert(outcome, number);
        number
    }
}
