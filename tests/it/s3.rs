//! The lake in a bucket: the same results as from local disk, few requests, and faults of the network that change nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::bucket::{Fault, Rule, SECRET, Server};
use crate::lake::gzip;
use crate::workspace::{JOB, Printed, Workspace, copy, events, repository};

const NIGHTLY: [&str; 6] = [
    "run",
    "jobs/nightly.yaml",
    "--lake",
    "s3.yaml",
    "--output",
    "remote",
];

/// The sample lake in a bucket, and a lake file that says so.
fn sample() -> (Server, Workspace) {
    let server = Server::start();
    let workspace = Workspace::of_repository();
    copy(&repository().join("data"), &server.path("years"));
    let lake = fs::read_to_string(workspace.path("data/lake.yaml")).unwrap();
    workspace.write(
        "s3.yaml",
        lake.replace("location: ", "location: s3://lake/years/"),
    );
    (server, workspace)
}

/// Findings, alerts and quarantine of a run: all but the ledger, which says when objects were written.
pub(crate) fn results(workspace: &Workspace, output: &str) -> Vec<(String, String)> {
    let mut files = workspace.published(output);
    files.retain(|path, _| !path.starts_with("ledger/"));
    files.into_iter().collect()
}

pub(crate) fn succeeds(printed: &Printed) {
    assert_eq!(printed.code, 0, "{}\n{}", printed.stdout, printed.stderr);
}

#[test]
fn a_lake_in_a_bucket_gives_the_bytes_of_a_local_one() {
    let (server, workspace) = sample();
    workspace.succeed(&["run", "jobs/nightly.yaml", "--output", "local"]);
    let printed = server.run(&workspace, &NIGHTLY);
    succeeds(&printed);
    let local = results(&workspace, "local");
    assert!(local.len() > 20, "{}", local.len());
    assert_eq!(local, results(&workspace, "remote"));
    // Only what the window needs: the sample has three days, the tile one and the lookback before it.
    let reads = server.requests("GET /lake/years/sysmon/day=2026-01-01");
    assert_eq!(reads, [""; 0]);
    // Nor does it matter that one of ten requests goes wrong.
    fs::remove_dir_all(workspace.path("remote")).unwrap();
    server.chaos(7, 10);
    succeeds(&server.run(&workspace, &NIGHTLY));
    assert!(server.faults() > 10, "{}", server.faults());
    assert_eq!(local, results(&workspace, "remote"));
}

/// The published files of an output in the bucket: all but the ledger, which says when objects were written.
pub(crate) fn results_in(server: &Server, output: &str) -> Vec<(String, String)> {
    let mut files: Vec<_> = crate::workspace::hashes_of(&server.path(output))
        .into_iter()
        .collect();
    let kinds = ["findings/", "alerts/", "quarantine/"];
    files.retain(|(path, _)| kinds.iter().any(|kind| path.starts_with(kind)));
    files
}

#[test]
fn a_rerun_replaces_what_is_there_and_removes_what_is_not_found_any_more() {
    let server = Server::start();
    let workspace = one_table(&server);
    let run = ["run", "jobs/night.yaml", "--output", "s3://lake/out"];
    succeeds(&server.run(&workspace, &run));
    let first = results_in(&server, "out");
    assert_eq!(first.len(), 2, "{first:?}");
    succeeds(&server.run(&workspace, &run));
    assert_eq!(first, results_in(&server, "out"));
    succeeds(&server.run(&workspace, &[&run[..], &["--rebuild"]].concat()));
    assert_eq!(first, results_in(&server, "out"));
    server.write("events/day=2026-01-01/good.ndjson", events(1..9));
    succeeds(&server.run(&workspace, &run));
    assert_eq!(results_in(&server, "out"), []);
    let ledger =
        fs::read_to_string(server.path("out/ledger/night/20260101T000000Z_20260102T000000Z.json"));
    assert!(!ledger.unwrap().contains(SECRET));
}

