//! `regexp_extract(text, pattern [, group])`: one group of the first match, by number or name.
//! It must not know the other pattern functions.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use regex::Regex;

use super::documentation::Entry;
use super::{args, capture};

const NAME: &str = "regexp_extract";
const SYNTAX: &str = "regexp_extract(text, pattern [, group])";

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Text",
        description: "The text (Utf8View) of one group of the first match. NULL when nothing matches, when the group took no part in the match, or when an argument is NULL.",
        syntax: SYNTAX,
        example: r"SELECT regexp_extract('user=alice id=7', 'user=(?<user>\w+)', 'user');  -- alice",
        arguments: &[
            ("text", "The text to search."),
            ("pattern", "The regular expression; a literal is compiled once per query."),
            ("group", "Its number or its name, as a literal; 0, the whole match, when left out."),
        ],
    }
    .build()
});

/// The function: `Utf8View`, NULL where the group has no text.
pub(super) fn udf() -> ScalarUDF {
    ScalarUDF::from(RegexpExtract {
        signature: Signature::user_defined(Volatility::Immutable),
        cache: Arc::default(),
        compiled: None,
    })
}

#[derive(Debug)]
struct RegexpExtract {
    signature: Signature,
    cache: Arc<capture::Cache>,
    /// The literal pattern of one call.
    compiled: Option<Arc<Regex>>,
}

impl RegexpExtract {
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
impl PartialEq for RegexpExtract {
    fn eq(&self, other: &Self) -> bool {
        self.pattern() == other.pattern()
    }
}

impl Eq for RegexpExtract {}

impl Hash for RegexpExtract {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern().hash(state);
    }
}

/// The index of the group in this regex. `None` when the group is NULL.
fn group_index(regex: &Regex, group: Option<&ScalarValue>) -> Result<Option<usize>> {
    let Some(group) = group else {
        return Ok(Some(0));
    };
    if group.is_null() {
        return Ok(None);
    }
    let found = match group {
        ScalarValue::Int64(Some(number)) => usize::try_from(*number)
            .ok()
            .filter(|index| *index < regex.captures_len()),
        other => other.try_as_str().flatten().and_then(|name| {
            regex
                .capture_names()
                .position(|candidate| candidate == Some(name))
        }),
    };
    if found.is_some() {
        return Ok(found);
    }
    let names = capture::names(regex);
    let named = if names.is_empty() {
        "no named ones".to_owned()
    } else {
        format!("named {}", names.join(", "))
    };
    plan_err!(
        "{NAME}: no group {group} in pattern '{regex}' (hint: it has groups 0 to {}, {named})",
        regex.captures_len() - 1
    )
}

impl ScalarUDFImpl for RegexpExtract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        args::check_count(NAME, SYNTAX, types.len(), 2..=3)?;
        let mut coerced = vec![
            args::coerce_text(NAME, "text", &types[0])?,
            args::coerce_text(NAME, "pattern", &types[1])?,
        ];
        match types.get(2) {
            None => {}
            Some(number) if number.is_integer() => coerced.push(DataType::Int64),
            Some(name) => coerced.push(args::coerce_text(NAME, "group", name)?),
        }
        Ok(coerced)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let group = args::literal(&args, 2);
        if let Some(pattern) = args::literal(&args, 1)
            && let Some(pattern) = args::scalar_text(NAME, pattern)?
        {
            group_index(self.regex(pattern)?.as_ref(), group)?;
        }
        Ok(Arc::new(Field::new(NAME, DataType::Utf8View, true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        args::check_literal(NAME, "group", args.get(2))?;
        let Some(pattern) = args::literal_text(&args[1]) else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        if self.compiled.is_some() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let compiled = RegexpExtract {
            signature: self.signature.clone(),
            cache: Arc::clone(&self.cache),
            compiled: Some(self.regex(pattern)?),
        };
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(
            ScalarFunction::new_udf(Arc::new(ScalarUDF::from(compiled)), args),
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let null = || Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(None)));
        let group = args::constant(NAME, "group", args.args.get(2))?;
        match &args.args[1] {
            ColumnarValue::Scalar(pattern) => {
                let Some(pattern) = args::scalar_text(NAME, pattern)? else {
                    return null();
                };
                let regex = self.regex(pattern)?;
                let Some(index) = group_index(&regex, group.as_ref())? else {
                    return null();
                };
                args::map_text(&args.args[0], |texts| Ok(extract_all(&regex, index, texts)))
            }
            ColumnarValue::Array(patterns) => {
                let texts = args::views(&args.args[0].to_array(args.number_rows)?)?;
                let patterns = args::views(patterns)?;
                let mut builder = StringViewBuilder::with_capacity(texts.len());
                for (text, pattern) in texts.iter().zip(&patterns) {
                    let (Some(text), Some(pattern)) = (text, pattern) else {
                        builder.append_null();
                        continue;
                    };
                    let regex = self.regex(pattern)?;
                    let index = group_index(&regex, group.as_ref())?;
                    builder.append_option(index.and_then(|index| extract(&regex, index, text)));
                }
                Ok(ColumnarValue::Array(Arc::new(builder.finish())))
            }
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

fn extract<'text>(regex: &Regex, index: usize, text: &'text str) -> Option<&'text str> {
    if index == 0 {
        // The bounds of a match are cheaper to find than those of its groups.
        return regex.find(text).map(|found| found.as_str());
    }
    Some(regex.captures(text)?.get(index)?.as_str())
}

fn extract_all(regex: &Regex, index: usize, texts: &StringViewArray) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(texts.len());
    // Reused, since a set of captures is an allocation.
    let mut locations = regex.capture_locations();
    for text in texts {
        builder.append_option(text.and_then(|text| {
            if index == 0 {
                return extract(regex, 0, text);
            }
            regex.captures_read(&mut locations, text)?;
            locations
                .get(index)
                .and_then(|(start, end)| text.get(start..end))
        }));
    }
    Arc::new(builder.finish())
}
