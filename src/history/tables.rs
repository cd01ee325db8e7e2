//! What runs left behind, as tables for ad-hoc SQL: the relations that hunts of stage two read,
//! and `findings_<hunt>`.
//!
//! Only what a ledger lists is there: a tile that was not committed is none. Knows outputs; not who asks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::Duration;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, StringViewArray, new_null_array,
};
use datafusion::arrow::compute::{cast, concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::OnceCell;

use super::results::{Run, Runs};
use crate::credentials::Credentials;
use crate::engine::adhoc::Extra;
use crate::engine::results;
use crate::error::{Error, Result, did_you_mean};
use crate::output::findings::last_seen_column;
use crate::output::{Output, value};
use crate::store::Address;
use crate::time::Window;

/// Where jobs wrote.
#[derive(Debug, Clone, Default)]
pub struct RunOutput {
    /// The folder or URL.
    pub root: PathBuf,
    /// How a bucket is reached.
    pub credentials: Option<Credentials>,
    /// How long an activity is a repeat, by job; a day for others.
    pub suppress: BTreeMap<String, Duration>,
}

/// The outputs of jobs over one lake. Nothing is read before somebody asks.
#[derive(Debug)]
pub struct RunTables {
    outputs: Vec<RunOutput>,
    window: Option<Window>,
    /// The tiles of each output.
    runs: OnceCell<Vec<Vec<Run<'static>>>>,
    /// Outputs and ledgers that could not be read: they cost themselves.
    problems: Mutex<Vec<String>>,
}

/// The tables that are there whatever ran.
const TABLES: [&str; 7] = [
    "runs",
    "alerts",
    "findings",
    "risk",
    "reads",
    "objects",
    "quarantine",
];
/// Before the name of a hunt.
const OF_HUNT: &str = "findings_";

impl RunTables {
    /// The tiles that a window touches, all of them for `None`. An output that is not there yet has none.
    pub fn new(outputs: Vec<RunOutput>, window: Option<Window>) -> Self {
        Self {
            outputs,
            window,
            runs: OnceCell::new(),
            problems: Mutex::default(),
        }
    }

    async fn runs(&self) -> &[Vec<Run<'static>>] {
        let read = self.runs.get_or_init(|| async {
            let mut all = Vec::new();
            for written in &self.outputs {
                let mut runs = Vec::new();
                if let Err(error) = self.read(written, &mut runs).await {
                    self.problem(&error.about(format!("the output {}", written.root.display())));
                }
                all.push(runs);
            }
            all
        });
        read.await
    }

    fn problem(&self, error: &Error) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.push(error.in_one_line());
    }

    async fn read(&self, written: &RunOutput, runs: &mut Vec<Run<'static>>) -> Result<()> {
        let address = Address::parse(&written.root.to_string_lossy(), "output")?;
        if matches!(&address, Address::Local(folder) if !folder.is_dir()) {
            return Ok(());
        }
        let output = Output::open_for_reading(&written.root, written.credentials.as_ref())?;
        let mut paths = output.files_below("ledger").await?;
        paths.sort();
        for path in paths {
            let parts: Vec<&str> = path.split('/').collect();
            let [_, job, file] = parts.as_slice() else {
                continue;
            };
            let tile = file.strip_suffix(".json");
            let Some(Ok(tile)) = tile.map(Window::from_file_stem) else {
                continue;
            };
            // What was before decides what is a repeat.
            let before = written.suppress(job);
            let is_near = |window: Window| {
                window.overlaps(&tile) || tile.end > window.start - before && tile < window
            };
            if !self.window.is_none_or(is_near) {
                continue;
            }
            let bytes = output.read(&path).await?;
            match serde_json::from_slice(&bytes) {
                Ok(ledger) => runs.push(Run {
                    output: output.clone(),
                    job: (*job).to_owned(),
                    tile,
                    ledger: Arc::new(ledger),
                    fresh: None,
                }),
                Err(error) => self.problem(
                    &Error::failure(format!("the ledger does not parse: {error}"))
                        .in_file(output.root().join(&path)),
                ),
            }
        }
        Ok(())
    }

    /// The tiles that the window touches.
    async fn inside(&self) -> impl Iterator<Item = &Run<'static>> {
        let touched = |run: &&Run<'_>| self.window.is_none_or(|window| window.overlaps(&run.tile));
        self.runs().await.iter().flatten().filter(touched)
    }

    /// The tables of single hunts.
    async fn of_hunts(&self) -> BTreeSet<String> {
        let hunts = self.inside().await.flat_map(|run| run.files("findings"));
        hunts.map(|(_, hunt)| format!("{OF_HUNT}{hunt}")).collect()
    }

    /// The rows of a relation that hunts of stage two read, too, without the columns that say where they lie.
    async fn relation(&self, name: &str, window: Option<Window>) -> Result<RecordBatch> {
        let mut batches = Vec::new();
        for (written, runs) in self.outputs.iter().zip(self.runs().await) {
            let suppress = |job: &str| written.suppress(job);
            let runs = Runs {
                runs: runs.clone(),
                suppress: &suppress,
                hunts: None,
            };
            batches.push(runs.batch(name, window).await?);
        }
        let schema = results::schema(name)
            .ok_or_else(|| Error::failure(format!("there is no relation `{name}`")))?;
        let all = concat_batches(&schema, &batches).map_err(arrow)?;
        let last = schema.fields().len() - results::PLACE.len();
        all.project(&(0..last).collect::<Vec<_>>()).map_err(arrow)
    }

    /// The findings of one hunt as one batch, with `job` and `hunt` before their columns.
    async fn findings_of(&self, hunt: &str, window: Option<Window>) -> Result<RecordBatch> {
        let mut batches: Vec<RecordBatch> = Vec::new();
        for run in self.inside().await {
            for (path, _) in run
                .files("findings")
                .into_iter()
                .filter(|(_, of)| *of == hunt)
            {
                let bytes = run.output.read(path).await?;
                let shown = run.output.root().join(path);
                let wrong = |error: String| {
                    Error::failure(format!("it cannot be read: {error}")).in_file(&shown)
                };
                let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
                    .and_then(|builder| builder.with_batch_size(65_536).build())
                    .map_err(|error| wrong(error.to_string()))?;
                for batch in reader {
                    let batch = batch.map_err(|error| wrong(error.to_string()))?;
                    let batch = inside(&batch, window)?;
                    let count = batch.num_rows();
                    let mut columns: Vec<(String, ArrayRef)> = vec![
                        ("job".to_owned(), repeated(&run.job, count)),
                        ("hunt".to_owned(), repeated(hunt, count)),
                    ];
                    let schema = batch.schema();
                    let named = schema.fields().iter().zip(batch.columns());
                    for (field, column) in named {
                        columns.push((field.name().clone(), viewed(column)?));
                    }
                    batches.push(nullable(columns)?);
                }
            }
        }
        united(&batches)
    }
}

