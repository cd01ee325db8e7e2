//! Columns that come and go, change their type, unit or case, or become nested, from file to file of one table: what fits
//! is read, what does not is NULL and counted by column and file, and `tables --drift` shows it.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, ListArray, MapBuilder, RecordBatch,
    StringArray, StringBuilder, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{Field, Int64Type};
use datafusion::parquet::arrow::ArrowWriter;

use crate::lake::OneTable;
use crate::workspace::{LAKE, Workspace, event, events};

fn write(table: &OneTable, name: &str, columns: Vec<(&str, ArrayRef)>) {
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(nullable).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    table.write(name, bytes);
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn nested(name: &str, child: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new(name, child.data_type().clone(), true));
    Arc::new(StructArray::from(vec![(field, child)]))
}

fn at(values: usize) -> (&'static str, ArrayRef) {
    ("at", texts(&vec![Some("2026-01-01"); values]))
}

const FORM: &str = "format: parquet, schema: {at: text, n: int, b: bool, s: text, j: json, deep: {type: text, path: a.b.c}}, time: [{column: at, format: iso8601, timezone: local}]";

fn answer(table: &OneTable, sql: &str) -> String {
    let (text, report) = table.query(None, sql).unwrap();
    assert!(
        report.files.iter().all(|file| file.lost.is_none()),
        "{report:?}"
    );
    text
}

