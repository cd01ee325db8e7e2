//! `raw(column)`, `raw('A.b.c')` and `raw()` in SQL: what a record says before it is given a type.
//!
//! Before planning, each becomes a column of the table, and the table one that has this column: what is not asked for
//! is not read, and `*` does not show it. The texts themselves are the lake's business.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, Value,
    VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::scope::{Relation, Scope, last_part, same};
use super::source::SqlSource;
use super::{Session, names::Catalog};
use crate::error::{Error, Result};
use crate::lake::raw::with_raw;
use crate::lake::{RawField, WindowedTable};

/// The name of the function.
const NAME: &str = "raw";

/// Stands before the name of a table while it is not known yet which texts a query asks of it. No name can hold it.
const MARK: char = '\0';

/// The texts that a query asks for, by table.
pub(super) type Asked = BTreeMap<String, BTreeSet<RawField>>;

/// Whether a query uses the function at all.
pub(super) fn is_used(query: &mut Query) -> bool {
    struct Finder;
    impl VisitorMut for Finder {
        type Break = ();
        fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
            match expression {
                Expr::Function(function) if is_raw(function) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    query.visit(&mut Finder).is_break()
}

pub(super) fn is_raw(function: &Function) -> bool {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return false;
    };
    name.value.eq_ignore_ascii_case(NAME)
}

/// Marks the name of a table, and keeps what it is called.
pub(super) fn mark(name: &mut ObjectName, alias: &mut Option<TableAlias>) {
    let Some(ident) = last_part(name) else { return };
    if alias.is_none() {
        *alias = Some(TableAlias {
            explicit: true,
            name: ident.clone(),
            columns: Vec::new(),
            at: None,
        });
    }
    ident.value.insert(0, MARK);
}

/// The column that a use of the function stands for, and what it asks of which table. The names in its argument have
/// their exact spelling.
pub(super) fn column(
    function: &Function,
    scopes: &[Scope],
    catalog: &dyn Catalog,
    source: &SqlSource,
) -> Result<(Expr, String, RawField)> {
    let place = match &function.name.0[0] {
        ObjectNamePart::Identifier(name) => name.span.start,
        ObjectNamePart::Function(function) => function.name.span.start,
    };
    let wrong = |message: &str, hint: &str| source.error_at(place, message).hint(hint.to_owned());
    let arguments = match &function.args {
        FunctionArguments::List(list) if list.clauses.is_empty() => list.args.as_slice(),
        _ => &[],
    };
    let field = match arguments {
        [] => Wanted::Record,
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => match argument {
            Expr::Identifier(name) => Wanted::Column(None, name),
            Expr::CompoundIdentifier(parts) if parts.len() == 2 => {
                Wanted::Column(Some(&parts[0]), &parts[1])
            }
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(path) if !path.is_empty() => Wanted::Path(path),
                _ => Wanted::Nothing,
            },
            _ => Wanted::Nothing,
        },
        _ => Wanted::Nothing,
    };
    if matches!(field, Wanted::Nothing) {
        return Err(wrong(
            "raw() takes a column, or a path as text, or nothing",
            "raw(EventID), raw('event_data.Image') or raw() for the whole record",
        ));
    }
    // As for other names, what is nearer hides what is further out.
    let readable = |relation: &&Relation| match (&field, &relation.records) {
        (_, None) => false,
        (Wanted::Column(qualifier, name), Some(table)) => {
            let is_meant = qualifier.is_none_or(|qualifier| same(qualifier, &relation.name));
            let columns = catalog.record_columns(table).unwrap_or_default();
            is_meant && columns.iter().any(|column| same(name, column))
        }
        _ => true,
    };
    let found = scopes.iter().rev().find_map(|scope| {
        let found: Vec<&Relation> = scope.relations.iter().filter(readable).collect();
        (!found.is_empty()).then_some(found)
    });
    let Some(found) = found else {
        return Err(none_found(&field, scopes, &wrong));
    };
    let [relation] = found.as_slice() else {
        return Err(wrong(
            "raw() can mean several tables here",
            "raw(table.column) says which; a path, or all of the record, is best asked for in a subquery over one table",
        ));
    };
    let table = relation.records.clone().unwrap_or_default();
    let field = match field {
        Wanted::Column(_, name) => {
            let columns = catalog.record_columns(&table).unwrap_or_default();
            let exact = columns.iter().find(|column| same(name, column));
            RawField::Column(exact.unwrap_or(&name.value).clone())
        }
        Wanted::Path(path) => RawField::Path(path.clone()),
        Wanted::Record | Wanted::Nothing => RawField::Record,
    };
    let parts = [relation.name.clone(), field.name()].map(|part| Ident::with_quote('"', part));
    Ok((Expr::CompoundIdentifier(parts.to_vec()), table, field))
}

