//! How to reach a bucket, as lake and job files say it: plain data without any secret. Keys come from the environment or
//! from a named profile, never from a file that is kept beside hunts.

use schemars::JsonSchema;
use serde::Deserialize;

/// How to reach the bucket of one location. What is not said comes from the environment (`AWS_*`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// A profile with keys in `~/.aws`; with it nothing is taken from the environment. Without it: `AWS_*`, a web
    /// identity, the container's or the machine's role.
    pub profile: Option<String>,
    /// The region, such as `eu-west-1`.
    pub region: Option<String>,
    /// Another store than Amazon's: `https://minio.example:9000`.
    pub endpoint: Option<String>,
    /// `true`: the bucket is in the path (`https://host/bucket/key`), `false`: in the name of the host.
    pub path_style: Option<bool>,
    /// Send no signature: for public buckets.
    #[serde(default)]
    pub anonymous: bool,
}
