//! Runs every file below `tests/slt` as SQL and compares the answers. Twice: once with batches of the usual size, once
//! with batches of three rows, so that what is kept from batch to batch is tested too. Files below `tests/slt/lake` run
//! through the engine over the sample lake, names and windows included, those below `tests/slt/views` over rows made up by
//! hand of every shape that the views read, those below `tests/slt/adhoc` as statements that people type over the same
//! rows; the others over a bare session with our functions.
//!
//! `SLT_COMPLETE=1 cargo test slt` writes the answers found into the files; read the difference before keeping it.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use futures::executor::block_on;
use lakehunt::engine::adhoc::statement::parse;
use lakehunt::engine::adhoc::{Console, Outcome, Summary};
use sqllogictest::{
    DB, DBOutput, DefaultColumnType, Runner, default_normalizer, default_validator,
    strict_column_validator,
};
use tokio::runtime::Runtime;

/// The session a file starts with.
fn context(batch_size: usize) -> Result<SessionContext, DataFusionError> {
    let config = SessionConfig::new()
        .with_target_partitions(2)
        .with_batch_size(batch_size);
    #[expect(
        clippy::disallowed_methods,
        reason = "functions are tested without the engine"
    )]
    let context = SessionContext::new_with_config(config);
    lakehunt::functions::register_all(&context)?;
    Ok(context)
}

/// The folders below `tests/slt` whose files ask a lake, and the lake.
const LAKES: [(&str, &str); 2] = [
    ("lake", "data/lake.yaml"),
    ("views", "tests/lakes/shapes.yaml"),
];

type Lakes = BTreeMap<&'static str, Arc<lakehunt::engine::Session>>;

/// A lake as the engine shows it, all time.
fn lake(runtime: &Runtime, file: &str) -> Result<Arc<lakehunt::engine::Session>, DataFusionError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let open = || {
        let content = lakehunt::hunt::Content::read(&root.join("sql"))?;
        let lake = lakehunt::lake::Lake::open(&root.join(file), &content)?;
        let engine = lakehunt::engine::Engine::new(Arc::new(lake), None)?;
        runtime.block_on(engine.session(None, None))
    };
    open()
        .map(Arc::new)
        .map_err(|error| DataFusionError::External(Box::new(error)))
}

/// A session of statements over the rows made up by hand.
fn console(runtime: &Runtime) -> Console {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let content = lakehunt::hunt::Content::read(&root.join("sql")).unwrap();
    let lake = lakehunt::lake::Lake::open(&root.join("tests/lakes/shapes.yaml"), &content).unwrap();
    let engine = lakehunt::engine::Engine::new(Arc::new(lake), None).unwrap();
    let console = Console::new(Arc::new(engine), None, None);
    runtime.block_on(console).unwrap()
}

/// An error with its hint, so that the files can hold us to our words.
fn told(error: &lakehunt::error::Error) -> DataFusionError {
    let hint = error.hint_text().unwrap_or_default();
    DataFusionError::Plan(format!("{error} hint: {hint}"))
}

/// One file's database.
struct Session {
    database: Database,
    runtime: Arc<Runtime>,
}

enum Database {
    Functions(SessionContext),
    Lake(Arc<lakehunt::engine::Session>),
    Adhoc(Box<Console>),
}

impl Database {
    async fn rows(&mut self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>), DataFusionError> {
        let Self::Adhoc(console) = self else {
            let frame = self.frame(sql).await?;
            let schema = SchemaRef::clone(frame.schema().inner());
            return Ok((schema, frame.collect().await?));
        };
        let source = lakehunt::engine::SqlSource {
            path: PathBuf::from("query"),
            text: sql.to_owned(),
        };
        let statement = parse(&source).map_err(|error| told(&error))?;
        let outcome = console.run(&source, statement).await;
        match outcome.map_err(|error| told(&error))? {
            Outcome::Rows(planned) => {
                let stream = planned.stream().map_err(|error| told(&error))?;
                let batches = datafusion::physical_plan::common::collect(stream).await?;
                Ok((planned.schema, batches))
            }
            Outcome::Summary(planned) => {
                let stream = planned.stream().map_err(|error| told(&error))?;
                let mut summary = Summary::new(planned.schema).map_err(|error| told(&error))?;
                for batch in datafusion::physical_plan::common::collect(stream).await? {
                    summary.add(&batch).map_err(|error| told(&error))?;
                }
                let batch = summary.finish().map_err(|error| told(&error))?;
                Ok((batch.schema(), vec![batch]))
            }
            Outcome::Batch(batch) => Ok((batch.schema(), vec![batch])),
            Outcome::Said(_) => Ok((SchemaRef::new(Schema::empty()), Vec::new())),
        }
    }

