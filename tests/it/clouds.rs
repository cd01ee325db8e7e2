//! Azure and Google by the same seam as S3: a small store that speaks what both speak, and a job from it and into it.
//!
//! It has no signatures, and heeds conditions: Azure's by tag, Google's by generation.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::TryStreamExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use s3s::Body;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::s3::succeeds;
use crate::workspace::{JOB, LAKE, Printed, Workspace, events};

/// Who it is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Azure,
    Google,
}

/// What is in the bucket `lake`: bytes, and how often they were written.
#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, (Bytes, u64)>,
    writes: u64,
    /// `METHOD key condition`
    requests: Vec<String>,
}

struct Cloud {
    kind: Kind,
    address: String,
    state: Arc<Mutex<State>>,
    _runtime: Runtime,
}

impl Cloud {
    fn start(kind: Kind) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(kind, &shared, request));
                    // A connection that the client drops is no failure of the test.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self {
            kind,
            address,
            state,
            _runtime: runtime,
        }
    }

    fn write(&self, key: &str, content: impl Into<Bytes>) {
        let mut state = self.state.lock().unwrap();
        state.writes += 1;
        let writes = state.writes;
        state
            .objects
            .insert(key.to_owned(), (content.into(), writes));
    }

    fn requests(&self, holding: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let found = state.requests.iter();
        found
            .filter(|line| line.contains(holding))
            .cloned()
            .collect()
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let keys = state.objects.keys();
        keys.filter(|key| key.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// A job from it and into it.
    fn workspace(&self) -> Workspace {
        let workspace = Workspace::with_one_table();
        let (scheme, account) = match self.kind {
            Kind::Azure => ("az", "anonymous: true, account: corp, "),
            Kind::Google => ("gs", ""),
        };
        let credentials = format!(
            "credentials: {{{account}endpoint: \"{}\", give_up: 5s}}\n",
            self.address
        );
        let lake = LAKE.replace("events/", &format!("{scheme}://lake/events"));
        workspace.write("lake.yaml", format!("{lake}    {credentials}"));
        let job = JOB.replace("../lake/lake.yaml", "../lake.yaml");
        let job = job.replace("../out", &format!("{scheme}://lake/out"));
        workspace.write("jobs/night.yaml", job + &credentials);
        workspace
    }

    fn run(workspace: &Workspace) -> Printed {
        let mut command = workspace.command(&["run", "jobs/night.yaml", "--stats"]);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["AZURE_", "GOOGLE_"]
                .iter()
                .any(|store| text.starts_with(store))
            {
                command.env_remove(&name);
            }
        }
        // Google's client signs every write; this key says that nobody looks at it.
        let key = r#"{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;
        command.env("GOOGLE_SERVICE_ACCOUNT_KEY", key);
        // Where its tools keep what somebody logged in with.
        command
            .env("HOME", workspace.path(""))
            .env("NO_PROXY", "127.0.0.1");
        Printed::of(&mut command)
    }
}

async fn answer(
    kind: Kind,
    state: &Mutex<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body: Vec<Bytes> = Body::from(body).try_collect().await.unwrap();
    let body = Bytes::from(body.concat());
    let path = decoded(head.uri.path());
    let key = path.strip_prefix("/lake/").unwrap_or_default().to_owned();
    let query: BTreeMap<String, String> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let mut state = state.lock().unwrap();
    let condition = match kind {
        Kind::Azure => ["if-none-match", "if-match"]
            .iter()
            .find_map(|name| Some(format!("{name} {}", header(&head.headers, name)?))),
        Kind::Google => header(&head.headers, "x-goog-if-generation-match"),
    };
    let line = format!("{} {key} {}", head.method, condition.unwrap_or_default());
    state.requests.push(line);
    let lists = query.contains_key("list-type") || query.contains_key("comp");
    Ok(match head.method.as_str() {
        "GET" if lists => state.list(kind, &query),
        "GET" | "HEAD" => state.get(&key, &head.headers),
        "PUT" => state.put(kind, key, body, &head.headers),
        "DELETE" => state.delete(&key),
        _ => state.batch(&body),
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let digits = std::str::from_utf8(&after[..2]).unwrap();
                rest = &after[2..];
                u8::from_str_radix(digits, 16).unwrap()
            }
            b'+' => b' ',
            byte => *byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().unwrap().to_owned())
}

