//! What the two capturing functions share: the compiled regex with its group names, kept per session.
//! It must not know what is done with the groups.

use std::sync::Arc;

use datafusion::common::plan_err;
use datafusion::error::Result;
use regex::Regex;

use super::cache::PatternCache;
use super::matcher;

/// The regexes a capturing function has compiled.
pub(super) type Cache = PatternCache<String, Regex>;

/// The compiled pattern; the error names the function and the pattern.
pub(super) fn compile(function: &str, pattern: &str, cache: &Cache) -> Result<Arc<Regex>> {
    cache
        .get(pattern.to_owned(), |pattern| matcher::regex(pattern, ""))
        .or_else(|reason| plan_err!("{function}: bad pattern '{pattern}': {reason}"))
}

/// The names of the groups that have one, in the pattern's order.
pub(super) fn names(regex: &Regex) -> Vec<&str> {
    regex.capture_names().flatten().collect()
}
