//! One shared scan gives what each hunt gives when it runs alone on a plain table (DESIGN.md, invariant 2): random
//! tables, random predicates, many hunts at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::SessionContext;
use lakehunt::engine::Engine;
use lakehunt::hunt::{Content, FrontMatter, Hunt, Level, Status};
use lakehunt::lake::Lake;
use lakehunt::time::Window;
use proptest::prelude::*;

/// A row: seconds after the start, a number, a text.
type Row = (i64, Option<i64>, Option<String>);

const START: i64 = 1_767_225_600;

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(r"C:\Windows\System32\cmd.exe".to_owned()),
        Just("C:WindowsSystem32cmd.exe".to_owned()),
        Just(r"cmd.exe /Q /c whoami 1> \\127.0.0.1\ADMIN$\__17 2>&1".to_owned()),
        Just("100%_done".to_owned()),
        Just("Straße STRASSE ſ K".to_owned()),
        // The Kelvin sign folds with k, the long s with s, and İ with nothing.
        Just("ma\u{17f}\u{212a}ed Powershell -ENC İstanbul".to_owned()),
        Just("masked powershell -enc istanbul".to_owned()),
        "[mMaAsSkK\u{17f}\u{212a}eEdDİi ]{0,12}",
        Just(String::new()),
        "[a-cA-C%_\\\\ ]{0,6}",
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..7200_i64,
        proptest::option::of(-3..4_i64),
        proptest::option::of(texts()),
    );
    proptest::collection::vec(row, 0..40)
}

