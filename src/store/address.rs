//! What a location is called: a local path, `file://...` or `s3://bucket/prefix`.
//!
//! Reads text, opens nothing.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where a location is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A path of this machine.
    Local(PathBuf),
    /// A prefix of a bucket.
    Bucket {
        /// The bucket.
        bucket: String,
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
    /// assert_eq!((bucket.as_str(), prefix.as_str()), ("lake", "sysmon"));
    /// ```
    ///
    /// # Errors
    /// A configuration error for a store that is not known, and for a bucket without a name.
    pub fn parse(text: &str, what: &str) -> Result<Self> {
        // One slash is enough: a URL that was handled as a path has lost the other.
        let Some((scheme, rest)) = text.split_once(":/") else {
            return Ok(Self::Local(PathBuf::from(text)));
        };
        match scheme {
            "file" => {
                let path = rest.trim_start_matches('/');
                Ok(Self::Local(Path::new("/").join(path)))
            }
            "s3" | "s3a" => {
                let rest = rest.trim_matches('/');
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(
                        Error::configuration(format!("the {what} {text} names no bucket"))
                            .hint("s3://bucket/prefix"),
                    );
                }
                Ok(Self::Bucket {
                    bucket: bucket.to_owned(),
                    prefix: prefix.trim_matches('/').to_owned(),
                })
            }
            // A single letter is a drive.
            _ if scheme.len() > 1 && scheme.chars().all(char::is_alphanumeric) => {
                Err(Error::configuration(format!(
                    "the {what} {text} is on a `{scheme}` store; this version knows local folders and s3:// only"
                ))
                .hint("name a local folder or s3://bucket/prefix, or mount the store"))
            }
            _ => Ok(Self::Local(PathBuf::from(text))),
        }
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
                PathBuf::from(format!("s3://{bucket}"))
            }
            Self::Bucket { bucket, prefix } => PathBuf::from(format!("s3://{bucket}/{prefix}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_bucket_and_what_is_a_folder() {
        let bucket = |bucket: &str, prefix: &str| Address::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        let parse = |text| Address::parse(text, "location").unwrap();
        assert_eq!(parse("s3://lake/a/b/"), bucket("lake", "a/b"));
        assert_eq!(parse("s3:/lake"), bucket("lake", ""));
        assert_eq!(
            parse("file:///srv/lake"),
            Address::Local("/srv/lake".into())
        );
        assert_eq!(parse("lake/day=1"), Address::Local("lake/day=1".into()));
        assert_eq!(parse("C:/lake"), Address::Local("C:/lake".into()));
        for wrong in ["s3://", "gs://lake/x"] {
            assert_eq!(
                Address::parse(wrong, "location").unwrap_err().exit_code(),
                2
            );
        }
        let (folder, name) = parse("s3://lake/a/assets.csv").split_last().unwrap();
        assert_eq!((folder, name.as_str()), (bucket("lake", "a"), "assets.csv"));
    }
}
