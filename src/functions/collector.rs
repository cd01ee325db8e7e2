//! A bounded, deterministic collector: of each group the smallest so many values. Which ones are kept depends on the
//! values alone, so every order of rows and every partitioning ends in the same result. It must not know what the values
//! mean.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, StructArray, UInt32Array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{cast, filter, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion::scalar::ScalarValue;

/// What is collected and how it comes out.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The type of one value.
    pub item: DataType,
    /// How many values of a group are kept.
    pub limit: usize,
    /// Whether equal values count once.
    pub distinct: bool,
    /// Whether the result says that there were more: a struct of `values` and `truncated`, not a bare list.
    pub flagged: bool,
    /// How the arguments become one column; NULLs in it are skipped.
    pub column: fn(&[ArrayRef]) -> Result<ArrayRef>,
}

/// The list a group's values come out as.
pub(super) fn list_type(item: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item.clone(), true)))
}

/// The fields of a flagged result.
pub(super) fn flagged_fields(item: &DataType) -> Fields {
    Fields::from(vec![
        Field::new("values", list_type(item), false),
        Field::new("truncated", DataType::Boolean, false),
    ])
}

/// What travels between partitions: the values kept and whether there were more.
pub(super) fn state_fields(name: &str, item: &DataType) -> Vec<FieldRef> {
    vec![
        Arc::new(Field::new(
            format!("{name}[values]"),
            list_type(item),
            false,
        )),
        Arc::new(Field::new(
            format!("{name}[truncated]"),
            DataType::Boolean,
            false,
        )),
    ]
}

/// The type values are kept as: a dictionary's own values, because its keys mean nothing outside their batch.
pub(super) fn item_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => item_type(values),
        other => other.clone(),
    }
}

/// Whether values of this type have an order.
pub(super) fn is_ordered(data_type: &DataType) -> bool {
    RowConverter::supports_fields(&[SortField::new(data_type.clone())])
}

/// The values of one group: their sortable bytes, and how often each is kept.
#[derive(Debug, Default)]
struct Group {
    entries: BTreeMap<Box<[u8]>, usize>,
    kept: usize,
    truncated: bool,
    bytes: usize,
}

/// About what a map entry costs beside the bytes of its key.
const ENTRY: usize = size_of::<(Box<[u8]>, usize)>() * 3 / 2;

impl Group {
    fn insert(&mut self, value: &[u8], shape: &Shape) {
        if let Some(count) = self.entries.get_mut(value) {
            if shape.distinct {
                return;
            }
            *count += 1;
        } else {
            let full = self.kept >= shape.limit;
            let largest = self.entries.last_key_value();
            if full && largest.is_some_and(|(largest, _)| value > largest.as_ref()) {
                self.truncated = true;
                return;
            }
            self.entries.insert(value.into(), 1);
            self.bytes += value.len() + ENTRY;
        }
        self.kept += 1;
        if self.kept > shape.limit {
            self.truncated = true;
            self.drop_largest();
        }
    }

    fn drop_largest(&mut self) {
        let Some(mut largest) = self.entries.last_entry() else {
            return;
        };
        self.kept -= 1;
        if *largest.get() > 1 {
            *largest.get_mut() -= 1;
        } else {
            self.bytes -= largest.key().len() + ENTRY;
            largest.remove();
        }
    }
}

/// The collector of many groups.
#[derive(Debug)]
pub(super) struct Collector {
    shape: Shape,
    converter: RowConverter,
    groups: Vec<Group>,
    bytes: usize,
}

impl Collector {
    /// An empty collector; an error when the values have no order.
    pub(super) fn new(shape: Shape) -> Result<Self> {
        let converter = RowConverter::new(vec![SortField::new(shape.item.clone())])?;
        Ok(Self {
            shape,
            converter,
            groups: Vec::new(),
            bytes: 0,
        })
    }

    fn reserve(&mut self, groups: usize) {
        if self.groups.len() < groups {
            self.groups.resize_with(groups, Group::default);
        }
    }

    fn column(&self, values: &[ArrayRef]) -> Result<ArrayRef> {
        let column = (self.shape.column)(values)?;
        if column.data_type() == &self.shape.item {
            return Ok(column);
        }
        Ok(cast(&column, &self.shape.item)?)
    }

