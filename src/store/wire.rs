//! Between `object_store` and HTTP: names of objects that `object_store` refuses or bends, so that one of them does not
//! end the listing of a table.
//!
//! S3, Azure and Google allow any text as a name. `object_store` fails a whole listing for `a//b`, and reads `folder/` as `folder`. In
//! what a listing says, an empty part becomes [`EMPTY`], which is shown to people, and is turned back in requests, which
//! are then signed anew. Markers of folders (`folder/` of zero bytes, which consoles make) are left out. A part `.` or
//! `..` can be listed and not read, because clients resolve it: it is reported as lost.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::azure::{AzureAuthorizer, AzureCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

use super::traffic::Counting;

/// What an empty part of a name is shown as.
pub(super) const EMPTY: &str = "∅";

/// The same in a request.
const EMPTY_ENCODED: &str = "%E2%88%85";

/// What signs requests anew. Google's have a token, which is good for any.
#[derive(Debug)]
pub(super) enum Signer {
    S3 {
        credentials: AwsCredentialProvider,
        region: String,
    },
    Azure {
        credentials: AzureCredentialProvider,
        account: String,
    },
}

impl Signer {
    async fn sign(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        match self {
            Self::S3 {
                credentials,
                region,
            } => {
                let credential = credentials.get_credential().await?;
                AwsAuthorizer::new(&credential, "s3", region).authorize(request, None);
            }
            Self::Azure {
                credentials,
                account,
            } => {
                let credential = credentials.get_credential().await?;
                request.headers_mut().remove("authorization");
                AzureAuthorizer::new(&credential, account).authorize(request);
            }
        }
        Ok(())
    }
}

/// Makes clients that know such names.
#[derive(Debug)]
pub(super) struct Wire {
    signer: Arc<OnceLock<Signer>>,
    counting: Counting,
}

impl Wire {
    /// The signer is set when the credentials are known.
    pub(super) fn new(signer: Arc<OnceLock<Signer>>, counting: Counting) -> Self {
        Self { signer, counting }
    }
}

impl HttpConnector for Wire {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service {
            client: self.counting.connect(options)?,
            signer: Arc::clone(&self.signer),
        }))
    }
}

#[derive(Debug)]
struct Service {
    client: HttpClient,
    signer: Arc<OnceLock<Signer>>,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(meant) = as_meant(&request.uri().to_string()) {
            let uri = meant.parse();
            *request.uri_mut() =
                uri.map_err(|error| HttpError::new(HttpErrorKind::Decode, error))?;
            if let Some(signer) = self.signer.get()
                && request.headers().contains_key("authorization")
            {
                let signed = signer.sign(&mut request).await;
                signed.map_err(|error| HttpError::new(HttpErrorKind::Decode, error))?;
            }
        }
        let query = request.uri().query().unwrap_or_default();
        let asks_for = |what| query.split('&').any(|part| part == what);
        let words = match () {
            () if asks_for("list-type=2") => Some(&OF_S3),
            () if asks_for("comp=list") => Some(&OF_AZURE),
            () => None,
        };
        let response = self.client.execute(request).await?;
        let Some(words) = words.filter(|_| response.status().is_success()) else {
            return Ok(response);
        };
        let (head, body) = response.into_parts();
        let listed = body.bytes().await?;
        let listed = match readable_of(&listed, words) {
            Some(text) => Bytes::from(text),
            None => listed,
        };
        Ok(HttpResponse::from_parts(head, listed.into()))
    }
}

/// A request with the empty parts that it means; `None` where it has none.
fn as_meant(uri: &str) -> Option<String> {
    if !uri.contains(EMPTY_ENCODED) {
        return None;
    }
    let mut meant = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = rest.find(EMPTY_ENCODED) {
        let (before, after) = (&rest[..at], &rest[at + EMPTY_ENCODED.len()..]);
        meant.push_str(before);
        let is_part = ["/", "%2F", "prefix="]
            .iter()
            .any(|end| meant.ends_with(end))
            && (after.is_empty()
                || ["/", "%2F", "&", "?"]
                    .iter()
                    .any(|end| after.starts_with(end)));
        if !is_part {
            meant.push_str(EMPTY_ENCODED);
        }
        rest = after;
    }
    meant.push_str(rest);
    Some(meant)
}

/// The elements of a listing.
struct Words {
    /// An object.
    entry: &'static str,
    /// Its name.
    key: &'static str,
    /// Its bytes.
    size: &'static str,
    /// The name of a folder.
    folder: &'static str,
}

/// Google's are the same.
const OF_S3: Words = Words {
    entry: "Contents",
    key: "Key",
    size: "Size",
    folder: "Prefix",
};

