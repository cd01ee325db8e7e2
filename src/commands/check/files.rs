//! Files beside the hunts: forms, views with their SELECTs, and the job, lake and exceptions files that are named.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono_tz::Tz;

use super::hunts::OnLake;
use super::{Check, Diagnostic, Target};
use crate::commands::setup::{at_job, chosen};
use crate::engine::SqlSource;
use crate::error::{Error, Result, did_you_mean};
use crate::exceptions::{self, Exception};
use crate::hunt::{Content, Hunt, yaml};
use crate::job::Job;
use crate::lake::{Form, View, form, view};

/// The forms that can be read, and what is wrong with the others.
pub(super) fn forms(
    content: &Content,
    found: &mut Vec<Diagnostic>,
    broken: &mut Vec<String>,
) -> BTreeMap<String, Arc<Form>> {
    let name = |file: &Path| Some(file.file_stem()?.to_string_lossy().into_owned());
    load_all(content, form::load, name, found, broken)
}

/// The views that can be read, and what is wrong with the others.
pub(super) fn views(
    content: &Content,
    found: &mut Vec<Diagnostic>,
    broken: &mut Vec<String>,
) -> BTreeMap<String, Arc<View>> {
    let folder = content.display_path("views");
    let name = |file: &Path| {
        let inside = file.strip_prefix(&folder).ok()?;
        Some(inside.iter().next()?.to_string_lossy().into_owned())
    };
    load_all(content, view::load, name, found, broken)
}

/// Reads again without the file that gave the error, until there is none.
fn load_all<T>(
    content: &Content,
    load: impl Fn(&Content) -> Result<BTreeMap<String, T>>,
    name: impl Fn(&Path) -> Option<String>,
    found: &mut Vec<Diagnostic>,
    broken: &mut Vec<String>,
) -> BTreeMap<String, T> {
    let mut content = content.clone();
    let mut before = None;
    loop {
        let error = match load(&content) {
            Ok(loaded) => return loaded,
            Err(error) => error,
        };
        let file = error.place().map(|place| place.file.clone());
        let follows = broken
            .iter()
            .any(|name| error.message().contains(&format!("`{name}`")));
        if !follows {
            found.push(Diagnostic {
                is_error: true,
                hunt: None,
                error,
            });
        }
        let Some(file) = file.filter(|file| before.as_ref() != Some(file)) else {
            return BTreeMap::new();
        };
        broken.extend(name(&file));
        content = content.without(&file);
        before = Some(file);
    }
}

/// What a YAML file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Job,
    Lake,
    Exceptions,
}

impl Kind {
    /// By the keys that only one kind has.
    fn of(text: &str) -> Self {
        let has = |word: &str| text.lines().any(|line| line.starts_with(word));
        if has("tables:") {
            Self::Lake
        } else if !has("grid:") && !has("lake:") && (has("exceptions:") || has("- ")) {
            Self::Exceptions
        } else {
            Self::Job
        }
    }
}

impl Check<'_> {
    /// Plans every SELECT of every view over the form that it is for.
    pub(super) async fn selects(&mut self) {
        let mut errors = Vec::new();
        for view in self.checker.views().values() {
            for (name, selects) in &view.forms {
                for sql in selects {
                    match self.forms.get(name) {
                        Some(form) => {
                            errors.extend(self.checker.select(view, form, sql).await.err());
                        }
                        None if self.broken.contains(name) => {}
                        None => {
                            let known = self.forms.keys().map(String::as_str);
                            let hint = did_you_mean(name, known.clone());
                            let hint = hint.unwrap_or_else(|| {
                                format!("there are {}", known.collect::<Vec<_>>().join(", "))
                            });
                            let message =
                                format!("view `{}`: there is no form `{name}`", view.name);
                            errors
                                .push(Error::configuration(message).in_file(&sql.path).hint(hint));
                        }
                    }
                }
            }
        }
        for error in errors {
            self.error(None, error);
        }
    }

    /// Checks a job, lake or exceptions file, and gives the number of hunts that were checked with it.
    pub(super) async fn file(&mut self, path: &Path) -> Result<usize> {
        let text = match yaml::text(path, "file") {
            Ok(text) => text,
            Err(error) => {
                self.error(None, error);
                return Ok(0);
            }
        };
        match Kind::of(&text) {
            Kind::Job => return self.job(path).await,
            Kind::Lake => {
                if let Err(error) = OnLake::open(path, self.content).await {
                    self.error(None, error);
                }
            }
            Kind::Exceptions => match exceptions::read(path, Tz::UTC) {
                Ok(list) => self.exceptions(&list).await,
                Err(error) => self.error(None, error),
            },
        }
        Ok(0)
    }

    async fn job(&mut self, path: &Path) -> Result<usize> {
        let job = match Job::read(path) {
            Ok(job) => job,
            Err(error) => {
                self.error(None, error);
                return Ok(0);
            }
        };
        let hunts = chosen(self.library, &job, &[]).unwrap_or_else(|error| {
            self.error(None, error);
            Vec::new()
        });
        for name in job.params.keys() {
            let wrong = match self.library.get(name) {
                Err(error) => Some(at_job(&job, name, error.about("params"))),
                Ok(hunt) => job.parameters(hunt).err(),
            };
            if let Some(error) = wrong {
                self.error(None, error);
            }
        }
        let lake = match OnLake::open(&job.lake, self.content).await {
            Ok(lake) => Some(lake),
            Err(error) => {
                self.error(None, error);
                None
            }
        };
        let is_chosen = |name: &str| hunts.iter().any(|hunt: &Hunt| hunt.name == name);
        let examined = self.examined.iter().filter(|hunt| is_chosen(&hunt.name));
        let targets: Vec<_> = examined
            .filter_map(|examined| {
                let parameters = job.parameters(examined.hunt.as_ref()?).ok()?;
                Some(Target {
                    examined,
                    parameters,
                })
            })
            .collect();
        self.targets(&targets, lake.as_ref(), None).await;
        self.exceptions(&job.exceptions).await;
        Ok(targets.len())
    }

    /// Exceptions name hunts that are there, and conditions over what those find.
    async fn exceptions(&mut self, list: &[Exception]) {
        for exception in list {
            let hunt = match self.library.get(&exception.hunt) {
                Ok(hunt) => hunt,
                Err(error) => {
                    self.error(None, exception.error_about(&exception.hunt, &error));
                    continue;
                }
            };
            let verdict = self.checker.hunt(hunt, &hunt.front_matter.params).await;
            let Some(findings) = verdict.schema else {
                continue;
            };
            let condition = SqlSource {
                path: exception.path.clone(),
                text: exception.condition.clone(),
            };
            if let Err(error) = self.checker.condition(&condition, findings).await {
                self.error(None, exception.error(&error));
            }
        }
    }
}
