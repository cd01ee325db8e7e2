//! Tables over files as they are: broken lines, several members and frames, copies, columns that are missing or of
//! another type, files and row groups outside the window.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use lakehunt::engine::{Engine, Session, SqlSource};
use lakehunt::hunt::Content;
use lakehunt::lake::Lake;
use lakehunt::lake::ScanReport;
use lakehunt::time::Window;
use tempfile::TempDir;

/// A lake of one table `t` in a temporary folder.
pub(crate) struct OneTable {
    pub(crate) folder: TempDir,
    options: String,
}

pub(crate) type Failure = Box<dyn std::error::Error>;

impl OneTable {
    pub(crate) fn new(options: &str) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            options: options.to_owned(),
        }
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.path().join("t").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) async fn session(&self, scope: Option<&str>) -> Result<Session, Failure> {
        let lake = self.folder.path().join("lake.yaml");
        fs::write(
            &lake,
            format!("tables:\n  t: {{location: t/, {}}}\n", self.options),
        )?;
        let content = Content::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql"))?;
        let lake = Lake::open(&lake, &content)?;
        let scope = scope.map(Window::from_file_stem).transpose()?;
        Ok(Engine::new(Arc::new(lake), None)?
            .session(scope, scope)
            .await?)
    }

    /// A query's answer as a table, and what the scan said.
    pub(crate) fn query(
        &self,
        scope: Option<&str>,
        sql: &str,
    ) -> Result<(String, ScanReport), Failure> {
        tokio::runtime::Runtime::new()?.block_on(async {
            let session = self.session(scope).await?;
            let source = SqlSource {
                path: "<query>".into(),
                text: sql.to_owned(),
            };
            let rows = session.query(&source).await?.collect().await?;
            let report = session.reports["t"].lock().map_err(|_| "poisoned")?.clone();
            Ok((pretty_format_batches(&rows)?.to_string(), report))
        })
    }

    pub(crate) fn numbers(&self, sql: &str) -> (Vec<i64>, ScanReport) {
        let (text, report) = self.query(None, sql).unwrap();
        let cells = text
            .split(|c: char| !c.is_ascii_digit())
            .filter(|cell| !cell.is_empty());
        (cells.map(|cell| cell.parse().unwrap()).collect(), report)
    }
}

pub(crate) const INLINE: &str =
    "format: ndjson, schema: {at: text, n: int, s: text}, time: [{column: at, format: iso8601}]";

pub(crate) fn line(n: i64) -> String {
    format!(
        "{{\"at\":\"2026-01-01T00:00:{:02}Z\",\"n\":{n},\"s\":\"x\"}}\n",
        n % 60
    )
}

pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_member_and_frame_is_read() {
    let table = OneTable::new(INLINE);
    table.write(
        "a.ndjson.gz",
        [gzip(&line(1)), gzip(&line(2)), gzip(&line(3))].concat(),
    );
    let frame = |n| zstd::encode_all(line(n).as_bytes(), 1).unwrap();
    table.write("b.jsonl.zst", [frame(4), frame(5)].concat());
    table.write("c.json", line(6));
    table.write("d.txt", "not ours");
    table.write("_e.ndjson", line(7));
    let (numbers, report) = table.numbers("SELECT n FROM t ORDER BY n");
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!(report.files.len(), 3);
}

#[test]
fn names_of_files_may_hold_anything() {
    let names = ["a b", "a#1", "a~b", "a%20b", "ä[1]{x}", "a&b?c*d"];
    let table = OneTable::new(INLINE);
    for name in names {
        table.write(
            &format!("{name}/{name}.ndjson"),
            line(1).replace("\"x\"", &format!("{name:?}")),
        );
    }
    let (numbers, report) =
        table.numbers("SELECT count(*) AS a FROM t WHERE _file LIKE concat(s, '/', s, '.ndjson')");
    let lost: Vec<_> = report
        .files
        .iter()
        .filter_map(|file| file.lost.clone())
        .collect();
    assert_eq!((numbers, lost), (vec![6], vec![]));
    let table =
        OneTable::new(&format!("format: parquet, {DAYS}").replace("day={time:%Y-%m-%d}/", ""));
    for name in names {
        parquet(
            &table,
            &format!("{name}.parquet"),
            &[("2026-01-01T00:00:00Z", 1)],
        );
    }
    let (numbers, report) = table.numbers("SELECT count(*) AS a FROM t");
    let lost: Vec<_> = report
        .files
        .iter()
        .filter_map(|file| file.lost.clone())
        .collect();
    assert_eq!((numbers, lost), (vec![6], vec![]));
}

