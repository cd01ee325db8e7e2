//! The predicate index of a scan: which rows of a block each of many consumers wants, with every distinct test made once.
//!
//! Sources of values are looked at one after the other, cheap ones first, each only on the rows on which it can still
//! decide something for somebody. A conjunct that can fail is no part of this: it is evaluated for its own hunt alone,
//! on the rows that all its other conjuncts let through.
//!
//! Knows rows and expressions; nothing of files, plans and hunts.

mod atoms;
mod logic;
mod prefilter;
mod rows;
mod safe;
mod source;
mod subject;
mod texts;

pub use rows::RowSet;
pub use source::Made;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use atoms::Atoms;
use logic::{Facts, Node};
use source::Source;
use texts::Memory;

/// Columns of one block, made when they are asked for.
pub trait Columns {
    /// How many rows it has.
    fn rows(&self) -> usize;
    /// A column, by its place in the scan's schema.
    ///
    /// # Errors
    /// When it cannot be decoded.
    fn column(&self, index: usize) -> Result<ArrayRef>;
}

/// Which sources of values are to be looked at, where not all of their columns are there yet: `None` is all.
pub type Look<'a> = Option<&'a [bool]>;

/// Rows on which an atom is true, and on which it is NULL though its source is not.
#[derive(Debug)]
struct AtomRows {
    truths: RowSet,
    nulls: Option<RowSet>,
}

impl AtomRows {
    fn none(rows: usize) -> Self {
        Self {
            truths: RowSet::none(rows),
            nulls: None,
        }
    }
}

/// A conjunct that one or many consumers have.
#[derive(Debug)]
struct Conjunct {
    node: Node,
    sources: Vec<usize>,
}

/// The tests of all consumers of a scan.
#[derive(Debug)]
pub struct PredicateIndex {
    sources: Vec<Source>,
    /// By source: the conjuncts that are decided when it has been looked at, and the consumers that have them.
    conjuncts: Vec<Conjunct>,
    /// By conjunct, its consumers.
    consumers_of: Vec<Vec<usize>>,
    /// By source, the conjuncts it says something of.
    asked_by: Vec<Vec<usize>>,
    /// By source, the conjuncts it is the last to say something of.
    decided_by: Vec<Vec<usize>>,
    atom_origin: Vec<usize>,
    strict: Vec<bool>,
    never_false: Vec<bool>,
    consumers: usize,
}

/// What a thread remembers from block to block.
#[derive(Debug, Default)]
pub struct IndexMemory(Vec<Memory>);

/// What the index makes of predicates, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexSummary {
    /// Distinct conjuncts of all consumers.
    pub conjuncts: usize,
    /// Distinct tests in them.
    pub tests: usize,
    /// Distinct values that are looked at: columns, and what is made of several.
    pub sources: usize,
    /// Literals that are searched for at once.
    pub literals: usize,
    /// Tests that no literal and no hash speaks for: made on every distinct value, or on every row.
    pub unindexed: Vec<String>,
}

/// The physical form of an expression over a schema.
pub(super) fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    let context = PhysicalPlanningContext::default();
    create_physical_expr(expr, schema, &ExecutionProps::new(), &context)
}

