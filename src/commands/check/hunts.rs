//! Hunts: which are checked, and all that is wrong with each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::{Check, Target};
use crate::engine::check::Verdict;
use crate::engine::{Engine, Session, results};
use crate::error::{Error, Result, did_you_mean};
use crate::hunt::library::Examined;
use crate::hunt::{Content, Hunt, Parameter, Status, fixture, front_matter, tags};
use crate::lake::{Lake, LakeFile};

/// A lake that hunts are planned over.
pub(super) struct OnLake {
    pub(super) lake: Arc<Lake>,
    pub(super) session: Session,
}

impl OnLake {
    /// Opens a lake and plans its views.
    ///
    /// # Errors
    /// What is wrong with the lake file, or with a view over its tables.
    pub(super) async fn open(path: &Path, content: &Content) -> Result<Self> {
        let lake = Arc::new(Lake::open(path, content)?);
        let engine = Engine::new(Arc::clone(&lake), None)?;
        let session = engine.session(None, None).await?;
        Ok(Self { lake, session })
    }

    async fn check(&self, hunt: &Hunt, target: &Target<'_>) -> Verdict {
        let (lake, parameters) = (&self.lake, &target.parameters);
        self.session.check_hunt(hunt, lake, parameters).await
    }
}

impl Check<'_> {
    /// Checks the named hunts, or all, and gives their number.
    pub(super) async fn hunts(&mut self, names: &[&String], lake: Option<&Path>) -> Result<usize> {
        let mut targets: Vec<&Examined> = Vec::new();
        for name in names {
            // A hunt by its file, as editors and shells name it.
            let file = Path::new(name.as_str());
            let stem = file.extension().is_some_and(|suffix| suffix == "sql");
            let stem = stem.then(|| file.file_stem()).flatten();
            let wanted = stem.map_or((*name).clone(), |stem| stem.to_string_lossy().into_owned());
            let before = targets.len();
            targets.extend(self.examined.iter().filter(|hunt| hunt.name == wanted));
            if targets.len() == before {
                let known = self.examined.iter().map(|hunt| hunt.name.as_str());
                let hint = did_you_mean(&wanted, known)
                    .unwrap_or_else(|| "`lakehunt hunts list` shows all hunts".to_owned());
                let error = Error::configuration(format!("unknown hunt `{wanted}`")).hint(hint);
                self.error(None, error);
            }
        }
        if names.is_empty() {
            targets.extend(self.examined);
        }
        let targets: Vec<_> = targets
            .into_iter()
            .map(|examined| Target {
                examined,
                parameters: parameters_of(examined),
            })
            .collect();
        let on_lake = match lake {
            None => None,
            Some(path) => match OnLake::open(path, self.content).await {
                Ok(lake) => Some(lake),
                Err(error) => {
                    self.error(None, error);
                    None
                }
            },
        };
        // Without a lake a hunt over a table of the project's own is planned over that.
        let nearest = lake.is_none().then(|| super::super::lake_file(None).ok());
        let nearest = nearest.flatten();
        self.targets(&targets, on_lake.as_ref(), nearest.as_deref())
            .await;
        Ok(targets.len())
    }

    /// Checks hunts with their parameters, over the views and, where there is one, over a lake.
    pub(super) async fn targets(
        &mut self,
        targets: &[Target<'_>],
        lake: Option<&OnLake>,
        nearest: Option<&Path>,
    ) {
        let mut unfed: BTreeSet<String> = BTreeSet::new();
        let verdicts: Vec<_> = targets.iter().map(|target| self.verdict(target)).collect();
        for (target, verdict) in targets.iter().zip(verdicts) {
            let examined = target.examined;
            let name = examined.name.as_str();
            for error in &examined.errors {
                self.error(Some(name), error.clone());
            }
            let Some(hunt) = &examined.hunt else {
                continue;
            };
            self.tags(hunt);
            if !examined.stand_ins.contains("status") {
                self.fixture(hunt);
            }
            let Some(verdict) = verdict else {
                continue;
            };
            let verdict = match verdict.await {
                Ok(verdict) => verdict,
                Err(crashed) => {
                    let error = Error::failure(format!("the check crashed: {crashed}"));
                    self.error(Some(name), error.in_file(&hunt.path));
                    continue;
                }
            };
            let verdict = match &verdict.unknown {
                Some(relation) => {
                    let relation = relation.clone();
                    self.over_a_table(target, hunt, &relation, verdict, lake, nearest)
                        .await
                }
                None => Some(verdict),
            };
            let Some(verdict) = verdict else {
                continue;
            };
            for error in verdict.errors {
                self.error(Some(name), error);
            }
            for warning in verdict.warnings {
                self.warning(Some(name), warning);
            }
            if let Some(on_lake) = lake {
                let again = on_lake.check(hunt, target).await;
                for error in again.errors {
                    self.error(Some(name), error);
                }
                let views = again.relations.iter();
                let views = views.filter_map(|name| on_lake.lake.views.get(name));
                let empty = views.filter(|view| on_lake.lake.sources(view).next().is_none());
                unfed.extend(empty.map(|view| view.name.clone()));
            }
        }
        if let Some(on_lake) = lake.filter(|_| !unfed.is_empty()) {
            let views: Vec<_> = unfed.into_iter().collect();
            self.notes.push(format!(
                "no table of {} feeds {}: hunts over that have nothing to read there",
                on_lake.lake.path.display(),
                views.join(", ")
            ));
        }
    }

    /// Plans a hunt over the views, beside the others; `None` where it cannot be planned.
    fn verdict(&self, target: &Target<'_>) -> Option<JoinHandle<Verdict>> {
        let hunt = target.examined.hunt.clone()?;
        // What the SQL calls $name cannot be told.
        if target.examined.stand_ins.contains("params") {
            return None;
        }
        let checker = Arc::clone(&self.checker);
        let parameters = target.parameters.clone();
        Some(tokio::spawn(async move {
            checker.hunt(&hunt, &parameters).await
        }))
    }

    /// A hunt over something that is no view: a table of the lake, or a mistake. `None` when that was said already.
    async fn over_a_table(
        &mut self,
        target: &Target<'_>,
        hunt: &Hunt,
        relation: &str,
        mut verdict: Verdict,
        lake: Option<&OnLake>,
        nearest: Option<&Path>,
    ) -> Option<Verdict> {
        if self.broken.iter().any(|view| view == relation) {
            return None;
        }
        if let Some(on_lake) = lake {
            return Some(on_lake.check(hunt, target).await);
        }
        let is_table = |file: &LakeFile| {
            let mut tables = file.tables.keys();
            tables.any(|table| table.eq_ignore_ascii_case(relation))
        };
        let file = nearest.and_then(|path| LakeFile::read(path).ok());
        if let Some(file) = file.filter(is_table) {
            return match OnLake::open(&file.path, self.content).await {
                Ok(on_lake) => Some(on_lake.check(hunt, target).await),
                Err(error) => {
                    let message = format!(
                        "`{relation}` is a table of {}, which cannot be opened: {}",
                        file.path.display(),
                        error.message()
                    );
                    let warning = Error::configuration(message).in_file(&hunt.path);
                    let warning = warning.hint("the hunt is not planned; name a lake with --lake");
                    self.warning(Some(&hunt.name), warning);
                    None
                }
            };
        }
        let views = self.checker.views();
        if let Some(error) = verdict.errors.pop() {
            let mut known: Vec<&str> = views.keys().map(String::as_str).collect();
            for name in results::names() {
                known.push(name);
            }
            let hint = did_you_mean(relation, known.iter().copied()).unwrap_or_else(|| {
                format!(
                    "there are {}; a table of a lake needs --lake FILE",
                    known.join(", ")
                )
            });
            verdict.errors.push(error.hint(hint));
        }
        Some(verdict)
    }

    fn tags(&mut self, hunt: &Hunt) {
        for tag in &hunt.front_matter.tags {
            if let Some((message, hint)) = tags::misspelled(tag) {
                let warning = at(hunt, "tags", tag, message).hint(hint);
                self.warning(Some(&hunt.name), warning);
            }
        }
    }

    /// A stable hunt has a fixture. What ships inside the binary was tested where it was built.
    fn fixture(&mut self, hunt: &Hunt) {
        let Some(tests) = self.content.tests() else {
            return;
        };
        if hunt.front_matter.status != Status::Stable {
            return;
        }
        let folder = tests.join(fixture::folder_of(hunt));
        let missing = match fixture::Fixture::read(&folder) {
            Ok(fixture) if fixture.expected().is_file() => return,
            Ok(_) => "expected.ndjson is missing".to_owned(),
            Err(_) if !folder.is_dir() => format!("`{}` has none", hunt.name),
            Err(error) => error.message().to_owned(),
        };
        let message = format!("a stable hunt needs a fixture: {missing}");
        let error = at(hunt, "status", "stable", message).hint(format!(
            "events with a hit and a near miss in {}, then `lakehunt test {} --accept`",
            folder.join("events.ndjson").display(),
            hunt.name
        ));
        self.error(Some(&hunt.name), error);
    }
}

/// The parameters of a hunt as it has them itself.
fn parameters_of(examined: &Examined) -> BTreeMap<String, Parameter> {
    let hunt = examined.hunt.as_ref();
    hunt.map(|hunt| hunt.front_matter.params.clone())
        .unwrap_or_default()
}

/// An error about a word in the value of a key of the front matter.
fn at(hunt: &Hunt, key: &str, word: &str, message: String) -> Error {
    let error = Error::configuration(message);
    match front_matter::locate(&hunt.sql, key, word) {
        Some((line, column)) => error.at(&hunt.path, line, column, &hunt.sql),
        None => error.in_file(&hunt.path),
    }
}
