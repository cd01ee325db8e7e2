//! `lakehunt check`: all that is wrong, at its place, at once; and nothing said of what is right.

use std::fs;
use std::os::unix::fs::symlink;

use insta_cmd::assert_cmd_snapshot;
use serde_json::Value;

use crate::workspace::{JOB, LAKE, Workspace, repository};

/// A project of the repository's `sql`, as a copy, and `tests`.
fn project() -> Workspace {
    let workspace = Workspace::with_own_hunts();
    symlink(repository().join("tests"), workspace.path("tests")).unwrap();
    workspace
}

/// A hunt with one of the ids that are told apart by a number.
fn hunt(number: usize, keys: &str, sql: &str) -> String {
    format!(
        "-- ---\n-- id: 00000000-0000-4000-8000-{number:012}\n-- title: T\n-- status: experimental\n-- level: low\n-- description: D\n{keys}-- ---\n{sql}\n"
    )
}

/// What is found, as `severity file:line:column message`.
fn found(workspace: &Workspace, arguments: &[&str]) -> Vec<String> {
    let arguments = [&["check", "--format", "json"][..], arguments].concat();
    let printed = workspace.run(&arguments);
    let rows = printed.json();
    let rows = rows.as_array().unwrap();
    let errors = rows.iter().any(|row| row["severity"] == "error");
    assert_eq!(printed.code, if errors { 2 } else { 0 }, "{rows:?}");
    rows.iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            let number = |key: &str| row[key].as_u64().unwrap_or(0);
            format!(
                "{} {}:{}:{} {}",
                text("severity"),
                text("file").trim_start_matches("sql/hunts/"),
                number("line"),
                number("column"),
                text("message")
            )
        })
        .collect()
}

