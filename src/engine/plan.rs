//! From a hunt to a physical plan whose leaves are [`LakeScanExec`]s, and to the hash that says when it must run again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::Duration;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use sha2::{Digest, Sha256};

use super::{Engine, Session, SqlSource, panics, prepare, results};
use crate::error::{Error, Result, did_you_mean};
use crate::hex;
use crate::hunt::{Hunt, Parameter, front_matter};
use crate::lake::{Lake, LakeScanExec, Table};

/// Columns of a result that have a meaning for all hunts.
pub const RESERVED: [&str; 5] = [
    "first_seen",
    "last_seen",
    "event_time",
    "event_count",
    "evidence",
];

/// A hunt planned over a lake and window.
#[derive(Debug)]
pub struct PlannedHunt {
    /// Its name.
    pub name: String,
    /// The plan; its leaves are [`LakeScanExec`]s.
    pub plan: Arc<dyn ExecutionPlan>,
    /// The columns of its findings.
    pub schema: SchemaRef,
    /// What decides a rerun.
    pub logic_hash: String,
    /// The tables it reads.
    pub tables: Vec<String>,
    /// The lookups it reads.
    pub lookups: Vec<String>,
    /// Views it reads that no table of this lake feeds.
    pub missing_views: Vec<String>,
    /// What it reads of what runs left behind; none of a hunt over the lake.
    pub results: BTreeSet<String>,
}

impl Session {
    /// Plans a hunt.
    ///
    /// # Errors
    /// A configuration error with file, line and column where the text is wrong, or the columns that its front matter
    /// names are not in its result.
    pub async fn plan_hunt(
        &self,
        hunt: &Hunt,
        lake: &Lake,
        lookback: Duration,
        parameters: &BTreeMap<String, Parameter>,
    ) -> Result<PlannedHunt> {
        let source = SqlSource {
            path: hunt.path.clone(),
            text: hunt.sql.clone(),
        };
        let prepared = prepare::prepare(&source, parameters, &self.relations, true)?;
        self.lookups_are_there(&prepared.relations)?;
        let results = results::read(&prepared.relations, lake, &source)?;
        if let (Some(result), false) = (results.first(), self.has_results) {
            return Err(source
                .error_about(result, format!("`{result}` is what runs of a job leave behind"))
                .hint("only a run of a job has it; `lakehunt run JOB --hunt NAME` looks at what the job found"));
        }
        self.register_raw(&prepared.raw).await?;
        let state = self.context.state();
        let wrong = |error| source.planning_error(&error);
        let plan = state
            .statement_to_plan(prepared.statement)
            .await
            .map_err(wrong)?;
        let mut errors = unstable_functions(&plan, &source)?;
        errors.extend(column_errors(hunt, plan.schema().as_arrow()));
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        check_last_seen(hunt, &plan)?;
        let (mut tables, mut lookups): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for relation in &prepared.relations {
            match lake.views.get(relation) {
                Some(view) => {
                    tables.extend(lake.sources(view).map(|(table, _)| table.name.clone()));
                }
                None if lake.lookups.contains_key(relation) => lookups.push(relation.clone()),
                None if results.contains(relation) => {}
                None => tables.push(relation.clone()),
            }
        }
        tables.sort_unstable();
        tables.dedup();
        let views = prepared
            .relations
            .iter()
            .filter_map(|name| lake.views.get(name));
        let missing_views = views
            .filter(|view| lake.sources(view).next().is_none())
            .map(|view| view.name.clone())
            .collect();
        let physical = panics::caught(state.create_physical_plan(&plan)).await;
        let physical = physical
            .map_err(|panic| {
                Error::configuration(format!("the query engine cannot plan it: {panic}"))
                    .in_file(&hunt.path)
                    .hint("write it another way; a window is best ordered by a plain column")
            })?
            .map_err(wrong)?;
        Ok(PlannedHunt {
            name: hunt.name.clone(),
            schema: physical.schema(),
            plan: physical,
            logic_hash: logic_hash(hunt, lake, lookback, parameters, prepared.relations.iter()),
            tables,
            lookups,
            missing_views,
            results,
        })
    }
}