fn reply(
    status: u16,
    headers: &[(&'static str, String)],
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut reply = Response::builder().status(status);
    for (name, value) in headers {
        reply = reply.header(*name, value);
    }
    reply.body(Body::from(body.into())).unwrap()
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    // As Azure begins its answers.
    let text = format!(
        "\u{feff}<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>No.</Message></Error>"
    );
    reply(status, &[], text)
}

/// Of the write, so that it is another on each.
fn tag(write: u64) -> String {
    format!("0x8D{write:04}")
}

const CHANGED: &str = "Fri, 02 Jan 2026 10:00:00 GMT";

fn headers_of(write: u64) -> Vec<(&'static str, String)> {
    vec![
        ("etag", format!("\"{}\"", tag(write))),
        ("last-modified", CHANGED.to_owned()),
        ("x-goog-generation", write.to_string()),
    ]
}

impl State {
    fn list(&self, kind: Kind, query: &BTreeMap<String, String>) -> Response<Body> {
        let prefix = query.get("prefix").map_or("", String::as_str);
        let (mut folders, mut text) = (BTreeSet::new(), String::new());
        for (key, (bytes, write)) in &self.objects {
            let Some(rest) = key.strip_prefix(prefix) else {
                continue;
            };
            if let (Some(end), true) = (rest.find('/'), query.contains_key("delimiter")) {
                folders.insert(format!("{prefix}{}", &rest[..=end]));
                continue;
            }
            let (size, tag) = (bytes.len(), tag(*write));
            // Azure lists tags without quotes.
            let _ = match kind {
                Kind::Azure => write!(
                    text,
                    "<Blob><Name>{key}</Name><Properties><Last-Modified>{CHANGED}</Last-Modified><Etag>{tag}</Etag><Content-Length>{size}</Content-Length><Content-Type>x</Content-Type></Properties></Blob>"
                ),
                Kind::Google => write!(
                    text,
                    "<Contents><Key>{key}</Key><LastModified>2026-01-02T10:00:00.000Z</LastModified><ETag>\"{tag}\"</ETag><Size>{size}</Size></Contents>"
                ),
            };
        }
        for folder in folders {
            let _ = match kind {
                Kind::Azure => write!(text, "<BlobPrefix><Name>{folder}</Name></BlobPrefix>"),
                Kind::Google => write!(
                    text,
                    "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"
                ),
            };
        }
        reply(
            200,
            &[],
            match kind {
                Kind::Azure => format!(
                    "<?xml version=\"1.0\"?><EnumerationResults><Blobs>{text}</Blobs><NextMarker/></EnumerationResults>"
                ),
                Kind::Google => format!(
                    "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{text}</ListBucketResult>"
                ),
            },
        )
    }

    fn get(&self, key: &str, headers: &HeaderMap) -> Response<Body> {
        let Some((bytes, write)) = self.objects.get(key) else {
            return refusal(404, "NotFound");
        };
        let mut told = headers_of(*write);
        if header(headers, "if-match").is_some_and(|wanted| wanted != told[0].1) {
            return refusal(412, "ConditionNotMet");
        }
        let range = header(headers, "range").or_else(|| header(headers, "x-ms-range"));
        let Some(range) = range else {
            return reply(200, &told, bytes.clone());
        };
        let (from, to) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        let end = (to + 1).min(bytes.len());
        told.push((
            "content-range",
            format!("bytes {from}-{}/{}", end - 1, bytes.len()),
        ));
        reply(206, &told, bytes.slice(from..end))
    }

    fn put(&mut self, kind: Kind, key: String, body: Bytes, headers: &HeaderMap) -> Response<Body> {
        let now = self.objects.get(&key).map_or(0, |(_, write)| *write);
        let quoted = format!("\"{}\"", tag(now));
        let holds = match kind {
            Kind::Google => header(headers, "x-goog-if-generation-match")
                .is_none_or(|wanted| wanted == now.to_string()),
            Kind::Azure => {
                (header(headers, "if-none-match").is_none() || now == 0)
                    && header(headers, "if-match").is_none_or(|wanted| now > 0 && wanted == quoted)
            }
        };
        match (holds, kind, now) {
            (false, Kind::Azure, 1..) if headers.contains_key("if-none-match") => {
                refusal(409, "BlobAlreadyExists")
            }
            (false, ..) => refusal(412, "ConditionNotMet"),
            _ => {
                self.writes += 1;
                self.objects.insert(key, (body, self.writes));
                reply(201, &headers_of(self.writes), "")
            }
        }
    }

    fn delete(&mut self, key: &str) -> Response<Body> {
        match self.objects.remove(key) {
            Some(_) => reply(204, &[], ""),
            None => refusal(404, "NotFound"),
        }
    }

    /// A batch of removals, as Azure takes them.
    fn batch(&mut self, body: &[u8]) -> Response<Body> {
        let text = String::from_utf8_lossy(body).into_owned();
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("DELETE /lake/"));
        let mut parts = String::new();
        for (number, line) in lines.enumerate() {
            let key = decoded(line.split([' ', '?']).next().unwrap());
            self.requests.push(format!("DELETE {key}"));
            let status = match self.objects.remove(&key) {
                Some(_) => "202 Accepted",
                None => "404 NotFound",
            };
            let _ = write!(
                parts,
                "--b\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 {status}\r\nx: y\r\n\r\n\r\n"
            );
        }
        let kind = "multipart/mixed; boundary=b".to_owned();
        reply(202, &[("content-type", kind)], parts + "--b--\r\n")
    }
}

#[test]
fn a_job_from_a_cloud_into_it_replaces_what_is_there_and_nothing_else() {
    for kind in [Kind::Azure, Kind::Google] {
        let cloud = Cloud::start(kind);
        let workspace = cloud.workspace();
        cloud.write("events/day=2026-01-01/good.ndjson", events(0..11));
        // A name with an empty part, which `object_store` takes for no name.
        cloud.write("events/day=2026-01-01//odd.ndjson", events(20..21));
        let printed = Cloud::run(&workspace);
        succeeds(&printed);
        let name = if kind == Kind::Azure {
            "az://lake"
        } else {
            "gs://lake"
        };
        assert!(printed.stderr.contains(name), "{}", printed.stderr);
        assert!(printed.stdout.contains("2/2"), "{}", printed.stdout);
        let files = cloud.keys("out/findings/");
        assert_eq!(files.len(), 1, "{kind:?} {files:?}");
        // Once: for the hunts, and for the raw events that the page shows.
        assert_eq!(cloud.requests("GET events/day=2026-01-01//odd").len(), 1);
        // Everything of the tile under a condition: it was not there.
        let puts = cloud.requests("PUT out/ledger/");
        let absent = if kind == Kind::Azure {
            " if-none-match *"
        } else {
            " 0"
        };
        assert!(puts.len() == 1 && puts[0].ends_with(absent), "{puts:?}");
        // A rerun replaces the version that it has seen in a listing, which knows no generations.
        let before = cloud.state.lock().unwrap().objects[&files[0]].clone();
        cloud.write("events/day=2026-01-01/more.ndjson", events(30..41));
        succeeds(&Cloud::run(&workspace));
        let after = cloud.state.lock().unwrap().objects[&files[0]].clone();
        assert_ne!(before.0, after.0);
        let puts = cloud.requests(&format!("PUT {}", files[0]));
        let seen = match kind {
            Kind::Azure => format!(" if-match \"{}\"", tag(before.1)),
            Kind::Google => format!(" {}", before.1),
        };
        assert!(puts.len() == 2 && puts[1].ends_with(&seen), "{puts:?}");
        // What is not found any more is removed.
        for key in cloud.keys("events/") {
            cloud.write(&key, events(1..2));
        }
        succeeds(&Cloud::run(&workspace));
        assert_eq!(cloud.keys("out/findings/"), [""; 0]);
        assert_eq!(cloud.keys("out/.locks/").len(), 1, "the lease, given back");
        // Somebody has the tile.
        let lease = cloud.keys("out/.locks/").remove(0);
        cloud.write(&lease, "another 0");
        let printed = Cloud::run(&workspace);
        succeeds(&printed);
        assert!(printed.stderr.contains("another run"), "{}", printed.stderr);
    }
}

#[test]
fn what_a_cloud_refuses_is_told_in_its_words() {
    let cloud = Cloud::start(Kind::Azure);
    let workspace = cloud.workspace();
    let lake = std::fs::read_to_string(workspace.path("lake.yaml")).unwrap();
    workspace.write("lake.yaml", lake.replace("account: corp, ", ""));
    let printed = Cloud::run(&workspace);
    assert_eq!(printed.code, 2, "{}", printed.stderr);
    for word in [
        "az://lake names no storage account",
        "AZURE_STORAGE_ACCOUNT_NAME",
        "lake.yaml:",
    ] {
        assert!(printed.stderr.contains(word), "{word}: {}", printed.stderr);
    }
    workspace.write(
        "lake.yaml",
        lake.replace("account: corp", "profile: x, account: corp"),
    );
    let printed = Cloud::run(&workspace);
    assert_eq!(printed.code, 2, "{}", printed.stderr);
    let said = "`profile` means nothing to az://";
    assert!(printed.stderr.contains(said), "{}", printed.stderr);
}
