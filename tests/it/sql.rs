//! `lakehunt sql` as a user meets it: windows, formats, errors, limits, files, what runs left behind.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use crate::bucket::Server;
use crate::cli::shown;
use crate::workspace::{Workspace, event, event_at};

/// The window of all events of the small lake.
const DAY: [&str; 4] = ["--from", "2026-01-01", "--to", "2026-01-02"];

fn ask(workspace: &Workspace, sql: &str, more: &[&str]) -> crate::workspace::Printed {
    workspace.run(&[&["sql", sql, "--lake", "lake/lake.yaml"], more].concat())
}

fn rows(workspace: &Workspace, sql: &str) -> Vec<String> {
    let more = [&DAY[..], &["--format", "csv"]].concat();
    let printed = ask(workspace, sql, &more);
    assert_eq!(printed.code, 0, "{sql}\n{}", printed.stderr);
    printed.stdout.lines().skip(1).map(str::to_owned).collect()
}

/// The error of a statement, with its place and hint.
fn error(workspace: &Workspace, sql: &str) -> String {
    let printed = ask(workspace, sql, &DAY);
    assert_eq!(printed.code, 2, "{sql}\n{}", printed.stderr);
    printed.stderr
}

#[test]
fn help() {
    shown("help_sql", &Workspace::empty(), &["sql", "--help"]);
    shown("help_ioc", &Workspace::empty(), &["ioc", "--help"]);
}

#[test]
fn the_last_day_of_the_data_by_default() {
    let workspace = Workspace::with_one_table();
    workspace.write(
        "lake/events/day=2026-01-03/a.ndjson",
        event_at("2026-01-03 10:00:00", 9, "x"),
    );
    let sql = "SELECT count(*) AS n, window_start() IS NULL AS bound FROM events";
    shown(
        "sql_default_window",
        &workspace,
        &["sql", sql, "--lake", "lake/lake.yaml"],
    );
    let at = ["--at", "2026-01-02T00:00:00Z", "--format", "csv"];
    assert_eq!(
        ask(&workspace, "SELECT count(*) FROM events", &at).stdout,
        "count(*)\r\n3\r\n"
    );
    let all = ["--earliest", "0", "--format", "csv"];
    assert_eq!(
        ask(&workspace, "SELECT count(*) FROM events", &all).stdout,
        "count(*)\r\n4\r\n"
    );
    let last = [
        "--last",
        "1h",
        "--at",
        "2026-01-01T10:00:02Z",
        "--format",
        "csv",
    ];
    assert_eq!(
        ask(&workspace, "SELECT count(*) FROM events", &last).stdout,
        "count(*)\r\n2\r\n"
    );
}

#[test]
fn formats() {
    let workspace = Workspace::with_one_table();
    let sql = "SELECT * FROM (VALUES (1, 'a|b,\"c\"', TRUE, [1, 2]), (2, '', NULL, NULL)) t(number, text, flag, list)";
    for format in ["table", "vertical", "csv", "json", "ndjson", "markdown"] {
        let lake = ["--lake", "lake/lake.yaml", "--format", format];
        let arguments = [&["sql", sql], &lake[..], &DAY].concat();
        shown(&format!("sql_{format}"), &workspace, &arguments);
    }
}

#[test]
fn a_file_takes_the_rows_whole_or_not_at_all() {
    let workspace = Workspace::with_one_table();
    for name in ["rows.csv", "rows.parquet", "rows.ndjson", "rows.json"] {
        let out = [&DAY[..], &["-o", name]].concat();
        let printed = ask(
            &workspace,
            "SELECT event_time, CommandLine FROM events",
            &out,
        );
        assert_eq!(
            (printed.code, printed.stdout.as_str()),
            (0, ""),
            "{}",
            printed.stderr
        );
        let sql = format!("SELECT count(*) FROM '{name}'");
        assert_eq!(rows(&workspace, &sql), ["3"], "{name}");
    }
    fs::write(workspace.path("rows.csv"), "old").unwrap();
    let fails = "SELECT CAST(CommandLine AS INT) FROM events";
    let printed = ask(&workspace, fails, &[&DAY[..], &["-o", "rows.csv"]].concat());
    assert_eq!(printed.code, 1, "{}", printed.stderr);
    assert_eq!(
        fs::read_to_string(workspace.path("rows.csv")).unwrap(),
        "old"
    );
    let names = fs::read_dir(workspace.path("")).unwrap();
    let left = names.filter(|name| {
        let name = name.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("tmp")
    });
    assert_eq!(left.count(), 0);
    let two = ask(
        &workspace,
        "SELECT 1; SELECT 2",
        &[&DAY[..], &["-o", "x.csv"]].concat(),
    );
    assert_eq!(two.code, 2);
}

