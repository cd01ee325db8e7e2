//! The client of one bucket: endpoint, credentials and put options as a location says them, the rest from the environment.
//!
//! No secret leaves this file but inside the client.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::ReqwestConnector;
use object_store::list::PaginatedListStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};

use super::address::{BucketName, Provider};
use super::clouds;
use super::fault::told;
use super::login::Login;
use super::profile::{self, Profile};
use super::traffic::Counting;
use super::wire::{Signer, Wire};
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::time::parse_duration;

/// How long one request may take, its body included. Bodies are mostly pieces of 8 MiB: 140 KB/s.
pub(super) const REQUEST_TIMEOUT: &str = "60s";

/// How long an answer may bring no byte, and how long a request is repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) stall: Duration,
    pub(super) give_up: Duration,
}

impl Settings {
    /// # Errors
    /// A configuration error that names the key.
    pub(super) fn of(credentials: &Credentials) -> Result<Self> {
        let read = |key: &str, text: &Option<String>, default: u64| match text {
            None => Ok(Duration::from_secs(default)),
            Some(text) => parse_duration(text)
                .map_err(|error| error.to_string())
                .and_then(|duration| duration.to_std().map_err(|error| error.to_string()))
                .map_err(|error| Error::configuration(format!("credentials: {key}: {error}"))),
        };
        Ok(Self {
            stall: read("stall", &credentials.stall, 20)?,
            give_up: read("give_up", &credentials.give_up, 120)?,
        })
    }
}

/// What a bucket asks of the client of a store.
pub(super) trait Client: ObjectStore + PaginatedListStore {}

impl<T: ObjectStore + PaginatedListStore> Client for T {}

/// A client for a bucket, with the credentials of this moment.
///
/// # Errors
/// A configuration error: an unknown profile, or options that do not go together or mean nothing to this store.
pub(super) fn connect(bucket: &BucketName, credentials: &Credentials) -> Result<Arc<dyn Client>> {
    match bucket.provider {
        Provider::S3 => s3(bucket, credentials),
        Provider::Azure => clouds::azure(bucket, credentials),
        Provider::Google => clouds::google(bucket, credentials),
    }
}

/// Requests are repeated by the bucket, under one policy.
pub(super) fn no_retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 0,
        retry_timeout: Duration::ZERO,
    }
}

/// Why a bucket cannot be opened.
pub(super) fn cannot_open(bucket: &BucketName, error: &object_store::Error) -> Error {
    Error::configuration(format!("cannot open the bucket {bucket}: {}", told(error)))
}

fn s3(bucket: &BucketName, credentials: &Credentials) -> Result<Arc<dyn Client>> {
    let wrong = |error: object_store::Error| cannot_open(bucket, &error);
    clouds::refuse_foreign(bucket.provider, credentials)?;
    let (builder, login) = builder(credentials)?;
    let mut builder = builder
        .with_bucket_name(&bucket.name)
        .with_retry(no_retry());
    builder = put_settings(builder, credentials)?;
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
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    if let Some(login) = login {
        let login = login.into_provider(&region, &ReqwestConnector::default());
        builder = builder.with_credentials(login.map_err(wrong)?);
    }
    let counting = Counting::at(&bucket.to_string());
    let signer = Arc::new(OnceLock::new());
    let client = builder
        .with_http_connector(Wire::new(Arc::clone(&signer), counting))
        .build()
        .map_err(wrong)?;
    // Set once: this is the only place.
    let _ = signer.set(Signer::S3 {
        credentials: Arc::clone(client.credentials()),
        region,
    });
    Ok(Arc::new(client))
}

/// A builder that knows the profile or the environment, and how to log in where `object_store` does not.
fn builder(credentials: &Credentials) -> Result<(AmazonS3Builder, Option<Login>)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (builder, profile) = if let Some(name) = &credentials.profile {
        (AmazonS3Builder::new(), Some(profile::read(name)?))
    } else {
        // The order of every tool for AWS: keys, a web identity, then ~/.aws, then the machine.
        let known = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"];
        let profile = match variable("AWS_PROFILE") {
            _ if credentials.anonymous
                || known.into_iter().any(|name| variable(name).is_some()) =>
            {
                None
            }
            Some(name) => Some(profile::read(&name)?),
            None => profile::default()?,
        };
        (AmazonS3Builder::from_env(), profile)
    };
    let Some(Profile {
        login,
        region,
        endpoint,
    }) = profile
    else {
        return Ok((builder, None));
    };
    let set = |builder: AmazonS3Builder, key: AmazonS3ConfigKey, value: Option<String>| match value
    {
        Some(value) if builder.get_config_value(&key).is_none() => builder.with_config(key, value),
        _ => builder,
    };
    let builder = set(builder, AmazonS3ConfigKey::Region, region);
    let builder = set(builder, AmazonS3ConfigKey::Endpoint, endpoint);
    Ok(match login {
        Some(Login::Keys(keys)) => {
            let mut builder = builder
                .with_access_key_id(&keys.key_id)
                .with_secret_access_key(&keys.secret_key);
            if let Some(token) = &keys.token {
                builder = builder.with_token(token);
            }
            (builder, None)
        }
        Some(Login::WebIdentity {
            token_file,
            role_arn,
        }) => {
            let builder = builder
                .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token_file)
                .with_config(AmazonS3ConfigKey::RoleArn, role_arn);
            (builder, None)
        }
        login => (builder, login),
    })
}

fn put_settings(builder: AmazonS3Builder, credentials: &Credentials) -> Result<AmazonS3Builder> {
    let Some(put) = &credentials.put else {
        return Ok(builder);
    };
    let Some(sse) = put.sse else {
        if put.kms_key.is_some() || put.bucket_key.is_some() {
            return Err(Error::configuration(
                "credentials: `kms_key` and `bucket_key` mean nothing without `sse`",
            )
            .hint("add `sse: aws:kms`"));
        }
        return Ok(builder);
    };
    // `object_store` knows these keys by their names only.
    let mut settings = vec![("aws_server_side_encryption", sse.as_str())];
    if let Some(kms_key) = &put.kms_key {
        settings.push(("aws_sse_kms_key_id", kms_key));
    }
    let builder =
        settings.into_iter().fold(builder, |builder, (key, value)| {
            match key.parse::<AmazonS3ConfigKey>() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            }
        });
    Ok(match put.bucket_key {
        Some(bucket_key) => builder.with_bucket_key(bucket_key),
        None => builder,
    })
}
