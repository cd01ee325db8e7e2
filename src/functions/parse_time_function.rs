//! The SQL face of [`super::parse_time`]: `parse_time(text, format [, timezone])`. It must not know how a format is read.

use std::sync::{Arc, LazyLock};

use chrono_tz::Tz;
use datafusion::arrow::array::{ArrayRef, AsArray, StringViewArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, TimeUnit};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::args;
use super::documentation::Entry;
use super::parse_time::TimeFormat;

const NAME: &str = "parse_time";
const SYNTAX: &str = "parse_time(text, format [, timezone])";

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Time",
        description: "The instant a text or a number says, as Timestamp (microseconds, UTC); finer digits are cut off. NULL when it is not of the format, outside the years 1 to 9999, or NULL.",
        syntax: SYNTAX,
        example: "SELECT parse_time('2020-10-18 02:17:06.330', 'iso8601', 'Europe/Berlin');  -- 2020-10-18T00:17:06.330Z",
        arguments: &[
            ("text", "Text, or a number for unix, unix_s, unix_ms and filetime."),
            ("format", "A literal: iso8601, unix (seconds, milliseconds, microseconds or nanoseconds, by their size), unix_s, unix_ms, filetime (Windows ticks) or a strftime pattern of chrono."),
            ("timezone", "A literal such as Europe/Berlin, for texts without an offset; UTC when left out."),
        ],
    }
    .build()
});

/// The function: Timestamp(Microsecond, "UTC"), NULL where the text is not of the format.
pub(super) fn udf() -> ScalarUDF {
    ScalarUDF::from(ParseTime {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ParseTime {
    signature: Signature,
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The format and the zone of a call; `None` when either is NULL.
fn settings(
    format: &ScalarValue,
    timezone: Option<&ScalarValue>,
) -> Result<Option<(TimeFormat, Tz)>> {
    let Some(format) = args::scalar_text(NAME, format)? else {
        return Ok(None);
    };
    let format = TimeFormat::parse(format).or_else(|reason| plan_err!("{NAME}: {reason}"))?;
    let zone = match timezone {
        None => Tz::UTC,
        Some(name) => match args::scalar_text(NAME, name)? {
            None => return Ok(None),
            Some(name) => name.parse().or_else(|_| {
                plan_err!("{NAME}: unknown time zone '{name}' (hint: a name such as Europe/Berlin)")
            })?,
        },
    };
    Ok(Some((format, zone)))
}

impl ScalarUDFImpl for ParseTime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        args::check_count(NAME, SYNTAX, types.len(), 2..=3)?;
        let value = match &types[0] {
            // Written out in invoke, because a cast would write large ones with an exponent.
            float if float.is_floating() => DataType::Float64,
            number if number.is_numeric() => DataType::Utf8View,
            other => args::coerce_text(NAME, "text", other)?,
        };
        let mut coerced = vec![value];
        for (data_type, argument) in types[1..].iter().zip(["format", "timezone"]) {
            coerced.push(args::coerce_text(NAME, argument, data_type)?);
        }
        Ok(coerced)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(instant())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        if let Some(format) = args::literal(&args, 1) {
            settings(format, args::literal(&args, 2))?;
        }
        Ok(Arc::new(Field::new(NAME, instant(), true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        args::check_literal(NAME, "format", args.get(1))?;
        args::check_literal(NAME, "timezone", args.get(2))?;
        Ok(ExprSimplifyResult::Original(args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let format = args::constant(NAME, "format", args.args.get(1))?;
        let format = format.unwrap_or(ScalarValue::Null);
        let timezone = args::constant(NAME, "timezone", args.args.get(2))?;
        let Some((format, zone)) = settings(&format, timezone.as_ref())? else {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from(&instant())?));
        };
        let texts = written_out(&args.args[0])?;
        args::map_text(&texts, |texts| Ok(parse_all(texts, &format, zone)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

/// Floating point numbers as text without an exponent; text as it is.
fn written_out(argument: &ColumnarValue) -> Result<ColumnarValue> {
    if argument.data_type() != DataType::Float64 {
        return Ok(argument.clone());
    }
    Ok(match argument {
        ColumnarValue::Scalar(ScalarValue::Float64(number)) => ColumnarValue::Scalar(
            ScalarValue::Utf8View(number.map(|number| number.to_string())),
        ),
        other => {
            let numbers = other.to_array(1)?;
            let texts: StringViewArray = numbers
                .as_primitive::<Float64Type>()
                .iter()
                .map(|number| number.map(|number| number.to_string()))
                .collect();
            ColumnarValue::Array(Arc::new(texts))
        }
    })
}

fn parse_all(texts: &StringViewArray, format: &TimeFormat, zone: Tz) -> ArrayRef {
    let instants: TimestampMicrosecondArray = texts
        .iter()
        .map(|text| format.parse_text(text?, zone))
        .collect();
    Arc::new(instants.with_timezone("UTC"))
}
