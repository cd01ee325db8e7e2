//! A hunt that fails, takes too long or needs too much memory ends alone, and what does not fit into memory waits on disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::util::pretty::pretty_format_batches;
use lakehunt::engine::{Engine, HuntCost};
use lakehunt::hunt::{Content, FrontMatter, Hunt, Level, Status};
use lakehunt::lake::Lake;
use lakehunt::time::Window;

use crate::workspace::Workspace;

const START: i64 = 1_767_225_600;

/// The answer of each query, or why it has none, and what it cost.
type Answers = Vec<(Result<String, String>, HuntCost)>;

/// All queries in one run over a table of so many records.
fn run(records: i64, memory: usize, limit: Duration, queries: &[&str]) -> Answers {
    let line = |n: i64| {
        let (at, filler) = (START + n % 3600, "x".repeat(100));
        format!(r#"{{"at":{at},"n":{n},"s":"{filler} {}"}}"#, n % 7)
    };
    let table =
        "format: ndjson, schema: {at: int, n: int, s: text}, time: [{column: at, format: unix_s}]";
    run_over(table, records, &line, memory, limit, queries)
}

/// All queries in one run over a table of some lines.
fn run_over(
    table: &str,
    records: i64,
    line: &dyn Fn(i64) -> String,
    memory: usize,
    limit: Duration,
    queries: &[&str],
) -> Answers {
    let folder = tempfile::TempDir::new().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    let mut text = String::new();
    for n in 0..records {
        let _ = writeln!(text, "{}", line(n));
        if n % 10_000 == 9_999 || n + 1 == records {
            fs::write(folder.path().join(format!("t/{n:07}.ndjson")), &text).unwrap();
            text.clear();
        }
    }
    let lake = folder.path().join("lake.yaml");
    fs::write(&lake, format!("tables:\n  t: {{location: t/, {table}}}\n")).unwrap();
    let content = Content::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")).unwrap();
    let lake = Arc::new(Lake::open(&lake, &content).unwrap());
    let engine = Engine::new(Arc::clone(&lake), Some(memory)).unwrap();
    let time = |seconds| chrono::DateTime::from_timestamp(START + seconds, 0).unwrap();
    let scope = Window::new(time(0), time(3600)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answers = runtime.block_on(async {
        let session = Arc::new(engine.session(Some(scope), Some(scope)).await.unwrap());
        let mut planned = Vec::new();
        for (index, sql) in queries.iter().enumerate() {
            let hunt = hunt(index, sql);
            let parameters = BTreeMap::new();
            let plan = session.plan_hunt(&hunt, &lake, chrono::Duration::zero(), &parameters);
            planned.push(plan.await.unwrap());
        }
        let session_of = |_| Arc::clone(&session);
        let (outcomes, _) = engine
            .run(&session_of, &planned, scope, limit, &|_, _| {})
            .await
            .unwrap();
        let shown = |batches: Vec<_>| pretty_format_batches(&batches).unwrap().to_string();
        let outcomes = outcomes.into_iter();
        outcomes
            .map(|outcome| (outcome.rows.map(shown), outcome.cost))
            .collect()
    });
    runtime.shutdown_background();
    answers
}

fn hunt(index: usize, sql: &str) -> Hunt {
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
        sql: sql.to_owned(),
    }
}

const HOUR: Duration = Duration::from_hours(1);
const FEW: &str = "SELECT event_time, n FROM t WHERE n IN (3, 5) ORDER BY n";
const ALL: &str = "SELECT s, max(event_time) AS last_seen, count(*) AS c, sum(n / 3.0) AS f FROM t GROUP BY s ORDER BY s";

/// A join that no limit on memory ends: it makes rows and throws them away.
const ENDLESS: &str = "SELECT max(a.event_time) AS last_seen, count(*) AS c FROM t a, t b, t c, t d WHERE a.n + b.n + c.n + d.n < -1";

#[test]
fn a_hunt_that_takes_too_long_ends_alone() {
    let limit = Duration::from_secs(3);
    let answers = run(2000, 1 << 30, limit, &[FEW, ENDLESS, ALL, FEW]);
    let alone = run(2000, 1 << 30, HOUR, &[FEW, ALL]);
    let reason = answers[1].0.as_ref().unwrap_err();
    assert_eq!(reason, "took longer than its limit of 3 s");
    assert_eq!(answers[0].0, alone[0].0);
    assert_eq!(answers[2].0, alone[1].0);
    assert_eq!(answers[3].0, alone[0].0);
}

#[test]
fn what_does_not_fit_waits_on_disk_and_a_hunt_that_needs_more_ends_alone() {
    let (records, memory) = (28_000, 4 << 20);
    // The build side of a hash join cannot be spilled.
    let greedy = "SELECT max(a.event_time) AS last_seen, min(b.s) AS s FROM t a JOIN t b ON a.n = b.n AND a.s < b.s";
    let alone = run(records, 1 << 30, HOUR, &[FEW, ALL]);
    let answers = run(records, memory, HOUR, &[FEW, greedy, ALL, FEW]);
    let reason = answers[1].0.as_ref().unwrap_err();
    assert_eq!(
        reason,
        "it needs more than the memory limit of 4 MiB (--memory)"
    );
    assert_eq!(answers[0].0, alone[0].0);
    assert_eq!(answers[2].0, alone[1].0);
    assert_eq!(answers[3].0, alone[0].0);
    let (few, all) = (answers[0].1, answers[2].1);
    assert!(all.spilled > 0, "{all:?}");
    assert_eq!((all.rows_in, all.rows_out), (28_000, 7));
    assert_eq!((few.rows_in, few.rows_out), (2, 2));
    assert_eq!(alone[1].1.spilled, 0);
}

/// Where not even what tells copies of records fits, that hunt says so.
#[test]
fn identities_that_do_not_fit_end_their_hunt() {
    let answers = run(40_000, 512 << 10, HOUR, &[FEW, ALL, FEW]);
    let reason = answers[1].0.as_ref().unwrap_err();
    assert_eq!(
        reason,
        "it needs more than the memory limit of 512 KiB (--memory)"
    );
    let few = answers[0].0.as_ref().unwrap();
    assert!(few.contains("| 3 ") && few.contains("| 5 "), "{few}");
    assert_eq!(answers[0].0, answers[2].0);
}

const GROUPS: &str = "SELECT n % 20000 AS g, count(*) AS c, count(DISTINCT s) AS d, max(event_time) AS last_seen, collect_set(n, 3) AS ns FROM t GROUP BY n % 20000 HAVING count(*) < 9 ORDER BY g";

/// Hunts over much begin while it is read, with their groups divided: the same rows as those of a hunt that waits.
#[test]
fn a_hunt_over_all_rows_begins_while_they_are_read() {
    let (records, memory) = (28_000, 16 << 20);
    let waits = run(records, 1 << 30, HOUR, &[FEW, GROUPS, ALL]);
    let early = run(records, memory, HOUR, &[FEW, GROUPS, ALL]);
    for (waits, early) in waits.iter().zip(&early) {
        assert_eq!(waits.0, early.0);
        assert_eq!(waits.1.rows_out, early.1.rows_out);
        assert_eq!(waits.1.rows_in, early.1.rows_in);
    }
    assert_eq!(early[1].1.rows_out, 20_000);
    assert_eq!(waits[1].1.spilled, 0);
    assert!(early[1].1.spilled > 0, "{:?}", early[1].1);
    assert!(early[1].1.plan > Duration::ZERO);
}

/// Few groups with much in each, and hardly more memory than what tells copies takes: it has gone when groups are made.
#[test]
fn a_hunt_that_begins_early_takes_no_memory_from_the_pass() {
    let few_groups = "SELECT n % 7 AS g, count(DISTINCT s || n) AS d, max(event_time) AS last_seen FROM t GROUP BY n % 7 ORDER BY g";
    let (records, memory) = (28_000, 2_000_000);
    let waits = run(records, 1 << 30, HOUR, &[few_groups, FEW]);
    let early = run(records, memory, HOUR, &[few_groups, FEW]);
    assert_eq!(waits[0].0, early[0].0);
    assert_eq!(waits[1].0, early[1].0);
    assert!(early[0].1.spilled > 0, "{:?}", early[0].1);
}

/// The branches of a view are taken as they come.
#[test]
fn a_hunt_over_all_branches_of_a_view_begins_while_they_are_read() {
    let line = |n: i64| {
        let time = chrono::DateTime::from_timestamp(START + n % 3600, 0).unwrap();
        let time = time.format("%Y-%m-%d %H:%M:%S.000");
        let command = format!("cmd.exe /c task {} {}", n % 5000, "x".repeat(50));
        let common = format!(
            r#""EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc{}","RecordNumber":{n},"UtcTime":"{time}""#,
            n % 11
        );
        // Every third is only there as the text that a person reads.
        if n % 3 == 0 {
            let message = format!(
                r"Process Create:\r\nUtcTime: {time}\r\nImage: C:\\Windows\\cmd.exe\r\nCommandLine: {command}\r\nCurrentDirectory: C:\\\r\n"
            );
            format!(r#"{{{common},"Message":"{message}"}}"#)
        } else {
            format!(r#"{{{common},"Image":"C:\\Windows\\cmd.exe","CommandLine":"{command}"}}"#)
        }
    };
    let table = "form: windows_event, format: ndjson";
    let rare = "SELECT command_line, count(DISTINCT host_id) AS hosts, count(*) AS c, max(event_time) AS last_seen FROM process_creation GROUP BY command_line ORDER BY command_line";
    let run = |memory| run_over(table, 20_000, &line, memory, HOUR, &[rare]);
    let (waits, early) = (run(1 << 30), run(16 << 20));
    assert_eq!(waits[0].0, early[0].0);
    assert_eq!(early[0].1.rows_in, 20_000);
    assert_eq!(early[0].1.rows_out, 5000);
    assert!(early[0].1.spilled > 0, "{:?}", early[0].1);
}

/// What ends a hunt that has begun: a value in its plan, one in its condition, its time.
#[test]
fn a_hunt_that_has_begun_ends_alone() {
    let in_plan =
        "SELECT n, max(event_time) AS last_seen, sum(7 / (n - 25000)) AS s FROM t GROUP BY n";
    let in_scan =
        "SELECT n, max(event_time) AS last_seen FROM t WHERE 7 / (n - 25000) < 100 GROUP BY n";
    let slow = "SELECT n, max(event_time) AS last_seen, max(levenshtein(repeat(s, 5), repeat(s, 4))) AS d FROM t GROUP BY n";
    let memory = 64 << 20;
    let alone = run(28_000, 1 << 30, HOUR, &[FEW, GROUPS]);
    for (query, told) in [(in_plan, "ivide by zero"), (in_scan, "ivide by zero")] {
        let answers = run(28_000, memory, HOUR, &[FEW, query, GROUPS]);
        let reason = answers[1].0.as_ref().unwrap_err();
        assert!(reason.contains(told), "{reason}");
        assert_eq!(answers[0].0, alone[0].0);
        assert_eq!(answers[2].0, alone[1].0);
    }
    let answers = run(28_000, memory, Duration::from_secs(1), &[slow, FEW]);
    assert_eq!(
        answers[0].0.as_ref().unwrap_err(),
        "took longer than its limit of 1 s"
    );
    assert_eq!(answers[1].0, alone[0].0);
}

#[test]
fn a_value_that_a_condition_fails_on_ends_its_hunt_alone() {
    let bad = "SELECT event_time, n FROM t WHERE 7 / (n - 500) > 0";
    let answers = run(1000, 1 << 30, HOUR, &[FEW, bad, FEW]);
    let reason = answers[1].0.as_ref().unwrap_err();
    assert!(reason.contains("Divide by zero"), "{reason}");
    assert_eq!(answers[0].0, answers[2].0);
    assert!(answers[0].0.is_ok());
}

#[test]
fn stats_tell_what_each_hunt_cost() {
    let workspace = Workspace::with_one_table();
    let window = ["--from", "2026-01-01", "--to", "2026-01-02", "--stats"];
    let run = [&["run", "jobs/night.yaml"][..], &window].concat();
    let printed = workspace.succeed(&[&run[..], &["--format", "json"]].concat());
    let told = printed.stderr.lines().last().unwrap();
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    let cost = &told["hunts"]["wmic_format"];
    assert_eq!(
        (&cost["rows_in"], &cost["rows_out"]),
        (&1.into(), &1.into()),
        "{told}"
    );
    assert_eq!(cost["spilled_bytes"], 0);
    assert!(cost["plan_seconds"].as_f64().unwrap() > 0.0, "{told}");
    let printed = workspace.succeed(&run);
    for word in ["hunts", "rows in", "wmic_format"] {
        assert!(printed.stderr.contains(word), "{word}\n{}", printed.stderr);
    }
}
