//! What there is in a session: tables, views and their columns, functions and what they are for.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Ident, Query, SetExpr, TableFactor};

use super::{Console, Relation, single};
use crate::engine::scope::same;
use crate::error::{Error, Result};

impl Console {
    /// All that FROM can name.
    pub fn relations(&self) -> Vec<Relation> {
        let lake = self.engine.lake();
        let kind = |name: &String| match name {
            _ if self.own_views.iter().any(|(own, _)| own == name) => "session view",
            _ if lake.views.contains_key(name) => "view",
            _ if lake.lookups.contains_key(name) => "lookup",
            _ if lake.tables.contains_key(name) => "table",
            _ => "output",
        };
        let relations = self.session.relations.columns.iter();
        let seen = relations.filter(|(name, _)| !self.temporary.contains(name));
        seen.map(|(name, columns)| Relation {
            kind: kind(name),
            name: name.clone(),
            columns: columns.clone(),
        })
        .collect()
    }

    /// The names of all functions.
    pub fn functions(&self) -> Vec<String> {
        let state = self.session.context.state();
        let mut names: Vec<String> = state.scalar_functions().keys().cloned().collect();
        names.extend(state.aggregate_functions().keys().cloned());
        names.extend(state.window_functions().keys().cloned());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of the functions that aggregate.
    pub fn aggregates(&self) -> Vec<String> {
        let state = self.session.context.state();
        state.aggregate_functions().keys().cloned().collect()
    }

    /// The columns of a text's rows.
    ///
    /// # Errors
    /// When it does not plan.
    pub async fn schema_of(&mut self, text: &str) -> Result<SchemaRef> {
        let plan = self.plan_text(text).await?;
        Ok(Arc::clone(plan.schema().inner()))
    }

    /// What a function is for: how it is called, and what it gives.
    pub fn function(&self, name: &str) -> Option<(String, String)> {
        let state = self.session.context.state();
        let documentation = state
            .scalar_functions()
            .get(name)
            .and_then(|function| function.documentation().cloned());
        let documentation = documentation.or_else(|| {
            let function = state.aggregate_functions().get(name)?;
            function.documentation().cloned()
        });
        let documentation = documentation.or_else(|| {
            let function = state.window_functions().get(name)?;
            function.documentation().cloned()
        });
        documentation.map(|about| (about.syntax_example, about.description))
    }

    pub(super) fn listed(&self) -> Result<RecordBatch> {
        let mut relations = self.relations();
        relations.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        let names = relations
            .iter()
            .map(|relation| Some(relation.name.as_str()));
        let kinds = relations.iter().map(|relation| Some(relation.kind));
        texts([("name", names.collect()), ("kind", kinds.collect())])
    }

    /// What the columns of a view mean.
    pub(super) fn meanings(&self, relation: Option<Ident>) -> BTreeMap<String, String> {
        let Some(ident) = relation else {
            return BTreeMap::new();
        };
        let views = &self.engine.lake().views;
        let found = views.values().find(|view| same(&ident, &view.name));
        let columns = found.iter().flat_map(|view| &view.columns);
        columns
            .map(|column| (column.name.clone(), column.meaning.clone()))
            .collect()
    }
}

/// The one relation that `SELECT * FROM x` reads.
pub(super) fn relation_of(query: &Query) -> Option<Ident> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    match select.from.as_slice() {
        [from] if from.joins.is_empty() => match &from.relation {
            TableFactor::Table { name, .. } => single(name).cloned(),
            _ => None,
        },
        _ => None,
    }
}

/// Columns of texts as a batch.
fn texts<const N: usize>(columns: [(&str, Vec<Option<&str>>); N]) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(|(name, values)| {
        let array: ArrayRef = Arc::new(StringArray::from(values));
        (name, array, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|error| Error::failure(error.to_string()))
}

pub(super) fn described(
    plan: &LogicalPlan,
    meanings: &BTreeMap<String, String>,
) -> Result<RecordBatch> {
    let fields = plan.schema().fields();
    let types: Vec<String> = fields
        .iter()
        .map(|field| type_name(field.data_type()))
        .collect();
    let names = fields
        .iter()
        .map(|field| Some(field.name().as_str()))
        .collect();
    let types = types.iter().map(|name| Some(name.as_str())).collect();
    if meanings.is_empty() {
        return texts([("column", names), ("type", types)]);
    }
    let meanings = fields
        .iter()
        .map(|field| meanings.get(field.name()).map(String::as_str));
    texts([
        ("column", names),
        ("type", types),
        ("meaning", meanings.collect()),
    ])
}

/// What people call a type.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Null => "null".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Timestamp(..) => "time".to_owned(),
        integer if integer.is_integer() => "int".to_owned(),
        number if number.is_floating() => "float".to_owned(),
        DataType::List(field) | DataType::LargeList(field) => {
            format!("list of {}", type_name(field.data_type()))
        }
        DataType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|field| format!("{} {}", field.name(), type_name(field.data_type())));
            format!("struct({})", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
