//! All that is wrong with a hunt, without running it: it is planned over views that have their declared columns and no
//! rows, or over a lake whose files nobody lists.
//!
//! Knows hunts and views; what a project has beside them is `commands`' business.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Duration};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Query, SelectItem, SetExpr, Statement as SqlStatement, Value, VisitMut, VisitorMut,
};

use super::{
    Engine, Relations, Session, SqlSource, column_names, names, nulls, plan, prepare, results,
    views,
};
use crate::error::{Error, Result};
use crate::hunt::{Hunt, Parameter};
use crate::lake::{Form, Lake, Table, View, view::FormSql};
use crate::time::Window;

/// More unknown columns than this are not a slip of the finger.
const MOST_UNKNOWN: usize = 50;

/// Columns that a view's rows always have, whatever its schema must allow for.
const NEVER_NULL: [&str; 4] = ["event_time", "event_type", "source", "record_id"];

/// What is wrong with a hunt.
#[derive(Debug, Default)]
pub struct Verdict {
    /// It cannot run, or not the same way twice.
    pub errors: Vec<Error>,
    /// It runs, and may not do what is meant.
    pub warnings: Vec<Error>,
    /// The tables and views it reads, as far as they are there.
    pub relations: BTreeSet<String>,
    /// A table or view that is not there.
    pub unknown: Option<String>,
    /// The columns of its findings, where they can be told.
    pub schema: Option<SchemaRef>,
}

/// Views without rows, to plan hunts over.
#[expect(missing_debug_implementations, reason = "a SessionContext has none")]
pub struct Checker {
    engine: Engine,
    session: Session,
}

impl Checker {
    /// A checker for hunts over these views.
    ///
    /// # Errors
    /// When the query engine cannot be set up.
    pub fn new(views: BTreeMap<String, Arc<View>>) -> Result<Self> {
        let lake = Lake {
            path: PathBuf::new(),
            tables: BTreeMap::new(),
            lookups: BTreeMap::new(),
            views,
        };
        let engine = Engine::new(Arc::new(lake), None)?;
        let mut relations = Vec::new();
        let context = engine.context()?;
        bind_window(&context)?;
        for view in engine.lake.views.values() {
            let schema = promised(&view.schema());
            relations.push((view.name.clone(), column_names(&schema)));
            context
                .register_table(view.name.as_str(), Arc::new(EmptyTable::new(schema)))
                .map_err(|error| Error::failure(error.strip_backtrace()))?;
        }
        let mut session = Session {
            lost_lookups: BTreeMap::new(),
            context,
            relations: Relations::of(relations),
            reports: BTreeMap::new(),
            has_results: false,
        };
        session.know_results(engine.lake(), BTreeMap::new())?;
        Ok(Self { engine, session })
    }

    /// Checks a hunt over the views alone.
    pub async fn hunt(&self, hunt: &Hunt, parameters: &BTreeMap<String, Parameter>) -> Verdict {
        let lake = &self.engine.lake;
        self.session
            .verdict(hunt, lake, parameters, Depth::All)
            .await
    }

    /// Checks a condition over the findings of a hunt.
    ///
    /// # Errors
    /// A configuration error at its place in the condition.
    pub async fn condition(&self, condition: &SqlSource, findings: SchemaRef) -> Result<()> {
        let none = RecordBatch::new_empty(findings);
        self.engine.holds(condition, &none).await.map(|_| ())
    }

    /// The views, by their names.
    pub fn views(&self) -> &BTreeMap<String, Arc<View>> {
        &self.engine.lake.views
    }

    /// Checks one SELECT of a view over a form that has it.
    ///
    /// # Errors
    /// A configuration error at its place.
    pub async fn select(&self, view: &View, form: &Form, sql: &FormSql) -> Result<()> {
        const NAME: &str = "source";
        let wrong = |reason: String| {
            Error::configuration(format!("form `{}`: {reason}", form.name)).in_file(&sql.path)
        };
        let schema = Table::schema_of(form).map_err(wrong)?;
        let context = &self.session.context;
        let catalog = Relations::of(vec![(NAME.to_owned(), column_names(&schema))]);
        let internal = |error: DataFusionError| Error::failure(error.strip_backtrace());
        context
            .register_table(NAME, Arc::new(EmptyTable::new(schema)))
            .map_err(internal)?;
        let planned = views::branch(context, view, NAME, sql, &catalog).await;
        context.deregister_table(NAME).map_err(internal)?;
        planned.map(|_| ())
    }
}

impl Session {
    /// Checks a hunt over the tables and views of a lake. No file is listed.
    pub async fn check_hunt(
        &self,
        hunt: &Hunt,
        lake: &Lake,
        parameters: &BTreeMap<String, Parameter>,
    ) -> Verdict {
        self.verdict(hunt, lake, parameters, Depth::Logical).await
    }

