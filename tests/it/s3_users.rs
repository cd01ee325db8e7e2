//! A store as people have one, with users, signatures, roles, tokens and conditions: ministack, which the test run installs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use crate::bucket::{Fault, Rule, Server};
use crate::ministack::{Ministack, User, ministack};
use crate::s3::succeeds;
use crate::s3_faults::long_lines;
use crate::workspace::{JOB, LAKE, Printed, Workspace, event_at, events, hashes_of, repository};

const RUN: [&str; 2] = ["run", "jobs/night.yaml"];
const TILE: &str = "20260101T000000Z_20260102T000000Z";

/// One table in a bucket, and a job over it that writes into the same.
fn one_table(server: &Ministack, bucket: &str) -> Workspace {
    let workspace = Workspace::with_one_table();
    let job = JOB.replace("../lake/lake.yaml", "../s3.yaml");
    let job = job.replace("output: ../out", &format!("output: s3://{bucket}/out"));
    workspace.write("jobs/night.yaml", job);
    let lake = LAKE.replace("events/", &format!("s3://{bucket}/events"));
    workspace.write("s3.yaml", lake);
    server.put(bucket, "events/day=2026-01-01/good.ndjson", &events(0..30));
    workspace
}

/// Adds a line to the table of the lake.
fn with_credentials(workspace: &Workspace, file: &str, indent: &str, credentials: &str) {
    let text = fs::read_to_string(workspace.path(file)).unwrap();
    workspace.write(
        file,
        format!("{text}{indent}credentials: {{{credentials}}}\n"),
    );
}

/// What was published: findings, alerts and quarantine.
fn published(server: &Ministack, bucket: &str) -> Vec<(String, String)> {
    let mut files = server.files(bucket, "out/");
    files.retain(|(path, _)| {
        let kinds = ["findings/", "alerts/", "quarantine/"];
        kinds.iter().any(|kind| path.starts_with(kind))
    });
    files
}

