//! Files by name in ad-hoc SQL: a path, a folder or a glob, here or in a bucket, as a table whose columns are inferred from
//! a sample.
//!
//! Hunts read tables of the lake alone: what a name finds today it may not find tomorrow.

mod columnar;
mod text;

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as PlanResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::Notes;
use crate::error::{Error, Result};
use crate::lake::config::{Compression, Format};
use crate::lake::decompress::{decompress, decompress_as_found};
use crate::lake::table::{FILE_COLUMN, ROW_COLUMN};
use crate::store::{self, Address, Budget, Earlier, Location, Object, Stopper};

/// Rows of a sample, where nothing else is said.
const SAMPLE: usize = 1000;
/// Files that a sample is taken of.
const SAMPLED_FILES: usize = 20;

/// How files are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ndjson,
    Parquet,
    Csv,
}

impl Kind {
    /// The kind that a function reads.
    pub(super) fn of_reader(name: &str) -> Option<Self> {
        match name {
            "read_ndjson" | "read_json" => Some(Self::Ndjson),
            "read_parquet" => Some(Self::Parquet),
            "read_csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// The kind that a file's name says.
    fn of_name(path: &str) -> Option<Self> {
        [
            (Format::Parquet, Self::Parquet),
            (Format::Ndjson, Self::Ndjson),
            (Format::Csv, Self::Csv),
        ]
        .into_iter()
        .find_map(|(format, kind)| format.takes(path).then_some(kind))
    }
}

/// What the brackets of a reader say.
#[derive(Debug, Clone)]
pub(super) struct FileOptions {
    pub(super) kind: Option<Kind>,
    sample: usize,
    all_text: bool,
    compression: Option<Compression>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            kind: None,
            sample: SAMPLE,
            all_text: false,
            compression: None,
        }
    }
}

impl FileOptions {
    /// Of one kind, whatever the names say.
    pub(super) fn of(kind: Kind) -> Self {
        Self {
            kind: Some(kind),
            ..Self::default()
        }
    }

    /// Sets an option by its name.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match (name, value) {
            ("sample", number) => {
                let number = number.parse().ok().filter(|number| *number > 0);
                self.sample = number.ok_or("`sample` is a number of rows")?;
            }
            ("all_text", "true") => self.all_text = true,
            ("all_text", "false") => self.all_text = false,
            ("all_text", _) => return Err("`all_text` is true or false".to_owned()),
            ("compression", "gzip" | "gz") => self.compression = Some(Compression::Gzip),
            ("compression", "zstd" | "zst") => self.compression = Some(Compression::Zstd),
            ("compression", "none") => self.compression = Some(Compression::None),
            ("compression", _) => return Err("`compression` is gzip, zstd or none".to_owned()),
            _ => return Err(format!("unknown option `{name}`")),
        }
        Ok(())
    }
}

/// Files as a table.
pub(super) struct Files {
    shared: Arc<Shared>,
    schema: SchemaRef,
}

/// What readers of the files know.
struct Shared {
    location: Location,
    objects: Vec<Object>,
    kind: Kind,
    options: FileOptions,
    notes: Notes,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({})", self.shared.objects.len())
    }
}

impl Shared {
    fn note(&self, text: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        // A damaged lake has thousands.
        if notes.len() < 20 {
            notes.push(text);
        }
    }

    /// The bytes of a text file out of its compression.
    fn decompressed(
        &self,
        object: &Object,
        reader: Box<dyn Read + Send>,
    ) -> io::Result<Box<dyn Read + Send>> {
        match self.options.compression {
            Some(compression) => decompress(compression, reader),
            None => decompress_as_found(Compression::of(&object.path), reader),
        }
    }

    /// Opens an object; what is fetched of it ahead ends with the stopper.
    async fn open(&self, object: &Object) -> Result<(Box<dyn Read + Send>, Stopper)> {
        let stopper = Stopper::new();
        let reading = store::Reading {
            budget: Budget::of_process(),
            stop: stopper.stop(),
        };
        let once = Earlier::default();
        let reader = self.location.open_object(object, &reading, &once).await?;
        Ok((reader, stopper))
    }
}

