//! The clients of an Azure container and of a bucket of Google, with the credentials that the environment names; and which
//! options mean nothing to which store.
//!
//! No secret leaves this file but inside the client.

use std::sync::{Arc, OnceLock};

use object_store::ClientConfigKey;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

use super::address::{BucketName, Provider};
use super::client::{Client, REQUEST_TIMEOUT, cannot_open, no_retry};
use super::traffic::Counting;
use super::wire::{Signer, Wire};
use crate::credentials::Credentials;
use crate::error::{Error, Result};

/// Refuses options that mean nothing to a store, rather than passing over them.
///
/// # Errors
/// A configuration error that names the option.
pub(super) fn refuse_foreign(provider: Provider, credentials: &Credentials) -> Result<()> {
    let put = credentials.put.as_ref();
    let encrypts = put
        .is_some_and(|put| put.sse.is_some() || put.kms_key.is_some() || put.bucket_key.is_some());
    let of_s3 = [
        ("profile", credentials.profile.is_some()),
        ("region", credentials.region.is_some()),
        ("path_style", credentials.path_style.is_some()),
        ("put.sse", encrypts),
    ];
    let of_azure = [("account", credentials.account.is_some())];
    let foreign: &[(&str, bool)] = match provider {
        Provider::S3 => &of_azure,
        Provider::Azure => &of_s3,
        Provider::Google => &[&of_s3[..], &of_azure[..]].concat(),
    };
    match foreign.iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((option, _)) => Err(Error::configuration(format!(
            "credentials: `{option}` means nothing to {}://",
            provider.scheme()
        ))
        .hint(match provider {
            Provider::S3 => "`account` is for az://",
            Provider::Azure => "keys come from AZURE_STORAGE_*; `account`, `endpoint` and `anonymous` can be said here",
            Provider::Google => "keys come from GOOGLE_APPLICATION_CREDENTIALS; `endpoint` and `anonymous` can be said here",
        })),
    }
}

/// A client for an Azure container.
///
/// # Errors
/// A configuration error: no account is named, or options do not go together.
pub(super) fn azure(bucket: &BucketName, credentials: &Credentials) -> Result<Arc<dyn Client>> {
    refuse_foreign(bucket.provider, credentials)?;
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(&bucket.name)
        .with_retry(no_retry());
    if let Some(host) = &bucket.host {
        let account = host.split('.').next().unwrap_or(host);
        builder = builder.with_account(account);
        if host.contains('.') {
            // Files and blobs of an account are the same under two names; this client speaks to the second.
            let host = host.replacen(".dfs.", ".blob.", 1);
            builder = builder.with_endpoint(format!("https://{host}"));
        }
    }
    if let Some(account) = &credentials.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &credentials.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if credentials.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let value = |key| builder.get_config_value(&key).unwrap_or_default();
    let is_emulated = value(AzureConfigKey::UseEmulator) == "true";
    let account = match value(AzureConfigKey::AccountName) {
        // The emulator has one of its own.
        account if account.is_empty() && is_emulated => "devstoreaccount1".to_owned(),
        account if account.is_empty() => {
            return Err(Error::configuration(format!("{bucket} names no storage account")).hint(
                "set AZURE_STORAGE_ACCOUNT_NAME, or `account` under `credentials`, or write abfss://container@account.dfs.core.windows.net/prefix",
            ));
        }
        account => account,
    };
    // Who writes http:// means it.
    if value(AzureConfigKey::Endpoint).starts_with("http://") {
        builder = builder.with_allow_http(true);
    }
    let timeout = AzureConfigKey::Client(ClientConfigKey::Timeout);
    if builder.get_config_value(&timeout).as_deref() == Some("30 seconds") {
        builder = builder.with_config(timeout, REQUEST_TIMEOUT);
    }
    let signer = Arc::new(OnceLock::new());
    let counting = Counting::at(&bucket.to_string());
    let client = builder
        .with_http_connector(Wire::new(Arc::clone(&signer), counting))
        .build()
        .map_err(|error| cannot_open(bucket, &error))?;
    // Set once: this is the only place.
    let _ = signer.set(Signer::Azure {
        credentials: Arc::clone(client.credentials()),
        account,
    });
    Ok(Arc::new(client))
}

/// A client for a bucket of Google.
///
/// # Errors
/// A configuration error: the credentials that the environment names cannot be read.
pub(super) fn google(bucket: &BucketName, credentials: &Credentials) -> Result<Arc<dyn Client>> {
    refuse_foreign(bucket.provider, credentials)?;
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&bucket.name)
        .with_retry(no_retry());
    if let Some(endpoint) = &credentials.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if credentials.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let timeout = GoogleConfigKey::Client(ClientConfigKey::Timeout);
    if builder.get_config_value(&timeout).as_deref() == Some("30 seconds") {
        builder = builder.with_config(timeout, REQUEST_TIMEOUT);
    }
    let counting = Counting::at(&bucket.to_string());
    let client = builder
        .with_http_connector(Wire::new(Arc::default(), counting))
        .build()
        .map_err(|error| cannot_open(bucket, &error))?;
    Ok(Arc::new(client))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_other_stores_are_refused() {
        let of = |yaml: &str| yaml_serde::from_str::<Credentials>(yaml).unwrap();
        let refused = |provider, yaml: &str| {
            let error = refuse_foreign(provider, &of(yaml)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.message().to_owned()
        };
        let text = refused(Provider::S3, "account: corp");
        assert_eq!(text, "credentials: `account` means nothing to s3://");
        for (option, yaml) in [
            ("profile", "profile: readers"),
            ("region", "region: eu-west-1"),
            ("path_style", "path_style: true"),
            ("put.sse", "put: {kms_key: x}"),
        ] {
            for provider in [Provider::Azure, Provider::Google] {
                let text = refused(provider, yaml);
                assert!(text.contains(&format!("`{option}`")), "{text}");
            }
        }
        refused(Provider::Google, "account: corp");
        let yaml = "{endpoint: x, anonymous: true, stall: 1s, put: {storage_class: Cool}}";
        for provider in [Provider::S3, Provider::Azure, Provider::Google] {
            refuse_foreign(provider, &of(yaml)).unwrap();
        }
    }
}
