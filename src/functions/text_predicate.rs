//! The common body of `regexp_like`, `like_match`, `ilike_match` and `wildcard_match`: text, pattern, option → boolean.
//! While a query is planned, a literal pattern is compiled into the function itself; every batch of every partition then
//! uses that one matcher. It must not know the pattern languages (see [`super::matcher`]).

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, StringViewArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Like, ScalarFunction};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::args;
use super::cache::PatternCache;
use super::matcher::{Matcher, Syntax};
use super::required::Required;

/// What makes one predicate differ from another.
#[derive(Debug)]
pub(super) struct Kind {
    pub name: &'static str,
    pub syntax: &'static str,
    /// What the third argument is called in errors.
    pub option: &'static str,
    /// Whether the third argument is text; otherwise it is a boolean.
    pub option_is_text: bool,
    /// What the third argument (absent: `None`) makes of the pattern language. The error is one line.
    pub resolve: fn(Option<&ScalarValue>) -> Result<Syntax, String>,
    pub documentation: LazyLock<Documentation>,
}

type Cache = PatternCache<(String, Syntax), Matcher>;

/// A pattern and the matcher made from it. Equal when the texts are: a matcher is a function of them.
#[derive(Debug, Clone)]
struct Compiled {
    pattern: String,
    syntax: Syntax,
    matcher: Arc<Matcher>,
}

/// A test of one text that a plan makes, for those who make many of them at once: the first argument is matched.
#[derive(Debug, Clone)]
pub struct TextTest {
    matcher: Arc<Matcher>,
    /// What every text that passes holds.
    pub required: Required,
}

impl TextTest {
    /// The test that a call of `regexp_like`, LIKE, ILIKE or `wildcard_match` with a literal pattern makes; `None` for
    /// any other function, and before the optimizer has compiled it.
    pub fn of(call: &ScalarFunction) -> Option<Self> {
        let predicate = call.func.inner().downcast_ref::<TextPredicate>()?;
        let compiled = predicate.compiled.as_ref()?;
        Some(Self {
            matcher: Arc::clone(&compiled.matcher),
            required: Required::of(&compiled.pattern, &compiled.syntax),
        })
    }

    /// Whether a text passes.
    pub fn is_match(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }
}

/// One of the predicates; with `compiled`, for one literal pattern.
#[derive(Debug)]
struct TextPredicate {
    kind: &'static Kind,
    signature: Signature,
    cache: Arc<Cache>,
    compiled: Option<Compiled>,
}

impl TextPredicate {
    fn identity(&self) -> (&str, Option<(&str, &Syntax)>) {
        let compiled = self.compiled.as_ref();
        (
            self.kind.name,
            compiled.map(|compiled| (compiled.pattern.as_str(), &compiled.syntax)),
        )
    }
}

impl PartialEq for TextPredicate {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for TextPredicate {}

impl Hash for TextPredicate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// The predicate of a kind, ready to register.
pub(super) fn udf(kind: &'static Kind) -> ScalarUDF {
    ScalarUDF::from(TextPredicate {
        kind,
        signature: Signature::user_defined(Volatility::Immutable),
        cache: Arc::default(),
        compiled: None,
    })
}

impl TextPredicate {
    fn resolve(&self, option: Option<&ScalarValue>) -> Result<Syntax> {
        (self.kind.resolve)(option).or_else(|reason| plan_err!("{}: {reason}", self.kind.name))
    }

