//! The engine: the only place where a `SessionContext` is built. Binds a window to the tables, registers views and
//! functions, resolves names, plans hunts, runs them over one shared pass per table.
//!
//! Knows lakes and queries; knows nothing of jobs, outputs and people.

pub mod adhoc;
pub mod check;
pub mod condition;
mod in_order;
pub mod indicators;
mod kept_rows;
mod limits;
mod names;
mod nulls;
mod panics;
mod partitioned_aggregate;
pub mod pivots;
pub mod plan;
pub mod prepare;
mod raw;
pub mod results;
pub mod scan;
mod scope;
pub mod source;
mod view_table;
mod views;

pub use limits::default_memory;
pub use plan::PlannedHunt;
pub use scan::{Group, HuntCost, HuntOutcome, Scanned, TableScan};
pub use source::SqlSource;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::{Error, Result};
use crate::functions;
use crate::lake::kept_lines::KeptLines;
use crate::lake::table::{Listing, Table};
use crate::lake::{Lake, WindowedTable};
use crate::lake::{Progress, SharedReport};
use crate::store::Budget;
use crate::time::Window;
use names::Catalog;
use partitioned_aggregate::PartitionAggregates;

/// One lake, ready for queries.
#[derive(Debug)]
pub struct Engine {
    lake: Arc<Lake>,
    runtime: Arc<RuntimeEnv>,
    memory: usize,
    known_branches: views::Known,
    /// Lines that the hunts of the last run wanted.
    pub kept_lines: Arc<KeptLines>,
    /// Counters that a progress bar reads.
    pub progress: Arc<Progress>,
}

/// A session whose tables are scoped to a window.
#[expect(missing_debug_implementations, reason = "a SessionContext has none")]
pub struct Session {
    context: SessionContext,
    relations: Relations,
    /// Why lookups are not there, by name.
    lost_lookups: BTreeMap<String, Error>,
    /// What scans of single queries read, by table.
    pub reports: BTreeMap<String, SharedReport>,
    /// What runs left behind is in it: hunts over that can run.
    has_results: bool,
}

/// Tables by their names, and the files of each.
type FilesOf = BTreeMap<String, (Arc<Table>, Arc<Listing>)>;

#[derive(Debug)]
struct Relations {
    columns: Vec<(String, Vec<String>)>,
    /// The declared columns of those that are tables.
    records: BTreeMap<String, Vec<String>>,
}

impl Relations {
    /// Some that have no records.
    fn of(columns: Vec<(String, Vec<String>)>) -> Self {
        Self {
            columns,
            records: BTreeMap::new(),
        }
    }
}

impl Catalog for Relations {
    fn relations(&self) -> &[(String, Vec<String>)] {
        &self.columns
    }

    fn record_columns(&self, relation: &str) -> Option<&[String]> {
        self.records.get(relation).map(Vec::as_slice)
    }
}

