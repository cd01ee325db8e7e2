//! Alerts on their way out: to a local server that fails, to files, as OCSF; at least once, and known again by their ids.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use serde_json::Value;

use crate::workspace::{JOB, Printed, Workspace, event_at, parquet};

const TILE: &str = "20260101T000000Z_20260102T000000Z";

/// A request as the server saw it.
#[derive(Debug)]
struct Request {
    head: String,
    body: Value,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A server on the loopback that answers one request after the other with these codes, then with the last of them.
struct Server {
    address: String,
    requests: Receiver<Request>,
}

impl Server {
    fn answering(codes: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!(
            "http://{}/hook?secret=s3cr3t",
            listener.local_addr().unwrap()
        );
        let (told, requests) = channel();
        thread::spawn(move || serve(&listener, codes, &told));
        Self { address, requests }
    }

    fn seen(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

fn serve(listener: &TcpListener, codes: &[u16], told: &Sender<Request>) {
    for (answered, stream) in listener.incoming().enumerate() {
        let mut stream = stream.unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while reader.read_line(&mut head).unwrap_or(0) > 2 {}
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let code = codes[answered.min(codes.len() - 1)];
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if told.send(Request { head, body }).is_err() {
            return;
        }
        let answer = format!(
            "HTTP/1.1 {code} X\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

/// A job that delivers, over a lake with two alerts, one of them hostile.
fn workspace(deliver: &str) -> Workspace {
    let workspace = Workspace::with_one_table();
    workspace.write("jobs/night.yaml", format!("{JOB}deliver:\n{deliver}"));
    workspace.write(
        "lake/events/day=2026-01-01/more.ndjson",
        event_at(
            "2026-01-01 11:00:00.000",
            77,
            "wmic os get /format:\"<!channel>\u{202e}*x*\u{1b}[2J.xsl\"",
        ),
    );
    workspace
}

fn run(workspace: &Workspace, server: &Server) -> Printed {
    let mut command = workspace.command(&["run", "jobs/night.yaml", "-q"]);
    command
        .env("HOOK", &server.address)
        .env("TOKEN", "t0k3n")
        .env("NO_PROXY", "127.0.0.1");
    Printed::of(&mut command)
}

fn keys(requests: &[Request]) -> Vec<String> {
    let keys = requests
        .iter()
        .map(|request| request.header("idempotency-key").unwrap().to_owned());
    keys.collect()
}

#[test]
fn a_webhook_that_fails_gets_its_alerts_on_the_next_run_and_only_once() {
    let workspace = workspace("  siem: {format: json, url_env: HOOK, token_env: TOKEN}\n");
    // The first alert is taken; the second fails as often as it is tried.
    let server = Server::answering(&[200, 503]);
    let printed = run(&workspace, &server);
    assert_eq!(printed.code, 1, "{}", printed.stderr);
    let ending = printed.stdout.lines().last().unwrap_or_default();
    assert!(ending.starts_with("exit 1: "), "{ending}");
    assert!(
        printed
            .stderr
            .contains("alerts for `siem` did not all leave: HTTP 503"),
        "{}",
        printed.stderr
    );
    assert!(!printed.stderr.contains("s3cr3t") && !printed.stderr.contains("t0k3n"));
    let seen = server.seen();
    assert_eq!(seen.len(), 4, "one, and three attempts");
    let ids = keys(&seen);
    assert_eq!(seen[0].header("authorization"), Some("Bearer t0k3n"));
    assert_eq!(seen[0].body["alert_id"].as_str(), Some(ids[0].as_str()));
    // Published all the same.
    assert_eq!(workspace.alerts("out").len(), 2);
    // The server is well again: what is open leaves, what left does not.
    let server = Server::answering(&[200]);
    let printed = run(&workspace, &server);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert_eq!(keys(&server.seen()), [ids[1].clone()]);
    assert_eq!(run(&workspace, &server).code, 0);
    assert!(server.seen().is_empty(), "a rerun sends nothing twice");
}

#[test]
fn a_webhook_that_is_not_there_or_moved_costs_no_alert() {
    let workspace = workspace("  siem: {format: json, url_env: HOOK}\n");
    let gone = Server {
        address: "http://127.0.0.1:9/x?secret=s3cr3t".to_owned(),
        requests: channel().1,
    };
    let printed = run(&workspace, &gone);
    assert_eq!(printed.code, 1);
    assert!(!printed.stderr.contains("s3cr3t"), "{}", printed.stderr);
    let moved = Server::answering(&[302]);
    let printed = run(&workspace, &moved);
    assert!(
        printed.stderr.contains("HTTP 302"),
        "no redirect is followed: {}",
        printed.stderr
    );
    let mut command = workspace.command(&["run", "jobs/night.yaml", "-q"]);
    let unset = Printed::of(command.env_remove("HOOK"));
    assert_eq!(unset.code, 1);
    assert!(
        unset
            .stderr
            .contains("the environment variable HOOK is not set"),
        "{}",
        unset.stderr
    );
    let server = Server::answering(&[200]);
    assert_eq!(run(&workspace, &server).code, 0);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn one_alert_that_is_refused_does_not_hold_up_the_others() {
    let workspace = workspace("  siem: {format: json, url_env: HOOK}\n");
    let server = Server::answering(&[400, 200]);
    let printed = run(&workspace, &server);
    assert_eq!(printed.code, 1);
    assert!(
        printed.stderr.contains("refused some: HTTP 400"),
        "{}",
        printed.stderr
    );
    let first = keys(&server.seen());
    assert_eq!(first.len(), 2);
    assert_eq!(run(&workspace, &server).code, 0);
    assert_eq!(keys(&server.seen()), [first[0].clone()]);
}

#[test]
fn messages_for_people_carry_telemetry_as_plain_text() {
    for format in ["slack", "teams"] {
        let workspace = workspace(&format!("  soc: {{format: {format}, url_env: HOOK}}\n"));
        let server = Server::answering(&[200]);
        assert_eq!(run(&workspace, &server).code, 0);
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        for request in &seen {
            let text = request.body.to_string();
            assert!(
                !text.contains('\u{202e}') && !text.contains("\\u001b"),
                "{text}"
            );
            if format == "slack" {
                assert!(!request.body["text"].as_str().unwrap().contains('<'));
                for block in request.body["blocks"].as_array().unwrap() {
                    for part in [&block["text"]]
                        .into_iter()
                        .chain(block["fields"].as_array().into_iter().flatten())
                    {
                        assert!(part.is_null() || part["type"] == "plain_text", "{part}");
                    }
                }
            } else {
                let card = &request.body["attachments"][0];
                assert_eq!(
                    card["contentType"],
                    "application/vnd.microsoft.card.adaptive"
                );
                for block in card["content"]["body"].as_array().unwrap() {
                    assert_eq!(
                        block["type"], "RichTextBlock",
                        "a TextBlock would read Markdown"
                    );
                }
            }
        }
    }
}

#[test]
fn files_for_shippers_get_each_alert_once_and_levels_choose() {
    let workspace = workspace(
        "  ship: {format: json, file: ../ship/alerts.ndjson}\n  ocsf: {format: ocsf, folder: ../ship/ocsf}\n  lake: {format: ocsf_parquet, folder: ../ship/parquet}\n  worst: {format: json, file: ../ship/worst.ndjson, level: critical}\n",
    );
    for _ in 0..2 {
        workspace.succeed(&["run", "jobs/night.yaml", "-q"]);
    }
    let text = std::fs::read_to_string(workspace.path("ship/alerts.ndjson")).unwrap();
    let alerts: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(alerts.len(), 2);
    assert_eq!(alerts[0]["status"], "new");
    assert!(!workspace.path("ship/worst.ndjson").exists());
    let text =
        std::fs::read_to_string(workspace.path(&format!("ship/ocsf/{TILE}.ndjson"))).unwrap();
    let findings: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(findings.len(), 2);
    for finding in &findings {
        required(finding);
    }
    let printed = workspace.succeed(&["alerts", "--ocsf", "-q"]);
    assert_eq!(printed.stdout.lines().count(), 2);
    printed
        .stdout
        .lines()
        .for_each(|line| required(&serde_json::from_str(line).unwrap()));
    let batches = parquet(&workspace.path(&format!("ship/parquet/{TILE}.parquet")));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    let schema = batches[0].schema();
    for column in [
        "class_uid",
        "type_uid",
        "time",
        "severity_id",
        "metadata",
        "finding_info",
    ] {
        let array = batches[0]
            .column_by_name(column)
            .unwrap_or_else(|| panic!("{column} in {schema}"));
        assert_eq!(
            datafusion::arrow::array::Array::null_count(array),
            0,
            "{column}"
        );
    }
    // Nothing is left to do.
    assert!(workspace.hashes("out/deliver/night/pending").is_empty());
}

/// What the schema of the class requires (OCSF 1.5.0: base event, finding, detection finding, their objects), and the rule
/// that ties its numbers together.
fn required(finding: &Value) {
    for (pointer, is_number) in [
        ("/activity_id", true),
        ("/category_uid", true),
        ("/class_uid", true),
        ("/type_uid", true),
        ("/time", true),
        ("/severity_id", true),
        ("/finding_info/uid", false),
        ("/finding_info/title", false),
        ("/metadata/version", false),
        ("/metadata/product/name", false),
        ("/metadata/product/vendor_name", false),
        ("/finding_info/analytic/type_id", true),
    ] {
        let value = finding
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{pointer} in {finding}"));
        assert!(
            if is_number {
                value.is_i64() || value.is_u64()
            } else {
                value.is_string()
            },
            "{pointer}: {value}"
        );
    }
    assert_eq!(
        (&finding["class_uid"], &finding["category_uid"]),
        (&2004.into(), &2.into())
    );
    assert_eq!(
        finding["type_uid"].as_u64().unwrap(),
        2004 * 100 + finding["activity_id"].as_u64().unwrap()
    );
    for one in finding["observables"].as_array().unwrap() {
        assert!(one["name"].is_string() && one["type_id"].is_u64(), "{one}");
    }
    for attack in finding["finding_info"]["attacks"].as_array().unwrap() {
        assert!(
            attack["technique"]["uid"].is_string() && attack["tactic"]["uid"].is_string(),
            "{attack}"
        );
    }
    for evidence in finding["evidences"].as_array().unwrap() {
        assert!(evidence["data"].is_object(), "{evidence}");
    }
}

#[test]
fn mistakes_in_targets_are_told_at_their_place() {
    let workspace = workspace("  soc: {format: slack, file: x}\n");
    let printed = workspace.run(&["run", "jobs/night.yaml"]);
    assert_eq!(printed.code, 2);
    assert!(
        printed
            .stderr
            .contains("deliver `soc`: this format is for webhooks"),
        "{}",
        printed.stderr
    );
    assert!(
        printed.stderr.contains("jobs/night.yaml:8:"),
        "{}",
        printed.stderr
    );
}
