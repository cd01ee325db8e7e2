//! What a change of a hunt adds to its findings, and takes away.

use std::process::Command;

use crate::cli::shown;
use crate::due::hit;
use crate::workspace::Workspace;

fn hunt(condition: &str, more: &str) -> String {
    format!(
        "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- status: test\n-- level: low\n-- description: D\n-- ---\nSELECT event_time, command_line{more}, _table, _file, _row FROM process_creation WHERE {condition}\n"
    )
}

/// Three days, and a hunt that is another now.
fn changed() -> Workspace {
    let workspace = Workspace::with_own_hunts();
    for day in 1..=3 {
        let time = format!("2026-01-0{day} 10:00:00");
        let lines = ["list", "create `|`", "delete"].map(|verb| {
            hit(&time, day).replace("os get /format:csv", &format!("process {verb} {day}"))
        });
        workspace.write(
            &format!("lake/events/day=2026-01-0{day}/good.ndjson"),
            lines.concat().replace("\"EventRecordID\":", "\"Ignored\":"),
        );
    }
    workspace.write(
        "old.sql",
        hunt(
            "command_line LIKE '%create%' OR command_line LIKE '%list 1'",
            "",
        ),
    );
    workspace.write(
        "sql/hunts/own.sql",
        hunt(
            "command_line LIKE '%create%' OR command_line LIKE '%delete%'",
            ", process_name",
        ),
    );
    workspace
}

const DIFF: [&str; 8] = [
    "diff",
    "own",
    "--lake",
    "lake/lake.yaml",
    "--from",
    "2026-01-01",
    "--to",
    "2026-01-04",
];

#[test]
fn findings_that_a_change_adds_and_takes_away() {
    let workspace = changed();
    let against = [&DIFF[..], &["--against", "old.sql"]].concat();
    shown("diff", &workspace, &against);
    shown(
        "diff_markdown",
        &workspace,
        &[&against[..], &["--format", "markdown"]].concat(),
    );
    let json = workspace
        .succeed(&[&against[..], &["--format", "json"]].concat())
        .json();
    assert_eq!(json["before"], 4);
    assert_eq!(json["now"], 6);
    assert_eq!(json["added"].as_array().unwrap().len(), 3);
    assert_eq!(json["removed"].as_array().unwrap().len(), 1);
    let none = [&DIFF[..], &["--against", "sql/hunts/own.sql"]].concat();
    let printed = workspace.succeed(&none);
    assert!(
        printed.stdout.contains("0 added, 0 removed"),
        "{}",
        printed.stdout
    );
}

#[test]
fn a_revision_is_asked_of_git() {
    let workspace = changed();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(workspace.path("")).args(arguments);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "T")
                .env(format!("GIT_{who}_EMAIL"), "t@example");
        }
        assert!(git.output().unwrap().status.success(), "{arguments:?}");
    };
    let now = std::fs::read(workspace.path("sql/hunts/own.sql")).unwrap();
    std::fs::rename(
        workspace.path("old.sql"),
        workspace.path("sql/hunts/own.sql"),
    )
    .unwrap();
    git(&["init", "-q"]);
    git(&["add", "sql/hunts/own.sql"]);
    git(&["commit", "-q", "-m", "before"]);
    workspace.write("sql/hunts/own.sql", now);
    let printed = workspace.succeed(&[&DIFF[..], &["--against", "HEAD"]].concat());
    assert!(
        printed
            .stdout
            .contains("4 before, 6 now; 3 added, 1 removed"),
        "{}",
        printed.stdout
    );
    let printed = workspace.run(&[&DIFF[..], &["--against", "nowhere"]].concat());
    assert_eq!(printed.code, 2);
    assert!(
        printed
            .stderr
            .contains("is no file, and git does not have the hunt"),
        "{}",
        printed.stderr
    );
}
