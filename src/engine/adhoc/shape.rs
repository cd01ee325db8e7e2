//! Queries whose shape would break the planner: chains of thousands of OR become balanced trees, which mean the same, and
//! chains that cannot be balanced are refused before they are parsed.
//!
//! Trees of syntax are walked by recursion, by the planner more than by us: depth is what costs the stack.

use std::mem;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::engine::source::SqlSource;
use crate::error::Result as OurResult;

/// Operators in a row that are neither AND nor OR: `a || b || ...`, `x::int::int ...`.
const CHAIN: usize = 500;
/// UNIONs, INTERSECTs and EXCEPTs, and joins, of one statement.
const PARTS: usize = 300;
/// A chain of AND or OR is balanced from here on.
const BALANCED: usize = 16;

/// Refuses chains that no rewriting makes flat.
pub(super) fn check(tokens: &[TokenWithSpan], source: &SqlSource) -> OurResult<()> {
    let mut chains = vec![0_usize];
    let mut parts = 0;
    for token in tokens {
        match &token.token {
            Token::LParen => chains.push(0),
            Token::RParen if chains.len() > 1 => {
                chains.pop();
            }
            Token::Comma | Token::SemiColon => {
                chains.last_mut().into_iter().for_each(|chain| *chain = 0);
            }
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::JOIN => parts += 1,
                Keyword::IS
                | Keyword::NOT
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::IN
                | Keyword::BETWEEN
                | Keyword::AT
                | Keyword::COLLATE
                | Keyword::SIMILAR
                | Keyword::REGEXP
                | Keyword::RLIKE
                | Keyword::XOR
                | Keyword::DIV => chains.last_mut().into_iter().for_each(|chain| *chain += 1),
                // Another expression begins.
                Keyword::AND
                | Keyword::OR
                | Keyword::SELECT
                | Keyword::WHERE
                | Keyword::HAVING
                | Keyword::ON
                | Keyword::WHEN
                | Keyword::THEN
                | Keyword::ELSE => chains.last_mut().into_iter().for_each(|chain| *chain = 0),
                _ => {}
            },
            Token::Whitespace(_)
            | Token::Word(_)
            | Token::Number(..)
            | Token::Char(_)
            | Token::Period
            | Token::EOF
            | Token::RParen
            | Token::RBracket
            | Token::SingleQuotedString(_) => {}
            _ => chains.last_mut().into_iter().for_each(|chain| *chain += 1),
        }
        if chains.last().is_some_and(|chain| *chain > CHAIN) {
            return Err(source
                .error_at(
                    token.span.start,
                    format!("more than {CHAIN} operators in a row"),
                )
                .hint("break the expression up: concat(a, b, ...), or x IN (...)"));
        }
        if parts > PARTS {
            return Err(source
                .error_at(
                    token.span.start,
                    format!("more than {PARTS} UNIONs and JOINs in one query"),
                )
                .hint("one SELECT with OR or IN says the same of one table"));
        }
    }
    Ok(())
}

/// Makes long chains of AND and OR balanced trees, and an OR of many `column = value` an IN.
pub(super) fn balance(query: &mut Query) {
    let _: ControlFlow<()> = query.visit(&mut Balance);
}

struct Balance;

impl VisitorMut for Balance {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        for operator in [BinaryOperator::Or, BinaryOperator::And] {
            if length(expression, &operator) < BALANCED {
                continue;
            }
            let mut terms = terms(mem::replace(expression, null()), &operator);
            if operator == BinaryOperator::Or {
                terms = lists(terms);
            }
            *expression = tree(terms, &operator);
        }
        ControlFlow::Continue(())
    }
}

fn null() -> Expr {
    Expr::Value(ValueWithSpan {
        value: Value::Null,
        span: Span::empty(),
    })
}

/// How far a chain goes down its left side, which is the side that parsers build.
fn length(expression: &Expr, operator: &BinaryOperator) -> usize {
    let mut length = 0;
    let mut next = expression;
    while let Expr::BinaryOp { left, op, .. } = next {
        if op != operator {
            break;
        }
        length += 1;
        next = left;
    }
    length
}

fn terms(chain: Expr, operator: &BinaryOperator) -> Vec<Expr> {
    let mut terms = Vec::new();
    let mut next = chain;
    loop {
        match next {
            Expr::BinaryOp { left, op, right } if op == *operator => {
                terms.push(*right);
                next = *left;
            }
            first => {
                terms.push(first);
                break;
            }
        }
    }
    terms.reverse();
    terms
}