impl PredicateIndex {
    /// An index of conjuncts over the columns of a schema, consumer by consumer; and of each consumer those conjuncts that
    /// it has to evaluate by itself, by their places.
    ///
    /// # Errors
    /// When an expression cannot be planned.
    pub fn new(schema: &SchemaRef, filters: &[&[Expr]]) -> Result<(Self, Vec<Vec<usize>>)> {
        let planned = DFSchema::try_from(Arc::clone(schema))?;
        let mut atoms = Atoms::new(planned);
        let mut known: HashMap<&Expr, Option<usize>> = HashMap::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut consumers_of: Vec<Vec<usize>> = Vec::new();
        let mut left_to_consumers = Vec::new();
        for (consumer, filters) in filters.iter().enumerate() {
            let mut left = Vec::new();
            for (place, filter) in filters.iter().enumerate() {
                let conjunct = *known.entry(filter).or_insert_with(|| {
                    let node = Node::of(filter, &mut atoms)?;
                    nodes.push(node);
                    consumers_of.push(Vec::new());
                    Some(nodes.len() - 1)
                });
                match conjunct {
                    Some(conjunct) if consumers_of[conjunct].last() != Some(&consumer) => {
                        consumers_of[conjunct].push(consumer);
                    }
                    Some(_) => {}
                    None => left.push(place),
                }
            }
            left_to_consumers.push(left);
        }
        let (sources, place_of) = source::plan(&atoms, schema)?;
        let mut index = Self {
            asked_by: vec![Vec::new(); sources.len()],
            decided_by: vec![Vec::new(); sources.len()],
            atom_origin: atoms.all.iter().map(|atom| place_of[atom.origin]).collect(),
            strict: atoms.all.iter().map(|atom| atom.is_strict).collect(),
            never_false: atoms.all.iter().map(|atom| atom.never_false).collect(),
            consumers: filters.len(),
            conjuncts: Vec::new(),
            consumers_of,
            sources,
        };
        for source in &index.sources {
            for atom in source.strict() {
                index.strict[*atom] = true;
            }
        }
        for (number, node) in nodes.into_iter().enumerate() {
            let mut sources = Vec::new();
            node.atoms(&mut |atom| sources.push(index.atom_origin[atom]));
            sources.sort_unstable();
            sources.dedup();
            for source in &sources {
                index.asked_by[*source].push(number);
            }
            if let Some(last) = sources.last() {
                index.decided_by[*last].push(number);
            }
            index.conjuncts.push(Conjunct { node, sources });
        }
        Ok((index, left_to_consumers))
    }

    /// The columns that its tests are over, by their places in the schema.
    pub fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.sources().flatten().copied()
    }

    /// By source of values, in the order in which they are looked at, the columns it is made of.
    pub fn sources(&self) -> impl Iterator<Item = &[usize]> + '_ {
        self.sources.iter().map(Source::columns)
    }

    /// What a thread begins with.
    pub fn memory(&self) -> IndexMemory {
        let memories = self.sources.iter().map(|_| Memory::default());
        IndexMemory(memories.collect())
    }

    /// For people: what is searched for, and what could not be indexed.
    pub fn summary(&self) -> IndexSummary {
        let mut unindexed: Vec<String> = self.sources.iter().flat_map(Source::unindexed).collect();
        unindexed.sort_unstable();
        unindexed.dedup();
        IndexSummary {
            conjuncts: self.conjuncts.len(),
            tests: self.atom_origin.len(),
            sources: self.sources.len(),
            literals: self.sources.iter().map(Source::literals).sum(),
            unindexed,
        }
    }

    /// The rows of a block that pass each consumer's indexed conjuncts, among those it starts with (`None`: all). A
    /// consumer that wants no row is `None` in the result. Where not all sources are to be looked at, the rows that may pass.
    ///
    /// # Errors
    /// When a column cannot be decoded or an expression that should not fail does.
    pub fn apply(
        &self,
        block: &dyn Columns,
        start: impl Fn(usize) -> Option<RowSet>,
        look: Look<'_>,
        memory: &mut IndexMemory,
    ) -> Result<Vec<Option<RowSet>>> {
        let rows = block.rows();
        let all = RowSet::all(rows);
        let mut left: Vec<Left> = (0..self.consumers)
            .map(|consumer| match start(consumer) {
                None => Left::All,
                Some(set) if set.is_empty() => Left::None,
                Some(set) => Left::Some(set),
            })
            .collect();
        let mut facts = BlockFacts {
            index: self,
            found: (0..self.atom_origin.len()).map(|_| None).collect(),
            looked: self.sources.iter().map(|_| None).collect(),
        };
        let is_there = |source: usize| look.is_none_or(|look| look[source]);
        for (number, source) in self.sources.iter().enumerate() {
            if !is_there(number) {
                continue;
            }
            let needed = self.needed(number, &left, &facts, &all);
            if !needed.is_empty() {
                let nulls =
                    source.evaluate(block, &needed, &mut memory.0[number], &mut facts.found)?;
                facts.looked[number] = Some((needed, nulls));
            }
            for conjunct in &self.decided_by[number] {
                let mut sources = self.conjuncts[*conjunct].sources.iter();
                if sources.all(|source| is_there(*source)) {
                    self.decide(*conjunct, &mut left, &facts, &all);
                }
            }
        }
        if look.is_some() {
            self.rule_out(&mut left, &facts, &all, is_there);
        }
        Ok(left
            .into_iter()
            .map(|left| match left {
                Left::All => Some(all.clone()),
                Left::Some(set) => Some(set),
                Left::None => None,
            })
            .collect())
    }

    /// Drops the rows on which conjuncts are known to be false, though not all of their sources were looked at.
    fn rule_out(
        &self,
        left: &mut [Left],
        facts: &BlockFacts<'_>,
        all: &RowSet,
        is_there: impl Fn(usize) -> bool,
    ) {
        for (conjunct, consumers) in self.conjuncts.iter().zip(&self.consumers_of) {
            let looked = conjunct.sources.iter().filter(|source| is_there(**source));
            let looked = looked.count();
            if looked == 0 || looked == conjunct.sources.len() {
                continue;
            }
            let refused = conjunct.node.known(false, all, facts);
            if refused.is_empty() {
                continue;
            }
            let mut maybe = all.clone();
            maybe.subtract(&refused);
            for consumer in consumers {
                left[*consumer].keep(&maybe);
            }
        }
    }

    /// The rows on which a source can still decide something.
    fn needed(&self, source: usize, left: &[Left], facts: &BlockFacts, all: &RowSet) -> RowSet {
        let mut needed = RowSet::none(all.rows());
        for number in &self.asked_by[source] {
            let conjunct = &self.conjuncts[*number];
            let mut wanted: Option<RowSet> = None;
            for consumer in &self.consumers_of[*number] {
                match &left[*consumer] {
                    Left::None => {}
                    Left::All => {
                        wanted = Some(all.clone());
                        break;
                    }
                    Left::Some(set) => match &mut wanted {
                        Some(wanted) => wanted.unite(set),
                        None => wanted = Some(set.clone()),
                    },
                }
            }
            let Some(mut wanted) = wanted else { continue };
            // Of a conjunct over several sources the first may have decided some rows.
            if conjunct.sources.first() != Some(&source) {
                let decided = conjunct.node.known(true, &wanted, facts);
                let refused = conjunct.node.known(false, &wanted, facts);
                wanted.subtract(&decided);
                wanted.subtract(&refused);
            }
            needed.unite(&wanted);
            if needed.is_all() {
                break;
            }
        }
        needed
    }

    fn decide(&self, number: usize, left: &mut [Left], facts: &BlockFacts, all: &RowSet) {
        let consumers = &self.consumers_of[number];
        if consumers
            .iter()
            .all(|consumer| matches!(left[*consumer], Left::None))
        {
            return;
        }
        let node = &self.conjuncts[number].node;
        // The common case by far: nothing in this block.
        if let Node::Atom(atom) = node
            && facts.found[*atom].is_none()
        {
            for consumer in consumers {
                left[*consumer] = Left::None;
            }
            return;
        }
        let passed = node.known(true, all, facts);
        if passed.is_all() {
            return;
        }
        let is_empty = passed.is_empty();
        for consumer in consumers {
            if is_empty {
                left[*consumer] = Left::None;
            } else {
                left[*consumer].keep(&passed);
            }
        }
    }
}

