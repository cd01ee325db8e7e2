//! Rows as text: a table, a line a column, CSV, JSON, Markdown.
//!
//! Formats for machines are written batch by batch; those for people need all rows to be laid out.

mod lines;
mod table;

pub use lines::Writer;
pub use table::{Layout, table, vertical};

use datafusion::arrow::array::Array;

use crate::output::value;

/// A cell for people; NULL is `None`.
fn cell(array: &dyn Array, row: usize) -> Option<String> {
    if value::is_null(array, row) {
        return None;
    }
    let text = value::text(array, row);
    Some(text)
}
