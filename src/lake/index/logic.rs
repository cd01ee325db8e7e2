//! Predicates as AND, OR and NOT over atoms, each of which is evaluated once a block whoever asks.
//!
//! Three-valued: what is known true and what is known false are two sets of rows, and NULL is in neither.

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::atoms::Atoms;
use super::rows::RowSet;

/// A predicate.
#[derive(Debug)]
pub(super) enum Node {
    Atom(usize),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
}

/// What is known of the atoms of a block so far.
pub(super) trait Facts {
    /// Adds to `into` the rows on which an atom is known to be `truth`.
    fn known(&self, atom: usize, truth: bool, within: &RowSet) -> RowSet;
}

impl Node {
    /// A predicate over atoms; `None` where a part of it can fail on some value, which makes it no business of rows that
    /// other conjuncts rule out.
    pub(super) fn of(expr: &Expr, atoms: &mut Atoms) -> Option<Self> {
        Some(match expr {
            Expr::Alias(alias) => Self::of(&alias.expr, atoms)?,
            Expr::Not(inner) => Self::Not(Box::new(Self::of(inner, atoms)?)),
            Expr::BinaryExpr(BinaryExpr {
                op: op @ (Operator::And | Operator::Or),
                ..
            }) => {
                let mut parts = Vec::new();
                // A loop, not recursion: chains of thousands of terms come up.
                let mut open = vec![expr];
                while let Some(part) = open.pop() {
                    match part {
                        Expr::BinaryExpr(BinaryExpr {
                            left,
                            op: inner,
                            right,
                        }) if inner == op => open.extend([right.as_ref(), left.as_ref()]),
                        other => parts.push(Self::of(other, atoms)?),
                    }
                }
                if *op == Operator::And {
                    Self::All(parts)
                } else {
                    Self::Any(parts)
                }
            }
            other => atoms.node(other)?,
        })
    }

    /// The rows among some on which the predicate is known to be `truth`.
    pub(super) fn known(&self, truth: bool, within: &RowSet, facts: &dyn Facts) -> RowSet {
        match self {
            Self::Atom(atom) => facts.known(*atom, truth, within),
            Self::Not(inner) => inner.known(!truth, within, facts),
            Self::All(parts) if truth => narrowed(parts, truth, within, facts),
            Self::Any(parts) if !truth => narrowed(parts, truth, within, facts),
            Self::All(parts) | Self::Any(parts) => {
                let mut found: Option<RowSet> = None;
                for part in parts {
                    let more = part.known(truth, within, facts);
                    match &mut found {
                        Some(found) => found.unite(&more),
                        None => found = Some(more),
                    }
                }
                found.unwrap_or_else(|| within.clone())
            }
        }
    }

    /// Calls back with every atom.
    pub(super) fn atoms(&self, found: &mut dyn FnMut(usize)) {
        match self {
            Self::Atom(atom) => found(*atom),
            Self::Not(inner) => inner.atoms(found),
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.atoms(found);
                }
            }
        }
    }
}

fn narrowed(parts: &[Node], truth: bool, within: &RowSet, facts: &dyn Facts) -> RowSet {
    let mut left = within.clone();
    for part in parts {
        if left.is_empty() {
            break;
        }
        left = part.known(truth, &left, facts);
    }
    left
}