impl Engine {
    /// What decides a rerun of each of some hunts, as [`PlannedHunt::logic_hash`], without planning them. The error of a
    /// text that does not parse, or names what there is not, is its own.
    pub async fn logic_hashes(
        &self,
        hunts: &[(&Hunt, Duration, BTreeMap<String, Parameter>)],
    ) -> Vec<Result<String>> {
        let relations = self.relations().await;
        let hash = |hunt: &Hunt, lookback, parameters: &BTreeMap<String, Parameter>| {
            let source = SqlSource {
                path: hunt.path.clone(),
                text: hunt.sql.clone(),
            };
            let prepared = prepare::prepare(&source, parameters, &relations, true)?;
            let read = prepared.relations.iter();
            Ok(logic_hash(hunt, self.lake(), lookback, parameters, read))
        };
        let hashes = hunts.iter();
        hashes
            .map(|(hunt, lookback, parameters)| hash(hunt, *lookback, parameters))
            .collect()
    }

    /// What each of some hunts reads of what runs left behind. None for one over the lake, and for one whose text says
    /// nothing that could be run: planning it tells why.
    pub async fn results_read(
        &self,
        hunts: &[(&Hunt, BTreeMap<String, Parameter>)],
    ) -> Vec<BTreeSet<String>> {
        let relations = self.relations().await;
        let read = |hunt: &Hunt, parameters: &BTreeMap<String, Parameter>| {
            let source = SqlSource {
                path: hunt.path.clone(),
                text: hunt.sql.clone(),
            };
            let prepared = prepare::prepare(&source, parameters, &relations, true)?;
            results::read(&prepared.relations, self.lake(), &source)
        };
        let hunts = hunts.iter();
        hunts
            .map(|(hunt, parameters)| read(hunt, parameters).unwrap_or_default())
            .collect()
    }
}

/// Functions whose result changes from run to run.
pub(super) fn unstable_functions(plan: &LogicalPlan, source: &SqlSource) -> Result<Vec<Error>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                if let Expr::ScalarFunction(function) = expression
                    && function.func.signature().volatility != Volatility::Immutable
                {
                    let names = std::iter::once(function.name().to_owned());
                    let names: Vec<_> = names.chain(function.func.aliases().to_vec()).collect();
                    if !found.contains(&names) {
                        found.push(names);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| source.planning_error(&error))?;
    let errors = found.into_iter().map(|names| {
        // As it is written, which may be another name of the function.
        let errors = names.iter().map(|name| {
            source.error_about(name, format!("{name}() gives another result on every run"))
        });
        let errors: Vec<_> = errors.collect();
        let placed = errors
            .iter()
            .position(|error| error.place().is_some_and(|place| place.line > 0));
        let by_chance = names
            .iter()
            .any(|name| ["random", "uuid"].contains(&name.as_str()));
        let hint = if by_chance {
            "a rerun must give the same rows; drop it"
        } else {
            "a hunt never says when, its job does; window_start() and window_end() give the bounds"
        };
        errors
            .into_iter()
            .nth(placed.unwrap_or(0))
            .map(|error| error.hint(hint))
    });
    Ok(errors.flatten().collect())
}

