//! Rows for people, tickets and spreadsheets. What an attacker wrote is made visible in all of them; programs take JSON.

use std::fmt::Write as _;

use crate::report::visible::{columns, neutral, shorten};

/// A table with aligned columns and capital heads; the last column takes what is left of the line.
pub(super) fn text(head: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let shown: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| neutral(cell).into_owned()).collect())
        .collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = shown.iter().map(|row| columns(&row[column]));
            cells.max().unwrap_or(0).max(head[column].len())
        })
        .collect();
    let line = |cells: &[&str]| {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let is_last = column + 1 == cells.len();
            if is_last {
                let room = width.saturating_sub(columns(&line)).max(20);
                line.push_str(&shorten(cell, room));
            } else {
                line.push_str(cell);
                line.push_str(&" ".repeat(widths[column] - columns(cell) + 2));
            }
        }
        line.trim_end().to_owned() + "\n"
    };
    let heads: Vec<String> = head.iter().map(|name| name.to_uppercase()).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut table = line(&heads);
    for row in &shown {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        table.push_str(&line(&cells));
    }
    table
}

/// A table for tickets.
pub(super) fn markdown(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = format!(
        "| {} |\n|{}\n",
        head.join(" | "),
        " --- |".repeat(head.len())
    );
    for row in rows {
        table.push('|');
        for cell in row {
            let cell = crate::report::markdown::cell(cell);
            let _ = write!(table, " {cell} |");
        }
        table.push('\n');
    }
    table
}

/// RFC 4180. What a spreadsheet would take for a formula gets an apostrophe, as OWASP advises.
pub(super) fn csv(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = head.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| csv_cell(cell)).collect();
        table.push_str(&cells.join(","));
        table.push('\n');
    }
    table
}

fn csv_cell(cell: &str) -> String {
    let shown = neutral(cell);
    let is_number = shown.parse::<f64>().is_ok();
    let guard = if !is_number && shown.trim_start().starts_with(['=', '+', '-', '@']) {
        "'"
    } else {
        ""
    };
    if guard.is_empty() && !shown.contains([',', '"', '\'']) {
        return shown.into_owned();
    }
    format!("\"{guard}{}\"", shown.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_runs_nothing() {
        for (cell, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=cmd|'/c calc'!A1", "\"'=cmd|'/c calc'!A1\""),
            (" @SUM(1)", "\"' @SUM(1)\""),
            ("-5", "-5"),
            ("a\nb\u{202e}", r"a\nb\u{202e}"),
        ] {
            assert_eq!(csv_cell(cell), written);
        }
    }

    #[test]
    fn rows_are_aligned_and_kept_to_the_width() {
        let rows = vec![
            vec!["a".to_owned(), "x".repeat(100)],
            vec!["long\u{1b}[2J".to_owned(), "y".to_owned()],
        ];
        let table = text(&["one", "two"], &rows, 60);
        assert!(
            table.starts_with("ONE          TWO\na            xxx"),
            "{table}"
        );
        assert!(table.lines().all(|line| columns(line) <= 60));
        assert!(table.contains("long\\x1b[2J  y\n"));
    }
}
