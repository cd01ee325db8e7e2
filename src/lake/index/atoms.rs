//! The atoms of all predicates: each distinct test once, sorted to the source of the values that it tests.
//!
//! Equal tests of different hunts are one atom; tests of one text, however it is dressed (`lower(base_name(x))`), share a
//! source, so that each distinct text is looked at once for all of them.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, Operator, TryCast};

use super::logic::Node;
use super::safe::{is_safe, is_text};
use crate::functions::{Required, TextTest};

/// What a source's value is called in the expressions over it.
pub(super) const VALUE: &str = "value";

/// Where values to be tested come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// A column of whole numbers.
    Int(String),
    /// A text: a column, or something made of several.
    Text(Expr),
    /// A predicate of its own, evaluated on whole columns.
    Whole(Expr),
}

/// A test of one text.
#[derive(Debug, Clone)]
pub(super) enum TextAtom {
    /// It is one of these.
    OneOf(Vec<String>),
    /// It matches a pattern.
    Pattern(TextTest),
    /// It starts with this.
    Prefix(String),
    /// Anything else, over [`VALUE`].
    Other(Expr),
}

/// What an atom tests of its source's value.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// The number is one of these.
    Ints(Vec<i64>),
    /// The text, dressed as this expression over [`VALUE`]; `None` for the text itself.
    Text(Option<Expr>, TextAtom),
    /// The source is the test.
    Whole,
}

/// One test.
#[derive(Debug)]
pub(super) struct Atom {
    pub(super) origin: usize,
    pub(super) test: Test,
    /// NULL wherever the source's value is.
    pub(super) is_strict: bool,
    /// NULL wherever it is not true: `x IN ('a', NULL)`.
    pub(super) never_false: bool,
    /// As it is written, for people.
    pub(super) written: String,
}

/// All tests, and where their values come from.
#[derive(Debug)]
pub(super) struct Atoms {
    schema: DFSchema,
    by_expr: HashMap<Expr, usize>,
    by_origin: HashMap<Origin, usize>,
    pub(super) origins: Vec<Origin>,
    pub(super) all: Vec<Atom>,
}

impl Atoms {
    /// None yet, over the columns of a schema.
    pub(super) fn new(schema: DFSchema) -> Self {
        Self {
            schema,
            by_expr: HashMap::new(),
            by_origin: HashMap::new(),
            origins: Vec::new(),
            all: Vec::new(),
        }
    }

    /// The atom of a test that is no AND, OR or NOT; `None` when it can fail.
    pub(super) fn node(&mut self, expr: &Expr) -> Option<Node> {
        if let Some((positive, true)) = without_negation(expr) {
            return Some(Node::Not(Box::new(self.node(&positive)?)));
        }
        if let Some(atom) = self.by_expr.get(expr) {
            return Some(Node::Atom(*atom));
        }
        if !is_safe(expr) || expr.get_type(&self.schema).ok()? != DataType::Boolean {
            return None;
        }
        let (origin, test, never_false) = self
            .int_test(expr)
            .or_else(|| self.text_test(expr))
            .or_else(|| self.test_of_one_text(expr))
            .unwrap_or_else(|| (Origin::Whole(expr.clone()), Test::Whole, false));
        let next = self.origins.len();
        let origin = *self.by_origin.entry(origin).or_insert_with_key(|origin| {
            self.origins.push(origin.clone());
            next
        });
        self.all.push(Atom {
            origin,
            // Of texts, their source knows it better.
            is_strict: matches!(test, Test::Ints(_)),
            test,
            never_false,
            written: expr.to_string(),
        });
        let atom = self.all.len() - 1;
        self.by_expr.insert(expr.clone(), atom);
        Some(Node::Atom(atom))
    }

    /// The columns that the tests are over.
    pub(super) fn schema(&self) -> &DFSchema {
        &self.schema
    }

    fn type_of(&self, expr: &Expr) -> Option<DataType> {
        expr.get_type(&self.schema).ok()
    }

    /// `n = 1`, `n IN (1, 2)` over a column.
    fn int_test(&self, expr: &Expr) -> Option<(Origin, Test, bool)> {
        let (subject, values) = equality(expr)?;
        let Expr::Column(column) = subject else {
            return None;
        };
        if self.type_of(subject)? != DataType::Int64 {
            return None;
        }
        let (mut numbers, mut has_null) = (Vec::new(), false);
        for value in values {
            match value {
                ScalarValue::Int64(Some(number)) => numbers.push(*number),
                value if value.is_null() => has_null = true,
                _ => return None,
            }
        }
        Some((
            Origin::Int(column.name.clone()),
            Test::Ints(numbers),
            has_null,
        ))
    }

    /// `text = 'x'`, `text IN (...)`, LIKE, regular expressions and wildcards, however the text is dressed.
    fn text_test(&self, expr: &Expr) -> Option<(Origin, Test, bool)> {
        let (subject, test, has_null) = text_atom(expr)?;
        if !is_text(&self.type_of(subject)?) || matches!(subject, Expr::Literal(..)) {
            return None;
        }
        let bare = self.undressed(subject);
        let dress = (bare != subject).then(|| replaced(subject, bare));
        Some((
            Origin::Text(bare.clone()),
            Test::Text(dress, test),
            has_null,
        ))
    }

