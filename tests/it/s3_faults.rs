//! A network that fails: whatever goes wrong on the way, the results are those of a run where nothing did, with no more
//! requests than it takes; and where nothing helps, it is said once, soon, and what is left can be run again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bucket::{Fault, Rule, SECRET, Server};
use crate::damage_parquet::{IN_SECOND_GROUP, WITH_CHECKSUMS};
use crate::s3::{one_table, results, results_in, succeeds};
use crate::workspace::{JOB, LAKE, Printed, Workspace, copy, event_at, events, repository};

const RUN: [&str; 2] = ["run", "jobs/night.yaml"];
const INTO_BUCKET: [&str; 4] = ["run", "jobs/night.yaml", "--output", "s3://lake/out"];
const LEDGER: &str = "ledger/night/20260101T000000Z_20260102T000000Z.json";

fn rule(on: &'static str, every: usize, fault: Fault) -> Rule {
    Rule { on, every, fault }
}

/// The lake of [`one_table`] with more to say about its bucket.
fn with_settings(workspace: &Workspace, settings: &str) {
    let lake = fs::read_to_string(workspace.path("s3.yaml")).unwrap();
    workspace.write(
        "s3.yaml",
        format!("{lake}    credentials: {{{settings}}}\n"),
    );
}

#[test]
fn a_fault_costs_one_request_and_changes_nothing() {
    let server = Server::start();
    let workspace = one_table(&server);
    with_settings(&workspace, "stall: 1s");
    succeeds(&server.run(&workspace, &RUN));
    let clean = (results(&workspace, "out"), server.requests("").len());
    // Two spellings of the day, and the file.
    assert_eq!(clean.1, 3, "{:#?}", server.requests(""));
    let faults = [
        Fault::SlowDown,
        Fault::Internal,
        Fault::Reset,
        Fault::Cut,
        Fault::Lost,
        Fault::StallBody,
        Fault::Stall,
    ];
    let lists = faults.map(|fault| ("list-type=2", fault));
    let reads = faults.map(|fault| ("GET /lake/events/", fault));
    let flips = [("GET /lake/events/", Fault::Flip)];
    for (on, fault) in lists.into_iter().chain(reads).chain(flips) {
        let server = Server::start();
        let workspace = one_table(&server);
        with_settings(&workspace, "stall: 1s");
        server.fail(rule(on, 0, fault));
        succeeds(&server.run(&workspace, &RUN));
        assert_eq!(server.faults(), 1, "{fault:?}");
        let found = (results(&workspace, "out"), server.requests("").len());
        assert_eq!(found, (clean.0.clone(), clean.1 + 1), "{on} {fault:?}");
    }
}

#[test]
fn a_put_under_a_condition_is_made_once_whatever_becomes_of_its_answer() {
    let server = Server::start();
    succeeds(&server.run(&one_table(&server), &INTO_BUCKET));
    let clean = results_in(&server, "out");
    assert_eq!(clean.len(), 2);
    for (fault, puts) in [
        // The answer is lost: a look says that it was done.
        (Fault::Lost, 1),
        (Fault::Cut, 1),
        // Nothing was done: a look says so, and it is asked again.
        (Fault::SlowDown, 2),
        (Fault::Reset, 2),
    ] {
        for file in ["ledger/", "findings/", ".locks/night"] {
            let server = Server::start();
            let on: &'static str = format!("PUT /lake/out/{file}").leak();
            server.fail(rule(on, 0, fault));
            succeeds(&server.run(&one_table(&server), &INTO_BUCKET));
            assert_eq!(server.faults(), 1, "{fault:?}");
            assert_eq!(results_in(&server, "out"), clean, "{file} {fault:?}");
            // A lease is written three times: taken, looked after before the first file, given back.
            let usual = if file == ".locks/night" { 3 } else { 1 };
            let found = server.requests(on);
            assert_eq!(found.len(), usual + puts - 1, "{fault:?} {found:#?}");
        }
    }
}

/// A day of many small files and one of other forms.
fn many_files(server: &Server) -> Workspace {
    let workspace = one_table(server);
    for hour in 0..12_u64 {
        let mut text = String::new();
        for number in hour * 20..hour * 20 + 20 {
            let command = format!("wmic process list /format:csv {number}");
            let time = format!("2026-01-01 {hour:02}:00:{:02}.000", number % 60);
            let _ = write!(text, "{}", event_at(&time, number, &command));
        }
        server.write(&format!("events/day=2026-01-01/{hour:02}.ndjson"), text);
    }
    workspace
}

