//! Counts what goes to buckets and comes back: every request to every bucket, repeated ones and those for credentials
//! too, because it counts where they leave the process.
//!
//! One count for each bucket and process: a process is one run. Local disk has no requests.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use http_body::{Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};
use serde::Serialize;

/// What went to one location and came back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Pages of listings.
    pub list: u64,
    /// Objects and ranges of them.
    pub get: u64,
    /// Looks at an object.
    pub head: u64,
    /// Objects and parts of them.
    pub put: u64,
    /// Removals.
    pub delete: u64,
    /// For credentials.
    pub other: u64,
    /// Those of all these that did not end well and are made again: 5xx, 429, 408, no answer, an answer that broke off.
    pub failed: u64,
    /// Bytes of answers.
    pub bytes: u64,
}

impl Traffic {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.list + self.get + self.head + self.put + self.delete + self.other
    }

    /// What was added to an earlier count of the same location.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            list: self.list - before.list,
            get: self.get - before.get,
            head: self.head - before.head,
            put: self.put - before.put,
            delete: self.delete - before.delete,
            other: self.other - before.other,
            failed: self.failed - before.failed,
            bytes: self.bytes - before.bytes,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    List,
    Get,
    Head,
    Put,
    Delete,
    Other,
    Failed,
    Bytes,
}

#[derive(Debug, Default)]
struct Counters([AtomicU64; 8]);

impl Counters {
    fn add(&self, kind: Kind, count: u64) {
        self.0[kind as usize].fetch_add(count, Ordering::Relaxed);
    }

    fn now(&self) -> Traffic {
        let of = |kind: Kind| self.0[kind as usize].load(Ordering::Relaxed);
        Traffic {
            list: of(Kind::List),
            get: of(Kind::Get),
            head: of(Kind::Head),
            put: of(Kind::Put),
            delete: of(Kind::Delete),
            other: of(Kind::Other),
            failed: of(Kind::Failed),
            bytes: of(Kind::Bytes),
        }
    }
}

static BUCKETS: LazyLock<Mutex<BTreeMap<String, Arc<Counters>>>> = LazyLock::new(Mutex::default);

/// The traffic of each bucket of this process so far, by its address.
pub fn traffic() -> BTreeMap<String, Traffic> {
    let buckets = BUCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    let counted = buckets.iter();
    counted
        .map(|(address, counters)| (address.clone(), counters.now()))
        .collect()
}

/// Makes clients whose requests are counted.
#[derive(Debug)]
pub(super) struct Counting(Arc<Counters>);

impl Counting {
    /// For the bucket at an address.
    pub(super) fn at(address: &str) -> Self {
        let mut buckets = BUCKETS.lock().unwrap_or_else(PoisonError::into_inner);
        Self(Arc::clone(buckets.entry(address.to_owned()).or_default()))
    }
}

impl HttpConnector for Counting {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Counted {
            client: ReqwestConnector::default().connect(options)?,
            counters: Arc::clone(&self.0),
        }))
    }
}

#[derive(Debug)]
struct Counted {
    client: HttpClient,
    counters: Arc<Counters>,
}

#[async_trait]
impl HttpService for Counted {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.counters.add(kind(&request), 1);
        let answered = self.client.execute(request).await;
        let is_failure = answered.as_ref().map_or(true, |answer| {
            let status = answer.status().as_u16();
            status >= 500 || status == 429 || status == 408
        });
        self.counters.add(Kind::Failed, u64::from(is_failure));
        let answer = answered?;
        let length = answer.headers().get("content-length");
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Ok(answer.map(|body| {
            HttpResponseBody::new(Body {
                stream: Mutex::new(body.bytes_stream()),
                length,
                counters: Arc::clone(&self.counters),
            })
        }))
    }
}

fn kind(request: &HttpRequest) -> Kind {
    let query = request.uri().query().unwrap_or_default();
    // Where machines and containers ask for their credentials.
    let host = request.uri().host().unwrap_or_default();
    let logins = ["169.254.", "sts.", "metadata.", "login.", "oauth2."];
    if logins.iter().any(|login| host.starts_with(login)) {
        return Kind::Other;
    }
    match request.method().as_str() {
        "GET" if query.contains("list-type=2") || query.contains("comp=list") => Kind::List,
        "GET" => Kind::Get,
        "HEAD" => Kind::Head,
        "PUT" => Kind::Put,
        "DELETE" => Kind::Delete,
        // Azure removes several at a time, or one.
        "POST" if query.starts_with("delete") || query.contains("comp=batch") => Kind::Delete,
        "POST" if query.contains("upload") => Kind::Put,
        _ => Kind::Other,
    }
}

/// The body of an answer; its bytes are counted as they come.
struct Body {
    /// In a mutex that is never locked: a body must be `Sync`, a stream is not.
    stream: Mutex<BoxStream<'static, Result<Bytes, HttpError>>>,
    length: Option<u64>,
    counters: Arc<Counters>,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let stream = self
            .stream
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let polled = stream.as_mut().poll_next(context);
        match &polled {
            Poll::Ready(Some(Ok(bytes))) => self.counters.add(Kind::Bytes, bytes.len() as u64),
            Poll::Ready(Some(Err(_))) => self.counters.add(Kind::Failed, 1),
            _ => {}
        }
        polled.map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
