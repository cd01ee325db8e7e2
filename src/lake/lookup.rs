//! Lookups: small tables without a time, such as a list of assets. Read whole, not scoped to a window, and joined by hunts.
//!
//! CSV, NDJSON or Parquet; one file, or all files of the format in a folder.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringViewBuilder};
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::csv::reader::Format as CsvFormat;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::config::{Compression, Format, LakeFile, TableConfig};
use super::decompress::decompress;
use super::form::ColumnSpec;
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::store::{Address, Location};

/// One lookup of a lake.
#[derive(Debug)]
pub struct Lookup {
    /// Its name in SQL.
    pub name: String,
    format: Format,
    compression: Option<Compression>,
    /// A file or a folder.
    address: Address,
    credentials: Option<Credentials>,
    types: BTreeMap<String, DataType>,
    loaded: OnceCell<Arc<LookupRows>>,
}

/// What a lookup holds.
#[derive(Debug)]
pub struct LookupRows {
    /// All rows, in order of files and rows. Columns are text unless the lake file's `schema` or Parquet says otherwise.
    pub rows: RecordBatch,
    /// SHA-256 of its files, in order, hex.
    pub sha256: String,
}

impl Lookup {
    pub(super) fn open(name: &str, config: &TableConfig, lake: &LakeFile) -> Result<Self> {
        let wrong = |message: String| lake.error_at(name, format!("table `{name}`: {message}"));
        let not_for_lookups = [
            ("form", config.form.is_some()),
            ("layout", config.layout.is_some()),
            ("complete", config.complete.is_some()),
            ("slack", config.slack.is_some()),
            ("settle", config.settle.is_some()),
            ("late", config.late.is_some()),
            ("timezone", config.timezone.is_some()),
            ("identity", config.identity.is_some()),
            ("max_bad_ratio", config.max_bad_ratio.is_some()),
        ];
        if let Some((key, _)) = not_for_lookups.iter().find(|(_, given)| *given) {
            return Err(wrong(format!("`{key}` has no meaning for a lookup"))
                .hint("`time: none` makes it a lookup: read whole, not by time"));
        }
        let address = lake.address(&config.location)?;
        let mut types = BTreeMap::new();
        for (column, spec) in config.schema.iter().flatten() {
            let ColumnSpec::Type(column_type) = spec else {
                return Err(wrong(format!(
                    "column `{column}` of a lookup is a type only"
                )));
            };
            types.insert(column.clone(), column_type.arrow());
        }
        Ok(Self {
            name: name.to_owned(),
            format: config.format,
            compression: config.compression,
            address,
            credentials: config.credentials.clone(),
            types,
            loaded: OnceCell::new(),
        })
    }

    /// Its rows, read once.
    ///
    /// # Errors
    /// A configuration error that names the file: it cannot be read, a row that does not fit, a column of `schema` that is
    /// not there, columns that differ between files.
    pub async fn rows(&self) -> Result<Arc<LookupRows>> {
        let loaded = self.loaded.get_or_try_init(|| async {
            let (location, files) = self.files().await?;
            let mut hasher = Sha256::new();
            let mut batches = Vec::new();
            for file in &files {
                let shown = location.display(file);
                let wrong = |message: String| {
                    Error::configuration(format!("lookup `{}`: {message}", self.name))
                        .in_file(&shown)
                };
                let compression = self.compression.unwrap_or_else(|| Compression::of(file));
                let mut bytes = Vec::new();
                let stored = location.read(file).await?;
                decompress(compression, Cursor::new(stored))
                    .and_then(|mut reader| reader.read_to_end(&mut bytes))
                    .map_err(|error| wrong(format!("cannot read it: {error}")))?;
                hasher.update(&bytes);
                let read = match self.format {
                    Format::Csv => csv(&bytes),
                    Format::Ndjson => ndjson(&bytes),
                    Format::Parquet => parquet(bytes),
                };
                batches.push(self.typed(read.map_err(wrong)?).map_err(wrong)?);
            }
            let Some(first) = batches.first() else {
                return Err(
                    Error::configuration(format!("lookup `{}` has no file", self.name))
                        .in_file(self.address.shown()),
                );
            };
            let rows = concat_batches(&first.schema(), &batches).map_err(|error| {
                Error::configuration(format!("lookup `{}`: its files differ: {error}", self.name))
            })?;
            Ok(Arc::new(LookupRows {
                rows,
                sha256: crate::hex(&hasher.finalize()),
            }))
        });
        loaded.await.map(Arc::clone)
    }

