//! A table as wide as the terminal, and rows with a line a column.
//!
//! Long values are shortened in the middle; columns that have no room are left out and counted.

use std::fmt::Write as _;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};

use super::cell;
use crate::report::visible::{columns, neutral, shorten};

/// How a table may look.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Columns of the terminal; `None` for as wide as it gets.
    pub width: Option<usize>,
    /// Whether to dim what is no data.
    pub color: bool,
}

/// What stands between two columns.
const GAP: usize = 3;
/// A column of text is made this narrow before one is left out.
const NARROW: usize = 12;

/// Rows as a table, and how many columns had no room.
pub fn table(schema: &Schema, batches: &[RecordBatch], layout: Layout) -> (String, usize) {
    let cells = cells(batches);
    let names: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| neutral(field.name()).into_owned())
        .collect();
    let natural: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let widest = cells.iter().map(|row| columns(shown(row[index].as_ref())));
            widest.max().unwrap_or(0).max(columns(name))
        })
        .collect();
    let is_fixed: Vec<bool> = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = field.data_type();
            data_type.is_numeric()
                || matches!(data_type, DataType::Boolean | DataType::Timestamp(..))
        })
        .collect();
    let widths = fit(&natural, &is_fixed, layout.width);
    let hidden = names.len() - widths.len();
    let mut text = String::new();
    let dim = |text: &str| {
        if layout.color {
            format!("\u{1b}[2m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let bold = |text: String| {
        if layout.color {
            format!("\u{1b}[1m{text}\u{1b}[0m")
        } else {
            text
        }
    };
    let line = |cells: Vec<String>| {
        let joined = cells.join(&dim(" │ "));
        joined.trim_end().to_owned() + "\n"
    };
    let right = |index: usize| schema.field(index).data_type().is_numeric();
    let head = widths
        .iter()
        .enumerate()
        .map(|(index, width)| bold(padded(&names[index], *width, right(index))));
    text.push_str(&line(head.collect()));
    let rule: Vec<_> = widths.iter().map(|width| "─".repeat(*width)).collect();
    text.push_str(&dim(&rule.join("─┼─")));
    text.push('\n');
    for row in &cells {
        let line_of = widths.iter().enumerate().map(|(index, width)| {
            let value = padded(shown(row[index].as_ref()), *width, right(index));
            if row[index].is_none() {
                dim(&value)
            } else {
                value
            }
        });
        text.push_str(&line(line_of.collect()));
    }
    (text, hidden)
}

/// Rows with a line a column.
pub fn vertical(schema: &Schema, batches: &[RecordBatch], first: usize, layout: Layout) -> String {
    let fields = schema.fields().iter();
    let names: Vec<_> = fields
        .map(|field| neutral(field.name()).into_owned())
        .collect();
    let width = names.iter().map(|name| columns(name)).max().unwrap_or(0);
    let paint = |code: &str, text: &str| {
        if layout.color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let mut text = String::new();
    for (number, row) in (first..).zip(cells(batches)) {
        let head = format!("── row {number} ");
        let rule = "─".repeat((width + 20).saturating_sub(columns(&head)));
        text.push_str(&paint("2", &(head + &rule)));
        text.push('\n');
        for (name, value) in names.iter().zip(row) {
            let name = paint("1", &padded(name, width, false));
            let value = value.unwrap_or_else(|| paint("2", "NULL"));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}  {value}");
        }
    }
    text
}

fn shown(value: Option<&String>) -> &str {
    value.map_or("NULL", String::as_str)
}

/// Every cell as harmless text.
fn cells(batches: &[RecordBatch]) -> Vec<Vec<Option<String>>> {
    let mut cells = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| {
                let text = cell(column.as_ref(), row);
                text.map(|text| neutral(&text).into_owned())
            });
            cells.push(values.collect());
        }
    }
    cells
}

fn padded(text: &str, width: usize, right: bool) -> String {
    let text = shorten(text, width);
    let pad = " ".repeat(width.saturating_sub(columns(&text)));
    if right {
        pad + &text
    } else {
        text.into_owned() + &pad
    }
}

/// The widths of the columns that have room, from the left. Numbers and times are shown whole as long as texts have room.
fn fit(natural: &[usize], is_fixed: &[bool], width: Option<usize>) -> Vec<usize> {
    let Some(width) = width else {
        return natural.to_vec();
    };
    let needed =
        |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    if needed(natural) <= width {
        return natural.to_vec();
    }
    let least: Vec<usize> = natural
        .iter()
        .zip(is_fixed)
        .map(|(natural, is_fixed)| {
            if *is_fixed {
                *natural
            } else {
                (*natural).min(NARROW)
            }
        })
        .collect();
    // A line that ends in a mark for what is missing.
    let mut kept = least.len();
    while kept > 1 && needed(&least[..kept]) > width {
        kept -= 1;
    }
    let natural = &natural[..kept];
    let mut widths = least[..kept].to_vec();
    let mut room = width.saturating_sub(needed(&widths));
    // Room goes to the narrowest column that wants more, so that all texts end up alike.
    while room > 0 {
        let wanting = (0..kept).filter(|index| widths[*index] < natural[*index]);
        let Some(next) = wanting.min_by_key(|index| widths[*index]) else {
            break;
        };
        widths[next] += 1;
        room -= 1;
    }
    if kept == 1 {
        widths[0] = widths[0].min(width.max(1));
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_share_the_room_there_is() {
        let texts = [false; 3];
        assert_eq!(fit(&[5, 6, 7], &texts, Some(30)), [5, 6, 7]);
        assert_eq!(fit(&[5, 60, 70], &texts, Some(51)), [5, 20, 20]);
        assert_eq!(
            fit(&[20, 60, 70], &[true, false, false], Some(60)),
            [20, 17, 17]
        );
        assert_eq!(fit(&[100, 100, 100], &texts, Some(30)), [14, 13]);
        assert_eq!(fit(&[100], &texts, Some(30)), [30]);
        assert_eq!(fit(&[100, 100], &texts[..2], None), [100, 100]);
    }
}
