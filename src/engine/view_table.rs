//! A view as a table: its branches are analysed and simplified once a session; a hunt is planned over the view's columns
//! alone, and only its filters and columns are then put in the words of each branch.
//!
//! The planner never sees the union: its rules would walk every column of every branch for every hunt.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    Cast, Expr, ExprSchemable, LogicalPlan, TableProviderFilterPushDown, TableType, TryCast,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;

use super::in_order::InOrderExec;
use crate::lake::provider::pushdown;

/// A view over the tables that feed it.
#[derive(Debug)]
pub(super) struct ViewTable {
    schema: SchemaRef,
    branches: Vec<(Arc<Branch>, Arc<dyn TableProvider>)>,
}

/// One SELECT over one table, whatever the window.
#[derive(Debug)]
pub(super) struct Branch {
    schema: DFSchemaRef,
    /// Conjuncts over the table's columns.
    filters: Vec<Expr>,
    /// The view's columns over the table's.
    columns: HashMap<String, Expr>,
}

impl ViewTable {
    /// A view of a schema, with the tables of its branches; without branches it has no rows.
    pub(super) fn new(
        schema: SchemaRef,
        branches: Vec<(Arc<Branch>, Arc<dyn TableProvider>)>,
    ) -> Self {
        Self { schema, branches }
    }
}

impl Branch {
    /// Takes an analysed plan apart; `None` when it is more than columns and filters over a table.
    pub(super) fn of(plan: &LogicalPlan, options: &Arc<ConfigOptions>) -> Result<Option<Self>> {
        let Some(mut branch) = flatten(plan)? else {
            return Ok(None);
        };
        let simplify = |expr| simplified(expr, &branch.schema, options);
        let filters = std::mem::take(&mut branch.filters);
        let filters = filters.into_iter().map(simplify);
        let filters = filters.collect::<Result<Vec<_>>>()?;
        let columns = std::mem::take(&mut branch.columns).into_iter();
        let columns = columns.map(|(name, expr)| Ok((name, simplify(expr)?)));
        let columns = columns.collect::<Result<_>>()?;
        branch.filters = filters
            .into_iter()
            .flat_map(split_conjunction_owned)
            .collect();
        branch.columns = columns;
        Ok(Some(branch))
    }

    /// Whether it is over a table with these columns.
    pub(super) fn is_over(&self, table: &SchemaRef) -> bool {
        self.schema.inner() == table
    }

    /// What a filter over the view's columns says of the table's.
    fn in_its_words(&self, filter: &Expr, options: &Arc<ConfigOptions>) -> Result<Expr> {
        simplified(
            substitute(filter.clone(), &self.columns)?,
            &self.schema,
            options,
        )
    }

    /// The rows of this branch with some columns of the view; `None` when no row can pass the filters.
    async fn scan(
        &self,
        table: &Arc<dyn TableProvider>,
        state: &dyn Session,
        names: &[&str],
        filters: &[Expr],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let options = Arc::new(state.config_options().clone());
        let mut conjuncts = self.filters.clone();
        for filter in filters {
            match self.in_its_words(filter, &options)? {
                Expr::Literal(ScalarValue::Boolean(Some(true)), _) => {}
                Expr::Literal(value, _) if is_never(&value) => return Ok(None),
                filter => conjuncts.extend(split_conjunction_owned(filter)),
            }
        }
        let columns: Vec<(&Expr, &str)> = names
            .iter()
            .map(|name| (&self.columns[*name], *name))
            .collect();
        let mut read = BTreeSet::new();
        for (expr, _) in &columns {
            for column in expr.column_refs() {
                read.insert(self.schema.index_of_column(column)?);
            }
        }
        let read: Vec<usize> = read.into_iter().collect();
        let scan = table.scan(state, Some(&read), &conjuncts, None).await?;
        let schema = DFSchema::try_from(scan.schema())?;
        let columns = columns.into_iter().map(|(expr, name)| {
            let expr = state.create_physical_expr(expr.clone(), &schema)?;
            Ok((expr, name.to_owned()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(Some(Arc::new(ProjectionExec::try_new(columns, scan)?)))
    }
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| pushdown(filter)).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let schema = Arc::new(self.schema.project(projection.unwrap_or(&all))?);
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let mut branches = Vec::new();
        for (branch, table) in &self.branches {
            branches.extend(branch.scan(table, state, &names, filters).await?);
        }
        if branches.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        Ok(Arc::new(InOrderExec::new(branches, schema)))
    }
}

/// Whether a filter that is this value lets no row through.
fn is_never(value: &ScalarValue) -> bool {
    value.is_null() || *value == ScalarValue::Boolean(Some(false))
}

/// A plan of projections, filters and aliases over one table as expressions over that table.
fn flatten(plan: &LogicalPlan) -> Result<Option<Branch>> {
    Ok(match plan {
        LogicalPlan::SubqueryAlias(alias) => flatten(&alias.input)?,
        LogicalPlan::Filter(filter) => {
            let Some(mut branch) = flatten(&filter.input)? else {
                return Ok(None);
            };
            let predicate = substitute(filter.predicate.clone(), &branch.columns)?;
            branch.filters.extend(split_conjunction_owned(predicate));
            Some(branch)
        }
        LogicalPlan::Projection(projection) => {
            let Some(mut branch) = flatten(&projection.input)? else {
                return Ok(None);
            };
            let mut columns = HashMap::new();
            for (expr, field) in projection.expr.iter().zip(projection.schema.fields()) {
                let expr = substitute(expr.clone().unalias(), &branch.columns)?;
                columns.insert(
                    field.name().clone(),
                    without_idle_cast(expr, &branch.schema)?,
                );
            }
            branch.columns = columns;
            Some(branch)
        }
        LogicalPlan::TableScan(scan) if scan.projection.is_none() && scan.filters.is_empty() => {
            let table = source_as_provider(&scan.source)?;
            let schema = DFSchema::try_from(table.schema())?;
            let columns = schema.fields().iter().map(|field| {
                let column = Expr::Column(Column::from_name(field.name()));
                (field.name().clone(), column)
            });
            Some(Branch {
                columns: columns.collect(),
                filters: Vec::new(),
                schema: Arc::new(schema),
            })
        }
        _ => None,
    })
}

/// Puts what columns stand for in their place.
fn substitute(expr: Expr, columns: &HashMap<String, Expr>) -> Result<Expr> {
    let replaced = expr.transform_up(|expr| {
        Ok(match &expr {
            Expr::Column(column) => match columns.get(&column.name) {
                Some(meant) => Transformed::yes(meant.clone()),
                None => Transformed::no(expr),
            },
            Expr::Alias(_) => Transformed::yes(expr.unalias()),
            _ => Transformed::no(expr),
        })
    })?;
    Ok(replaced.data)
}

/// Casts to a column's own type say nothing, and would hide it from statistics and from the scan's index.
fn without_idle_cast(expr: Expr, schema: &DFSchemaRef) -> Result<Expr> {
    let is_idle = match &expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            expr.get_type(schema.as_ref())? == *field.data_type()
        }
        _ => false,
    };
    Ok(match expr {
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) if is_idle => *expr,
        other => other,
    })
}

fn simplified(expr: Expr, schema: &DFSchemaRef, options: &Arc<ConfigOptions>) -> Result<Expr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(schema))
        .with_config_options(Arc::clone(options))
        .build();
    ExprSimplifier::new(context).simplify(expr)
}