/// Finds the files of a name, and infers their columns.
///
/// # Errors
/// A configuration error: nothing is there, files of several kinds, a kind that is not known.
pub(super) async fn open(pattern: &str, options: &FileOptions, notes: Notes) -> Result<Files> {
    let (location, mut objects) = find(pattern).await?;
    if let Some(kind) = options.kind {
        // A folder may hold others beside them.
        if objects.len() > 1 {
            objects.retain(|object| Kind::of_name(&object.path).is_none_or(|own| own == kind));
        }
    } else {
        objects.retain(|object| Kind::of_name(&object.path).is_some() || !is_hidden(&object.path));
    }
    if objects.is_empty() {
        return Err(nothing(pattern));
    }
    let kind = match options.kind {
        Some(kind) => kind,
        None => kind_of(pattern, &objects)?,
    };
    let shared = Arc::new(Shared {
        location,
        objects,
        kind,
        options: options.clone(),
        notes,
    });
    let mut fields = match kind {
        Kind::Parquet => columnar::infer(&shared).await?,
        Kind::Ndjson | Kind::Csv => text::infer(&shared).await?,
    };
    fields.retain(|field| ![FILE_COLUMN, ROW_COLUMN].contains(&field.name().as_str()));
    fields.push(Field::new(FILE_COLUMN, DataType::Utf8View, false));
    fields.push(Field::new(ROW_COLUMN, DataType::Int64, false));
    Ok(Files {
        shared,
        schema: Arc::new(Schema::new(fields)),
    })
}

/// The one kind that the names of all files say.
fn kind_of(pattern: &str, objects: &[Object]) -> Result<Kind> {
    let kinds = objects.iter().map(|object| Kind::of_name(&object.path));
    let mut kinds: Vec<_> = kinds.collect();
    kinds.dedup();
    let (message, hint) = match kinds.as_slice() {
        [Some(kind)] => return Ok(*kind),
        [None] => (
            format!("`{pattern}`: its name does not say what it is"),
            "read_ndjson('...'), read_parquet('...') or read_csv('...') says it",
        ),
        _ => (
            format!("`{pattern}` finds files of several kinds"),
            "name one kind: '*.parquet', or read_ndjson('...')",
        ),
    };
    Err(Error::configuration(message).hint(hint))
}

fn nothing(pattern: &str) -> Error {
    Error::configuration(format!("no file is there: `{pattern}`"))
        .hint("paths are relative to the working folder; * stands for characters of one name, ** for folders")
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with(['.', '_']))
}

/// The objects that a path, folder or glob means, in order.
async fn find(pattern: &str) -> Result<(Location, Vec<Object>)> {
    let address = Address::parse(pattern, "file")?;
    let (whole, is_local) = match &address {
        Address::Local(path) => (path.to_string_lossy().into_owned(), true),
        Address::Bucket { prefix, .. } => (prefix.clone(), false),
    };
    let is_glob = |part: &str| part.contains(['*', '?', '[', '{']);
    let parts: Vec<&str> = whole.split('/').collect();
    let fixed = parts.iter().take_while(|part| !is_glob(part)).count();
    let base = |parts: &[&str]| match &address {
        Address::Local(_) => {
            let joined = parts.join("/");
            let folder = match joined.as_str() {
                "" if whole.starts_with('/') => "/".to_owned(),
                "" => ".".to_owned(),
                _ => joined,
            };
            Address::Local(folder.into())
        }
        Address::Bucket { bucket, .. } => Address::Bucket {
            bucket: bucket.clone(),
            prefix: parts.join("/"),
        },
    };
    let (folder, rest) = if fixed < parts.len() {
        (base(&parts[..fixed]), Some(parts[fixed..].join("/")))
    } else if is_local && std::path::Path::new(&whole).is_dir() {
        (address.clone(), None)
    } else {
        let (folder, name) = address.split_last().ok_or_else(|| nothing(pattern))?;
        (folder, Some(name))
    };
    if let Address::Local(path) = &folder
        && !path.is_dir()
    {
        return Err(nothing(pattern));
    }
    let location = Location::open(&folder, None)?;
    let mut objects = match &rest {
        Some(rest) if !rest.contains('/') && !rest.contains("**") => {
            location.list_level("").await?.objects
        }
        _ => location.list_all("").await?,
    };
    if let Some(rest) = &rest {
        let wanted = glob(rest)?;
        objects.retain(|object| wanted.is_match(&object.path));
    } else {
        objects.retain(|object| !is_hidden(&object.path) && Kind::of_name(&object.path).is_some());
    }
    // A prefix of a bucket is as good as a folder.
    if objects.is_empty() && !is_local && fixed == parts.len() {
        let location = Location::open(&address, None)?;
        let mut objects = location.list_all("").await?;
        objects.retain(|object| !is_hidden(&object.path));
        objects.sort();
        return Ok((location, objects));
    }
    objects.sort();
    Ok((location, objects))
}

