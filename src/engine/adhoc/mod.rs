//! Ad-hoc SQL: statements that people type, over a lake, what runs left behind, views of the session, and files by name.
//!
//! More is allowed than in a hunt, and nothing is changed. Knows queries; how rows are shown is the shell's business.

mod catalog;
mod expand;
mod files;
mod own_views;
mod reads;
mod shape;
pub mod statement;
pub mod summary;

pub use catalog::type_name;
pub use expand::READERS;
pub use reads::Reads;
pub use statement::Statement;
pub use summary::Summary;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::{ExplainStatement, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Statement as SqlStatement, Value, VisitMut,
    VisitorMut,
};

use super::names;
use super::scope::same;
use super::{Engine, Session, SqlSource, column_names, panics, prepare, views};
use crate::error::{Error, Result};
use crate::lake::FileReport;
use crate::lake::table::Listing;
use crate::time::Window;
use catalog::{described, relation_of};

/// Tables that somebody above the engine has to offer: what runs left behind.
#[async_trait]
pub trait Extra: std::fmt::Debug + Send + Sync {
    /// The names that are always there.
    fn names(&self) -> &'static [&'static str];

    /// Whether a name, in small letters, is one of theirs.
    fn has(&self, name: &str) -> bool;

    /// Names beyond those, which reading tells.
    async fn all(&self) -> Vec<String>;

    /// What could not be read since this was asked last.
    fn problems(&self) -> Vec<String>;

    /// The rows of one, in a window.
    ///
    /// # Errors
    /// When they cannot be read, or there is no such table after all.
    async fn rows(&self, table: &str, window: Option<Window>) -> Result<RecordBatch>;
}

/// What somebody who asks should know besides the rows.
pub(crate) type Notes = Arc<Mutex<Vec<String>>>;

/// A session for people.
#[expect(missing_debug_implementations, reason = "a SessionContext has none")]
pub struct Console {
    engine: Arc<Engine>,
    window: Option<Window>,
    session: Session,
    extra: Option<Arc<dyn Extra>>,
    /// Views of the lake that are planned, and extra tables that are read.
    ready: BTreeSet<String>,
    /// Views of the session, and their texts, in the order in which they were made.
    own_views: Vec<(String, SqlSource)>,
    /// Tables of the last statement alone.
    temporary: Vec<String>,
    notes: Notes,
}

/// What a name in FROM can mean.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// `table`, `lookup`, `view`, `session view`, `output`.
    pub kind: &'static str,
    /// Its columns, where they are known already.
    pub columns: Vec<String>,
}

/// What a statement comes to.
#[expect(missing_debug_implementations, reason = "a plan is no text")]
pub enum Outcome {
    /// Rows to come.
    Rows(Planned),
    /// Rows to be summed up.
    Summary(Planned),
    /// Rows that are there.
    Batch(RecordBatch),
    /// It is done.
    Said(String),
}

/// A plan that can be run once.
#[expect(missing_debug_implementations, reason = "a plan is no text")]
pub struct Planned {
    /// The plan.
    pub plan: Arc<dyn ExecutionPlan>,
    /// The columns of its rows.
    pub schema: SchemaRef,
    context: Arc<TaskContext>,
}

/// What was read of a table.
#[derive(Debug)]
pub struct Scanned {
    /// Its name.
    pub table: String,
    /// The files that it has for the session's window.
    pub listing: Arc<Listing>,
    /// Those of them that were read.
    pub files: Vec<FileReport>,
}

impl Scanned {
    fn notes(&self) -> Vec<String> {
        let table = &self.table;
        let mut said = Vec::new();
        // A query that reads a table twice has two reports of a file.
        let mut files: BTreeMap<&str, (u64, Option<&str>)> = BTreeMap::new();
        for file in &self.files {
            let (rejected, lost) = files.entry(&file.object.path).or_default();
            *rejected = file.rejected.max(*rejected);
            *lost = lost.or(file.lost.as_deref());
        }
        let lost = files.iter();
        let lost = lost.filter_map(|(path, (_, lost))| lost.map(|reason| (path, reason)));
        let lost: Vec<_> = lost.collect();
        if let Some((path, reason)) = lost.first() {
            said.push(format!(
                "{table}: {} could not be read: {path}: {reason}",
                count(lost.len() as u64, "file"),
            ));
        }
        let rejected: u64 = files.values().map(|(rejected, _)| rejected).sum();
        if rejected > 0 {
            said.push(format!(
                "{table}: {} could not be read as records, and were left out",
                count(rejected, "line")
            ));
        }
        said
    }
}

