//! Layouts that others write, each with a small copy of exactly that layout: what is listed for a window, what is read,
//! and what the partition columns say.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;

use crate::lake::{OneTable, gzip};

const DAY: &str = "20260103T000000Z_20260104T000000Z";

/// One column of an answer, in order.
fn answer(table: &OneTable, scope: Option<&str>, sql: &str) -> Vec<String> {
    let (text, report) = table.query(scope, sql).unwrap();
    assert!(
        report.files.iter().all(|file| file.lost.is_none()),
        "{report:?}"
    );
    let rows = text.lines().skip(3).filter(|line| line.starts_with('|'));
    rows.map(|row| {
        row.trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ")
    })
    .collect()
}

fn plan(table: &OneTable, scope: Option<&str>) -> String {
    table.query(scope, "EXPLAIN SELECT _file FROM t").unwrap().0
}

/// One OCSF process event a row, as a converter writes it for Security Lake.
fn ocsf(commands: &[(&str, &str)]) -> Vec<u8> {
    let texts = |values: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let commands_only = commands.iter().map(|row| row.1).collect();
    let process = StructArray::from(vec![(
        Arc::new(Field::new("cmd_line", DataType::Utf8, true)),
        texts(commands_only),
    )]);
    let times = commands.iter().map(|row| {
        let time: chrono::DateTime<chrono::Utc> = row.0.parse().unwrap();
        time.timestamp_millis()
    });
    let classes = Int64Array::from(vec![1007; commands.len()]);
    let batch = RecordBatch::try_from_iter(vec![
        ("time", Arc::new(times.collect::<Int64Array>()) as ArrayRef),
        ("class_uid", Arc::new(classes) as ArrayRef),
        ("process", Arc::new(process) as ArrayRef),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn security_lake() {
    let table = OneTable::new(
        "format: parquet, form: ocsf, slack: 1d, layout: \"ext/{source}/region={region}/accountId={account}/eventDay={time:%Y%m%d}/*.parquet\"",
    );
    let day = |account: &str, day: &str, name: &str| {
        format!(
            "ext/CrowdStrike_PROCESS_ACTIVITY/region=eu-west-1/accountId={account}/eventDay={day}/{name}"
        )
    };
    // The converter's day is local: an event of the 3rd lies under the 2nd.
    let files = [
        (
            "000012345678",
            "20260102",
            "class_uid_1007_chunk_1767398400.parquet",
            vec![
                ("2026-01-02T12:00:00Z", "too early"),
                ("2026-01-03T01:00:00Z", "local day"),
            ],
        ),
        (
            "000012345678",
            "20260103",
            "class_uid_1007_chunk_1767484800.parquet",
            vec![("2026-01-03T12:00:00Z", "same day")],
        ),
        (
            "210000000000",
            "20260103",
            "class_uid_1007_chunk_1767484801.parquet",
            vec![("2026-01-03T13:00:00Z", "other account")],
        ),
        (
            "000012345678",
            "20250101",
            "class_uid_1007_chunk_1.parquet",
            vec![("2026-01-03T13:00:00Z", "not listed")],
        ),
    ];
    for (account, eventday, name, rows) in files {
        table.write(&day(account, eventday, name), ocsf(&rows));
    }
    let sql = "SELECT process_cmd_line, account, region FROM t ORDER BY event_time";
    assert_eq!(
        answer(&table, Some(DAY), sql),
        [
            "local day 000012345678 eu-west-1",
            "same day 000012345678 eu-west-1",
            "other account 210000000000 eu-west-1",
        ]
    );
    assert!(plan(&table, Some(DAY)).contains("files=3, files_pruned=0, folders_pruned=1"));
    // Text against text: no number loses its zeros.
    let sql = "SELECT count(*) FROM t WHERE account = '000012345678' OR account = '12345678'";
    assert_eq!(answer(&table, Some(DAY), sql), ["2"]);
}

fn fdr(command: &str, time: &str) -> Vec<u8> {
    let seconds: chrono::DateTime<chrono::Utc> = time.parse().unwrap();
    let event = serde_json::json!({
        "event_simpleName": "ProcessRollup2", "aid": "a1", "CommandLine": command,
        "ContextTimeStamp": format!("{}.123", seconds.timestamp()), "id": command,
    });
    gzip(&format!("{event}\n"))
}

#[test]
fn fdr_flat_waits_for_its_success() {
    let table = OneTable::new(
        "format: ndjson, form: crowdstrike_fdr, complete: _SUCCESS, layout: \"tenant/data/{batch}/*.gz\"",
    );
    let time = "2026-01-03T10:00:00Z";
    let (done, open) = (
        "0b0fa1c4-0000-4000-8000-000000000001",
        "0b0fa1c4-0000-4000-8000-000000000002",
    );
    for (batch, part) in [(done, 0), (done, 1), (open, 0)] {
        let command = format!("{} {part}", if batch == done { "done" } else { "open" });
        table.write(
            &format!("tenant/data/{batch}/part-0000{part}.gz"),
            fdr(&command, time),
        );
    }
    table.write(&format!("tenant/data/{done}/_SUCCESS"), "");
    table.write(
        "tenant/fdrv2/aidmaster/x/part-00000.gz",
        gzip("{\"aid\":\"a1\"}\n"),
    );
    let sql = "SELECT \"CommandLine\", batch FROM t ORDER BY 1";
    let rows = answer(&table, Some(DAY), sql);
    assert_eq!(rows, [format!("done 0 {done}"), format!("done 1 {done}")]);
    assert!(
        plan(&table, Some(DAY))
            .contains("files=2, files_pruned=0, folders_pruned=0, files_waiting=1")
    );
    table.write(&format!("tenant/data/{open}/_SUCCESS"), "");
    assert_eq!(answer(&table, Some(DAY), sql).len(), 3);
}

#[test]
fn fdr_hive_has_the_batch_first() {
    let table = OneTable::new(
        "format: ndjson, form: crowdstrike_fdr, complete: _SUCCESS, slack: 1d, layout: \"data/batch={batch}/year={time:%Y}/month={time:%m}/day={time:%d}/hour={time:%H}/platform={platform}/**\"",
    );
    let path = |batch: &str, time: &str, platform: &str| {
        format!("data/batch={batch}/{time}/platform={platform}/part-00000-x.c000.txt.gz")
    };
    let inside = "2026-01-03T10:00:00Z";
    for (batch, folder, platform, time, command) in [
        (
            "u1",
            "year=2026/month=01/day=03/hour=10",
            "Win",
            inside,
            "in time",
        ),
        (
            "u2",
            "year=2026/month=1/day=4/hour=9",
            "Lin",
            inside,
            "late",
        ),
        (
            "u2",
            "year=2025/month=12/day=31/hour=23",
            "Win",
            inside,
            "not listed",
        ),
        (
            "u3",
            "year=2026/month=01/day=03/hour=10",
            "Win",
            inside,
            "no success",
        ),
    ] {
        table.write(&path(batch, folder, platform), fdr(command, time));
    }
    // The marker stands at the top of the batch.
    table.write("data/batch=u1/_SUCCESS", "");
    table.write("data/batch=u2/_SUCCESS", "");
    let sql = "SELECT \"CommandLine\", batch, platform FROM t ORDER BY 1";
    assert_eq!(
        answer(&table, Some(DAY), sql),
        ["in time u1 Win", "late u2 Lin"]
    );
    let plan = plan(&table, Some(DAY));
    assert!(
        plan.contains("files=2, files_pruned=0, folders_pruned=1, files_waiting=1"),
        "{plan}"
    );
}

/// Where Azure Monitor puts an hour, below the container of a table.
fn hour(day: u32, hour: u32, name: &str) -> String {
    format!(
        "WorkspaceResourceId=/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/soc/providers/microsoft.operationalinsights/workspaces/main/y=2026/m=01/d={day:02}/h={hour:02}/m=00/{name}"
    )
}

const AZURE: &str = "layout: \"WorkspaceResourceId=/subscriptions/*/resourcegroups/*/providers/*/workspaces/{workspace}/y={time:%Y}/m={time:%m}/d={time:%d}/h={time:%H}/m=*/*.json\"";

#[test]
fn log_analytics_export_has_two_m() {
    let table = OneTable::new(&format!("format: ndjson, form: sentinel, {AZURE}"));
    let event = |time: &str, command: &str| {
        let event = serde_json::json!({
            "TimeGenerated": time, "Computer": "ws1", "EventID": 4688, "CommandLine": command, "Type": "SecurityEvent",
        });
        format!("{event}\n")
    };
    // The file of an hour holds all of it, though its path ends in minute 00.
    let whole = event("2026-01-03T05:00:01Z", "first") + &event("2026-01-03T05:59:59Z", "last");
    table.write(&hour(3, 5, "PT1H.json"), whole);
    table.write(
        &hour(3, 5, "PT1H_1.json"),
        event("2026-01-03T05:30:00Z", "overflow"),
    );
    // An append blob that is still written to: the last line is not whole yet.
    let growing = event("2026-01-03T06:00:01Z", "growing");
    table.write(&hour(3, 6, "PT1H.json"), growing.clone() + &growing[..20]);
    table.write(
        &hour(2, 5, "PT1H.json"),
        event("2026-01-03T05:30:00Z", "not listed"),
    );
    let sql = "SELECT \"CommandLine\", workspace FROM t ORDER BY event_time";
    let rows = answer(&table, Some("20260103T053000Z_20260103T070000Z"), sql);
    assert_eq!(rows, ["overflow main", "last main", "growing main"]);
    let (_, report) = table.query(Some(DAY), sql).unwrap();
    let bad: Vec<_> = report
        .files
        .iter()
        .flat_map(|file| &file.bad_records)
        .collect();
    assert_eq!((bad.len(), bad[0].line, bad[0].reason), (1, 2, "not_json"));
    let plan = plan(&table, Some("20260103T053000Z_20260103T060000Z"));
    assert!(
        plan.contains("files=2, files_pruned=0, folders_pruned=2"),
        "{plan}"
    );
}

#[test]
fn defender_streams_envelopes() {
    let table = OneTable::new(&format!("format: ndjson, form: defender, {AZURE}"));
    let event = |time: &str, command: &str| {
        let event = serde_json::json!({
            "time": time, "tenantId": "t", "operationName": "Publish", "category": "AdvancedHunting-DeviceProcessEvents",
            "properties": {
                "Timestamp": time, "DeviceId": "d1", "DeviceName": "ws1", "ReportId": 7, "ActionType": "ProcessCreated",
                "ProcessCommandLine": command, "AdditionalFields": {"k": [1]},
            },
        });
        format!("{event}\n")
    };
    table.write(
        &hour(3, 5, "PT1H.json"),
        event("2026-01-03T05:10:00.1234567Z", "one"),
    );
    // Delivered again in the next hour, and another event with the same ReportId, which is unique with its time only.
    let again = event("2026-01-03T05:10:00.1234567Z", "one");
    table.write(
        &hour(3, 6, "PT1H.json"),
        again + &event("2026-01-03T06:10:00Z", "two"),
    );
    let sql = "SELECT \"ProcessCommandLine\", \"DeviceName\", \"AdditionalFields\" FROM t ORDER BY event_time";
    assert_eq!(
        answer(&table, Some(DAY), sql),
        ["one ws1 {\"k\":[1]}", "two ws1 {\"k\":[1]}"]
    );
}

#[test]
fn a_marker_is_a_name() {
    for marker in ["\"\"", "a/b"] {
        let table = OneTable::new(&format!("format: ndjson, form: zeek, complete: {marker}"));
        table.write("x.log", "");
        let error = table
            .query(None, "SELECT 1 FROM t")
            .unwrap_err()
            .to_string();
        assert!(error.contains("complete"), "{error}");
    }
}

/// Some converters write seconds where OCSF wants milliseconds; a window, and what row groups are left out of it, must
/// not depend on that.
#[test]
fn security_lake_in_other_units() {
    let table = OneTable::new("format: parquet, form: ocsf");
    let time: chrono::DateTime<chrono::Utc> = "2026-01-03T12:00:00Z".parse().unwrap();
    let day = 86_400;
    for (name, unit) in [("s", 1), ("ms", 1000), ("us", 1_000_000)] {
        let times = [0, -day, day].map(|seconds| (time.timestamp() + seconds) * unit);
        let batch = RecordBatch::try_from_iter(vec![(
            "time",
            Arc::new(Int64Array::from(times.to_vec())) as ArrayRef,
        )])
        .unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(1));
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        table.write(&format!("{name}.parquet"), bytes);
    }
    // Two units in one row group: which times it has is not known before it is read.
    let times = [
        (time.timestamp() + day),
        (time.timestamp() - day) * 1000,
        time.timestamp() * 1000,
    ];
    let batch = RecordBatch::try_from_iter(vec![(
        "time",
        Arc::new(Int64Array::from(times.to_vec())) as ArrayRef,
    )]);
    let mut bytes = Vec::new();
    let batch = batch.unwrap();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    table.write("mixed.parquet", bytes);
    let sql = "SELECT _file, count(*) FROM t GROUP BY 1 ORDER BY 1";
    let rows = [
        "mixed.parquet 1",
        "ms.parquet 1",
        "s.parquet 1",
        "us.parquet 1",
    ];
    assert_eq!(answer(&table, Some(DAY), sql), rows);
    let (_, report) = table.query(Some(DAY), sql).unwrap();
    let pruned = report.files.iter().map(|file| file.row_groups_pruned);
    assert_eq!(pruned.collect::<Vec<_>>(), [0, 2, 2, 2]);
    // Of the day after too, which the least and the most of the mixed one do not show.
    assert_eq!(
        answer(&table, Some("20260104T000000Z_20260105T000000Z"), sql),
        rows
    );
}