const OF_AZURE: Words = Words {
    entry: "Blob",
    key: "Name",
    size: "Content-Length",
    folder: "Name",
};

fn readable_of(listing: &[u8], words: &Words) -> Option<String> {
    readable(std::str::from_utf8(listing).ok()?, words)
}

/// A listing whose names `object_store` takes; `None` where it is one already.
fn readable(listing: &str, words: &Words) -> Option<String> {
    let mut text = String::new();
    let mut rest = listing;
    let mut changed = false;
    while let Some((before, entry, after)) = next(rest, words.entry) {
        text.push_str(&prefixes(before, words, &mut changed));
        let key = inside(entry, words.key).unwrap_or_default();
        if key.ends_with('/') && inside(entry, words.size) == Some("0") {
            changed = true;
        } else {
            let name = named(key);
            changed |= name != key;
            let of = |name: &str| element(words.key, name);
            let entry = entry.replacen(&of(key), &of(&name), 1);
            text.push_str(&element(words.entry, &entry));
        }
        rest = after;
    }
    text.push_str(&prefixes(rest, words, &mut changed));
    changed.then_some(text)
}

/// The part of a listing between objects, where folders stand.
fn prefixes(part: &str, words: &Words, changed: &mut bool) -> String {
    let mut text = String::new();
    let mut rest = part;
    while let Some((before, prefix, after)) = next(rest, words.folder) {
        text.push_str(before);
        let folder = prefix.strip_suffix('/');
        let name = folder.map_or_else(|| prefix.to_owned(), |folder| named(folder) + "/");
        *changed |= name != prefix;
        text.push_str(&element(words.folder, &name));
        rest = after;
    }
    text + rest
}

/// A name without parts that are empty or relative.
fn named(name: &str) -> String {
    let parts = name.split('/').map(|part| match part {
        "" => EMPTY.to_owned(),
        "." | ".." => format!("{EMPTY}{part}"),
        part => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What stands before the next element of a name, in it, and after it.
fn next<'a>(text: &'a str, element: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let (before, rest) = text.split_once(&open)?;
    let (inside, after) = rest.split_once(&close)?;
    Some((before, inside, after))
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

fn inside<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    next(text, element).map(|(_, inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_readable_and_turned_back() {
        let entry = |key: &str, size: u64| {
            format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>")
        };
        let listing = [
            "<R xmlns=\"http://s3/doc/\"><Prefix>a//</Prefix>".to_owned(),
            entry("a//b", 1),
            entry("a/", 0),
            entry("/x", 1),
            entry("a/full/", 5),
            entry("a/../b", 1),
            entry("plain", 1),
            "<CommonPrefixes><Prefix>a//</Prefix></CommonPrefixes></R>".to_owned(),
        ];
        let found = readable(&listing.concat(), &OF_S3).unwrap();
        let expected = [
            "<R xmlns=\"http://s3/doc/\"><Prefix>a/∅/</Prefix>".to_owned(),
            entry("a/∅/b", 1),
            entry("∅/x", 1),
            entry("a/full/∅", 5),
            entry("a/∅../b", 1),
            entry("plain", 1),
            "<CommonPrefixes><Prefix>a/∅/</Prefix></CommonPrefixes></R>".to_owned(),
        ];
        assert_eq!(found, expected.concat());
        assert_eq!(readable(&entry("day=1/x.ndjson", 0), &OF_S3), None);

        let blob = |name: &str, size: u64| {
            format!(
                "<Blob><Name>{name}</Name><P><Content-Length>{size}</Content-Length></P></Blob>"
            )
        };
        let folder = |name: &str| format!("<BlobPrefix><Name>{name}</Name></BlobPrefix>");
        let listing = [blob("a//b", 1), blob("a/", 0), folder("a//"), blob("x", 1)];
        let expected = [blob("a/∅/b", 1), folder("a/∅/"), blob("x", 1)];
        assert_eq!(
            readable(&listing.concat(), &OF_AZURE),
            Some(expected.concat())
        );

        let meant = |uri| as_meant(uri).unwrap_or_default();
        assert_eq!(meant("http://h/b/a/%E2%88%85/b"), "http://h/b/a//b");
        assert_eq!(
            meant("http://h/b/%E2%88%85/%E2%88%85/x%E2%88%85"),
            "http://h/b///x%E2%88%85"
        );
        assert_eq!(
            meant("http://h/b?list-type=2&prefix=%E2%88%85%2Fa%2F%E2%88%85%2F&x=1"),
            "http://h/b?list-type=2&prefix=%2Fa%2F%2F&x=1"
        );
        assert_eq!(as_meant("http://h/b/a"), None);
    }
}
