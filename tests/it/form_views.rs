//! The views over made-up rows of every form that is not a shipper of Windows events: which rows feed which view, and how.
//! `tests/lakes/forms` holds the rows; each says what it is.

use serde_json::{Map, Value};

use crate::workspace::{Workspace, repository};

/// One row a line, without what is NULL.
fn rows(view: &str) -> String {
    let query =
        format!("SELECT * EXCLUDE (_table, _file, record_id) FROM {view} ORDER BY source, _row");
    let lake = repository().join("tests/lakes/forms.yaml");
    let lake = lake.to_str().unwrap();
    let all_time = ["--from", "1970-01-01", "--to", "2100-01-01"];
    let arguments = ["sql", &query, "--lake", lake, "--format", "ndjson"];
    let printed = Workspace::empty().succeed(&[&arguments[..], &all_time].concat());
    let mut shown = String::new();
    for line in printed.stdout.lines() {
        let mut row: Map<String, Value> = serde_json::from_str(line).unwrap();
        row.retain(|_, value| !value.is_null());
        shown.push_str(&Value::Object(row).to_string());
        shown.push('\n');
    }
    shown
}

macro_rules! views {
    ($($view:ident),*) => {
        $(#[test]
        fn $view() {
            insta::assert_snapshot!(rows(stringify!($view)));
        })*
    };
}

views!(
    process_creation,
    network_connection,
    wmi_activity,
    image_load,
    ps_script,
    file_share_access,
    dce_rpc,
    log_record
);
