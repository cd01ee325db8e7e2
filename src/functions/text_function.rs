//! The common body of functions of one text argument: each supplies its name, result type, kernel and documentation.
//! It must not know what any of them computes.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::args;

/// What makes one function differ from another.
#[derive(Debug)]
pub(super) struct Kind {
    pub name: &'static str,
    pub argument: &'static str,
    pub syntax: &'static str,
    pub return_type: fn() -> DataType,
    /// Whether the result may be NULL for a text that is not.
    pub partial: bool,
    /// NULL in, NULL out.
    pub evaluate: fn(&StringViewArray) -> ArrayRef,
    pub documentation: LazyLock<Documentation>,
}

/// A function of one text argument.
#[derive(Debug)]
struct TextFunction {
    kind: &'static Kind,
    signature: Signature,
}

// A function is its name: the kinds are statics, one for each name.
impl PartialEq for TextFunction {
    fn eq(&self, other: &Self) -> bool {
        self.kind.name == other.kind.name
    }
}

impl Eq for TextFunction {}

impl Hash for TextFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.name.hash(state);
    }
}

/// The function of a kind, ready to register.
pub(super) fn udf(kind: &'static Kind) -> ScalarUDF {
    ScalarUDF::from(TextFunction {
        kind,
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        self.kind.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        args::check_count(self.kind.name, self.kind.syntax, types.len(), 1..=1)?;
        Ok(vec![args::coerce_text(
            self.kind.name,
            self.kind.argument,
            &types[0],
        )?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok((self.kind.return_type)())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(
            self.kind.name,
            (self.kind.return_type)(),
            self.kind.partial || args::any_nullable(&args),
        )))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args::map_text(&args.args[0], |texts| Ok((self.kind.evaluate)(texts)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.kind.documentation)
    }
}
