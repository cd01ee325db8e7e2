//! Pivots: from one thing that was found to all that belongs to it. Table functions of ad-hoc SQL.
//!
//! Each is a query or two of the session; no hunt can call them, because they look where they like.

mod around;
mod prevalence;
mod process_tree;

use datafusion::arrow::array::RecordBatch;
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::adhoc::Console;
use crate::error::Result;

/// What a pivot is for.
#[derive(Debug)]
pub struct About {
    /// How it is called.
    pub usage: &'static str,
    /// What it gives.
    pub description: &'static str,
    /// A query that runs.
    pub example: &'static str,
}

/// All pivots.
pub const PIVOTS: [About; 3] = [
    About {
        usage: "process_tree('guid')",
        description: "The process with this guid, its ancestors (depth below 0) and its descendants (above), with \
             command lines, as far as the session's window shows them.",
        example: "SELECT depth, tree, command_line FROM process_tree('{7d9e3c8a-0001}')",
    },
    About {
        usage: "around('host', 'time' [, '5m'])",
        description: "Every event of a host that a view shows, this long before and after a time, in order of time, \
             whatever the session's window. The host is its name, with or without its domain, or its id.",
        example: "SELECT event_time, category, what FROM around('ws-1', '2026-01-03T10:00:00Z', '2m')",
    },
    About {
        usage: "prevalence('view', 'column')",
        description: "Every value of a column with the hosts, days and events that have it, and when it was first and \
             last seen in the session's window, rarest first.",
        example: "SELECT * FROM prevalence('process_creation', 'image') WHERE hosts <= 2",
    },
];

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pivot {
    ProcessTree {
        guid: String,
    },
    Around {
        host: String,
        time: String,
        within: String,
    },
    Prevalence {
        view: String,
        column: String,
    },
}

pub(super) fn is_pivot(name: &str) -> bool {
    let names = PIVOTS
        .iter()
        .filter_map(|about| about.usage.split('(').next());
    names.into_iter().any(|known| known == name)
}

impl Pivot {
    /// The call of a name with arguments; `None` when they are not its.
    pub(super) fn of(name: &str, arguments: &[&str]) -> Option<Self> {
        Some(match (name, arguments) {
            ("process_tree", [guid]) => Self::ProcessTree {
                guid: (*guid).to_owned(),
            },
            ("around", [host, time]) => Self::Around {
                host: (*host).to_owned(),
                time: (*time).to_owned(),
                within: "5m".to_owned(),
            },
            ("around", [host, time, within]) => Self::Around {
                host: (*host).to_owned(),
                time: (*time).to_owned(),
                within: (*within).to_owned(),
            },
            ("prevalence", [view, column]) => Self::Prevalence {
                view: (*view).to_owned(),
                column: (*column).to_owned(),
            },
            _ => return None,
        })
    }
}

/// The rows of a call, in an order of their own. In a box of its own: a pivot plans queries, and a query may call pivots.
pub(super) fn rows<'a>(
    console: &'a mut Console,
    pivot: &'a Pivot,
) -> LocalBoxFuture<'a, Result<RecordBatch>> {
    async move {
        match pivot {
            Pivot::ProcessTree { guid } => process_tree::rows(console, guid).await,
            Pivot::Around { host, time, within } => around::rows(console, host, time, within).await,
            Pivot::Prevalence { view, column } => prevalence::rows(console, view, column).await,
        }
    }
    .boxed_local()
}

/// A text as SQL writes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