#[test]
fn killed_at_any_step_of_publishing_in_a_bucket() {
    let server = Server::start();
    let workspace = one_table(&server);
    let run = ["run", "jobs/night.yaml", "--output", "s3://lake/out"];
    let file = "events/day=2026-01-01/good.ndjson";
    let published = || {
        let mut files: BTreeMap<_, _> = results_in(&server, "out").into_iter().collect();
        let ledger = "ledger/night/20260101T000000Z_20260102T000000Z.json";
        let text = fs::read_to_string(server.path("out").join(ledger));
        files.insert(ledger.to_owned(), text.unwrap_or_default());
        files
    };
    server.write(file, events(0..31) + "bad\n");
    succeeds(&server.run(&workspace, &run));
    let before = published();
    copy(&server.path("out"), &workspace.path("old"));
    server.write(file, events(10..51));
    succeeds(&server.run(&workspace, &run));
    let after = published();
    assert_eq!((before.len(), after.len()), (4, 3));
    let mut points = 0;
    loop {
        fs::remove_dir_all(server.path("out")).unwrap();
        copy(&workspace.path("old"), &server.path("out"));
        let mut command = workspace.command(&run);
        let step = (points + 1).to_string();
        command.env("LAKEHUNT_KILL_AT_STEP", &step);
        let killed = server.environment(&mut command).output().unwrap();
        if killed.status.code().is_some() {
            assert!(killed.status.success());
            break;
        }
        points += 1;
        for (path, content) in published() {
            let known = [&before, &after].map(|state| state.get(&path) == Some(&content));
            assert!(known.contains(&true), "{path} is half at step {step}");
        }
        // As if a minute had passed: nobody renews the lease of the killed.
        let lease = "out/.locks/night_20260101T000000Z_20260102T000000Z.lease";
        if server.path(lease).exists() {
            server.write(lease, "free");
        }
        succeeds(&server.run(&workspace, &run));
        assert_eq!(published(), after, "step {step}");
    }
    // Two probes, the lease, two files, one that goes, the ledger and one more, the lease given back, three summaries.
    assert_eq!(points, 13);
}

#[test]
fn a_live_lease_is_respected_and_a_lost_answer_is_no_conflict() {
    let server = Server::start();
    let workspace = one_table(&server);
    let run = ["run", "jobs/night.yaml", "--output", "s3://lake/out"];
    let lease = "out/.locks/night_20260101T000000Z_20260102T000000Z.lease";
    server.write(lease, "somebody 7");
    let printed = server.run(&workspace, &run);
    succeeds(&printed);
    assert!(printed.stderr.contains("another run"), "{}", printed.stderr);
    assert!(!server.path("out/ledger").exists());
    fs::remove_file(server.path(lease)).unwrap();
    server.fail(Rule {
        on: "/out/ledger/",
        every: 0,
        fault: Fault::Lost,
    });
    server.fail(Rule {
        on: "PUT /lake/out/ledger/",
        every: 0,
        fault: Fault::Lost,
    });
    succeeds(&server.run(&workspace, &run));
    assert!(server.faults() > 0);
    assert_eq!(results_in(&server, "out").len(), 2);
    assert_eq!(fs::read(server.path(lease)).unwrap(), b"free");
}

/// One table in the bucket, and a job over it.
pub(crate) fn one_table(server: &Server) -> Workspace {
    let workspace = Workspace::with_one_table();
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("../lake/lake.yaml", "../s3.yaml"),
    );
    workspace.write(
        "s3.yaml",
        crate::workspace::LAKE.replace("events/", "s3://lake/events"),
    );
    server.write("events/day=2026-01-01/good.ndjson", events(0..30));
    workspace
}

#[test]
fn a_day_of_three_years_is_two_lists_and_its_file() {
    let server = Server::start();
    let workspace = one_table(&server);
    let first = chrono::NaiveDate::from_ymd_opt(2023, 6, 1).unwrap();
    for day in first.iter_days().take(1100) {
        let key = format!("events/day={day}/good.ndjson");
        if !server.path(&key).exists() {
            server.write(&key, "{}\n");
        }
    }
    succeeds(&server.run(&workspace, &["run", "jobs/night.yaml"]));
    let lists = server.requests("list-type=2");
    // The day, with leading zeros and without.
    assert_eq!(lists.len(), 2, "{lists:#?}");
    // The file once: for the hunts, and for the raw events that the page shows.
    let all = server.requests("");
    assert_eq!(all.len(), 3, "{all:#?}");
}

