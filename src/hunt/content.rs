//! Where hunts, views and forms come from: a `sql/` folder on disk, or the one shipped inside the binary.
//!
//! Knows files and their texts, not what they mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use crate::error::{Error, Result};

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sql");
/// The fixtures of the hunts, so that a new project can test what it starts with.
static FIXTURES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tests/hunts");

/// The files of one `sql/` folder by their path inside it, with `/` between the parts.
#[derive(Debug, Clone)]
pub struct Content {
    root: PathBuf,
    is_shipped: bool,
    files: BTreeMap<String, String>,
    /// Hunts that are no text, or may not be read.
    unreadable: BTreeMap<String, Error>,
}

impl Content {
    /// The folder that ships inside the binary.
    pub fn shipped() -> Self {
        let mut files = BTreeMap::new();
        collect_shipped(&SHIPPED, &mut files);
        Self {
            root: PathBuf::from("sql"),
            is_shipped: true,
            files,
            unreadable: BTreeMap::new(),
        }
    }

    /// Reads a `sql/` folder.
    ///
    /// # Errors
    /// When the folder, a form or a view cannot be read as UTF-8 text. A hunt that cannot is [`Self::unreadable`].
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut unreadable = BTreeMap::new();
        let mut open = vec![root.to_owned()];
        while let Some(folder) = open.pop() {
            let entries = std::fs::read_dir(&folder).map_err(|e| {
                Error::configuration(format!("cannot list the folder: {e}")).in_file(&folder)
            })?;
            for entry in entries {
                let path = entry
                    .map_err(|e| {
                        Error::configuration(format!("cannot list the folder: {e}"))
                            .in_file(&folder)
                    })?
                    .path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|e| e == "sql" || e == "yaml") {
                    let inside = path.strip_prefix(root).unwrap_or(&path);
                    let parts: Vec<_> = inside.iter().map(|p| p.to_string_lossy()).collect();
                    match std::fs::read_to_string(&path) {
                        // Editors of Windows begin a file with a mark.
                        Ok(text) => {
                            let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
                            files.insert(parts.join("/"), text);
                        }
                        Err(e) => {
                            let error = Error::configuration(format!("cannot read the file: {e}"))
                                .in_file(&path);
                            // A hunt costs itself; a form or view may be any hunt's.
                            if parts.first().is_none_or(|first| first != "hunts") {
                                return Err(error);
                            }
                            unreadable.insert(parts.join("/"), error);
                        }
                    }
                }
            }
        }
        Ok(Self {
            root: root.to_owned(),
            is_shipped: false,
            unreadable,
            files,
        })
    }

    /// The `sql/` folder that belongs to a job or lake file: in its own folder or the nearest one above that has
    /// `sql/hunts`, else in the working folder, else what ships inside the binary.
    pub fn beside(file: Option<&Path>) -> Result<Self> {
        let above = file
            .map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()))
            .map(|file| {
                file.ancestors()
                    .skip(1)
                    .map(Path::to_owned)
                    .collect::<Vec<_>>()
            })
            .unwrap_or_default();
        let root = above
            .into_iter()
            .chain([PathBuf::new()])
            .map(|folder| folder.join("sql"))
            .find(|sql| sql.join("hunts").is_dir());
        match root {
            Some(root) => Self::read(&shortest(&root)),
            None => Ok(Self::shipped()),
        }
    }

    /// All files below a folder of the content, such as `hunts`, in order of their paths.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |(path, _)| {
                path.strip_prefix(folder)
                    .is_some_and(|rest| rest.starts_with('/'))
            })
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Hunts that could not be read, by their path inside.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.unreadable
            .iter()
            .map(|(path, error)| (path.as_str(), error))
    }

    /// Whether this is what ships inside the binary, and no folder that somebody can change.
    pub fn is_shipped(&self) -> bool {
        self.is_shipped
    }

    /// The `tests/` folder that belongs to the content, beside `sql/`, whether it is there or not; `None` for what ships
    /// inside the binary.
    pub fn tests(&self) -> Option<PathBuf> {
        let project = self.root.parent().unwrap_or(Path::new(""));
        (!self.is_shipped).then(|| project.join("tests"))
    }

    /// The content without the file, or without the files below the folder, that a user knows by this path.
    #[must_use]
    pub fn without(mut self, shown: &Path) -> Self {
        self.files
            .retain(|inside, _| !self.root.join(inside).starts_with(shown));
        self
    }

    /// The path to show to a user for a file of the content.
    pub fn display_path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }
}

/// The path relative to the working folder where that is shorter: errors show paths as the user would type them.
fn shortest(path: &Path) -> PathBuf {
    std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned))
        .unwrap_or_else(|| path.to_owned())
}

/// The files that a new project starts with, by their paths in it: `sql/...` and `tests/hunts/...`.
pub fn shipped_files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for (root, folder) in [("sql", &SHIPPED), ("tests/hunts", &FIXTURES)] {
        let mut below = BTreeMap::new();
        collect_shipped(folder, &mut below);
        files.extend(
            below
                .into_iter()
                // Worked examples for tests of lakehunt itself.
                .filter(|(inside, _)| !inside.ends_with("/vectors.yaml"))
                .map(|(inside, text)| (format!("{root}/{inside}"), text)),
        );
    }
    files
}

fn collect_shipped(folder: &Dir<'_>, files: &mut BTreeMap<String, String>) {
    for file in folder.files() {
        if let Some(text) = file.contents_utf8() {
            files.insert(
                file.path().to_string_lossy().replace('\\', "/"),
                text.to_owned(),
            );
        }
    }
    for inner in folder.dirs() {
        collect_shipped(inner, files);
    }
}