#[test]
fn one_of_ten_requests_fails_at_random_and_results_are_the_same() {
    let clean = {
        let server = Server::start();
        succeeds(&server.run(&many_files(&server), &INTO_BUCKET));
        results_in(&server, "out")
    };
    let mut faults = 0;
    for seed in 1..=6 {
        let server = Server::start();
        let workspace = many_files(&server);
        with_settings(&workspace, "stall: 1s");
        let job = fs::read_to_string(workspace.path("jobs/night.yaml")).unwrap();
        let job = job.replace("output: ../out", "output: s3://lake/out");
        workspace.write("jobs/night.yaml", job + "credentials: {stall: 1s}\n");
        server.chaos(seed, 10);
        succeeds(&server.run(&workspace, &RUN));
        assert_eq!(results_in(&server, "out"), clean, "seed {seed}");
        faults += server.faults();
    }
    assert!(faults > 10, "{faults}");
}

#[test]
fn a_file_that_never_comes_is_lost_and_says_why() {
    let server = Server::start();
    let workspace = one_table(&server);
    with_settings(&workspace, "give_up: 1s");
    server.write(
        "events/day=2026-01-01/never.ndjson",
        event_at("2026-01-01 12:00:00", 999, "wmic /format:csv"),
    );
    server.fail(rule(
        "GET /lake/events/day=2026-01-01/never",
        1,
        Fault::SlowDown,
    ));
    let printed = server.run(&workspace, &RUN);
    assert_eq!(printed.code, 1, "{}\n{}", printed.stdout, printed.stderr);
    assert!(server.faults() > 2, "{}", server.faults());
    assert!(server.faults() < 12, "{}", server.faults());
    let ledger = workspace.json(&format!("out/{LEDGER}"));
    assert_eq!(ledger["hunts"]["wmic_format"]["state"], "partial");
    assert_eq!(ledger["hunts"]["wmic_format"]["findings"], 3);
    let quarantine = workspace.quarantine("out");
    let reason = quarantine[0]["detail"].as_str().unwrap();
    assert!(reason.contains("given up after several tries"), "{reason}");
    assert!(reason.contains("503"), "{reason}");
}

/// Lines that do not compress, of more than one piece, without a hit among them.
pub(crate) fn long_lines(bytes: usize) -> String {
    let mut random = 1_u64;
    let mut text = String::new();
    while text.len() < bytes {
        let mut padding = String::new();
        for _ in 0..100 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let _ = write!(padding, "{random:x}");
        }
        let _ = writeln!(
            text,
            "{{\"UtcTime\": \"2026-01-01 01:00:00.000\", \"pad\": \"{padding}\"}}"
        );
    }
    text
}

/// The state of the hunt, and what it found.
fn found(workspace: &Workspace) -> (String, u64) {
    let ledger = workspace.json(&format!("out/{LEDGER}"));
    let hunt = &ledger["hunts"]["wmic_format"];
    let state = hunt["state"].as_str().unwrap().to_owned();
    (state, hunt["findings"].as_u64().unwrap())
}

#[test]
fn a_bit_that_flips_on_the_way_is_read_again_and_one_at_rest_is_told() {
    let server = Server::start();
    let workspace = one_table(&server);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(long_lines(24 << 20).as_bytes()).unwrap();
    let mut packed = packed.finish().unwrap();
    assert!(packed.len() > 9 << 20, "{}", packed.len());
    let name = "events/day=2026-01-01/long.ndjson.gz";
    server.write(name, &packed);
    server.fail(rule("GET /lake/events/day=2026-01-01/long", 0, Fault::Flip));
    succeeds(&server.run(&workspace, &RUN));
    assert_eq!(server.faults(), 1);
    assert_eq!(found(&workspace), ("complete".to_owned(), 3));
    let rows = &workspace.json(&format!("out/{LEDGER}"))["tables"]["events"]["rows_read"];
    assert!(rows.as_u64().unwrap() > 10_000, "counted once: {rows}");
    // The same bit in the bucket.
    server.release();
    let middle = packed.len() / 2;
    packed[middle] ^= 4;
    server.write(name, &packed);
    let printed = server.run(&workspace, &RUN);
    assert_eq!(printed.code, 1, "{}\n{}", printed.stdout, printed.stderr);
    assert_eq!(found(&workspace), ("partial".to_owned(), 3));
}