#[test]
fn statements_come_from_files_and_pipes_and_see_views_of_the_session() {
    let workspace = Workspace::with_one_table();
    let sql = "CREATE VIEW v AS SELECT CommandLine AS c FROM events;\n\
               SELECT count(*) FROM v; -- one\nSELECT c FROM V ORDER BY c LIMIT 1;\nDROP VIEW v;";
    workspace.write("q.sql", sql);
    let arguments = [
        &[
            "sql",
            "-f",
            "q.sql",
            "--lake",
            "lake/lake.yaml",
            "--format",
            "csv",
        ],
        &DAY[..],
    ]
    .concat();
    let printed = workspace.run(&arguments);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    let expected = "count(*)\r\n3\r\nc\r\nwmic process 1\r\n";
    assert_eq!(printed.stdout, expected);
    let mut command = workspace.command(
        &[
            &["sql", "--lake", "lake/lake.yaml", "--format", "csv"],
            &DAY[..],
        ]
        .concat(),
    );
    command.stdin(fs::File::open(workspace.path("q.sql")).unwrap());
    assert_eq!(crate::workspace::Printed::of(&mut command).stdout, expected);
    let gone = error(
        &workspace,
        "CREATE VIEW v AS SELECT 1; DROP VIEW v; SELECT * FROM v",
    );
    assert!(
        gone.contains("unknown table or view `v`\n  --> query:1:55"),
        "{gone}"
    );
}

#[test]
fn errors_have_a_place_and_a_guess() {
    let workspace = Workspace::with_one_table();
    let errors = [
        "SELECT 1;\nSELECT CommandLin FROM events",
        "SELECT e.comandline FROM events e",
        "SELECT 1;\n  SELECT * FROM event",
        "SELECT count_if(x) FROM events",
        "SELECT coun(*) FROM events",
        "SELECT FROM WHERE",
        ".window -1d\nSELECT 1",
        "SELECT 'open",
        "SELECT $x",
        "SELECT * FROM process_tree()",
        "SELECT * FROM prevalence('process_creation', 'imag')",
        "SELECT * FROM 'nothing/*.parquet'",
        "DESCRIBE event",
        "SHOW COLUMNS",
        "CREATE VIEW events AS SELECT 1",
        "DROP VIEW events",
    ];
    let mut all = String::new();
    for sql in errors {
        writeln!(all, "> {sql}\n{}", error(&workspace, sql)).unwrap();
    }
    insta::assert_snapshot!("sql_errors", all);
}

#[test]
fn nothing_is_changed() {
    let workspace = Workspace::with_one_table();
    let mut all = String::new();
    for sql in [
        "COPY events TO 'x.csv'",
        "INSERT INTO events VALUES (1)",
        "CREATE TABLE x AS SELECT 1",
        "SET datafusion.execution.batch_size = 1",
        "DROP TABLE events",
        "SELECT 1; DELETE FROM events",
    ] {
        writeln!(all, "> {sql}\n{}", error(&workspace, sql)).unwrap();
    }
    insta::assert_snapshot!("sql_refused", all);
}

#[test]
fn what_is_in_a_table_is_described_and_summed_up() {
    let workspace = Workspace::with_one_table();
    let lake = ["--lake", "lake/lake.yaml"];
    let describe = [
        &["sql", "DESCRIBE dce_rpc", "--format", "markdown"],
        &lake[..],
        &DAY,
    ]
    .concat();
    shown("sql_describe", &workspace, &describe);
    let summarize =
        "SUMMARIZE SELECT event_time, EventID, CommandLine, Image, ParentUser FROM events";
    let summarize = [&["sql", summarize, "--format", "markdown"], &lake[..], &DAY].concat();
    shown("sql_summarize", &workspace, &summarize);
}

