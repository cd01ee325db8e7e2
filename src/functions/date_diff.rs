//! `date_diff(unit, from, to)`: complete units between two instants, as Trino has it, which `DataFusion` lacks.
//! It must not know windows or tiles.
//!
//! Months follow `java.time`: a month is complete when the later instant has reached the day of month and the time of day
//! of the earlier one, so January 31 to February 29 is 0 months. (Joda, which older Trino uses, says 1.)

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Datelike, Timelike, Utc};
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
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

const NAME: &str = "date_diff";
const SYNTAX: &str = "date_diff(unit, from, to)";

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Time",
        description: "How many complete units lie between two instants, as BIGINT, negative when the second is the earlier one. Calendar units are those of UTC; January 31 to February 29 is 0 months. NULL when an argument is NULL.",
        syntax: SYNTAX,
        example: "SELECT date_diff('minute', TIMESTAMP '2020-01-01 00:00:00', TIMESTAMP '2020-01-01 01:30:59');  -- 90",
        arguments: &[
            ("unit", "A literal: year, quarter, month, week, day, hour, minute, second, millisecond or microsecond."),
            ("from", "A timestamp, a date, or a text in their form."),
            ("to", "As from."),
        ],
    }
    .build()
});

#[derive(Debug, Clone, Copy)]
enum Unit {
    /// So many months.
    Months(i64),
    /// So many microseconds.
    Micros(i64),
}

const UNITS: [(&str, Unit); 10] = [
    ("year", Unit::Months(12)),
    ("quarter", Unit::Months(3)),
    ("month", Unit::Months(1)),
    ("week", Unit::Micros(7 * 86_400_000_000)),
    ("day", Unit::Micros(86_400_000_000)),
    ("hour", Unit::Micros(3_600_000_000)),
    ("minute", Unit::Micros(60_000_000)),
    ("second", Unit::Micros(1_000_000)),
    ("millisecond", Unit::Micros(1_000)),
    ("microsecond", Unit::Micros(1)),
];

fn unit(name: &str) -> Result<Unit> {
    for (known, unit) in UNITS {
        if known.eq_ignore_ascii_case(name) {
            return Ok(unit);
        }
    }
    plan_err!(
        "{NAME}: unknown unit '{name}' (hint: one of {})",
        UNITS.map(|(known, _)| known).join(", ")
    )
}

/// Complete units from one instant to another, in microseconds since 1970. `None` beyond what the calendar can tell.
fn difference(unit: Unit, from: i64, to: i64) -> Option<i64> {
    match unit {
        Unit::Micros(micros) => {
            i64::try_from((i128::from(to) - i128::from(from)) / i128::from(micros)).ok()
        }
        Unit::Months(months) => Some(complete_months(from, to)? / months),
    }
}

fn complete_months(from: i64, to: i64) -> Option<i64> {
    let from = DateTime::<Utc>::from_timestamp_micros(from)?;
    let to = DateTime::<Utc>::from_timestamp_micros(to)?;
    let months = |time: &DateTime<Utc>| i64::from(time.year()) * 12 + i64::from(time.month0());
    let within = |time: &DateTime<Utc>| {
        (
            time.day(),
            time.num_seconds_from_midnight(),
            time.nanosecond(),
        )
    };
    let whole = months(&to) - months(&from);
    Some(if whole > 0 && within(&to) < within(&from) {
        whole - 1
    } else if whole < 0 && within(&to) > within(&from) {
        whole + 1
    } else {
        whole
    })
}

