//! The SQL functions of lakehunt, one file each, over `DataFusion`'s own. [`register_all`] puts them into a session and
//! makes `~`, LIKE and their kin mean what the design promises. This room must not know any other room of the crate: it
//! takes text, numbers and times, and gives columns or a [`DataFusionError`](datafusion::error::DataFusionError).
//!
//! To add a function: one file with its documentation (an `Entry` with an example) and its kernel,
//! a line in [`all_scalar`] or [`all_aggregate`], and `tests/slt/functions/<name>.slt`.

mod args;
mod base_name;
mod cache;
mod capture;
mod cidr_match;
mod collect;
mod collector;
mod count_distinct;
mod date_diff;
mod decode_powershell;
mod documentation;
mod evidence;
mod extract_ips;
mod is_private_ip;
mod keyed_hash;
mod like_match;
mod matcher;
mod network;
mod operators;
mod parse_int;
mod parse_time;
mod parse_time_function;
mod regexp_extract;
mod regexp_groups;
mod regexp_like;
mod required;
mod text_function;
mod text_predicate;
mod wildcard_match;
mod window_bound;
mod xml_unescape;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

pub use keyed_hash::{KeyedHasher, keyed_hash};
pub use parse_int::parse as parse_int;
pub use parse_time::TimeFormat;
pub use required::Required;
pub use text_predicate::TextTest;
pub use window_bound::window_bound;

/// The built-in functions that ours take the place of, and why.
pub const REPLACED: &[(&str, &str)] = &[(
    "regexp_like",
    "the built-in becomes LIKE for simple patterns, which then reads a literal backslash as an escape",
)];

/// Every scalar function, without [`window_bound`]'s, which need a window.
pub fn all_scalar() -> Vec<ScalarUDF> {
    vec![
        base_name::udf(),
        cidr_match::udf(),
        date_diff::udf(),
        decode_powershell::udf(),
        extract_ips::udf(),
        is_private_ip::udf(),
        like_match::ilike(),
        like_match::like(),
        parse_int::udf(),
        parse_time_function::udf(),
        regexp_extract::udf(),
        regexp_groups::udf(),
        regexp_like::udf(),
        wildcard_match::udf(),
        xml_unescape::udf(),
    ]
}

/// Every aggregate function.
pub fn all_aggregate() -> Vec<AggregateUDF> {
    vec![
        collect::list(),
        collect::set(),
        count_distinct::udf(),
        evidence::udf(),
    ]
}

/// Registers every function, and the rewrite of the pattern operators, which runs in the analyzer before types are
/// coerced. Expressions that never pass the analyzer (a physical expression made by hand) keep the stock operators.
///
/// ```
/// let context = SessionContext::new();
/// functions::register_all(&context)?;
/// ```
pub fn register_all(context: &SessionContext) -> Result<()> {
    for function in all_scalar() {
        context.register_udf(function);
    }
    for function in all_aggregate() {
        context.register_udaf(function);
    }
    // The trait takes `&mut self`; a clone of a context shares its state.
    let mut registry = context.clone();
    registry.register_function_rewrite(Arc::new(operators::PatternOperators::new()))?;
    registry.register_function_rewrite(Arc::new(count_distinct::CountDistinctText::new()))
}
