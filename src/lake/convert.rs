//! Arrow columns of a file as the types that a form declares.
//!
//! Says which values fit which type; what does not becomes NULL and is counted. Knows nothing of files and rows.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringViewArray,
    StringViewBuilder, new_null_array,
};
use datafusion::arrow::compute::{can_cast_types, cast};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::json::LineDelimitedWriter;

use super::columns::{boolean, whole};
use super::form::ColumnType;
use crate::functions::parse_int;

/// Structs, lists and maps as JSON texts, one for each value. Fields that are NULL are left out.
fn json_texts(array: &ArrayRef) -> datafusion::error::Result<ArrayRef> {
    let batch = RecordBatch::try_from_iter_with_nullable([("", Arc::clone(array), true)])?;
    let mut bytes = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut bytes);
    writer.write(&batch)?;
    writer.finish()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut texts = StringViewBuilder::with_capacity(array.len());
    for line in text.lines() {
        // The writer puts an object around each row.
        let value = line
            .strip_prefix("{\"\":")
            .and_then(|line| line.strip_suffix('}'));
        texts.append_option(value);
    }
    Ok(Arc::new(texts.finish()))
}

/// Bytes as text where they are UTF-8, else as hex digits: nothing of them is lost.
fn byte_texts(array: &ArrayRef) -> datafusion::error::Result<ArrayRef> {
    let bytes = cast(array, &DataType::BinaryView)?;
    let texts = bytes.as_binary_view().iter().map(|bytes| {
        let bytes = bytes?;
        let text = std::str::from_utf8(bytes).map(str::to_owned);
        Some(text.unwrap_or_else(|_| crate::hex(bytes)))
    });
    Ok(Arc::new(texts.collect::<StringViewArray>()))
}

fn each_text<T>(
    array: &ArrayRef,
    read: fn(&str) -> Option<T>,
) -> datafusion::error::Result<impl Iterator<Item = Option<T>>> {
    let texts = cast(array, &DataType::Utf8View)?;
    let texts: Vec<_> = texts
        .as_string_view()
        .iter()
        .map(|text| text.and_then(read))
        .collect();
    Ok(texts.into_iter())
}

/// A column as its declared type, and how many values did not fit and became NULL.
pub(super) fn convert(
    array: &ArrayRef,
    column_type: ColumnType,
) -> datafusion::error::Result<(ArrayRef, u64)> {
    let array = match array.data_type() {
        DataType::Dictionary(_, values) => &cast(array, values)?,
        _ => array,
    };
    let is_text = matches!(
        array.data_type(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    let nested = array.data_type().is_nested();
    let converted: ArrayRef = match column_type {
        // What no JSON can say is a misfit, not a broken file.
        ColumnType::Json if nested => {
            json_texts(array).unwrap_or_else(|_| new_null_array(&column_type.arrow(), array.len()))
        }
        _ if nested => new_null_array(&column_type.arrow(), array.len()),
        ColumnType::Json if array.data_type().is_binary() => byte_texts(array)?,
        ColumnType::Int if is_text => {
            Arc::new(each_text(array, parse_int)?.collect::<Int64Array>())
        }
        ColumnType::Bool if is_text => {
            Arc::new(each_text(array, boolean)?.collect::<BooleanArray>())
        }
        ColumnType::Int if array.data_type().is_floating() || array.data_type().is_decimal() => {
            let floats = cast(array, &DataType::Float64)?;
            let floats = floats.as_primitive::<Float64Type>().iter();
            Arc::new(
                floats
                    .map(|value| value.and_then(whole))
                    .collect::<Int64Array>(),
            )
        }
        ColumnType::Bool if array.data_type().is_numeric() => {
            let numbers = cast(array, &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>().iter();
            let flag = |value| match value {
                Some(0.0) => Some(false),
                Some(1.0) => Some(true),
                _ => None,
            };
            Arc::new(numbers.map(flag).collect::<BooleanArray>())
        }
        other if can_cast_types(array.data_type(), &other.arrow()) => cast(array, &other.arrow())?,
        other => new_null_array(&other.arrow(), array.len()),
    };
    let empty = if is_text && !matches!(column_type, ColumnType::Text | ColumnType::Json) {
        let texts = cast(array, &DataType::Utf8View)?;
        texts
            .as_string_view()
            .iter()
            .filter(|text| *text == Some(""))
            .count()
    } else {
        0
    };
    let conflicts = converted
        .logical_null_count()
        .saturating_sub(array.logical_null_count() + empty);
    Ok((converted, conflicts as u64))
}
