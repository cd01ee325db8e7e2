//! Exceptions, alerts made again from stored findings, and lookups, by the binary.

use serde_json::Value;

use crate::workspace::{JOB, Workspace, event_at};

/// Two hits of `wmic_format` on 2026-01-01 and one the day after.
fn lake() -> Workspace {
    let workspace = Workspace::with_one_table();
    let hit = |time: &str, number, what: &str| {
        event_at(time, number, &format!("wmic os get /format:{what}"))
    };
    let first =
        hit("2026-01-01 10:00:00.000", 1, "csv") + &hit("2026-01-01 11:00:00.000", 2, "x.xsl");
    workspace.write("lake/events/day=2026-01-01/good.ndjson", first);
    let second = hit("2026-01-02 10:00:00.000", 3, "csv");
    workspace.write("lake/events/day=2026-01-02/good.ndjson", second);
    workspace
}

fn job(workspace: &Workspace, exceptions: &str) {
    workspace.write("jobs/night.yaml", format!("{JOB}exceptions:\n{exceptions}"));
}

const CSV: &str = "  - hunt: wmic_format
    name: inventory
    condition: COMMAND_LINE LIKE '%format:csv' AND is_stylesheet = false
    reason: the inventory script, SEC-12
    expires: 2026-01-02
";

/// Command line to `excepted_by`, of all alerts.
fn excepted(workspace: &Workspace, output: &str) -> Vec<(String, Option<String>)> {
    let mut found: Vec<_> = workspace
        .alerts(output)
        .iter()
        .map(|alert| {
            let finding: Value = serde_json::from_str(alert["finding"].as_str().unwrap()).unwrap();
            let by = alert["excepted_by"].as_str().map(str::to_owned);
            (finding["command_line"].as_str().unwrap().to_owned(), by)
        })
        .collect();
    found.sort();
    found
}

const BOTH_DAYS: [&str; 8] = [
    "run",
    "jobs/night.yaml",
    "--from",
    "2026-01-01",
    "--to",
    "2026-01-03",
    "--at",
    "2026-01-04",
];

#[test]
fn what_is_excepted_is_written_marked_and_counted() {
    let workspace = lake();
    job(&workspace, CSV);
    let report = workspace.succeed(&[
        "run",
        "jobs/night.yaml",
        "--format",
        "json",
        "--fail-on",
        "high",
    ]);
    let report = report.json();
    let hunt = &report["hunts"][0];
    let counts = ["findings", "alerts_new", "alerts_excepted"].map(|key| hunt[key].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(1)]);
    assert_eq!(
        excepted(&workspace, "out"),
        [
            (
                "wmic os get /format:csv".to_owned(),
                Some("inventory".to_owned())
            ),
            ("wmic os get /format:x.xsl".to_owned(), None),
        ]
    );
    let ledger = workspace.json("out/ledger/night/20260101T000000Z_20260102T000000Z.json");
    assert_eq!(ledger["exceptions"], serde_json::json!({"inventory": 1}));
}

#[test]
fn an_exception_ends_and_what_it_covered_is_new_then() {
    let workspace = lake();
    job(&workspace, CSV);
    let reports = workspace
        .succeed(&[&BOTH_DAYS[..], &["--format", "json"]].concat())
        .json();
    let second = &reports[1];
    assert_eq!(
        second["hunts"][0]["alerts_new"], 1,
        "not a repeat: nobody saw the first"
    );
    let notes = second["notes"].to_string();
    assert!(
        notes.contains("exception `inventory` of wmic_format expired at 2026-01-02"),
        "{notes}"
    );
}

