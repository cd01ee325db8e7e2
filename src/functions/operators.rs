//! `~`, `~*`, LIKE, ILIKE and their negations become our own functions before any rule of `DataFusion` sees them, since
//! some of those rules change what a backslash means. It must not know how a pattern is matched.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Like, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, ScalarUDF, lit, not};

use super::{like_match, regexp_like};

/// The rewrite; it runs in the analyzer, before types are coerced.
#[derive(Debug)]
pub(super) struct PatternOperators {
    regexp_like: Arc<ScalarUDF>,
    like: Arc<ScalarUDF>,
    ilike: Arc<ScalarUDF>,
}

impl PatternOperators {
    /// With functions of its own: two instances of one function are equal, so it need not share the registered ones.
    pub(super) fn new() -> Self {
        Self {
            regexp_like: Arc::new(regexp_like::udf()),
            like: Arc::new(like_match::like()),
            ilike: Arc::new(like_match::ilike()),
        }
    }

    fn like_call(&self, like: Like) -> Expr {
        let function = if like.case_insensitive {
            &self.ilike
        } else {
            &self.like
        };
        let mut args = vec![*like.expr, *like.pattern];
        if let Some(escape) = like.escape_char {
            args.push(lit(escape.to_string()));
        }
        call(function, args, like.negated)
    }
}

fn call(function: &Arc<ScalarUDF>, args: Vec<Expr>, negated: bool) -> Expr {
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args));
    if negated { not(call) } else { call }
}

impl FunctionRewrite for PatternOperators {
    fn name(&self) -> &'static str {
        "pattern_operators"
    }

    fn rewrite(
        &self,
        expr: Expr,
        _schema: &DFSchema,
        _config: &ConfigOptions,
    ) -> Result<Transformed<Expr>> {
        let rewritten = match expr {
            Expr::Like(like) => self.like_call(like),
            Expr::SimilarTo(_) => {
                return plan_err!(
                    "SIMILAR TO is not supported (hint: write ~ with a regular expression, or LIKE)"
                );
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let flags = |flags: &str| vec![(*left).clone(), (*right).clone(), lit(flags)];
                let plain = || vec![(*left).clone(), (*right).clone()];
                match op {
                    Operator::RegexMatch => call(&self.regexp_like, plain(), false),
                    Operator::RegexIMatch => call(&self.regexp_like, flags("i"), false),
                    Operator::RegexNotMatch => call(&self.regexp_like, plain(), true),
                    Operator::RegexNotIMatch => call(&self.regexp_like, flags("i"), true),
                    Operator::LikeMatch => call(&self.like, plain(), false),
                    Operator::ILikeMatch => call(&self.ilike, plain(), false),
                    Operator::NotLikeMatch => call(&self.like, plain(), true),
                    Operator::NotILikeMatch => call(&self.ilike, plain(), true),
                    _ => {
                        let same = Expr::BinaryExpr(BinaryExpr { left, op, right });
                        return Ok(Transformed::no(same));
                    }
                }
            }
            other => return Ok(Transformed::no(other)),
        };
        Ok(Transformed::yes(rewritten))
    }
}