    /// The innermost text that an expression is made of alone: `x` of `lower(base_name(x))`.
    fn undressed<'e>(&self, expr: &'e Expr) -> &'e Expr {
        let inner = match expr {
            Expr::ScalarFunction(call) => {
                let mut open = call
                    .args
                    .iter()
                    .filter(|argument| !matches!(argument, Expr::Literal(..)));
                match (open.next(), open.next()) {
                    (Some(only), None) => only,
                    _ => return expr,
                }
            }
            Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => expr,
            Expr::Alias(alias) => &alias.expr,
            _ => return expr,
        };
        match self.type_of(inner) {
            Some(inner_type) if is_text(&inner_type) => self.undressed(inner),
            _ => expr,
        }
    }

    /// Anything else that one text column decides.
    fn test_of_one_text(&self, expr: &Expr) -> Option<(Origin, Test, bool)> {
        // Its bitmap says it of all rows at once.
        if matches!(expr, Expr::IsNull(inner) | Expr::IsNotNull(inner) if matches!(inner.as_ref(), Expr::Column(_)))
        {
            return None;
        }
        let columns = expr.column_refs();
        let mut columns = columns.into_iter();
        let (Some(column), None) = (columns.next(), columns.next()) else {
            return None;
        };
        let bare = Expr::Column(column.clone());
        if !is_text(&self.type_of(&bare)?) {
            return None;
        }
        let test = TextAtom::Other(replaced(expr, &bare));
        Some((Origin::Text(bare), Test::Text(None, test), false))
    }
}

/// A test without its negation, where it has one that SQL's logic lets stand outside.
fn without_negation(expr: &Expr) -> Option<(Expr, bool)> {
    Some(match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::NotEq,
            right,
        }) => (
            Expr::BinaryExpr(BinaryExpr {
                left: left.clone(),
                op: Operator::Eq,
                right: right.clone(),
            }),
            true,
        ),
        Expr::InList(list) if list.negated => (
            Expr::InList(InList {
                negated: false,
                ..list.clone()
            }),
            true,
        ),
        Expr::Like(like) if like.negated => (
            Expr::Like(Like {
                negated: false,
                ..like.clone()
            }),
            true,
        ),
        _ => return None,
    })
}

/// What is compared with literals, and these.
fn equality(expr: &Expr) -> Option<(&Expr, Vec<&ScalarValue>)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Literal(value, _), subject) | (subject, Expr::Literal(value, _)) => {
                Some((subject, vec![value]))
            }
            _ => None,
        },
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) => {
            let values = list.iter().map(|item| match item {
                Expr::Literal(value, _) => Some(value),
                _ => None,
            });
            Some((expr.as_ref(), values.collect::<Option<Vec<_>>>()?))
        }
        _ => None,
    }
}

fn text_atom(expr: &Expr) -> Option<(&Expr, TextAtom, bool)> {
    if let Some((subject, values)) = equality(expr) {
        let (mut texts, mut has_null) = (Vec::new(), false);
        for value in values {
            match value.try_as_str() {
                Some(Some(text)) => texts.push(text.to_owned()),
                Some(None) => has_null = true,
                None if value.is_null() => has_null = true,
                None => return None,
            }
        }
        return Some((subject, TextAtom::OneOf(texts), has_null));
    }
    match expr {
        Expr::ScalarFunction(call) => {
            let test = TextTest::of(call)?;
            Some((call.args.first()?, TextAtom::Pattern(test), false))
        }
        Expr::Like(Like {
            negated: false,
            expr,
            pattern,
            escape_char: None,
            case_insensitive: false,
        }) => {
            let Expr::Literal(pattern, _) = pattern.as_ref() else {
                return None;
            };
            let prefix = pattern.try_as_str().flatten()?.strip_suffix('%')?;
            let is_plain = !prefix.contains(['%', '_', '\\']);
            is_plain.then(|| (expr.as_ref(), TextAtom::Prefix(prefix.to_owned()), false))
        }
        _ => None,
    }
}

/// An expression with [`VALUE`] in the place of a part.
fn replaced(expr: &Expr, part: &Expr) -> Expr {
    let value = Expr::Column(Column::from_name(VALUE));
    let replaced = expr.clone().transform_down(|node| {
        Ok(if node == *part {
            Transformed::yes(value.clone())
        } else {
            Transformed::no(node)
        })
    });
    // Nothing in it fails.
    replaced.map_or_else(|_| expr.clone(), |replaced| replaced.data)
}

impl TextAtom {
    /// What every text that passes holds.
    pub(super) fn required(&self) -> Required {
        match self {
            Self::Pattern(test) => test.required.clone(),
            Self::Prefix(prefix) if prefix.len() >= 3 => Required {
                groups: vec![vec![prefix.to_ascii_lowercase()]],
                folds: false,
            },
            _ => Required::default(),
        }
    }
}
