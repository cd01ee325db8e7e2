//! The one place where the many shapes of an argument become one: Utf8, `LargeUtf8`, `Utf8View` and dictionaries of them,
//! one value or a column, all reach a function as a [`StringViewArray`]. It must not know any function.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs};
use datafusion::scalar::ScalarValue;

/// Whether a type holds text, dictionaries included.
pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// The type a text argument is planned with: its own, because a cast in the plan would hide the column from pushdown.
/// A bare NULL stays as it is too, because a cast would keep it from being seen as a literal. Anything else is an error that names the function and the argument.
pub(super) fn coerce_text(
    function: &str,
    argument: &str,
    data_type: &DataType,
) -> Result<DataType> {
    match data_type {
        DataType::Null => Ok(DataType::Null),
        text if is_text(text) => Ok(text.clone()),
        other => plan_err!(
            "{function}: {argument} must be text, not {other} (hint: CAST({argument} AS VARCHAR))"
        ),
    }
}

/// How many arguments a function takes; the error says how it is called.
pub(super) fn check_count(
    function: &str,
    syntax: &str,
    given: usize,
    allowed: std::ops::RangeInclusive<usize>,
) -> Result<()> {
    if allowed.contains(&given) {
        Ok(())
    } else {
        plan_err!("{function}: {given} arguments given (hint: it is called as {syntax})")
    }
}

/// Any text column as string views. Utf8 and dictionaries share their bytes, so this copies views only.
pub(super) fn views(array: &ArrayRef) -> Result<StringViewArray> {
    let array = if array.data_type() == &DataType::Utf8View {
        Arc::clone(array)
    } else {
        cast(array, &DataType::Utf8View)?
    };
    Ok(array.as_string_view().clone())
}

/// The text of one value; `None` for NULL of any type.
pub(super) fn scalar_text<'a>(function: &str, value: &'a ScalarValue) -> Result<Option<&'a str>> {
    match value.try_as_str() {
        Some(text) => Ok(text),
        None if value.is_null() => Ok(None),
        None => exec_err!("{function}: expected text, found {}", value.data_type()),
    }
}

/// The text of a literal in a plan; `None` when the expression is no literal, or NULL.
pub(super) fn literal_text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// The literal given for argument `index`; `None` when it was left out or is no literal, or not yet one: a parameter
/// becomes one before the plan is optimised.
pub(super) fn literal<'a>(args: &ReturnFieldArgs<'a>, index: usize) -> Option<&'a ScalarValue> {
    args.scalar_arguments.get(index).copied().flatten()
}

/// For `simplify`, where parameters and constant expressions have become literals: an error for anything else. A column
/// would have to be read row by row, and nobody means that.
pub(super) fn check_literal(
    function: &str,
    argument: &str,
    expression: Option<&Expr>,
) -> Result<()> {
    match expression {
        None | Some(Expr::Literal(..)) => Ok(()),
        Some(other) => not_literal(function, argument, other),
    }
}

/// The value of an argument that must be a literal; `None` when it was left out.
pub(super) fn constant(
    function: &str,
    argument: &str,
    value: Option<&ColumnarValue>,
) -> Result<Option<ScalarValue>> {
    match value {
        None => Ok(None),
        Some(ColumnarValue::Scalar(value)) => Ok(Some(value.clone())),
        Some(ColumnarValue::Array(_)) => not_literal(function, argument, "a column"),
    }
}

fn not_literal<T>(function: &str, argument: &str, found: impl std::fmt::Display) -> Result<T> {
    plan_err!("{function}: {argument} must be a literal, not {found}")
}

/// Whether any argument may be NULL, which decides whether the result of a strict function may be.
pub(super) fn any_nullable(args: &ReturnFieldArgs<'_>) -> bool {
    args.arg_fields.iter().any(|field| field.is_nullable())
}

/// Applies `evaluate` to a text argument of any shape. A dictionary is evaluated once per distinct value.
pub(super) fn map_text(
    argument: &ColumnarValue,
    evaluate: impl Fn(&StringViewArray) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    match argument {
        ColumnarValue::Scalar(value) => {
            let result = evaluate(&views(&value.to_array_of_size(1)?)?)?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &result, 0,
            )?))
        }
        ColumnarValue::Array(array) => {
            if let Some(dictionary) = array.as_any_dictionary_opt()
                && dictionary.values().len() <= dictionary.keys().len()
            {
                let distinct = evaluate(&views(dictionary.values())?)?;
                return Ok(ColumnarValue::Array(take(
                    &distinct,
                    dictionary.keys(),
                    None,
                )?));
            }
            Ok(ColumnarValue::Array(evaluate(&views(array)?)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{DictionaryArray, StringArray, StringViewBuilder};
    use datafusion::arrow::datatypes::Int32Type;

    #[expect(clippy::unnecessary_wraps, reason = "the shape that map_text asks for")]
    fn upper(texts: &StringViewArray) -> Result<ArrayRef> {
        let mut builder = StringViewBuilder::new();
        for text in texts {
            builder.append_option(text.map(str::to_uppercase));
        }
        Ok(Arc::new(builder.finish()))
    }

    #[test]
    fn every_shape_of_text_gives_the_same() {
        let plain: ArrayRef = Arc::new(StringArray::from(vec![
            Some("a"),
            None,
            Some("ö"),
            Some("a"),
        ]));
        let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("ö"), Some("a")]
            .into_iter()
            .collect();
        let shapes = [
            Arc::clone(&plain),
            cast(&plain, &DataType::LargeUtf8).unwrap(),
            cast(&plain, &DataType::Utf8View).unwrap(),
            Arc::new(dictionary),
        ];
        for shape in shapes {
            let result = map_text(&ColumnarValue::Array(shape), upper).unwrap();
            let result = views(&result.into_array(4).unwrap()).unwrap();
            let result: Vec<_> = result.iter().collect();
            assert_eq!(result, [Some("A"), None, Some("Ö"), Some("A")]);
        }
    }

    #[test]
    fn a_null_scalar_stays_null() {
        let result = map_text(&ColumnarValue::Scalar(ScalarValue::Null), upper).unwrap();
        assert!(matches!(result, ColumnarValue::Scalar(value) if value.is_null()));
    }

    #[test]
    fn a_number_is_refused_by_name() {
        let error = coerce_text("base_name", "path", &DataType::Int64)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("base_name: path must be text, not Int64"),
            "{error}"
        );
    }
}
