//! Where three-valued logic loses rows: `command_line NOT LIKE '%x%'` is NULL, and so no hit, where there is no command
//! line at all.
//!
//! Reads plans as they are planned, before any rule changed them; it must not know views.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema};
use datafusion::logical_expr::expr::{Between, InList, InSubquery};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan, Operator};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::source::SqlSource;
use crate::error::Error;

/// Functions that make something of NULL.
const NULL_SAFE: [&str; 6] = ["coalesce", "nvl", "nvl2", "ifnull", "nullif", "concat"];

/// One warning for each negated test in WHERE and HAVING that is NULL where a column is, when nothing in the same
/// clause says what is to become of such rows.
pub(super) fn warnings(plan: &LogicalPlan, source: &SqlSource) -> Vec<Error> {
    let mut found = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            let mut clause = Clause {
                schema: filter.input.schema(),
                raw: scanned_below(filter),
                tested: tested_below(filter),
                lost: Vec::new(),
            };
            clause.mentioned(&filter.predicate);
            clause.walk(&filter.predicate, false, &BTreeSet::new());
            found.extend(clause.lost.iter().map(|column| warning(column, source)));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if walked.is_err() {
        return Vec::new();
    }
    found
}

fn warning(column: &Column, source: &SqlSource) -> Error {
    let name = &column.name;
    let message = format!("a negated test of `{name}` is never true where `{name}` is NULL");
    let place = column
        .spans
        .first()
        .map(|span| Location::new(span.start.line, span.start.column));
    let error = match place {
        Some(place) => source.error_at(place, message),
        None => source.error_about(name, message),
    };
    error.hint(format!(
        "`({name} IS NULL OR ...)` finds such rows too; `{name} IS NOT NULL AND ...` says that they are not meant"
    ))
}

struct Clause<'a> {
    schema: &'a DFSchema,
    /// Columns as the tables and views below have them.
    raw: BTreeSet<String>,
    /// Columns about which the clause, or one below it, says what NULL means.
    tested: BTreeSet<String>,
    lost: Vec<Column>,
}

