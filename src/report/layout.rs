//! Lines and grids for a terminal: painted, aligned, kept to a width, and harmless whatever goes in.
//! It must not know the report.

use super::Level;
use super::visible::{columns, neutral, shorten};

/// How the text may look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether to colour by level.
    pub color: bool,
    /// The columns a line may take.
    pub width: usize,
}

/// What a piece of text stands for; a colour only where the style has colour.
#[derive(Clone, Copy)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    Warning,
    Failure,
    Level(Level),
}

impl Paint {
    /// The SGR parameters (ECMA-48 8.3.117).
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim | Self::Level(Level::Informational) => "2",
            Self::Warning | Self::Level(Level::Medium) => "33",
            Self::Failure | Self::Level(Level::High) => "31",
            Self::Level(Level::Low) => "36",
            Self::Level(Level::Critical) => "1;31",
        }
    }
}

/// Rows of cells under a head; every column as wide as its widest cell.
pub(super) struct Grid {
    rows: Vec<Vec<(String, Paint)>>,
    right: &'static [usize],
}

impl Grid {
    pub(super) fn new(head: &[&str], right: &'static [usize]) -> Self {
        let head = head
            .iter()
            .map(|&cell| (cell.to_owned(), Paint::Dim))
            .collect();
        Self {
            rows: vec![head],
            right,
        }
    }

    pub(super) fn row(&mut self, cells: Vec<(String, Paint)>) {
        self.rows.push(
            cells
                .into_iter()
                .map(|(cell, paint)| (neutral(&cell).into_owned(), paint))
                .collect(),
        );
    }
}

/// The lines so far. Everything that goes in is made harmless here, so that no caller can forget it.
pub(super) struct Text {
    lines: Vec<String>,
    style: Style,
}

impl Text {
    pub(super) const fn new(style: Style) -> Self {
        Self {
            lines: Vec::new(),
            style,
        }
    }

    /// All lines, each with its end.
    pub(super) fn finish(self) -> String {
        self.lines.join("\n") + "\n"
    }

    pub(super) fn blank(&mut self) {
        self.lines.push(String::new());
    }

    fn paint(&self, text: &str, paint: Paint) -> String {
        let code = paint.code();
        if !self.style.color || code.is_empty() || text.trim().is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// One line of painted pieces, cut to the width: pieces that no longer fit are shortened in the middle.
    pub(super) fn line(&mut self, pieces: &[(&str, Paint)]) {
        let mut room = self.style.width;
        let mut line = String::new();
        for (piece, paint) in pieces {
            let shown = neutral(piece);
            if room == 0 {
                break;
            }
            let shown = shorten(&shown, room);
            room -= columns(&shown).min(room);
            line.push_str(&self.paint(&shown, *paint));
        }
        self.lines.push(line.trim_end().to_owned());
    }

    /// One line that is never shortened, because nothing in it may be missed or because it is copied out.
    pub(super) fn whole(&mut self, text: &str, paint: Paint) {
        let line = self.paint(&neutral(text), paint);
        self.lines.push(line);
    }

    /// Text over as many lines as it takes, broken between words: names in it stay whole.
    pub(super) fn wrapped(&mut self, text: &str) {
        let shown = neutral(text);
        let mut line = String::new();
        for word in shown.split(' ') {
            if !line.is_empty() && columns(&line) + 1 + columns(word) > self.style.width {
                self.line(&[(&line, Paint::Plain)]);
                line.replace_range(.., "   ");
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&[(&line, Paint::Plain)]);
    }

    /// A line under the title of an alert.
    pub(super) fn indented(&mut self, text: &str) {
        self.line(&[("    ", Paint::Plain), (text, Paint::Plain)]);
    }

    /// Lines of their own after a blank one, or nothing.
    pub(super) fn section_of(&mut self, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        self.blank();
        for line in lines {
            self.line(&[(&line, Paint::Plain)]);
        }
    }

    /// A grid. Its first column, the name, gives way when a row would be wider than the line.
    pub(super) fn grid(&mut self, grid: &Grid) {
        let count = grid.rows.first().map_or(0, Vec::len);
        let widest = |column: usize| {
            grid.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|(cell, _)| columns(cell))
                .max()
                .unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..count).map(widest).collect();
        let rest: usize = widths.iter().skip(1).map(|width| width + 2).sum();
        if let Some(first) = widths.first_mut() {
            *first = (*first).min(self.style.width.saturating_sub(rest).max(12));
        }
        for row in &grid.rows {
            let mut line = String::new();
            for (column, ((cell, paint), width)) in row.iter().zip(&widths).enumerate() {
                let shown = shorten(cell, *width);
                let padding = " ".repeat(width - columns(&shown));
                let painted = self.paint(&shown, *paint);
                if column > 0 {
                    line.push_str("  ");
                }
                if grid.right.contains(&column) {
                    line.push_str(&padding);
                    line.push_str(&painted);
                } else {
                    line.push_str(&painted);
                    line.push_str(&padding);
                }
            }
            self.lines.push(line.trim_end().to_owned());
        }
    }
}
