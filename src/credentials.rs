//! How to reach a bucket, as lake and job files say it: plain data without any secret. Keys come from the environment or
//! from a named profile, never from a file that is kept beside hunts.

use schemars::JsonSchema;
use serde::Deserialize;

/// How to reach the bucket of one location. What is not said comes from the environment (`AWS_*`, `AZURE_*`, `GOOGLE_*`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// A profile of `~/.aws`: keys, a role, `aws sso login` or a `credential_process`; with it nothing is taken from the
    /// environment. Without it: `AWS_*`, a web identity, the default profile, the container's or the machine's role.
    pub profile: Option<String>,
    /// The storage account of an Azure container, where its address does not say it. Default `AZURE_STORAGE_ACCOUNT_NAME`.
    pub account: Option<String>,
    /// The region, such as `eu-west-1`.
    pub region: Option<String>,
    /// Another store than Amazon's, Microsoft's or Google's: `https://minio.example:9000`.
    pub endpoint: Option<String>,
    /// `true`: the bucket is in the path (`https://host/bucket/key`), `false`: in the name of the host.
    pub path_style: Option<bool>,
    /// Send no signature: for public buckets.
    #[serde(default)]
    pub anonymous: bool,
    /// How long an answer may bring no byte before its request is made again. Default `20s`.
    pub stall: Option<String>,
    /// How long one request is repeated before it is given up. Default `2m`.
    pub give_up: Option<String>,
    /// How objects are written.
    pub put: Option<PutSettings>,
}

/// How objects are written to a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSettings {
    /// The encryption at rest that is asked for.
    pub sse: Option<Encryption>,
    /// The key of `aws:kms`; without it the bucket's own.
    pub kms_key: Option<String>,
    /// Whether the bucket's key is used for many objects, which costs fewer requests to KMS.
    pub bucket_key: Option<bool>,
    /// The class of storage, such as `STANDARD_IA`; of Azure the access tier, such as `Cool`.
    pub storage_class: Option<String>,
}

/// Encryption at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Encryption {
    /// With keys of the store.
    #[serde(rename = "AES256")]
    Store,
    /// With keys of KMS.
    #[serde(rename = "aws:kms")]
    Kms,
    /// Twice, with keys of KMS.
    #[serde(rename = "aws:kms:dsse")]
    KmsTwice,
}

impl Encryption {
    /// As S3 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "AES256",
            Self::Kms => "aws:kms",
            Self::KmsTwice => "aws:kms:dsse",
        }
    }
}