#[test]
fn compression_can_be_said_where_names_do_not_say_it() {
    let table = OneTable::new(&format!("compression: gzip, {INLINE}"));
    table.write("PT1H.json", gzip(&line(1)));
    assert_eq!(table.numbers("SELECT n FROM t").0, [1]);
}

#[test]
fn a_broken_line_costs_itself_and_is_located() {
    let table = OneTable::new(INLINE);
    let mut bytes = line(1).into_bytes();
    let offset = bytes.len() as u64;
    bytes.extend(b"{\"at\": \"2026-01-01T00:00:00Z\", \"n\"\n");
    bytes.extend(b"\xff\xfe rubbish\n[1, 2]\n\n{\"at\": \"yesterday\", \"n\": 9}\n");
    bytes.extend(line(2).into_bytes());
    bytes.extend(b"{\"at\": \"2026-01-01T00:00:00Z\", \"n\": 3}");
    table.write("a.ndjson", &bytes);
    let (numbers, report) = table.numbers("SELECT n FROM t ORDER BY n");
    assert_eq!(numbers, [1, 2, 3]);
    let file = &report.files[0];
    let bad: Vec<_> = file
        .bad_records
        .iter()
        .map(|bad| (bad.line, bad.reason))
        .collect();
    assert_eq!(
        bad,
        [
            (2, "not_json"),
            (3, "not_utf8"),
            (4, "not_an_object"),
            (6, "no_time")
        ]
    );
    assert_eq!(file.bad_records[0].offset, offset);
    assert_eq!(
        file.bad_records[0].text.as_deref(),
        Some("{\"at\": \"2026-01-01T00:00:00Z\", \"n\"")
    );
    assert_eq!(
        file.bad_records[1].base64.as_deref(),
        Some("//4gcnViYmlzaA==")
    );
    assert_eq!((file.rows, file.rejected), (3, 4));
}

#[test]
fn a_torn_file_keeps_what_was_whole() {
    let table = OneTable::new(INLINE);
    let lines = (0..2000).map(|n| {
        let noise = n * 7919;
        format!("{{\"at\":\"2026-01-01\",\"n\":{n},\"s\":\"{noise:x}\"}}\n")
    });
    let text = lines.collect::<Vec<_>>().concat();
    let whole = gzip(&text);
    table.write("a.ndjson.gz", &whole[..whole.len() / 2]);
    table.write("b.ndjson", line(5));
    table.write("c.ndjson.gz", "this is no gzip");
    let (numbers, report) = table
        .numbers("SELECT count(*) AS a, count(*) FILTER (WHERE _file = 'b.ndjson') AS b FROM t");
    assert!(numbers[0] > 100 && numbers[0] < 2000, "{numbers:?}");
    assert_eq!(numbers[1], 1);
    let lost: Vec<_> = report
        .files
        .iter()
        .map(|file| file.lost.is_some())
        .collect();
    assert_eq!(lost, [true, false, true]);
}