/// `a = 1 OR b OR a = 2` as `a IN (1, 2) OR b`: the same in three-valued logic, and one lookup in place of thousands.
fn lists(terms: Vec<Expr>) -> Vec<Expr> {
    let mut kept: Vec<Expr> = Vec::new();
    let mut columns: Vec<((Vec<Ident>, bool), usize)> = Vec::new();
    for term in terms {
        let (column, value, is_text) = match equality(term) {
            Ok(found) => found,
            Err(term) => {
                kept.push(*term);
                continue;
            }
        };
        let name = match &column {
            Expr::CompoundIdentifier(parts) => parts.clone(),
            Expr::Identifier(ident) => vec![ident.clone()],
            _ => Vec::new(),
        };
        let name = (name, is_text);
        let known = columns.iter().find(|(other, _)| *other == name);
        let known = known.map(|(_, at)| *at);
        if let Some(Expr::InList { list, .. }) = known.and_then(|at| kept.get_mut(at)) {
            list.push(value);
            continue;
        }
        columns.push((name, kept.len()));
        kept.push(Expr::InList {
            expr: Box::new(column),
            list: vec![value],
            negated: false,
        });
    }
    kept
}

/// A column, the literal it is to equal, and whether that is a text; else the term as it was. Texts and whole numbers only:
/// a list has one type, and those of others could turn a comparison into another.
fn equality(term: Expr) -> Result<(Expr, Expr, bool), Box<Expr>> {
    let is_column = |side: &Expr| matches!(side, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    let is_text = |side: &Expr| match side {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(_) => Some(true),
            Value::Number(digits, false) if digits.bytes().all(|c| c.is_ascii_digit()) => {
                Some(false)
            }
            _ => None,
        },
        _ => None,
    };
    match term {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } if is_column(&left) && is_text(&right).is_some() => {
            let is_text = is_text(&right) == Some(true);
            Ok((*left, *right, is_text))
        }
        other => Err(Box::new(other)),
    }
}

fn tree(mut terms: Vec<Expr>, operator: &BinaryOperator) -> Expr {
    while terms.len() > 1 {
        let mut pairs = Vec::with_capacity(terms.len().div_ceil(2));
        let mut rest = terms.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Expr::BinaryOp {
                    left: Box::new(left),
                    op: operator.clone(),
                    right: Box::new(right),
                },
                None => left,
            });
        }
        terms = pairs;
    }
    terms.pop().unwrap_or_else(null)
}

#[cfg(test)]
mod tests {
    use super::super::parse_text;
    use super::*;

    fn balanced(condition: &str) -> String {
        let mut query = parse_text(&format!("SELECT 1 WHERE {condition}")).unwrap();
        balance(&mut query);
        query.to_string()
    }

    #[test]
    fn short_chains_stay_as_they_are() {
        assert_eq!(balanced("a = 1 OR b = 2"), "SELECT 1 WHERE a = 1 OR b = 2");
    }

    #[test]
    fn long_chains_keep_their_order_and_lose_their_depth() {
        let terms: Vec<_> = (0..100).map(|n| format!("f({n})")).collect();
        let chain = terms.join(" AND ");
        assert_eq!(balanced(&chain), format!("SELECT 1 WHERE {chain}"));
        let mut query = parse_text(&format!("SELECT 1 WHERE {chain}")).unwrap();
        balance(&mut query);
        let datafusion::sql::sqlparser::ast::SetExpr::Select(select) = *query.body else {
            panic!("no select")
        };
        let depth = length(&select.selection.unwrap(), &BinaryOperator::And);
        assert!(depth <= 7, "{depth}");
    }

    #[test]
    fn equalities_of_one_column_become_a_list() {
        let texts: Vec<_> = (0..10).map(|n| format!("h = 'x{n}'")).collect();
        let numbers: Vec<_> = (0..10).map(|n| format!("h = {n}")).collect();
        let condition = format!("{} OR g OR {}", texts.join(" OR "), numbers.join(" OR "));
        let shown = balanced(&condition);
        assert!(shown.contains("h IN ('x0', 'x1'"), "{shown}");
        assert!(shown.contains("OR g OR h IN (0, 1"), "{shown}");
    }
}
