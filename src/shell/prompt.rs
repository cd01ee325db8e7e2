//! The interactive prompt: a line editor over a session. Statements end with `;` and may take lines; what begins with a dot
//! is a command of the shell.
//!
//! Ctrl-C cancels the query or the line, never the shell; Ctrl-D leaves.

use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::complete::{Words, complete};
use super::editor::{Editor, Help, Typed};
use super::highlight::colored;
use super::{Ended, Shell};
use crate::engine::SqlSource;
use crate::engine::adhoc::{READERS, statement::is_whole};
use crate::engine::pivots::PIVOTS;
use crate::error::{Error, Result};

/// What the editor asks, answered for SQL.
struct Typing {
    words: Words,
    color: bool,
}

impl Help for Typing {
    fn is_whole(&self, text: &str) -> bool {
        text.starts_with('.') || is_whole(text)
    }

    fn colored(&self, text: &str) -> String {
        if self.color {
            colored(text)
        } else {
            text.to_owned()
        }
    }

    fn prompt(&self, prompt: &str) -> String {
        if self.color {
            format!("\u{1b}[36m{prompt}\u{1b}[0m")
        } else {
            prompt.to_owned()
        }
    }

    fn complete(&self, before: &str) -> (usize, Vec<String>) {
        for command in [".read ", ".output "] {
            if let Some(typed) = before.strip_prefix(command) {
                return (command.len(), files(typed));
            }
        }
        // Inside quotes it is a file, if anything.
        if before.matches('\'').count() % 2 == 1 {
            let start = before.rfind('\'').map_or(0, |at| at + 1);
            return (start, files(&before[start..]));
        }
        complete(before, &self.words)
    }
}

/// The files and folders that begin like this.
fn files(typed: &str) -> Vec<String> {
    let (folder, name) = match typed.rsplit_once('/') {
        Some((folder, name)) => (format!("{folder}/"), name),
        None => (String::new(), typed),
    };
    let inside = if folder.is_empty() { "./" } else { &folder };
    let Ok(entries) = std::fs::read_dir(Path::new(inside)) else {
        return Vec::new();
    };
    let found = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let found = entry.file_name().into_string().ok()?;
        let fits = found.starts_with(name) && (name.starts_with('.') || !found.starts_with('.'));
        let end = if entry.path().is_dir() { "/" } else { "" };
        fits.then(|| format!("{folder}{found}{end}"))
    });
    let mut found: Vec<String> = found.collect();
    found.sort();
    found
}

/// Where what was typed is remembered: `$LAKEHUNT_HISTORY`, else below `$XDG_STATE_HOME` or `~/.local/state`.
pub(super) fn history_file() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(file) = variable("LAKEHUNT_HISTORY") {
        return Some(PathBuf::from(file));
    }
    let state = variable("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/state")));
    Some(state?.join("lakehunt/history"))
}

/// Reads and runs statements until the user leaves.
///
/// # Errors
/// When the terminal cannot be read. Mistakes and failures of statements are said, and cost themselves.
pub fn interact(shell: &mut Shell<'_>, runtime: &Runtime) -> Result<()> {
    let mut editor = Editor::new(shell.printer, history_file());
    let hunts = shell.hunt_names();
    let mut typing = Typing {
        words: words(shell, &hunts),
        color: shell.printer.color(),
    };
    shell
        .printer
        .conclude("SQL ends with `;`. `.help` lists the commands of the shell, Ctrl-D leaves.");
    loop {
        let typed = editor
            .read(&shell.prompt(), &typing)
            .map_err(|error| Error::failure(format!("cannot read the terminal: {error}")))?;
        let text = match typed {
            Typed::Text(text) => text,
            Typed::Interrupted => continue,
            Typed::End => return Ok(()),
        };
        if text.trim().is_empty() {
            continue;
        }
        if !step(shell, runtime, &text) {
            return Ok(());
        }
        typing.words = words(shell, &hunts);
    }
}

/// Runs what was typed; false when the user wants to leave.
fn step(shell: &mut Shell<'_>, runtime: &Runtime, text: &str) -> bool {
    shell.interrupts.forget();
    let ran = if text.starts_with('.') {
        runtime.block_on(shell.command(text))
    } else {
        let source = SqlSource {
            path: PathBuf::from("query"),
            text: text.to_owned(),
        };
        runtime.block_on(shell.run_text(&source)).map(Some)
    };
    match ran {
        Ok(None) => return false,
        Ok(Some(Ended::Interrupted)) => shell.printer.warn("the query was cancelled"),
        Ok(Some(Ended::Done | Ended::Unread)) => {}
        Err(error) => shell.printer.error(&error.to_string(), error.hint_text()),
    }
    true
}

fn words(shell: &Shell<'_>, hunts: &[String]) -> Words {
    let readers = READERS.iter().map(|(usage, _)| *usage);
    let pivots = PIVOTS.iter().map(|about| about.usage);
    let names = readers
        .chain(pivots)
        .filter_map(|usage| usage.split('(').next());
    Words {
        relations: shell.console.relations(),
        functions: shell.console.functions(),
        table_functions: names.map(str::to_owned).collect(),
        hunts: hunts.to_vec(),
    }
}
