//! What must hold for all functions together, and what SQL alone cannot show.

use std::collections::HashSet;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::functions::all_default_functions;
use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::prelude::{SessionConfig, SessionContext};

use datafusion::scalar::ScalarValue;

use super::*;

#[expect(clippy::disallowed_methods, reason = "functions know no engine")]
fn ours() -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(2)
        .with_batch_size(3);
    let context = SessionContext::new_with_config(config);
    register_all(&context).unwrap();
    context
}

async fn answer(context: &SessionContext, sql: &str) -> String {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

fn names() -> Vec<String> {
    let scalar = all_scalar();
    let aggregate = all_aggregate();
    let scalar = scalar.iter().flat_map(|function| {
        std::iter::once(function.name().to_owned()).chain(function.aliases().to_vec())
    });
    let aggregate = aggregate.iter().flat_map(|function| {
        std::iter::once(function.name().to_owned()).chain(function.aliases().to_vec())
    });
    scalar.chain(aggregate).collect()
}

#[test]
fn no_name_is_taken_twice() {
    let mut seen = HashSet::new();
    for name in names() {
        assert!(seen.insert(name.clone()), "{name} twice");
    }
}

#[test]
fn only_listed_built_ins_are_replaced() {
    let mut built_in: HashSet<String> = all_default_functions()
        .iter()
        .flat_map(|function| {
            std::iter::once(function.name().to_owned()).chain(function.aliases().to_vec())
        })
        .collect();
    built_in.extend(
        all_default_aggregate_functions()
            .iter()
            .flat_map(|function| {
                std::iter::once(function.name().to_owned()).chain(function.aliases().to_vec())
            }),
    );
    let shadowing: Vec<String> = names()
        .into_iter()
        .filter(|name| built_in.contains(name))
        .collect();
    let listed: Vec<&str> = REPLACED.iter().map(|(name, _)| *name).collect();
    assert_eq!(shadowing, listed);
}

#[test]
fn every_function_is_documented_with_an_example() {
    let scalar = all_scalar();
    let aggregate = all_aggregate();
    let bound = window_bound("window_start", 0);
    let documented = scalar
        .iter()
        .chain([&bound])
        .map(|function| (function.name(), function.documentation()))
        .chain(
            aggregate
                .iter()
                .map(|function| (function.name(), function.documentation())),
        );
    for (name, documentation) in documented {
        let documentation = documentation.unwrap_or_else(|| panic!("{name} has none"));
        assert!(!documentation.description.is_empty(), "{name}");
        let example = documentation.sql_example.as_deref().unwrap_or_default();
        assert!(
            example.starts_with("SELECT") && example.contains("  -- "),
            "{name}"
        );
    }
}

/// Every example runs and gives what its comment says.
#[tokio::test]
async fn the_examples_are_true() {
    let context = ours();
    context.register_udf(window_bound("window_start", 0));
    context.register_udf(window_bound("window_end", 86_400_000_000));
    let mut documentation: Vec<_> = all_scalar()
        .iter()
        .filter_map(|function| function.documentation().cloned())
        .collect();
    documentation.extend(
        all_aggregate()
            .iter()
            .filter_map(|function| function.documentation().cloned()),
    );
    documentation.extend(window_bound("window_start", 0).documentation().cloned());
    for entry in documentation {
        let (sql, expected) = entry
            .sql_example
            .as_deref()
            .unwrap()
            .split_once(";  -- ")
            .unwrap();
        let expected = expected
            .strip_suffix(" in a nightly run")
            .unwrap_or(expected);
        let answer = answer(&context, sql).await;
        let shown = answer
            .lines()
            .nth(3)
            .unwrap()
            .trim_matches(['|', ' '])
            .to_owned();
        assert_eq!(shown, expected, "{sql}");
    }
}

const PATHS: &str = r"(VALUES ('C:\Windows\x'), ('C:Windows')) t(c)";

/// Why the operators are ours: stock finds the wrong row, because the regex becomes a LIKE in which `\W` is an escape.
#[tokio::test]
async fn stock_reads_a_backslash_wrongly_and_we_do_not() {
    let sql = [
        format!(r"SELECT c FROM {PATHS} WHERE c ~ 'C:\\Windows'"),
        format!(r"SELECT c FROM {PATHS} WHERE regexp_like(c, 'C:\\Windows')"),
        format!(r"SELECT c FROM {PATHS} WHERE c LIKE 'C:\Windows%'"),
    ];
    for sql in sql {
        #[expect(
            clippy::disallowed_methods,
            reason = "the stock engine is what is shown"
        )]
        let stock = answer(&SessionContext::new(), &sql).await;
        assert!(
            stock.contains("C:Windows") && !stock.contains(r"C:\Windows"),
            "{sql}\n{stock}"
        );
        let ours = answer(&ours(), &sql).await;
        assert!(
            ours.contains(r"C:\Windows\x") && !ours.contains("C:Windows"),
            "{sql}\n{ours}"
        );
    }
}

