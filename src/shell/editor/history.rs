//! What was typed before: one entry a line of a file that nobody else may read.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Entries that are kept in memory.
const REMEMBERED: usize = 10_000;

/// Entries, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    file: Option<PathBuf>,
    entries: Vec<String>,
}

impl History {
    /// Reads a history; one that is not there or cannot be read is empty.
    pub(super) fn read(file: Option<PathBuf>) -> Self {
        let text = file
            .as_ref()
            .and_then(|file| std::fs::read_to_string(file).ok());
        let mut entries: Vec<String> = text
            .iter()
            .flat_map(|text| text.lines())
            .map(unescaped)
            .collect();
        let spare = entries.len().saturating_sub(REMEMBERED);
        entries.drain(..spare);
        Self { file, entries }
    }

    pub(super) fn entries(&self) -> &[String] {
        &self.entries
    }

    /// Remembers an entry, unless it begins with a blank or is the last one again.
    pub(super) fn add(&mut self, entry: &str) {
        if entry.starts_with(' ') || self.entries.last().is_some_and(|last| last == entry) {
            return;
        }
        self.entries.push(entry.to_owned());
        // A history that cannot be kept is no reason to refuse work.
        drop(self.keep(entry));
    }

    fn keep(&self, entry: &str) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // Queries hold what an investigation is about.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(file)?;
        file.write_all(format!("{}\n", escaped(entry)).as_bytes())
    }
}

fn escaped(entry: &str) -> String {
    entry.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescaped(line: &str) -> String {
    let mut entry = String::new();
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match (character, character == '\\') {
            (_, true) => match rest.next() {
                Some('n') => entry.push('\n'),
                Some(other) => entry.push(other),
                None => entry.push('\\'),
            },
            (other, false) => entry.push(other),
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/history");
        let mut history = History::read(Some(file.clone()));
        let entry = "SELECT 'C:\\new'\nFROM x;";
        for text in ["a;", entry, entry, " secret;"] {
            history.add(text);
        }
        assert_eq!(History::read(Some(file.clone())).entries(), ["a;", entry]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