impl RunOutput {
    fn suppress(&self, job: &str) -> Duration {
        self.suppress.get(job).copied().unwrap_or(super::SUPPRESS)
    }
}

#[async_trait]
impl Extra for RunTables {
    fn names(&self) -> &'static [&'static str] {
        &TABLES
    }

    fn has(&self, name: &str) -> bool {
        TABLES.contains(&name) || name.starts_with(OF_HUNT)
    }

    async fn all(&self) -> Vec<String> {
        self.of_hunts().await.into_iter().collect()
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut problems)
    }

    async fn rows(&self, table: &str, window: Option<Window>) -> Result<RecordBatch> {
        if table.starts_with(OF_HUNT) {
            let known = self.of_hunts().await;
            if !known.contains(table) {
                let near = did_you_mean(table, known.iter().map(String::as_str));
                return Err(
                    Error::configuration(format!("unknown table or view `{table}`")).hint(
                        near.unwrap_or_else(|| match known.len() {
                            0 => "no hunt has findings in this window".to_owned(),
                            _ => format!(
                                "in this window there are {}",
                                known.into_iter().collect::<Vec<_>>().join(", ")
                            ),
                        }),
                    ),
                );
            }
        }
        match table.strip_prefix(OF_HUNT) {
            Some(hunt) => self.findings_of(hunt, window).await,
            None => self.relation(table, window).await,
        }
    }
}

/// The rows that were last seen in a window.
fn inside(batch: &RecordBatch, window: Option<Window>) -> Result<RecordBatch> {
    let (Some(window), Some(times)) = (window, last_seen_column(batch)) else {
        return Ok(batch.clone());
    };
    let keep: BooleanArray = (0..batch.num_rows())
        .map(|row| Some(value::time(times, row).is_some_and(|time| window.contains(time))))
        .collect();
    filter_record_batch(batch, &keep).map_err(arrow)
}

/// Batches under the columns of all of them; a column that one lacks is NULL there.
fn united(batches: &[RecordBatch]) -> Result<RecordBatch> {
    let mut fields: Vec<Arc<Field>> = Vec::new();
    for batch in batches {
        for field in batch.schema().fields() {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(Arc::clone(field));
            }
        }
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let aligned = batches.iter().map(|batch| {
        let columns =
            schema
                .fields()
                .iter()
                .map(|field| match batch.column_by_name(field.name()) {
                    Some(column) => cast(column, field.data_type()).map_err(arrow),
                    None => Ok(new_null_array(field.data_type(), batch.num_rows())),
                });
        RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_>>()?).map_err(arrow)
    });
    concat_batches(&schema, &aligned.collect::<Result<Vec<_>>>()?).map_err(arrow)
}

/// Texts as the rest of the session has them.
fn viewed(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => cast(column, &DataType::Utf8View).map_err(arrow),
        DataType::Timestamp(..) => cast(
            column,
            &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        )
        .map_err(arrow),
        _ => Ok(Arc::clone(column)),
    }
}

fn repeated(text: &str, times: usize) -> ArrayRef {
    Arc::new(StringViewArray::from(vec![text; times]))
}

fn nullable(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch> {
    let columns = columns
        .into_iter()
        .map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).map_err(arrow)
}

fn arrow(error: datafusion::arrow::error::ArrowError) -> Error {
    Error::failure(error.to_string())
}