#[test]
fn nested_parquet_is_json_where_the_form_wants_json() {
    let table = OneTable::new(FORM);
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let values = texts(&[Some("x\n\"y\""), Some("z"), None]);
    write(&table, "1_list.parquet", vec![at(3), ("j", Arc::new(list))]);
    write(
        &table,
        "2_struct.parquet",
        vec![at(3), ("J", nested("k", Arc::clone(&values)))],
    );
    write(&table, "3_text.parquet", vec![at(3), ("j", values)]);
    insta::assert_snapshot!(answer(&table, "SELECT _file, _row, j FROM t ORDER BY 1, 2"), @r#"
    +------------------+------+------------------+
    | _file            | _row | j                |
    +------------------+------+------------------+
    | 1_list.parquet   | 1    | [1,null]         |
    | 1_list.parquet   | 2    |                  |
    | 1_list.parquet   | 3    | []               |
    | 2_struct.parquet | 1    | {"k":"x\n\"y\""} |
    | 2_struct.parquet | 2    | {"k":"z"}        |
    | 2_struct.parquet | 3    | {}               |
    | 3_text.parquet   | 1    | x                |
    |                  |      | "y"              |
    | 3_text.parquet   | 2    | z                |
    | 3_text.parquet   | 3    |                  |
    +------------------+------+------------------+
    "#);
}

#[test]
fn a_struct_where_a_scalar_should_be_is_a_misfit() {
    let table = OneTable::new(FORM);
    write(
        &table,
        "1.parquet",
        vec![at(2), ("s", nested("k", texts(&[Some("x"), Some("y")])))],
    );
    write(
        &table,
        "2.parquet",
        vec![at(1), ("s", texts(&[Some("{\"k\": \"x\"}")]))],
    );
    let (text, report) = table
        .query(None, "SELECT s FROM t ORDER BY _file, _row")
        .unwrap();
    assert!(text.contains("{\"k\": \"x\"}"), "{text}");
    assert_eq!(report.files[0].conflicts["s"], 2);
    assert!(report.files[1].conflicts.is_empty());
}

#[test]
fn a_map_is_read_whole_or_not_at_all() {
    let table = OneTable::new(FORM);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    maps.keys().append_value("k");
    maps.values().append_value("v");
    maps.append(true).unwrap();
    let maps: ArrayRef = Arc::new(maps.finish());
    write(
        &table,
        "1.parquet",
        vec![at(1), ("s", Arc::clone(&maps)), ("j", Arc::clone(&maps))],
    );
    write(&table, "2.parquet", vec![at(1), ("a", nested("b", maps))]);
    let sql =
        "SELECT s, j, deep, raw(s), raw('a.b'), raw('a.b.entries.keys') FROM t ORDER BY _file";
    let text = answer(&table, sql);
    let rows: Vec<_> = text.lines().skip(3).collect();
    let map = "{\"k\":\"v\"}";
    assert_eq!(
        rows[0].split_whitespace().collect::<String>(),
        format!("||{map}||{map}|||")
    );
    assert_eq!(
        rows[1].split_whitespace().collect::<String>(),
        format!("|||||{map}||")
    );
    let (_, report) = table.query(None, sql).unwrap();
    assert_eq!(report.files[0].conflicts["s"], 1);
}

#[test]
fn decimals_booleans_and_their_texts() {
    let table = OneTable::new(FORM);
    let decimals = Decimal128Array::from(vec![Some(500), Some(525), None]);
    let decimals = decimals.with_precision_and_scale(10, 2).unwrap();
    let flags = BooleanArray::from(vec![Some(true), Some(false), None]);
    write(
        &table,
        "1.parquet",
        vec![at(3), ("n", Arc::new(decimals)), ("b", Arc::new(flags))],
    );
    let numbers = texts(&[Some("5"), Some("0x10"), Some("")]);
    let flags = texts(&[Some("True"), Some("yes"), None]);
    write(
        &table,
        "2.parquet",
        vec![at(3), ("N", numbers), ("b", flags)],
    );
    let flags = Int64Array::from(vec![1, 0, 2]);
    write(&table, "3.parquet", vec![at(3), ("b", Arc::new(flags))]);
    insta::assert_snapshot!(answer(&table, "SELECT _file, n, b FROM t ORDER BY _file, _row"), @r#"
    +-----------+----+-------+
    | _file     | n  | b     |
    +-----------+----+-------+
    | 1.parquet | 5  | true  |
    | 1.parquet |    | false |
    | 1.parquet |    |       |
    | 2.parquet | 5  | true  |
    | 2.parquet | 16 |       |
    | 2.parquet |    |       |
    | 3.parquet |    | true  |
    | 3.parquet |    | false |
    | 3.parquet |    |       |
    +-----------+----+-------+
    "#);
    let (_, report) = table.query(None, "SELECT n, b FROM t").unwrap();
    let misfits: Vec<_> = report
        .files
        .iter()
        .map(|file| file.conflicts.clone())
        .collect();
    assert_eq!(misfits[0], [("n".to_owned(), 1)].into());
    assert_eq!(misfits[1], [("b".to_owned(), 1)].into());
    assert_eq!(misfits[2], [("b".to_owned(), 1)].into());
}

#[test]
fn one_instant_in_every_unit() {
    let table = OneTable::new(&format!("{FORM}, timezone: Europe/Berlin"));
    // 2026-01-01T12:00:00Z, in seconds.
    let instant = 1_767_268_800_i64;
    let columns: [ArrayRef; 6] = [
        Arc::new(TimestampMillisecondArray::from(vec![instant * 1000]).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(vec![instant * 1_000_000]).with_timezone("UTC")),
        Arc::new(
            TimestampNanosecondArray::from(vec![instant * 1_000_000_000]).with_timezone("UTC"),
        ),
        // A timestamp without a zone is local, as a text without one is: an hour ahead of UTC here.
        Arc::new(TimestampMillisecondArray::from(vec![
            (instant + 3600) * 1000,
        ])),
        texts(&[Some("2026-01-01T13:00:00")]),
        texts(&[Some("2026-01-01T12:00:00Z")]),
    ];
    for (index, column) in columns.into_iter().enumerate() {
        write(&table, &format!("{index}.parquet"), vec![("at", column)]);
    }
    let text = answer(
        &table,
        "SELECT event_time, count(*) AS files FROM t GROUP BY 1",
    );
    assert!(text.contains("| 2026-01-01T12:00:00Z | 6     |"), "{text}");
}

#[test]
fn nested_fields_that_appear_later() {
    let table = OneTable::new(FORM);
    let deep = |key: &str| nested("b", nested(key, texts(&[Some("found")])));
    write(&table, "1_none.parquet", vec![at(1)]);
    write(&table, "2_other.parquet", vec![at(1), ("a", deep("other"))]);
    write(&table, "3_there.parquet", vec![at(1), ("a", deep("c"))]);
    write(&table, "4_case.parquet", vec![at(1), ("A", deep("C"))]);
    write(
        &table,
        "5_flat.parquet",
        vec![at(1), ("a.b.c", texts(&[Some("flat")]))],
    );
    write(
        &table,
        "6_scalar.parquet",
        vec![at(1), ("a", texts(&[Some("no struct")]))],
    );
    insta::assert_snapshot!(answer(&table, "SELECT _file, deep FROM t ORDER BY 1"), @r#"
    +------------------+-------+
    | _file            | deep  |
    +------------------+-------+
    | 1_none.parquet   |       |
    | 2_other.parquet  |       |
    | 3_there.parquet  | found |
    | 4_case.parquet   | found |
    | 5_flat.parquet   | flat  |
    | 6_scalar.parquet |       |
    +------------------+-------+
    "#);
}

#[test]
fn tables_says_what_drifts() {
    let workspace = Workspace::empty();
    workspace.write(
        "lake.yaml",
        "tables:\n  t: {location: t/, format: ndjson, schema: {at: text, n: int, s: text, late: text, never: text}, time: [{column: at, format: iso8601}]}\n",
    );
    let at = "\"at\":\"2026-01-01\"";
    workspace.write(
        "t/1.ndjson",
        format!("{{{at},\"n\":1,\"s\":\"x\"}}\n{{{at},\"n\":\"2\",\"s\":{{}}}}\n"),
    );
    workspace.write(
        "t/2.ndjson",
        format!("{{{at},\"N\":\"three\",\"late\":true}}\n"),
    );
    workspace.write("t/3.ndjson", "");
    let printed = workspace.succeed(&["tables", "t", "--lake", "lake.yaml", "--drift"]);
    insta::assert_snapshot!(printed.stdout, @r#"
    COLUMN  DECLARED  FILES  RECORDS  MISFITS      TYPES
    at      text      all    all                   text 3
    late    text      50 %   33 %                  bool 1
    n       int       all    all      1 in 1 file  number 1, text 2
    s       text      50 %   66 %     1 in 1 file  nested 1, text 1

    IN NO RECORD
      never
    "#);
    let printed = workspace.succeed(&[
        "tables",
        "t",
        "--lake",
        "lake.yaml",
        "--drift",
        "--format",
        "json",
    ]);
    let json = printed.json();
    assert_eq!((&json["files"], &json["rows"]), (&2.into(), &3.into()));
    let n = json["columns"]
        .as_array()
        .unwrap()
        .iter()
        .find(|column| column["name"] == "n")
        .unwrap();
    assert_eq!(n["types"], serde_json::json!({"number": 1, "text": 2}));
    assert_eq!(n["misfits"], serde_json::json!({"2.ndjson": 1}));
    // Of one table only: it reads every column.
    assert_eq!(workspace.run(&["tables", "--drift"]).code, 2);
}

/// Lines have no schema: a column that nearly all files have is missed in the others.
#[test]
fn a_column_that_few_files_of_lines_lack_is_told() {
    let workspace = Workspace::with_one_table();
    for file in 1..40 {
        let whole = events(file * 100..file * 100 + 20);
        let bare = whole.replace("\"CommandLine\"", "\"Commandline_v2\"");
        let text = if file == 7 { bare } else { whole };
        workspace.write(&format!("lake/events/day=2026-01-01/{file}.ndjson"), text);
    }
    let printed = workspace.succeed(&["run", "jobs/night.yaml"]);
    let notes: Vec<_> = printed
        .stdout
        .lines()
        .filter(|line| line.contains("absent"))
        .collect();
    assert_eq!(
        notes,
        ["note: events: CommandLine, read by wmic_format, is absent in 1 of 40 files"]
    );
    // A kind of event that only some files have is no drift.
    for file in 40..60 {
        let other =
            events(file * 100..file * 100 + 20).replace("\"CommandLine\"", "\"Commandline_v2\"");
        workspace.write(&format!("lake/events/day=2026-01-01/{file}.ndjson"), other);
    }
    let printed = workspace.succeed(&["run", "jobs/night.yaml"]);
    assert!(!printed.stdout.contains("absent"), "{}", printed.stdout);
}

/// A run says which hunts a drift makes blind, and the ledger in which files.
#[test]
fn a_run_names_the_hunts_that_are_blind() {
    let workspace = Workspace::with_one_table();
    let bent = event(5).replace("\"wmic process 5\"", "{\"text\": \"wmic process 5\"}");
    workspace.write("lake/events/day=2026-01-01/bent.ndjson", bent);
    let time = || ("UtcTime", texts(&[Some("2026-01-01 10:00:00.000")]));
    let lake = LAKE.to_owned()
        + "  other:\n    location: other/\n    form: windows_event\n    format: parquet\n";
    workspace.write("lake/lake.yaml", lake);
    for (name, columns) in [
        (
            "has",
            vec![
                time(),
                ("CommandLine", texts(&[Some("x")])),
                ("Image", texts(&[Some("y")])),
            ],
        ),
        ("lacks", vec![time()]),
    ] {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        workspace.write(&format!("lake/other/{name}.parquet"), bytes);
    }
    let printed = workspace.succeed(&["run", "jobs/night.yaml"]);
    for note in [
        "events: CommandLine, read by wmic_format, has 1 value of another type in 1 of 2 files",
        "other: CommandLine, Image, read by wmic_format, are absent in 1 of 2 files",
    ] {
        assert!(
            printed.stdout.contains(note) || printed.stderr.contains(note),
            "{note}\n{}\n{}",
            printed.stdout,
            printed.stderr
        );
    }
    let ledger = workspace.json("out/ledger/night/20260101T000000Z_20260102T000000Z.json");
    let objects = |table: &str| {
        ledger["tables"][table]["objects"]
            .as_array()
            .unwrap()
            .clone()
    };
    assert_eq!(objects("events")[0]["type_conflicts"]["CommandLine"], 1);
    assert_eq!(
        objects("events")[1]["type_conflicts"],
        serde_json::Value::Null
    );
    let absent = objects("other")[1]["absent"].as_array().unwrap().clone();
    assert!(absent.contains(&"CommandLine".into()), "{absent:?}");
}
