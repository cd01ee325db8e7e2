//! One cell of a result as JSON and as text for people.
//!
//! Knows Arrow types, not what the columns mean.

use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

/// A cell as JSON: numbers, booleans and texts as such, times as RFC 3339 with Z, lists and structs nested, NULL as
/// null. A number that JSON cannot hold exactly (beyond 64 bits, NaN) becomes its text.
pub fn json(array: &dyn Array, row: usize) -> Value {
    if is_null(array, row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            match cast(&array.slice(row, 1), &DataType::Int64) {
                Ok(value) => value
                    .as_primitive::<datafusion::arrow::datatypes::Int64Type>()
                    .value(0)
                    .into(),
                Err(_) => shown(array, row).into(),
            }
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            match cast(&array.slice(row, 1), &DataType::UInt64) {
                Ok(value) => value.as_primitive::<UInt64Type>().value(0).into(),
                Err(_) => shown(array, row).into(),
            }
        }
        DataType::Float32 => f64::from(array.as_primitive::<Float32Type>().value(row)).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        DataType::Timestamp(..) => {
            time(array, row).map_or(Value::Null, |time| rfc3339(time).into())
        }
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        DataType::LargeList(_) => list(array.as_list::<i64>().value(row).as_ref()),
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            let members = fields.iter().enumerate();
            Value::Object(
                members
                    .map(|(index, field)| {
                        (
                            field.name().clone(),
                            json(columns.column(index).as_ref(), row),
                        )
                    })
                    .collect::<Map<_, _>>(),
            )
        }
        _ => shown(array, row).into(),
    }
}

/// Whether a cell is NULL; those of a column that has no type are, though Arrow keeps no count of them.
pub fn is_null(array: &dyn Array, row: usize) -> bool {
    array.is_null(row) || *array.data_type() == DataType::Null
}

fn list(items: &dyn Array) -> Value {
    (0..items.len()).map(|row| json(items, row)).collect()
}

fn shown(array: &dyn Array, row: usize) -> String {
    ArrayFormatter::try_new(array, &FormatOptions::default())
        .map(|formatter| formatter.value(row).to_string())
        .unwrap_or_default()
}

/// A cell as text for messages: texts bare, lists with commas, NULL as nothing.
pub fn text(array: &dyn Array, row: usize) -> String {
    plain(&json(array, row))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => match (members.get("values"), members.get("truncated")) {
            // What collect_set gives.
            (Some(values), Some(truncated)) => {
                plain(values)
                    + if *truncated == Value::Bool(true) {
                        ", ..."
                    } else {
                        ""
                    }
            }
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// The values of a cell one by one: the items of a list, or the one value; NULLs are nothing.
pub fn texts(array: &dyn Array, row: usize) -> Vec<String> {
    match json(array, row) {
        Value::Array(items) => items
            .iter()
            .filter(|item| !item.is_null())
            .map(plain)
            .collect(),
        Value::Null => Vec::new(),
        one => vec![plain(&one)],
    }
}

/// A timestamp cell as an instant.
pub fn time(array: &dyn Array, row: usize) -> Option<DateTime<Utc>> {
    if array.is_null(row) {
        return None;
    }
    let micros = cast(
        &array.slice(row, 1),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    )
    .ok()?;
    DateTime::from_timestamp_micros(micros.as_primitive::<TimestampMicrosecondType>().value(0))
}

/// RFC 3339 in UTC with Z, with a fraction only where there is one.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