impl Planned {
    /// Starts it.
    ///
    /// # Errors
    /// What the engine says.
    pub fn stream(&self) -> Result<SendableRecordBatchStream> {
        execute_stream(Arc::clone(&self.plan), Arc::clone(&self.context))
            .map_err(|error| Error::failure(error.strip_backtrace()))
    }
}

impl Console {
    /// A session over a window; `None` is all time.
    ///
    /// # Errors
    /// When a table cannot be registered.
    pub async fn new(
        engine: Arc<Engine>,
        window: Option<Window>,
        extra: Option<Arc<dyn Extra>>,
    ) -> Result<Self> {
        let mut session = engine.tables(window, window, None).await?;
        session.know_views(engine.lake());
        for name in extra.iter().flat_map(|extra| extra.names()) {
            if !session
                .relations
                .columns
                .iter()
                .any(|(known, _)| known == name)
            {
                session
                    .relations
                    .columns
                    .push(((*name).to_owned(), Vec::new()));
            }
        }
        Ok(Self {
            engine,
            window,
            session,
            extra,
            ready: BTreeSet::new(),
            own_views: Vec::new(),
            temporary: Vec::new(),
            notes: Notes::default(),
        })
    }

    /// The same session over another window, with what runs left in that; its views stay.
    ///
    /// # Errors
    /// As [`Self::new`], or a view that does not plan any more.
    pub async fn over(
        &self,
        window: Option<Window>,
        extra: Option<Arc<dyn Extra>>,
    ) -> Result<Self> {
        let mut console = Self::new(Arc::clone(&self.engine), window, extra).await?;
        for (_, source) in &self.own_views {
            let statement = statement::parse(source)?;
            Box::pin(console.run(source, statement)).await?;
        }
        Ok(console)
    }

    /// The window that tables show.
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What was read of the lake's tables since this was asked last.
    pub async fn scanned(&self) -> Vec<Scanned> {
        let mut scanned = Vec::new();
        for (name, report) in &self.session.reports {
            let report =
                std::mem::take(&mut *report.lock().unwrap_or_else(PoisonError::into_inner));
            let table = self.engine.lake().tables.get(name);
            if let (Some(table), false) = (table, report.files.is_empty()) {
                // It was listed before it was read, so this is at hand.
                let listing = table.list(self.window).await.unwrap_or_default();
                scanned.push(Scanned {
                    table: name.clone(),
                    listing,
                    files: report.files,
                });
            }
        }
        scanned
    }

