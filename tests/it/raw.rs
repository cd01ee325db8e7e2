//! `raw(...)`: what a record says before it is given a type, where a column is NULL and where no column is declared.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Decimal128Array, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Field, Int64Type};
use datafusion::parquet::arrow::ArrowWriter;
use lakehunt::output::value::json;
use serde_json::{Map, Value, json};

use crate::lake::{INLINE, OneTable};
use crate::workspace::{Workspace, event, events};

/// An answer as lines of cells.
fn answer(table: &OneTable, sql: &str) -> Vec<String> {
    let (text, report) = table.query(None, sql).unwrap();
    assert!(report.files.iter().all(|file| file.lost.is_none()));
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(1);
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim));
    cells
        .map(|cells| cells.collect::<Vec<_>>().join(" | ").trim_end().to_owned())
        .collect()
}

fn error(table: &OneTable, sql: &str) -> String {
    let error = table.query(None, sql).unwrap_err();
    let error = error.downcast_ref::<lakehunt::error::Error>().unwrap();
    format!("{error}\n{}", error.hint_text().unwrap_or_default())
}

const AT: &str = "\"at\":\"2026-01-01\"";

fn drifting() -> OneTable {
    let table = OneTable::new(INLINE);
    table.write(
        "a.ndjson",
        format!(
            "{{{AT},\"n\":1,\"s\":\"x\"}}\n{{{AT},\"n\":\"four\",\"s\":{{\"k\": [1, 2]}}}}\n{{{AT},\"N\":1.5,\"more\":{{\"Deep\":{{\"er\":true}}}}}}\n{{{AT},\"n\":\"four\"}}\n{{{AT},\"n\":18446744073709551616}}\n{{{AT},\"n\":null}}\n"
        ),
    );
    table
}

#[test]
fn what_does_not_fit_is_there_as_text() {
    let table = drifting();
    let sql = "SELECT raw(n), count(*) FROM t WHERE n IS NULL GROUP BY 1 ORDER BY 1";
    assert_eq!(
        answer(&table, sql),
        ["1.5 | 1", "18446744073709551616 | 1", "four | 2", " | 1"]
    );
    let sql = "SELECT n, RAW(\"n\"), raw(T.S) FROM t ORDER BY _row LIMIT 2";
    assert_eq!(
        answer(&table, sql),
        ["1 | 1 | x", " | four | {\"k\": [1, 2]}"]
    );
    let sql = "SELECT count(*) FROM t AS x WHERE raw(x.n) LIKE 'f%' AND x.n IS NULL HAVING max(raw(n)) = 'four'";
    assert_eq!(answer(&table, sql), ["2"]);
}

#[test]
fn paths_that_no_form_declares_and_whole_records() {
    let table = drifting();
    let sql = "SELECT raw('more.deep.er'), raw('more'), raw() FROM t WHERE raw('MORE') IS NOT NULL";
    let record = format!("{{{AT},\"N\":1.5,\"more\":{{\"Deep\":{{\"er\":true}}}}}}");
    assert_eq!(
        answer(&table, sql),
        [format!("true | {{\"Deep\":{{\"er\":true}}}} | {record}")]
    );
    // In JSON arrays, behind a mark and with two line ends a record is itself.
    table.write("a.ndjson", "");
    table.write(
        "b.json",
        format!("\u{feff}[\n {{{AT}}} ,\n{{{AT},\r\n\"n\": 2}}]"),
    );
    table.write("c.ndjson", format!("{{{AT},\"n\":3}}  \r\n"));
    let sql =
        "SELECT replace(replace(raw(), chr(10), 'n'), chr(13), 'r') FROM t ORDER BY _file, _row";
    assert_eq!(
        answer(&table, sql),
        [
            format!("{{{AT}}}"),
            format!("{{{AT},rn\"n\": 2}}"),
            format!("{{{AT},\"n\":3}}")
        ]
    );
}

