//! The library: every hunt below `sql/hunts`, names and ids unique, and the selection a job makes from it.
//!
//! Knows nothing of lakes and windows.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::{Content, Hunt, Level, Status, front_matter};
use crate::error::{Error, Result, did_you_mean};

/// All hunts, by name.
#[derive(Debug, Clone, Default)]
pub struct Library {
    hunts: BTreeMap<String, Hunt>,
}

/// Which hunts a job runs: by name, or by tag, status and level (all given conditions must hold).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
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

impl Library {
    /// Reads every hunt of a `sql/` folder.
    ///
    /// # Errors
    /// The first hunt whose front matter does not parse, or whose name or id is taken.
    pub fn load(content: &Content) -> Result<Self> {
        let mut hunts: BTreeMap<String, Hunt> = BTreeMap::new();
        let mut ids: HashMap<String, String> = HashMap::new();
        for (inside, text) in content.below("hunts") {
            let Some(name) = inside
                .rsplit('/')
                .next()
                .and_then(|file| file.strip_suffix(".sql"))
            else {
                continue;
            };
            let path = content.display_path(inside);
            let hunt = Hunt {
                name: name.to_owned(),
                front_matter: front_matter::parse(&path, text)?,
                path,
                inside: inside.to_owned(),
                sql: text.to_owned(),
            };
            if let Some(other) = ids.insert(hunt.front_matter.id.clone(), hunt.name.clone()) {
                return Err(Error::configuration(format!(
                    "hunts `{other}` and `{name}` have the same id {}",
                    hunt.front_matter.id
                ))
                .in_file(&hunt.path)
                .hint("give the newer one a fresh UUID"));
            }
            if let Some(other) = hunts.insert(name.to_owned(), hunt) {
                return Err(Error::configuration(format!(
                    "two hunts are named `{name}`: {} and {}",
                    other.path.display(),
                    content.display_path(inside).display()
                )));
            }
        }
        Ok(Self { hunts })
    }

    /// All hunts in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Hunt> {
        self.hunts.values()
    }

    /// One hunt.
    ///
    /// # Errors
    /// A configuration error with the closest name.
    pub fn get(&self, name: &str) -> Result<&Hunt> {
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
    /// An unknown name, or a selection that selects nothing.
    pub fn select(&self, selection: &Selection) -> Result<Vec<&Hunt>> {
        if let Some(names) = &selection.names {
            for name in names {
                self.get(name)?;
            }
        }
        let chosen: Vec<_> = self.iter().filter(|hunt| selection.matches(hunt)).collect();
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