#[test]
fn covered_findings_make_an_alert_of_their_own() {
    let workspace = lake();
    // Two findings of one key: host, user and command line.
    let twice = event_at("2026-01-01 10:00:00.000", 1, "wmic os get /format:csv")
        + &event_at("2026-01-01 12:00:00.000", 2, "wmic os get /format:csv");
    workspace.write("lake/events/day=2026-01-01/good.ndjson", twice);
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let plain = workspace.alerts("out").remove(0);
    let until = |time: &str| {
        CSV.replace(
            "is_stylesheet = false",
            &format!("event_time < timestamp '2026-01-01 {time}'"),
        )
    };
    job(&workspace, &until("11:00:00"));
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let alerts = workspace.alerts("out");
    let [live, covered] = [Value::Null, "inventory".into()].map(|by| {
        let mut found = alerts.iter().filter(|alert| alert["excepted_by"] == by);
        found.next().unwrap()
    });
    for alert in [live, covered] {
        assert_eq!(alert["finding_count"], 1);
        assert_eq!(alert["group_id"], plain["group_id"]);
    }
    assert_eq!(live["alert_id"], plain["alert_id"]);
    assert_ne!(covered["alert_id"], plain["alert_id"]);
    job(&workspace, &until("13:00:00"));
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let all = workspace.alerts("out");
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["excepted_by"], "inventory");
    assert_eq!(all[0]["alert_id"], plain["alert_id"]);
}

#[test]
fn mistakes_in_exceptions_are_told_at_their_place() {
    let workspace = lake();
    let mut said = Vec::new();
    for (right, wrong) in [
        ("COMMAND_LINE LIKE", "comand_line LIKE"),
        ("hunt: wmic_format", "hunt: wmic_fromat"),
        (
            "COMMAND_LINE LIKE '%format:csv' AND is_stylesheet = false",
            "host_name",
        ),
        ("is_stylesheet = false", "is_stylesheet = false ORDER BY 1"),
        ("2026-01-02", "tomorrow"),
        ("    reason: the inventory script, SEC-12\n", ""),
        ("condition:", "where:"),
        ("is_stylesheet = false", "now() > event_time"),
    ] {
        job(&workspace, &CSV.replace(right, wrong));
        let printed = workspace.run(&["run", "jobs/night.yaml"]);
        assert_eq!(printed.code, 2, "{wrong}");
        said.push(printed.stderr);
    }
    workspace
        .settings()
        .bind(|| insta::assert_snapshot!("bad_exceptions", said.join("\n")));
    assert!(!workspace.path("out/ledger").exists(), "nothing ran");
}

#[test]
fn a_file_of_exceptions_says_what_covered_nothing_for_a_month() {
    let workspace = lake();
    workspace.write(
        "jobs/exceptions.yaml",
        "- {hunt: wmic_format, condition: \"host_name = 'gone'\", reason: a host that is gone, expires: 2027-01-01}\n",
    );
    workspace.write(
        "jobs/night.yaml",
        format!("{JOB}exceptions: exceptions.yaml\n"),
    );
    let until = |day: &str| {
        let range = [
            "run",
            "jobs/night.yaml",
            "--from",
            "2026-01-01",
            "--to",
            day,
            "--at",
            "2026-03-01",
        ];
        let reports = workspace
            .succeed(&[&range[..], &["--format", "json"]].concat())
            .json();
        let last = reports.as_array().unwrap().last().unwrap();
        last["notes"].to_string()
    };
    assert_eq!(until("2026-01-30"), "[]", "29 days say too little");
    assert!(
        until("2026-01-31").contains("`a host that is gone` covered nothing in 30 days of windows")
    );
}

/// The bytes of alerts and the ledger of the first day.
fn bytes(workspace: &Workspace) -> (std::collections::BTreeMap<String, String>, Value) {
    let mut alerts = workspace.published("out");
    alerts.retain(|path, _| !path.starts_with("ledger/"));
    (
        alerts,
        workspace.json("out/ledger/night/20260101T000000Z_20260102T000000Z.json"),
    )
}