#[test]
fn a_file_of_many_pieces_is_read_whole() {
    let server = Server::start();
    let workspace = one_table(&server);
    // Two pieces and a bit, plain; several members of gzip, and several frames of zstd.
    let mut long = String::new();
    let padding = "x".repeat(1000);
    for number in 1000..17_000 {
        let _ = writeln!(
            long,
            "{{\"EventRecordID\": {number}, \"pad\": \"{padding}\", \"UtcTime\": \"2026-01-01 01:00:00.000\"}}"
        );
    }
    assert!(long.len() > 16 << 20);
    server.write("events/day=2026-01-01/long.ndjson", long);
    let part = |first: u64| events(first..first + 10);
    let members = [20_000, 20_010, 20_020].map(|first| gzip(&part(first)));
    server.write("events/day=2026-01-01/m.json.gz", members.concat());
    let frames = [21_000, 21_010].map(|first| zstd::encode_all(part(first).as_bytes(), 1).unwrap());
    server.write("events/day=2026-01-01/f.json.zst", frames.concat());
    succeeds(&server.run(&workspace, &["run", "jobs/night.yaml"]));
    let tile = "out/ledger/night/20260101T000000Z_20260102T000000Z.json";
    assert_eq!(
        workspace.json(tile)["tables"]["events"]["rows_read"],
        16_080
    );
    assert_eq!(
        server
            .requests("GET /lake/events/day=2026-01-01/long")
            .len(),
        3
    );
}

#[test]
fn a_secret_is_printed_nowhere() {
    let server = Server::start();
    let workspace = one_table(&server);
    let mut command = workspace.command(&["run", "jobs/night.yaml"]);
    server
        .environment(&mut command)
        .env("AWS_ACCESS_KEY_ID", "AKIAOTHER");
    let printed = Printed::of(&mut command);
    assert_eq!(printed.code, 1, "{}\n{}", printed.stdout, printed.stderr);
    let said = printed.stdout + &printed.stderr;
    assert!(!said.contains(SECRET), "{said}");
    assert!(said.contains("credentials"), "{said}");
    let mut command = workspace.command(&["sql", "SELECT 1", "--lake", "s3.yaml"]);
    let printed = Printed::of(server.environment(&mut command).env("RUST_LOG", "trace"));
    assert!(!(printed.stdout + &printed.stderr).contains(SECRET));
}

#[test]
fn a_profile_has_its_own_keys() {
    let server = Server::start();
    let workspace = one_table(&server);
    let mut command = workspace.command(&["run", "jobs/night.yaml"]);
    server.environment(&mut command);
    let variables: Vec<_> = command
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    let value = |wanted: &str| {
        let found = variables.iter().find(|(name, _)| name == wanted);
        found
            .and_then(|(_, value)| value.clone())
            .unwrap()
            .into_string()
            .unwrap()
    };
    let profile = format!(
        "[readers]\naws_access_key_id = {}\naws_secret_access_key = {}\nendpoint_url = {}\n",
        value("AWS_ACCESS_KEY_ID"),
        value("AWS_SECRET_ACCESS_KEY"),
        value("AWS_ENDPOINT_URL"),
    );
    workspace.write("credentials", profile);
    let lake = fs::read_to_string(workspace.path("s3.yaml")).unwrap();
    workspace.write(
        "s3.yaml",
        lake + "    credentials: {profile: readers, region: us-east-1}\n",
    );
    command
        .env("AWS_ACCESS_KEY_ID", "AKIAOTHER")
        .env("AWS_SHARED_CREDENTIALS_FILE", workspace.path("credentials"));
    succeeds(&Printed::of(&mut command));
}