#[test]
fn a_value_of_another_type_is_null_and_counted() {
    let table = OneTable::new(INLINE);
    table.write(
        "a.ndjson",
        concat!(
            "{\"at\":\"2026-01-01\",\"n\":\"0x10\",\"s\":7}\n",
            "{\"at\":\"2026-01-01T01:00:00\",\"n\":{\"x\":1},\"s\":[1]}\n",
            "{\"AT\":\"2026-01-01T02:00:00+01:00\",\"N\":\"5\"}\n",
        ),
    );
    let (text, report) = table
        .query(None, "SELECT n, s, event_time FROM t ORDER BY _row")
        .unwrap();
    insta::assert_snapshot!(text, @r"
    +----+---+----------------------+
    | n  | s | event_time           |
    +----+---+----------------------+
    | 16 | 7 | 2026-01-01T00:00:00Z |
    |    |   | 2026-01-01T01:00:00Z |
    | 5  |   | 2026-01-01T01:00:00Z |
    +----+---+----------------------+
    ");
    let conflicts = &report.files[0].conflicts;
    assert_eq!((conflicts["n"], conflicts["s"]), (1, 1));
}

#[test]
fn the_same_record_delivered_twice_is_one() {
    let form = "format: ndjson, schema: {at: text, host: text, rec: int, extra: text}, \
                time: [{column: at, format: iso8601}], identity: {host: host, record: rec}";
    let table = OneTable::new(form);
    let record = |rec: &str, extra: &str| {
        format!("{{\"at\":\"2026-01-01\",\"host\":\"h\",\"rec\":{rec},\"extra\":\"{extra}\"}}\n")
    };
    table.write("b.ndjson", record("\"7\"", "second") + &record("8", "only"));
    table.write(
        "a.ndjson",
        record("7", "first") + "{\"at\":\"2026-01-01\",\"extra\":\"none\"}\n",
    );
    table.write(
        "c.ndjson",
        "{\"at\":\"2026-01-01\",\"extra\":\"none\"}\n{\"at\":\"2026-01-01\",\"extra\":\"other\"}\n",
    );
    table.write(
        "d.ndjson",
        record("0", "no number") + &record("0", "none here either"),
    );
    let (text, _) = table
        .query(
            None,
            "SELECT extra, _file, _row FROM t ORDER BY _file, _row",
        )
        .unwrap();
    insta::assert_snapshot!(text, @r"
    +------------------+----------+------+
    | extra            | _file    | _row |
    +------------------+----------+------+
    | first            | a.ndjson | 1    |
    | none             | a.ndjson | 2    |
    | only             | b.ndjson | 2    |
    | other            | c.ndjson | 2    |
    | no number        | d.ndjson | 1    |
    | none here either | d.ndjson | 2    |
    +------------------+----------+------+
    ");
}

const DAYS: &str = "schema: {at: text, n: int, late: text}, time: [{column: at, format: \"%Y-%m-%dT%H:%M:%SZ\"}], layout: \"day={time:%Y-%m-%d}/**\"";

fn parquet(table: &OneTable, path: &str, rows: &[(&str, i64)]) {
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "AT",
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
        ),
        (
            "n",
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    table.write(path, "");
    let file = File::create(table.folder.path().join("t").join(path)).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(2))
        .build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn folders_and_row_groups_outside_the_window_are_not_read() {
    let table = OneTable::new(&format!("format: parquet, {DAYS}"));
    for day in ["2026-01-01", "2026-01-02", "2026-01-03"] {
        let hours: Vec<_> = (0..8)
            .map(|index| format!("{day}T{:02}:00:00Z", index * 3))
            .collect();
        let rows: Vec<_> = hours
            .iter()
            .zip(0..)
            .map(|(hour, n)| (hour.as_str(), n))
            .collect();
        parquet(&table, &format!("day={day}/x.parquet"), &rows);
    }
    // Two of the four row groups of one of the three days.
    let scope = Some("20260102T060000Z_20260102T150000Z");
    let (text, report) = table
        .query(scope, "SELECT count(*), min(n), max(n), count(late) FROM t")
        .unwrap();
    insta::assert_snapshot!(text, @r"
    +----------+----------+----------+---------------+
    | count(*) | min(t.n) | max(t.n) | count(t.late) |
    +----------+----------+----------+---------------+
    | 3        | 2        | 4        | 0             |
    +----------+----------+----------+---------------+
    ");
    assert_eq!(report.files.len(), 1);
    assert_eq!(
        (
            report.files[0].row_groups_read,
            report.files[0].row_groups_pruned
        ),
        (2, 2)
    );
    let (plan, _) = table
        .query(scope, "EXPLAIN SELECT n FROM t WHERE n > 2")
        .unwrap();
    assert!(
        plan.contains("files=1, files_pruned=0, folders_pruned=2"),
        "{plan}"
    );
    assert!(
        plan.contains("window=2026-01-02T06:00:00Z/2026-01-02T15:00:00Z"),
        "{plan}"
    );
    assert!(
        !plan.contains("FilterExec"),
        "the filter belongs to the scan: {plan}"
    );
    let (plan, _) = table
        .query(scope, "EXPLAIN ANALYZE SELECT n FROM t WHERE n > 2")
        .unwrap();
    for metric in [
        "files_read=1",
        "row_groups_read=2",
        "row_groups_pruned=2",
        "output_rows=2",
    ] {
        assert!(plan.contains(metric), "{metric} in {plan}");
    }
}

#[test]
fn slack_lists_wider_and_still_filters_on_the_event() {
    let table = OneTable::new(&format!("format: ndjson, {DAYS}, slack: 1d"));
    table.write(
        "day=2026-01-01/a.ndjson",
        "{\"at\":\"2026-01-02T01:00:00Z\",\"n\":1}\n",
    );
    table.write(
        "day=2026-01-02/a.ndjson",
        "{\"at\":\"2026-01-02T02:00:00Z\",\"n\":2}\n{\"at\":\"2026-01-03T00:00:00Z\",\"n\":3}\n",
    );
    table.write(
        "day=2026-01-04/a.ndjson",
        "{\"at\":\"2026-01-02T03:00:00Z\",\"n\":4}\n",
    );
    table.write(
        "elsewhere/a.ndjson",
        "{\"at\":\"2026-01-02T03:00:00Z\",\"n\":5}\n",
    );
    let scope = Some("20260102T000000Z_20260103T000000Z");
    let (text, _) = table.query(scope, "SELECT n FROM t ORDER BY n").unwrap();
    insta::assert_snapshot!(text, @r"
    +---+
    | n |
    +---+
    | 1 |
    | 2 |
    +---+
    ");
}

#[test]
fn partition_columns_are_text() {
    let table = OneTable::new(
        "format: ndjson, schema: {at: text}, time: [{column: at, format: iso8601}], layout: \"account={account}/{day}.ndjson\"",
    );
    table.write("account=0012/x.ndjson", "{\"at\":\"2026-01-01\"}\n");
    table.write("account=2/y.ndjson", "{\"at\":\"2026-01-01\"}\n");
    let (text, _) = table
        .query(None, "SELECT account, DAY FROM t WHERE Account LIKE '0%'")
        .unwrap();
    insta::assert_snapshot!(text, @r"
    +---------+-----+
    | account | day |
    +---------+-----+
    | 0012    | x   |
    +---------+-----+
    ");
}

#[test]
fn row_groups_are_pruned_only_where_texts_sort() {
    // The offset of a row puts it into the day before, where the texts of its row group say the day after.
    let table = OneTable::new(
        &format!("format: parquet, {DAYS}")
            .replace("\"%Y-%m-%dT%H:%M:%SZ\"", "iso8601")
            .replace("day={time:%Y-%m-%d}/", ""),
    );
    let rows = [
        ("2026-01-04T00:30:00Z", 1),
        ("2026-01-04T01:00:00+02:00", 2),
        ("2026-01-04T23:00:00Z", 3),
    ];
    parquet(&table, "x.parquet", &rows);
    let scope = Some("20260103T000000Z_20260104T000000Z");
    let (text, _) = table.query(scope, "SELECT n FROM t").unwrap();
    assert!(text.contains("| 2 |"), "{text}");
}