#[test]
fn the_nightly_job_from_bucket_to_bucket() {
    let Some(server) = ministack() else { return };
    let workspace = Workspace::of_repository();
    server.upload("nightly", "years/", &repository().join("data"));
    // A summary names the lake file: two files of one name.
    let lake = fs::read_to_string(workspace.path("data/lake.yaml")).unwrap();
    let lake_in = |place: &str| {
        let lake = lake.replace("location: ", &format!("location: {place}"));
        workspace.write("lake.yaml", lake);
    };
    let run = |output| {
        let run = [
            "run",
            "jobs/nightly.yaml",
            "--lake",
            "lake.yaml",
            "--output",
            output,
        ];
        [&run[..], &["--from", "2026-01-02", "--to", "2026-01-04"]].concat()
    };
    lake_in("data/");
    let said = workspace.succeed(&run("local")).stdout;
    lake_in("s3://nightly/years/");
    let front = Server::before(&server.url);
    let mut command = workspace.command(&run("s3://nightly/out"));
    server.environment(&mut command, &server.writer);
    let printed = Printed::of(command.env("AWS_ENDPOINT_URL", &front.address));
    succeeds(&printed);
    let found = server.download("nightly", "out/");
    let kinds = ["findings/", "alerts/", "quarantine/", "summary/"];
    let of = |folder: &Path| {
        let mut files = hashes_of(folder);
        files.retain(|path, _| kinds.iter().any(|kind| path.starts_with(kind)));
        files
    };
    let expected = of(&workspace.path("local"));
    assert!(expected.len() > 20, "{}", expected.len());
    let found_of = of(found.path());
    let differ = expected
        .iter()
        .filter(|(path, hash)| found_of.get(*path) != Some(*hash));
    let differ: Vec<_> = differ.map(|(path, _)| path).collect();
    assert_eq!(differ, [""; 0]);
    assert_eq!(expected.len(), found_of.len());
    // Ledgers differ in when an object was written, and in nothing else.
    for day in [
        "20260102T000000Z_20260103T000000Z",
        "20260103T000000Z_20260104T000000Z",
    ] {
        let path = format!("ledger/nightly/{day}.json");
        let read = |folder: &Path| {
            let text = fs::read_to_string(folder.join(&path)).unwrap();
            let lines = text.lines().filter(|line| !line.contains("\"modified\""));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(read(&workspace.path("local")), read(found.path()), "{day}");
    }
    // Repeats are told from what is in the bucket as from what is on disk.
    let repeats = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("repeat"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(repeats(&said), repeats(&printed.stdout));
    let puts = front.requests("PUT ");
    let ledgers = puts.iter().filter(|put| put.contains("/ledger/"));
    assert_eq!(ledgers.count(), 2, "{puts:#?}");
    assert!(
        front.requests("uploads").is_empty(),
        "each file is one request"
    );
}

#[test]
fn of_many_runs_at_once_each_tile_is_written_by_one() {
    let Some(server) = ministack() else { return };
    let workspace = one_table(server, "conditions");
    let front = Server::before(&server.url);
    let start = || {
        let mut command = workspace.command(&RUN);
        server.environment(&mut command, &server.writer);
        command.env("AWS_ENDPOINT_URL", &front.address);
        std::thread::spawn(move || Printed::of(&mut command))
    };
    let runs: Vec<_> = (0..4).map(|_| start()).collect();
    let printed: Vec<Printed> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    for printed in &printed {
        succeeds(printed);
    }
    let skipped = printed
        .iter()
        .filter(|printed| printed.stderr.contains("another run"));
    let ledgers = front.requests("PUT /conditions/out/ledger/");
    assert_eq!(ledgers.len(), 4 - skipped.count(), "{ledgers:#?}");
    assert_eq!(published(server, "conditions").len(), 2);
    let leases = front.headers("PUT /conditions/out/.locks/night");
    assert!(
        leases
            .iter()
            .any(|headers| headers.contains("if-none-match: *"))
    );
    assert!(leases.iter().any(|headers| headers.contains("if-match: ")));
}

#[test]
fn a_run_that_slept_while_another_took_its_tile_overwrites_nothing() {
    let Some(server) = ministack() else { return };
    let workspace = one_table(server, "paused");
    let front = Server::before(&server.url);
    // The first run sleeps while it reads: it has listed 30 events.
    front.fail(Rule {
        on: "GET /paused/events/day=2026-01-01/good",
        every: 0,
        fault: Fault::Hold,
    });
    let mut command = workspace.command(&RUN);
    server.environment(&mut command, &server.writer);
    command.env("AWS_ENDPOINT_URL", &front.address);
    let slept = std::thread::spawn(move || Printed::of(&mut command));
    front.wait_for("GET /paused/events/day=2026-01-01/good");
    // Its lease expires, more data come, and another run writes the tile.
    let lease = format!("out/.locks/night_{TILE}.lease");
    server.put("paused", &lease, "free");
    let more = event_at("2026-01-01 12:00:00", 999, "wmic process list /format:csv");
    server.put("paused", "events/day=2026-01-01/more.ndjson", &more);
    succeeds(&server.run(&workspace, &server.writer, &RUN));
    let newer = server.files("paused", "out/");
    front.release();
    let printed = slept.join().unwrap();
    assert_eq!(printed.code, 1, "{}\n{}", printed.stdout, printed.stderr);
    assert!(
        printed.stderr.contains("another run took this tile over"),
        "{}",
        printed.stderr
    );
    assert_eq!(newer, server.files("paused", "out/"));
}

/// A profile in a file of its own.
fn profile(workspace: &Workspace, server: &Ministack, name: &str, user: &User) -> String {
    let (key, secret, url) = (&user.key, &user.secret, &server.url);
    let text = format!(
        "[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\nendpoint_url = {url}\n"
    );
    workspace.write("credentials", text);
    workspace.path("credentials").display().to_string()
}

#[test]
fn their_lake_is_read_with_one_key_and_ours_written_with_another() {
    let Some(server) = ministack() else { return };
    let workspace = one_table(server, "readonly");
    // With the key that may only read, the output is refused before anything is read.
    let printed = server.run(&workspace, &server.reader, &RUN);
    assert_eq!(printed.code, 2, "{}\n{}", printed.stdout, printed.stderr);
    for expected in ["s3://readonly/out", "403 Forbidden", "may not do this"] {
        assert!(printed.stderr.contains(expected), "{}", printed.stderr);
    }
    assert!(!printed.stderr.contains(&server.reader.secret));
    let writers = profile(&workspace, server, "writers", &server.writer);
    with_credentials(&workspace, "jobs/night.yaml", "", "profile: writers");
    let mut command = workspace.command(&RUN);
    server.environment(&mut command, &server.reader);
    succeeds(&Printed::of(
        command.env("AWS_SHARED_CREDENTIALS_FILE", writers),
    ));
    assert_eq!(published(server, "readonly").len(), 2);
}

/// A role's credentials for some seconds, as a `credential_process` prints them.
fn token(server: &Ministack, seconds: &str) -> String {
    let writer = &server.writer;
    let arguments = ["token", &writer.key, &writer.secret, &server.role, seconds];
    server.helper(&arguments).stdout
}

#[test]
fn a_token_that_expires_is_renewed() {
    let Some(server) = ministack() else { return };
    let workspace = one_table(server, "expired");
    workspace.write("new.json", token(server, "900"));
    workspace.write("old.json", token(server, "1"));
    let expired: serde_json::Value =
        serde_json::from_slice(&fs::read(workspace.path("old.json")).unwrap()).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    // Like a tool that renews in the background: the first answer is what it had, the next what it has.
    let folder = workspace.path("");
    let script = "cat old.json; cp new.json old.json";
    let config = format!(
        "[profile tool]\ncredential_process = cd {} && {script}\nendpoint_url = {}\n",
        folder.display(),
        server.url
    );
    workspace.write("config", config);
    let plain = fs::read_to_string(workspace.path("s3.yaml")).unwrap();
    with_credentials(&workspace, "s3.yaml", "    ", "profile: tool");
    let mut command = workspace.command(&[&RUN[..], &["--output", "local"]].concat());
    server.environment(&mut command, &server.writer);
    succeeds(&Printed::of(
        command.env("AWS_CONFIG_FILE", workspace.path("config")),
    ));
    assert_eq!(workspace.alerts("local").len(), 3);
    // Without anybody who renews it, it is said what to do.
    workspace.write("s3.yaml", plain);
    let text = |name: &str| expired[name].as_str().unwrap().to_owned();
    let mut command = workspace.command(&RUN);
    let user = User {
        key: text("AccessKeyId"),
        secret: text("SecretAccessKey"),
    };
    server.environment(&mut command, &user);
    let session = text("SessionToken");
    let printed = Printed::of(command.env("AWS_SESSION_TOKEN", &session));
    assert_eq!(printed.code, 2, "{}\n{}", printed.stdout, printed.stderr);
    // The server forgets a token some time after it expired.
    let said = [
        "the credentials have expired: log in again",
        "InvalidAccessKeyId",
    ];
    let is_said = said.iter().any(|said| printed.stderr.contains(said));
    assert!(is_said, "{}", printed.stderr);
    assert!(!printed.stderr.contains(&session));
}

#[test]
fn a_profile_takes_a_role() {
    let Some(server) = ministack() else { return };
    let workspace = one_table(server, "roles");
    let file = profile(&workspace, server, "people", &server.writer);
    let config = format!(
        "[profile hunt]\nrole_arn = {}\nsource_profile = people\nregion = us-east-1\nendpoint_url = {}\n",
        server.role, server.url
    );
    workspace.write("config", config);
    // One login for the table and the output.
    with_credentials(&workspace, "jobs/night.yaml", "", "profile: hunt");
    with_credentials(&workspace, "s3.yaml", "    ", "profile: hunt");
    let front = Server::before(&server.url);
    let run = |sts: &str| {
        let mut command = workspace.command(&RUN);
        server.environment(&mut command, &server.reader);
        Printed::of(
            command
                .env("AWS_CONFIG_FILE", workspace.path("config"))
                .env("AWS_SHARED_CREDENTIALS_FILE", &file)
                .env("AWS_ENDPOINT_URL_STS", sts),
        )
    };
    succeeds(&run(&front.address));
    assert_eq!(front.requests("Action=AssumeRole").len(), 1);
    assert_eq!(published(server, "roles").len(), 2);
    front.fail(Rule {
        on: "Action=AssumeRole",
        every: 1,
        fault: Fault::Expired,
    });
    let printed = run(&front.address);
    assert_eq!(printed.code, 2, "{}", printed.stderr);
    let said = format!("STS did not give the role {}: ExpiredToken", server.role);
    assert!(printed.stderr.contains(&said), "{}", printed.stderr);
}

#[test]
fn a_profile_that_logged_in_with_sso() {
    let Some(server) = ministack() else { return };
    let workspace = one_table(server, "roles");
    // The portal of SSO, once.
    let portal = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", portal.local_addr().unwrap());
    let (key, secret) = (&server.writer.key, &server.writer.secret);
    let keys: serde_json::Value = serde_json::from_str(&token(server, "900")).unwrap();
    let body = serde_json::json!({"roleCredentials": {
        "accessKeyId": keys["AccessKeyId"],
        "secretAccessKey": keys["SecretAccessKey"],
        "sessionToken": keys["SessionToken"],
        "expiration": 1,
    }});
    let asked = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, body) in [
            ("200 OK", body.to_string()),
            ("401 Unauthorized", String::new()),
        ] {
            let (mut socket, _) = portal.accept().unwrap();
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).unwrap();
            asked.push(String::from_utf8_lossy(&request[..length]).into_owned());
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            socket.write_all(answer.as_bytes()).unwrap();
        }
        asked
    });
    workspace.write(
        ".aws/sso/cache/abc.json",
        "{\"startUrl\": \"https://corp.example/start\", \"accessToken\": \"sso-token\", \"expiresAt\": \"2030-01-01T00:00:00Z\"}",
    );
    let config = format!(
        "[profile login]\nsso_session = corp\nsso_account_id = 111\nsso_role_name = Hunt Team\nendpoint_url = {}\n[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = us-east-1\n",
        server.url
    );
    workspace.write(".aws/config", config);
    with_credentials(&workspace, "s3.yaml", "    ", "profile: login");
    let run = || {
        let mut command = workspace.command(&[&RUN[..], &["--output", "local"]].concat());
        let user = User {
            key: key.clone(),
            secret: secret.clone(),
        };
        server.environment(&mut command, &user);
        Printed::of(
            command
                .env("HOME", workspace.path(""))
                .env("AWS_ENDPOINT_URL_SSO", &address),
        )
    };
    succeeds(&run());
    assert_eq!(workspace.alerts("local").len(), 3);
    let printed = run();
    assert_eq!(printed.code, 1, "{}", printed.stderr);
    let said = "log in with `aws sso login --profile login`";
    assert!(printed.stderr.contains(said), "{}", printed.stderr);
    let asked = asked.join().unwrap();
    assert!(
        asked[0].starts_with("GET /federation/credentials?account_id=111&role_name=Hunt%20Team "),
        "{}",
        asked[0]
    );
    assert!(
        asked[0].contains("x-amz-sso_bearer_token: sso-token"),
        "{}",
        asked[0]
    );
}