#[test]
fn what_runs_left_behind_is_there() {
    let workspace = Workspace::with_one_table();
    workspace.write("lake/events/day=2026-01-01/broken.ndjson", "{\"no\n");
    assert_eq!(rows(&workspace, "SELECT count(*) FROM alerts"), ["0"]);
    assert_eq!(rows(&workspace, "SELECT * FROM runs"), [""; 0]);
    assert_eq!(rows(&workspace, "SELECT * FROM risk"), [""; 0]);
    workspace.succeed(&["run", "jobs/night.yaml", "--quiet"]);
    for (sql, expected) in [
        (
            "SELECT hunt, status, level, finding_count FROM alerts",
            "wmic_format,new,low,1",
        ),
        (
            "SELECT r.kind, r.entity, r.risk_score = a.risk_score, r.hunt, r.tactics = a.tactics, \
             r.first_seen = a.first_seen, r.alert_id = a.alert_id \
             FROM risk AS r, alerts AS a WHERE r.kind = 'host'",
            "host,ws-1.corp.example,true,wmic_format,true,true,true",
        ),
        (
            "SELECT job, hunt, state, findings, alerts FROM runs",
            "night,wmic_format,complete,1,1",
        ),
        (
            "SELECT hunt, event_count, finding LIKE '%format:csv%' FROM findings",
            "wmic_format,1,true",
        ),
        (
            "SELECT job, count(*) FROM findings_wmic_format GROUP BY 1",
            "night,1",
        ),
        (
            "SELECT \"table\", file, line FROM quarantine",
            "events,day=2026-01-01/broken.ndjson,1",
        ),
    ] {
        assert_eq!(rows(&workspace, sql), [expected], "{sql}");
    }
    let wrong = error(&workspace, "SELECT * FROM findings_wmic_fromat");
    assert!(
        wrong.contains("did you mean `findings_wmic_format`?"),
        "{wrong}"
    );
    assert!(wrong.contains("query:1:15"), "{wrong}");
    let tables = rows(&workspace, "SHOW TABLES");
    assert!(
        tables.contains(&"findings_wmic_format,output".to_owned()),
        "{tables:?}"
    );
    // A ledger that is broken costs itself.
    workspace.write(
        "out/ledger/night/20260101T000000Z_20260101T010000Z.json",
        "{",
    );
    let printed = ask(&workspace, "SELECT count(*) FROM runs", &DAY);
    assert_eq!(printed.code, 0);
    assert!(
        printed.stderr.contains("the ledger does not parse"),
        "{}",
        printed.stderr
    );
    // Another window, and an output that is named.
    let later = [
        "--from",
        "2026-01-02",
        "--to",
        "2026-01-03",
        "--format",
        "csv",
    ];
    let printed = ask(&workspace, "SELECT count(*) FROM alerts", &later);
    assert_eq!(printed.stdout, "count(*)\r\n0\r\n");
    let named = [&DAY[..], &["--output", "nowhere", "--format", "csv"]].concat();
    assert_eq!(
        ask(&workspace, "SELECT count(*) FROM alerts", &named).stdout,
        "count(*)\r\n0\r\n"
    );
}

#[test]
fn limits_say_when_they_bite() {
    let workspace = Workspace::with_one_table();
    let many: String = (0..3000).map(event).collect();
    workspace.write("lake/events/day=2026-01-01/many.ndjson", many);
    let rows = [&DAY[..], &["--max-rows", "2", "--format", "csv"]].concat();
    let printed = ask(&workspace, "SELECT _row FROM events", &rows);
    assert_eq!(printed.stdout.lines().count(), 3);
    assert!(
        printed.stderr.contains("stopped after 2 rows"),
        "{}",
        printed.stderr
    );
    let cross = "SELECT count(*) FROM events a, events b, events c, events d";
    let printed = ask(
        &workspace,
        cross,
        &[&DAY[..], &["--timeout", "2s"]].concat(),
    );
    assert_eq!(printed.code, 1);
    assert!(
        printed.stderr.contains("stopped after 2s, the time limit"),
        "{}",
        printed.stderr
    );
    let sorted = "SELECT * FROM events a, events b ORDER BY a.\"CommandLine\"";
    let printed = ask(
        &workspace,
        sorted,
        &[&DAY[..], &["--memory", "1MiB"]].concat(),
    );
    assert_eq!(printed.code, 1);
    assert!(
        printed.stderr.contains("needs more memory than its limit"),
        "{}",
        printed.stderr
    );
}