/// Predicates over `n` and `s`, nested.
fn predicates() -> impl Strategy<Value = String> {
    let pattern = prop_oneof![
        Just("%cmd%".to_owned()),
        Just(r"C:\Windows%".to_owned()),
        Just(r"%\%".to_owned()),
        Just("100%".to_owned()),
        Just("_%a_".to_owned()),
        Just("%strasse%".to_owned()),
        Just("%masked%".to_owned()),
        Just("%powershell%-enc%".to_owned()),
        Just("masked%".to_owned()),
        Just("%İstanbul".to_owned()),
        "%[mask\u{17f}\u{212a}]{3,5}%",
        "[a-c%_\\\\]{0,4}",
    ];
    let leaf = prop_oneof![
        (-3..4_i64).prop_map(|n| format!("n = {n}")),
        (-3..4_i64).prop_map(|n| format!("n <> {n}")),
        (-3..4_i64, -3..4_i64).prop_map(|(a, b)| format!("n BETWEEN {a} AND {b}")),
        Just("n IN (1, 2, NULL)".to_owned()),
        Just("n IS NULL".to_owned()),
        Just("s IS NOT NULL".to_owned()),
        Just("s NOT IN ('100%_done', '')".to_owned()),
        pattern.clone().prop_map(|p| format!("s LIKE '{p}'")),
        pattern.clone().prop_map(|p| format!("s NOT LIKE '{p}'")),
        pattern.clone().prop_map(|p| format!("s ILIKE '{p}'")),
        pattern.prop_map(|p| format!("wildcard_match(s, '{}')", p.replace('%', "*"))),
        Just(r"s ~ 'C:\\Windows'".to_owned()),
        Just(r"s ~* '^cmd\.exe\s.*\d'".to_owned()),
        Just(r"s !~ '[%_]'".to_owned()),
        Just(r"regexp_extract(s, '(\w)$', 1) = 'e'".to_owned()),
        Just("lower(s) = 'straße strasse ſ k'".to_owned()),
        Just("lower(s) IN ('masked powershell -enc istanbul', '')".to_owned()),
        Just("lower(s) LIKE '%masked%'".to_owned()),
        Just("upper(s) LIKE '%MASKED%' ".to_owned()),
        Just("s ~* 'masked|istanbul'".to_owned()),
        Just("s ~ '(?i:masK)ed.*(enc|ENC)'".to_owned()),
        Just("base_name(s) = 'cmd.exe'".to_owned()),
        Just("coalesce(s, 'masked') ILIKE '%masked%'".to_owned()),
        Just("concat(s, n) LIKE '%enc%1'".to_owned()),
        Just("s IN ('100%_done', NULL)".to_owned()),
        Just("starts_with(s, 'mask')".to_owned()),
        Just("strpos(s, 'powershell') > 0".to_owned()),
        Just("length(s) > 20".to_owned()),
        Just("replace(s, 'masked', '') = ''".to_owned()),
        Just("CASE WHEN n > 0 THEN s LIKE 'C%' ELSE n < -1 END".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

fn hunt(index: usize, sql: String) -> Hunt {
    Hunt {
        name: format!("hunt_{index}"),
        path: "<generated>".into(),
        inside: String::new(),
        front_matter: FrontMatter {
            id: "7d2c0c5e-0f5b-4c7e-9b1e-3a6f7f0f4a11".to_owned(),
            title: String::new(),
            status: Status::Test,
            level: Level::Low,
            description: String::new(),
            tags: Vec::new(),
            references: Vec::new(),
            source: None,
            falsepositives: Vec::new(),
            response: Vec::new(),
            lookback: None,
            params: BTreeMap::new(),
            entities: BTreeMap::new(),
            key: Vec::new(),
            risk: None,
        },
        sql,
    }
}

/// The queries of one predicate: rows, a self-join, a subquery, and an aggregate.
fn queries(predicate: &str) -> [String; 4] {
    [
        format!("SELECT event_time, n, s FROM t WHERE {predicate} ORDER BY event_time, n, s"),
        format!(
            "SELECT max(a.event_time) AS last_seen, count(*) AS c FROM t a JOIN t b ON a.n = b.n AND a.s IS NOT DISTINCT FROM b.s \
             WHERE {}",
            qualify(predicate)
        ),
        format!(
            "SELECT max(event_time) AS last_seen, count(*) AS c FROM t WHERE n IN (SELECT n FROM t WHERE {predicate})"
        ),
        format!(
            "SELECT n, max(event_time) AS last_seen, count(DISTINCT s) AS d, min(s) AS m FROM t WHERE {predicate} GROUP BY n ORDER BY n"
        ),
    ]
}

fn qualify(predicate: &str) -> String {
    format!("a.n IN (SELECT n FROM t WHERE {predicate}) OR b.n IS NULL")
}

fn window(seconds: (i64, i64)) -> Window {
    let time = |seconds| chrono::DateTime::from_timestamp(START + seconds, 0).unwrap();
    Window::new(time(seconds.0), time(seconds.1)).unwrap()
}

/// How the rows lie in the lake.
#[derive(Debug, Clone, Copy)]
enum Files {
    Ndjson,
    /// With more columns than predicates read, which are decoded late; most hold one value, or are not there at all.
    Parquet,
    /// All rows in one file, whose texts are looked at where the numbers leave it open.
    ParquetWhole,
}

fn write_ndjson(path: &Path, part: usize, rows: &[Row]) {
    let mut text = String::new();
    for (row, (second, n, s)) in rows.iter().enumerate() {
        // `id` makes each record its own: equal rows are no copies here.
        let json = serde_json::json!({"at": START + second, "n": n, "s": s, "id": format!("{part}-{row}")});
        let _ = writeln!(text, "{json}");
    }
    fs::write(path.with_extension("ndjson"), text).unwrap();
}

/// Rows of a row group.
const GROUP: usize = 7;

fn write_parquet(path: &Path, rows: &[Row], group: usize) {
    let seconds = rows.iter().map(|row| START + row.0);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("at", Arc::new(Int64Array::from_iter_values(seconds))),
        (
            "n",
            Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        ),
        (
            "s",
            Arc::new(
                rows.iter()
                    .map(|row| row.2.clone())
                    .collect::<StringArray>(),
            ),
        ),
    ];
    let there = columns
        .into_iter()
        .filter(|(_, array)| array.null_count() < array.len());
    let columns = there.map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_column_dictionary_enabled("s".into(), group == GROUP)
        .build();
    let file = fs::File::create(path.with_extension("parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn shared(
    rows: &[Row],
    predicates: &[String],
    scope: Window,
    files: Files,
) -> Vec<Result<String, String>> {
    let folder = tempfile::TempDir::new().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    // Many files, so that parallel reading has an order to get wrong.
    for (part, chunk) in rows.chunks(rows.len().div_ceil(12).max(1)).enumerate() {
        let path = folder.path().join(format!("t/{part}"));
        match files {
            Files::Ndjson => write_ndjson(&path, part, chunk),
            Files::Parquet => write_parquet(&path, chunk, GROUP),
            Files::ParquetWhole => {}
        }
    }
    if matches!(files, Files::ParquetWhole) && !rows.is_empty() {
        write_parquet(&folder.path().join("t/all"), rows, rows.len());
    }
    let format = match files {
        Files::Ndjson => "ndjson",
        Files::Parquet | Files::ParquetWhole => "parquet",
    };
    let yaml = format!(
        "tables:\n  t: {{location: t/, format: {format}, schema: {{at: int, n: int, s: text}}, time: [{{column: at, format: unix_s}}]}}\n"
    );
    let lake = folder.path().join("lake.yaml");
    fs::write(&lake, yaml).unwrap();
    let content = Content::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")).unwrap();
    let lake = Arc::new(Lake::open(&lake, &content).unwrap());
    let engine = Engine::new(Arc::clone(&lake), None).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        // A scan that waits for itself must fail, not hang.
        let limit = Duration::from_mins(1);
        let session = Arc::new(engine.session(Some(scope), Some(scope)).await.unwrap());
        let mut planned = Vec::new();
        for (index, sql) in predicates
            .iter()
            .flat_map(|predicate| queries(predicate))
            .enumerate()
        {
            let hunt = hunt(index, sql);
            let plan = session
                .plan_hunt(&hunt, &lake, chrono::Duration::zero(), &BTreeMap::new())
                .await;
            planned.push(plan.unwrap_or_else(|error| panic!("{}: {error}", hunt.sql)));
        }
        let session_of = |_| Arc::clone(&session);
        let running = engine.run(&session_of, &planned, scope, limit, &|_, _| {});
        let (outcomes, _) = tokio::time::timeout(limit, running).await.unwrap().unwrap();
        let shown =
            |batches: Vec<RecordBatch>| pretty_format_batches(&batches).unwrap().to_string();
        outcomes
            .into_iter()
            .map(|outcome| outcome.rows.map(shown))
            .collect()
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the oracle is a plain DataFusion session"
)]
fn alone(rows: &[Row], predicates: &[String], scope: Window) -> Vec<Result<String, String>> {
    let inside: Vec<_> = rows
        .iter()
        .filter(|row| scope.contains(window((row.0, row.0 + 1)).start))
        .collect();
    let times = inside.iter().map(|row| (START + row.0) * 1_000_000);
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "event_time",
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ),
        (
            "n",
            Arc::new(inside.iter().map(|row| row.1).collect::<Int64Array>()),
        ),
        (
            "s",
            Arc::new(
                inside
                    .iter()
                    .map(|row| row.2.clone())
                    .collect::<StringArray>(),
            ),
        ),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    );
    let context = SessionContext::new();
    lakehunt::functions::register_all(&context).unwrap();
    context.register_batch("t", batch.unwrap()).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut answers = Vec::new();
        for sql in predicates.iter().flat_map(|predicate| queries(predicate)) {
            let rows = async { context.sql(&sql).await?.collect().await }.await;
            let rows: Result<Vec<RecordBatch>, datafusion::error::DataFusionError> = rows;
            answers.push(
                rows.map(|rows| pretty_format_batches(&rows).unwrap().to_string())
                    .map_err(|e| e.to_string()),
            );
        }
        answers
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: super::predicate_index::cases(12), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_scan_gives_what_each_hunt_gives_alone(
        rows in rows(),
        predicates in proptest::collection::vec(predicates(), 1..12),
        from in 0..3600_i64,
        length in 1..7200_i64,
    ) {
        let scope = window((from, from + length));
        let each = alone(&rows, &predicates, scope);
        for files in [Files::Ndjson, Files::Parquet, Files::ParquetWhole] {
            let together = shared(&rows, &predicates, scope, files);
            for (index, (together, each)) in together.iter().zip(&each).enumerate() {
                let sql = &queries(&predicates[index / 4])[index % 4];
                prop_assert_eq!(together, each, "{:?} {}", files, sql);
            }
        }
    }
}

#[test]
fn files_behind_the_first_do_not_hold_it_up() {
    // More deliveries a file than a channel holds, and more files than are decoded at a time.
    let rows: Vec<Row> = (0..24)
        .map(|n| (n, Some(n % 3), Some("x".to_owned())))
        .collect();
    let predicates = vec!["n >= 0".to_owned(); 8];
    for _ in 0..10 {
        let answers = shared(&rows, &predicates, window((0, 7200)), Files::Ndjson);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
}

/// A conjunct that can fail is evaluated on the rows that the others let through, and its failure is its hunt's alone.
#[test]
fn a_conjunct_that_fails_costs_its_own_hunt() {
    let rows: Vec<Row> = (-2..3)
        .map(|n| (n + 2, Some(n), Some(format!("x{n}"))))
        .collect();
    let predicates = [
        "n <> 0 AND 6 / n = 3",
        "6 / n = 3 AND s LIKE 'x%' AND n > 0",
        "6 / n = 3",
        "n = 2",
    ];
    let answers = shared(
        &rows,
        &predicates.map(str::to_owned),
        window((0, 7200)),
        Files::Parquet,
    );
    let plain: Vec<_> = answers.iter().step_by(4).collect();
    assert_eq!(plain[0].as_ref().unwrap(), plain[3].as_ref().unwrap());
    assert_eq!(plain[1].as_ref().unwrap(), plain[3].as_ref().unwrap());
    assert!(
        plain[2].as_ref().unwrap_err().contains("Divide by zero"),
        "{plain:?}"
    );
}