impl Engine {
    /// An engine over a lake with a memory limit in bytes; half of what this process may use when none is given.
    ///
    /// # Errors
    /// When the temporary folder for spilling cannot be made.
    pub fn new(lake: Arc<Lake>, memory: Option<usize>) -> Result<Self> {
        let memory = memory.unwrap_or_else(limits::default_memory);
        let consumers = NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN);
        // The rest is for what nobody counts: tables that grow are there twice for a while, and files are decoded beside them.
        let pool = TrackConsumersPool::new(GreedyMemoryPool::new(memory / 2), consumers);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .build_arc()
            .map_err(|error| {
                Error::failure(format!(
                    "cannot set up the query engine: {}",
                    error.strip_backtrace()
                ))
            })?;
        // Not counted by the pool: what is read ahead is held before any plan asks for it.
        Budget::of_process().fit(memory as u64);
        Ok(Self {
            lake,
            runtime,
            memory,
            known_branches: views::Known::default(),
            kept_lines: Arc::default(),
            progress: Arc::default(),
        })
    }

    /// The lake.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// A session for one window. `scope` is what tables show (`None`: all time), `window` what `window_start()` and
    /// `window_end()` say.
    ///
    /// # Errors
    /// When a view does not plan over this lake's tables.
    pub async fn session(&self, scope: Option<Window>, window: Option<Window>) -> Result<Session> {
        self.session_over(scope, window, None).await
    }

    /// A session whose tables are these and hold these files and no others, of all time: for events whose place is known.
    /// Tables that are not named are empty.
    ///
    /// # Errors
    /// When a view does not plan over this lake's tables.
    pub async fn session_of_files(
        &self,
        files: BTreeMap<String, (Arc<Table>, Listing)>,
    ) -> Result<Session> {
        let files = files.into_iter();
        let files = files.map(|(name, (table, listing))| (name, (table, Arc::new(listing))));
        self.session_over(None, None, Some(&files.collect())).await
    }

    async fn session_over(
        &self,
        scope: Option<Window>,
        window: Option<Window>,
        files: Option<&FilesOf>,
    ) -> Result<Session> {
        let mut session = self.tables(scope, window, files).await?;
        let (context, known) = (&session.context, &self.known_branches);
        views::register(context, &self.lake, &session.relations, known).await?;
        session.know_views(&self.lake);
        session.know_results(&self.lake, BTreeMap::new())?;
        Ok(session)
    }

    /// A session with tables and lookups, and no views yet.
    async fn tables(
        &self,
        scope: Option<Window>,
        window: Option<Window>,
        files: Option<&FilesOf>,
    ) -> Result<Session> {
        let context = self.context()?;
        if let Some(window) = window {
            bind_window(&context, window);
        }
        let mut relations = Vec::new();
        let mut reports = BTreeMap::new();
        for (name, table) in &self.lake.tables {
            let report: SharedReport = Arc::new(Mutex::default());
            let (table, files) = match files.map(|files| files.get(name).cloned()) {
                None => (Arc::clone(table), None),
                Some(None) => (Arc::clone(table), Some(Arc::default())),
                Some(Some((table, files))) => (table, Some(files)),
            };
            let provider = WindowedTable {
                table: Arc::clone(&table),
                window: scope,
                files,
                report: Arc::clone(&report),
                progress: Arc::clone(&self.progress),
            };
            context
                .register_table(name.as_str(), Arc::new(provider))
                .map_err(|error| Error::failure(error.strip_backtrace()))?;
            relations.push((name.clone(), column_names(&table.schema())));
            reports.insert(name.clone(), report);
        }
        let mut lost_lookups = BTreeMap::new();
        for (name, lookup) in &self.lake.lookups {
            let rows = match lookup.rows().await {
                Ok(rows) => rows.rows.clone(),
                // It costs the hunts that read it.
                Err(error) => {
                    relations.push((name.clone(), Vec::new()));
                    lost_lookups.insert(name.clone(), error);
                    continue;
                }
            };
            relations.push((name.clone(), column_names(&rows.schema())));
            let table = MemTable::try_new(rows.schema(), vec![vec![rows]]);
            table
                .and_then(|table| context.register_table(name.as_str(), Arc::new(table)))
                .map_err(|error| Error::failure(error.strip_backtrace()))?;
        }
        Ok(Session {
            context,
            relations: Relations {
                columns: relations,
                records: self.records(),
            },
            lost_lookups,
            reports,
            has_results: false,
        })
    }

    /// A session for hunts over what runs left behind; `window` is what `window_start()` and `window_end()` say.
    /// Relations that are not given are empty.
    ///
    /// # Errors
    /// When a view does not plan over this lake's tables.
    pub async fn session_of_results(
        &self,
        results: BTreeMap<String, RecordBatch>,
        window: Window,
    ) -> Result<Session> {
        let mut session = self.session_over(None, Some(window), None).await?;
        session.know_results(&self.lake, results)?;
        session.has_results = true;
        Ok(session)
    }

    /// What hunts can name, without a context.
    async fn relations(&self) -> Relations {
        let mut relations = Vec::new();
        for (name, table) in &self.lake.tables {
            relations.push((name.clone(), column_names(&table.schema())));
        }
        for (name, lookup) in &self.lake.lookups {
            let rows = lookup.rows().await;
            let columns =
                rows.map_or_else(|_| Vec::new(), |rows| column_names(&rows.rows.schema()));
            relations.push((name.clone(), columns));
        }
        for view in self.lake.views.values() {
            relations.push((view.name.clone(), column_names(&view.schema())));
        }
        relations.extend(results::known(&self.lake));
        Relations {
            columns: relations,
            records: self.records(),
        }
    }

    /// The declared columns of tables, by table.
    fn records(&self) -> BTreeMap<String, Vec<String>> {
        let tables = self.lake.tables.iter().map(|(name, table)| {
            let columns = table.form.columns.iter().map(|column| column.name.clone());
            (name.clone(), columns.collect())
        });
        tables.collect()
    }

    /// A context with our functions and no tables.
    fn context(&self) -> Result<SessionContext> {
        let mut config = SessionConfig::new()
            // Hunts run on few survivors, in order of file and row: results do not depend on timing.
            .with_target_partitions(1)
            .with_information_schema(false)
            .with_collect_statistics(false);
        let options = config.options_mut();
        // Names are resolved before planning; the planner must not change their case again.
        options.sql_parser.enable_ident_normalization = false;
        options.sql_parser.collect_spans = true;
        options.execution.enable_recursive_ctes = false;
        // What a sort sets aside for merging must leave room for rows where the limit is small.
        let set_aside = &mut options.execution.sort_spill_reservation_bytes;
        *set_aside = (*set_aside).min(self.memory / 8);
        let state = SessionStateBuilder::new_with_default_features()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_physical_optimizer_rule(Arc::new(PartitionAggregates {
                memory: self.memory,
            }))
            .build();
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where a context is built"
        )]
        let context = SessionContext::new_with_state(state);
        functions::register_all(&context)
            .map_err(|error| Error::failure(error.strip_backtrace()))?;
        Ok(context)
    }
}