    /// What happened beside the last query that somebody should know: lines that were no records, files that were lost.
    pub fn notes(&self, scanned: &[Scanned]) -> Vec<String> {
        let mut said: Vec<String> = scanned.iter().flat_map(Scanned::notes).collect();
        said.extend(self.extra.iter().flat_map(|extra| extra.problems()));
        said.append(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        said
    }

    /// Plans a statement, or does it where there is nothing to run.
    ///
    /// # Errors
    /// A configuration error at its place in the text.
    pub async fn run(&mut self, source: &SqlSource, statement: Statement) -> Result<Outcome> {
        self.clear();
        match statement {
            Statement::Query(query) => {
                let plan = self.logical(source, query, None).await?;
                Ok(Outcome::Rows(self.physical(source, plan).await?))
            }
            Statement::Explain(explain, query) => {
                let plan = self.logical(source, query, Some(*explain)).await?;
                Ok(Outcome::Rows(self.physical(source, plan).await?))
            }
            Statement::Summarize(query) => {
                let plan = self.logical(source, query, None).await?;
                Ok(Outcome::Summary(self.physical(source, plan).await?))
            }
            Statement::Describe(query) => {
                let relation = relation_of(&query);
                let plan = self.logical(source, query, None).await?;
                let meanings = self.meanings(relation);
                Ok(Outcome::Batch(described(&plan, &meanings)?))
            }
            Statement::ShowTables => {
                self.learn_extra().await;
                Ok(Outcome::Batch(self.listed()?))
            }
            Statement::CreateView {
                name,
                or_replace,
                query,
            } => self.create_view(source, &name, or_replace, query).await,
            Statement::DropView { name, if_exists } => self.drop_view(source, &name, if_exists),
        }
    }

    /// Lets go of what belonged to the statement before.
    fn clear(&mut self) {
        for name in std::mem::take(&mut self.temporary) {
            // It was registered; that it is gone already is as well.
            let _ = self.session.context.deregister_table(name.as_str());
            self.session
                .relations
                .columns
                .retain(|(known, _)| *known != name);
        }
    }

    /// Checks, resolves and plans a query.
    async fn logical(
        &mut self,
        source: &SqlSource,
        mut query: Box<Query>,
        explain: Option<ExplainStatement>,
    ) -> Result<LogicalPlan> {
        shape::balance(&mut query);
        no_placeholders(&mut query, source)?;
        self.expand(source, &mut query).await?;
        self.get_ready(source, &query).await?;
        let resolved = names::resolve(&mut query, &self.session.relations, source)?;
        self.session.lookups_are_there(&resolved.relations)?;
        self.session.register_raw(&resolved.raw).await?;
        let statement = Parsed::Statement(Box::new(SqlStatement::Query(query)));
        let statement = match explain {
            None => statement,
            Some(explain) => Parsed::Explain(ExplainStatement {
                statement: Box::new(statement),
                ..explain
            }),
        };
        let state = self.session.context.state();
        panics::caught(state.statement_to_plan(statement))
            .await
            .map_err(|panic| crashed(source, &panic))?
            .map_err(|error| source.planning_error(&error))
    }

    async fn physical(&self, source: &SqlSource, plan: LogicalPlan) -> Result<Planned> {
        let state = self.session.context.state();
        let physical = panics::caught(state.create_physical_plan(&plan))
            .await
            .map_err(|panic| crashed(source, &panic))?
            .map_err(|error| planning(source, &error))?;
        Ok(Planned {
            schema: physical.schema(),
            plan: physical,
            context: state.task_ctx(),
        })
    }

    /// Plans a text of our own over this session.
    pub(crate) async fn plan_text(&mut self, text: &str) -> Result<LogicalPlan> {
        let source = SqlSource {
            path: "<lakehunt>".into(),
            text: text.to_owned(),
        };
        let query = parse_text(text)?;
        Box::pin(self.logical(&source, query, None)).await
    }

    /// A text of our own, ready to run.
    pub(crate) async fn planned_text(&mut self, text: &str) -> Result<Planned> {
        let plan = self.plan_text(text).await?;
        let source = SqlSource {
            path: "<lakehunt>".into(),
            text: text.to_owned(),
        };
        self.physical(&source, plan).await
    }

    /// Lets queries of this session call a function.
    pub(crate) fn register_function(&self, function: datafusion::logical_expr::ScalarUDF) {
        self.session.context.register_udf(function);
    }

    /// The rows of a text of our own.
    ///
    /// # Errors
    /// When it does not plan, or fails.
    pub async fn rows_of(&mut self, text: &str) -> Result<RecordBatch> {
        let planned = self.planned_text(text).await?;
        let schema = Arc::clone(&planned.schema);
        let failed = |error: DataFusionError| run_error(&error);
        let batches = datafusion::physical_plan::common::collect(planned.stream()?);
        let batches = batches.await.map_err(failed)?;
        datafusion::arrow::compute::concat_batches(&schema, &batches)
            .map_err(|error| Error::failure(error.to_string()))
    }

    /// Lets queries and lists know the extra tables that reading tells.
    async fn learn_extra(&mut self) {
        let Some(extra) = self.extra.clone() else {
            return;
        };
        for name in extra.all().await {
            let relations = &mut self.session.relations.columns;
            if !relations.iter().any(|(known, _)| *known == name) {
                relations.push((name, Vec::new()));
            }
        }
    }

    /// Plans the views and reads the extra tables that a query names, if that was not done yet.
    async fn get_ready(&mut self, source: &SqlSource, query: &Query) -> Result<()> {
        // A list that failed is asked for again by the next statement.
        self.engine.lake().forget_failures().await;
        let mut named: Vec<Ident> = Vec::new();
        let walked = datafusion::sql::sqlparser::ast::visit_relations(query, |name| {
            named.extend(single(name).cloned());
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(walked.is_continue(), "nothing breaks");
        let lake = Arc::clone(self.engine.lake());
        for ident in named {
            let known = self.session.relations.columns.iter();
            let known = known.map(|(name, _)| name).find(|name| same(&ident, name));
            let name = known.map_or_else(|| ident.value.to_lowercase(), Clone::clone);
            let is_own = self.own_views.iter().any(|(own, _)| *own == name);
            let is_table = lake.tables.contains_key(&name) || lake.lookups.contains_key(&name);
            if is_own || is_table || self.ready.contains(&name) {
                continue;
            }
            if let Some(view) = lake.views.get(&name) {
                let (context, relations) = (&self.session.context, &self.session.relations);
                let known = &self.engine.known_branches;
                views::register_one(context, &lake, view, relations, known).await?;
                self.ready.insert(name);
            } else if let Some(extra) = self.extra.clone().filter(|extra| extra.has(&name)) {
                let rows = extra.rows(&name, self.window).await;
                let rows = rows.map_err(|error| expand::placed(error, source, ident.span.start))?;
                let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(internal)?;
                self.register(&name, Arc::new(table))?;
                self.ready.insert(name);
            }
        }
        Ok(())
    }

    /// Registers a table, and lets queries name its columns.
    fn register(&mut self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        let columns = column_names(&table.schema());
        let context = &self.session.context;
        context.register_table(name, table).map_err(internal)?;
        let relations = &mut self.session.relations.columns;
        relations.retain(|(known, _)| known != name);
        relations.push((name.to_owned(), columns));
        Ok(())
    }
}

fn single(name: &ObjectName) -> Option<&Ident> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => Some(ident),
        _ => None,
    }
}

/// A query of our own, or one that was checked before.
pub(crate) fn parse_text(text: &str) -> Result<Box<Query>> {
    prepare::parse_query(&SqlSource {
        path: "<lakehunt>".into(),
        text: text.to_owned(),
    })
}

/// Hunts have parameters; a query that is typed has values.
fn no_placeholders(query: &mut Query, source: &SqlSource) -> Result<()> {
    struct Placeholders<'a>(&'a SqlSource);
    impl VisitorMut for Placeholders<'_> {
        type Break = Box<Error>;
        fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Box<Error>> {
            match expression {
                Expr::Value(value) => match &value.value {
                    Value::Placeholder(name) => ControlFlow::Break(Box::new(
                        self.0
                            .error_at(value.span.start, format!("`{name}` has no value here"))
                            .hint("parameters are for hunts; write the value itself"),
                    )),
                    _ => ControlFlow::Continue(()),
                },
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match query.visit(&mut Placeholders(source)) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn crashed(source: &SqlSource, panic: &str) -> Error {
    Error::configuration(format!("the query engine cannot plan it: {panic}"))
        .in_file(&source.path)
        .hint("write it another way")
}

fn planning(source: &SqlSource, error: &DataFusionError) -> Error {
    match error.find_root() {
        // A location that cannot be listed is no mistake of the query.
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(own) => own.clone(),
            None => source.planning_error(error),
        },
        _ => source.planning_error(error),
    }
}

/// An error of a query that ran, in our words.
pub fn run_error(error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(own) => own.clone(),
            None => Error::failure(inner.to_string()),
        },
        DataFusionError::ResourcesExhausted(_) => {
            Error::failure("the query needs more memory than its limit")
                .hint("narrow the window or the columns, join on a condition, or raise --memory")
        }
        root => Error::failure(root.strip_backtrace()),
    }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn internal(error: DataFusionError) -> Error {
    Error::failure(error.strip_backtrace())
}
