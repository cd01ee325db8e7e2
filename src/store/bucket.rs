//! A bucket as an `ObjectStore` that survives what `object_store` alone does not: every request is repeated within one
//! budget and with the credentials of the moment, lists page by page, and bodies are whole and checked before anybody
//! sees them.
//!
//! One policy for all requests stands here; that of `object_store` is switched off, because it knows neither lists that
//! were cut nor credentials that expire, and because the time of two policies adds up.
//!
//! What is checked of a body: its length always, and the MD5 that its tag is for objects that were put in one part and
//! are read in one piece, as most files of a lake are. Lines that are read in pieces are checked against it when the last
//! piece is here ([`super::read_ahead`]). For Parquet, and where tags are no digests, only the format can tell (the checks
//! of gzip and zstd, the page checksums of Parquet); over TLS no bit flips on the way.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Attribute, CopyOptions, Error as StoreError, GetOptions, GetResult, GetResultPayload,
    ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::address::{BucketName, Provider};
use super::client::{self, Client, Settings};
use super::fault::Fault;
pub(super) use super::fault::told;
use super::object_path;
use super::tags::{Earlier, Tags};
use crate::credentials::Credentials;

/// The first pause before a request is made again; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Tries where nobody answers: three seconds of them.
const TRIES_UNREACHABLE: u32 = 5;

/// Tries after a request was given up and before another got through, and how long they may take: what is down is not asked
/// for minutes for each file.
const TRIES_DOWN: u32 = 3;
const PATIENCE_DOWN: Duration = Duration::from_secs(10);

/// How often an object is fetched whose bytes are not those of its tag.
const TRIES_FLIPPED: u32 = 4;

/// Whether a request may be made again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Yes,
    /// Not without a look at what is there: a condition that does not hold any more may be its own doing.
    No,
}

/// A bucket with one way to reach it.
#[derive(Clone)]
struct Bucket(Arc<Inner>);

struct Inner {
    name: BucketName,
    credentials: Credentials,
    settings: Settings,
    /// With the number of times it was made anew.
    client: RwLock<(u64, Arc<dyn Client>)>,
    /// A request was given up, and none got through since.
    is_down: AtomicBool,
    tags: Arc<Tags>,
}

/// By hand, because clients know keys.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.to_string()).finish()
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.name.fmt(f)
    }
}

/// The buckets of this process: tables, lookups and output in one bucket share connections and logins.
static OPEN: Mutex<Vec<Bucket>> = Mutex::new(Vec::new());

/// A prefix of a bucket as a store of its own, and what is known of the bucket's tags.
///
/// # Errors
/// A configuration error: an unknown profile, or options that do not go together.
pub(super) fn open(
    name: &BucketName,
    prefix: &str,
    credentials: &Credentials,
) -> crate::error::Result<(Arc<dyn ObjectStore>, Arc<Tags>)> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_same = |bucket: &&Bucket| bucket.0.name == *name && bucket.0.credentials == *credentials;
    let bucket = if let Some(bucket) = open.iter().find(is_same) {
        bucket.clone()
    } else {
        let settings = Settings::of(credentials)?;
        let client = client::connect(name, credentials)?;
        let bucket = Bucket(Arc::new(Inner {
            name: name.clone(),
            credentials: credentials.clone(),
            settings,
            client: RwLock::new((0, client)),
            is_down: AtomicBool::new(false),
            tags: Arc::default(),
        }));
        open.push(bucket.clone());
        bucket
    };
    let tags = Arc::clone(&bucket.0.tags);
    let store = PrefixStore::new(bucket, object_path(prefix));
    Ok((Arc::new(store), tags))
}