/// A query that reads a file twice, as views with two branches do, finds its bad lines twice: they are told once.
#[test]
fn bad_lines_are_told_once() {
    let workspace = Workspace::with_one_table();
    let lines = format!("{}{{\"EventID\":\n{}", event(1), event(2));
    workspace.write("lake/events/day=2026-01-01/broken.ndjson", lines);
    workspace.write("lake/events/day=2026-01-01/lost.ndjson.gz", "no gzip");
    let twice = "SELECT count(*) FROM events UNION ALL SELECT count(*) FROM events";
    for query in ["SELECT count(*) FROM events", twice] {
        let printed = ask(&workspace, query, &DAY);
        let told = printed.stderr;
        for note in [
            "1 line could not be read as records",
            "1 file could not be read",
        ] {
            assert!(told.contains(note), "{query}: no `{note}` in {told}");
        }
    }
}

#[test]
fn long_and_deep_queries_are_answers_or_errors() {
    let workspace = Workspace::with_one_table();
    let run = |sql: &str| {
        workspace.write("q.sql", sql);
        workspace.run(
            &[
                &[
                    "sql",
                    "-f",
                    "q.sql",
                    "--lake",
                    "lake/lake.yaml",
                    "--format",
                    "csv",
                ],
                &DAY[..],
            ]
            .concat(),
        )
    };
    let joined = |count: usize, separator: &str, term: &dyn Fn(usize) -> String| {
        (0..count).map(term).collect::<Vec<_>>().join(separator)
    };
    let like = |n: usize| format!("CommandLine LIKE '%x{n}%'");
    let equal = |n: usize| format!("CommandLine = 'wmic process {n}'");
    let text = |n: usize| format!("'wmic process {n}'");
    for (condition, expected) in [
        (joined(5000, " OR ", &like), "0"),
        (
            joined(5000, " AND ", &|n| format!("CommandLine NOT LIKE '%x{n}%'")),
            "3",
        ),
        (joined(5000, " OR ", &equal), "2"),
        (
            format!("CommandLine IN ({})", joined(50_000, ", ", &text)),
            "2",
        ),
        (format!("{}true{}", "(".repeat(150), ")".repeat(150)), "3"),
    ] {
        let printed = run(&format!(
            "SELECT count(*) FROM process_creation WHERE {}",
            condition.replace("CommandLine", "command_line")
        ));
        assert_eq!(
            printed.stdout,
            format!("count(*)\r\n{expected}\r\n"),
            "{}",
            printed.stderr
        );
    }
    for sql in [
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}", joined(100_000, " + ", &|n| n.to_string())),
        format!("SELECT {}1", "NOT ".repeat(100_000)),
        format!("SELECT 1{}", "::int".repeat(100_000)),
        joined(10_000, " UNION ALL ", &|n| format!("SELECT {n}")),
        format!(
            "SELECT {}1{}",
            "CASE WHEN true THEN ".repeat(10_000),
            " END".repeat(10_000)
        ),
    ] {
        let printed = run(&sql);
        assert_eq!(printed.code, 2, "{sql:.40}: {}", printed.stderr);
        assert!(printed.stderr.contains("hint: "), "{sql:.40}");
        assert!(printed.stderr.len() < 4000, "{sql:.40}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let workspace = Workspace::with_one_table();
    let many: String = (0..20_000).map(event).collect();
    workspace.write("lake/events/day=2026-01-01/many.ndjson", many);
    let arguments = [
        &[
            "sql",
            "SELECT * FROM events",
            "--lake",
            "lake/lake.yaml",
            "--format",
            "ndjson",
        ],
        &DAY[..],
    ]
    .concat();
    let mut child = workspace
        .command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn ctrl_c_ends_it_and_leaves_nothing_behind() {
    let workspace = Workspace::with_one_table();
    let many: String = (0..3000).map(event).collect();
    workspace.write("lake/events/day=2026-01-01/many.ndjson", many);
    let cross = "SELECT a._row FROM events a, events b, events c";
    let arguments = ["sql", cross, "--lake", "lake/lake.yaml", "-o", "rows.csv"];
    let mut child = workspace
        .command(&[&arguments[..], &DAY].concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = || {
        let names = fs::read_dir(workspace.path("")).unwrap();
        let mut names = names.map(|name| name.unwrap().file_name());
        names.any(|name| name.to_string_lossy().starts_with(".rows.csv"))
    };
    while !begun() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "warning: interrupted\n"
    );
    assert!(!begun() && !workspace.path("rows.csv").exists());
}

#[test]
fn files_by_name() {
    let workspace = Workspace::with_one_table();
    workspace.write(
        "export/a.ndjson",
        "{\"id\": 1, \"event\": {\"Image\": \"a.exe\", \"pid\": 4}, \"tags\": [1]}\nbroken\n{\"id\": 2, \"event\": {\"pid\": \"x\"}}\n",
    );
    workspace.write(
        "export/array.json",
        "[{\"id\": 7}, {\"id\": 8, \"late\": true}]",
    );
    workspace.write("assets.csv", "host,tier\nWS-1,1\n\"WS,2\",2\n");
    for (sql, expected) in [
        (
            "SELECT id, event.image, EVENT.PID FROM 'export/a.ndjson'",
            &["1,a.exe,4", "2,,x"][..],
        ),
        ("SELECT id, _row FROM 'export/array.json'", &["7,1", "8,2"]),
        (
            "SELECT f.host FROM 'assets.csv' f WHERE tier = '2'",
            &["\"WS,2\""],
        ),
        ("SELECT count(*) FROM 'export/*.*json'", &["4"]),
        ("SELECT count(*) FROM 'export'", &["4"]),
        (
            "SELECT id FROM read_ndjson('export/array.json', all_text => true) WHERE id = '8'",
            &["8"],
        ),
        ("SELECT count(*) FROM 'lake/**/*.ndjson'", &["3"]),
        (
            "SELECT files_2.tier FROM 'assets.csv' JOIN 'assets.csv' ON files.host = files_2.host ORDER BY 1",
            &["1", "2"],
        ),
        (
            "SELECT count(*) FROM events e JOIN 'assets.csv' a ON starts_with(e.computer, a.host)",
            &["3"],
        ),
    ] {
        assert_eq!(rows(&workspace, sql), expected, "{sql}");
    }
    let sampled = "SELECT late FROM read_ndjson('export/array.json', sample => 1)";
    assert!(error(&workspace, sampled).contains("unknown column `late`"));
    let printed = ask(&workspace, "SELECT id FROM 'export/a.ndjson'", &DAY);
    assert!(
        printed
            .stderr
            .contains("a.ndjson: 1 of its lines are no JSON objects, the first is 2"),
        "{}",
        printed.stderr
    );
    let kinds = error(&workspace, "SELECT * FROM '**'");
    assert!(kinds.contains("finds files of several kinds"), "{kinds}");
}

#[test]
fn files_by_name_in_a_bucket() {
    let server = Server::start();
    let workspace = Workspace::with_one_table();
    server.write("export/a.ndjson", "{\"id\": 1}\n{\"id\": 2}\n");
    server.write("export/below/b.ndjson", "{\"id\": 3}\n");
    let write = "SELECT event_time, CommandLine FROM events";
    let out = [&DAY[..], &["-o", "rows.parquet"]].concat();
    assert_eq!(ask(&workspace, write, &out).code, 0);
    server.write(
        "export/rows.parquet",
        fs::read(workspace.path("rows.parquet")).unwrap(),
    );
    for (from, expected) in [
        ("'s3://lake/export/a.ndjson'", "2"),
        ("'s3://lake/export/**/*.ndjson'", "3"),
        (
            "'s3://lake/export/*.parquet' WHERE commandline LIKE '%csv%'",
            "1",
        ),
        ("read_ndjson('s3://lake/export/below')", "1"),
    ] {
        let sql = format!("SELECT count(*) FROM {from}");
        let arguments = ["sql", &sql, "--lake", "lake/lake.yaml", "--format", "csv"];
        let printed = server.run(&workspace, &[&arguments[..], &DAY].concat());
        assert_eq!(
            printed.stdout,
            format!("count(*)\r\n{expected}\r\n"),
            "{}",
            printed.stderr
        );
    }
}

#[test]
fn hunts_cannot_read_files_or_pivots() {
    let workspace = Workspace::with_own_hunts();
    let hunt =
        fs::read_to_string(workspace.path("sql/hunts/windows/process_creation/wmic_format.sql"))
            .unwrap();
    let (head, _) = hunt.split_once("\n-- ---\n").unwrap();
    for (from, said) in [
        ("'assets.csv'", "unknown table or view"),
        ("around('a', '2026-01-01')", "around"),
        ("read_parquet('x.parquet')", "read_parquet"),
    ] {
        let text = format!("{head}\n-- ---\nSELECT * FROM {from}\n");
        workspace.write("sql/hunts/windows/process_creation/wmic_format.sql", text);
        let printed = workspace.run(&["check", "wmic_format"]);
        assert_eq!(printed.code, 2, "{from}");
        assert!(printed.stderr.contains(said), "{from}: {}", printed.stderr);
    }
}

#[test]
fn pivots() {
    let workspace = Workspace::with_one_table();
    let process = |number: u64, guid: &str, parent: &str, image: &str| {
        let mut event: serde_json::Value = serde_json::from_str(&event_at(
            &format!("2026-01-01 11:00:{number:02}"),
            100 + number,
            image,
        ))
        .unwrap();
        event["ProcessGuid"] = guid.into();
        event["ParentProcessGuid"] = parent.into();
        event["Image"] = format!("C:\\{image}").into();
        event["ParentImage"] = "C:\\parent.exe".into();
        format!("{event}\n")
    };
    let events = [
        process(1, "{B}", "{A}", "b.exe"),
        process(2, "{C}", "{B}", "c.exe"),
        process(3, "{D}", "{C}", "d.exe"),
        process(4, "{E}", "{B}", "e.exe"),
        process(5, "{F}", "{X}", "f.exe"),
    ];
    workspace.write("lake/events/day=2026-01-01/tree.ndjson", events.concat());
    for (sql, expected) in [
        (
            "SELECT depth, tree, process_guid FROM process_tree('{c}')",
            &[
                "-2,parent.exe,{A}",
                "-1,\"  b.exe\",{B}",
                "0,\"    c.exe <\",{C}",
                "1,\"      d.exe\",{D}",
            ][..],
        ),
        (
            "SELECT depth, tree FROM process_tree('{A}')",
            &[
                "0,parent.exe <",
                "1,\"  b.exe\"",
                "2,\"    c.exe\"",
                "3,\"      d.exe\"",
                "2,\"    e.exe\"",
            ],
        ),
        (
            "SELECT category, what FROM around('ws-1', '2026-01-01T11:00:03Z', '1s')",
            &[
                "process_creation,c.exe",
                "process_creation,d.exe",
                "process_creation,e.exe",
            ],
        ),
        (
            "SELECT value, hosts, days, events FROM prevalence('process_creation', 'process_name') p WHERE p.events > 1",
            &["WMIC.exe,1,1,3"],
        ),
    ] {
        assert_eq!(rows(&workspace, sql), expected, "{sql}");
    }
    // It looks beyond the session's window.
    let other = [
        "--from",
        "2026-02-01",
        "--to",
        "2026-02-02",
        "--format",
        "csv",
    ];
    let around = "SELECT count(*) FROM around('WS-1.corp.example', '2026-01-01T11:00:03Z')";
    assert_eq!(ask(&workspace, around, &other).stdout, "count(*)\r\n5\r\n");
    let missing = error(&workspace, "SELECT * FROM process_tree('{Z}')");
    assert!(
        missing.contains("has the guid `{Z}`") && missing.contains("query:1:15"),
        "{missing}"
    );
}

#[test]
fn what_a_query_reads_is_said_in_words() {
    let workspace = Workspace::with_one_table();
    workspace.write(
        "lake/events/day=2026-01-05/a.ndjson",
        event_at("2026-01-05 10:00:00", 9, "x"),
    );
    let sql = "SELECT CommandLine FROM events WHERE CommandLine LIKE '%csv%'";
    let lake = ["--lake", "lake/lake.yaml", "--format", "csv"];
    let explain = [&["sql", sql, "--explain"], &lake[..], &DAY].concat();
    shown("sql_explain", &workspace, &explain);
    let stats = [&["sql", sql, "--stats"], &lake[..2], &DAY].concat();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"[\d.]+ s\b", "[TIME]");
    settings.add_filter(r"\d+ rows a second", "[RATE] rows a second");
    settings.bind(|| shown("sql_stats", &workspace, &stats));
}

#[test]
fn a_query_becomes_a_hunt_that_passes() {
    let workspace = Workspace::with_own_hunts();
    let sql = "SELECT command_line, image FROM process_creation WHERE command_line LIKE '%format:%' ORDER BY 1 LIMIT 5";
    let printed = ask(
        &workspace,
        sql,
        &[&DAY[..], &["--save-hunt", "odd_format"]].concat(),
    );
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    let grouped = "SELECT host_id, image, count(*) AS n FROM process_creation WHERE image LIKE '%WMIC.exe' GROUP BY 1, 2";
    let printed = ask(
        &workspace,
        grouped,
        &[&DAY[..], &["--save-hunt", "many_wmic"]].concat(),
    );
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    let path = "sql/hunts/windows/process_creation/odd_format.sql";
    let hunt = fs::read_to_string(workspace.path(path)).unwrap();
    let id = regex::Regex::new("-- id: .*").unwrap();
    insta::assert_snapshot!("sql_saved_hunt", id.replace(&hunt, "-- id: [ID]"));
    let events = fs::read_to_string(
        workspace
            .path("tests/hunts/windows/process_creation/odd_format/events.process_creation.ndjson"),
    );
    insta::assert_snapshot!("sql_saved_events", events.unwrap());
    let accepted = workspace.run(&["test", "odd_format", "--accept"]);
    assert_eq!(accepted.code, 0, "{}{}", accepted.stdout, accepted.stderr);
    assert_eq!(workspace.run(&["test", "odd_format"]).code, 0);
    let checked = workspace.run(&["check", "odd_format", "many_wmic"]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let again = ask(
        &workspace,
        sql,
        &[&DAY[..], &["--save-hunt", "odd_format"]].concat(),
    );
    assert_eq!(again.code, 2);
    assert!(
        again
            .stderr
            .contains("there is a hunt `odd_format` already"),
        "{}",
        again.stderr
    );
}

#[test]
fn indicators_are_found_in_one_pass() {
    let workspace = Workspace::with_one_table();
    let mut event: serde_json::Value = serde_json::from_str(&event_at(
        "2026-01-01 12:00:00",
        50,
        "curl http://www.bad.example/x",
    ))
    .unwrap();
    event["Hashes"] = "MD5=D41D8CD98F00B204E9800998ECF8427E,IMPHASH=0".into();
    workspace.write(
        "lake/events/day=2026-01-01/ioc.ndjson",
        format!("{event}\n"),
    );
    workspace.write(
        "list.txt",
        "d41d8cd98f00b204e9800998ecf8427e\nbad[.]example\nnowhere.example\nwmic.exe\n",
    );
    let arguments = [
        "ioc",
        "list.txt",
        "--lake",
        "lake/lake.yaml",
        "--format",
        "csv",
    ];
    shown("ioc", &workspace, &[&arguments[..], &DAY].concat());
    let fail = [&arguments[..], &DAY, &["--fail-on-hit"]].concat();
    assert_eq!(workspace.run(&fail).code, 3);
    workspace.write("list.txt", "# nothing\n");
    assert_eq!(workspace.run(&[&arguments[..], &DAY].concat()).code, 2);
}
