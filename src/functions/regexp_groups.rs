//! `regexp_groups(text, pattern)`: all named groups of the first match as a struct, so that one pass over a command line
//! gives several columns. It must not know the other pattern functions.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder, StructArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use regex::Regex;

use super::documentation::Entry;
use super::{args, capture};

const NAME: &str = "regexp_groups";
const SYNTAX: &str = "regexp_groups(text, pattern)";

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Text",
        description: "The named groups of the first match, as a struct of Utf8View fields. When nothing matches, or the text is NULL, the struct and all its fields are NULL; a group that took no part is NULL.",
        syntax: SYNTAX,
        example: r"SELECT regexp_groups('alice@host7', '(?<user>\w+)@(?<host>\w+)')['host'];  -- host7",
        arguments: &[
            ("text", "The text to search."),
            ("pattern", "The regular expression, a literal with at least one group (?<name>...)."),
        ],
    }
    .build()
});

/// The function: a struct with a `Utf8View` field for every named group.
pub(super) fn udf() -> ScalarUDF {
    ScalarUDF::from(RegexpGroups {
        signature: Signature::user_defined(Volatility::Immutable),
        cache: Arc::default(),
        compiled: None,
    })
}

#[derive(Debug)]
struct RegexpGroups {
    signature: Signature,
    cache: Arc<capture::Cache>,
    /// The literal pattern of one call.
    compiled: Option<Arc<Regex>>,
}

impl RegexpGroups {
    fn pattern(&self) -> Option<&str> {
        self.compiled.as_ref().map(|regex| regex.as_str())
    }

    fn regex(&self, pattern: &str) -> Result<Arc<Regex>> {
        match &self.compiled {
            Some(regex) if regex.as_str() == pattern => Ok(Arc::clone(regex)),
            _ => capture::compile(NAME, pattern, &self.cache),
        }
    }
}

// Equal when the pattern's text is: the regex is a function of it.
impl PartialEq for RegexpGroups {
    fn eq(&self, other: &Self) -> bool {
        self.pattern() == other.pattern()
    }
}

impl Eq for RegexpGroups {}

impl Hash for RegexpGroups {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern().hash(state);
    }
}

fn fields(regex: &Regex) -> Fields {
    capture::names(regex)
        .into_iter()
        .map(|name| Field::new(name, DataType::Utf8View, true))
        .collect()
}

impl ScalarUDFImpl for RegexpGroups {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        args::check_count(NAME, SYNTAX, types.len(), 2..=2)?;
        Ok(vec![
            args::coerce_text(NAME, "text", &types[0])?,
            args::coerce_text(NAME, "pattern", &types[1])?,
        ])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("{NAME}: its type depends on the pattern")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let Some(pattern) = args::literal(&args, 1) else {
            return plan_err!(
                "{NAME}: pattern must be a literal, because its groups are the fields of the result"
            );
        };
        let Some(pattern) = args::scalar_text(NAME, pattern)? else {
            return plan_err!("{NAME}: the pattern must not be NULL");
        };
        let fields = fields(self.regex(pattern)?.as_ref());
        if fields.is_empty() {
            return plan_err!(
                "{NAME}: pattern '{pattern}' has no named group (hint: write (?<name>...))"
            );
        }
        Ok(Arc::new(Field::new(NAME, DataType::Struct(fields), true)))
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(pattern) = args::literal_text(&args[1]) else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        if self.compiled.is_some() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let compiled = RegexpGroups {
            signature: self.signature.clone(),
            cache: Arc::clone(&self.cache),
            compiled: Some(self.regex(pattern)?),
        };
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(
            ScalarFunction::new_udf(Arc::new(ScalarUDF::from(compiled)), args),
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ColumnarValue::Scalar(pattern) = &args.args[1] else {
            return internal_err!("{NAME}: the pattern was planned as a literal");
        };
        let Some(pattern) = args::scalar_text(NAME, pattern)? else {
            return plan_err!("{NAME}: the pattern must not be NULL");
        };
        let regex = self.regex(pattern)?;
        args::map_text(&args.args[0], |texts| extract_all(&regex, texts))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

fn extract_all(regex: &Regex, texts: &StringViewArray) -> Result<ArrayRef> {
    let groups: Vec<usize> = regex
        .capture_names()
        .enumerate()
        .filter_map(|(index, name)| name.map(|_| index))
        .collect();
    let mut columns: Vec<StringViewBuilder> = groups
        .iter()
        .map(|_| StringViewBuilder::with_capacity(texts.len()))
        .collect();
    let mut matched = Vec::with_capacity(texts.len());
    let mut locations = regex.capture_locations();
    for text in texts {
        let found = text.filter(|text| regex.captures_read(&mut locations, text).is_some());
        matched.push(found.is_some());
        for (column, group) in columns.iter_mut().zip(&groups) {
            // Without a match the fields are NULL too: get_field does not look at the struct's own NULLs.
            column.append_option(found.and_then(|text| {
                let (start, end) = locations.get(*group)?;
                text.get(start..end)
            }));
        }
    }
    let columns = columns
        .iter_mut()
        .map(|column| Arc::new(column.finish()) as ArrayRef)
        .collect();
    let nulls = NullBuffer::from(matched);
    Ok(Arc::new(StructArray::try_new(
        fields(regex),
        columns,
        Some(nulls),
    )?))
}