#[test]
fn nothing_is_read_or_shown_that_was_not_asked_for() {
    let table = drifting();
    let names = |sql: &str| {
        let (text, _) = table.query(None, sql).unwrap();
        let heading = text.lines().nth(1).unwrap();
        let names = heading.trim_matches('|').split('|').map(str::trim);
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let all = names("SELECT * FROM t");
    assert!(!all.iter().any(|name| name.contains("raw")), "{all:?}");
    let with = names("SELECT *, raw(n) FROM t");
    assert_eq!(with[..all.len()], all);
    assert_eq!(with[all.len()..], ["raw(n)"]);
    let with = names("SELECT x.* EXCLUDE (s), raw(s) AS s FROM t x WHERE raw() LIKE '%'");
    assert_eq!(with.len(), all.len());
    let plan = |sql: &str| table.query(None, &format!("EXPLAIN {sql}")).unwrap().0;
    assert!(plan("SELECT n FROM t").contains("columns=[n]"));
    let plan = plan("SELECT raw(n) FROM t WHERE n IS NULL AND raw('x.y') = 'z'");
    assert!(
        plan.contains("columns=[raw(n)], filters=[n IS NULL, raw('x.y')"),
        "{plan}"
    );
    // Subqueries, joins and unions ask for themselves.
    let sql = "WITH w AS (SELECT raw(n) AS r, record_id FROM t WHERE n IS NULL) SELECT count(r), count(raw(t.n)) FROM w JOIN t USING (record_id)";
    assert_eq!(answer(&table, sql), ["4 | 4"]);
    let sql = "SELECT raw(n) FROM t WHERE n = 1 UNION ALL (SELECT s FROM t WHERE s = 'x' AND EXISTS (SELECT 1 FROM t u WHERE raw(t.s) = raw(u.s))) ORDER BY 1";
    assert_eq!(answer(&table, sql), ["1", "x"]);
}

#[test]
fn what_cannot_be_meant_is_said() {
    let table = drifting();
    for (sql, words) in [
        (
            "SELECT raw(event_id) FROM process_creation",
            "views and subqueries have no records",
        ),
        ("SELECT raw(n) FROM (SELECT * FROM t)", "there is none here"),
        ("SELECT raw(n) FROM t AS t(a, b)", "there is none here"),
        (
            "SELECT raw(nn) FROM t",
            "raw('nn') reads what a record has at this path",
        ),
        ("SELECT raw(event_time) FROM t", "raw('event_time')"),
        (
            "SELECT raw(n) FROM t a JOIN t b ON a.n = b.n",
            "several tables",
        ),
        ("SELECT raw('n') FROM t a, t b", "several tables"),
        ("SELECT raw(n + 1) FROM t", "raw() takes a column"),
        ("SELECT raw(n, s) FROM t", "raw() takes a column"),
        ("SELECT raw('') FROM t", "raw() takes a column"),
    ] {
        let error = error(&table, sql);
        assert!(error.contains(words), "{sql}: {error}");
        assert!(error.contains("<query>:1:8"), "{sql}: {error}");
    }
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(nullable).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn parquet_rows_have_texts_too() {
    let table = OneTable::new(
        "format: parquet, schema: {at: text, n: int, s: text}, time: [{column: at, format: iso8601}]",
    );
    let at = |rows: usize| ("at", texts(&vec![Some("2026-01-01"); rows]));
    let numbers = texts(&[Some("1"), Some("four"), None]);
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(9)]));
    let deep = StructArray::from(vec![(
        Arc::new(Field::new("Er", inner.data_type().clone(), true)),
        inner,
    )]);
    table.write(
        "a.parquet",
        parquet(vec![
            at(3),
            ("N", numbers),
            ("s", Arc::new(list)),
            ("deep", Arc::new(deep)),
        ]),
    );
    let decimals = Decimal128Array::from(vec![Some(525)]);
    let decimals = decimals.with_precision_and_scale(10, 2).unwrap();
    let time = TimestampMicrosecondArray::from(vec![1_767_268_800_000_001]).with_timezone("UTC");
    table.write(
        "b.parquet",
        parquet(vec![
            at(1),
            ("n", Arc::new(decimals)),
            ("s", Arc::new(BinaryArray::from(vec![&b"\xff\x00"[..]]))),
            ("when", Arc::new(time)),
            ("share", Arc::new(Float64Array::from(vec![0.5]))),
        ]),
    );
    let sql = "SELECT n, raw(n), raw(s), raw('Deep.er'), raw('when') FROM t ORDER BY _file, _row";
    assert_eq!(
        answer(&table, sql),
        [
            "1 | 1 | [1,null] | 7 |",
            " | four |  |  |",
            " |  | [] | 9 |",
            " | 5.25 | ff00 |  | 2026-01-01T12:00:00.000001Z"
        ]
    );
    let sql = "SELECT raw() FROM t ORDER BY _file, _row";
    assert_eq!(
        answer(&table, sql),
        [
            "{\"at\":\"2026-01-01\",\"N\":\"1\",\"s\":[1,null],\"deep\":{\"Er\":7}}",
            "{\"at\":\"2026-01-01\",\"N\":\"four\",\"deep\":{}}",
            "{\"at\":\"2026-01-01\",\"s\":[],\"deep\":{\"Er\":9}}",
            "{\"at\":\"2026-01-01\",\"n\":5.25,\"s\":\"ff00\",\"when\":\"2026-01-01T12:00:00.000001Z\",\"share\":0.5}",
        ]
    );
    // Only what is asked for is read.
    let bytes = |sql: &str| table.query(None, sql).unwrap().1.files[0].bytes;
    assert!(bytes("SELECT raw(n) FROM t") < bytes("SELECT raw() FROM t"));
    assert_eq!(bytes("SELECT raw(n) FROM t"), bytes("SELECT n FROM t"));
}