/// What the front matter or all hunts ask of a result, and this one has not.
pub fn column_errors(hunt: &Hunt, schema: &datafusion::arrow::datatypes::Schema) -> Vec<Error> {
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let mut errors = Vec::new();
    let front = &hunt.front_matter;
    let placeholders = front
        .risk
        .as_ref()
        .map(|risk| placeholders(&risk.message))
        .unwrap_or_default();
    let key = front.key.iter().map(|column| ("key", column.as_str()));
    let entities = front.entities.values();
    let entities = entities.map(|column| ("entities", column.as_str()));
    let message = placeholders
        .iter()
        .map(|column| ("risk.message", column.as_str()));
    for (what, column) in key.chain(entities).chain(message) {
        if names.contains(&column) {
            continue;
        }
        let error = Error::configuration(format!("{what}: the result has no column `{column}`"));
        let key = what.split('.').next().unwrap_or(what);
        let error = match front_matter::locate(&hunt.sql, key, column) {
            Some((line, at)) => error.at(&hunt.path, line, at, &hunt.sql),
            None => error.in_file(&hunt.path),
        };
        let near = did_you_mean(column, names.iter().copied());
        errors.push(error.hint(near.unwrap_or_else(|| format!("it has {}", names.join(", ")))));
    }
    let plain = |message: String| Error::configuration(message).in_file(&hunt.path);
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            errors.push(plain(format!(
                "two columns of the result are named `{name}`"
            )));
        }
    }
    let is_time = |name: &str| {
        schema
            .field_with_name(name)
            .is_ok_and(|f| matches!(f.data_type(), DataType::Timestamp(..)))
    };
    if !is_time("last_seen") && !is_time("event_time") {
        errors.push(plain("the result has neither `last_seen` nor `event_time`".to_owned())
            .hint("aggregate `max(event_time) AS last_seen` over all events that contribute, or select `event_time`"));
    }
    errors
}

/// An aggregate must say `last_seen`: an `event_time` of its own making can lie in any tile.
pub(super) fn check_last_seen(hunt: &Hunt, plan: &LogicalPlan) -> Result<()> {
    let is_aggregate = plan
        .exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_))))
        .unwrap_or(false);
    if is_aggregate
        && plan
            .schema()
            .field_with_unqualified_name("last_seen")
            .is_err()
    {
        return Err(Error::configuration("an aggregate must return `last_seen`")
            .in_file(&hunt.path)
            .hint("`max(event_time) AS last_seen` over all events that contribute; a finding counts in the tile that holds it"));
    }
    Ok(())
}

/// The `{column}` placeholders of a message.
pub fn placeholders(message: &str) -> Vec<String> {
    let pieces = message.split('{').skip(1);
    pieces
        .filter_map(|piece| piece.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// SHA-256 over what decides a rerun: SQL, parameters, lookback, key, and schemas, forms and views that are read.
fn logic_hash<'a>(
    hunt: &Hunt,
    lake: &Lake,
    lookback: Duration,
    parameters: &BTreeMap<String, Parameter>,
    relations: impl Iterator<Item = &'a String>,
) -> String {
    let mut hasher = Sha256::new();
    let mut add = |part: &str| {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    // All that follows the front matter: presentation decides no rerun.
    let body = hunt
        .sql
        .split_once("\n-- ---")
        .map_or(hunt.sql.as_str(), |(_, body)| body);
    add(body.trim());
    add(&format!("{parameters:?}"));
    add(&lookback.num_microseconds().unwrap_or(i64::MAX).to_string());
    add(&hunt.front_matter.key.join("\0"));
    for relation in relations {
        add(relation);
        let Some(view) = lake.views.get(relation) else {
            if let Some(table) = lake.tables.get(relation) {
                add(&table_text(table));
            } else if let Some(schema) = results::schema(relation) {
                add(&format!("{schema:?}"));
            }
            continue;
        };
        add(&format!("{:?}", view.schema()));
        for (table, sql) in lake.sources(view) {
            add(&sql.sql);
            add(&table_text(table));
        }
    }
    hex(&hasher.finalize())
}

/// What of a table decides what its rows are: columns, clock, identity.
fn table_text(table: &Table) -> String {
    let form = &table.form;
    format!(
        "{:?} {:?} {:?} {}",
        form.columns, form.time, form.identity, table.zone
    )
}

/// The scans of a plan, from left to right.
pub(super) fn scans(plan: &Arc<dyn ExecutionPlan>) -> datafusion::error::Result<Vec<LakeScanExec>> {
    let mut found = Vec::new();
    plan.apply(|node| {
        if let Some(scan) = node.downcast_ref::<LakeScanExec>() {
            found.push(scan.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
