//! Named profiles of `~/.aws`: keys, roles, SSO, a command that prints credentials; region and endpoint.
//!
//! Reads files, asks nobody. `aws-config` would do the same for some fifty crates more, half of them a second HTTP client;
//! what people have in these files is five shapes, all of which are one file or one request.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::login::{Keys, Login};
use crate::error::{Error, Result};

/// What a profile says.
#[derive(Debug)]
pub(super) struct Profile {
    /// How to get credentials, if it says so.
    pub(super) login: Option<Login>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
}

type Section = BTreeMap<String, String>;

/// Roles that are taken to take roles: more than this is a circle.
const MOST_ROLES: usize = 5;

/// The sections of both files: profiles by name, the others with their kind before it.
#[derive(Debug, Default)]
struct Files(BTreeMap<String, Section>);

/// A profile by its name.
///
/// # Errors
/// A configuration error: there is no such profile, or it says nothing of credentials that is known here.
pub(super) fn read(name: &str) -> Result<Profile> {
    let files = Files::read();
    let section = files.0.get(name).ok_or_else(|| {
        Error::configuration(format!("there is no profile `{name}` in ~/.aws"))
            .hint("`aws configure list-profiles` lists them")
    })?;
    let login = files.login(name, 0)?;
    if login.is_none() {
        return Err(bridge(name, "says nothing of credentials"));
    }
    Ok(profile(section, login))
}

/// The profile `default`, if there is one; it may speak of the region alone.
///
/// # Errors
/// As [`read`].
pub(super) fn default() -> Result<Option<Profile>> {
    let files = Files::read();
    let Some(section) = files.0.get("default") else {
        return Ok(None);
    };
    Ok(Some(profile(section, files.login("default", 0)?)))
}

fn profile(section: &Section, login: Option<Login>) -> Profile {
    Profile {
        login,
        region: section.get("region").cloned(),
        endpoint: section.get("endpoint_url").cloned(),
    }
}

/// What is not done here, and the command that does it.
fn bridge(name: &str, what: &str) -> Error {
    Error::configuration(format!("the profile `{name}` {what}")).hint(format!(
        "eval \"$(aws configure export-credentials --profile {name} --format env)\", and leave `profile` out"
    ))
}

impl Files {
    fn read() -> Self {
        let read = |variable: &str, default: &str| {
            let path = std::env::var_os(variable)
                .map(PathBuf::from)
                .or_else(|| Some(std::env::home_dir()?.join(default)))?;
            std::fs::read_to_string(path).ok()
        };
        let config = read("AWS_CONFIG_FILE", ".aws/config").unwrap_or_default();
        let credentials =
            read("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials").unwrap_or_default();
        Self::parse(&config, &credentials)
    }

    /// Both files; where both speak of a profile, the one of credentials is right.
    fn parse(config: &str, credentials: &str) -> Self {
        let mut files = Self::default();
        for (text, is_config) in [(config, true), (credentials, false)] {
            let mut section = None;
            for line in text.lines() {
                let trimmed = line.trim();
                if let Some(header) = trimmed.strip_prefix('[') {
                    let header = header.split(']').next().unwrap_or_default();
                    let words: Vec<_> = header.split_whitespace().collect();
                    let name = match words[..] {
                        ["profile", name] if is_config => name.to_owned(),
                        _ => words.join(" "),
                    };
                    section = Some(files.0.entry(name).or_default());
                } else if let Some(section) = &mut section
                    && !trimmed.starts_with(['#', ';'])
                    // What is indented belongs to a key of another service.
                    && !line.starts_with([' ', '\t'])
                    && let Some((key, value)) = trimmed.split_once('=')
                {
                    section.insert(key.trim().to_lowercase(), value.trim().to_owned());
                }
            }
        }
        files
    }

    fn login(&self, name: &str, depth: usize) -> Result<Option<Login>> {
        let Some(section) = self.0.get(name) else {
            return Err(bridge(name, "is named as a source and is not there"));
        };
        let get = |key: &str| section.get(key).cloned();
        if let Some(role_arn) = get("role_arn") {
            if let Some(token_file) = get("web_identity_token_file") {
                return Ok(Some(Login::WebIdentity {
                    token_file,
                    role_arn,
                }));
            }
            return self.role(name, role_arn, depth).map(Some);
        }
        if let (Some(key_id), Some(secret_key)) =
            (get("aws_access_key_id"), get("aws_secret_access_key"))
        {
            return Ok(Some(Login::Keys(Keys {
                key_id,
                secret_key,
                token: get("aws_session_token"),
            })));
        }
        if let Some(account) = get("sso_account_id") {
            return self.sso(name, account).map(Some);
        }
        Ok(get("credential_process").map(|command| Login::Process {
            command,
            profile: name.to_owned(),
        }))
    }

