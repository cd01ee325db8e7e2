//! `cidr_match(ip, cidr)`: whether an address lies in a network. It must not know how either is written
//! (see [`super::network`]).

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, BooleanArray, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::args;
use super::documentation::Entry;
use super::network::{Network, address};

const NAME: &str = "cidr_match";
const SYNTAX: &str = "cidr_match(ip, cidr)";

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Entry {
        section: "Text",
        description: "Whether the IPv4 or IPv6 address lies in the network. An IPv4-mapped address (::ffff:10.0.0.1) is its IPv4 address; otherwise an address of one family lies in no network of the other. NULL when ip is no address (a port, a zone, brackets or blanks make it none), when a cidr from a column is no network, and when an argument is NULL.",
        syntax: SYNTAX,
        example: "SELECT cidr_match('10.1.2.3', '10.0.0.0/8');  -- true",
        arguments: &[
            ("ip", "The address alone."),
            (
                "cidr",
                "The network, as 10.0.0.0/8 or 2001:db8::/32; an address without a prefix is a network of one; bits after the prefix are ignored. A literal is read once per query, and a bad one is an error before anything runs.",
            ),
        ],
    }
    .build()
});

/// The function: Boolean, NULL where the address or a column's network is none.
pub(super) fn udf() -> ScalarUDF {
    ScalarUDF::from(CidrMatch {
        signature: Signature::user_defined(Volatility::Immutable),
        compiled: None,
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CidrMatch {
    signature: Signature,
    /// The literal network of one call, and its text.
    compiled: Option<(String, Network)>,
}

impl CidrMatch {
    fn network(&self, cidr: &str) -> Result<Network> {
        match &self.compiled {
            Some((text, network)) if text == cidr => Ok(*network),
            _ => Network::parse(cidr).or_else(|reason| {
                plan_err!(
                    "{NAME}: bad network '{cidr}': {reason} (hint: write 10.0.0.0/8, 2001:db8::/32 or one address)"
                )
            }),
        }
    }
}

impl ScalarUDFImpl for CidrMatch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        args::check_count(NAME, SYNTAX, types.len(), 2..=2)?;
        Ok(vec![
            args::coerce_text(NAME, "ip", &types[0])?,
            args::coerce_text(NAME, "cidr", &types[1])?,
        ])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        if let Some(cidr) = args::literal(&args, 1)
            && let Some(cidr) = args::scalar_text(NAME, cidr)?
        {
            self.network(cidr)?;
        }
        Ok(Arc::new(Field::new(NAME, DataType::Boolean, true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(cidr) = args::literal_text(&args[1]) else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        if self.compiled.is_some() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let compiled = CidrMatch {
            signature: self.signature.clone(),
            compiled: Some((cidr.to_owned(), self.network(cidr)?)),
        };
        // The arguments stay, so that EXPLAIN shows the call as it was written.
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(
            ScalarFunction::new_udf(Arc::new(ScalarUDF::from(compiled)), args),
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[1] {
            ColumnarValue::Scalar(cidr) => {
                let Some(cidr) = args::scalar_text(NAME, cidr)? else {
                    return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
                };
                let network = self.network(cidr)?;
                args::map_text(&args.args[0], |texts| Ok(match_all(&network, texts)))
            }
            ColumnarValue::Array(cidrs) => {
                let texts = args::views(&args.args[0].to_array(args.number_rows)?)?;
                let cidrs = args::views(cidrs)?;
                let matches = texts.iter().zip(&cidrs).map(|(text, cidr)| {
                    let address = address(text?)?;
                    // One bad row of a list of networks must not end a hunt.
                    Some(Network::parse(cidr?).ok()?.contains(address))
                });
                let matches: BooleanArray = matches.collect();
                Ok(ColumnarValue::Array(Arc::new(matches)))
            }
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

fn match_all(network: &Network, texts: &StringViewArray) -> ArrayRef {
    Arc::new(
        texts
            .iter()
            .map(|text| Some(network.contains(address(text?)?)))
            .collect::<BooleanArray>(),
    )
}
