//! An S3 server inside the test process: a folder served as buckets, signatures checked, every request logged, and faults
//! by counted rules.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::workspace::{Printed, Workspace};

/// The key that the server knows.
pub(crate) const KEY: &str = "AKIATESTS";
/// Its secret, which must be printed nowhere.
pub(crate) const SECRET: &str = "zx81-secret-of-the-tests";

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 503 `SlowDown`, and nothing is done.
    SlowDown,
    /// 500 `InternalError`, and nothing is done.
    Internal,
    /// 400 `ExpiredToken`, as S3 says it, and nothing is done.
    Expired,
    /// 403 `AccessDenied`, and nothing is done.
    Denied,
    /// The connection ends before an answer.
    Reset,
    /// No answer comes.
    Stall,
    /// The answer stops in its middle.
    StallBody,
    /// The answer ends in its middle.
    Cut,
    /// The request is carried out, and its answer lost.
    Lost,
    /// One bit of the answer is another.
    Flip,
    /// The request waits until [`Server::release`].
    Hold,
}

/// A fault for some of the requests whose `METHOD path?query` holds a text.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// What the request must hold.
    pub(crate) on: &'static str,
    /// Of those the first, and every so many after it; 0 for the first alone.
    pub(crate) every: usize,
    /// What happens.
    pub(crate) fault: Fault,
}

#[derive(Debug, Default)]
struct Log {
    /// `METHOD path?query`, and the headers.
    requests: Vec<(String, String)>,
    rules: Vec<(Rule, usize)>,
    /// A seed, and how many of a hundred requests go wrong.
    chaos: Option<(u64, u64)>,
    /// Faults that happened.
    faults: Vec<Fault>,
    /// How long every answer waits.
    latency: Duration,
    at_once: usize,
    most_at_once: usize,
}

/// Who answers what does not go wrong.
#[derive(Clone)]
enum Backend {
    Folder(S3Service),
    /// Another server, by its address.
    Remote(String),
}

/// A running server; it ends when it is dropped.
pub(crate) struct Server {
    folder: TempDir,
    pub(crate) address: String,
    log: Arc<Mutex<Log>>,
    gate: watch::Sender<bool>,
    _runtime: Runtime,
}

impl Server {
    /// Starts a server with the bucket `lake`.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lake")).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        Self::serve(folder, Backend::Folder(builder.build()))
    }

    /// Starts a server that hands requests on to another, `127.0.0.1:PORT`. Signatures hold: they are for this address.
    pub(crate) fn before(remote: &str) -> Self {
        let remote = remote.trim_start_matches("http://").to_owned();
        Self::serve(tempfile::tempdir().unwrap(), Backend::Remote(remote))
    }

    fn serve(folder: TempDir, backend: Backend) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Log::default()));
        let (gate, opened) = watch::channel(false);
        runtime.spawn(accept(listener, backend, Arc::clone(&log), opened));
        Self {
            folder,
            address,
            log,
            gate,
            _runtime: runtime,
        }
    }

    /// What is in the bucket, as the folder it is.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("lake").join(inside)
    }

    /// Puts an object without asking the server.
    pub(crate) fn write(&self, key: &str, content: impl AsRef<[u8]>) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// From now on this goes wrong.
    pub(crate) fn fail(&self, rule: Rule) {
        self.log.lock().unwrap().rules.push((rule, 0));
    }

    /// From now on so many of a hundred requests go wrong, in ways that a seed decides.
    pub(crate) fn chaos(&self, seed: u64, percent: u64) {
        self.log.lock().unwrap().chaos = Some((seed, percent));
    }

    /// From now on nothing goes wrong, and what was held goes on.
    pub(crate) fn release(&self) {
        let mut log = self.log.lock().unwrap();
        log.rules.clear();
        log.chaos = None;
        self.gate.send(true).unwrap();
    }

    /// Faults that happened.
    pub(crate) fn faults(&self) -> usize {
        self.log.lock().unwrap().faults.len()
    }

    /// Waits until a request that holds a text has come.
    pub(crate) fn wait_for(&self, holding: &str) {
        for _ in 0..1200 {
            if !self.requests(holding).is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("no request holds {holding}: {:#?}", self.requests(""));
    }

    /// From now on every answer waits this long.
    pub(crate) fn wait(&self, latency: Duration) {
        self.log.lock().unwrap().latency = latency;
    }

    /// The most requests that waited for an answer at a time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.log.lock().unwrap().most_at_once
    }

    /// The requests so far that hold a text, as `METHOD path?query`.
    pub(crate) fn requests(&self, holding: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let lines = log.requests.iter().map(|(line, _)| line);
        let found = lines.filter(|line| line.contains(holding));
        found.cloned().collect()
    }

    /// The headers of the requests so far that hold a text, a line each as `name: value`.
    pub(crate) fn headers(&self, holding: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let found = log.requests.iter();
        let found = found.filter(|(line, _)| line.contains(holding));
        found.map(|(_, headers)| headers.clone()).collect()
    }

    /// Sets the environment of a command to this server, and takes away what the machine says of others.
    pub(crate) fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_ENDPOINT_URL", &self.address)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("NO_PROXY", "127.0.0.1")
    }

    /// Runs the binary with credentials for this server.
    pub(crate) fn run(&self, workspace: &Workspace, arguments: &[&str]) -> Printed {
        let mut command = workspace.command(arguments);
        Printed::of(self.environment(&mut command))
    }
}

async fn accept(
    listener: TcpListener,
    backend: Backend,
    log: Arc<Mutex<Log>>,
    opened: watch::Receiver<bool>,
) {
    while let Ok((socket, _)) = listener.accept().await {
        // Small answers would wait for an acknowledgement that waits for them.
        socket.set_nodelay(true).unwrap();
        let (backend, log, opened) = (backend.clone(), Arc::clone(&log), opened.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(&backend, &log, opened.clone(), request));
            // A connection that the client drops is no failure of the test.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), answer)
                .await;
        });
    }
}

