//! OCSF Detection Findings as Parquet, in the nested types that Security Lake and its readers expect.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::ReaderBuilder;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::output::findings::parquet_bytes;

/// The columns, of those attributes of the class that findings fill. Times are milliseconds since 1970, as OCSF has them.
pub fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let object = |name: &str, fields: Vec<Field>| {
        Field::new(name, DataType::Struct(Fields::from(fields)), true)
    };
    let list = |name: &str, item: DataType| {
        Field::new(
            name,
            DataType::List(Arc::new(Field::new("element", item, true))),
            true,
        )
    };
    let named = || vec![text("uid"), text("name")];
    let attack = DataType::Struct(Fields::from(vec![
        object("tactic", named()),
        object("technique", named()),
        object("sub_technique", named()),
        text("version"),
    ]));
    let observable = DataType::Struct(Fields::from(vec![
        text("name"),
        text("type"),
        int("type_id"),
        text("value"),
    ]));
    let evidence = DataType::Struct(Fields::from(vec![text("uid"), text("data")]));
    Arc::new(Schema::new(vec![
        int("activity_id"),
        text("activity_name"),
        int("category_uid"),
        text("category_name"),
        int("class_uid"),
        text("class_name"),
        long("type_uid"),
        text("type_name"),
        long("time"),
        long("start_time"),
        long("end_time"),
        int("severity_id"),
        text("severity"),
        int("status_id"),
        text("status"),
        text("message"),
        int("count"),
        int("risk_score"),
        Field::new("is_alert", DataType::Boolean, true),
        object(
            "metadata",
            vec![
                text("uid"),
                text("version"),
                object(
                    "product",
                    vec![text("name"), text("vendor_name"), text("version")],
                ),
                text("log_name"),
            ],
        ),
        object(
            "finding_info",
            vec![
                text("uid"),
                text("title"),
                text("desc"),
                long("created_time"),
                long("first_seen_time"),
                long("last_seen_time"),
                long("related_events_count"),
                object(
                    "analytic",
                    vec![
                        text("name"),
                        text("uid"),
                        int("type_id"),
                        text("type"),
                        text("version"),
                    ],
                ),
                list("attacks", attack),
                list("types", DataType::Utf8),
            ],
        ),
        list("evidences", evidence),
        list("observables", observable),
        text("unmapped"),
    ]))
}

/// The findings as the bytes of a Parquet file. `data` of evidence and `unmapped`, which have no fixed shape, become JSON
/// text.
///
/// # Errors
/// When a value does not have its type, which would be a bug.
pub fn bytes(findings: &[Value]) -> Result<Vec<u8>> {
    let wrong = |error: ArrowError| Error::failure(error.to_string());
    let flat: Vec<Value> = findings.iter().cloned().map(flat).collect();
    let mut decoder = ReaderBuilder::new(schema())
        .with_batch_size(flat.len().max(1))
        .build_decoder()
        .map_err(wrong)?;
    decoder.serialize(&flat).map_err(wrong)?;
    let batch = decoder.flush().map_err(wrong)?;
    parquet_bytes(&batch.unwrap_or_else(|| RecordBatch::new_empty(schema())))
}

fn flat(mut finding: Value) -> Value {
    let as_text = |value: &mut Value| *value = Value::String(value.to_string());
    if let Some(unmapped) = finding.get_mut("unmapped") {
        as_text(unmapped);
    }
    let evidences = finding.get_mut("evidences").and_then(Value::as_array_mut);
    for evidence in evidences.into_iter().flatten() {
        if let Some(data) = evidence.get_mut("data") {
            as_text(data);
        }
    }
    finding
}
