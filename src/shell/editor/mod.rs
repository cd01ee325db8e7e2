//! The line editor of the shell: a text of several lines with colours, history, search and completion, on a terminal that
//! knows ANSI sequences.
//!
//! Knows keys and screens, not SQL: what is whole, coloured or offered is asked of [`Help`].

mod history;
mod keys;
mod line;

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::printer::Printer;
use crate::report::visible::{columns, columns_of};
use history::History;
use keys::{Key, decode};
use line::Line;

/// What the editor asks about the text.
pub(super) trait Help {
    /// Whether Enter ends it.
    fn is_whole(&self, text: &str) -> bool;
    /// The text in colours, and nothing else changed.
    fn colored(&self, text: &str) -> String;
    /// The prompt in colours.
    fn prompt(&self, prompt: &str) -> String;
    /// Where the word before the cursor begins, and what it can become.
    fn complete(&self, before: &str) -> (usize, Vec<String>);
}

/// What came of reading a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Text(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// An editor with its history.
pub(super) struct Editor<'a> {
    printer: &'a Printer,
    history: History,
    /// Bytes that are read and no key yet.
    pending: Vec<u8>,
}

/// The terminal without echo and line buffering, until this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter(printer: &Printer) -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        raw.input_modes.remove(InputModes::IXON);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Drain, &raw)?;
        printer.data("\u{1b}[?2004h")?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// What is on the screen.
#[derive(Default)]
struct Drawn {
    /// The line of the cursor, counted from the prompt's.
    row: usize,
}

impl<'a> Editor<'a> {
    pub(super) fn new(printer: &'a Printer, history: Option<PathBuf>) -> Self {
        Self {
            printer,
            history: History::read(history),
            pending: Vec::new(),
        }
    }

    /// Reads one text.
    pub(super) fn read(&mut self, prompt: &str, help: &dyn Help) -> io::Result<Typed> {
        let raw = Raw::enter(self.printer)?;
        let typed = self.edit(prompt, help);
        self.printer.data("\u{1b}[?2004l")?;
        drop(raw);
        let typed = typed?;
        if let Typed::Text(text) = &typed
            && !text.trim().is_empty()
        {
            self.history.add(text);
        }
        Ok(typed)
    }

    fn edit(&mut self, prompt: &str, help: &dyn Help) -> io::Result<Typed> {
        let mut line = Line::default();
        let mut drawn = Drawn::default();
        // Which entry is shown, counted back from the newest, and what was typed before.
        let mut back = 0;
        let mut typed = Line::default();
        self.draw(&mut drawn, prompt, &line, help)?;
        loop {
            let Some(key) = self.key()? else {
                return Ok(Typed::End);
            };
            match key {
                Key::Enter if help.is_whole(line.text()) => {
                    line = Line::of(line.text());
                    self.draw(&mut drawn, prompt, &line, help)?;
                    self.printer.data("\r\n")?;
                    return Ok(Typed::Text(line.text().to_owned()));
                }
                Key::Ctrl('c') => {
                    line = Line::of(line.text());
                    self.draw(&mut drawn, prompt, &line, help)?;
                    self.printer.data("^C\r\n")?;
                    return Ok(Typed::Interrupted);
                }
                Key::Ctrl('d') if line.text().is_empty() => {
                    self.printer.data("\r\n")?;
                    return Ok(Typed::End);
                }
                Key::Ctrl('l') => {
                    self.printer.data("\u{1b}[H\u{1b}[2J")?;
                    drawn.row = 0;
                }
                Key::Ctrl('r') => {
                    if let Some(found) = self.search(&mut drawn, help)? {
                        line = Line::of(&found);
                    }
                }
                Key::Tab => self.complete(&mut drawn, prompt, &mut line, help)?,
                Key::Up | Key::Ctrl('p') if !line.up() => {
                    if back < self.history.entries().len() {
                        if back == 0 {
                            typed = line.clone();
                        }
                        back += 1;
                        line = self.entry(back, &typed);
                    }
                }
                Key::Down | Key::Ctrl('n') if !line.down() => {
                    if back > 0 {
                        back -= 1;
                        line = self.entry(back, &typed);
                    }
                }
                other => apply(&mut line, &other),
            }
            // What is pasted is drawn when it is all there.
            if decode(&self.pending).is_none() {
                self.draw(&mut drawn, prompt, &line, help)?;
            }
        }
    }