/// What `window_start()` and `window_end()` say.
fn bind_window(context: &SessionContext, window: Window) {
    for (name, instant) in [("window_start", window.start), ("window_end", window.end)] {
        context.register_udf(functions::window_bound(name, instant.timestamp_micros()));
    }
}

fn column_names(schema: &datafusion::arrow::datatypes::Schema) -> Vec<String> {
    schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}

impl Session {
    /// The context, for plain queries.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Lets queries name what runs left behind. Relations without rows are empty.
    fn know_results(&mut self, lake: &Lake, mut rows: BTreeMap<String, RecordBatch>) -> Result<()> {
        let wrong = |error: DataFusionError| Error::failure(error.strip_backtrace());
        for (name, columns) in results::known(lake) {
            let rows = match rows.remove(&name) {
                Some(rows) => rows,
                None => results::batch(&name, Vec::new())?,
            };
            let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(wrong)?;
            // What was there is empty.
            self.context
                .deregister_table(name.as_str())
                .map_err(wrong)?;
            self.context
                .register_table(name.as_str(), Arc::new(table))
                .map_err(wrong)?;
            if !self
                .relations
                .columns
                .iter()
                .any(|(known, _)| *known == name)
            {
                self.relations.columns.push((name, columns));
            }
        }
        Ok(())
    }

    /// Lets queries name the views of a lake.
    fn know_views(&mut self, lake: &Lake) {
        let views = lake.views.values();
        let named = views.map(|view| (view.name.clone(), column_names(&view.schema())));
        self.relations.columns.extend(named);
    }

    /// That no lookup among some relations is lost.
    fn lookups_are_there(&self, relations: &BTreeSet<String>) -> Result<()> {
        let mut lost = relations
            .iter()
            .filter_map(|name| self.lost_lookups.get(name));
        lost.next().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Plans a query as people type it.
    ///
    /// # Errors
    /// A configuration error at its place in the text.
    pub async fn query(&self, source: &SqlSource) -> Result<datafusion::prelude::DataFrame> {
        let prepared = prepare::prepare(source, &BTreeMap::new(), &self.relations, false)?;
        self.lookups_are_there(&prepared.relations)?;
        self.register_raw(&prepared.raw).await?;
        let plan = self
            .context
            .state()
            .statement_to_plan(prepared.statement)
            .await
            .map_err(|error| source.planning_error(&error))?;
        self.context
            .execute_logical_plan(plan)
            .await
            .map_err(|error| source.planning_error(&error))
    }
}