    /// Its files, in order.
    async fn files(&self) -> Result<(Location, Vec<String>)> {
        let credentials = self.credentials.as_ref();
        let is_folder = match &self.address {
            Address::Local(path) => path.is_dir(),
            // A bucket has no folders: the name says what it is.
            Address::Bucket { prefix, .. } => !self.format.takes(prefix),
        };
        if is_folder {
            let location = Location::open(&self.address, credentials)?;
            let objects = location.list_all("").await?.into_iter();
            let taken = objects.filter(|object| self.format.takes(&object.path));
            let mut files: Vec<String> = taken.map(|object| object.path).collect();
            files.sort();
            return Ok((location, files));
        }
        let is_file = match &self.address {
            Address::Local(path) => path.is_file(),
            Address::Bucket { .. } => true,
        };
        match self.address.split_last() {
            Some((folder, name)) if is_file => {
                Ok((Location::open(&folder, credentials)?, vec![name]))
            }
            _ => Err(
                Error::configuration(format!("lookup `{}` does not exist", self.name))
                    .in_file(self.address.shown())
                    .hint("its `location` is a file, or a folder, relative to the lake file"),
            ),
        }
    }

    /// The rows with the declared types; what does not fit becomes NULL.
    fn typed(&self, batch: RecordBatch) -> std::result::Result<RecordBatch, String> {
        let schema = batch.schema();
        for column in self.types.keys() {
            if schema.field_with_name(column).is_err() {
                let names: Vec<_> = schema
                    .fields()
                    .iter()
                    .map(|field| field.name().as_str())
                    .collect();
                return Err(format!(
                    "there is no column `{column}` (hint: it has {})",
                    names.join(", ")
                ));
            }
        }
        let columns = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, array)| {
                let text = matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8);
                let default = if text {
                    &DataType::Utf8View
                } else {
                    array.data_type()
                };
                let wanted = self.types.get(field.name()).unwrap_or(default);
                let array =
                    cast(array, wanted).map_err(|error| format!("`{}`: {error}", field.name()))?;
                Ok((field.name().clone(), array))
            });
        let columns: Vec<(String, ArrayRef)> = columns.collect::<Result<_, String>>()?;
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .map_err(|error| error.to_string())
    }
}

fn csv(bytes: &[u8]) -> std::result::Result<RecordBatch, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let format = CsvFormat::default().with_header(true);
    let (named, _) = format
        .infer_schema(Cursor::new(bytes), Some(0))
        .map_err(|error| error.to_string())?;
    let fields: Vec<_> = named
        .fields()
        .iter()
        .map(|field| Field::new(field.name().trim(), DataType::Utf8, true))
        .collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let reader = ReaderBuilder::new(Arc::clone(&schema))
        .with_header(true)
        .build(Cursor::new(bytes))
        .map_err(|error| error.to_string())?;
    let batches = reader
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    concat_batches(&schema, &batches).map_err(|error| error.to_string())
}

fn ndjson(bytes: &[u8]) -> std::result::Result<RecordBatch, String> {
    let mut names: Vec<String> = Vec::new();
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let lines = text.lines().enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let row: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        for name in row
            .keys()
            .filter(|name| !names.contains(*name))
            .collect::<Vec<_>>()
        {
            names.push(name.clone());
        }
        rows.push(row);
    }
    let columns = names.iter().map(|name| {
        let mut column = StringViewBuilder::new();
        for row in &rows {
            match row.get(name) {
                None | Some(Value::Null) => column.append_null(),
                Some(Value::String(text)) => column.append_value(text),
                Some(other) => column.append_value(other.to_string()),
            }
        }
        (name, Arc::new(column.finish()) as ArrayRef, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| error.to_string())
}

fn parquet(bytes: Vec<u8>) -> std::result::Result<RecordBatch, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
        .map_err(|error| error.to_string())?;
    let schema = Arc::clone(builder.schema());
    let reader = builder.build().map_err(|error| error.to_string())?;
    let batches = reader
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    concat_batches(&schema, &batches).map_err(|error| error.to_string())
}
