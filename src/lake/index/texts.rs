//! All tests of one source of texts at once: exact ones by hash, patterns by one search for all their literals, and what
//! was found of a text is remembered, so that each distinct text is looked at once.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError, HashMap, Result};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, Equivalent, HashTable};

use super::atoms::{TextAtom, VALUE};
use super::rows::RowSet;
use super::subject::{Found, Subject};
use super::{AtomRows, physical};

/// Bytes of texts that are remembered for one source and thread.
const REMEMBERED: usize = 8 << 20;
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
    /// Whether prefilters leave nothing to be done for most texts.
    is_prefiltered: bool,
    /// What is true where there is no text.
    of_null: Outcome,
    /// What is NULL there: most tests.
    strict: Vec<usize>,
}

/// The atoms that are true of a text, and those that are NULL though it is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Outcome {
    truths: Box<[usize]>,
    nulls: Box<[usize]>,
}

/// An outcome that is looked for; it hashes as one.
#[derive(Hash)]
struct Sought<'a> {
    truths: &'a [usize],
    nulls: &'a [usize],
}

impl Equivalent<Outcome> for Sought<'_> {
    fn equivalent(&self, outcome: &Outcome) -> bool {
        *outcome.truths == *self.truths && *outcome.nulls == *self.nulls
    }
}

/// What one thread remembers of one source.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: Known,
    bytes: usize,
    outcomes: Vec<Outcome>,
    numbers: HashMap<Outcome, u32>,
    /// Whether prefilters spare little: most texts hold a literal.
    is_dense: bool,
    looked: usize,
    missed: usize,
    /// Blocks for which nothing is remembered, because hardly a text came twice.
    resting: usize,
}

/// Texts that were seen, and the number of what holds of each. They lie end to end: millions are kept and forgotten.
#[derive(Debug, Default)]
struct Known {
    texts: String,
    each: Vec<OneKnown>,
    /// Places among them, by hash.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct OneKnown {
    hash: u64,
    text: Range<usize>,
    number: u32,
}

impl Known {
    /// The number of a text; one that was not seen gets this one.
    fn number_or(&mut self, text: &str, new: u32) -> u32 {
        let hash = self.hasher.hash_one(text);
        let (texts, each) = (&self.texts, &self.each);
        let is_same = |place: &u32| {
            let known = &each[*place as usize];
            known.hash == hash && texts[known.text.clone()] == *text
        };
        let rehash = |place: &u32| each[*place as usize].hash;
        match self.places.entry(hash, is_same, rehash) {
            Entry::Occupied(place) => self.each[*place.get() as usize].number,
            Entry::Vacant(place) => {
                place.insert(number(self.each.len()));
                let start = self.texts.len();
                self.texts.push_str(text);
                self.each.push(OneKnown {
                    hash,
                    text: start..self.texts.len(),
                    number: new,
                });
                new
            }
        }
    }

