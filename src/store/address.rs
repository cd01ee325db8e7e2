//! What a location is called: a local path, `file://...`, `s3://bucket/prefix`, `az://container/prefix`,
//! `abfss://container@account.dfs.core.windows.net/prefix` or `gs://bucket/prefix`.
//!
//! Reads text, opens nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Who keeps a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Amazon, or a store that speaks S3.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Google,
}

impl Provider {
    /// How its addresses begin.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "az",
            Self::Google => "gs",
        }
    }
}

/// A bucket, or an Azure container, and who keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName {
    /// Who keeps it.
    pub provider: Provider,
    /// The bucket or container.
    pub name: String,
    /// The host of an Azure account, where the address says it: `account.dfs.core.windows.net`, or the account alone.
    pub host: Option<String>,
}

/// As the user can write it.
impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "abfss://{}@{host}", self.name),
            None => write!(f, "{}://{}", self.provider.scheme(), self.name),
        }
    }
}

/// Where a location is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A path of this machine.
    Local(PathBuf),
    /// A prefix of a bucket.
    Bucket {
        /// The bucket.
        bucket: BucketName,
        /// What the keys begin with, without `/` at either end; empty for the whole bucket.
        prefix: String,
    },
}

impl Address {
    /// Reads a path or a URL; `what` is named in errors.
    ///
    /// ```
    /// use lakehunt::store::Address;
    /// let Address::Bucket { bucket, prefix } = Address::parse("s3://lake/sysmon/", "location").unwrap() else { panic!() };
    /// assert_eq!((bucket.to_string().as_str(), prefix.as_str()), ("s3://lake", "sysmon"));
    /// ```
    ///
    /// # Errors
    /// A configuration error for a store that is not known, and for a bucket without a name.
    pub fn parse(text: &str, what: &str) -> Result<Self> {
        // One slash is enough: a URL that was handled as a path has lost the other.
        let Some((scheme, rest)) = text.split_once(":/") else {
            return Ok(Self::Local(PathBuf::from(text)));
        };
        let provider = match scheme {
            "file" => {
                let path = rest.trim_start_matches('/');
                return Ok(Self::Local(Path::new("/").join(path)));
            }
            "s3" | "s3a" => Provider::S3,
            "az" | "abfs" | "abfss" => Provider::Azure,
            "gs" => Provider::Google,
            // A single letter is a drive.
            _ if scheme.len() > 1 && scheme.chars().all(char::is_alphanumeric) => {
                return Err(Error::configuration(format!(
                    "the {what} {text} is on a `{scheme}` store; this version knows local folders, s3://, az:// and gs://"
                ))
                .hint("name a local folder, s3://bucket/prefix, az://container/prefix or gs://bucket/prefix, or mount the store"));
            }
            _ => return Ok(Self::Local(PathBuf::from(text))),
        };
        let rest = rest.trim_matches('/');
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, host) = match name.split_once('@') {
            Some((name, host)) if provider == Provider::Azure => (name, Some(host)),
            _ => (name, None),
        };
        if name.is_empty() || host.is_some_and(str::is_empty) {
            return Err(
                Error::configuration(format!("the {what} {text} names no bucket")).hint(
                    match provider {
                        Provider::S3 => "s3://bucket/prefix",
                        Provider::Azure => {
                            "az://container/prefix, or abfss://container@account.dfs.core.windows.net/prefix"
                        }
                        Provider::Google => "gs://bucket/prefix",
                    },
                ),
            );
        }
        Ok(Self::Bucket {
            bucket: BucketName {
                provider,
                name: name.to_owned(),
                host: host.map(str::to_owned),
            },
            prefix: prefix.trim_matches('/').to_owned(),
        })
    }

    /// The address of what stands beside the last part of this one, and that part: `s3://b/a/c.csv` is `c.csv` in `s3://b/a`.
    pub fn split_last(&self) -> Option<(Self, String)> {
        match self {
            Self::Local(path) => {
                let name = path.file_name()?.to_string_lossy().into_owned();
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                Some((Self::Local(folder.unwrap_or(Path::new(".")).into()), name))
            }
            Self::Bucket { bucket, prefix } => {
                let (prefix, name) = prefix.rsplit_once('/').unwrap_or(("", prefix));
                let folder = Self::Bucket {
                    bucket: bucket.clone(),
                    prefix: prefix.to_owned(),
                };
                (!name.is_empty()).then(|| (folder, name.to_owned()))
            }
        }
    }

    /// As the user can write it.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::Local(path) => path.clone(),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => {
                PathBuf::from(bucket.to_string())
            }
            Self::Bucket { bucket, prefix } => PathBuf::from(format!("{bucket}/{prefix}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_bucket_and_what_is_a_folder() {
        let bucket = |provider, name: &str, host: Option<&str>, prefix: &str| Address::Bucket {
            bucket: BucketName {
                provider,
                name: name.to_owned(),
                host: host.map(str::to_owned),
            },
            prefix: prefix.to_owned(),
        };
        let s3 = |name, prefix| bucket(Provider::S3, name, None, prefix);
        let parse = |text: &str| Address::parse(text, "location").unwrap();
        assert_eq!(parse("s3://lake/a/b/"), s3("lake", "a/b"));
        assert_eq!(parse("s3:/lake"), s3("lake", ""));
        assert_eq!(parse("s3a://lake/x@y"), s3("lake", "x@y"));
        let host = "corp.dfs.core.windows.net";
        for (text, expected) in [
            ("gs://lake/a", bucket(Provider::Google, "lake", None, "a")),
            ("az://lake/a/", bucket(Provider::Azure, "lake", None, "a")),
            ("abfs://lake", bucket(Provider::Azure, "lake", None, "")),
            (
                "abfss://lake@corp.dfs.core.windows.net/a/b",
                bucket(Provider::Azure, "lake", Some(host), "a/b"),
            ),
        ] {
            assert_eq!(parse(text), expected);
            // As it is shown it can be written.
            let shown = expected.shown();
            assert_eq!(parse(shown.to_str().unwrap()), expected);
        }
        assert_eq!(
            parse("file:///srv/lake"),
            Address::Local("/srv/lake".into())
        );
        assert_eq!(parse("lake/day=1"), Address::Local("lake/day=1".into()));
        assert_eq!(parse("C:/lake"), Address::Local("C:/lake".into()));
        for wrong in [
            "s3://",
            "hdfs://lake/x",
            "az://",
            "abfss://@h/x",
            "abfss://c@/x",
        ] {
            assert_eq!(
                Address::parse(wrong, "location").unwrap_err().exit_code(),
                2
            );
        }
        let (folder, name) = parse("s3://lake/a/assets.csv").split_last().unwrap();
        assert_eq!((folder, name.as_str()), (s3("lake", "a"), "assets.csv"));
    }
}