#[test]
fn a_page_of_parquet_that_flips_on_the_way_is_fetched_again() {
    let server = Server::start();
    let workspace = Workspace::empty();
    workspace.write("lake.yaml", "tables:\n  t: {location: s3://lake/t, format: parquet, schema: {at: text, n: int}, time: [{column: at, format: iso8601}]}\n");
    // So long that it is read in ranges: the footer says where the pages are, whatever stands between.
    let footer = WITH_CHECKSUMS.len() - 8;
    let length = WITH_CHECKSUMS[footer..footer + 4].try_into().unwrap();
    let data = footer - usize::try_from(u32::from_le_bytes(length)).unwrap();
    let long = |bytes: &[u8]| [&bytes[..data], &vec![0; 3 << 20], &bytes[data..]].concat();
    server.write("t/a.parquet", long(WITH_CHECKSUMS));
    let query = [
        "sql",
        "SELECT sum(n) AS s, count(n) AS c FROM t",
        "--lake",
        "lake.yaml",
    ];
    let query = [&query[..], &["--format", "ndjson"]].concat();
    // The end, where a bit flips in what nobody needs; the first row group; the second, which is fetched twice.
    server.fail(rule("GET /lake/t/a", 2, Fault::Flip));
    let printed = server.run(&workspace, &query);
    succeeds(&printed);
    assert_eq!(printed.stdout.trim(), "{\"s\":2080,\"c\":64}");
    assert_eq!(server.requests("GET /lake/t/a").len(), 4);
    server.release();
    let mut bytes = WITH_CHECKSUMS.to_vec();
    bytes[IN_SECOND_GROUP] ^= 4;
    server.write("t/a.parquet", long(&bytes));
    let printed = server.run(&workspace, &query);
    assert_eq!(printed.stdout.trim(), "{\"s\":528,\"c\":32}");
}

#[test]
fn a_list_that_fails_is_asked_for_once_whatever_number_of_hunts_want_it() {
    let server = Server::start();
    let workspace = one_table(&server);
    fs::remove_file(workspace.path("sql")).unwrap();
    copy(&repository().join("sql"), &workspace.path("sql"));
    let folder = "sql/hunts/windows/process_creation";
    let hunt = fs::read_to_string(workspace.path(&format!("{folder}/wmic_format.sql"))).unwrap();
    for (name, digit) in [("second", "2"), ("third", "3"), ("fourth", "4")] {
        let hunt = hunt.replacen("id: c", &format!("id: {digit}"), 1);
        workspace.write(&format!("{folder}/{name}.sql"), hunt);
    }
    let job = fs::read_to_string(workspace.path("jobs/night.yaml")).unwrap();
    let names = "[wmic_format, second, third, fourth]";
    workspace.write("jobs/night.yaml", job.replace("[wmic_format]", names));
    // Nothing that passes, so that it is not repeated by itself.
    server.fail(rule("list-type=2", 1, Fault::Denied));
    let printed = server.run(&workspace, &RUN);
    assert_eq!(printed.code, 1, "{}\n{}", printed.stdout, printed.stderr);
    let hunts = workspace.json(&format!("out/{LEDGER}"))["hunts"].clone();
    assert_eq!(hunts.as_object().unwrap().len(), 4, "{hunts:#}");
    let lists = server.requests("list-type=2");
    let distinct: BTreeSet<_> = lists.iter().collect();
    assert_eq!(lists.len(), distinct.len(), "{lists:#?}");
}

/// A lake of two tables: `events` in the bucket, and `own` on disk.
fn two_tables(server: &Server) -> Workspace {
    let workspace = one_table(server);
    let own = LAKE.split_once('\n').unwrap().1;
    let own = own.replace("  events:", "  own:");
    let own = own.replace("events/", "lake/events/");
    let own = own.replace("windows_event", "zeek");
    let lake = fs::read_to_string(workspace.path("s3.yaml")).unwrap();
    let lake = format!("{lake}    credentials: {{give_up: 1s}}\n{own}");
    workspace.write("s3.yaml", lake);
    workspace
}

