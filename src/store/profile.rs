//! Named profiles of `~/.aws`: keys, region and endpoint. What needs a login (SSO) or a role to be taken is not done here.
//!
//! `aws-config` would do all of it for some fifty crates more; the command line tool of AWS turns such a profile into
//! keys with one command, which the error names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

use crate::error::{Error, Result};

/// A builder with what a profile says, and nothing of the environment.
///
/// # Errors
/// A configuration error: there is no such profile, or it has no keys of its own.
pub(super) fn builder(name: &str) -> Result<AmazonS3Builder> {
    let read = |variable: &str, default: &str| {
        let path = std::env::var_os(variable)
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(default)))?;
        std::fs::read_to_string(path).ok()
    };
    let config = read("AWS_CONFIG_FILE", ".aws/config").unwrap_or_default();
    let credentials = read("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials").unwrap_or_default();
    let settings = settings(name, &config, &credentials).ok_or_else(|| {
        Error::configuration(format!("there is no profile `{name}` in ~/.aws"))
            .hint("`aws configure list-profiles` lists them")
    })?;
    let keys = [
        ("aws_access_key_id", AmazonS3ConfigKey::AccessKeyId),
        ("aws_secret_access_key", AmazonS3ConfigKey::SecretAccessKey),
        ("aws_session_token", AmazonS3ConfigKey::Token),
        ("region", AmazonS3ConfigKey::Region),
        ("endpoint_url", AmazonS3ConfigKey::Endpoint),
    ];
    if !settings.contains_key("aws_access_key_id")
        || !settings.contains_key("aws_secret_access_key")
    {
        return Err(Error::configuration(format!(
            "the profile `{name}` has no keys of its own; this version neither logs in nor takes roles"
        ))
        .hint(format!(
            "eval \"$(aws configure export-credentials --profile {name} --format env)\", and leave `profile` out"
        )));
    }
    let mut builder = AmazonS3Builder::new();
    for (name, key) in keys {
        if let Some(value) = settings.get(name) {
            builder = builder.with_config(key, value);
        }
    }
    Ok(builder)
}

/// What the two files say of a profile; where both do, the one of credentials.
fn settings(name: &str, config: &str, credentials: &str) -> Option<BTreeMap<String, String>> {
    let mut found = None;
    let in_config = if name == "default" {
        "default".to_owned()
    } else {
        format!("profile {name}")
    };
    for (text, header) in [(config, in_config.as_str()), (credentials, name)] {
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if let Some(section) = line.strip_prefix('[') {
                let section = section.split(']').next().unwrap_or_default();
                inside = section.split_whitespace().eq(header.split_whitespace());
                if inside {
                    found.get_or_insert_with(BTreeMap::new);
                }
            } else if inside
                && !line.starts_with(['#', ';'])
                && let Some((key, value)) = line.split_once('=')
            {
                let settings = found.get_or_insert_with(BTreeMap::new);
                settings.insert(key.trim().to_lowercase(), value.trim().to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_both_files() {
        let config = "[default]\nregion=us-east-1\n[profile readers]\nregion = eu-west-1\n";
        let credentials =
            "[readers]\naws_access_key_id = A\n# x = y\naws_secret_access_key=b=c\n[x]\nregion=z\n";
        let found = settings("readers", config, credentials).unwrap();
        let found: Vec<_> = found.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        assert_eq!(
            found,
            [
                "aws_access_key_id:A",
                "aws_secret_access_key:b=c",
                "region:eu-west-1"
            ]
        );
        assert_eq!(settings("writers", config, credentials), None);
    }
}
