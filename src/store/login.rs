//! How credentials are got that no file holds: a command that prints them, a role taken at STS, `aws sso login`.
//!
//! Each is asked once a client; a client is made anew when its credentials expire ([`super::bucket`]), so nobody here looks
//! at a clock. What a command or a service answers is never part of an error: it may hold secrets.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody};
use object_store::{ClientOptions, CredentialProvider, Error as StoreError, Result};
use serde_json::Value;
use tokio::sync::OnceCell;

/// How long a command or a service may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Keys that a file holds.
pub(super) struct Keys {
    pub(super) key_id: String,
    pub(super) secret_key: String,
    pub(super) token: Option<String>,
}

/// By hand: without the secret.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.key_id)
    }
}

/// How a profile gets its credentials.
#[derive(Debug)]
pub(super) enum Login {
    Keys(Keys),
    /// `object_store` takes these.
    WebIdentity {
        token_file: String,
        role_arn: String,
    },
    Process {
        command: String,
        profile: String,
    },
    Role {
        role_arn: String,
        session: String,
        external_id: Option<String>,
        /// Of STS; that of the bucket when it is not said.
        region: Option<String>,
        source: Box<Login>,
    },
    Sso {
        profile: String,
        start_url: String,
        region: String,
        account: String,
        role: String,
    },
}

#[derive(Debug)]
struct Provider {
    login: Login,
    region: String,
    client: HttpClient,
    known: OnceCell<Arc<AwsCredential>>,
}

#[async_trait]
impl CredentialProvider for Provider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let known = self.known.get_or_try_init(|| async {
            let credential = self.login.ask(&self.client, &self.region);
            match tokio::time::timeout(PATIENCE, credential).await {
                Ok(credential) => Ok(Arc::new(credential?)),
                Err(_) => Err(refused("no credentials came within a minute")),
            }
        });
        known.await.cloned()
    }
}

impl Login {
    /// A provider that asks when it is first needed.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub(super) fn into_provider(
        self,
        region: &str,
        connector: &dyn HttpConnector,
    ) -> Result<AwsCredentialProvider> {
        // Only to endpoints that the environment names: those of AWS are https.
        let options = ClientOptions::new().with_allow_http(true);
        Ok(Arc::new(Provider {
            login: self,
            region: region.to_owned(),
            client: connector.connect(&options)?,
            known: OnceCell::new(),
        }))
    }

    async fn ask(&self, client: &HttpClient, region: &str) -> Result<AwsCredential> {
        match self {
            Self::Keys(keys) => Ok(AwsCredential {
                key_id: keys.key_id.clone(),
                secret_key: keys.secret_key.clone(),
                token: keys.token.clone(),
            }),
            Self::WebIdentity { .. } => Err(refused(
                "a web identity cannot be the source of another role here",
            )),
            Self::Process { command, profile } => process(command, profile).await,
            Self::Role {
                role_arn,
                session,
                external_id,
                region: own,
                source,
            } => {
                let source = Box::pin(source.ask(client, region)).await?;
                let region = own.as_deref().unwrap_or(region);
                let mut query = vec![
                    ("Action", "AssumeRole"),
                    ("RoleArn", role_arn),
                    ("RoleSessionName", session),
                    ("Version", "2011-06-15"),
                ];
                if let Some(external_id) = external_id {
                    query.push(("ExternalId", external_id));
                }
                role(client, &query, &source, region).await
            }
            Self::Sso {
                profile,
                start_url,
                region,
                account,
                role,
            } => {
                let again = || refused(&format!("log in with `aws sso login --profile {profile}`"));
                let token = sso_token(start_url).ok_or_else(again)?;
                let query = [
                    ("account_id", account.as_str()),
                    ("role_name", role.as_str()),
                ];
                let default = format!("https://portal.sso.{region}.amazonaws.com");
                let endpoint = std::env::var("AWS_ENDPOINT_URL_SSO").unwrap_or(default);
                let url = format!("{endpoint}/federation/credentials?{}", encoded(&query));
                let mut request = request("GET", &url)?;
                let token = token.parse().map_err(|_| again())?;
                request
                    .headers_mut()
                    .insert("x-amz-sso_bearer_token", token);
                let (status, body) = send(client, request).await?;
                if status == 401 {
                    return Err(again());
                }
                let read = || -> Option<AwsCredential> {
                    let answer: Value = serde_json::from_slice(&body).ok()?;
                    let text =
                        |key: &str| Some(answer["roleCredentials"][key].as_str()?.to_owned());
                    Some(AwsCredential {
                        key_id: text("accessKeyId")?,
                        secret_key: text("secretAccessKey")?,
                        token: Some(text("sessionToken")?),
                    })
                };
                read().ok_or_else(|| {
                    refused(&format!(
                        "SSO gave no credentials for the role {role} of {account} (status {status})"
                    ))
                })
            }
        }
    }
}

