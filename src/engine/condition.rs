//! Conditions over the findings of a hunt, as exceptions have them: which rows they hold for.
//!
//! The same names, operators and functions as in a hunt; no tables.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::arrow::datatypes::DataType;
use datafusion::datasource::MemTable;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::plan::unstable_functions;
use super::prepare::parse_query;
use super::{Engine, Relations, SqlSource, column_names, names};
use crate::error::{Error, Result};

/// What findings are called while a condition is planned.
const FINDING: &str = "finding";

impl Engine {
    /// For each row whether a condition holds; NULL is no.
    ///
    /// # Errors
    /// A configuration error at its place in the condition: it does not parse, names a column that the findings do not
    /// have, is no condition; or a failure of a value.
    pub async fn holds(
        &self,
        condition: &SqlSource,
        findings: &RecordBatch,
    ) -> Result<BooleanArray> {
        let wrong = |error| condition.planning_error(&error);
        let tokens = |error: datafusion::sql::sqlparser::parser::ParserError| {
            condition.planning_error(&error.into())
        };
        let mut parser = Parser::new(&GenericDialect {})
            .try_with_sql(&condition.text)
            .map_err(tokens)?;
        let expression = parser.parse_expr().map_err(tokens)?;
        let rest = parser.peek_token();
        if rest.token != Token::EOF {
            return Err(condition
                .error_at(rest.span.start, format!("`{rest}` is not expected here"))
                .hint("a condition is what could stand after WHERE"));
        }
        let mut query = parse_query(&SqlSource {
            path: condition.path.clone(),
            text: format!("SELECT true FROM {FINDING}"),
        })?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = vec![SelectItem::UnnamedExpr(expression)];
        }
        let schema = findings.schema();
        let relations = Relations::of(vec![(FINDING.to_owned(), column_names(&schema))]);
        names::resolve(&mut query, &relations, condition)?;
        let context = self.context()?;
        let table = MemTable::try_new(schema, vec![vec![findings.clone()]]).map_err(wrong)?;
        context
            .register_table(FINDING, Arc::new(table))
            .map_err(wrong)?;
        let statement = Statement::Statement(Box::new(SqlStatement::Query(query)));
        let plan = context
            .state()
            .statement_to_plan(statement)
            .await
            .map_err(wrong)?;
        if let Some(error) = unstable_functions(&plan, condition)?.into_iter().next() {
            return Err(error);
        }
        let given = plan.schema().field(0).data_type().clone();
        if !matches!(given, DataType::Boolean | DataType::Null) {
            return Err(
                Error::configuration(format!("it gives {given}, not true or false"))
                    .in_file(&condition.path)
                    .hint("compare it with something"),
            );
        }
        let frame = context.execute_logical_plan(plan).await.map_err(wrong)?;
        let batches = frame.collect().await.map_err(wrong)?;
        let Some(first) = batches.first() else {
            return Ok(BooleanArray::from(Vec::<bool>::new()));
        };
        let all = concat_batches(&first.schema(), &batches).map_err(|error| wrong(error.into()))?;
        let answers =
            cast(all.column(0), &DataType::Boolean).map_err(|error| wrong(error.into()))?;
        Ok(answers
            .as_boolean()
            .iter()
            .map(|answer| Some(answer == Some(true)))
            .collect())
    }
}
