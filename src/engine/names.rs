//! Names in SQL: unquoted ones resolve without regard to case, quoted ones are exact, everywhere.
//!
//! One walk over the syntax tree, scope by scope, before planning: every name that means a table or a column is
//! replaced by its exact, quoted spelling. A name that could mean two is an error that lists them. What is not found
//! is left alone: the planner's own error names the place and the closest columns.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, ExcludeSelectItem, Expr, Function, GroupByExpr, Ident, JoinConstraint, ObjectName,
    ObjectNamePart, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, TableFactor, TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::raw::{self, Asked};
use super::scope::{
    Columns, Relation, Scope, alias_columns, constraint, dotted, extend, last_part, make_exact,
    misread_path, nested, output_name, push, qualified_wildcard, same,
};
use super::source::SqlSource;
use crate::error::{Result, did_you_mean};

/// How the error about a table or view that is not there begins; the name and a backtick follow.
pub(super) const UNKNOWN_RELATION: &str = "unknown table or view `";

/// What a query can name.
pub trait Catalog {
    /// Tables and views with their columns.
    fn relations(&self) -> &[(String, Vec<String>)];

    /// The declared columns of a relation that is a table with records.
    fn record_columns(&self, _relation: &str) -> Option<&[String]> {
        None
    }
}

/// What a query reads.
#[derive(Debug)]
pub(super) struct Resolved {
    /// Tables and views.
    pub(super) relations: BTreeSet<String>,
    /// Texts of records.
    pub(super) raw: Asked,
}

/// Resolves the names of a query and returns what it reads.
pub(super) fn resolve(
    query: &mut Query,
    catalog: &dyn Catalog,
    source: &SqlSource,
) -> Result<Resolved> {
    let mut resolver = Resolver {
        catalog,
        source,
        ctes: Vec::new(),
        used: BTreeSet::new(),
        raw: raw::is_used(query).then(Asked::new),
    };
    resolver.query(query, &[])?;
    let (relations, asked) = (resolver.used, resolver.raw);
    if let Some(asked) = &asked {
        raw::bind(query, asked);
    }
    Ok(Resolved {
        relations,
        raw: asked.unwrap_or_default(),
    })
}

struct Resolver<'a> {
    catalog: &'a dyn Catalog,
    source: &'a SqlSource,
    /// Common table expressions in sight, innermost last.
    ctes: Vec<Relation>,
    used: BTreeSet<String>,
    /// Texts of records, where the query asks for any.
    raw: Option<Asked>,
}