    fn insert(&mut self, group: usize, value: &[u8]) {
        let group = &mut self.groups[group];
        let before = group.bytes;
        group.insert(value, &self.shape);
        self.bytes = self.bytes + group.bytes - before;
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        group_of: impl Fn(usize) -> usize,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<()> {
        let column = self.column(values)?;
        let nulls = column.logical_nulls();
        let rows = self.converter.convert_columns(&[column])?;
        for (index, row) in rows.iter().enumerate() {
            let valid = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(index));
            if valid && wanted(index) {
                self.insert(group_of(index), row.as_ref());
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], group_of: impl Fn(usize) -> usize) -> Result<()> {
        let [lists, truncated] = states else {
            return exec_err!("expected two state columns, found {}", states.len());
        };
        let (lists, truncated) = (lists.as_list::<i32>(), truncated.as_boolean());
        let offsets = lists.value_offsets();
        let index_of = |row: usize| usize::try_from(offsets[row]).unwrap_or_default();
        let (first, last) = (index_of(0), index_of(lists.len()));
        let values = lists.values().slice(first, last - first);
        let rows = self.converter.convert_columns(&[values])?;
        for row in 0..lists.len() {
            let group = group_of(row);
            if lists.is_valid(row) {
                for index in index_of(row)..index_of(row + 1) {
                    self.insert(group, rows.row(index - first).as_ref());
                }
            }
            if truncated.is_valid(row) && truncated.value(row) {
                self.groups[group].truncated = true;
            }
        }
        Ok(())
    }

    /// The lists of the first `count` groups and which of them had more.
    fn lists(&self, count: usize) -> Result<(ListArray, BooleanArray)> {
        let groups = &self.groups[..count];
        let parser = self.converter.parser();
        let rows = groups.iter().flat_map(|group| &group.entries);
        let rows = rows.map(|(bytes, _)| parser.parse(bytes));
        let mut columns = self.converter.convert_rows(rows)?;
        let Some(mut values) = columns.pop() else {
            return exec_err!("a row without a column");
        };
        if !self.shape.distinct {
            // Equal values were kept once with a count.
            let counts = groups.iter().flat_map(|group| group.entries.values());
            let repeated: UInt32Array = (0..)
                .zip(counts)
                .flat_map(|(index, count)| std::iter::repeat_n(index, *count))
                .collect();
            values = take(&values, &repeated, None)?;
        }
        if values.data_type() != &self.shape.item {
            values = cast(&values, &self.shape.item)?;
        }
        let offsets = OffsetBuffer::from_lengths(groups.iter().map(|group| group.kept));
        let item = Arc::new(Field::new_list_field(self.shape.item.clone(), true));
        let lists = ListArray::try_new(item, offsets, values, None)?;
        let truncated: Vec<bool> = groups.iter().map(|group| group.truncated).collect();
        Ok((lists, BooleanArray::from(truncated)))
    }

    fn result(&self, count: usize) -> Result<ArrayRef> {
        let (lists, truncated) = self.lists(count)?;
        if !self.shape.flagged {
            return Ok(Arc::new(lists));
        }
        Ok(Arc::new(StructArray::try_new(
            flagged_fields(&self.shape.item),
            vec![Arc::new(lists), Arc::new(truncated)],
            None,
        )?))
    }

    fn emit<T>(&mut self, emit_to: EmitTo, make: impl Fn(&Self, usize) -> Result<T>) -> Result<T> {
        let count = match emit_to {
            EmitTo::All => self.groups.len(),
            EmitTo::First(count) => count,
        };
        let made = make(self, count)?;
        for group in emit_to.take_needed(&mut self.groups) {
            self.bytes -= group.bytes;
        }
        Ok(made)
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let (lists, truncated) = self.lists(count)?;
        Ok(vec![Arc::new(lists), Arc::new(truncated)])
    }
}

impl GroupsAccumulator for Collector {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.reserve(total_num_groups);
        self.update(
            values,
            |row| group_indices[row],
            |row| opt_filter.is_none_or(|wanted| wanted.is_valid(row) && wanted.value(row)),
        )
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.emit(emit_to, Self::result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.emit(emit_to, Self::states)
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
        let column = self.column(values)?;
        let present = |row: usize| {
            let wanted = opt_filter.is_none_or(|wanted| wanted.is_valid(row) && wanted.value(row));
            let valid = |nulls: &NullBuffer| nulls.is_valid(row);
            wanted && column.logical_nulls().as_ref().is_none_or(valid)
        };
        let present: Vec<bool> = (0..column.len()).map(present).collect();
        let offsets = OffsetBuffer::from_lengths(present.iter().map(|kept| usize::from(*kept)));
        let item = Arc::new(Field::new_list_field(self.shape.item.clone(), true));
        let kept = filter(&column, &BooleanArray::from(present))?;
        let lists = ListArray::try_new(item, offsets, kept, None)?;
        let truncated = BooleanArray::from(vec![false; column.len()]);
        Ok(vec![Arc::new(lists), Arc::new(truncated)])
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + self.bytes
            + self.converter.size()
            + self.groups.capacity() * size_of::<Group>()
    }
}

/// The collector of a single group, for queries without GROUP BY and for windows.
#[derive(Debug)]
pub(super) struct SingleCollector(Collector);

impl SingleCollector {
    /// An empty collector; an error when the values have no order.
    pub(super) fn new(shape: Shape) -> Result<Self> {
        let mut collector = Collector::new(shape)?;
        collector.reserve(1);
        Ok(Self(collector))
    }
}

impl Accumulator for SingleCollector {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update(values, |_| 0, |_| true)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // Nothing is taken out: a window asks after every row.
        ScalarValue::try_from_array(&self.0.result(1)?, 0)
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.0.states(1)?;
        states
            .iter()
            .map(|state| ScalarValue::try_from_array(state, 0))
            .collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge(states, |_| 0)
    }
}

#[cfg(test)]
mod tests;