#[test]
fn a_table_that_cannot_be_listed_costs_its_hunts() {
    let server = Server::start();
    let workspace = two_tables(&server);
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("../lake/lake.yaml", "../s3.yaml")
            .replace("[wmic_format]", "[wmic_format, wmi_rpc_call]"),
    );
    server.fail(rule("list-type=2", 1, Fault::SlowDown));
    let printed = server.run(&workspace, &RUN);
    assert_eq!(printed.code, 1, "{}\n{}", printed.stdout, printed.stderr);
    assert!(
        printed.stderr.contains("cannot list s3://lake/events"),
        "{}",
        printed.stderr
    );
    let ledger = workspace.json(&format!("out/{LEDGER}"));
    let hunts = ledger["hunts"].as_object().unwrap();
    assert_eq!(hunts["wmic_format"]["state"], "failed");
    let reason = hunts["wmic_format"]["reason"].as_str().unwrap();
    assert!(reason.contains("cannot list s3://lake/events"), "{reason}");
    assert_eq!(hunts.len(), 2, "{hunts:#?}");
    // The next night all is well, and the tile is written anew.
    server.release();
    succeeds(&server.run(
        &workspace,
        &["run", "jobs/night.yaml", "--hunt", "wmic_format"],
    ));
    let ledger = workspace.json(&format!("out/{LEDGER}"));
    assert_eq!(ledger["hunts"]["wmic_format"]["state"], "complete");
}

#[test]
fn nobody_answers() {
    let server = Server::start();
    let workspace = one_table(&server);
    let address = server.address.clone();
    let mut command = workspace.command(&RUN);
    server.environment(&mut command);
    drop(server);
    let printed = Printed::of(&mut command);
    assert_eq!(printed.code, 1, "{}\n{}", printed.stdout, printed.stderr);
    assert!(printed.stderr.contains(&address), "{}", printed.stderr);
    assert!(!printed.stderr.contains("list-type"), "{}", printed.stderr);
}

