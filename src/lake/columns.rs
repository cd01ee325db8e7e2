//! Columns under construction: the slots of one row after the other, each as its declared type or NULL.
//!
//! Says which values fit which type; knows nothing of JSON and files.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayBuilder as _, BooleanBuilder, Float64Builder, Int64Builder};

use super::decoded::BlockColumn;
use super::form::ColumnType;
use super::row::{Row, RowShape, Slot};
use super::written::Written;

/// The columns under construction.
#[derive(Debug)]
pub struct Columns {
    builders: Vec<Builder>,
    /// Rows since arrays were taken.
    pending: usize,
    /// Bytes of their texts.
    pub bytes: usize,
    /// Values of another type than declared, by slot: they became NULL.
    pub conflicts: Vec<u64>,
    /// Rows that were appended.
    pub rows: u64,
    /// Values by slot and by `Slot::kind`.
    pub kinds: Vec<[u64; Slot::KINDS.len()]>,
}

#[derive(Debug)]
enum Builder {
    Text(Written),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
}

impl Columns {
    /// Empty columns of a shape.
    pub fn new(shape: &RowShape) -> Self {
        let builders = shape
            .types
            .iter()
            .map(|column_type| match column_type {
                ColumnType::Text | ColumnType::Json => Builder::Text(Written::default()),
                ColumnType::Int => Builder::Int(Int64Builder::new()),
                ColumnType::Float => Builder::Float(Float64Builder::new()),
                ColumnType::Bool => Builder::Bool(BooleanBuilder::new()),
            })
            .collect();
        Self {
            builders,
            pending: 0,
            bytes: 0,
            rows: 0,
            conflicts: vec![0; shape.types.len()],
            kinds: vec![[0; Slot::KINDS.len()]; shape.types.len()],
        }
    }

    /// Appends a row, one value per column, of the line that it was read from.
    pub fn push(&mut self, row: &Row, line: &str) {
        for index in row.said.iter().copied() {
            let (slot, builder) = (row.slots[index], &mut self.builders[index]);
            if let Some(kind) = slot.kind() {
                self.kinds[index][kind] += 1;
            }
            let fits = match builder {
                Builder::Text(texts) => {
                    self.bytes += push_text(texts, self.pending, line, slot);
                    slot != Slot::Conflict
                }
                other => {
                    other.fill(self.pending);
                    other.push(row, line, index)
                }
            };
            if !fits {
                self.conflicts[index] += 1;
            }
        }
        self.rows += 1;
        self.pending += 1;
    }

    /// Takes the room of columns that nobody needs any more: memory that is new has to be cleared first.
    pub fn reuse(&mut self, columns: Vec<BlockColumn>) {
        for (builder, column) in self.builders.iter_mut().zip(columns) {
            if let (Builder::Text(texts), BlockColumn::Written(done)) = (builder, column) {
                *texts = done.cleared();
            }
        }
    }

    /// Takes the columns and starts anew.
    pub fn finish(&mut self) -> Vec<BlockColumn> {
        let rows = std::mem::take(&mut self.pending);
        self.bytes = 0;
        let builders = self.builders.iter_mut();
        let columns = builders.map(|builder| {
            builder.fill(rows);
            match builder {
                Builder::Text(texts) => BlockColumn::Written(std::mem::take(texts).finish(rows)),
                Builder::Int(builder) => BlockColumn::Array(Arc::new(builder.finish())),
                Builder::Float(builder) => BlockColumn::Array(Arc::new(builder.finish())),
                Builder::Bool(builder) => BlockColumn::Array(Arc::new(builder.finish())),
            }
        });
        columns.collect()
    }
}

/// Appends a text, which any scalar is, and says how long it is.
fn push_text(texts: &mut Written, row: usize, line: &str, slot: Slot) -> usize {
    let (content, has_escapes) = match slot {
        Slot::Text(from, to) | Slot::Number(from, to) => (&line[from..to], false),
        Slot::Escaped(from, to) => (&line[from..to], true),
        Slot::Bool(value) => (if value { "true" } else { "false" }, false),
        Slot::Missing | Slot::Null | Slot::Conflict => return 0,
    };
    texts.push(row, content, has_escapes);
    content.len()
}

