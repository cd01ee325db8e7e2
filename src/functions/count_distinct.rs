//! `count(DISTINCT text)` with one hash table for all groups, in the place of `DataFusion`'s, which has one for each group:
//! 40 KB a group, whatever the memory limit says. Exact but for collisions of 128-bit keyed hashes, which nobody who
//! writes the texts can aim for. It must not know hunts.

use std::collections::HashSet;
use std::mem::size_of;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, LargeBinaryBuilder, StringViewArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, exec_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, Expr, ExprSchemable,
    GroupsAccumulator, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::args;
use super::documentation::Entry;
use super::keyed_hash::keyed_hash;

const NAME: &str = "count_distinct_text";

/// The bytes of one hash.
const HASH: usize = 16;

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Aggregates",
        description: "What count(DISTINCT text) becomes: how many different texts a group has, exactly, in one table for all groups that counts against the memory limit and spills. NULLs are not counted.",
        syntax: "count_distinct_text(text)",
        example: "SELECT count(DISTINCT x) FROM (VALUES ('a'), ('b'), ('a'), (NULL)) t(x);  -- 2",
        arguments: &[("text", "The texts to count.")],
    }
    .build()
});

/// The aggregate: Int64, never NULL.
pub(super) fn udf() -> AggregateUDF {
    AggregateUDF::from(CountDistinct {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

/// The rewrite of `count(DISTINCT text)`; it runs in the analyzer.
#[derive(Debug)]
pub(super) struct CountDistinctText(Arc<AggregateUDF>);

impl CountDistinctText {
    /// With a function of its own: two instances of one function are equal.
    pub(super) fn new() -> Self {
        Self(Arc::new(udf()))
    }
}

impl FunctionRewrite for CountDistinctText {
    fn name(&self) -> &'static str {
        NAME
    }

    fn rewrite(
        &self,
        expr: Expr,
        schema: &DFSchema,
        _config: &ConfigOptions,
    ) -> Result<Transformed<Expr>> {
        let Expr::AggregateFunction(mut call) = expr else {
            return Ok(Transformed::no(expr));
        };
        if is_count_of_texts(&call, schema) {
            call.func = Arc::clone(&self.0);
            call.params.distinct = false;
            return Ok(Transformed::yes(Expr::AggregateFunction(call)));
        }
        Ok(Transformed::no(Expr::AggregateFunction(call)))
    }
}

fn is_count_of_texts(call: &AggregateFunction, schema: &DFSchema) -> bool {
    let [counted] = call.params.args.as_slice() else {
        return false;
    };
    let is_plain = call.params.order_by.is_empty() && call.params.null_treatment.is_none();
    call.func.name() == "count"
        && call.params.distinct
        && is_plain
        && counted
            .get_type(schema)
            .is_ok_and(|data_type| args::is_text(&data_type))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountDistinct {
    signature: Signature,
}

impl AggregateUDFImpl for CountDistinct {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        args::check_count(NAME, "count_distinct_text(text)", types.len(), 1..=1)?;
        Ok(vec![args::coerce_text(NAME, "text", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format!("{}[hashes]", args.name);
        Ok(vec![Arc::new(Field::new(
            name,
            DataType::LargeBinary,
            false,
        ))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let mut counter = Counter::default();
        counter.counts.push(0);
        Ok(Box::new(One(counter)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Counter::default()))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

fn hash(text: &str) -> [u8; HASH] {
    keyed_hash(text.as_bytes()).to_le_bytes()
}

/// Takes hashes as what they are.
#[derive(Debug, Clone, Copy, Default)]
struct Hashed(u64);

impl std::hash::Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
}

/// A text of a group; packed, because there are millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    group: u32,
    hash: [u8; HASH],
}

impl std::hash::Hash for Seen {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // The first half is as random as a hash can be; the group spreads one text over many groups.
        state.write(&self.hash[..8]);
        state.write_u64(u64::from(self.group));
    }
}

/// The texts of all groups.
#[derive(Debug, Default)]
struct Counter {
    seen: HashSet<Seen, std::hash::BuildHasherDefault<Hashed>>,
    counts: Vec<i64>,
}

impl Counter {
    fn add(&mut self, group: usize, hash: [u8; HASH]) -> Result<()> {
        let Ok(number) = u32::try_from(group) else {
            return exec_err!("{NAME}: more than {} groups", u32::MAX);
        };
        if self.seen.insert(Seen {
            group: number,
            hash,
        }) {
            self.counts[group] += 1;
        }
        Ok(())
    }

    fn texts(values: &[ArrayRef]) -> Result<StringViewArray> {
        let [texts] = values else {
            return exec_err!("{NAME}: expected one column, found {}", values.len());
        };
        args::views(texts)
    }

    fn reserve(&mut self, groups: usize) {
        if self.counts.len() < groups {
            self.counts.resize(groups, 0);
        }
    }

    fn merge(&mut self, states: &[ArrayRef], group_of: impl Fn(usize) -> usize) -> Result<()> {
        let [states] = states else {
            return exec_err!("{NAME}: expected one state, found {}", states.len());
        };
        let states = cast(states, &DataType::LargeBinary)?;
        for (row, hashes) in states.as_binary::<i64>().iter().enumerate() {
            for piece in hashes.unwrap_or_default().chunks_exact(HASH) {
                let mut hash = [0; HASH];
                hash.copy_from_slice(piece);
                self.add(group_of(row), hash)?;
            }
        }
        Ok(())
    }

    /// The hashes of the first groups, one after the other.
    fn states(&self, count: usize) -> ArrayRef {
        let mut hashes: Vec<&Seen> = self
            .seen
            .iter()
            .filter(|seen| (seen.group as usize) < count)
            .collect();
        // Sorted by hash too: what is spilled does not depend on the order of a hash table.
        hashes.sort_unstable_by_key(|seen| (seen.group, seen.hash));
        let mut builder = LargeBinaryBuilder::with_capacity(count, hashes.len() * HASH);
        let mut hashes = hashes.into_iter().peekable();
        let mut bytes = Vec::new();
        for group in 0..count {
            bytes.clear();
            while let Some(seen) = hashes.next_if(|seen| seen.group as usize == group) {
                bytes.extend_from_slice(&seen.hash);
            }
            builder.append_value(&bytes);
        }
        Arc::new(builder.finish())
    }

    /// Forgets the groups that have been given out, and counts the others from 0.
    fn forget(&mut self, emit_to: EmitTo) -> Vec<i64> {
        match emit_to {
            EmitTo::All => self.seen = HashSet::default(),
            EmitTo::First(count) => {
                let first = u32::try_from(count).unwrap_or(u32::MAX);
                self.seen = std::mem::take(&mut self.seen)
                    .into_iter()
                    .filter_map(|seen| {
                        let group = seen.group.checked_sub(first)?;
                        Some(Seen { group, ..seen })
                    })
                    .collect();
            }
        }
        emit_to.take_needed(&mut self.counts)
    }
}

impl GroupsAccumulator for Counter {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.reserve(total_num_groups);
        for (row, text) in Self::texts(values)?.iter().enumerate() {
            let wanted = opt_filter.is_none_or(|wanted| wanted.is_valid(row) && wanted.value(row));
            if let (true, Some(text)) = (wanted, text) {
                self.add(group_indices[row], hash(text))?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(self.forget(emit_to))))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let count = match emit_to {
            EmitTo::All => self.counts.len(),
            EmitTo::First(count) => count,
        };
        let states = self.states(count);
        self.forget(emit_to);
        Ok(vec![states])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.reserve(total_num_groups);
        self.merge(values, |row| group_indices[row])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let texts = Self::texts(values)?;
        let mut builder = LargeBinaryBuilder::with_capacity(texts.len(), texts.len() * HASH);
        for (row, text) in texts.iter().enumerate() {
            let wanted = opt_filter.is_none_or(|wanted| wanted.is_valid(row) && wanted.value(row));
            match text.filter(|_| wanted) {
                Some(text) => builder.append_value(hash(text)),
                None => builder.append_value([]),
            }
        }
        Ok(vec![Arc::new(builder.finish())])
    }

    fn size(&self) -> usize {
        // An entry, its control byte, and the eighth of all that stays free.
        size_of::<Self>()
            + self.seen.capacity() * (size_of::<Seen>() + 1) * 8 / 7
            + self.counts.capacity() * size_of::<i64>()
    }
}

/// The texts of a query without GROUP BY.
#[derive(Debug)]
struct One(Counter);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for text in Counter::texts(values)?.iter().flatten() {
            self.0.add(0, hash(text))?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.0.counts[0])))
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&self.0.states(1), 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge(states, |_| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::StringArray;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn counts(counter: &mut Counter, emit_to: EmitTo) -> Vec<i64> {
        let counts = counter.evaluate(emit_to).unwrap();
        counts
            .as_primitive::<datafusion::arrow::datatypes::Int64Type>()
            .values()
            .to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// Counted at once, over states of parts, and with the first groups given out before the others: the same.
        #[test]
        fn every_way_counts_the_same(rows in proptest::collection::vec((0..5_usize, proptest::option::of("[ab]{0,2}")), 0..60), cut in 0..60_usize, first in 0..5_usize) {
            let mut expected: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
            for (group, text) in &rows {
                expected.entry(*group).or_default().extend(text.as_deref());
            }
            let expected: Vec<i64> = (0..5).map(|group| expected.get(&group).map_or(0, |texts| texts.len() as i64)).collect();
            let column = |rows: &[(usize, Option<String>)]| -> Vec<ArrayRef> {
                vec![Arc::new(rows.iter().map(|(_, text)| text.clone()).collect::<StringArray>())]
            };
            let groups = |rows: &[(usize, Option<String>)]| rows.iter().map(|(group, _)| *group).collect::<Vec<_>>();
            let mut whole = Counter::default();
            whole.update_batch(&column(&rows), &groups(&rows), None, 5).unwrap();
            let mut merged = Counter::default();
            let (one, two) = rows.split_at(cut.min(rows.len()));
            let mut part = Counter::default();
            part.update_batch(&column(one), &groups(one), None, 5).unwrap();
            merged.merge_batch(&part.state(EmitTo::All).unwrap(), &[0, 1, 2, 3, 4], 5).unwrap();
            let rest = part.convert_to_state(&column(two), None).unwrap();
            merged.merge_batch(&rest, &groups(two), 5).unwrap();
            prop_assert_eq!(&counts(&mut merged, EmitTo::All), &expected);
            let mut pieces = counts(&mut whole, EmitTo::First(first));
            pieces.extend(counts(&mut whole, EmitTo::All));
            prop_assert_eq!(&pieces, &expected);
            prop_assert_eq!(whole.seen.len(), 0);
        }
    }
}
