//! What a name can mean at a place of a query: the relations in sight, their columns, and the names of the output.
//!
//! Data and small questions to it; the walk over the query is `names`' business.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, FunctionArguments, Ident, JoinConstraint, JoinOperator, ObjectName,
    ObjectNamePart, TableAlias,
};

/// Columns of something in FROM; `None` when they cannot be known before planning.
pub(super) type Columns = Option<Vec<String>>;

#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) columns: Columns,
    /// The table whose records these are; none of a view, a lookup, a subquery.
    pub(super) records: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) relations: Vec<Relation>,
    /// Output names of the SELECT, for GROUP BY, HAVING and ORDER BY.
    pub(super) outputs: Vec<String>,
    /// In ORDER BY an output name comes before a column of the same name.
    pub(super) outputs_first: bool,
}

pub(super) fn same(ident: &Ident, name: &str) -> bool {
    match ident.quote_style {
        Some(_) => ident.value == name,
        None => {
            ident.value.eq_ignore_ascii_case(name)
                || ident.value.to_lowercase() == name.to_lowercase()
        }
    }
}

pub(super) fn make_exact(ident: &mut Ident, name: &str) {
    name.clone_into(&mut ident.value);
    ident.quote_style = Some('"');
}

/// The name itself of a name that may be qualified.
pub(super) fn last_part(name: &mut ObjectName) -> Option<&mut Ident> {
    match name.0.last_mut()? {
        ObjectNamePart::Identifier(ident) => Some(ident),
        ObjectNamePart::Function(_) => None,
    }
}

pub(super) fn nested(outer: &[Scope], scope: Scope) -> Vec<Scope> {
    let mut scopes = outer.to_vec();
    scopes.push(scope);
    scopes
}

pub(super) fn extend(columns: &mut Columns, more: Columns) {
    match (columns.as_mut(), more) {
        (Some(columns), Some(more)) => columns.extend(more),
        _ => *columns = None,
    }
}

pub(super) fn alias_columns(alias: &TableAlias) -> Columns {
    (!alias.columns.is_empty()).then(|| {
        alias
            .columns
            .iter()
            .map(|column| column.name.value.clone())
            .collect()
    })
}

pub(super) fn push(scope: &mut Scope, alias: Option<&TableAlias>, found: Relation) {
    scope.relations.push(match alias {
        Some(alias) => Relation {
            name: alias.name.value.clone(),
            // Renamed columns are no longer those of a record.
            records: found.records.filter(|_| alias.columns.is_empty()),
            columns: alias_columns(alias).or(found.columns),
        },
        None => found,
    });
}

pub(super) fn output_name(expression: &Expr) -> String {
    match expression {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(parts) => parts
            .last()
            .map(|part| part.value.clone())
            .unwrap_or_default(),
        other => other.to_string(),
    }
}

/// The columns that `x.*` means.
pub(super) fn qualified_wildcard(name: &mut ObjectName, scope: &Scope) -> Columns {
    let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice() else {
        return None;
    };
    let relation = scope
        .relations
        .iter()
        .find(|relation| same(ident, &relation.name))?;
    make_exact(ident, &relation.name);
    relation.columns.clone()
}

/// The names of a dotted path in which the parser took one for a function without brackets, as it does with `user`: a
/// column of events, and the first part of many paths. `None` for anything else.
pub(super) fn misread_path(expression: &Expr) -> Option<Vec<Ident>> {
    match expression {
        Expr::Function(function) if matches!(function.args, FunctionArguments::None) => {
            let parts = function.name.0.iter();
            let parts = parts.map(|part| part.as_ident().cloned());
            parts.collect()
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            let mut parts = part_of_path(root)?;
            for access in access_chain {
                match access {
                    AccessExpr::Dot(part) => parts.extend(part_of_path(part)?),
                    AccessExpr::Subscript(_) => return None,
                }
            }
            Some(parts)
        }
        _ => None,
    }
}

/// The path that parts spell, in small letters.
pub(super) fn dotted(parts: &[Ident]) -> String {
    let parts: Vec<_> = parts.iter().map(|part| part.value.as_str()).collect();
    parts.join(".").to_lowercase()
}

fn part_of_path(expression: &Expr) -> Option<Vec<Ident>> {
    match expression {
        Expr::Identifier(ident) => Some(vec![ident.clone()]),
        Expr::CompoundIdentifier(parts) => Some(parts.clone()),
        other => misread_path(other),
    }
}

pub(super) fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => Some(constraint),
        _ => None,
    }
}