/// What a consumer still wants.
enum Left {
    All,
    Some(RowSet),
    None,
}

impl Left {
    fn keep(&mut self, rows: &RowSet) {
        match self {
            Self::None => {}
            Self::All => *self = Self::Some(rows.clone()),
            Self::Some(set) => {
                set.intersect(rows);
                if set.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }
}

struct BlockFacts<'a> {
    index: &'a PredicateIndex,
    found: Vec<Option<AtomRows>>,
    /// By source, the rows it was looked at on, and those on which it is NULL.
    looked: Vec<Option<(RowSet, RowSet)>>,
}

impl Facts for BlockFacts<'_> {
    fn known(&self, atom: usize, truth: bool, within: &RowSet) -> RowSet {
        let mut rows = within.clone();
        let found = self.found[atom].as_ref();
        if truth {
            return match found {
                Some(found) => {
                    rows.intersect(&found.truths);
                    rows
                }
                None => RowSet::none(rows.rows()),
            };
        }
        let Some((looked, nulls)) = &self.looked[self.index.atom_origin[atom]] else {
            return RowSet::none(rows.rows());
        };
        if self.index.never_false[atom] {
            return RowSet::none(rows.rows());
        }
        rows.intersect(looked);
        if let Some(found) = found {
            rows.subtract(&found.truths);
            if let Some(nulls) = &found.nulls {
                rows.subtract(nulls);
            }
        }
        if self.index.strict[atom] {
            rows.subtract(nulls);
        }
        rows
    }
}