    fn role(&self, name: &str, role_arn: String, depth: usize) -> Result<Login> {
        let section = &self.0[name];
        let get = |key: &str| section.get(key).cloned();
        if section.contains_key("mfa_serial") {
            return Err(bridge(name, "asks for a code of a second factor"));
        }
        let Some(source) = get("source_profile") else {
            return Err(bridge(name, "takes a role without a `source_profile`"));
        };
        if depth >= MOST_ROLES {
            return Err(bridge(name, "takes roles in a circle"));
        }
        let source = if source == name {
            // A profile may have keys of its own to take its role with.
            let mut own = section.clone();
            own.remove("role_arn");
            Self(BTreeMap::from([(source.clone(), own)])).login(&source, depth + 1)?
        } else {
            self.login(&source, depth + 1)?
        };
        let Some(source) = source else {
            return Err(bridge(
                name,
                "takes a role with a profile without credentials",
            ));
        };
        Ok(Login::Role {
            role_arn,
            session: get("role_session_name").unwrap_or_else(|| "lakehunt".to_owned()),
            external_id: get("external_id"),
            region: get("region"),
            source: Box::new(source),
        })
    }

    fn sso(&self, name: &str, account: String) -> Result<Login> {
        let section = &self.0[name];
        let session = section.get("sso_session");
        let session = session.and_then(|session| self.0.get(&format!("sso-session {session}")));
        let get = |key: &str| {
            let value = section.get(key);
            value.or_else(|| session?.get(key)).cloned()
        };
        let (Some(start_url), Some(region), Some(role)) = (
            get("sso_start_url"),
            get("sso_region"),
            get("sso_role_name"),
        ) else {
            return Err(bridge(
                name,
                "lacks one of sso_start_url, sso_region and sso_role_name",
            ));
        };
        Ok(Login::Sso {
            profile: name.to_owned(),
            start_url,
            region,
            account,
            role,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
[default]
region=us-east-1
[profile readers]
region = eu-west-1
s3 =
  region = nowhere
[profile hunter]
role_arn = arn:aws:iam::1:role/hunt
source_profile = readers
[profile circle]
role_arn = arn:aws:iam::1:role/x
source_profile = circle2
[profile circle2]
role_arn = arn:aws:iam::1:role/y
source_profile = circle
[profile code]
role_arn = arn:aws:iam::1:role/x
source_profile = readers
mfa_serial = arn:aws:iam::1:mfa/me
[profile login]
sso_session = corp
sso_account_id = 111
sso_role_name = Hunt
[sso-session corp]
sso_start_url = https://corp.example/start
sso_region = eu-west-1
[profile tool]
credential_process = /opt/tool --json \"a b\"
";
    const CREDENTIALS: &str =
        "[readers]\naws_access_key_id = A\n# x = y\naws_secret_access_key=b=c\n[x]\nregion=z\n";

    fn shown(name: &str) -> String {
        match Files::parse(CONFIG, CREDENTIALS).login(name, 0) {
            Ok(login) => format!("{login:?}"),
            Err(error) => format!("{}; {}", error.message(), error.hint_text().unwrap()),
        }
    }

    #[test]
    fn a_profile_is_read_from_both_files_and_shows_no_secret() {
        let files = Files::parse(CONFIG, CREDENTIALS);
        let found: Vec<_> = files.0["readers"]
            .iter()
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        let expected = [
            "aws_access_key_id:A",
            "aws_secret_access_key:b=c",
            "region:eu-west-1",
            "s3:",
        ];
        assert_eq!(found, expected);
        assert_eq!(shown("readers"), "Some(Keys(Keys(A)))");
        assert_eq!(shown("default"), "None");
    }

    #[test]
    fn roles_logins_and_commands() {
        assert!(shown("hunter").contains("role/hunt"), "{}", shown("hunter"));
        assert!(shown("hunter").contains("Keys(A)"));
        assert!(shown("login").contains("https://corp.example/start"));
        assert!(shown("tool").contains("/opt/tool --json"));
        assert!(shown("circle").contains("in a circle"));
        let refused = shown("code");
        assert!(refused.contains("second factor"), "{refused}");
        assert!(refused.contains("aws configure export-credentials --profile code"));
    }
}