impl Clause<'_> {
    /// Notes the columns that are tested for NULL, or replaced where they are, anywhere in the clause.
    fn mentioned(&mut self, predicate: &Expr) {
        // Nothing in it fails.
        let _ = predicate.apply(|expression| {
            let is_null_safe = match expression {
                Expr::IsNull(_)
                | Expr::IsNotNull(_)
                | Expr::IsTrue(_)
                | Expr::IsFalse(_)
                | Expr::IsUnknown(_)
                | Expr::IsNotTrue(_)
                | Expr::IsNotFalse(_)
                | Expr::IsNotUnknown(_) => true,
                Expr::BinaryExpr(BinaryExpr { op, .. }) => {
                    matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
                }
                Expr::ScalarFunction(function) => NULL_SAFE.contains(&function.name()),
                _ => false,
            };
            if is_null_safe {
                self.tested.extend(names(expression));
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }

    /// Walks what AND, OR and NOT join. `flipped` under an odd number of NOTs; `known` are columns that other tests of
    /// the same AND have already found not to be NULL.
    fn walk(&mut self, expression: &Expr, flipped: bool, known: &BTreeSet<String>) {
        match expression {
            Expr::Not(inner) => self.walk(inner, !flipped, known),
            Expr::BinaryExpr(BinaryExpr {
                op: Operator::And | Operator::Or,
                ..
            }) => {
                let mut parts = Vec::new();
                let both = joins_with_and(expression, flipped);
                flatten(expression, &mut parts);
                let mut known = known.clone();
                if both {
                    let positive = parts.iter().filter(|part| !is_negated(part, flipped));
                    known.extend(positive.flat_map(|part| needed(part, flipped)));
                }
                for part in parts {
                    self.walk(part, flipped, &known);
                }
            }
            test if is_negated(test, flipped) => self.test(test, known),
            _ => {}
        }
    }

    fn test(&mut self, test: &Expr, known: &BTreeSet<String>) {
        if !test.nullable(self.schema).unwrap_or(false) {
            return;
        }
        let mut columns: Vec<&Column> = test.column_refs().into_iter().collect();
        columns.sort_unstable();
        // What a query makes itself to be true or false is so; the planner just cannot always tell.
        if let Expr::Column(flag) = test
            && !self.raw.contains(&flag.name)
        {
            return;
        }
        let is_lost = |column: &&Column| {
            !known.contains(&column.name)
                && !self.tested.contains(&column.name)
                && ExprSchema::nullable(self.schema, column).unwrap_or(false)
        };
        let lost: Vec<_> = columns.into_iter().filter(is_lost).cloned().collect();
        self.lost.extend(lost);
    }
}

/// The names of the columns that a filter's rows were read with.
fn scanned_below(filter: &Filter) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // Nothing in it fails.
    let _ = filter.input.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let fields = scan.projected_schema.fields().iter();
            names.extend(fields.map(|field| field.name().clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    names
}

/// Columns that filters below a filter have let through only where they are not NULL.
fn tested_below(filter: &Filter) -> BTreeSet<String> {
    let mut tested = BTreeSet::new();
    // Nothing in it fails.
    let _ = filter.input.apply(|node| {
        if let LogicalPlan::Filter(below) = node {
            tested.extend(needed(&below.predicate, false));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    tested
}

/// The columns that cannot be NULL where a predicate is true.
fn needed(predicate: &Expr, flipped: bool) -> BTreeSet<String> {
    match predicate {
        Expr::Not(inner) => needed(inner, !flipped),
        Expr::IsNotNull(inner) if !flipped => names(inner),
        Expr::IsNull(inner) if flipped => names(inner),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And | Operator::Or,
            right,
        }) => {
            let (left, right) = (needed(left, flipped), needed(right, flipped));
            if joins_with_and(predicate, flipped) {
                left.union(&right).cloned().collect()
            } else {
                left.intersection(&right).cloned().collect()
            }
        }
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::IsDistinctFrom | Operator::IsNotDistinctFrom,
            ..
        }) => BTreeSet::new(),
        Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::ScalarFunction(_)
        | Expr::Column(_) => strict_names(predicate),
        Expr::InSubquery(InSubquery { expr, .. }) => strict_names(expr),
        _ => BTreeSet::new(),
    }
}

/// All columns of an expression that is NULL where one of them is; none where a part of it makes something of NULL.
fn strict_names(expression: &Expr) -> BTreeSet<String> {
    let makes_something = expression
        .exists(|part| {
            Ok(match part {
                Expr::Case(_) | Expr::IsNull(_) | Expr::IsNotNull(_) => true,
                Expr::ScalarFunction(function) => NULL_SAFE.contains(&function.name()),
                _ => false,
            })
        })
        .unwrap_or(true);
    if makes_something {
        BTreeSet::new()
    } else {
        names(expression)
    }
}

fn names(expression: &Expr) -> BTreeSet<String> {
    let columns = expression.column_refs().into_iter();
    columns.map(|column| column.name.clone()).collect()
}

/// Whether all parts must hold: those of AND, or of OR under a NOT.
fn joins_with_and(expression: &Expr, flipped: bool) -> bool {
    match expression {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => (*op == Operator::And) != flipped,
        _ => false,
    }
}

/// The parts of a chain of one operator, whatever its brackets.
fn flatten<'a>(expression: &'a Expr, parts: &mut Vec<&'a Expr>) {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expression else {
        return;
    };
    for side in [left.as_ref(), right.as_ref()] {
        match side {
            Expr::BinaryExpr(inner) if inner.op == *op => flatten(side, parts),
            other => parts.push(other),
        }
    }
}

/// Whether a test says what something is not.
fn is_negated(test: &Expr, flipped: bool) -> bool {
    let negated = match test {
        Expr::Not(inner) => return is_negated(inner, !flipped),
        Expr::Like(like) | Expr::SimilarTo(like) => like.negated,
        Expr::InList(InList { negated, .. })
        | Expr::InSubquery(InSubquery { negated, .. })
        | Expr::Between(Between { negated, .. }) => *negated,
        Expr::BinaryExpr(BinaryExpr { op, .. }) => match op {
            Operator::NotEq
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch
            | Operator::NotLikeMatch
            | Operator::NotILikeMatch => true,
            // Null-safe, and what joins others: neither says anything itself.
            Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
            | Operator::And
            | Operator::Or => return false,
            _ => false,
        },
        Expr::ScalarFunction(_) | Expr::Column(_) => false,
        _ => return false,
    };
    negated != flipped
}
