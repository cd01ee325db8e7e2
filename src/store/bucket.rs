//! Opens buckets: credentials from the environment or a named profile, endpoint, retries.
//!
//! No secret leaves this file but inside the client: errors and `Debug` never hold one.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use regex::Regex;

use super::{object_path, profile};
use crate::credentials::Credentials;
use crate::error::{Error, Result};

/// How long one request may take, its body included. Bodies are at most [`super::read_ahead::PIECE`]: 140 KB/s.
const REQUEST_TIMEOUT: &str = "60s";

/// How long one request is tried again after 5xx, 429, resets and stalls.
const RETRY_BUDGET: Duration = Duration::from_mins(2);

/// A prefix of a bucket as a store of its own.
///
/// # Errors
/// A configuration error: an unknown profile, or options that do not go together.
pub(super) fn open(
    bucket: &str,
    prefix: &str,
    credentials: &Credentials,
) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = match &credentials.profile {
        None => AmazonS3Builder::from_env(),
        Some(name) => profile::builder(name)?,
    };
    builder = builder.with_bucket_name(bucket).with_retry(RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 8,
        retry_timeout: RETRY_BUDGET,
    });
    if let Some(region) = &credentials.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &credentials.endpoint {
        // The key for S3 alone wins over the other, which the environment may hold.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(path_style) = credentials.path_style {
        builder = builder.with_virtual_hosted_style_request(!path_style);
    }
    if credentials.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let keys = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let endpoint = keys
        .iter()
        .find_map(|key| builder.get_config_value(key))
        .unwrap_or_default();
    // Who writes http:// means it. One option at a time: setting them all would undo those of the environment.
    if endpoint.starts_with("http://") {
        builder = builder.with_allow_http(true);
    }
    let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
    if builder.get_config_value(&timeout).as_deref() == Some("30 seconds") {
        builder = builder.with_config(timeout, REQUEST_TIMEOUT);
    }
    let store = builder.build().map_err(|error| {
        Error::configuration(format!("cannot open the bucket {bucket}: {}", told(&error)))
    })?;
    Ok(Arc::new(PrefixStore::new(store, object_path(prefix))))
}

/// How long and how often a request was tried: other words on every run, and these may end in a quarantine file.
static TRIES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r" in [0-9.]+[nµm]?s\b|, after [0-9]+ retries, max_retries: [0-9]+, retry_timeout: [0-9.]+[nµm]?s").ok()
});

/// An error of a store in words, the same for the same cause, and what to do about it; without the query of a URL, where a
/// token may stand.
pub(super) fn told(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut from = 0;
    while let Some(start) = text[from..].find("://").map(|at| from + at) {
        let end = text[start..]
            .find(|c: char| c.is_whitespace() || "\"')>".contains(c))
            .map_or(text.len(), |length| start + length);
        let cut = text[start..end].find('?').map_or(end, |at| start + at);
        text.replace_range(cut..end, "");
        from = cut;
    }
    if let Some(tries) = TRIES.as_ref() {
        text = tries.replace_all(&text, "").into_owned();
    }
    if let Some(advice) = advice(error) {
        text = format!("{text}; {advice}");
    }
    text
}

/// What to do about an error of a bucket.
fn advice(error: &object_store::Error) -> Option<&'static str> {
    let says = |word| is_about(error, word);
    if says("403 Forbidden") || says("401 Unauthorized") {
        return Some(
            "the credentials are wrong, have expired or may not do this: look at AWS_* in the environment, or at the profile",
        );
    }
    if says("169.254.") {
        return Some(
            "there are no credentials: set AWS_*, or name a `profile` under `credentials`",
        );
    }
    says("NoSuchBucket").then_some("look at the name of the bucket, the endpoint and the region")
}

fn is_about(error: &(dyn std::error::Error + 'static), word: &str) -> bool {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    chain.any(|error| error.to_string().contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_hold_no_query_and_no_times() {
        let error = object_store::Error::Generic {
            store: "S3",
            source: "GET https://sts.example/?Token=secret failed, then (http://x/y?z=secret)"
                .into(),
        };
        let text = told(&error);
        assert!(!text.contains("secret"), "{text}");
        assert!(
            text.ends_with("GET https://sts.example/ failed, then (http://x/y)"),
            "{text}"
        );
    }
}