/// Interrupts a run that hangs; how long it took to end, and what it said.
fn interrupt(
    server: &Server,
    workspace: &Workspace,
    run: &[&str],
    at: &str,
) -> (Duration, Printed) {
    let mut command = workspace.command(run);
    server.environment(&mut command);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    server.wait_for(at);
    let kill = ["-INT", &child.id().to_string()];
    let started = Instant::now();
    let sent = std::process::Command::new("kill").args(kill).status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let printed = Printed {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    (started.elapsed(), printed)
}

#[test]
fn an_interrupted_run_ends_at_once_and_gives_its_lease_back() {
    let server = Server::start();
    let workspace = one_table(&server);
    server.fail(rule("GET /lake/events/", 1, Fault::Stall));
    let at = "GET /lake/events/";
    let (took, printed) = interrupt(&server, &workspace, &INTO_BUCKET, at);
    assert_eq!(printed.code, 1, "{}", printed.stderr);
    assert!(printed.stderr.contains("interrupted"), "{}", printed.stderr);
    // A second is what it may take; the answer would not have come for twenty, nor the lease have expired for sixty.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(results_in(&server, "out"), []);
    assert!(!server.path("out/ledger").exists());
    let lease = "out/.locks/night_20260101T000000Z_20260102T000000Z.lease";
    assert_eq!(fs::read(server.path(lease)).unwrap(), b"free");
    server.release();
    succeeds(&server.run(&workspace, &INTO_BUCKET));
    assert_eq!(results_in(&server, "out").len(), 2);
}

#[test]
fn an_interrupted_run_waits_for_no_store() {
    let server = Server::start();
    let workspace = one_table(&server);
    // From the first file on nothing answers, the output neither.
    server.fail(rule("GET /lake/events/", 1, Fault::Stall));
    server.fail(rule("/out/.locks/night", 1, Fault::Hold));
    server.fail(rule("/out/", 1, Fault::Hold));
    let local = ["run", "jobs/night.yaml", "--output", "local"];
    let (took, printed) = interrupt(&server, &workspace, &local, "GET /lake/events/");
    assert_eq!(printed.code, 1, "{}", printed.stderr);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let left = workspace.hashes("local");
    let left: Vec<_> = left
        .keys()
        .filter(|path| !path.starts_with(".locks/"))
        .collect();
    assert_eq!(left, [""; 0], "no temporary file and no half of a tile");
}

#[test]
fn credentials_that_expire_are_read_again() {
    let server = Server::start();
    let workspace = one_table(&server);
    let mut command = workspace.command(&RUN);
    server.environment(&mut command);
    // A command that counts how often it is asked.
    let (key, secret) = (crate::bucket::KEY, SECRET);
    let asked = workspace.path("asked");
    let script = format!(
        "#!/bin/sh\necho x >> {}\necho '{{\"Version\": 1, \"AccessKeyId\": \"{key}\", \"SecretAccessKey\": \"{secret}\"}}'\n",
        asked.display()
    );
    workspace.write("keys.sh", script);
    let profile = format!(
        "[profile tool]\ncredential_process = sh {}\nregion = us-east-1\nendpoint_url = {}\n",
        workspace.path("keys.sh").display(),
        server.address
    );
    workspace.write("config", profile);
    with_settings(&workspace, "profile: tool");
    command.env("AWS_CONFIG_FILE", workspace.path("config"));
    server.fail(rule("GET /lake/events/", 0, Fault::Expired));
    succeeds(&Printed::of(&mut command));
    assert_eq!(fs::read_to_string(&asked).unwrap(), "x\nx\n");
}

#[test]
fn keys_that_have_expired_say_so() {
    let server = Server::start();
    let workspace = one_table(&server);
    server.fail(rule("list-type=2", 1, Fault::Expired));
    let printed = server.run(&workspace, &RUN);
    assert_eq!(printed.code, 1, "{}\n{}", printed.stdout, printed.stderr);
    let said = "the credentials have expired: log in again";
    assert!(printed.stderr.contains(said), "{}", printed.stderr);
    // S3 repeats the token that expired; we do not.
    assert!(!printed.stderr.contains(SECRET), "{}", printed.stderr);
    // Once for the planner of the one hunt, and once with what was read again.
    let requests = server.requests("day=2026-01-01");
    assert_eq!(requests.len(), 2, "{requests:#?}");
}

#[test]
fn objects_are_written_as_the_location_says() {
    let server = Server::start();
    let workspace = one_table(&server);
    let job = fs::read_to_string(workspace.path("jobs/night.yaml")).unwrap();
    let settings = "credentials:\n  put:\n    sse: aws:kms\n    kms_key: arn:aws:kms:us-east-1:1:key/k\n    bucket_key: true\n    storage_class: STANDARD\n";
    let job = job.replace("output: ../out", "output: s3://lake/out");
    workspace.write("jobs/night.yaml", job.clone() + settings);
    succeeds(&server.run(&workspace, &RUN));
    let puts = server.headers("PUT /lake/out/");
    assert!(puts.len() > 5, "{}", puts.len());
    for headers in &puts {
        for expected in [
            "x-amz-server-side-encryption: aws:kms\n",
            "x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:us-east-1:1:key/k\n",
            "x-amz-server-side-encryption-bucket-key-enabled: true\n",
            "x-amz-storage-class: STANDARD\n",
        ] {
            assert!(headers.contains(expected), "{headers}");
        }
        // What is not signed is not heeded.
        let signed = headers
            .lines()
            .find(|line| line.starts_with("authorization"));
        assert!(signed.unwrap().contains("x-amz-server-side-encryption;"));
    }
    for headers in server.headers("GET /lake/events") {
        assert!(
            !headers.contains("x-amz-server-side-encryption"),
            "{headers}"
        );
    }
    workspace.write(
        "jobs/night.yaml",
        job + "credentials: {put: {kms_key: x}}\n",
    );
    let printed = server.run(&workspace, &RUN);
    assert_eq!(printed.code, 2, "{}", printed.stderr);
    assert!(
        printed.stderr.contains("without `sse`"),
        "{}",
        printed.stderr
    );
}

#[test]
fn outputs_are_for_their_owner_alone() {
    let workspace = Workspace::with_one_table();
    workspace.write(
        "lake/events/day=2026-01-01/good.ndjson",
        events(0..11) + "bad\n",
    );
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let existing = workspace.path("out/findings");
    fs::create_dir_all(&existing).unwrap();
    for folder in [&existing, &workspace.path("out")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = std::process::Command::new("sh");
    let run = "umask 022; exec \"$0\" run jobs/night.yaml";
    command.args(["-c", run, crate::workspace::BINARY]);
    command.current_dir(workspace.path(""));
    succeeds(&Printed::of(&mut command));
    let mut open = vec![workspace.path("out")];
    let mut files = 0;
    while let Some(folder) = open.pop() {
        let expected = match folder {
            _ if folder == existing || folder == workspace.path("out") => 0o755,
            _ => 0o700,
        };
        assert_eq!(mode(&folder), expected, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files += 1;
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
    assert!(files > 5, "{files}");
}
