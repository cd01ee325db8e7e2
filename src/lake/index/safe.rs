//! Which expressions give a value for every row, whatever the row holds.
//!
//! Only these are evaluated on rows that a hunt's other conjuncts rule out. What is not in the list may well be safe; it
//! is just evaluated later.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Case, Cast, Expr, Operator, TryCast};

/// Functions that never fail on a value, ours and `DataFusion`'s, with the arguments that the planner has checked.
const SAFE: [&str; 34] = [
    "base_name",
    "btrim",
    "char_length",
    "character_length",
    "coalesce",
    "concat",
    "concat_ws",
    "contains",
    "decode_powershell",
    "ends_with",
    "extract_ips",
    "greatest",
    "ilike_match",
    "is_private_ip",
    "least",
    "length",
    "like_match",
    "lower",
    "ltrim",
    "nullif",
    "nvl",
    "octet_length",
    "parse_int",
    "parse_time",
    "regexp_extract",
    "regexp_like",
    "replace",
    "reverse",
    "rtrim",
    "starts_with",
    "strpos",
    "upper",
    "wildcard_match",
    "xml_unescape",
];

/// Functions whose further arguments must be literals, or they may be bad patterns.
const PATTERNS: [&str; 6] = [
    "ilike_match",
    "like_match",
    "parse_time",
    "regexp_extract",
    "regexp_like",
    "wildcard_match",
];

/// Whether an expression cannot fail.
pub(super) fn is_safe(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Alias(alias) => is_safe(&alias.expr),
        Expr::Not(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner)
        | Expr::TryCast(TryCast { expr: inner, .. }) => is_safe(inner),
        Expr::Cast(Cast { expr, field }) => is_text(field.data_type()) && is_safe(expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let is_comparison = matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::And
                    | Operator::Or
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
                    | Operator::StringConcat
            );
            is_comparison && is_safe(left) && is_safe(right)
        }
        Expr::Like(like) => {
            is_safe(&like.expr) && matches!(like.pattern.as_ref(), Expr::Literal(..))
        }
        Expr::InList(InList { expr, list, .. }) => is_safe(expr) && list.iter().all(is_safe),
        Expr::Between(between) => [&between.expr, &between.low, &between.high]
            .into_iter()
            .all(|part| is_safe(part)),
        Expr::Case(Case {
            expr,
            when_then_expr,
            else_expr,
        }) => {
            let pairs = when_then_expr.iter().flat_map(|(when, then)| [when, then]);
            let ends = expr.iter().chain(else_expr);
            pairs.chain(ends).all(|part| is_safe(part))
        }
        Expr::ScalarFunction(call) => {
            let name = call.name();
            let are_literals = || call.args[1..].iter().all(is_literal);
            SAFE.contains(&name)
                && call.args.iter().all(is_safe)
                && (!PATTERNS.contains(&name) || are_literals())
        }
        _ => false,
    }
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..))
}

/// Whether a type is text that is no dictionary.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8
    )
}