/// What a command prints: the format of `aws configure export-credentials`. Its errors go where ours go.
async fn process(command: &str, profile: &str) -> Result<AwsCredential> {
    let mut process = if cfg!(windows) {
        let mut process = std::process::Command::new("cmd");
        process.arg("/C");
        process
    } else {
        let mut process = std::process::Command::new("sh");
        process.arg("-c");
        process
    };
    process
        .arg(command)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit());
    let printed = tokio::task::spawn_blocking(move || process.output()).await;
    let failed = |why: &str| refused(&format!("the credential_process of `{profile}` {why}"));
    let printed = printed.map_err(|_| failed("was stopped"))?;
    let printed = printed.map_err(|error| failed(&format!("cannot be started: {error}")))?;
    if !printed.status.success() {
        return Err(failed(&format!("ended with {}", printed.status)));
    }
    let read = || -> Option<AwsCredential> {
        let answer: Value = serde_json::from_slice(&printed.stdout).ok()?;
        let text = |key: &str| Some(answer[key].as_str()?.to_owned());
        Some(AwsCredential {
            key_id: text("AccessKeyId")?,
            secret_key: text("SecretAccessKey")?,
            token: text("SessionToken"),
        })
    };
    read().ok_or_else(|| failed("printed no JSON with AccessKeyId and SecretAccessKey"))
}

/// A role taken at STS.
async fn role(
    client: &HttpClient,
    query: &[(&str, &str)],
    source: &AwsCredential,
    region: &str,
) -> Result<AwsCredential> {
    let default = format!("https://sts.{region}.amazonaws.com");
    let endpoint = std::env::var("AWS_ENDPOINT_URL_STS").unwrap_or(default);
    let mut request = request("POST", &format!("{endpoint}/?{}", encoded(query)))?;
    AwsAuthorizer::new(source, "sts", region).authorize(&mut request, None);
    let (status, body) = send(client, request).await?;
    let body = String::from_utf8_lossy(&body);
    let text = |element: &str| {
        let (_, rest) = body.split_once(&format!("<{element}>"))?;
        let (text, _) = rest.split_once("</")?;
        Some(text.trim().to_owned())
    };
    let read = || -> Option<AwsCredential> {
        Some(AwsCredential {
            key_id: text("AccessKeyId")?,
            secret_key: text("SecretAccessKey")?,
            token: Some(text("SessionToken")?),
        })
    };
    read().ok_or_else(|| {
        let code = text("Code").unwrap_or_else(|| format!("status {status}"));
        refused(&format!("STS did not give the role {}: {code}", query[1].1))
    })
}

/// The token that `aws sso login` left for a start page; the newest, where several logins did.
fn sso_token(start_url: &str) -> Option<String> {
    let folder: PathBuf = std::env::home_dir()?.join(".aws/sso/cache");
    let mut tokens = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let text = std::fs::read(entry.path()).unwrap_or_default();
        let cached: Value = serde_json::from_slice(&text).unwrap_or_default();
        let is_same = |url: &str| url.trim_end_matches('/') == start_url.trim_end_matches('/');
        if cached["startUrl"].as_str().is_some_and(is_same)
            && let Some(token) = cached["accessToken"].as_str()
        {
            let expires = cached["expiresAt"].as_str().unwrap_or_default().to_owned();
            tokens.push((expires, token.to_owned()));
        }
    }
    tokens.into_iter().max().map(|(_, token)| token)
}

fn request(method: &str, url: &str) -> Result<HttpRequest> {
    let wrong = || {
        refused(&format!(
            "{} is no address",
            url.split('?').next().unwrap_or(url)
        ))
    };
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = method.parse().map_err(|_| wrong())?;
    *request.uri_mut() = url.parse().map_err(|_| wrong())?;
    Ok(request)
}

async fn send(client: &HttpClient, request: HttpRequest) -> Result<(u16, Bytes)> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    let failed = |error: object_store::client::HttpError| {
        refused(&format!("{host} does not answer: {error}"))
    };
    let response = client.execute(request).await.map_err(failed)?;
    let status = response.status().as_u16();
    let body = response.into_body().bytes().await.map_err(failed)?;
    Ok((status, body))
}

/// A query in the strict form that signatures are made of.
fn encoded(query: &[(&str, &str)]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (key, value) in query {
        let separator = if text.is_empty() { "" } else { "&" };
        let _ = write!(text, "{separator}{key}=");
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

/// Not to be tried again: what was asked for is refused.
fn refused(why: &str) -> StoreError {
    StoreError::Unauthenticated {
        path: "the bucket".to_owned(),
        source: format!("no credentials: {why}").into(),
    }
}
