//! `window_start()` and `window_end()`: functions made with a value for one run. They exist so that SQL reads naturally;
//! the planner sees a literal. It must not know what a window is.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::scalar::ScalarValue;

use super::documentation::Entry;

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Time",
        description: "A bound of the window the query is run for, as Timestamp (microseconds, UTC): window_start() belongs to it, window_end() does not.",
        syntax: "window_start()",
        example: "SELECT date_diff('hour', window_start(), window_end());  -- 24 in a nightly run",
        arguments: &[],
    }
    .build()
});

/// A function without arguments that gives the instant `micros` (microseconds since 1970, UTC), never NULL.
///
/// ```
/// context.register_udf(window_bound("window_start", 1_767_225_600_000_000));
/// ```
pub fn window_bound(name: &'static str, micros: i64) -> ScalarUDF {
    ScalarUDF::from(WindowBound {
        name,
        micros,
        signature: Signature::exact(vec![], Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowBound {
    name: &'static str,
    micros: i64,
    signature: Signature,
}

impl WindowBound {
    fn value(&self) -> ScalarValue {
        ScalarValue::TimestampMicrosecond(Some(self.micros), Some(Arc::from("UTC")))
    }
}

impl ScalarUDFImpl for WindowBound {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(
            TimeUnit::Microsecond,
            Some("UTC".into()),
        ))
    }

    fn simplify(&self, _args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(
            self.value(),
            None,
        )))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value()))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}