/// The function: Int64, NULL when an argument is NULL.
pub(super) fn udf() -> ScalarUDF {
    ScalarUDF::from(DateDiff {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateDiff {
    signature: Signature,
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn coerce_time(argument: &str, data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::Timestamp(_, _)
        | DataType::Date32
        | DataType::Date64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Null => Ok(instant()),
        other => plan_err!(
            "{NAME}: {argument} must be a timestamp or a date, not {other} (hint: parse_time reads numbers)"
        ),
    }
}

impl ScalarUDFImpl for DateDiff {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        args::check_count(NAME, SYNTAX, types.len(), 3..=3)?;
        Ok(vec![
            args::coerce_text(NAME, "unit", &types[0])?,
            coerce_time("from", &types[1])?,
            coerce_time("to", &types[2])?,
        ])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        if let Some(literal) = args::literal(&args, 0)
            && let Some(name) = args::scalar_text(NAME, literal)?
        {
            unit(name)?;
        }
        Ok(Arc::new(Field::new(NAME, DataType::Int64, true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        args::check_literal(NAME, "unit", args.first())?;
        Ok(ExprSimplifyResult::Original(args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [name, from, to] = args.args.as_slice() else {
            return plan_err!("{NAME}: it is called as {SYNTAX}");
        };
        let name = args::constant(NAME, "unit", Some(name))?.unwrap_or(ScalarValue::Null);
        let Some(name) = args::scalar_text(NAME, &name)? else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Int64(None)));
        };
        let unit = unit(name)?;
        let scalar = [from, to]
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let (from, to) = (from.to_array(rows)?, to.to_array(rows)?);
        let differences = column(unit, &from, &to);
        if scalar {
            let value = ScalarValue::try_from_array(&differences, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(Arc::new(differences)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

fn column(unit: Unit, from: &ArrayRef, to: &ArrayRef) -> Int64Array {
    let from = from.as_primitive::<TimestampMicrosecondType>();
    let to = to.as_primitive::<TimestampMicrosecondType>();
    from.iter()
        .zip(to)
        .map(|(from, to)| difference(unit, from?, to?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(name: &str, from: &str, to: &str) -> i64 {
        let micros = |text: &str| text.parse::<DateTime<Utc>>().unwrap().timestamp_micros();
        difference(unit(name).unwrap(), micros(from), micros(to)).unwrap()
    }

    #[test]
    fn units_are_complete_and_signed() {
        let (from, to) = ("2020-01-01T00:00:00Z", "2020-01-02T23:59:59.999999Z");
        assert_eq!(diff("day", from, to), 1);
        assert_eq!(diff("day", to, from), -1);
        assert_eq!(diff("hour", from, to), 47);
        assert_eq!(
            diff("WEEK", "2020-01-01T00:00:00Z", "2020-01-15T00:00:00Z"),
            2
        );
        assert_eq!(diff("millisecond", from, "2020-01-01T00:00:00.001999Z"), 1);
        assert_eq!(
            diff(
                "second",
                "1969-12-31T23:59:59.500Z",
                "1970-01-01T00:00:00.400Z"
            ),
            0
        );
    }

    #[test]
    fn months_follow_java_time() {
        assert_eq!(
            diff("month", "2020-01-31T00:00:00Z", "2020-02-29T00:00:00Z"),
            0
        );
        assert_eq!(
            diff("month", "2020-02-29T00:00:00Z", "2020-01-31T00:00:00Z"),
            0
        );
        assert_eq!(
            diff("month", "2020-01-31T00:00:00Z", "2020-03-31T00:00:00Z"),
            2
        );
        assert_eq!(
            diff("month", "2020-01-15T12:00:00Z", "2020-02-15T11:59:59Z"),
            0
        );
        assert_eq!(
            diff("month", "2020-02-15T12:00:00Z", "2020-01-15T12:00:00Z"),
            -1
        );
        assert_eq!(
            diff("year", "2020-02-29T00:00:00Z", "2021-02-28T00:00:00Z"),
            0
        );
        assert_eq!(
            diff("year", "2020-02-29T00:00:00Z", "2021-03-01T00:00:00Z"),
            1
        );
        assert_eq!(
            diff("quarter", "2020-01-01T00:00:00Z", "2020-12-31T00:00:00Z"),
            3
        );
    }

    #[test]
    fn the_extremes_do_not_overflow() {
        assert_eq!(difference(Unit::Micros(1), i64::MIN, i64::MAX), None);
        assert!(difference(Unit::Micros(1000), i64::MIN, i64::MAX).is_some());
        assert_eq!(difference(Unit::Months(1), i64::MIN, i64::MAX), None);
    }
}