    fn clear(&mut self) {
        self.texts.clear();
        self.each.clear();
        self.places.clear();
    }
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
            is_prefiltered: false,
            of_null: Outcome::default(),
            strict: Vec::new(),
        };
        let needs_work =
            |subject: &Subject| subject.is_dressed() || subject.unindexed().next().is_some();
        texts.is_costly = !texts.others.is_empty()
            || texts.subjects.iter().any(needs_work)
            || texts.literals() >= FEW;
        texts.is_prefiltered = texts.others.is_empty()
            && !texts.subjects.iter().any(needs_work)
            && texts.subjects.iter().all(Subject::is_prefiltered);
        let mut memory = Memory::default();
        let number = texts.judge(&[None], &mut memory)?[0];
        let mut of_null = memory.outcomes.swap_remove(number as usize);
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
        !self.others.is_empty() || self.subjects.iter().any(Subject::is_searched)
    }

    /// Patterns that no literal speaks for.
    pub(super) fn unindexed(&self) -> impl Iterator<Item = usize> + '_ {
        let always = self.subjects.iter().flat_map(Subject::unindexed);
        always.chain(self.others.iter().map(|(atom, _)| *atom))
    }

    /// How many literals are searched for.
    pub(super) fn literals(&self) -> usize {
        let subjects = self.subjects.iter();
        subjects.map(Subject::literals).sum()
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
        let is_quick = self.is_prefiltered && !memory.is_dense;
        let remembers = memory.remembers() && self.is_costly && !is_quick;
        let known_before = memory.known.each.len();
        let mut numbers = Vec::with_capacity(rows);
        let mut pending: Vec<Option<&str>> = Vec::new();
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
                pending.push(Some(text));
                PENDING | number(pending.len() - 1)
            };
            *recent = Some((view, number));
            numbers.push((row, number));
        }
        let judged = self.judge(&pending, memory);
        // What is left pending in it must not be taken for a number.
        let judged = judged.inspect_err(|_| memory.forget())?;
        if remembers {
            // Each that was looked at is one more that is known.
            for (known, number) in memory.known.each[known_before..].iter_mut().zip(&judged) {
                known.number = *number;
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

    /// What holds of each text, by the numbers of the memory.
    fn judge(&self, texts: &[Option<&str>], memory: &mut Memory) -> Result<Vec<u32>> {
        memory.begin();
        let batch = if self.others.is_empty() && !self.subjects.iter().any(Subject::is_dressed) {
            None
        } else {
            let array: ArrayRef = Arc::new(StringViewArray::from_iter(texts));
            let array = cast(&array, self.schema.field(0).data_type())?;
            Some(RecordBatch::try_new(Arc::clone(&self.schema), vec![array])?)
        };
        let looks = self.subjects.iter();
        let looks = looks.map(|subject| subject.look(texts, batch.as_ref(), &mut memory.is_dense));
        let mut looks = looks.collect::<Result<Vec<_>>>()?;
        let others = self.others.iter().filter_map(|(atom, expr)| {
            let batch = batch.as_ref()?;
            Some(held(expr, batch).map(|held| (*atom, held)))
        });
        let others = others.collect::<Result<Vec<_>>>()?;
        let mut outcome = Found::default();
        let numbers = texts.iter().enumerate().map(|(index, text)| {
            for look in &mut looks {
                look.judge(index, *text, &mut outcome);
            }
            for (atom, held) in &others {
                if held.is_null(index) {
                    outcome.nulls.push(*atom);
                } else if held.value(index) {
                    outcome.truths.push(*atom);
                }
            }
            memory.number_of(&mut outcome)
        });
        Ok(numbers.collect())
    }
}

/// What an expression says of each text.
fn held(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let held = expr.evaluate(batch)?.into_array(batch.num_rows())?;
    let held = held.as_boolean_opt();
    held.cloned()
        .ok_or_else(|| DataFusionError::Internal(format!("filter {expr} gave no boolean")))
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

impl Memory {
    fn forget(&mut self) {
        self.known.clear();
        self.outcomes.clear();
        self.numbers.clear();
        self.bytes = 0;
    }

    /// Makes 0 nothing, which is looked at no further.
    fn begin(&mut self) {
        if self.outcomes.is_empty() {
            self.outcomes.push(Outcome::default());
        }
    }

    /// Whether this block's texts are looked up and remembered.
    fn remembers(&mut self) -> bool {
        self.begin();
        if self.looked >= TRIAL {
            if self.missed * 10 > self.looked * 8 {
                self.resting = 64;
                self.forget();
                self.begin();
            }
            (self.looked, self.missed) = (0, 0);
        }
        if self.resting > 0 {
            self.resting -= 1;
            return false;
        }
        true
    }

    fn number<'t>(&mut self, text: &'t str, pending: &mut Vec<Option<&'t str>>) -> u32 {
        self.looked += 1;
        let new = PENDING | number(pending.len());
        let known = self.known.number_or(text, new);
        if known == new {
            self.missed += 1;
            pending.push(Some(text));
            self.bytes += text.len() + size_of::<OneKnown>() + 8;
        }
        known
    }

    /// The number of an outcome, which is left empty.
    fn number_of(&mut self, found: &mut Found) -> u32 {
        // Most texts by far: the number is known without a look.
        if found.truths.is_empty() && found.nulls.is_empty() {
            return 0;
        }
        let seen = self.numbers.get(&Sought {
            truths: &found.truths,
            nulls: &found.nulls,
        });
        if let Some(number) = seen {
            found.truths.clear();
            found.nulls.clear();
            return *number;
        }
        let outcome = Outcome {
            truths: std::mem::take(&mut found.truths).into(),
            nulls: std::mem::take(&mut found.nulls).into(),
        };
        let number = number(self.outcomes.len());
        self.bytes += 8 * (outcome.truths.len() + outcome.nulls.len()) + 100;
        self.outcomes.push(outcome.clone());
        self.numbers.insert(outcome, number);
        number
    }
}