    fn matcher(&self, pattern: &str, syntax: &Syntax) -> Result<Arc<Matcher>> {
        if let Some(compiled) = &self.compiled
            && compiled.pattern == pattern
            && compiled.syntax == *syntax
        {
            return Ok(Arc::clone(&compiled.matcher));
        }
        let key = (pattern.to_owned(), syntax.clone());
        self.cache
            .get(key, |(pattern, syntax)| Matcher::compile(pattern, syntax))
            .or_else(|reason| plan_err!("{}: bad pattern '{pattern}': {reason}", self.kind.name))
    }
}

impl ScalarUDFImpl for TextPredicate {
    fn name(&self) -> &str {
        self.kind.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        args::check_count(self.kind.name, self.kind.syntax, types.len(), 2..=3)?;
        let mut coerced = vec![
            // Numbers and booleans are matched as their text, as in any SIEM: `process_id LIKE '4%'`.
            if types[0].is_numeric() || types[0] == DataType::Boolean {
                DataType::Utf8View
            } else {
                args::coerce_text(self.kind.name, "text", &types[0])?
            },
            args::coerce_text(self.kind.name, "pattern", &types[1])?,
        ];
        if let Some(option) = types.get(2) {
            coerced.push(if self.kind.option_is_text {
                args::coerce_text(self.kind.name, self.kind.option, option)?
            } else if matches!(option, DataType::Boolean | DataType::Null) {
                option.clone()
            } else {
                return plan_err!(
                    "{}: {} must be true or false, not {option}",
                    self.kind.name,
                    self.kind.option
                );
            });
        }
        Ok(coerced)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let name = self.kind.name;
        let option = args::literal(&args, 2);
        let known = option.is_some() || args.arg_fields.len() == 2;
        if known && !option.is_some_and(ScalarValue::is_null) {
            let syntax = self.resolve(option)?;
            if let Some(pattern) = args::literal(&args, 1)
                && let Some(pattern) = args::scalar_text(name, pattern)?
            {
                self.matcher(pattern, &syntax)?;
            }
        }
        let nullable = args::any_nullable(&args);
        Ok(Arc::new(Field::new(name, DataType::Boolean, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        args::check_literal(self.kind.name, self.kind.option, args.get(2))?;
        let option = match args.get(2) {
            None => None,
            Some(Expr::Literal(value, _)) if !value.is_null() => Some(value),
            Some(_) => return Ok(ExprSimplifyResult::Original(args)),
        };
        let Some(pattern) = args::literal_text(&args[1]) else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        if self.compiled.is_some() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let syntax = self.resolve(option)?;
        let matcher = self.matcher(pattern, &syntax)?;
        if let Some(plain) = as_prunable(&matcher, &args[0], info)? {
            return Ok(ExprSimplifyResult::Simplified(plain));
        }
        let compiled = TextPredicate {
            kind: self.kind,
            signature: self.signature.clone(),
            cache: Arc::clone(&self.cache),
            compiled: Some(Compiled {
                pattern: pattern.to_owned(),
                syntax,
                matcher,
            }),
        };
        // The arguments stay, so that EXPLAIN shows the call as it was written.
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(
            ScalarFunction::new_udf(Arc::new(ScalarUDF::from(compiled)), args),
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let null = || Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
        let option = args::constant(self.kind.name, self.kind.option, args.args.get(2))?;
        if option.as_ref().is_some_and(ScalarValue::is_null) {
            return null();
        }
        let syntax = self.resolve(option.as_ref())?;
        match &args.args[1] {
            ColumnarValue::Scalar(pattern) => {
                let Some(pattern) = args::scalar_text(self.kind.name, pattern)? else {
                    return null();
                };
                let matcher = self.matcher(pattern, &syntax)?;
                args::map_text(&args.args[0], |texts| Ok(match_all(&matcher, texts)))
            }
            ColumnarValue::Array(patterns) => {
                let texts = args::views(&args.args[0].to_array(args.number_rows)?)?;
                let patterns = args::views(patterns)?;
                let matches = self.match_each(&texts, &patterns, &syntax)?;
                Ok(ColumnarValue::Array(matches))
            }
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.kind.documentation)
    }
}

impl TextPredicate {
    /// Matches every text against the pattern of its own row.
    fn match_each(
        &self,
        texts: &StringViewArray,
        patterns: &StringViewArray,
        syntax: &Syntax,
    ) -> Result<ArrayRef> {
        // Runs of one pattern are common (a join with a list of patterns), so the last one is kept at hand.
        let mut last: Option<(&str, Arc<Matcher>)> = None;
        let mut matches = Vec::with_capacity(texts.len());
        for (text, pattern) in texts.iter().zip(patterns) {
            let (Some(text), Some(pattern)) = (text, pattern) else {
                matches.push(None);
                continue;
            };
            let matcher = match &last {
                Some((known, matcher)) if *known == pattern => matcher,
                _ => {
                    let matcher = self.matcher(pattern, syntax)?;
                    &last.insert((pattern, matcher)).1
                }
            };
            matches.push(Some(matcher.is_match(text)));
        }
        Ok(Arc::new(BooleanArray::from(matches)))
    }
}

fn match_all(matcher: &Matcher, texts: &StringViewArray) -> ArrayRef {
    let bits = BooleanBuffer::collect_bool(texts.len(), |row| {
        texts.is_valid(row) && matcher.is_match(texts.value(row))
    });
    Arc::new(BooleanArray::new(bits, texts.nulls().cloned()))
}

/// Equality and prefixes in a form that statistics of Parquet files and partitions can be pruned by. Only without `\`,
/// which `DataFusion`'s LIKE would take as an escape, and only where the literal has the column's own type.
fn as_prunable(matcher: &Matcher, text: &Expr, info: &SimplifyContext) -> Result<Option<Expr>> {
    let literal = match matcher {
        Matcher::Equals(literal) => literal.clone(),
        Matcher::Prefix(literal) if !literal.contains(['\\', '%', '_']) => format!("{literal}%"),
        _ => return Ok(None),
    };
    let literal = match info.get_data_type(text)? {
        DataType::Utf8 => ScalarValue::Utf8(Some(literal)),
        DataType::LargeUtf8 => ScalarValue::LargeUtf8(Some(literal)),
        DataType::Utf8View => ScalarValue::Utf8View(Some(literal)),
        _ => return Ok(None),
    };
    let literal = Expr::Literal(literal, None);
    Ok(Some(match matcher {
        Matcher::Equals(_) => text.clone().eq(literal),
        _ => Expr::Like(Like::new(
            false,
            Box::new(text.clone()),
            Box::new(literal),
            None,
            false,
        )),
    }))
}