/// The plan that runs holds the compiled form, so no batch of any partition compiles anything.
#[tokio::test]
async fn a_literal_pattern_is_compiled_into_the_plan() {
    let context = ours();
    let tests = [
        ("regexp_like", r"regexp_like(c, 'a\d+b')"),
        ("regexp_like", r"c ~* 'a\d+b'"),
        // Not a literal when it is written, but one when it is run.
        ("regexp_like", r"regexp_like(c, 'a' || '\d+b')"),
        ("like_match", r"c LIKE '%a_b%'"),
        ("ilike_match", r"c ILIKE '%\cmd.exe'"),
        ("wildcard_match", r"wildcard_match(c, '*a?b*')"),
        ("regexp_extract", r"regexp_extract(c, 'a(\d+)b', 1) = '7'"),
        (
            "regexp_groups",
            r"regexp_groups(c, 'a(?<n>\d+)b')['n'] = '7'",
        ),
        ("cidr_match", "cidr_match(c, '10.0.0.0/8')"),
        ("cidr_match", "cidr_match(c, '10.0.0.0' || '/8')"),
    ];
    for (name, condition) in tests {
        let sql = format!("SELECT c FROM {PATHS} WHERE {condition}");
        let plan = context
            .sql(&sql)
            .await
            .unwrap()
            .into_optimized_plan()
            .unwrap();
        let plan = format!("{plan:?}");
        assert!(plan.contains("compiled: Some"), "{name}: {plan}");
        assert!(!plan.contains("compiled: None"), "{name}: {plan}");
        let physical = context
            .sql(&sql)
            .await
            .unwrap()
            .create_physical_plan()
            .await
            .unwrap();
        let shown = datafusion::physical_plan::displayable(physical.as_ref())
            .indent(false)
            .to_string();
        assert!(shown.contains(&format!("{name}(")), "{shown}");
    }
}

#[tokio::test]
async fn prefixes_and_equality_can_be_pruned_by() {
    let context = ours();
    for (condition, shown) in [
        ("c LIKE 'abc%'", "LIKE"),
        ("c LIKE 'abc'", " = "),
        (r"c LIKE 'C:\%'", "like_match("),
        ("c NOT LIKE 'abc%'", "NOT LIKE"),
    ] {
        let sql = format!("SELECT c FROM {PATHS} WHERE {condition}");
        let plan = context
            .sql(&sql)
            .await
            .unwrap()
            .into_optimized_plan()
            .unwrap()
            .to_string();
        assert!(plan.contains(shown), "{condition}: {plan}");
    }
}

#[tokio::test]
async fn a_bad_pattern_is_an_error_before_anything_runs() {
    let context = ours();
    for (sql, part) in [
        (
            "SELECT regexp_like(c, 'a(') FROM t",
            "regexp_like: bad pattern 'a(': unclosed group",
        ),
        (
            "SELECT c ~ 'a(' FROM t",
            "regexp_like: bad pattern 'a(': unclosed group",
        ),
        ("SELECT regexp_extract(c, '(?<n>a)', 'm') FROM t", "named n"),
        ("SELECT regexp_groups(c, 'a') FROM t", "no named group"),
        ("SELECT c SIMILAR TO 'a' FROM t", "hint: write ~"),
        (
            "SELECT cidr_match(c, '10.0.0.0/33') FROM t",
            "cidr_match: bad network '10.0.0.0/33': '33' is no prefix from 0 to 32 (hint: write 10.0.0.0/8",
        ),
        (
            "SELECT cidr_match(c, 'ho' || 'st') FROM t",
            "cidr_match: bad network 'host': 'host' is no address",
        ),
        (
            "SELECT date_diff('fortnight', now(), now()) FROM t",
            "year, quarter, month",
        ),
        (
            "SELECT collect_set(c, 0) FROM t",
            "limit must be a literal from 1 to 1000000",
        ),
        (
            "SELECT collect_set(c, length(c)) FROM t",
            "limit must be a literal from 1 to 1000000",
        ),
    ] {
        context
            .sql("CREATE OR REPLACE TABLE t(c VARCHAR) AS VALUES ('x')")
            .await
            .unwrap();
        let planned = match context.sql(sql).await {
            Ok(frame) => frame.into_optimized_plan(),
            Err(error) => Err(error),
        };
        let error = planned.unwrap_err().to_string();
        assert!(error.contains(part), "{sql}: {error}");
    }
}

/// Parameters are bound after the functions have been planned, and before patterns are compiled.
#[tokio::test]
async fn literals_may_be_parameters() {
    let context = ours();
    let sql = format!(
        "SELECT count(*) AS rows, collect_set(c, $limit)['values'] AS kept, \
         max(parse_time('0', $format)) AS time, max(regexp_extract(c, $pattern, $group)) AS found \
         FROM {PATHS} WHERE c ~ $pattern AND c LIKE $like"
    );
    let frame = context.sql(&sql).await.unwrap();
    let frame = frame
        .with_param_values(vec![
            ("limit", ScalarValue::Int64(Some(5))),
            ("format", ScalarValue::from("unix_s")),
            ("pattern", ScalarValue::from(r"C:\\(Win)")),
            ("group", ScalarValue::Int64(Some(1))),
            ("like", ScalarValue::from(r"C:\%")),
        ])
        .unwrap();
    let batches = frame.collect().await.unwrap();
    let answer = pretty_format_batches(&batches).unwrap().to_string();
    assert!(
        answer.contains(r"| 1    | [C:\Windows\x] | 1970-01-01T00:00:00Z | Win   |"),
        "{answer}"
    );
}