#[test]
fn names_that_only_a_bucket_can_have() {
    let Some(server) = ministack() else { return };
    let workspace = one_table(server, "names");
    let lake = fs::read_to_string(workspace.path("s3.yaml")).unwrap();
    let lake = lake.replace("layout: \"day={time:%Y-%m-%d}/**\"", "layout: \"**\"");
    workspace.write("s3.yaml", lake);
    let names = [
        "a b.ndjson",
        "a+b.ndjson",
        "100%.ndjson",
        "%41.ndjson",
        "über/日本.ndjson",
        "&amp;<x>'.ndjson",
        "a//b.ndjson",
        "/leading.ndjson",
        "a///c.ndjson",
        "x=1/~!*().ndjson",
    ];
    for (number, name) in (100..).zip(names) {
        let command = format!("wmic process list /format:csv {number}");
        let event = event_at("2026-01-01 12:00:00", number, &command);
        server.put("names", &format!("events/{name}"), &event);
    }
    // What consoles make to show a folder.
    server.put("names", "events/", "");
    server.put("names", "events/folder.ndjson/", "");
    let out = ["--output", "local"];
    let printed = server.run(&workspace, &server.writer, &[&RUN[..], &out].concat());
    let ledger = workspace.json(&format!("local/ledger/night/{TILE}.json"));
    let objects = ledger["tables"]["events"]["objects"].as_array().unwrap();
    let paths: Vec<_> = objects.iter().map(|object| &object["path"]).collect();
    succeeds(&printed);
    assert_eq!(
        workspace.alerts("local").len(),
        3 + names.len(),
        "{paths:#?}"
    );
    assert!(paths.contains(&&"a/∅/b.ndjson".into()), "{paths:#?}");
    assert!(paths.contains(&&"∅/leading.ndjson".into()), "{paths:#?}");
    assert!(paths.contains(&&"%41.ndjson".into()), "{paths:#?}");
    // A location may hold an empty part too.
    let lake = fs::read_to_string(workspace.path("s3.yaml")).unwrap();
    workspace.write(
        "s3.yaml",
        lake.replace("s3://names/events", "s3://names/events/a//"),
    );
    let out = ["--output", "other"];
    succeeds(&server.run(&workspace, &server.writer, &[&RUN[..], &out].concat()));
    assert_eq!(workspace.alerts("other").len(), 2);
}

