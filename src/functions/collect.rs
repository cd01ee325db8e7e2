//! `collect_set(value, limit)` and `collect_list(value, limit)`: what a group's values were, never more than so many.
//! They must not know how the collector keeps them.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, Signature,
    Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use datafusion::scalar::ScalarValue;

use super::args;
use super::collector::{self, Collector, Shape, SingleCollector};
use super::documentation::Entry;

/// No finding is readable with more; what needs all values is a join.
const MOST: usize = 1_000_000;

static SET: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Aggregates",
        description: "A struct of values, the limit smallest distinct values in sort order as a List, and truncated, whether there were more. NULLs are skipped; without values the list is empty. Every order of rows and every partitioning gives the same.",
        syntax: "collect_set(value, limit)",
        example: "SELECT collect_set(x, 2)['values'] FROM (VALUES (3), (1), (3), (2)) t(x);  -- [1, 2]",
        arguments: &[
            ("value", "Any type that can be sorted, structs and lists too."),
            ("limit", "A literal from 1 to 1000000."),
        ],
    }
    .build()
});

static LIST: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Aggregates",
        description: "As collect_set, but equal values are kept as often as they occur.",
        syntax: "collect_list(value, limit)",
        example: "SELECT collect_list(x, 3)['values'] FROM (VALUES (3), (1), (3), (1)) t(x);  -- [1, 1, 3]",
        arguments: &[
            ("value", "Any type that can be sorted, structs and lists too."),
            ("limit", "A literal from 1 to 1000000."),
        ],
    }
    .build()
});

/// The aggregate: Struct of `values` (List) and `truncated` (Boolean), never NULL.
pub(super) fn set() -> AggregateUDF {
    collect(true, None)
}

/// The aggregate: Struct of `values` (List) and `truncated` (Boolean), never NULL.
pub(super) fn list() -> AggregateUDF {
    collect(false, None)
}

fn collect(distinct: bool, limit: Option<usize>) -> AggregateUDF {
    AggregateUDF::from(Collect {
        distinct,
        limit,
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Collect {
    distinct: bool,
    /// The literal limit of one call, once planning has checked it.
    limit: Option<usize>,
    signature: Signature,
}

impl Collect {
    fn function(&self) -> &'static str {
        if self.distinct {
            "collect_set"
        } else {
            "collect_list"
        }
    }

    fn check_limit(&self, limit: Option<&ScalarValue>) -> Result<usize> {
        let limit = match limit {
            Some(ScalarValue::Int64(Some(limit))) => usize::try_from(*limit).ok(),
            _ => None,
        };
        match limit {
            Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
            _ => plan_err!(
                "{}: limit must be a literal from 1 to {MOST}",
                self.function()
            ),
        }
    }

    fn shape(&self, args: &AccumulatorArgs) -> Result<Shape> {
        let limit = if let Some(limit) = self.limit {
            limit
        } else {
            let literal = args.exprs[1].downcast_ref::<Literal>();
            self.check_limit(literal.map(Literal::value))?
        };
        Ok(Shape {
            item: collector::item_type(args.expr_fields[0].data_type()),
            limit,
            distinct: self.distinct || args.is_distinct,
            flagged: true,
            column: |values| Ok(ArrayRef::clone(&values[0])),
        })
    }
}

impl AggregateUDFImpl for Collect {
    fn name(&self) -> &str {
        self.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.function();
        args::check_count(name, &format!("{name}(value, limit)"), types.len(), 2..=2)?;
        let item = collector::item_type(&types[0]);
        if !collector::is_ordered(&item) {
            return plan_err!("{name}: values of type {item} cannot be sorted");
        }
        // A parameter has no type until it is bound; what it is bound to is checked in simplify.
        if !(types[1].is_integer() || types[1].is_null()) {
            return plan_err!(
                "{name}: limit must be a literal from 1 to {MOST}, not {}",
                types[1]
            );
        }
        Ok(vec![item, DataType::Int64])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let item = collector::item_type(&types[0]);
        Ok(DataType::Struct(collector::flagged_fields(&item)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let item = collector::item_type(args.input_fields[0].data_type());
        Ok(collector::state_fields(args.name, &item))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SingleCollector::new(self.shape(&args)?)?))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Collector::new(self.shape(&args)?)?))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        if self.limit.is_some() {
            return None;
        }
        // Only here is the literal seen while planning; an aggregate's types are asked for without it.
        let checker = Collect {
            distinct: self.distinct,
            limit: None,
            signature: self.signature.clone(),
        };
        Some(Box::new(
            move |mut aggregate: AggregateFunction, _context: &SimplifyContext| {
                let limit = match aggregate.params.args.get(1) {
                    Some(Expr::Literal(limit, _)) => Some(limit),
                    _ => None,
                };
                let limit = checker.check_limit(limit)?;
                aggregate.func = Arc::new(collect(checker.distinct, Some(limit)));
                Ok(Expr::AggregateFunction(aggregate))
            },
        ))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(if self.distinct { &SET } else { &LIST })
    }
}