impl Bucket {
    /// Makes a request until it succeeds, its error will not pass, or its time is over.
    async fn request<T, F>(
        &self,
        repeat: Repeat,
        attempt: impl Fn(Arc<dyn Client>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let inner = &self.0;
        let mut give_up = inner.settings.give_up;
        if inner.is_down.load(Ordering::Relaxed) {
            give_up = give_up.min(PATIENCE_DOWN);
        }
        let mut last = None;
        let tried = self.attempts(repeat, attempt, &mut last);
        if let Ok(ended) = tokio::time::timeout(give_up, tried).await {
            return ended;
        }
        Err(self.given_up(&last.unwrap_or_else(|| failure("no answer came in time"))))
    }

    fn given_up(&self, error: &StoreError) -> StoreError {
        self.0.is_down.store(true, Ordering::Relaxed);
        failure(&format!("given up after several tries: {}", told(error)))
    }

    /// The tries of a request, without a limit of time; `last` is the error of the one before.
    async fn attempts<T, F>(
        &self,
        repeat: Repeat,
        attempt: impl Fn(Arc<dyn Client>) -> F,
        last: &mut Option<StoreError>,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let inner = &self.0;
        let mut pause = PAUSE;
        let mut renewed = false;
        let mut tries = 0;
        loop {
            let (times, client) = self.client();
            let error = match attempt(client).await {
                Ok(done) => {
                    inner.is_down.store(false, Ordering::Relaxed);
                    return Ok(done);
                }
                Err(error) => error,
            };
            tries += 1;
            let most = match Fault::of(&error) {
                Fault::Final => return Err(error),
                Fault::Expired if renewed => return Err(error),
                Fault::Expired => {
                    renewed = true;
                    self.renew(times)?;
                    continue;
                }
                _ if repeat == Repeat::No => return Err(error),
                _ if inner.is_down.load(Ordering::Relaxed) => TRIES_DOWN,
                Fault::Unreachable => TRIES_UNREACHABLE,
                Fault::Passing => u32::MAX,
            };
            if tries >= most {
                return Err(self.given_up(&error));
            }
            *last = Some(error);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn client(&self) -> (u64, Arc<dyn Client>) {
        let client = self.0.client.read();
        client.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the credentials again, unless another request has done so since.
    fn renew(&self, times: u64) -> Result<()> {
        let client = self.0.client.write();
        let mut client = client.unwrap_or_else(PoisonError::into_inner);
        if client.0 == times {
            let connected = client::connect(&self.0.name, &self.0.credentials);
            let connected = connected.map_err(|error| failure(error.message()))?;
            *client = (times + 1, connected);
        }
        Ok(())
    }

    /// A step of an answer, which must not take longer than the store may stall.
    async fn step<T>(&self, step: impl Future<Output = T>) -> Result<T> {
        let stall = self.0.settings.stall;
        let stepped = tokio::time::timeout(stall, step).await;
        stepped.map_err(|_| failure("the answer stalled"))
    }

    /// One answer with the whole of its body.
    async fn fetch(
        &self,
        client: Arc<dyn Client>,
        location: &Path,
        options: GetOptions,
    ) -> Result<(GetResult, Bytes)> {
        let is_head = options.head;
        let mut result = self.step(client.get_opts(location, options)).await??;
        let payload = GetResultPayload::Stream(stream::empty().boxed());
        let payload = std::mem::replace(&mut result.payload, payload);
        let GetResultPayload::Stream(mut stream) = payload else {
            return Err(failure("a bucket gave a file"));
        };
        if is_head {
            return Ok((result, Bytes::new()));
        }
        let expected = usize::try_from(result.range.end - result.range.start).unwrap_or(usize::MAX);
        let mut body = BytesMut::new();
        while let Some(piece) = self.step(stream.next()).await? {
            let piece = piece?;
            if body.is_empty() && piece.len() == expected {
                return Ok((result, piece));
            }
            body.extend_from_slice(&piece);
        }
        if body.len() != expected {
            let length = body.len();
            return Err(failure(&format!(
                "{length} bytes came where {expected} were announced"
            )));
        }
        Ok((result, body.freeze()))
    }

    /// Whether bytes are those of their tag, as far as that can be told.
    fn is_sound(&self, result: &GetResult, bytes: &Bytes, earlier: &Earlier) -> bool {
        let is_whole = result.range.start == 0 && result.range.end == result.meta.size;
        let tags = &self.0.tags;
        let tag = result.meta.e_tag.as_deref();
        match tag.and_then(|tag| tags.digest_of(tag)) {
            Some(tag) if is_whole => tags.is_sound(&tag, crate::hex(&Md5::digest(bytes)), earlier),
            _ => true,
        }
    }

    /// The pages of a listing, each a request.
    fn pages(
        self,
        prefix: Option<&Path>,
        delimiter: bool,
    ) -> impl futures::Stream<Item = Result<ListResult>> + Send + 'static {
        let prefix = prefix.filter(|prefix| !prefix.as_ref().is_empty());
        let prefix = prefix.map(|prefix| format!("{prefix}/"));
        stream::try_unfold(Some(None::<String>), move |token| {
            let (bucket, prefix) = (self.clone(), prefix.clone());
            async move {
                let Some(token) = token else { return Ok(None) };
                let page = |client: Arc<dyn Client>| {
                    let (bucket, prefix, token) = (bucket.clone(), prefix.clone(), token.clone());
                    async move {
                        let options = PaginatedListOptions {
                            delimiter: delimiter.then_some("/".into()),
                            page_token: token,
                            ..PaginatedListOptions::default()
                        };
                        let listed = client.list_paginated(prefix.as_deref(), options);
                        bucket.step(listed).await?
                    }
                };
                let mut page = bucket.request(Repeat::Yes, page).await?;
                if bucket.0.name.provider == Provider::Azure {
                    page.result.objects.iter_mut().for_each(quote_tag);
                }
                Ok(Some((page.result, page.page_token.map(Some))))
            }
        })
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let put = self.0.credentials.put.as_ref();
        if let Some(class) = put.and_then(|put| put.storage_class.clone()) {
            let attributes = &mut options.attributes;
            attributes.insert(Attribute::StorageClass, class.into());
        }
        let repeat = match options.mode {
            PutMode::Overwrite => Repeat::Yes,
            PutMode::Create | PutMode::Update(_) => Repeat::No,
        };
        self.request(repeat, |client| {
            let (payload, options) = (payload.clone(), options.clone());
            async move { client.put_opts(location, payload, options).await }
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        // Outputs are one request each.
        let (_, client) = self.client();
        client.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let earlier = Earlier::default();
        for _ in 0..TRIES_FLIPPED {
            let fetch = |client| self.fetch(client, location, options.clone());
            let (mut result, bytes) = self.request(Repeat::Yes, fetch).await?;
            if options.head || self.is_sound(&result, &bytes, &earlier) {
                let body = stream::once(async { Ok(bytes) });
                result.payload = GetResultPayload::Stream(body.boxed());
                return Ok(result);
            }
        }
        Err(failure(
            "its bytes are others each time, and never those of its tag",
        ))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let bucket = self.clone();
        let deleted = locations.and_then(move |location| {
            let bucket = bucket.clone();
            async move {
                let delete = |client: Arc<dyn Client>| {
                    let location = location.clone();
                    async move { client.delete(&location).await }
                };
                bucket.request(Repeat::Yes, delete).await?;
                Ok(location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let objects = |page: ListResult| stream::iter(page.objects.into_iter().map(Ok));
        let pages = self.clone().pages(prefix, false);
        pages.map_ok(objects).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let whole = ListResult {
            common_prefixes: Vec::new(),
            objects: Vec::new(),
        };
        let add = |mut whole: ListResult, page: ListResult| async {
            whole.common_prefixes.extend(page.common_prefixes);
            whole.objects.extend(page.objects);
            Ok(whole)
        };
        self.clone().pages(prefix, true).try_fold(whole, add).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (_, client) = self.client();
        client.copy_opts(from, to, options).await
    }
}

/// Azure lists tags without the quotes that they have everywhere else.
fn quote_tag(object: &mut ObjectMeta) {
    let tag = object.e_tag.take();
    object.e_tag = tag.map(|tag| format!("\"{}\"", tag.trim_matches('"')));
}

fn failure(text: &str) -> StoreError {
    StoreError::Generic {
        store: "bucket",
        source: text.to_owned().into(),
    }
}