/// What a use of the function asks for.
enum Wanted<'a> {
    Column(Option<&'a Ident>, &'a Ident),
    Path(&'a String),
    Record,
    Nothing,
}

/// Why no table in sight has what is asked for.
fn none_found(field: &Wanted<'_>, scopes: &[Scope], wrong: &dyn Fn(&str, &str) -> Error) -> Error {
    let relations = || scopes.iter().flat_map(|scope| &scope.relations);
    if relations().all(|relation| relation.records.is_none()) {
        return wrong(
            "raw() reads the records of a table, and there is none here",
            "views and subqueries have no records: ask the table that they read, `_table` of a view says which",
        );
    }
    match field {
        Wanted::Column(_, name) => wrong(
            &format!("raw(): no table here declares a column `{}`", name.value),
            &format!(
                "raw('{}') reads what a record has at this path, declared or not",
                name.value
            ),
        ),
        _ => wrong("raw() finds no table", "ask it of a table by its own name"),
    }
}

/// Gives every marked table the name of the one that has what is asked for, or its own back where nothing is.
pub(super) fn bind(query: &mut Query, asked: &Asked) {
    let _ = query.visit(&mut Binder { asked });
}

struct Binder<'a> {
    asked: &'a Asked,
}

impl VisitorMut for Binder<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.set_expr(&mut query.body);
        ControlFlow::Continue(())
    }
}

impl Binder<'_> {
    fn set_expr(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.set_expr(left);
                self.set_expr(right);
            }
            // Queries in brackets are visited by themselves.
            _ => {}
        }
    }

    fn select(&mut self, select: &mut Select) {
        let mut hidden = BTreeSet::new();
        for table in &mut select.from {
            self.factor(&mut table.relation, &mut hidden);
            for join in &mut table.joins {
                self.factor(&mut join.relation, &mut hidden);
            }
        }
        for item in &mut select.projection {
            match item {
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                    hide(options, &hidden);
                }
                _ => {}
            }
        }
    }

    fn factor(&mut self, factor: &mut TableFactor, hidden: &mut BTreeSet<String>) {
        match factor {
            TableFactor::Table { name, .. } => {
                let Some(ident) = last_part(name) else { return };
                let Some(table) = ident.value.strip_prefix(MARK) else {
                    return;
                };
                ident.value = match self.asked.get(table) {
                    None => table.to_owned(),
                    Some(fields) => {
                        hidden.extend(fields.iter().map(RawField::name));
                        with_fields(table, fields)
                    }
                };
            }
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => {
                self.factor(&mut table_with_joins.relation, hidden);
                for join in &mut table_with_joins.joins {
                    self.factor(&mut join.relation, hidden);
                }
            }
            _ => {}
        }
    }
}

/// The name of a table with texts of its records: of the same texts the same one.
fn with_fields(table: &str, fields: &BTreeSet<RawField>) -> String {
    let names: Vec<_> = fields.iter().map(RawField::name).collect();
    format!("{table} with {}", names.join(", "))
}

/// Leaves columns out of a `*`, beside those that it leaves out already.
fn hide(options: &mut WildcardAdditionalOptions, hidden: &BTreeSet<String>) {
    let mut names: Vec<ObjectName> = match options.opt_exclude.take() {
        None => Vec::new(),
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        Some(ExcludeSelectItem::Multiple(names)) => names,
    };
    let idents = hidden.iter().map(|name| Ident::with_quote('"', name));
    names.extend(idents.map(|ident| ObjectName::from(vec![ident])));
    options.opt_exclude = (!names.is_empty()).then_some(ExcludeSelectItem::Multiple(names));
}

impl Session {
    /// Makes the tables that have what a query asks for.
    ///
    /// # Errors
    /// When a table of the query is none whose records can be read.
    pub(super) async fn register_raw(&self, asked: &Asked) -> Result<()> {
        for (table, fields) in asked {
            let name = TableReference::bare(with_fields(table, fields));
            let failed = |reason: String| Error::failure(format!("raw() of `{table}`: {reason}"));
            let internal =
                |error: datafusion::error::DataFusionError| failed(error.strip_backtrace());
            if self.context.table_exist(name.clone()).map_err(internal)? {
                continue;
            }
            let provider = self.context.table_provider(table.as_str()).await;
            let provider = provider.map_err(internal)?;
            let Some(windowed) = provider.downcast_ref::<WindowedTable>() else {
                return Err(failed("its records cannot be read".to_owned()));
            };
            let with_fields = WindowedTable {
                table: with_raw(&windowed.table, fields.iter().cloned()),
                ..windowed.clone()
            };
            let registered = self.context.register_table(name, Arc::new(with_fields));
            registered.map_err(internal)?;
        }
        Ok(())
    }
}