#[test]
fn no_secret_is_in_anything_that_failing_runs_leave() {
    let Some(server) = ministack() else { return };
    let workspace = one_table(server, "secrets");
    let session: serde_json::Value = serde_json::from_str(&token(server, "900")).unwrap();
    let text = |name: &str| session[name].as_str().unwrap().to_owned();
    let role = User {
        key: text("AccessKeyId"),
        secret: text("SecretAccessKey"),
    };
    let wrong = |user: &User| User {
        key: user.key.clone(),
        secret: "wrong-secret-of-a-test".to_owned(),
    };
    let unknown = User {
        key: "AKIAUNKNOWN".to_owned(),
        secret: "unknown-secret-of-a-test".to_owned(),
    };
    let bogus = "bogus-session-token-of-a-test".to_owned();
    let attempts = [
        (&wrong(&server.writer), None),
        (&unknown, None),
        (&server.reader, None),
        (&role, Some(&bogus)),
        (&role, None),
    ];
    let secrets: Vec<String> = attempts
        .iter()
        .map(|(user, _)| user.secret.clone())
        .chain([
            text("SessionToken"),
            bogus.clone(),
            server.writer.secret.clone(),
        ])
        .chain(["X-Amz-Signature".to_owned(), "Signature=".to_owned()])
        .collect();
    for (user, token) in attempts {
        for output in ["s3://secrets/out", "local"] {
            let run = ["run", "jobs/night.yaml", "--output", output];
            let mut command = workspace.command(&run);
            server.environment(&mut command, user);
            command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
            if let Some(token) = token {
                command.env("AWS_SESSION_TOKEN", token);
            }
            let printed = Printed::of(&mut command);
            // The reader may read; it may not write.
            let expected = if user.key == server.reader.key && output == "local" {
                0
            } else {
                printed.code.max(1)
            };
            assert_eq!(printed.code, expected, "{}", printed.stderr);
            let mut said = printed.stdout + &printed.stderr;
            let mut open = vec![workspace.path("")];
            while let Some(folder) = open.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        open.push(path);
                    } else {
                        said += &String::from_utf8_lossy(&fs::read(path).unwrap());
                    }
                }
            }
            for secret in &secrets {
                assert!(!said.contains(secret.as_str()), "{secret} in {said}");
            }
        }
    }
}

#[test]
fn a_bit_that_flips_in_lines_without_a_checksum_is_noticed_by_their_tag() {
    let Some(server) = ministack() else { return };
    let workspace = one_table(server, "flips");
    server.put(
        "flips",
        "events/day=2026-01-01/long.ndjson",
        &long_lines(18 << 20),
    );
    let front = Server::before(&server.url);
    let run = |workspace: &Workspace| {
        let mut command = workspace.command(&RUN);
        server.environment(&mut command, &server.writer);
        succeeds(&Printed::of(
            command.env("AWS_ENDPOINT_URL", &front.address),
        ));
        published(server, "flips")
    };
    let reads = "GET /flips/events/day=2026-01-01/long";
    let clean = run(&workspace);
    // Pieces of 8 MiB, for the hunts; and nothing more for the page, which shows no event of it.
    assert_eq!(front.requests(reads).len(), 3);
    front.fail(Rule {
        on: reads,
        every: 0,
        fault: Fault::Flip,
    });
    assert_eq!(run(&workspace), clean);
    assert_eq!(front.faults(), 1);
    assert_eq!(front.requests(reads).len(), 3 + 6);
}
