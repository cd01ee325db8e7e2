//! `prevalence('view', 'column')`: how rare each value is.

use datafusion::arrow::array::RecordBatch;

use super::quoted;
use crate::engine::adhoc::Console;
use crate::error::{Error, Result, did_you_mean};

pub(super) async fn rows(console: &mut Console, view: &str, column: &str) -> Result<RecordBatch> {
    let relations = console.relations();
    let found = relations
        .iter()
        .find(|relation| relation.name.eq_ignore_ascii_case(view));
    let Some(relation) = found else {
        let names = relations.iter().map(|relation| relation.name.as_str());
        return Err(
            Error::configuration(format!("prevalence: unknown table or view `{view}`"))
                .maybe_hint(did_you_mean(view, names)),
        );
    };
    let names = || relation.columns.iter().map(String::as_str);
    let Some(column) = names().find(|name| name.eq_ignore_ascii_case(column)) else {
        return Err(
            Error::configuration(format!("prevalence: `{view}` has no column `{column}`"))
                .maybe_hint(did_you_mean(column, names())),
        );
    };
    for needed in ["event_time", "host_id"] {
        if !names().any(|name| name == needed) {
            return Err(
                Error::configuration(format!("prevalence: `{view}` has no `{needed}`"))
                    .hint("every view has; a raw table may call its hosts otherwise"),
            );
        }
    }
    let (view, column) = (quoted(&relation.name), quoted(column));
    let text = format!(
        "SELECT {column} AS value, count(DISTINCT host_id) AS hosts, \
         count(DISTINCT date_trunc('day', event_time)) AS days, count(*) AS events, \
         min(event_time) AS first_seen, max(event_time) AS last_seen \
         FROM {view} WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY hosts, days, events, value"
    );
    console.rows_of(&text).await
}