impl Builder {
    /// Makes up for rows that say nothing of it, up to so many rows.
    fn fill(&mut self, rows: usize) {
        match self {
            // It knows its rows.
            Self::Text(_) => {}
            Self::Int(builder) => builder.append_nulls(rows - builder.len()),
            Self::Float(builder) => builder.append_nulls(rows - builder.len()),
            Self::Bool(builder) => builder.append_nulls(rows - builder.len()),
        }
    }

    /// Appends a value; false when it did not fit and became NULL. An empty text is an absent number, not a wrong one.
    fn push(&mut self, row: &Row, line: &str, index: usize) -> bool {
        let slot = row.slots[index];
        let absent = matches!(slot, Slot::Missing | Slot::Null)
            || matches!(slot, Slot::Text(from, to) if from == to);
        match self {
            // Kept as they are written.
            Self::Text(_) => true,
            Self::Int(builder) => {
                let value = row.int_of(line, index);
                builder.append_option(value);
                value.is_some() || absent
            }
            Self::Float(builder) => {
                let text = row.text_of(line, index);
                let value = text.and_then(|text| text.trim().parse().ok());
                let value = value.filter(|value: &f64| value.is_finite());
                builder.append_option(value);
                value.is_some() || absent
            }
            Self::Bool(builder) => {
                let text = row.text_of(line, index);
                let value = match slot {
                    Slot::Bool(value) => Some(value),
                    Slot::Number(..) => match text.as_deref() {
                        Some("0") => Some(false),
                        Some("1") => Some(true),
                        _ => None,
                    },
                    _ => text.and_then(|text| boolean(&text)),
                };
                builder.append_option(value);
                value.is_some() || absent
            }
        }
    }
}