impl Resolver<'_> {
    fn query(&mut self, query: &mut Query, outer: &[Scope]) -> Result<Columns> {
        let ctes = self.ctes.len();
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                let recursive = with.recursive;
                if recursive {
                    let columns = alias_columns(&cte.alias);
                    self.ctes.push(Relation {
                        name: cte.alias.name.value.clone(),
                        columns,
                        records: None,
                    });
                }
                let found = self.query(&mut cte.query, outer)?;
                let columns = alias_columns(&cte.alias).or(found);
                if recursive {
                    self.ctes.pop();
                }
                self.ctes.push(Relation {
                    name: cte.alias.name.value.clone(),
                    columns,
                    records: None,
                });
            }
        }
        let (columns, scope) = self.set_expr(&mut query.body, outer)?;
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(expressions) = &mut order_by.kind
        {
            let mut scope = scope.unwrap_or_default();
            scope.outputs = columns.clone().unwrap_or_default();
            scope.outputs_first = true;
            let scopes = nested(outer, scope);
            for expression in expressions {
                self.within(&mut expression.expr, &scopes)?;
            }
        }
        self.ctes.truncate(ctes);
        Ok(columns)
    }

    fn set_expr(
        &mut self,
        body: &mut SetExpr,
        outer: &[Scope],
    ) -> Result<(Columns, Option<Scope>)> {
        match body {
            SetExpr::Select(select) => {
                let (columns, scope) = self.select(select, outer)?;
                Ok((columns, Some(scope)))
            }
            SetExpr::Query(query) => Ok((self.query(query, outer)?, None)),
            SetExpr::SetOperation { left, right, .. } => {
                let (columns, _) = self.set_expr(left, outer)?;
                self.set_expr(right, outer)?;
                Ok((columns, None))
            }
            SetExpr::Values(values) => {
                let mut width = 0;
                for row in &mut values.rows {
                    width = row.len();
                    for expression in row.iter_mut() {
                        self.within(expression, outer)?;
                    }
                }
                Ok((
                    Some((1..=width).map(|index| format!("column{index}")).collect()),
                    None,
                ))
            }
            _ => Ok((None, None)),
        }
    }

    fn select(&mut self, select: &mut Select, outer: &[Scope]) -> Result<(Columns, Scope)> {
        let mut scope = Scope::default();
        for table in &mut select.from {
            self.table_with_joins(table, &mut scope, outer)?;
        }
        let scopes = nested(outer, scope.clone());
        let mut columns = Some(Vec::new());
        for item in &mut select.projection {
            let name = match item {
                SelectItem::UnnamedExpr(expression) => {
                    self.within(expression, &scopes)?;
                    Some(output_name(expression))
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.within(expr, &scopes)?;
                    Some(alias.value.clone())
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) => {
                    let mut found = qualified_wildcard(name, &scope);
                    self.exclude(options, &mut found, &scopes)?;
                    extend(&mut columns, found);
                    None
                }
                SelectItem::Wildcard(options) => {
                    let mut found = Some(Vec::new());
                    for relation in &scope.relations {
                        extend(&mut found, relation.columns.clone());
                    }
                    self.exclude(options, &mut found, &scopes)?;
                    extend(&mut columns, found);
                    None
                }
                _ => {
                    columns = None;
                    None
                }
            };
            if let (Some(columns), Some(name)) = (&mut columns, name) {
                columns.push(name);
            }
        }
        if let Some(selection) = &mut select.selection {
            self.within(selection, &scopes)?;
        }
        if let Some(Distinct::On(expressions)) = &mut select.distinct {
            for expression in expressions {
                self.within(expression, &scopes)?;
            }
        }
        scope.outputs = columns.clone().unwrap_or_default();
        let scopes = nested(outer, scope.clone());
        if let GroupByExpr::Expressions(expressions, _) = &mut select.group_by {
            for expression in expressions {
                self.within(expression, &scopes)?;
            }
        }
        for window in &mut select.named_window {
            self.within(&mut window.1, &scopes)?;
        }
        for expression in [&mut select.having, &mut select.qualify]
            .into_iter()
            .flatten()
        {
            self.within(expression, &scopes)?;
        }
        Ok((columns, scope))
    }

    fn table_with_joins(
        &mut self,
        table: &mut TableWithJoins,
        scope: &mut Scope,
        outer: &[Scope],
    ) -> Result<()> {
        self.table_factor(&mut table.relation, scope, outer)?;
        for join in &mut table.joins {
            self.table_factor(&mut join.relation, scope, outer)?;
            match constraint(&mut join.join_operator) {
                Some(JoinConstraint::On(expression)) => {
                    self.within(expression, &nested(outer, scope.clone()))?;
                }
                Some(JoinConstraint::Using(names)) => {
                    for name in names {
                        if let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice() {
                            self.column(ident, &nested(outer, scope.clone()))?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn table_factor(
        &mut self,
        factor: &mut TableFactor,
        scope: &mut Scope,
        outer: &[Scope],
    ) -> Result<()> {
        match factor {
            TableFactor::Table {
                name,
                sample: Some(_),
                ..
            } => {
                let error = self.source.error_about(
                    "TABLESAMPLE",
                    format!("a sample of {name} is another one on every run"),
                );
                return Err(error.hint("narrow the rows with WHERE instead"));
            }
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let found = self.relation(name)?;
                if self.raw.is_some() && found.records.is_some() {
                    raw::mark(name, alias);
                }
                push(scope, alias.as_ref(), found);
            }
            TableFactor::Derived {
                subquery,
                alias,
                lateral,
                ..
            } => {
                // A lateral subquery sees what stands before it.
                let columns = if *lateral {
                    self.query(subquery, &nested(outer, scope.clone()))?
                } else {
                    self.query(subquery, outer)?
                };
                push(
                    scope,
                    alias.as_ref(),
                    Relation {
                        columns,
                        ..Relation::default()
                    },
                );
            }
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => {
                self.table_with_joins(table_with_joins, scope, outer)?;
            }
            TableFactor::UNNEST {
                array_exprs, alias, ..
            } => {
                let scopes = nested(outer, scope.clone());
                for expression in array_exprs {
                    self.within(expression, &scopes)?;
                }
                push(scope, alias.as_ref(), Relation::default());
            }
            TableFactor::Table { alias, .. } | TableFactor::Function { alias, .. } => {
                push(scope, alias.as_ref(), Relation::default());
            }
            _ => scope.relations.push(Relation::default()),
        }
        Ok(())
    }

    fn relation(&mut self, name: &mut ObjectName) -> Result<Relation> {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice() else {
            return Ok(Relation::default());
        };
        if let Some(cte) = self.ctes.iter().rev().find(|cte| same(ident, &cte.name)) {
            make_exact(ident, &cte.name);
            return Ok(cte.clone());
        }
        let relations = self.catalog.relations();
        let found: Vec<_> = relations
            .iter()
            .filter(|(name, _)| same(ident, name))
            .collect();
        match found.as_slice() {
            [(name, columns)] => {
                make_exact(ident, name);
                self.used.insert(name.clone());
                Ok(Relation {
                    name: name.clone(),
                    columns: Some(columns.clone()),
                    records: self.catalog.record_columns(name).map(|_| name.clone()),
                })
            }
            [] => {
                let names = self.ctes.iter().map(|cte| cte.name.as_str());
                let names = names.chain(relations.iter().map(|(name, _)| name.as_str()));
                Err(self
                    .source
                    .error_at(
                        ident.span.start,
                        format!("{UNKNOWN_RELATION}{}`", ident.value),
                    )
                    .hint(did_you_mean(&ident.value, names).unwrap_or_else(|| {
                        let names: Vec<_> =
                            relations.iter().map(|(name, _)| name.as_str()).collect();
                        format!("this lake has {}", names.join(", "))
                    })))
            }
            several => {
                let names: Vec<_> = several
                    .iter()
                    .map(|(name, _)| format!("\"{name}\""))
                    .collect();
                Err(self.ambiguous(ident, &names))
            }
        }
    }

    fn ambiguous(&self, ident: &Ident, candidates: &[String]) -> crate::error::Error {
        self.source
            .error_at(
                ident.span.start,
                format!(
                    "`{}` is ambiguous: it can mean {}",
                    ident.value,
                    candidates.join(" or ")
                ),
            )
            .hint("names without quotes ignore case; put the one you mean in double quotes")
    }

    /// The column that a use of `raw()` stands for.
    fn raw(&mut self, function: &mut Function, scopes: &[Scope]) -> Result<Option<Expr>> {
        self.within(&mut function.args, scopes)?;
        let (column, table, field) = raw::column(function, scopes, self.catalog, self.source)?;
        let asked = self.raw.get_or_insert_default();
        asked.entry(table).or_default().insert(field);
        Ok(Some(column))
    }

    /// Resolves every name inside a part of the tree, subqueries included.
    fn within(&mut self, part: &mut impl VisitMut, scopes: &[Scope]) -> Result<()> {
        let mut visitor = ExpressionVisitor {
            resolver: self,
            scopes,
            depth: 0,
        };
        match part.visit(&mut visitor) {
            ControlFlow::Break(error) => Err(*error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// Resolves the columns that `* EXCLUDE (...)` or `* EXCEPT (...)` leaves out, and leaves them out.
    fn exclude(
        &self,
        options: &mut WildcardAdditionalOptions,
        columns: &mut Columns,
        scopes: &[Scope],
    ) -> Result<()> {
        let mut left_out = Vec::new();
        let excluded: Vec<&mut Ident> = match &mut options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => last_part(name).into_iter().collect(),
            Some(ExcludeSelectItem::Multiple(names)) => {
                names.iter_mut().filter_map(last_part).collect()
            }
            None => Vec::new(),
        };
        let except = options.opt_except.iter_mut();
        let except = except.flat_map(|except| {
            std::iter::once(&mut except.first_element).chain(&mut except.additional_elements)
        });
        for ident in excluded.into_iter().chain(except) {
            self.column(ident, scopes)?;
            left_out.push(ident.value.clone());
        }
        if options.opt_replace.is_some() || options.opt_rename.is_some() {
            *columns = None;
        } else if let Some(columns) = columns {
            columns.retain(|column| !left_out.contains(column));
        }
        Ok(())
    }

    /// Gives an unqualified column its exact spelling; false when nothing of that name is in sight.
    fn column(&self, ident: &mut Ident, scopes: &[Scope]) -> Result<bool> {
        if ident.quote_style.is_some() {
            return Ok(false);
        }
        for scope in scopes.iter().rev() {
            let columns = scope
                .relations
                .iter()
                .filter_map(|relation| relation.columns.as_ref());
            let columns: BTreeSet<&str> = columns
                .flatten()
                .map(String::as_str)
                .filter(|name| same(ident, name))
                .collect();
            let outputs: BTreeSet<&str> = scope
                .outputs
                .iter()
                .map(String::as_str)
                .filter(|name| same(ident, name))
                .collect();
            let (first, second) = if scope.outputs_first {
                (outputs, columns)
            } else {
                (columns, outputs)
            };
            let found = if first.is_empty() { second } else { first };
            let found: Vec<_> = found.into_iter().collect();
            match found.as_slice() {
                [] => {}
                [name] => {
                    make_exact(ident, name);
                    return Ok(true);
                }
                several => {
                    let names: Vec<_> = several.iter().map(|name| format!("\"{name}\"")).collect();
                    return Err(self.ambiguous(ident, &names));
                }
            }
        }
        Ok(false)
    }

    /// Gives `relation.column` its exact spelling; a dotted raw path becomes the one column it names.
    fn compound(&self, parts: &mut Vec<Ident>, scopes: &[Scope]) -> Result<Option<Ident>> {
        for scope in scopes.iter().rev() {
            let dotted = dotted(parts);
            let after = dotted.split_once('.').map_or("", |(_, after)| after);
            for relation in &scope.relations {
                let columns = relation.columns.iter().flatten();
                let path = |path: &str| {
                    let mut columns = columns.clone();
                    let found = columns.find(|column| column.to_lowercase() == path);
                    found.map(|column| Ident::with_quote('"', column))
                };
                if let Some(column) = path(&dotted) {
                    return Ok(Some(column));
                }
                if !same(&parts[0], &relation.name) {
                    continue;
                }
                make_exact(&mut parts[0], &relation.name);
                if let Some(column) = path(after).filter(|_| parts.len() > 2) {
                    parts.truncate(1);
                    parts.push(column);
                    return Ok(None);
                }
                if parts[1].quote_style.is_none() {
                    let found: Vec<_> = columns.filter(|column| same(&parts[1], column)).collect();
                    match found.as_slice() {
                        [name] => make_exact(&mut parts[1], name),
                        [] => {}
                        several => {
                            let names: Vec<_> = several
                                .iter()
                                .map(|name| format!("{}.\"{name}\"", relation.name))
                                .collect();
                            return Err(self.ambiguous(&parts[1], &names));
                        }
                    }
                }
                return Ok(None);
            }
        }
        self.column(&mut parts[0], scopes)?;
        Ok(None)
    }
}

struct ExpressionVisitor<'r, 'a> {
    resolver: &'r mut Resolver<'a>,
    scopes: &'r [Scope],
    depth: usize,
}

impl VisitorMut for ExpressionVisitor<'_, '_> {
    type Break = Box<crate::error::Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        self.depth += 1;
        // A subquery is resolved as a whole, with its own scopes; what the visitor then walks is done.
        if self.depth == 1
            && let Err(error) = self.resolver.query(query, self.scopes)
        {
            return ControlFlow::Break(Box::new(error));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Self::Break> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        if let Some(mut parts) = misread_path(expression) {
            match parts.as_mut_slice() {
                // What is no column may well be a function: `current_date`.
                [ident] => match self.resolver.column(ident, self.scopes) {
                    Ok(true) => *expression = Expr::Identifier(ident.clone()),
                    Ok(false) => {}
                    Err(error) => return ControlFlow::Break(Box::new(error)),
                },
                _ => *expression = Expr::CompoundIdentifier(parts),
            }
        }
        let done = match expression {
            Expr::Identifier(ident) => self.resolver.column(ident, self.scopes).map(|_| None),
            Expr::CompoundIdentifier(parts) if parts.len() > 1 => {
                let found = self.resolver.compound(parts, self.scopes);
                found.map(|ident| ident.map(Expr::Identifier))
            }
            Expr::Function(function) if raw::is_raw(function) => {
                self.resolver.raw(function, self.scopes)
            }
            _ => return ControlFlow::Continue(()),
        };
        match done {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(exact)) => {
                *expression = exact;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}
