//! Between `object_store` and HTTP: names of objects that `object_store` refuses or bends, so that one of them does not
//! end the listing of a table.
//!
//! S3 allows any text as a name. `object_store` fails a whole listing for `a//b`, and reads `folder/` as `folder`. In
//! what a listing says, an empty part becomes [`EMPTY`], which is shown to people, and is turned back in requests, which
//! are then signed anew. Markers of folders (`folder/` of zero bytes, which consoles make) are left out. A part `.` or
//! `..` can be listed and not read, because clients resolve it: it is reported as lost.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

use super::traffic::Counting;

/// What an empty part of a name is shown as.
pub(super) const EMPTY: &str = "∅";

/// The same in a request.
const EMPTY_ENCODED: &str = "%E2%88%85";

/// What signs requests anew.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) credentials: AwsCredentialProvider,
    pub(super) region: String,
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
                let credential = signer.credentials.get_credential().await;
                let credential =
                    credential.map_err(|error| HttpError::new(HttpErrorKind::Decode, error))?;
                AwsAuthorizer::new(&credential, "s3", &signer.region).authorize(&mut request, None);
            }
        }
        let query = request.uri().query().unwrap_or_default();
        let is_list = query.split('&').any(|part| part == "list-type=2");
        let response = self.client.execute(request).await?;
        if !is_list || !response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let listed = body.bytes().await?;
        let listed = match std::str::from_utf8(&listed).ok().and_then(readable) {
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

/// A listing whose names `object_store` takes; `None` where it is one already.
fn readable(listing: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = listing;
    let mut changed = false;
    while let Some((before, entry, after)) = next(rest, "Contents") {
        text.push_str(&prefixes(before, &mut changed));
        let key = inside(entry, "Key").unwrap_or_default();
        if key.ends_with('/') && inside(entry, "Size") == Some("0") {
            changed = true;
        } else {
            let name = named(key);
            changed |= name != key;
            let (key, name) = (format!("<Key>{key}</Key>"), format!("<Key>{name}</Key>"));
            text.push_str("<Contents>");
            text.push_str(&entry.replacen(&key, &name, 1));
            text.push_str("</Contents>");
        }
        rest = after;
    }
    text.push_str(&prefixes(rest, &mut changed));
    changed.then_some(text)
}

/// The part of a listing between objects, where folders stand.
fn prefixes(part: &str, changed: &mut bool) -> String {
    let mut text = String::new();
    let mut rest = part;
    while let Some((before, prefix, after)) = next(rest, "Prefix") {
        text.push_str(before);
        let folder = prefix.strip_suffix('/');
        let name = folder.map_or_else(|| prefix.to_owned(), |folder| named(folder) + "/");
        *changed |= name != prefix;
        text.push_str("<Prefix>");
        text.push_str(&name);
        text.push_str("</Prefix>");
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
        let found = readable(&listing.concat()).unwrap();
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
        assert_eq!(readable(&entry("day=1/x.ndjson", 0)), None);

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