    async fn verdict(
        &self,
        hunt: &Hunt,
        lake: &Lake,
        parameters: &BTreeMap<String, Parameter>,
        depth: Depth,
    ) -> Verdict {
        let source = SqlSource {
            path: hunt.path.clone(),
            text: hunt.sql.clone(),
        };
        let mut verdict = Verdict::default();
        let errors = &mut verdict.errors;
        let relations = &self.relations;
        let Some(prepared) = prepare::prepare_all(&source, parameters, relations, true, errors)
        else {
            let last = errors.last().map(Error::message);
            let unknown = last.and_then(|message| message.strip_prefix(names::UNKNOWN_RELATION));
            verdict.unknown = unknown.map(|name| name.trim_end_matches('`').to_owned());
            return verdict;
        };
        let relations = &prepared.relations;
        errors.extend(results::read(relations, lake, &source).err());
        verdict.relations = prepared.relations;
        if let Err(error) = self.register_raw(&prepared.raw).await {
            verdict.errors.push(error);
            return verdict;
        }
        if let Some(query) = query_of(&prepared.statement) {
            stars(query, &source, errors);
        }
        let is_whole = errors.is_empty();
        let Some(plan) = self.plan_all(prepared.statement, &source, errors).await else {
            return verdict;
        };
        verdict.warnings = nulls::warnings(&plan, &source);
        match plan::unstable_functions(&plan, &source) {
            Ok(unstable) => errors.extend(unstable),
            Err(error) => errors.push(error),
        }
        errors.extend(plan::column_errors(hunt, plan.schema().as_arrow()));
        verdict.schema = Some(Arc::new(plan.schema().as_arrow().clone()));
        errors.extend(plan::check_last_seen(hunt, &plan).err());
        if is_whole && errors.is_empty() {
            let state = self.context.state();
            let planned = match depth {
                Depth::All => state.create_physical_plan(&plan).await.map(|_| ()),
                Depth::Logical => state.optimize(&plan).map(|_| ()),
            };
            errors.extend(planned.err().map(|error| source.planning_error(&error)));
        }
        verdict
    }

    /// Plans a query with every column that it does not have: one after the other becomes NULL. No plan where there was
    /// an error, because its result is not what was meant.
    async fn plan_all(
        &self,
        mut statement: Statement,
        source: &SqlSource,
        errors: &mut Vec<Error>,
    ) -> Option<LogicalPlan> {
        let before = errors.len();
        let state = self.context.state();
        loop {
            let error = match state.statement_to_plan(statement.clone()).await {
                Ok(plan) => return (errors.len() == before).then_some(plan),
                Err(error) => error,
            };
            let unknown = unknown_column(&error);
            // What follows from an error before is no error of its own; another unknown column is.
            if errors.is_empty() || unknown.is_some() {
                errors.push(source.planning_error(&error));
            }
            let (qualifier, name) = unknown?;
            let mut blank = Blank {
                qualifier,
                name,
                found: false,
            };
            let _: ControlFlow<()> = visit(&mut statement, &mut blank);
            if !blank.found || errors.len() - before > MOST_UNKNOWN {
                return None;
            }
        }
    }
}

/// How far a hunt is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// To a plan that could run.
    All,
    /// Not to the leaves, which would list files.
    Logical,
}

/// Some window: that the functions of its bounds are there is what counts.
fn bind_window(context: &datafusion::prelude::SessionContext) -> Result<()> {
    let start = DateTime::UNIX_EPOCH;
    let window = Window::new(start, start + Duration::days(1))
        .map_err(|error| Error::failure(error.to_string()))?;
    super::bind_window(context, window);
    Ok(())
}

/// The schema with what a view promises about NULLs and its type cannot say.
fn promised(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let nullable = field.is_nullable() && !NEVER_NULL.contains(&field.name().as_str());
        field.as_ref().clone().with_nullable(nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn query_of(statement: &Statement) -> Option<&Query> {
    match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            SqlStatement::Query(query) => Some(query),
            _ => None,
        },
        _ => None,
    }
}

/// Errors for `*` in what a hunt returns. Inside, in a CTE or subquery, it is of no consequence.
fn stars(query: &Query, source: &SqlSource, errors: &mut Vec<Error>) {
    fn body(part: &SetExpr, source: &SqlSource, errors: &mut Vec<Error>) {
        match part {
            SetExpr::Select(select) => {
                for item in &select.projection {
                    let (SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)) =
                        item
                    else {
                        continue;
                    };
                    let place = options.wildcard_token.0.span.start;
                    let message = "a hunt does not return `SELECT *`";
                    let error = if place.line == 0 {
                        source.error_after("*", message)
                    } else {
                        source.error_at(place, message)
                    };
                    errors.push(error.hint(
                        "name the columns: its findings would change with every column that a view gains",
                    ));
                }
            }
            SetExpr::Query(inner) => stars(inner, source, errors),
            SetExpr::SetOperation { left, right, .. } => {
                body(left, source, errors);
                body(right, source, errors);
            }
            _ => {}
        }
    }
    body(&query.body, source, errors);
}

/// The qualifier and name of a column that the planner did not find.
fn unknown_column(error: &DataFusionError) -> Option<(Option<String>, String)> {
    let DataFusionError::SchemaError(error, _) = error.find_root() else {
        return None;
    };
    let SchemaError::FieldNotFound { field, .. } = error.as_ref() else {
        return None;
    };
    let qualifier = field.relation.as_ref().map(|name| name.table().to_owned());
    Some((qualifier, field.name.clone()))
}

/// Puts NULL where a column is named.
struct Blank {
    qualifier: Option<String>,
    name: String,
    found: bool,
}

impl VisitorMut for Blank {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let is_it = match (&self.qualifier, &*expression) {
            (None, Expr::Identifier(ident)) => ident.value == self.name,
            (Some(qualifier), Expr::CompoundIdentifier(parts)) => {
                matches!(parts.as_slice(), [first, name] if first.value == *qualifier && name.value == self.name)
            }
            _ => false,
        };
        if is_it {
            self.found = true;
            *expression = Expr::Value(Value::Null.into());
        }
        ControlFlow::Continue(())
    }
}

fn visit(statement: &mut Statement, visitor: &mut Blank) -> ControlFlow<()> {
    match statement {
        Statement::Statement(statement) => VisitMut::visit(statement.as_mut(), visitor),
        _ => ControlFlow::Continue(()),
    }
}
