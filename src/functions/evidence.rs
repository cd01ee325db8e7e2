//! `evidence(_table, _file, _row)`: pointers from a finding to its raw events. It must not know how many of them an alert
//! shows; it keeps one more than the hundred an alert may have, so that the output can tell that there were more.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, StructArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature,
    Volatility,
};

use super::args;
use super::collector::{self, Collector, Shape, SingleCollector};
use super::documentation::Entry;

const NAME: &str = "evidence";
const SYNTAX: &str = "evidence(_table, _file, _row)";
/// One more than an alert may show.
const LIMIT: usize = 101;

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Aggregates",
        description: "Where the events of a group are: a List of Struct (table Utf8, file Utf8, row Int64), distinct, sorted, the first 101. Events with a NULL among the three are skipped; without events the list is empty.",
        syntax: SYNTAX,
        example: "SELECT evidence(_table, _file, _row) FROM (VALUES ('sysmon', 'a.ndjson', 7)) t(_table, _file, _row);  -- [{table: sysmon, file: a.ndjson, row: 7}]",
        arguments: &[
            ("_table", "The table an event was read from."),
            ("_file", "The file, relative to the table's location."),
            ("_row", "The row in the file."),
        ],
    }
    .build()
});

/// The aggregate: List of Struct, never NULL.
pub(super) fn udf() -> AggregateUDF {
    AggregateUDF::from(Evidence {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Evidence {
    signature: Signature,
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("table", DataType::Utf8, true),
        Field::new("file", DataType::Utf8, true),
        Field::new("row", DataType::Int64, true),
    ])
}

fn shape() -> Shape {
    Shape {
        item: DataType::Struct(fields()),
        limit: LIMIT,
        distinct: true,
        flagged: false,
        column,
    }
}

fn column(values: &[ArrayRef]) -> Result<ArrayRef> {
    // An outer join without a partner gives NULLs, which point at nothing.
    let nulls = values.iter().fold(None, |nulls, column| {
        NullBuffer::union(nulls.as_ref(), column.nulls())
    });
    Ok(Arc::new(StructArray::try_new(
        fields(),
        values.to_vec(),
        nulls,
    )?))
}

impl AggregateUDFImpl for Evidence {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        args::check_count(NAME, SYNTAX, types.len(), 3..=3)?;
        args::coerce_text(NAME, "_table", &types[0])?;
        args::coerce_text(NAME, "_file", &types[1])?;
        if !(types[2].is_integer() || types[2].is_null()) {
            return plan_err!("{NAME}: _row must be a number, not {}", types[2]);
        }
        Ok(vec![DataType::Utf8, DataType::Utf8, DataType::Int64])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(collector::list_type(&shape().item))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(collector::state_fields(args.name, &shape().item))
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SingleCollector::new(shape())?))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Collector::new(shape())?))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}
