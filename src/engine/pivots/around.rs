//! `around('host', 'time', '5m')`: everything on a host around a time, from every view of activities that the lake feeds.

use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::array::RecordBatch;

use super::{literal, quoted};
use crate::engine::adhoc::Console;
use crate::error::{Error, Result};
use crate::lake::View;
use crate::lake::view::ViewType;
use crate::time::{Window, parse_duration, parse_instant};

/// Columns that say who and where, not what.
const COMMON: [&str; 7] = [
    "event_type",
    "host_id",
    "host_name",
    "source",
    "record_id",
    "user",
    "hashes",
];

pub(super) async fn rows(
    console: &mut Console,
    host: &str,
    time: &str,
    within: &str,
) -> Result<RecordBatch> {
    let wrong = |error: crate::time::TimeError| Error::configuration(format!("around: {error}"));
    let middle = parse_instant(time, Tz::UTC).map_err(wrong)?;
    let within = parse_duration(within).map_err(wrong)?;
    // What happened at the very end belongs to it.
    let end = middle + within + chrono::Duration::microseconds(1);
    let window = Window::new(middle - within, end).map_err(wrong)?;
    let lake = Arc::clone(console.engine().lake());
    let fed = lake
        .activities()
        .filter(|view| lake.sources(view).next().is_some());
    let selects: Vec<_> = fed.map(|view| select(view, host)).collect();
    if selects.is_empty() {
        return Err(
            Error::configuration("around: no view of this lake has events")
                .hint("it looks into views; a raw table is asked with SELECT"),
        );
    }
    // What happened at one time has one order too.
    let order = "event_time, category, _table, _file, _row";
    let text = format!("{} ORDER BY {order}", selects.join(" UNION ALL "));
    // The session may show another time.
    let engine = Arc::clone(console.engine());
    let mut there = Console::new(engine, Some(window), None).await?;
    there.rows_of(&text).await
}

fn select(view: &View, host: &str) -> String {
    let has = |name: &str| view.columns.iter().any(|column| column.name == name);
    let or_null = |name: &str, data_type: &str| {
        if has(name) {
            quoted(name)
        } else {
            format!("CAST(NULL AS {data_type})")
        }
    };
    let host = host.to_lowercase();
    let prefix = format!("{host}.");
    format!(
        "SELECT event_time, {view} AS category, event_type, host_name, {user} AS \"user\", {process} AS process_name, \
         {what} AS what, source, record_id, _table, _file, _row FROM {name} \
         WHERE lower(host_name) = {host} OR starts_with(lower(host_name), {prefix}) OR lower(host_id) = {host}",
        view = literal(&view.name),
        user = or_null("user", "VARCHAR"),
        process = or_null("process_name", "VARCHAR"),
        what = what(view),
        name = quoted(&view.name),
        host = literal(&host),
        prefix = literal(&prefix),
    )
}

/// What happened, in one text: what tells a view's events apart.
fn what(view: &View) -> String {
    let has = |name: &str| view.columns.iter().any(|column| column.name == name);
    if has("command_line") && has("parent_image") {
        return "coalesce(command_line, image)".to_owned();
    }
    if [
        "source_ip",
        "source_port",
        "destination_ip",
        "destination_port",
    ]
    .iter()
    .all(|name| has(name))
    {
        let more = [
            "protocol",
            "direction",
            "endpoint",
            "operation",
            "destination_hostname",
        ];
        let more = more.iter().filter(|name| has(name));
        let more = more.map(|name| quoted(name));
        let more: Vec<_> = std::iter::once(String::new()).chain(more).collect();
        return format!(
            "concat_ws(' ', concat_ws(':', source_ip, source_port), '->', \
             concat_ws(':', destination_ip, destination_port){})",
            more.join(", ")
        );
    }
    let texts = view.columns.iter().filter(|column| {
        column.column_type == ViewType::Utf8View && !COMMON.contains(&column.name.as_str())
    });
    let texts: Vec<_> = texts.map(|column| quoted(&column.name)).collect();
    if texts.is_empty() {
        return "event_type".to_owned();
    }
    format!("concat_ws(' ', {})", texts.join(", "))
}