async fn answer(
    backend: &Backend,
    log: &Mutex<Log>,
    mut opened: watch::Receiver<bool>,
    request: Request<Incoming>,
) -> std::io::Result<Response<Body>> {
    // Readable: clients write `day=` as `day%3D`.
    let line = format!("{} {}", request.method(), request.uri()).replace("%3D", "=");
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
    let headers: String = headers.collect();
    let fault = log.lock().unwrap().note(line, headers);
    let latency = log.lock().unwrap().latency;
    tokio::time::sleep(latency).await;
    log.lock().unwrap().at_once -= 1;
    match fault {
        Some(Fault::SlowDown) => return Ok(refusal(503, "SlowDown")),
        Some(Fault::Internal) => return Ok(refusal(500, "InternalError")),
        Some(Fault::Denied) => return Ok(refusal(403, "AccessDenied")),
        Some(Fault::Expired) => return Ok(refusal(400, "ExpiredToken")),
        Some(Fault::Reset) => return Err(std::io::Error::other("reset")),
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Hold) => {
            opened.wait_for(|opened| *opened).await.unwrap();
        }
        _ => {}
    }
    let request = request.map(Body::from);
    let answered = match backend {
        Backend::Folder(service) => service.call(request).await.unwrap(),
        Backend::Remote(address) => {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket));
            let (mut sender, connection) = handshake.await.map_err(std::io::Error::other)?;
            tokio::spawn(connection);
            let answered = sender.send_request(request).await;
            let (head, body) = answered
                .map_err(std::io::Error::other)?
                .map(Body::from)
                .into_parts();
            let pieces: Vec<Bytes> = body.try_collect().await.map_err(std::io::Error::other)?;
            Response::from_parts(head, Body::from(Bytes::from(pieces.concat())))
        }
    };
    Ok(match fault {
        Some(Fault::Cut) => bent(answered, |whole| whole.len() / 2, End::Broken).await,
        Some(Fault::Lost) => bent(answered, |_| 0, End::Broken).await,
        Some(Fault::StallBody) => bent(answered, |whole| whole.len() / 2, End::Never).await,
        Some(Fault::Flip) => {
            let flip = |whole: &mut Vec<u8>| {
                if let Some(byte) = whole
                    .len()
                    .checked_sub(1)
                    .and_then(|last| whole.get_mut(last / 2))
                {
                    *byte ^= 4;
                }
                whole.len()
            };
            bent(answered, flip, End::Whole).await
        }
        _ => answered,
    })
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    let text = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Token-0>{SECRET}</Token-0></Error>"
    );
    let mut refusal = Response::new(Body::from(text));
    *refusal.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    refusal
}

impl Log {
    fn note(&mut self, request: String, headers: String) -> Option<Fault> {
        self.at_once += 1;
        self.most_at_once = self.most_at_once.max(self.at_once);
        let mut found = None;
        for (rule, seen) in &mut self.rules {
            if request.contains(rule.on) {
                let hit = match rule.every {
                    0 => *seen == 0,
                    every => seen.is_multiple_of(every),
                };
                *seen += 1;
                found = found.or(hit.then_some(rule.fault));
            }
        }
        if let (None, Some((seed, percent))) = (found, self.chaos) {
            // By the request and how often it came, so that it does not depend on what else goes on.
            let times = self.requests.iter();
            let times = times.filter(|(line, _)| *line == request).count();
            let mut hasher = DefaultHasher::new();
            (seed, &request, times).hash(&mut hasher);
            let drawn = hasher.finish();
            found = (drawn % 100 < percent).then(|| chaotic(drawn / 100, &request));
        }
        self.faults.extend(found);
        self.requests.push((request, headers));
        found
    }
}

fn chaotic(drawn: u64, request: &str) -> Fault {
    let kinds = [
        Fault::SlowDown,
        Fault::Internal,
        Fault::Reset,
        Fault::Cut,
        Fault::Lost,
        Fault::StallBody,
        Fault::Flip,
    ];
    match kinds[usize::try_from(drawn).unwrap() % kinds.len()] {
        // Only there it can be noticed: a listing has no checksum, and a part of a file none of its own.
        Fault::Flip if !(request.starts_with("GET ") && request.contains(".ndjson")) => Fault::Cut,
        fault => fault,
    }
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Broken,
    Never,
}

/// The first part of an answer, which may have been changed, and which says that it has its old length.
async fn bent(
    answered: Response<Body>,
    bend: impl FnOnce(&mut Vec<u8>) -> usize,
    end: End,
) -> Response<Body> {
    let (mut head, body) = answered.into_parts();
    let pieces: Vec<Bytes> = body.try_collect().await.unwrap();
    let mut whole = pieces.concat();
    let said = whole.len().max(usize::from(end != End::Whole));
    head.headers.insert(CONTENT_LENGTH, said.into());
    let kept = bend(&mut whole);
    whole.truncate(kept);
    let bytes = Some(Bytes::from(whole));
    Response::from_parts(head, Body::http_body_unsync(Bent { bytes, end }))
}

/// Some bytes, then an end that may be none.
struct Bent {
    bytes: Option<Bytes>,
    end: End,
}

impl hyper::body::Body for Bent {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        match self.bytes.take().filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => match self.end {
                End::Whole => Poll::Ready(None),
                End::Broken => Poll::Ready(Some(Err(std::io::Error::other("cut")))),
                End::Never => Poll::Pending,
            },
        }
    }
}
