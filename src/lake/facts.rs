//! What is known of all rows of a Parquet file by its footer, or of a block of lines by a look at it: columns that are always
//! NULL, never NULL, or one value; and what is left of a predicate then.
//!
//! Views bring several generations of a log together, so most of what they test is decided by the file: which of the columns
//! it has, and of which event it holds nothing else. What is decided is neither decoded nor tested.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::parquet::file::statistics::Statistics;

use super::decoded::{Block, BlockColumn, DecodePlan};
use super::late::has_plainly;
use super::row_groups::Footer;

/// What is known of a column in all rows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Fact {
    /// It is always NULL: the file does not have it.
    Absent,
    /// It is never NULL.
    Present,
    /// It is always this.
    Always(ScalarValue),
}

/// What is known of the columns of a file, by name. None where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Facts(BTreeMap<String, Fact>);

impl Facts {
    /// What a footer says of those columns that a predicate may ask for.
    pub(super) fn of(plan: &DecodePlan, footer: &Footer, asked: impl Fn(&str) -> bool) -> Self {
        let form = &plan.table.form;
        let mut facts = BTreeMap::new();
        for (slot, column) in plan.form_columns.iter().enumerate() {
            let column = &form.columns[*column];
            if !asked(&column.name) {
                continue;
            }
            let is_absent = footer.leaves[slot].is_empty() && footer.nested[slot].is_empty();
            let fact = if is_absent {
                Some(Fact::Absent)
            } else if has_plainly(plan, footer, slot) {
                told(footer, footer.leaves[slot][0], &column.column_type.arrow())
            } else {
                None
            };
            if let Some(fact) = fact {
                facts.insert(column.name.clone(), fact);
            }
        }
        Self(facts)
    }

