//! The library: every hunt below `sql/hunts`, names and ids unique, and the selection a job makes from it.
//!
//! Knows nothing of lakes and windows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Content, Hunt, Level, Status, front_matter};
use crate::error::{Error, Result, did_you_mean};

/// All hunts, by name.
#[derive(Debug, Clone, Default)]
pub struct Library {
    hunts: BTreeMap<String, Hunt>,
    /// What is wrong with the others, by name.
    broken: BTreeMap<String, Vec<Error>>,
}

/// Which hunts a job runs: by name, or by tag, status and level (all given conditions must hold).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Hunts by name.
    pub names: Option<Vec<String>>,
    /// Hunts that have one of these tags.
    pub tags: Option<Vec<String>>,
    /// Hunts with one of these statuses.
    pub status: Option<Vec<Status>>,
    /// Hunts with one of these levels.
    pub level: Option<Vec<Level>>,
}

/// One hunt file with all that is wrong with it, before anybody asks what its SQL means.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The file stem.
    pub name: String,
    /// The hunt, with stand-ins for what is wrong in its front matter; `None` when that cannot be read at all.
    pub hunt: Option<Hunt>,
    /// The keys that hold a stand-in.
    pub stand_ins: BTreeSet<String>,
    /// Configuration errors at their places.
    pub errors: Vec<Error>,
}

/// Reads every hunt of a `sql/` folder with all errors: front matters, and names and ids that are taken.
pub fn examine(content: &Content) -> Vec<Examined> {
    let mut examined: Vec<Examined> = Vec::new();
    let mut ids: HashMap<String, String> = HashMap::new();
    let mut names: HashMap<String, PathBuf> = HashMap::new();
    for (inside, text) in content.below("hunts") {
        let Some(name) = inside
            .rsplit('/')
            .next()
            .and_then(|file| file.strip_suffix(".sql"))
        else {
            continue;
        };
        let path = content.display_path(inside);
        let front_matter::Reading {
            front_matter,
            stand_ins,
            mut errors,
        } = front_matter::read(&path, text);
        if let Some(front) = &front_matter
            && !stand_ins.contains("id")
            && let Some(other) = ids.insert(front.id.to_lowercase(), name.to_owned())
        {
            let error = Error::configuration(format!(
                "hunts `{other}` and `{name}` have the same id {}",
                front.id
            ));
            let error = match front_matter::locate(text, "id", &front.id) {
                Some((line, column)) => error.at(&path, line, column, text),
                None => error.in_file(&path),
            };
            errors.push(error.hint("give the newer one a fresh UUID"));
        }
        if let Some(other) = names.insert(name.to_owned(), path.clone()) {
            let message = format!(
                "two hunts are named `{name}`: {} and {}",
                other.display(),
                path.display()
            );
            errors.push(
                Error::configuration(message)
                    .in_file(&path)
                    .hint("a hunt's name is the name of its file: rename one"),
            );
        }
        let hunt = front_matter.map(|front_matter| Hunt {
            name: name.to_owned(),
            front_matter,
            path,
            inside: inside.to_owned(),
            sql: text.to_owned(),
        });
        examined.push(Examined {
            name: name.to_owned(),
            hunt,
            stand_ins,
            errors,
        });
    }
    for (inside, error) in content.unreadable() {
        let file = inside.rsplit('/').next().unwrap_or(inside);
        if let Some(name) = file.strip_suffix(".sql") {
            examined.push(Examined {
                name: name.to_owned(),
                hunt: None,
                stand_ins: BTreeSet::new(),
                errors: vec![error.clone()],
            });
        }
    }
    examined
}

impl Library {
    /// Reads every hunt of a `sql/` folder. One whose front matter does not parse, or whose name or id is taken, costs
    /// itself: see [`Self::broken`].
    pub fn load(content: &Content) -> Self {
        let (good, bad): (Vec<_>, Vec<_>) = examine(content)
            .into_iter()
            .partition(|examined| examined.errors.is_empty());
        Self {
            broken: bad
                .into_iter()
                .map(|examined| (examined.name, examined.errors))
                .collect(),
            ..Self::of(&good)
        }
    }

    /// The hunts that are broken, with what is wrong with each.
    pub fn broken(&self) -> impl Iterator<Item = (&str, &[Error])> {
        let broken = self.broken.iter();
        broken.map(|(name, errors)| (name.as_str(), errors.as_slice()))
    }

    /// The hunts that could be read, whatever is wrong with them.
    pub fn of(examined: &[Examined]) -> Self {
        let hunts = examined.iter().filter_map(|examined| examined.hunt.clone());
        Self {
            hunts: hunts.map(|hunt| (hunt.name.clone(), hunt)).collect(),
            broken: BTreeMap::new(),
        }
    }

    /// All hunts in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Hunt> {
        self.hunts.values()
    }

    /// One hunt.
    ///
    /// # Errors
    /// What is wrong with it, or a configuration error with the closest name.
    pub fn get(&self, name: &str) -> Result<&Hunt> {
        if let Some(error) = self.broken.get(name).and_then(|errors| errors.first()) {
            return Err(error.clone());
        }
        self.hunts.get(name).ok_or_else(|| {
            Error::configuration(format!("unknown hunt `{name}`")).hint(
                did_you_mean(name, self.hunts.keys().map(String::as_str))
                    .unwrap_or_else(|| "`lakehunt hunts list` shows all hunts".to_owned()),
            )
        })
    }

    /// The hunts of a selection in order of their names.
    ///
    /// # Errors
    /// An unknown name, or a selection that selects nothing but broken hunts, or nothing.
    pub fn select(&self, selection: &Selection) -> Result<Vec<&Hunt>> {
        if let Some(names) = &selection.names {
            for name in names.iter().filter(|name| !self.broken.contains_key(*name)) {
                self.get(name)?;
            }
        }
        let chosen: Vec<_> = self.iter().filter(|hunt| selection.matches(hunt)).collect();
        let mut errors = self.broken.values().flatten();
        if let (true, Some(error)) = (chosen.is_empty(), errors.next()) {
            return Err(error.clone());
        }
        if chosen.is_empty() {
            return Err(Error::configuration("no hunt matches the job's `hunts:`")
                .hint("`lakehunt hunts list` shows names, tags, status and level of all hunts"));
        }
        Ok(chosen)
    }
}

impl Selection {
    fn matches(&self, hunt: &Hunt) -> bool {
        let front = &hunt.front_matter;
        self.names
            .as_ref()
            .is_none_or(|names| names.contains(&hunt.name))
            && self
                .tags
                .as_ref()
                .is_none_or(|tags| tags.iter().any(|tag| front.tags.contains(tag)))
            && self
                .status
                .as_ref()
                .is_none_or(|status| status.contains(&front.status))
            && self
                .level
                .as_ref()
                .is_none_or(|level| level.contains(&front.level))
    }
}