#[test]
fn alerts_are_made_again_from_findings_alone() {
    let workspace = lake();
    job(&workspace, CSV);
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let excepted_run = bytes(&workspace);
    workspace.write("jobs/night.yaml", JOB);
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let plain_run = bytes(&workspace);
    assert_ne!(excepted_run, plain_run);
    // Without the lake's files: nothing is read of them.
    std::fs::remove_dir_all(workspace.path("lake/events/day=2026-01-01")).unwrap();
    job(&workspace, CSV);
    let report = workspace
        .succeed(&["run", "jobs/night.yaml", "--rebuild", "--format", "json"])
        .json();
    assert_eq!(
        report["tables"][0]["rows_in_window"], 2,
        "what the tile read stays said"
    );
    assert_eq!(bytes(&workspace), excepted_run);
    workspace.write("jobs/night.yaml", JOB);
    workspace.succeed(&["run", "jobs/night.yaml", "--rebuild"]);
    assert_eq!(bytes(&workspace), plain_run);
}

#[test]
fn what_finds_something_else_cannot_be_rebuilt() {
    let workspace = Workspace::with_own_hunts();
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let path = "sql/hunts/windows/process_creation/wmic_format.sql";
    let text = std::fs::read_to_string(workspace.path(path)).unwrap();
    let title = text.replace("-- level: ", "-- level: high # ");
    workspace.write(path, title.replace("-- title: ", "-- title: Renamed, "));
    workspace.succeed(&["run", "jobs/night.yaml", "--rebuild"]);
    let alert = workspace.alerts("out").remove(0);
    assert!(alert["title"].as_str().unwrap().starts_with("Renamed, "));
    assert_eq!(alert["level"], "high");
    workspace.write(path, text.replace("'%format%'", "'%format:%'"));
    let printed = workspace.run(&["run", "jobs/night.yaml", "--rebuild"]);
    assert_eq!(printed.code, 1);
    assert!(
        printed
            .stderr
            .contains("what wmic_format finds is not what is stored"),
        "{}",
        printed.stderr
    );
    let printed = workspace.run(&[
        "run",
        "jobs/night.yaml",
        "--rebuild",
        "--at",
        "2026-01-03T03:00:00Z",
    ]);
    assert!(
        printed.stderr.contains("was not run yet"),
        "{}",
        printed.stderr
    );
}

#[test]
fn a_lookup_is_read_whole_and_joined() {
    let workspace = Workspace::with_own_hunts();
    let lake = crate::workspace::LAKE;
    let lookup = "  assets: {location: assets.csv, format: csv, time: none, schema: {tier: int}}\n";
    workspace.write("lake/lake.yaml", format!("{lake}{lookup}"));
    workspace.write(
        "lake/assets.csv",
        "Name,tier,note\nws-1.CORP.example,0,\"domain, controller\"\nother,x,\n",
    );
    workspace.write(
        "sql/hunts/windows/process_creation/wmic_format.sql",
        "-- ---\n-- id: 11111111-1111-4111-8111-111111111111\n-- title: t\n-- status: experimental\n-- level: low\n-- description: d\n-- key: [Name]\n-- ---\n\
         SELECT p.event_time, p._table, p._file, p._row, assets.name, assets.tier, note FROM process_creation p JOIN assets ON lower(assets.NAME) = lower(p.host_name) WHERE tier < 1\n",
    );
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let alert = workspace.alerts("out").remove(0);
    let finding: Value = serde_json::from_str(alert["finding"].as_str().unwrap()).unwrap();
    assert_eq!(finding["tier"], 0);
    assert_eq!(finding["note"], "domain, controller");
    let ledger = workspace.json("out/ledger/night/20260101T000000Z_20260102T000000Z.json");
    assert_eq!(ledger["lookups"]["assets"].as_str().map(str::len), Some(64));
    workspace.write("lake/assets.csv", "Name,tier\na,1,2,3\n");
    let printed = workspace.run(&["run", "jobs/night.yaml"]);
    assert_eq!(printed.code, 2);
    assert!(
        printed.stderr.contains("lookup `assets`"),
        "{}",
        printed.stderr
    );
    workspace.write(
        "lake/lake.yaml",
        format!("{lake}{}", lookup.replace("time: none, ", "")),
    );
    let printed = workspace.run(&["run", "jobs/night.yaml"]);
    assert!(
        printed.stderr.contains("CSV is for lookups"),
        "{}",
        printed.stderr
    );
}
