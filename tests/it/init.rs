//! `lakehunt init` and `lakehunt hunts new`: what they write works as it is, and overwrites nothing.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::cli::shown;
use crate::workspace::{Workspace, repository};

/// A workspace with a new project in `project`.
fn project() -> Workspace {
    let workspace = Workspace::empty();
    workspace.succeed(&["init", "project"]);
    workspace
}

/// Runs the binary in the project.
fn within(workspace: &Workspace, arguments: &[&str]) -> (i32, String, String) {
    let mut command = workspace.command(arguments);
    let output = command
        .current_dir(workspace.path("project"))
        .output()
        .unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_new_project_passes_its_own_checks() {
    let workspace = project();
    for arguments in [
        &["check", "--deny-warnings"][..],
        &["check", "jobs/nightly.yaml"],
        &["check", "lake.yaml"],
        &["test"],
        &["tables"],
    ] {
        let (code, stdout, stderr) = within(&workspace, arguments);
        assert_eq!(code, 0, "{arguments:?}\n{stdout}\n{stderr}");
    }
    for file in ["README.md", ".gitignore", "telemetry/windows/README.md"] {
        assert!(workspace.path("project").join(file).is_file(), "{file}");
    }
    let readme = fs::read_to_string(workspace.path("project/README.md")).unwrap();
    assert!(readme.lines().count() <= 12, "{readme}");
}

#[test]
fn its_first_run_says_that_there_is_no_data() {
    let workspace = project();
    let (code, stdout, stderr) = within(&workspace, &["run", "jobs/nightly.yaml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("lake lake.yaml") && stdout.contains("no data"),
        "{stdout}"
    );
    // The placeholder is no telemetry.
    assert!(stdout.contains("read 0 files"), "{stdout}");
}

#[test]
fn the_commands_of_its_readme_work() {
    let workspace = project();
    let readme = fs::read_to_string(workspace.path("project/README.md")).unwrap();
    let mut run = BTreeSet::new();
    for piece in readme.split('`').skip(1).step_by(2) {
        let Some(arguments) = piece.strip_prefix("lakehunt ") else {
            continue;
        };
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let (code, stdout, stderr) = within(&workspace, &arguments);
        assert_eq!(code, 0, "{piece}\n{stdout}\n{stderr}");
        if piece.contains("--at") {
            assert!(stdout.contains("findings"), "attacks are found: {stdout}");
        }
        run.insert(piece);
    }
    assert!(run.len() >= 7, "{run:?}");
}

#[test]
fn it_has_what_ships() {
    let workspace = project();
    let written = workspace.hashes("project/sql");
    let shipped = Workspace::of_repository().hashes("sql");
    assert_eq!(written, shipped);
}

/// Every table that is commented out is one that can be switched on.
#[test]
fn every_table_of_its_lake_file_can_be_used() {
    let workspace = project();
    let lake = fs::read_to_string(workspace.path("project/lake.yaml")).unwrap();
    let mut tables = 0;
    let mut switched_on = String::new();
    let mut is_table = false;
    for line in lake.lines() {
        let bare = line.strip_prefix("  # ").map(|rest| format!("  {rest}"));
        is_table = match &bare {
            Some(bare) if bare.ends_with(':') && !bare.trim().contains(' ') => {
                tables += 1;
                true
            }
            Some(_) => is_table,
            None => false,
        };
        let on = bare.filter(|_| is_table);
        if let Some(location) = on
            .as_deref()
            .and_then(|on| on.trim().strip_prefix("location: "))
        {
            fs::create_dir_all(workspace.path("project").join(location)).unwrap();
        }
        switched_on.push_str(on.as_deref().unwrap_or(line));
        switched_on.push('\n');
    }
    let forms = fs::read_dir(repository().join("sql/forms"))
        .unwrap()
        .count();
    assert_eq!(tables + 1, forms, "{switched_on}");
    fs::write(workspace.path("project/lake.yaml"), switched_on).unwrap();
    let (code, stdout, stderr) = within(&workspace, &["check", "lake.yaml"]);
    assert_eq!(code, 0, "{stdout}\n{stderr}");
    let (_, stdout, _) = within(&workspace, &["tables", "--format", "json"]);
    let listed: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), forms);
}

#[test]
fn a_used_folder_is_left_alone() {
    let workspace = Workspace::empty();
    workspace.write("used/notes.txt", "mine");
    workspace.write("file", "mine");
    shown("init_used", &workspace, &["init", "used"]);
    shown("init_file", &workspace, &["init", "file"]);
    assert_eq!(workspace.hashes("used").len(), 1);
    fs::create_dir(workspace.path("empty")).unwrap();
    workspace.succeed(&["init", "empty"]);
}

#[test]
fn a_new_hunt_of_any_view_passes_check_and_test() {
    let workspace = project();
    let views = fs::read_dir(repository().join("sql/views")).unwrap();
    let mut ids = BTreeSet::new();
    for view in views {
        let view = view.unwrap().file_name().to_string_lossy().into_owned();
        let name = format!("my_{view}");
        let new = [
            "hunts",
            "new",
            &name,
            "--category",
            &view,
            "--product",
            "own",
        ];
        let (code, stdout, stderr) = within(&workspace, &new);
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(stdout.lines().count(), 3, "{stdout}");
        for arguments in [&["check", &name, "--deny-warnings"][..], &["test", &name]] {
            let (code, stdout, stderr) = within(&workspace, arguments);
            assert_eq!(code, 0, "{arguments:?}\n{stdout}\n{stderr}");
        }
        let path = workspace.path(&format!("project/sql/hunts/own/{view}/{name}.sql"));
        let text = fs::read_to_string(path).unwrap();
        ids.insert(text.lines().nth(2).unwrap().to_owned());
    }
    assert!(ids.len() >= 7, "every hunt has an id of its own: {ids:?}");
}

#[test]
fn a_new_hunt_overwrites_nothing() {
    let workspace = Workspace::with_own_hunts();
    workspace.write(
        "tests/hunts/windows/process_creation/taken/expected.ndjson",
        "",
    );
    for (snapshot, arguments) in [
        ("new_exists", &["wmic_format"][..]),
        ("new_fixture_exists", &["taken"]),
        ("new_bad_name", &["Wmic-Format"]),
        ("new_bad_product", &["x", "--product", "../up"]),
        ("new_bad_category", &["x", "--category", "proces_creation"]),
    ] {
        let arguments = [&["hunts", "new"][..], arguments].concat();
        shown(snapshot, &workspace, &arguments);
        assert_eq!(workspace.run(&arguments).code, 2, "{snapshot}");
    }
    shown("new", &workspace, &["hunts", "new", "certutil_download"]);
    let outside = Workspace::empty();
    shown("new_without_project", &outside, &["hunts", "new", "x"]);
    assert!(outside.hashes(".").is_empty());
}