/// A hunt with a body of its own, in the workspace.
fn hunt(workspace: &Workspace, name: &str, body: &str) {
    workspace.write(
        &format!("sql/hunts/test/{name}.sql"),
        format!(
            "-- ---\n-- id: 7d2c0c5e-0f5b-4c7e-9b1e-{:012x}\n-- title: {name}\n-- status: test\n-- level: low\n-- description: A test.\n-- entities: {{host: host}}\n-- key: [host]\n-- ---\n{body}\n",
            name.len()
        ),
    );
}

/// One pass serves hunts that ask for texts and hunts that do not, each as if it were alone, and a record that is
/// delivered twice is one.
#[test]
fn hunts_share_a_pass_with_those_that_ask_for_texts() {
    let workspace = Workspace::with_own_hunts();
    let bent = event(5).replace(
        "\"ProcessId\":1005",
        "\"ProcessId\":\"one\",\"Extra\":{\"a\":1}",
    );
    assert!(bent.contains("Extra"));
    workspace.write(
        "lake/events/day=2026-01-01/bent.ndjson",
        bent.clone() + &bent,
    );
    workspace.write("lake/events/day=2026-01-01/more.ndjson", events(20..40));
    let select = "AS host, event_time, _table, _file, _row FROM events";
    hunt(
        &workspace,
        "a",
        &format!("SELECT raw(ProcessId) AS pid, Computer {select} WHERE ProcessId IS NULL"),
    );
    hunt(
        &workspace,
        "bb",
        &format!("SELECT ProcessId, Computer {select} WHERE ProcessId IS NOT NULL"),
    );
    hunt(
        &workspace,
        "ccc",
        &format!(
            "SELECT raw('extra.A') AS extra, raw() AS record, raw(ProcessId) AS pid, Computer {select} WHERE raw('Extra') IS NOT NULL"
        ),
    );
    let job = crate::workspace::JOB.replace("[wmic_format]", "[a, bb, ccc, wmic_format]");
    workspace.write("jobs/night.yaml", &job);
    let printed = workspace.succeed(&["run", "jobs/night.yaml"]);
    assert!(
        printed
            .stdout
            .contains("events: ProcessId, read by a, bb, has 2 values"),
        "{}",
        printed.stdout
    );
    let together = workspace.published("out");
    let findings: Vec<_> = together
        .keys()
        .filter(|path| path.starts_with("findings/"))
        .collect();
    assert_eq!(findings.len(), 4, "{findings:?}");
    let rows = |name: &str| {
        let path = findings
            .iter()
            .find(|path| path.contains(&format!("hunt={name}/")))
            .unwrap();
        let batches = crate::workspace::parquet(&workspace.path("out").join(path));
        let mut rows = Vec::new();
        for batch in &batches {
            let schema = batch.schema();
            rows.extend((0..batch.num_rows()).map(|row| {
                let cells = schema.fields().iter().zip(batch.columns());
                let cells =
                    cells.map(|(field, column)| (field.name().clone(), json(column.as_ref(), row)));
                Value::from(cells.collect::<Map<_, _>>())
            }));
        }
        rows
    };
    let [row] = <[_; 1]>::try_from(rows("ccc")).unwrap();
    assert_eq!((&row["pid"], &row["extra"]), (&json!("one"), &json!("1")));
    assert_eq!(row["record"], bent.trim_end());
    assert_eq!((rows("a").len(), rows("bb").len()), (1, 23));
    for name in ["a", "bb", "ccc", "wmic_format"] {
        workspace.write(
            "jobs/night.yaml",
            job.replace("[a, bb, ccc, wmic_format]", &format!("[{name}]"))
                .replace("../out", &format!("../{name}")),
        );
        workspace.succeed(&["run", "jobs/night.yaml"]);
        let alone = workspace.published(name);
        for (path, bytes) in alone
            .iter()
            .filter(|(path, _)| path.starts_with("findings/"))
        {
            assert_eq!(together[path], *bytes, "{path}");
        }
    }
}
