//! Requests to webhooks: tried a few times, bounded in time, and silent about addresses, which may be secrets.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, redirect};

use crate::error::{Error, Result};

/// How often one request is made in a run; the next run goes on.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause that a receiver may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// Taken.
    Taken,
    /// The receiver does not want this one (HTTP 400, 413, 422); it may want others.
    Refused(String),
    /// The receiver is not there, or takes nothing now.
    Failed(String),
}

/// Sends to one webhook.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    url: reqwest::Url,
    token: Option<HeaderValue>,
}

impl Sender {
    /// A sender to an address, with a token for `Authorization: Bearer`.
    ///
    /// # Errors
    /// A configuration error without the address, which may be a secret: it is none, or the token has characters that no
    /// header may have.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self> {
        let url = reqwest::Url::parse(url)
            .ok()
            .filter(|url| ["http", "https"].contains(&url.scheme()))
            .ok_or_else(|| Error::configuration("the webhook's address is no http(s) URL"))?;
        let token = token
            .map(|token| {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))?;
                value.set_sensitive(true);
                Ok(value)
            })
            .transpose()
            .map_err(|_: reqwest::header::InvalidHeaderValue| {
                Error::configuration("the webhook's token has characters that no header may have")
            })?;
        let client = Client::builder()
            .timeout(TIMEOUT)
            // What is sent to one address is not meant for another.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("lakehunt/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::failure(error.without_url().to_string()))?;
        Ok(Self { client, url, token })
    }

    /// Sends one body of JSON. `key` is the same for the same alert on every attempt and in every run.
    pub async fn send(&self, key: &str, body: &str) -> Sent {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let (sent, wait) = self.attempt(key, body).await;
            let is_last = attempt >= ATTEMPTS;
            match sent {
                Sent::Failed(_) if !is_last => {
                    tokio::time::sleep(wait.unwrap_or(pause).min(LONGEST_PAUSE)).await;
                    pause *= 2;
                }
                sent => return sent,
            }
        }
        Sent::Failed("it was not tried".to_owned())
    }

    async fn attempt(&self, key: &str, body: &str) -> (Sent, Option<Duration>) {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", key)
            .body(body.to_owned());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return (Sent::Failed(reason(error)), None),
        };
        let status = answer.status();
        if status.is_success() {
            return (Sent::Taken, None);
        }
        let wait = answer.headers().get(RETRY_AFTER);
        let wait = wait.and_then(|value| value.to_str().ok()?.parse().ok());
        let words = format!("HTTP {status}");
        let refused = [
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        if refused.contains(&status) {
            return (Sent::Refused(words), None);
        }
        (Sent::Failed(words), wait.map(Duration::from_secs))
    }
}

/// Why a request failed, down to the cause, without its address.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        cause = inner.source();
    }
    words
}