    fn entry(&self, back: usize, typed: &Line) -> Line {
        let entries = self.history.entries();
        match entries
            .len()
            .checked_sub(back)
            .and_then(|at| entries.get(at))
        {
            Some(entry) if back > 0 => Line::of(entry),
            _ => typed.clone(),
        }
    }

    /// The next key; `None` when the terminal is gone.
    fn key(&mut self) -> io::Result<Option<Key>> {
        loop {
            if let Some((key, length)) = decode(&self.pending) {
                self.pending.drain(..length);
                return Ok(Some(key));
            }
            let mut bytes = [0; 4096];
            match rustix::io::read(io::stdin(), &mut bytes) {
                Ok(0) => return Ok(None),
                Ok(read) => self.pending.extend_from_slice(&bytes[..read]),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Looks through the history for a word, newest first; `None` when it is left with Escape.
    fn search(&mut self, drawn: &mut Drawn, help: &dyn Help) -> io::Result<Option<String>> {
        let mut word = String::new();
        let mut skip = 0;
        loop {
            let found = {
                let entries = self.history.entries().iter().rev();
                let mut matching = entries.filter(|entry| entry.contains(&word));
                matching.nth(skip).cloned()
            };
            let prompt = format!("search `{word}`: ");
            self.draw(
                drawn,
                &prompt,
                &Line::of(found.as_deref().unwrap_or_default()),
                help,
            )?;
            match self.key()? {
                Some(Key::Char(character)) => {
                    word.push(character);
                    skip = 0;
                }
                Some(Key::Backspace) => {
                    word.pop();
                    skip = 0;
                }
                Some(Key::Ctrl('r')) if found.is_some() => skip += 1,
                Some(Key::Ctrl('r')) => skip = 0,
                None | Some(Key::Escape | Key::Ctrl('c' | 'g')) => return Ok(None),
                Some(_) => return Ok(found),
            }
        }
    }

    fn complete(
        &self,
        drawn: &mut Drawn,
        prompt: &str,
        line: &mut Line,
        help: &dyn Help,
    ) -> io::Result<()> {
        let (start, found) = help.complete(line.before());
        let Some(first) = found.first() else {
            if line.before().ends_with([' ', '\n']) || line.text().is_empty() {
                line.insert("  ");
            }
            return Ok(());
        };
        let word = &line.before()[start..];
        let common = found.iter().fold(first.as_str(), |common, other| {
            let same = common.char_indices().zip(other.chars());
            let same = same.take_while(|((_, a), b)| a.eq_ignore_ascii_case(b));
            let end = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
            &common[..end]
        });
        if found.len() == 1 || common.len() > word.len() {
            line.replace_from(start, if found.len() == 1 { first } else { common });
            return Ok(());
        }
        self.draw(drawn, prompt, &Line::of(line.text()), help)?;
        let width = self.width();
        self.printer
            .data(&format!("\r\n{}", in_columns(&found, width)))?;
        drawn.row = 0;
        Ok(())
    }

    fn width(&self) -> usize {
        self.printer.screen().map_or(80, |(width, _)| width.max(20))
    }

    /// Draws the text over what was drawn before.
    fn draw(
        &self,
        drawn: &mut Drawn,
        prompt: &str,
        line: &Line,
        help: &dyn Help,
    ) -> io::Result<()> {
        let width = self.width();
        let mut text = String::from("\r");
        if drawn.row > 0 {
            text += &up(drawn.row);
        }
        text.push_str("\u{1b}[J");
        let more = format!("{:>1$}", "... ", columns(prompt).min(width / 2));
        let shown = help
            .colored(line.text())
            .replace('\n', &format!("\r\n{more}"));
        text.push_str(&help.prompt(prompt));
        text.push_str(&shown);
        let indent = columns(&more);
        let end = place(prompt, line.text(), indent, width);
        if end.1 == 0 && end.0 > 0 && !line.text().ends_with('\n') {
            // The terminal wraps only when something follows.
            text.push_str("\r\n");
        }
        let cursor = place(prompt, line.before(), indent, width);
        if end.0 > cursor.0 {
            text += &up(end.0 - cursor.0);
        }
        text.push('\r');
        if cursor.1 > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "\u{1b}[{}C", cursor.1);
        }
        drawn.row = cursor.0;
        self.printer.data(&text)
    }
}

/// The cursor some lines up.
fn up(lines: usize) -> String {
    format!("\u{1b}[{lines}A")
}

/// What a key does to the text alone.
fn apply(line: &mut Line, key: &Key) {
    match key {
        Key::Char(character) => line.insert(character.encode_utf8(&mut [0; 4])),
        Key::Paste(text) => line.insert(text),
        Key::Enter | Key::NewLine => line.insert("\n"),
        Key::Backspace | Key::Ctrl('h') => line.backspace(),
        Key::Delete | Key::Ctrl('d') => line.delete(),
        Key::Left | Key::Ctrl('b') => line.left(),
        Key::Right | Key::Ctrl('f') => line.right(),
        Key::Home | Key::Ctrl('a') => line.home(),
        Key::End | Key::Ctrl('e') => line.end(),
        Key::WordLeft => line.word_left(),
        Key::WordRight => line.word_right(),
        Key::Ctrl('w') => line.cut_word(),
        Key::Ctrl('u') => line.cut_before(),
        Key::Ctrl('k') => line.cut_after(),
        _ => {}
    }
}

/// Row and column of the screen behind a prompt and a text; lines after the first are indented.
fn place(prompt: &str, text: &str, indent: usize, width: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for character in prompt.chars().chain(text.chars()) {
        if character == '\n' {
            row += 1;
            column = indent;
            continue;
        }
        let wide = columns_of(character);
        if column + wide > width {
            row += 1;
            column = 0;
        }
        column += wide;
    }
    if column == width {
        return (row + 1, 0);
    }
    (row, column)
}

/// Words side by side, as many as there is room for; the rest is counted.
fn in_columns(words: &[String], width: usize) -> String {
    const MOST: usize = 120;
    let shown = &words[..words.len().min(MOST)];
    let widest = shown.iter().map(|word| columns(word)).max().unwrap_or(0) + 2;
    let across = (width / widest).max(1);
    let mut text = String::new();
    for row in shown.chunks(across) {
        for word in row {
            text.push_str(word);
            text.extend(std::iter::repeat_n(' ', widest - columns(word)));
        }
        text.push_str("\r\n");
    }
    if words.len() > MOST {
        // Writing to a String cannot fail.
        let _ = write!(text, "... and {} more\r\n", words.len() - MOST);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_on_the_screen() {
        assert_eq!(place("> ", "abc", 4, 80), (0, 5));
        assert_eq!(place("> ", "abc\nde", 4, 80), (1, 6));
        assert_eq!(place("> ", "abcdefgh", 4, 10), (1, 0));
        assert_eq!(place("> ", "abcdefghi", 4, 10), (1, 1));
        assert_eq!(place("> ", "日本語日本", 4, 10), (1, 2));
        assert_eq!(place("> ", "", 4, 10), (0, 2));
    }

    #[test]
    fn offers_stand_side_by_side() {
        let words: Vec<_> = ["a", "bb", "c"].map(str::to_owned).to_vec();
        assert_eq!(in_columns(&words, 9), "a   bb  \r\nc   \r\n");
    }
}