/// A boolean as text: `true` and `false` in any case, and nothing else.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A float that is a whole number of `i64`.
pub(super) fn whole(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked by the range")]
    (value.fract() == 0.0 && value.abs() < 9.0e15).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::form::FormColumn;
    use datafusion::arrow::array::{Array, ArrayRef, AsArray};
    use datafusion::arrow::datatypes::Int64Type;

    fn column(path: &str, column_type: ColumnType) -> FormColumn {
        FormColumn {
            name: path.to_owned(),
            paths: path.split('|').map(str::to_owned).collect(),
            column_type,
        }
    }

    fn read(columns: &[FormColumn], lines: &[&str]) -> (Vec<ArrayRef>, Vec<u64>) {
        let shape = RowShape::new(columns);
        let mut row = shape.row();
        let mut built = Columns::new(&shape);
        for line in lines {
            row.read(&shape, line).unwrap();
            built.push(&row, line);
        }
        let columns = built.finish();
        let arrays = columns.iter().map(|column| Arc::clone(column.whole()));
        (arrays.collect(), built.conflicts)
    }

    #[test]
    fn one_field_in_many_spellings() {
        let lines = [
            r#"{"EventID": 4688}"#,
            r#"{"EventID": "4688"}"#,
            r#"{"eventid": "0x1250"}"#,
            r#"{"EventID": 4688.0}"#,
            r#"{"EventID": {"x": 1}}"#,
            r#"{"EventID": ""}"#,
            r#"{"EventID": true}"#,
            "{}",
        ];
        let (arrays, conflicts) = read(&[column("EventID", ColumnType::Int)], &lines);
        let ids = arrays[0].as_primitive::<Int64Type>();
        assert_eq!(
            ids.iter().collect::<Vec<_>>(),
            [
                Some(4688),
                Some(4688),
                Some(4688),
                Some(4688),
                None,
                None,
                None,
                None
            ]
        );
        assert_eq!(conflicts, [2]);
    }

    #[test]
    fn nested_and_flat_keys_are_one_column() {
        let lines = [
            r#"{"event_data": {"Image": "a\\b"}}"#,
            r#"{"event_data.Image": "c"}"#,
            r#"{"event_data": "no object"}"#,
        ];
        let (arrays, conflicts) = read(&[column("event_data.Image", ColumnType::Text)], &lines);
        let images = arrays[0].as_string_view();
        assert_eq!(images.value(0), r"a\b");
        assert_eq!(images.value(1), "c");
        assert!(images.is_null(2));
        assert_eq!(conflicts, [0]);
    }

    #[test]
    fn of_several_paths_the_first_that_holds_something_counts() {
        let lines = [
            r#"{"a": "1", "b": {"c": "2"}}"#,
            r#"{"b": {"c": "2"}, "a": "1"}"#,
            r#"{"b": {"c": "2"}, "a": null}"#,
            r#"{"b": {"c": "2"}}"#,
            r#"{"b.c": "3", "x": 0}"#,
            "{}",
        ];
        let (arrays, conflicts) = read(&[column("a|b.c", ColumnType::Int)], &lines);
        let values = arrays[0].as_primitive::<Int64Type>();
        assert_eq!(
            values.iter().collect::<Vec<_>>(),
            [Some(1), Some(1), Some(2), Some(2), Some(3), None]
        );
        assert_eq!(conflicts, [0]);
    }

    #[test]
    fn an_object_is_no_value_where_another_path_has_one() {
        let lines = [
            r##"{"id": {"#text": 7, "#attributes": {}}}"##,
            r##"{"id": {"#text": "8"}}"##,
            r#"{"id": 9}"#,
            r#"{"id": {"other": 1}}"#,
        ];
        let (arrays, conflicts) = read(&[column("id|id.#text", ColumnType::Int)], &lines);
        let ids = arrays[0].as_primitive::<Int64Type>();
        assert_eq!(
            ids.iter().collect::<Vec<_>>(),
            [Some(7), Some(8), Some(9), None]
        );
        assert_eq!(conflicts, [1]);
    }

    #[test]
    fn one_path_can_feed_two_columns() {
        let columns = [
            column("a", ColumnType::Int),
            column("b|a", ColumnType::Text),
        ];
        let (arrays, _) = read(&columns, &[r#"{"a": 7}"#]);
        assert_eq!(arrays[0].as_primitive::<Int64Type>().value(0), 7);
        assert_eq!(arrays[1].as_string_view().value(0), "7");
    }

    #[test]
    fn keys_may_be_flat_in_part() {
        let lines = [
            r#"{"a": {"b": {"c": 1}}}"#,
            r#"{"a.b.c": 2}"#,
            r#"{"a": {"b.c": 3}}"#,
            r#"{"a.b": {"c": 4}}"#,
        ];
        let (arrays, _) = read(&[column("a.b.c", ColumnType::Int)], &lines);
        let values = arrays[0].as_primitive::<Int64Type>();
        assert_eq!(values.values().to_vec(), [1, 2, 3, 4]);
    }

    #[test]
    fn the_forms_own_spelling_wins() {
        let lines = [
            r#"{"ProcessID": 1, "ProcessId": "2"}"#,
            r#"{"ProcessId": "2", "ProcessID": 1}"#,
            r#"{"PROCESSID": 3, "ProcessId": null}"#,
        ];
        let (arrays, _) = read(&[column("ProcessId", ColumnType::Int)], &lines);
        let ids = arrays[0].as_primitive::<Int64Type>();
        assert_eq!(ids.iter().collect::<Vec<_>>(), [Some(2), Some(2), Some(3)]);
    }

    #[test]
    fn no_value_breaks_a_line_or_loses_a_digit() {
        let line = r#"{"n": 1e999, "s": "x \ud800", "t": 36893488147419103232123, "u": 1.10, "f": 1e999, "\ud800": 1}"#;
        let columns = [
            column("n", ColumnType::Int),
            column("s", ColumnType::Text),
            column("t", ColumnType::Text),
            column("u", ColumnType::Text),
            column("f", ColumnType::Float),
        ];
        let (arrays, conflicts) = read(&columns, &[line]);
        assert!(arrays[0].is_null(0) && arrays[4].is_null(0));
        let texts: Vec<_> = (1..4)
            .map(|column| arrays[column].as_string_view().value(0))
            .collect();
        assert_eq!(
            texts,
            [
                "x \u{fffd}\u{fffd}\u{fffd}",
                "36893488147419103232123",
                "1.10"
            ]
        );
        assert_eq!(conflicts, [1, 0, 0, 0, 1]);
    }

    #[test]
    fn json_columns_keep_what_no_scalar_can() {
        let lines = [
            r#"{"tags": ["a", 1]}"#,
            r#"{"tags": "{\"x\":1}"}"#,
            r#"{"tags": null}"#,
        ];
        let (arrays, _) = read(&[column("tags", ColumnType::Json)], &lines);
        let tags = arrays[0].as_string_view();
        assert_eq!(tags.value(0), r#"["a", 1]"#);
        assert_eq!(tags.value(1), r#"{"x":1}"#);
        assert!(tags.is_null(2));
    }
}