/// A glob as a regular expression over a path.
fn glob(pattern: &str) -> Result<regex::Regex> {
    let mut text = String::from("^");
    let (mut is_choice, mut is_set) = (false, false);
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            ']' if is_set => {
                is_set = false;
                text.push(']');
            }
            '-' | '!' if is_set => text.push(if character == '!' { '^' } else { '-' }),
            _ if is_set => text.push_str(&regex::escape(&character.to_string())),
            '[' => {
                is_set = true;
                text.push('[');
            }
            '*' if rest.peek() == Some(&'*') => {
                rest.next();
                if rest.peek() == Some(&'/') {
                    rest.next();
                    text.push_str("(?:.*/)?");
                } else {
                    text.push_str(".*");
                }
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '{' => {
                is_choice = true;
                text.push_str("(?:");
            }
            '}' if is_choice => {
                is_choice = false;
                text.push(')');
            }
            ',' if is_choice => text.push('|'),
            other => text.push_str(&regex::escape(&other.to_string())),
        }
    }
    text.push('$');
    regex::Regex::new(&text)
        .map_err(|_| Error::configuration(format!("`{pattern}` is no pattern of file names")))
}

#[async_trait]
impl TableProvider for Files {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let reading = Reading {
            shared: Arc::clone(&self.shared),
            schema: Arc::clone(&schema),
            whole: Arc::clone(&self.schema),
        };
        let exec =
            StreamingTableExec::try_new(schema, vec![Arc::new(reading)], None, [], false, None)?;
        Ok(Arc::new(exec))
    }
}

/// One reading of the files, in order.
struct Reading {
    shared: Arc<Shared>,
    /// The columns that are wanted.
    schema: SchemaRef,
    /// All columns that are known.
    whole: SchemaRef,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading({})", self.shared.objects.len())
    }
}

impl PartitionStream for Reading {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 2);
        let sender = builder.tx();
        let (shared, schema) = (Arc::clone(&self.shared), Arc::clone(&self.schema));
        let whole = Arc::clone(&self.whole);
        builder.spawn(async move {
            for object in &shared.objects {
                let read = match shared.kind {
                    Kind::Parquet => columnar::read(&shared, object, &schema, &sender).await,
                    Kind::Ndjson | Kind::Csv => {
                        text::read(&shared, object, &schema, &whole, &sender).await
                    }
                };
                match read {
                    Ok(true) => {}
                    // Nobody listens any more.
                    Ok(false) => break,
                    // It costs itself.
                    Err(message) => shared.note(format!("{}: {message}", object.path)),
                }
            }
            Ok(())
        });
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_names_and_folders() {
        for (pattern, path, fits) in [
            ("*.parquet", "a.parquet", true),
            ("*.parquet", "a/b.parquet", false),
            ("**/*.parquet", "a/b/c.parquet", true),
            ("**/*.parquet", "c.parquet", true),
            ("day=*/a?.{json,ndjson}", "day=1/a2.ndjson", true),
            ("day=*/a?.{json,ndjson}", "day=1/a2.csv", false),
            ("a[0-3].json", "a2.json", true),
            ("a[!0-3].json", "a2.json", false),
            ("a,b.json", "a,b.json", true),
            ("a.b", "axb", false),
        ] {
            assert_eq!(
                glob(pattern).unwrap().is_match(path),
                fits,
                "{pattern} {path}"
            );
        }
    }
}
