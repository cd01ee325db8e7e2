//! From the text of a query to a checked syntax tree: one SELECT, parameters bound, names resolved, nothing that would
//! make a rerun differ.
//!
//! Knows syntax; types and functions are the planner's business.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParser, ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, Query, Statement as SqlStatement, UnaryOperator, Value, ValueWithSpan, VisitMut,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::Span;

use super::names::{self, Catalog};
use super::raw::Asked;
use super::source::SqlSource;
use crate::error::{Error, Result, did_you_mean};
use crate::hunt::{Parameter, front_matter};

/// A query that is ready to be planned.
#[derive(Debug)]
pub struct Prepared {
    /// The syntax tree.
    pub statement: Statement,
    /// The tables and views it reads.
    pub relations: BTreeSet<String>,
    /// The texts of records it asks for.
    pub(super) raw: Asked,
}

/// Parses and checks a query.
///
/// # Errors
/// A configuration error at its place: not one SELECT, LIMIT without ORDER BY (when `reproducible`), an unknown
/// parameter, table or view, an ambiguous name.
pub fn prepare(
    source: &SqlSource,
    parameters: &BTreeMap<String, Parameter>,
    catalog: &dyn Catalog,
    reproducible: bool,
) -> Result<Prepared> {
    let mut errors = Vec::new();
    let prepared = prepare_all(source, parameters, catalog, reproducible, &mut errors);
    match (errors.into_iter().next(), prepared) {
        (None, Some(prepared)) => Ok(prepared),
        (Some(error), _) => Err(error),
        (None, None) => Err(Error::configuration("there is no SELECT").in_file(&source.path)),
    }
}

/// [`prepare`] with all errors, and what is left to plan where they leave something: an unknown parameter is NULL in it.
pub(super) fn prepare_all(
    source: &SqlSource,
    parameters: &BTreeMap<String, Parameter>,
    catalog: &dyn Catalog,
    reproducible: bool,
    errors: &mut Vec<Error>,
) -> Option<Prepared> {
    let parsed = parse(source).and_then(|(query, explain)| match explain {
        Some(_) if reproducible => Err(not_a_select(source, "EXPLAIN")),
        explain => Ok((query, explain)),
    });
    let (mut query, explain) = parsed.map_err(|error| errors.push(error)).ok()?;
    let mut checks = Checks {
        source,
        parameters,
        reproducible,
        used: BTreeSet::new(),
        errors,
    };
    let _: ControlFlow<()> = query.visit(&mut checks);
    let used = checks.used;
    for name in parameters.keys().filter(|name| !used.contains(*name)) {
        let message = format!("the parameter `{name}` is not used in the SQL");
        let error = match front_matter::locate(&source.text, "params", name) {
            Some((line, column)) => {
                Error::configuration(message).at(&source.path, line, column, &source.text)
            }
            None => Error::configuration(message).in_file(&source.path),
        };
        errors.push(error.hint(format!("write `${name}` where its value belongs")));
    }
    let resolved = names::resolve(&mut query, catalog, source);
    let resolved = resolved.map_err(|error| errors.push(error)).ok()?;
    let query = Statement::Statement(Box::new(SqlStatement::Query(query)));
    let statement = match explain {
        None => query,
        Some(explain) => Statement::Explain(ExplainStatement {
            statement: Box::new(query),
            ..explain
        }),
    };
    Some(Prepared {
        statement,
        relations: resolved.relations,
        raw: resolved.raw,
    })
}

/// Parses a text that must be one SELECT.
pub(super) fn parse_query(source: &SqlSource) -> Result<Box<Query>> {
    match parse(source)? {
        (query, None) => Ok(query),
        (_, Some(_)) => Err(not_a_select(source, "EXPLAIN")),
    }
}

/// Parses a text that must be one SELECT, or EXPLAIN of one.
fn parse(source: &SqlSource) -> Result<(Box<Query>, Option<ExplainStatement>)> {
    let statements = DFParser::parse_sql_with_dialect(&source.text, &GenericDialect {})
        .map_err(|error| source.planning_error(&error))?;
    let mut statements = statements.into_iter();
    let Some(statement) = statements.next() else {
        return Err(Error::configuration("there is no SELECT").in_file(&source.path));
    };
    if statements.next().is_some() {
        return Err(source
            .error_after(";", "there is more than one statement")
            .hint("a hunt is one SELECT"));
    }
    let (statement, explain) = match statement {
        Statement::Explain(explain) => (explain.statement.as_ref().clone(), Some(explain)),
        other => (other, None),
    };
    match statement {
        Statement::Statement(statement) => match *statement {
            SqlStatement::Query(query) => Ok((query, explain)),
            other => Err(not_a_select(source, &other.to_string())),
        },
        other => Err(not_a_select(source, &other.to_string())),
    }
}

fn not_a_select(source: &SqlSource, statement: &str) -> Error {
    let first = statement.split_whitespace().next().unwrap_or_default();
    source
        .error_about(first, format!("{first} is not allowed here"))
        .hint("only SELECT is: hunts read, lakehunt writes")
}

struct Checks<'a> {
    source: &'a SqlSource,
    parameters: &'a BTreeMap<String, Parameter>,
    reproducible: bool,
    used: BTreeSet<String>,
    errors: &'a mut Vec<Error>,
}

impl VisitorMut for Checks<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let limited = query.limit_clause.is_some() || query.fetch.is_some();
        if self.reproducible && limited && query.order_by.is_none() {
            let word = if query.fetch.is_some() {
                "FETCH"
            } else {
                "LIMIT"
            };
            let message = format!("{word} without ORDER BY gives other rows on every run");
            self.errors.push(
                self.source
                    .error_about(word, message)
                    .hint("order by columns that decide every tie, or drop the LIMIT"),
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Self::Break> {
        let Expr::Value(value) = expression else {
            return ControlFlow::Continue(());
        };
        let Value::Placeholder(placeholder) = &value.value else {
            return ControlFlow::Continue(());
        };
        let name = placeholder.trim_start_matches('$');
        let Some(parameter) = self.parameters.get(name) else {
            let known = self.parameters.keys().map(String::as_str);
            let hint = did_you_mean(name, known).unwrap_or_else(|| {
                format!("declare it in the front matter: `params: {{{name}: ...}}`")
            });
            let error = self.source.error_at(
                value.span.start,
                format!("unknown parameter `{placeholder}`"),
            );
            self.errors.push(error.hint(hint));
            *expression = Expr::Value(ValueWithSpan {
                value: Value::Null,
                span: value.span,
            });
            return ControlFlow::Continue(());
        };
        self.used.insert(name.to_owned());
        *expression = literal(parameter, value.span);
        ControlFlow::Continue(())
    }
}

fn literal(parameter: &Parameter, span: Span) -> Expr {
    let value = |value| Expr::Value(ValueWithSpan { value, span });
    let signed = |text: String| match text.strip_prefix('-') {
        Some(positive) => Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(value(Value::Number(positive.to_owned(), false))),
        },
        None => value(Value::Number(text, false)),
    };
    match parameter {
        Parameter::Bool(flag) => value(Value::Boolean(*flag)),
        Parameter::Int(number) => signed(number.to_string()),
        Parameter::Float(number) => signed(number.to_string()),
        Parameter::Text(text) => value(Value::SingleQuotedString(text.clone())),
    }
}