    /// What a block shows of those columns that a predicate may ask for.
    pub(super) fn of_block(plan: &DecodePlan, block: &Block, asked: impl Fn(&str) -> bool) -> Self {
        let form = &plan.table.form;
        let columns = plan.form_columns.iter().zip(&block.columns);
        let rows = block.times.len();
        let facts = columns.filter_map(|(column, values)| {
            let name = &form.columns[*column].name;
            if !asked(name) {
                return None;
            }
            let nulls = match values {
                BlockColumn::Array(array) => array.null_count(),
                BlockColumn::Written(texts) => texts.null_count(),
            };
            let fact = match nulls {
                0 => same(values).map_or(Fact::Present, Fact::Always),
                nulls if nulls == rows => Fact::Absent,
                _ => return None,
            };
            Some((name.clone(), fact))
        });
        Self(facts.collect())
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left of a predicate over the columns of a schema.
    ///
    /// # Errors
    /// When it cannot be planned, which would be a bug: it was before.
    pub(super) fn apply(&self, filter: &Expr, schema: &FactSchema) -> Result<Expr> {
        let mut is_touched = false;
        filter.apply(|expr| {
            is_touched = is_touched
                || match expr {
                    Expr::Column(column) => matches!(
                        self.0.get(&column.name),
                        Some(Fact::Absent | Fact::Always(_))
                    ),
                    Expr::IsNull(_) | Expr::IsNotNull(_) => true,
                    _ => false,
                };
            Ok(if is_touched {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })?;
        if !is_touched {
            return Ok(filter.clone());
        }
        let known = filter.clone().transform_up(|expr| {
            let Expr::Column(column) = &expr else {
                return Ok(Transformed::no(expr));
            };
            let value = match self.0.get(&column.name) {
                Some(Fact::Always(value)) => value.clone(),
                Some(Fact::Absent) => {
                    let field = schema.0.as_arrow().field_with_name(&column.name)?;
                    ScalarValue::try_new_null(field.data_type())?
                }
                Some(Fact::Present) | None => return Ok(Transformed::no(expr)),
            };
            Ok(Transformed::yes(Expr::Literal(value, None)))
        })?;
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&schema.0))
            .with_config_options(Arc::clone(&schema.1))
            .build();
        ExprSimplifier::new(context).simplify(known.data)
    }

    /// The columns of a scan as the facts have them: what is never NULL cannot be.
    pub(super) fn schema(&self, schema: &SchemaRef) -> Result<FactSchema> {
        let fields = schema.fields().iter().map(|field| {
            let is_present = matches!(
                self.0.get(field.name()),
                Some(Fact::Present | Fact::Always(_))
            );
            let nullable = field.is_nullable() && !is_present;
            Field::clone(field).with_nullable(nullable)
        });
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let schema = Arc::new(DFSchema::try_from(schema)?);
        Ok(FactSchema(schema, Arc::default()))
    }
}

/// A schema to simplify predicates over.
#[derive(Debug)]
pub(super) struct FactSchema(DFSchemaRef, Arc<ConfigOptions>);

/// What the statistics of all row groups say of a column.
fn told(footer: &Footer, leaf: usize, data_type: &DataType) -> Option<Fact> {
    let mut fact: Option<Fact> = None;
    for group in footer.metadata.metadata().row_groups() {
        let statistics = group.column(leaf).statistics()?;
        if statistics.null_count_opt() != Some(0) {
            return None;
        }
        let here = only_value(statistics, data_type).map_or(Fact::Present, Fact::Always);
        fact = Some(match fact {
            Some(before) if before != here => Fact::Present,
            _ => here,
        });
    }
    fact
}

/// The value of a column without NULLs that has only one.
fn same(values: &BlockColumn) -> Option<ScalarValue> {
    let array = match values {
        BlockColumn::Written(texts) => {
            let text = texts.same()?.into_owned();
            return Some(ScalarValue::Utf8View(Some(text)));
        }
        BlockColumn::Array(array) => array,
    };
    let numbers = array.as_primitive_opt::<Int64Type>()?.values();
    let first = numbers.first()?;
    let is_one = numbers.iter().all(|number| number == first);
    is_one.then_some(ScalarValue::Int64(Some(*first)))
}

/// The value of a column that has only one.
fn only_value(statistics: &Statistics, data_type: &DataType) -> Option<ScalarValue> {
    match (statistics, data_type) {
        (Statistics::Int32(values), DataType::Int64) => {
            let only = values
                .min_opt()
                .filter(|min| values.max_opt() == Some(*min))?;
            // An unsigned one may be another number than its bits say.
            let only = i64::from(*only);
            (only >= 0).then_some(ScalarValue::Int64(Some(only)))
        }
        (Statistics::Int64(values), DataType::Int64) => {
            let only = values
                .min_opt()
                .filter(|min| values.max_opt() == Some(*min))?;
            Some(ScalarValue::Int64(Some(*only)))
        }
        (Statistics::ByteArray(values), DataType::Utf8View) => {
            let only = values
                .min_opt()
                .filter(|min| values.max_opt() == Some(*min))?;
            // Bounds that are cut short are bounds still: what lies between two equal ones is that.
            let text = std::str::from_utf8(only.data()).ok()?;
            Some(ScalarValue::Utf8View(Some(text.to_owned())))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{ident as col, lit, when};

    use super::*;

    fn left(filter: &Expr) -> String {
        let text = |name| Field::new(name, DataType::Utf8View, true);
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("EventID", DataType::Int64, true),
            text("Channel"),
            text("Image"),
            text("NewProcessName"),
            text("Message"),
        ]));
        let sysmon = ScalarValue::Utf8View(Some("Microsoft-Windows-Sysmon/Operational".to_owned()));
        let facts = [
            ("EventID", Fact::Always(ScalarValue::Int64(Some(1)))),
            ("Channel", Fact::Always(sysmon)),
            ("Image", Fact::Present),
            ("NewProcessName", Fact::Absent),
        ];
        let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
        let facts = Facts(facts.into());
        let known = facts.schema(&schema).unwrap();
        facts.apply(filter, &known).unwrap().to_string()
    }

    #[test]
    fn what_a_file_decides_is_not_tested() {
        let image = when(col("NewProcessName").is_not_null(), col("NewProcessName"))
            .otherwise(col("Image"))
            .unwrap();
        assert_eq!(left(&image.eq(lit("x"))), "Image = Utf8(\"x\")");
        assert_eq!(left(&col("EventID").eq(lit(1_i64))), "Boolean(true)");
        assert_eq!(left(&col("EventID").eq(lit(4688_i64))), "Boolean(false)");
        assert_eq!(left(&col("Image").is_null()), "Boolean(false)");
        assert_eq!(left(&col("NewProcessName").is_not_null()), "Boolean(false)");
        let pattern = ScalarValue::Utf8View(Some("Microsoft-Windows-Sysmon%".to_owned()));
        let sysmon = col("Channel").like(lit(pattern));
        let other = col("EventID")
            .eq(lit(4688_i64))
            .and(col("NewProcessName").is_not_null());
        let one_of = col("EventID").eq(lit(1_i64)).and(sysmon).or(other);
        assert_eq!(left(&one_of), "Boolean(true)");
    }

    #[test]
    fn what_a_file_leaves_open_stays() {
        let open = col("Message").is_not_null();
        assert_eq!(left(&open), open.to_string());
        let open = col("Image").eq(lit("x"));
        assert_eq!(left(&open), open.to_string());
    }
}
