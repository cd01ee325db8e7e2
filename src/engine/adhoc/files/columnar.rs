//! Parquet files by name: the columns of all of them, structs as columns with dots.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, StringViewArray, new_null_array,
};
use datafusion::arrow::compute::{cast, nullif};
use datafusion::arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::parquet::arrow::ParquetRecordBatchStreamBuilder;
use datafusion::parquet::arrow::ProjectionMask;
use futures::StreamExt;
use tokio::sync::mpsc::Sender;

use super::{SAMPLED_FILES, Shared};
use crate::error::{Error, Result};
use crate::lake::object_reader::ObjectReader;
use crate::lake::table::{FILE_COLUMN, ROW_COLUMN};
use crate::store::Object;

type Batches = Sender<datafusion::common::Result<RecordBatch>>;

/// The columns of the first files, in order; a column whose types differ is text.
pub(super) async fn infer(shared: &Shared) -> Result<Vec<Field>> {
    let mut fields: Vec<Field> = Vec::new();
    let mut lost = None;
    for object in shared.objects.iter().take(SAMPLED_FILES) {
        let reader = ObjectReader::new(&shared.location, object);
        let builder = match ParquetRecordBatchStreamBuilder::new(reader).await {
            Ok(builder) => builder,
            Err(error) => {
                lost = Some(format!("{}: {error}", object.path));
                continue;
            }
        };
        let mut flat = Vec::new();
        flatten(builder.schema().fields(), "", &mut flat);
        for field in flat {
            match fields.iter_mut().find(|known| known.name() == field.name()) {
                None => fields.push(field),
                Some(known) if known.data_type() == field.data_type() => {}
                Some(known) => *known = Field::new(known.name(), DataType::Utf8View, true),
            }
        }
    }
    match lost {
        Some(lost) if fields.is_empty() => Err(Error::failure(format!(
            "it cannot be read as Parquet: {lost}"
        ))),
        _ => Ok(fields),
    }
}

fn flatten(fields: &Fields, above: &str, flat: &mut Vec<Field>) {
    for field in fields {
        let name = format!("{above}{}", field.name());
        match field.data_type() {
            DataType::Struct(inner) => flatten(inner, &format!("{name}."), flat),
            DataType::Utf8 | DataType::LargeUtf8 => {
                flat.push(Field::new(name, DataType::Utf8View, true));
            }
            DataType::Dictionary(_, values) if values.is_string() => {
                flat.push(Field::new(name, DataType::Utf8View, true));
            }
            other => flat.push(Field::new(name, other.clone(), true)),
        }
    }
}

/// Reads one file; false when nobody listens any more.
pub(super) async fn read(
    shared: &Shared,
    object: &Object,
    schema: &SchemaRef,
    sender: &Batches,
) -> std::result::Result<bool, String> {
    let reader = ObjectReader::new(&shared.location, object);
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await;
    let builder = builder.map_err(|error| error.to_string())?;
    let roots = builder.schema().fields().iter().enumerate();
    let wanted = roots.filter(|(_, root)| {
        let prefix = format!("{}.", root.name());
        let fields = schema.fields().iter();
        fields
            .into_iter()
            .any(|field| field.name() == root.name() || field.name().starts_with(&prefix))
    });
    let wanted: Vec<usize> = wanted.map(|(index, _)| index).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let mut batches = builder
        .with_projection(mask)
        .build()
        .map_err(|error| error.to_string())?;
    let mut before = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| error.to_string())?;
        let rows = batch.num_rows();
        let assembled = assemble(&batch, schema, &object.path, before);
        before += rows as i64;
        let failed = |error| DataFusionError::ArrowError(Box::new(error), None);
        if sender.send(assembled.map_err(failed)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn assemble(
    batch: &RecordBatch,
    schema: &SchemaRef,
    path: &str,
    before: i64,
) -> std::result::Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let rows = batch.num_rows();
    let columns = schema
        .fields()
        .iter()
        .map(|field| -> std::result::Result<ArrayRef, _> {
            match field.name().as_str() {
                FILE_COLUMN => Ok(Arc::new(StringViewArray::from(vec![path; rows])) as ArrayRef),
                ROW_COLUMN => {
                    let numbers = (1..=rows as i64).map(|row| before + row);
                    Ok(Arc::new(numbers.collect::<Int64Array>()) as ArrayRef)
                }
                name => match column(batch, name)? {
                    Some(found) => cast(&found, field.data_type()),
                    None => Ok(new_null_array(field.data_type(), rows)),
                },
            }
        });
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
    let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// A column, or a field of a struct by its dotted name: NULL where the struct is.
fn column(
    batch: &RecordBatch,
    name: &str,
) -> std::result::Result<Option<ArrayRef>, datafusion::arrow::error::ArrowError> {
    if let Some(found) = batch.column_by_name(name) {
        return Ok(Some(Arc::clone(found)));
    }
    let schema = batch.schema();
    for (root, array) in schema.fields().iter().zip(batch.columns()) {
        let Some(mut rest) = name
            .strip_prefix(root.name().as_str())
            .and_then(|rest| rest.strip_prefix('.'))
        else {
            continue;
        };
        let mut found = Arc::clone(array);
        'inside: loop {
            let Some(members) = found
                .as_any()
                .downcast_ref::<datafusion::arrow::array::StructArray>()
                .cloned()
            else {
                return Ok(None);
            };
            for (index, field) in members.fields().iter().enumerate() {
                let is_last = field.name() == rest;
                let deeper = rest
                    .strip_prefix(field.name().as_str())
                    .and_then(|rest| rest.strip_prefix('.'));
                if !is_last && deeper.is_none() {
                    continue;
                }
                let child = members.column(index);
                let above = datafusion::arrow::compute::is_null(&members)?;
                found = nullif(child, &above)?;
                match deeper {
                    Some(deeper) if !is_last => {
                        rest = deeper;
                        continue 'inside;
                    }
                    _ => return Ok(Some(found)),
                }
            }
            return Ok(None);
        }
    }
    Ok(None)
}