#[test]
fn everything_that_ships_is_right() {
    let workspace = project();
    let wrong = found(&workspace, &[]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let printed = workspace.succeed(&["check"]);
    assert_eq!(printed.stdout, "");
    let counted = workspace
        .succeed(&["hunts", "list", "--format", "json"])
        .json();
    let counted = counted.as_array().unwrap().len();
    assert_eq!(
        printed.stderr,
        format!("{counted} hunts checked, 0 errors, 0 warnings\n")
    );
    assert_eq!(workspace.succeed(&["check", "--quiet"]).stderr, "");
}

#[test]
fn what_ships_inside_the_binary_needs_no_fixtures() {
    let printed = Workspace::empty().succeed(&["check", "wmic_format"]);
    assert_eq!(printed.stderr, "1 hunt checked, 0 errors, 0 warnings\n");
}

#[test]
fn one_hunt_shows_all_its_errors() {
    let workspace = project();
    workspace.write(
        "sql/hunts/broken.sql",
        "-- ---
-- id: 7
-- title: Broken
-- levle: low
-- status: stabel
-- description: Broken.
-- tags: [attack.T1047, attack.lateral_movement]
-- risk: {score: 120, message: x}
-- lookback: 3 hours
-- params: {unused: 1}
-- ---
SELECT event_time, host_id, comand_line AS command_line, pid, $nope
FROM process_creation p
WHERE p.parent_imag LIKE '%x' LIMIT 3
",
    );
    workspace.write(
        "sql/hunts/result.sql",
        hunt(
            1,
            "-- entities: {host: hostname, user: user}\n-- key: [host_id, comandline]\n-- risk: {score: 12, message: \"{command_line} on {hots}\"}\n",
            "SELECT event_time, host_id, command_line, \"user\", now() AS x, random() AS y\nFROM process_creation\nWHERE parent_image NOT LIKE '%x'",
        ),
    );
    workspace.settings().bind(|| {
        assert_cmd_snapshot!(
            "check_errors",
            workspace.command(&["check", "broken", "sql/hunts/result.sql"])
        );
        assert_cmd_snapshot!(
            "check_errors_json",
            workspace.command(&["check", "result", "--format", "json"])
        );
    });
    let all = found(&workspace, &["broken"]);
    for expected in [
        "error broken.sql:2:8 `id: 7` is not a UUID",
        "error broken.sql:4:4 unknown key `levle`",
        "error broken.sql:5:12 status: unknown word `stabel`",
        "warning broken.sql:7:11 the tag `attack.T1047` has capital letters",
        "warning broken.sql:7:25 `lateral_movement` is neither",
        "error broken.sql:8:18 `risk.score` is a number from 0 to 100",
        "error broken.sql:9:14 lookback: `3 hours` is not a duration",
        "error broken.sql:10:13 the parameter `unused` is not used",
        "error broken.sql:12:29 unknown column `comand_line`",
        "error broken.sql:12:58 unknown column `pid`",
        "error broken.sql:12:63 unknown parameter `$nope`",
        "error broken.sql:14:9 unknown column `parent_imag`",
        "error broken.sql:14:31 LIMIT without ORDER BY",
    ] {
        assert!(
            all.iter().any(|line| line.starts_with(expected)),
            "{expected} is not in\n{}",
            all.join("\n")
        );
    }
    // And `level`, which is missing.
    assert_eq!(all.len(), 14, "{}", all.join("\n"));
}

#[test]
fn errors_of_all_hunts_are_shown() {
    let workspace = project();
    let select = "SELECT event_time, host_id FROM process_creation";
    workspace.write("sql/hunts/a/first.sql", hunt(1, "", select));
    workspace.write("sql/hunts/b/first.sql", hunt(2, "", select));
    workspace.write("sql/hunts/c/second.sql", hunt(2, "", select));
    workspace.write("sql/hunts/d/third.sql", "SELECT 1\n");
    workspace.write(
        "sql/hunts/e/fourth.sql",
        hunt(5, "", "SELECT host_id FROM process_craetion"),
    );
    let mut wrong = found(&workspace, &["first", "second", "third", "fourth"]);
    for line in &mut wrong {
        line.truncate(60);
    }
    insta::assert_snapshot!(wrong.join("\n"), @r"
    error b/first.sql:0:0 two hunts are named `first`: sql/hunts
    error c/second.sql:2:8 hunts `first` and `second` have the s
    error d/third.sql:1:1 a hunt starts with its front matter
    error e/fourth.sql:8:21 unknown table or view `process_craet
    ");
    let unknown = workspace.run(&["check", "frist", "wmic_format"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.contains("unknown hunt `frist`") && unknown.stderr.contains("`first`?"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn a_negated_test_of_a_column_that_may_be_null() {
    let workspace = project();
    let cases = [
        // (what stands after WHERE, the columns that are warned of)
        ("command_line NOT LIKE '%x%'", &["command_line"][..]),
        ("command_line NOT ILIKE '%x%'", &["command_line"]),
        ("NOT command_line ILIKE '%x%'", &["command_line"]),
        ("command_line !~ 'x'", &["command_line"]),
        ("NOT regexp_like(command_line, 'x')", &["command_line"]),
        ("lower(process_name) <> 'cmd.exe'", &["process_name"]),
        ("process_id NOT IN (1, 2)", &["process_id"]),
        ("process_id NOT BETWEEN 1 AND 2", &["process_id"]),
        (
            "NOT (command_line LIKE '%x%' OR image LIKE '%y%')",
            &["command_line", "image"],
        ),
        ("NOT is_private_ip(source_ip)", &["source_ip"]),
        ("image LIKE 'a%' OR image <> 'b'", &["image"]),
        (
            "image LIKE 'a%' AND (\"user\" <> 'x' OR process_id = 1)",
            &["user"],
        ),
        ("p.image <> 'x'", &["image"]),
        (
            "image NOT IN (SELECT image FROM process_creation)",
            &["image"],
        ),
        // Said what is to become of such rows.
        ("command_line IS NULL OR command_line NOT LIKE '%x%'", &[]),
        (
            "command_line IS NOT NULL AND command_line NOT LIKE '%x%'",
            &[],
        ),
        ("coalesce(command_line, '') NOT LIKE '%x%'", &[]),
        ("coalesce(NOT regexp_like(command_line, 'x'), true)", &[]),
        ("(command_line LIKE '%x%') IS NOT TRUE", &[]),
        ("command_line IS DISTINCT FROM 'x'", &[]),
        // Another test needs the column anyway.
        (
            "process_name = 'cmd.exe' AND process_name <> 'CMD.EXE'",
            &[],
        ),
        (
            "command_line LIKE '%a%' AND NOT regexp_like(command_line, 'x')",
            &[],
        ),
        (
            "NOT (command_line NOT LIKE '%a%' OR command_line LIKE '%b%')",
            &[],
        ),
        // Never NULL, and not negated.
        ("event_type <> 'sysmon:1'", &[]),
        ("event_time <> window_start()", &[]),
        ("command_line LIKE '%x%' OR image = 'y'", &[]),
        ("NOT command_line NOT LIKE '%x%'", &[]),
    ];
    for (number, (condition, _)) in cases.iter().enumerate() {
        let sql = format!("SELECT event_time, host_id FROM process_creation p\nWHERE {condition}");
        workspace.write(
            &format!("sql/hunts/case_{number:02}.sql"),
            hunt(number, "", &sql),
        );
    }
    let names: Vec<String> = (0..cases.len())
        .map(|number| format!("case_{number:02}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wrong = found(&workspace, &names);
    let mut differing = Vec::new();
    for (number, (condition, columns)) in cases.iter().enumerate() {
        let of_case: Vec<_> = wrong
            .iter()
            .filter(|line| line.contains(&format!("case_{number:02}.sql:9:")))
            .collect();
        let all_named = columns.iter().all(|column| {
            of_case
                .iter()
                .any(|line| line.ends_with(&format!("where `{column}` is NULL")))
        });
        let all_warnings = of_case.iter().all(|line| line.starts_with("warning"));
        if of_case.len() != columns.len() || !all_named || !all_warnings {
            differing.push(format!("{condition}: {of_case:?}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    let expected: usize = cases.iter().map(|(_, columns)| columns.len()).sum();
    assert_eq!(wrong.len(), expected, "{}", wrong.join("\n"));
    assert_eq!(workspace.run(&["check", "case_00"]).code, 0);
    let denied = workspace.run(&["check", "case_00", "--deny-warnings"]);
    assert_eq!(denied.code, 2);
    assert!(
        denied
            .stderr
            .ends_with("1 hunt checked, 1 error, 0 warnings\n"),
        "{}",
        denied.stderr
    );
}

#[test]
fn a_filter_below_says_it_too() {
    let workspace = project();
    for (number, (sql, warned)) in [
        ("WITH a AS (SELECT * FROM process_creation WHERE image LIKE 'a%') SELECT event_time FROM a WHERE image <> 'b'", false),
        ("WITH a AS (SELECT * FROM process_creation) SELECT event_time FROM a WHERE image <> 'b'", true),
        ("SELECT host_id, max(event_time) AS last_seen, count(*) AS n FROM process_creation GROUP BY host_id HAVING count(*) <> 1", false),
        ("WITH a AS (SELECT event_time, unnest(make_array(true, false)) AS flag FROM process_creation) SELECT event_time FROM a WHERE NOT flag", false),
        ("SELECT event_time FROM network_connection WHERE NOT initiated", true),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("case_{number}");
        workspace.write(&format!("sql/hunts/{name}.sql"), hunt(number, "", sql));
        let wrong = found(&workspace, &[&name]);
        assert_eq!(wrong.len(), usize::from(warned), "{sql}: {wrong:?}");
    }
}

#[test]
fn a_star_is_no_result() {
    let workspace = project();
    for (number, (sql, columns)) in [
        ("SELECT * FROM process_creation", &[8][..]),
        ("SELECT p.* FROM process_creation p", &[10]),
        ("SELECT event_time, * EXCLUDE (event_time) FROM process_creation", &[20]),
        ("SELECT event_time FROM process_creation UNION ALL (SELECT * FROM (SELECT event_time FROM process_creation))", &[59]),
        ("WITH a AS (SELECT * FROM process_creation) SELECT event_time FROM a", &[]),
        ("SELECT event_time, host_id FROM process_creation WHERE EXISTS (SELECT * FROM process_creation)", &[]),
        ("SELECT host_id, count(*) AS event_count, max(event_time) AS last_seen FROM process_creation GROUP BY host_id", &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("case_{number}");
        workspace.write(&format!("sql/hunts/{name}.sql"), hunt(number, "", sql));
        let stars: Vec<_> = found(&workspace, &[&name])
            .into_iter()
            .filter(|line| line.contains("SELECT *"))
            .collect();
        let expected: Vec<_> = columns
            .iter()
            .map(|column| format!("error {name}.sql:8:{column} a hunt does not return `SELECT *`"))
            .collect();
        assert_eq!(stars, expected, "{sql}");
    }
}

#[test]
fn a_stable_hunt_needs_a_fixture() {
    let workspace = Workspace::with_own_hunts();
    fs::remove_dir_all(workspace.path("sql/hunts")).unwrap();
    let stable = |number| {
        hunt(
            number,
            "",
            "SELECT event_time, host_id FROM process_creation",
        )
        .replace("experimental", "stable")
    };
    workspace.write("sql/hunts/x/without.sql", stable(1));
    workspace.write("sql/hunts/x/with.sql", stable(2));
    workspace.write("sql/hunts/x/half.sql", stable(3));
    workspace.write(
        "tests/hunts/x/with/events.zeek.ndjson",
        "{\"_note\": \"hit: x\"}\n",
    );
    workspace.write("tests/hunts/x/with/expected.ndjson", "");
    workspace.write(
        "tests/hunts/x/half/events.ndjson",
        "{\"_note\": \"hit: x\"}\n",
    );
    assert_eq!(
        found(&workspace, &["without", "with", "half"]),
        [
            "error x/half.sql:4:12 a stable hunt needs a fixture: expected.ndjson is missing",
            "error x/without.sql:4:12 a stable hunt needs a fixture: `without` has none",
        ]
    );
}

#[test]
fn forms_and_views_are_checked_too() {
    let workspace = project();
    let form = workspace.path("sql/forms/nxlog.yaml");
    let broken = fs::read_to_string(&form).unwrap() + "tiem: []\n";
    fs::write(&form, broken).unwrap();
    workspace.write(
        "sql/forms/odd.yaml",
        "time: [{column: At, format: iso8601}]\ncolumns: {At: txt}\n",
    );
    workspace.write(
        "sql/views/process_creation/windows_event.odd.sql",
        "SELECT Imag AS image\nFROM source\n",
    );
    workspace.write(
        "sql/views/process_creation/windows_event.gain.sql",
        "SELECT Image AS colour\nFROM source\n",
    );
    workspace.write(
        "sql/views/process_creation/syslog.sql",
        "SELECT 1 AS image FROM source\n",
    );
    workspace.write(
        "sql/views/registry/schema.yaml",
        "description: D\ncolumns: []\n",
    );
    workspace.write(
        "sql/hunts/over_registry.sql",
        hunt(1, "", "SELECT event_time FROM registry"),
    );
    let mut wrong = found(&workspace, &[]);
    // A hunt over a view that is broken is no second error.
    assert!(
        !wrong.iter().any(|line| line.contains("over_registry")),
        "{wrong:?}"
    );
    wrong.retain(|line| line.contains(" sql/"));
    for line in &mut wrong {
        line.truncate(100);
    }
    insta::assert_snapshot!("check_forms_and_views", wrong.join("\n"));
}

#[test]
fn a_job_is_checked_with_its_lake_and_its_parameters() {
    let workspace = project();
    let printed = workspace.succeed(&["check", "jobs/night.yaml"]);
    assert_eq!(
        printed.stderr,
        "1 file and 1 hunt checked, 0 errors, 0 warnings\n"
    );
    workspace.succeed(&["check", "lake/lake.yaml"]);
    workspace.write(
        "lake/typo.yaml",
        LAKE.replace("windows_event", "windows_evnt"),
    );
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("lake.yaml", "typo.yaml")
            + "params: {wmic_formt: {a: 1}, wmiexec_shared_output_file: {min_comands: 3}}\n\
               exceptions:\n  - {hunt: wmic_format, condition: hostname = 'A', reason: r, expires: 2026-02-01}\n  \
               - {hunt: wmic_fromat, condition: 'true', reason: s, expires: 2026-02-01}\n",
    );
    let wrong = found(&workspace, &["jobs/night.yaml"]);
    for expected in [
        "error jobs/night.yaml:7:10 params: unknown hunt `wmic_formt`",
        "error jobs/night.yaml:7:59 params: hunt `wmiexec_shared_output_file` has no parameter `min_comands`",
        "error jobs/night.yaml:9:36 exception `r`: unknown column `hostname`",
        "error jobs/night.yaml:10:12 exception `s`: unknown hunt `wmic_fromat`",
        "error lake/typo.yaml:2:3 table `events`: unknown form `windows_evnt`",
    ] {
        assert!(
            wrong.iter().any(|line| line == expected),
            "{expected} is not in\n{}",
            wrong.join("\n")
        );
    }
    assert_eq!(wrong.len(), 5, "{}", wrong.join("\n"));
    assert_eq!(workspace.run(&["check", "jobs/none.yaml"]).code, 2);
    workspace.write(
        "exceptions.yaml",
        "- {hunt: wmic_fromat, condition: 'true', reason: s, expires: 2026-02-01}\n",
    );
    assert_eq!(found(&workspace, &["exceptions.yaml"]).len(), 1);
}

#[test]
fn a_hunt_over_a_table_is_planned_over_its_lake() {
    let workspace = project();
    let select = "SELECT event_time, \"Image\", tipo FROM events";
    workspace.write("sql/hunts/over_table.sql", hunt(1, "", select));
    assert_eq!(
        found(&workspace, &["over_table"]),
        ["error over_table.sql:8:39 unknown table or view `events`"],
        "there is no lake here"
    );
    let on_lake = ["error over_table.sql:8:29 unknown column `tipo`"];
    assert_eq!(
        found(&workspace, &["over_table", "--lake", "lake/lake.yaml"]),
        on_lake
    );
    // The nearest lake is where its tables are.
    fs::rename(workspace.path("lake"), workspace.path("data")).unwrap();
    assert_eq!(found(&workspace, &["over_table"]), on_lake);
    fs::remove_dir_all(workspace.path("data/events")).unwrap();
    let wrong = found(&workspace, &["over_table"]);
    assert!(
        matches!(wrong.as_slice(), [one] if one.starts_with("warning over_table.sql") && one.contains("cannot be opened")),
        "{wrong:?}"
    );
}

#[test]
fn a_lake_that_feeds_no_view_is_told() {
    let workspace = project();
    let printed = workspace.succeed(&["check", "wmi_rpc_call", "--lake", "lake/lake.yaml"]);
    assert!(
        printed
            .stderr
            .contains("no table of lake/lake.yaml feeds dce_rpc"),
        "{}",
        printed.stderr
    );
}

#[test]
fn five_hundred_hunts_in_one_go() {
    let workspace = project();
    let shipped =
        fs::read_to_string(repository().join("sql/hunts/windows/process_creation/wmic_format.sql"))
            .unwrap();
    let id = shipped
        .lines()
        .find(|line| line.starts_with("-- id:"))
        .unwrap();
    for number in 0..500 {
        let text = shipped
            .replace(id, &format!("-- id: 00000000-0000-4000-8000-{number:012}"))
            .replace("-- status: stable", "-- status: experimental");
        let text = if number == 499 {
            text.replace("host_name,\n", "host_nam,\n")
        } else {
            text
        };
        workspace.write(&format!("sql/hunts/many/copy_{number:03}.sql"), text);
    }
    let printed = workspace.run(&["check", "--format", "json"]);
    let mut rows: Vec<Value> = serde_json::from_str(&printed.stdout).unwrap();
    rows.retain(|row| {
        row["file"]
            .as_str()
            .is_some_and(|file| file.contains("/many/"))
    });
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["hunt"], "copy_499");
    let counted = printed.stderr.split(' ').next().unwrap();
    assert!(
        counted.parse::<usize>().unwrap() > 500,
        "{}",
        printed.stderr
    );
}
