//! Views: the union of one SELECT per table that feeds them, every column cast to the declared type.
//!
//! Views stay plain projections and filters, so that predicates reach the tables.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit, try_cast};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr,
    Statement as SqlStatement, TableFactor,
};

use super::names::{self, Catalog};
use super::prepare::parse_query;
use super::source::SqlSource;
use super::view_table::{Branch, ViewTable};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::lake::table::{EVENT_TIME, FILE_COLUMN, RECORD_ID, ROW_COLUMN, TABLE_COLUMN};
use crate::lake::view::{FormSql, View};

/// The name that a form's SELECT gives to its table.
const SOURCE: &str = "source";

/// The branches of views that were analysed before, by view, table and file of the SELECT (one table may have several): they
/// are the same in every window.
pub(super) type Known = Mutex<HashMap<BranchKey, Arc<Branch>>>;

type BranchKey = (String, String, PathBuf);

/// Registers every view of a lake; a view that no table feeds is empty and typed.
pub(super) async fn register(
    context: &SessionContext,
    lake: &Lake,
    catalog: &dyn Catalog,
    known: &Known,
) -> Result<()> {
    for view in lake.views.values() {
        register_one(context, lake, view, catalog, known).await?;
    }
    Ok(())
}

/// Registers one view of a lake.
pub(super) async fn register_one(
    context: &SessionContext,
    lake: &Lake,
    view: &View,
    catalog: &dyn Catalog,
    known: &Known,
) -> Result<()> {
    let mut branches = Vec::new();
    for (table, sql) in lake.sources(view) {
        let provider = context.table_provider(table.name.as_str()).await;
        let provider = provider.map_err(internal)?;
        let key = (view.name.clone(), table.name.clone(), sql.path.clone());
        let found = locked(known).get(&key).cloned();
        let found = found.filter(|branch| branch.is_over(&provider.schema()));
        let branch = if let Some(branch) = found {
            branch
        } else {
            let plan = branch(context, view, &table.name, sql, catalog).await?;
            let state = context.state();
            let analysed = state
                .analyzer()
                .execute_and_check(plan, state.config_options(), |_, _| {})
                .and_then(|plan| Branch::of(&plan, state.config_options()))
                .map_err(|error| planning(sql, &error))?;
            let branch = Arc::new(analysed.ok_or_else(|| {
                Error::configuration("a form's SQL is one plain SELECT").in_file(&sql.path)
            })?);
            locked(known).insert(key, Arc::clone(&branch));
            branch
        };
        branches.push((branch, provider));
    }
    let table = ViewTable::new(view.schema(), branches);
    context
        .register_table(view.name.as_str(), Arc::new(table))
        .map_err(internal)?;
    Ok(())
}

fn locked(known: &Known) -> MutexGuard<'_, HashMap<BranchKey, Arc<Branch>>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One form's SELECT over the table of that name, cast to the view's columns.
pub(super) async fn branch(
    context: &SessionContext,
    view: &View,
    table: &str,
    sql: &FormSql,
    catalog: &dyn Catalog,
) -> Result<LogicalPlan> {
    let source = SqlSource {
        path: sql.path.clone(),
        text: sql.sql.clone(),
    };
    let mut query = parse_query(&source)?;
    let select = simple_select(&mut query).ok_or_else(|| {
        Error::configuration("a form's SQL is one plain SELECT").in_file(&sql.path)
    })?;
    name_table(select, table).ok_or_else(|| {
        Error::configuration(format!("a form's SELECT reads FROM {SOURCE}")).in_file(&sql.path)
    })?;
    // Clock, identity and place are the table's; a form need not repeat them.
    for column in [EVENT_TIME, RECORD_ID, TABLE_COLUMN, FILE_COLUMN, ROW_COLUMN] {
        if !select
            .projection
            .iter()
            .any(|item| item_name(item).eq_ignore_ascii_case(column))
        {
            let ident = Ident::with_quote('"', column);
            select
                .projection
                .push(SelectItem::UnnamedExpr(SqlExpr::Identifier(ident)));
        }
    }
    let resolved = names::resolve(&mut query, catalog, &source)?;
    if !resolved.raw.is_empty() {
        let error = source.error_about("raw", "a view cannot use raw()");
        return Err(error.hint("declare a column of type `json` in the form, with the path"));
    }
    let statement = Statement::Statement(Box::new(SqlStatement::Query(query)));
    let plan = context
        .state()
        .statement_to_plan(statement)
        .await
        .map_err(|error| source.planning_error(&error))?;
    let fields: Vec<_> = plan
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    if let Some(unknown) = fields
        .iter()
        .find(|name| view.schema().field_with_name(name).is_err())
    {
        let message = format!("`{unknown}` is not a column of the view `{}`", view.name);
        return Err(source
            .error_about(unknown, message)
            .hint("columns of a view are declared in its schema.yaml"));
    }
    let columns: Vec<Expr> = view
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let name = field.name();
            let found = fields.contains(name);
            let value = match name.as_str() {
                "source" if !found => lit(ScalarValue::Utf8View(Some(table.to_owned()))),
                _ if found => Expr::Column(Column::from_name(name)),
                _ => lit(ScalarValue::try_from(field.data_type()).unwrap_or(ScalarValue::Null)),
            };
            try_cast(value, field.data_type().clone()).alias(name)
        })
        .collect();
    LogicalPlanBuilder::from(plan)
        .project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| planning(sql, &error))
}

fn simple_select(query: &mut Query) -> Option<&mut Select> {
    if query.with.is_some() || query.order_by.is_some() || query.limit_clause.is_some() {
        return None;
    }
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

fn name_table(select: &mut Select, table: &str) -> Option<()> {
    let [from] = select.from.as_mut_slice() else {
        return None;
    };
    let TableFactor::Table { name, .. } = &mut from.relation else {
        return None;
    };
    if !name.to_string().eq_ignore_ascii_case(SOURCE) || !from.joins.is_empty() {
        return None;
    }
    *name = ObjectName::from(vec![Ident::with_quote('"', table)]);
    Some(())
}

fn item_name(item: &SelectItem) -> &str {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => &alias.value,
        SelectItem::UnnamedExpr(SqlExpr::Identifier(ident)) => &ident.value,
        _ => "",
    }
}

fn planning(sql: &FormSql, error: &datafusion::error::DataFusionError) -> Error {
    let source = SqlSource {
        path: sql.path.clone(),
        text: sql.sql.clone(),
    };
    source.planning_error(error)
}

fn internal(error: datafusion::error::DataFusionError) -> Error {
    Error::failure(error.strip_backtrace())
}
