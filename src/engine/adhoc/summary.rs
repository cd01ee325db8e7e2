//! What is in the columns of a query's rows: how many values, how many of them differ, the least, the greatest, the
//! commonest. One pass, whatever the columns are.
//!
//! Exact up to a limit of different values a column, and it says so beyond.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use super::type_name;
use crate::error::{Error, Result};
use crate::functions::keyed_hash;

/// Different values that are told apart in one column; more are not counted.
const DISTINCT: usize = 100_000;
/// Characters of a value that are kept for showing it.
const SHOWN: usize = 200;

/// One column so far.
struct Column {
    converter: RowConverter,
    rows: i64,
    nulls: i64,
    counts: HashMap<u128, (i64, String)>,
    /// A value was not counted, because there are too many.
    full: bool,
    least: Option<(OwnedRow, String)>,
    greatest: Option<(OwnedRow, String)>,
}

/// The columns of a query so far.
#[expect(
    missing_debug_implementations,
    reason = "it holds values by the thousand"
)]
pub struct Summary {
    schema: SchemaRef,
    columns: Vec<Column>,
}

impl Summary {
    /// No rows yet.
    ///
    /// # Errors
    /// When a column has a type that cannot be ordered.
    pub fn new(schema: SchemaRef) -> Result<Self> {
        let columns = schema.fields().iter().map(|field| {
            let sort = SortField::new(plain(field.data_type()));
            Ok(Column {
                converter: RowConverter::new(vec![sort]).map_err(arrow)?,
                rows: 0,
                nulls: 0,
                counts: HashMap::new(),
                full: false,
                least: None,
                greatest: None,
            })
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { schema, columns })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When a column has a type that cannot be shown.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            column.add(array)?;
        }
        Ok(())
    }

    /// One row a column: `column`, `type`, `rows`, `nulls`, `distinct`, `least`, `greatest`, `commonest`, `times`.
    ///
    /// # Errors
    /// Never, as long as there are as many columns as fields.
    pub fn finish(self) -> Result<RecordBatch> {
        let fields = self.schema.fields();
        let names: Vec<_> = fields.iter().map(|field| field.name().clone()).collect();
        let types: Vec<_> = fields
            .iter()
            .map(|field| type_name(field.data_type()))
            .collect();
        let columns = &self.columns;
        let number = |value: fn(&Column) -> i64| -> ArrayRef {
            Arc::new(columns.iter().map(value).collect::<Int64Array>())
        };
        let text = |value: &dyn Fn(&Column) -> Option<String>| -> ArrayRef {
            Arc::new(columns.iter().map(value).collect::<StringArray>())
        };
        let commonest: Vec<_> = columns.iter().map(Column::commonest).collect();
        let most = commonest.iter().map(|most| most.map(|(_, value)| value));
        let times = commonest.iter().map(|most| most.map(|(times, _)| times));
        let distinct = |column: &Column| {
            let more = if column.full { "more than " } else { "" };
            Some(format!("{more}{}", column.counts.len()))
        };
        let shown = |end: &Option<(OwnedRow, String)>| end.as_ref().map(|(_, text)| text.clone());
        let arrays: [(&str, ArrayRef); 9] = [
            ("column", Arc::new(StringArray::from(names))),
            ("type", Arc::new(StringArray::from(types))),
            ("rows", number(|column| column.rows)),
            ("nulls", number(|column| column.nulls)),
            ("distinct", text(&distinct)),
            ("least", text(&|column| shown(&column.least))),
            ("greatest", text(&|column| shown(&column.greatest))),
            ("commonest", Arc::new(most.collect::<StringArray>())),
            ("times", Arc::new(times.collect::<Int64Array>())),
        ];
        let arrays = arrays.into_iter().map(|(name, array)| (name, array, true));
        RecordBatch::try_from_iter_with_nullable(arrays).map_err(arrow)
    }
}

impl Column {
    fn add(&mut self, array: &ArrayRef) -> Result<()> {
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(array.as_ref(), &options).map_err(arrow)?;
        let wanted = plain(array.data_type());
        let array = if wanted == *array.data_type() {
            Arc::clone(array)
        } else {
            datafusion::arrow::compute::cast(array, &wanted).map_err(arrow)?
        };
        let rows = self
            .converter
            .convert_columns(&[Arc::clone(&array)])
            .map_err(arrow)?;
        let shown = |index: usize| -> String {
            formatter
                .value(index)
                .to_string()
                .chars()
                .take(SHOWN)
                .collect()
        };
        for (index, row) in rows.iter().enumerate() {
            self.rows += 1;
            if array.is_null(index) || wanted == DataType::Null {
                self.nulls += 1;
                continue;
            }
            let key = keyed_hash(row.as_ref());
            if let Some((times, _)) = self.counts.get_mut(&key) {
                *times += 1;
                // It was compared when it was new.
                continue;
            }
            if self.counts.len() < DISTINCT {
                self.counts.insert(key, (1, shown(index)));
            } else {
                self.full = true;
            }
            if self
                .least
                .as_ref()
                .is_none_or(|(least, _)| row < least.row())
            {
                self.least = Some((row.owned(), shown(index)));
            }
            if self
                .greatest
                .as_ref()
                .is_none_or(|(greatest, _)| row > greatest.row())
            {
                self.greatest = Some((row.owned(), shown(index)));
            }
        }
        Ok(())
    }

    /// The value that is there most often, the least of several; none where every value is there once.
    fn commonest(&self) -> Option<(i64, &str)> {
        let counts = self.counts.values().filter(|(times, _)| *times > 1);
        let most = counts.max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1)))?;
        Some((most.0, &most.1))
    }
}

/// The type that values are compared as: what cannot be ordered is compared by its text.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Map(..) | DataType::Union(..) => DataType::Utf8,
        other => other.clone(),
    }
}

fn arrow(error: datafusion::arrow::error::ArrowError) -> Error {
    Error::failure(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed_up() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some("b"),
            None,
            Some("a"),
            Some("b"),
        ]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(10), Some(9), None, Some(-1)]));
        let batch = RecordBatch::try_from_iter([("t", texts), ("n", numbers)]).unwrap();
        let mut summary = Summary::new(batch.schema()).unwrap();
        summary.add(&batch.slice(0, 1)).unwrap();
        summary.add(&batch.slice(1, 3)).unwrap();
        let summed = summary.finish().unwrap();
        let shown = datafusion::arrow::util::pretty::pretty_format_batches(&[summed]).unwrap();
        assert_eq!(
            shown
                .to_string()
                .lines()
                .skip(3)
                .take(2)
                .collect::<Vec<_>>(),
            [
                "| t      | text | 4    | 1     | 2        | a     | b        | b         | 2     |",
                "| n      | int  | 4    | 1     | 3        | -1    | 10       |           |       |",
            ]
        );
    }
}