    async fn frame(&self, sql: &str) -> Result<DataFrame, DataFusionError> {
        match self {
            Self::Functions(context) => context.sql(sql).await,
            Self::Lake(session) => {
                let source = lakehunt::engine::SqlSource {
                    path: PathBuf::from("<query>"),
                    text: sql.to_owned(),
                };
                session.query(&source).await.map_err(|error| told(&error))
            }
            Self::Adhoc(_) => unreachable!("a console gives rows"),
        }
    }
}

impl DB for Session {
    type Error = DataFusionError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, DataFusionError> {
        let (schema, batches) = self.runtime.block_on(self.database.rows(sql))?;
        if schema.fields().is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let types = schema
            .fields()
            .iter()
            .map(|field| column_type(field.data_type()));
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(show(batch)?);
        }
        Ok(DBOutput::Rows {
            types: types.collect(),
            rows,
        })
    }

    fn engine_name(&self) -> &'static str {
        "lakehunt"
    }
}

/// The letter a column has in the header of a query: T text, I integer, R other number, ? anything else.
fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DefaultColumnType::Text,
        DataType::Dictionary(_, values) => column_type(values),
        integer if integer.is_integer() => DefaultColumnType::Integer,
        number if number.is_numeric() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Any,
    }
}

/// Rows as text: NULL and empty text are told apart, and what would break the line is escaped.
fn show(batch: &RecordBatch) -> Result<Vec<Vec<String>>, DataFusionError> {
    let options = FormatOptions::default().with_null("NULL");
    let mut formatters = Vec::new();
    for column in batch.columns() {
        formatters.push(ArrayFormatter::try_new(column.as_ref(), &options)?);
    }
    let cell = |formatter: &ArrayFormatter, row: usize| {
        let text = formatter.value(row).to_string();
        if text.is_empty() {
            return "(empty)".to_owned();
        }
        text.replace('\n', "\\n").replace('\t', "\\t")
    };
    let row = |row| {
        formatters
            .iter()
            .map(|formatter| cell(formatter, row))
            .collect()
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

fn check(
    path: &Path,
    batch_size: usize,
    runtime: &Arc<Runtime>,
    lakes: &Lakes,
) -> Result<(), Box<dyn Error>> {
    let mut runner = Runner::new(|| async {
        let folder = path.parent().and_then(Path::file_name);
        let folder = folder.and_then(|folder| folder.to_str());
        let database = match folder.and_then(|folder| lakes.get(folder)) {
            Some(lake) => Database::Lake(Arc::clone(lake)),
            None if folder == Some("adhoc") => Database::Adhoc(Box::new(console(runtime))),
            None => Database::Functions(context(batch_size)?),
        };
        Ok(Session {
            database,
            runtime: Arc::clone(runtime),
        })
    });
    runner.with_column_validator(strict_column_validator);
    if std::env::var_os("SLT_COMPLETE").is_none() {
        return Ok(runner.run_file(path)?);
    }
    block_on(runner.update_test_file(
        path,
        " ",
        default_validator,
        default_normalizer,
        strict_column_validator,
    ))
}

#[test]
fn slt() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut paths = Vec::new();
    files(&folder, &mut paths).unwrap();
    assert!(!paths.is_empty(), "no files in {}", folder.display());
    let runtime = Arc::new(Runtime::new().unwrap());
    let lakes = LAKES.map(|(folder, file)| (folder, lake(&runtime, file).unwrap()));
    let lakes = Lakes::from(lakes);
    let mut failures = Vec::new();
    for path in &paths {
        for batch_size in [8192, 3] {
            if let Err(error) = check(path, batch_size, &runtime, &lakes) {
                failures.push(format!(
                    "{} (batches of {batch_size}):\n{error}",
                    path.display()
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
