//! An S3 server inside the test process: a folder served as buckets, signatures checked, every request logged, and faults
//! by counted rules.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

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
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::workspace::{Printed, Workspace};

/// The key that the server knows.
const KEY: &str = "AKIATESTS";
/// Its secret, which must be printed nowhere.
pub(crate) const SECRET: &str = "zx81-secret-of-the-tests";

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// 503 `SlowDown`, and nothing is done.
    SlowDown,
    /// The answer ends in its middle.
    Cut,
    /// The request is carried out, and its answer lost.
    Lost,
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
    requests: Vec<String>,
    rules: Vec<(Rule, usize)>,
    /// Faults that happened.
    faults: usize,
}

/// A running server; it ends when it is dropped.
pub(crate) struct Server {
    folder: TempDir,
    address: String,
    log: Arc<Mutex<Log>>,
    _runtime: Runtime,
}

impl Server {
    /// Starts a server with the bucket `lake`.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lake")).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Log::default()));
        runtime.spawn(accept(listener, service, Arc::clone(&log)));
        Self {
            folder,
            address,
            log,
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

    /// Faults that happened.
    pub(crate) fn faults(&self) -> usize {
        self.log.lock().unwrap().faults
    }

    /// The requests so far that hold a text, as `METHOD path?query`.
    pub(crate) fn requests(&self, holding: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let found = log
            .requests
            .iter()
            .filter(|request| request.contains(holding));
        found.cloned().collect()
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

async fn accept(listener: TcpListener, service: S3Service, log: Arc<Mutex<Log>>) {
    while let Ok((socket, _)) = listener.accept().await {
        // Small answers would wait for an acknowledgement that waits for them.
        socket.set_nodelay(true).unwrap();
        let (service, log) = (service.clone(), Arc::clone(&log));
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(&service, &log, request));
            // A connection that the client drops is no failure of the test.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), answer)
                .await;
        });
    }
}

async fn answer(
    service: &S3Service,
    log: &Mutex<Log>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    // Readable: clients write `day=` as `day%3D`.
    let line = format!("{} {}", request.method(), request.uri()).replace("%3D", "=");
    let fault = log.lock().unwrap().note(line);
    if matches!(fault, Some(Fault::SlowDown)) {
        let text = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>";
        let mut slow = Response::new(Body::from(text.to_owned()));
        *slow.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
        return Ok(slow);
    }
    let answered = service.call(request.map(Body::from)).await.unwrap();
    Ok(match fault {
        Some(Fault::Cut) => cut(answered, 2).await,
        Some(Fault::Lost) => cut(answered, usize::MAX).await,
        _ => answered,
    })
}

impl Log {
    fn note(&mut self, request: String) -> Option<Fault> {
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
        self.faults += usize::from(found.is_some());
        self.requests.push(request);
        found
    }
}

/// The first part of an answer that says it is longer.
async fn cut(answered: Response<Body>, parts: usize) -> Response<Body> {
    let (mut head, body) = answered.into_parts();
    let pieces: Vec<Bytes> = body.try_collect().await.unwrap();
    let whole = pieces.concat();
    head.headers
        .insert(CONTENT_LENGTH, (whole.len().max(1)).into());
    let half = Bytes::copy_from_slice(&whole[..whole.len() / parts]);
    Response::from_parts(head, Body::http_body_unsync(Cut(Some(half))))
}

/// Some bytes, then an end that is none.
struct Cut(Option<Bytes>);

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        Poll::Ready(Some(match self.0.take().filter(|half| !half.is_empty()) {
            Some(half) => Ok(Frame::data(half)),
            None => Err(std::io::Error::other("cut")),
        }))
    }
}
