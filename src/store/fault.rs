//! What an error of a bucket means: whether the request is worth repeating, and how it is told.
//!
//! `object_store` keeps status codes to itself, so the texts of its errors are read. They hold what a store answered, and
//! stores repeat what they were sent: S3 writes the session token into `ExpiredToken`, and all headers that were signed
//! into `SignatureDoesNotMatch`. Of an answer only its code and message leave here, of a URL neither query nor password.

use std::sync::LazyLock;

use object_store::Error;
use regex::Regex;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It may pass: 5xx, 429, a connection that broke, a body that ended early, a list that was cut.
    Passing,
    /// Nobody answers: a name that is unknown, a port that is closed, no credentials of this machine.
    Unreachable,
    /// The credentials are good no more; newer ones may be there.
    Expired,
    /// It stays.
    Final,
}

/// The words of S3 for credentials that were good once.
const EXPIRED: [&str; 3] = ["ExpiredToken", "TokenRefreshRequired", "RequestExpired"];

/// Its words for credentials that it does not know, or not any more: keys are changed for others too.
const UNKNOWN: [&str; 2] = ["InvalidAccessKeyId", "InvalidToken"];

/// Where machines ask for the credentials of their own.
const MACHINES: [&str; 2] = ["169.254.", "metadata.google.internal"];

static STATUS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"status code: ([0-9]{3})").ok());

/// How long and how often a request was tried: other words on every run, and these may end in a quarantine file.
static TRIES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r" in [0-9.]+[nµm]?s\b|, after [0-9]+ retries, max_retries: [0-9]+, retry_timeout: [0-9.]+[nµm]?s").ok()
});

impl Fault {
    pub(super) fn of(error: &Error) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| is_about(error, word));
        match error {
            Error::Generic { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
                if says(&EXPIRED) || says(&UNKNOWN) =>
            {
                Self::Expired
            }
            Error::Generic { .. } => match status(error) {
                Some(400)
                    if says(&[
                        "RequestTimeout",
                        "IncompleteBody",
                        "BadDigest",
                        "Md5Mismatch",
                    ]) =>
                {
                    Self::Passing
                }
                Some(200 | 408 | 429 | 500..) => Self::Passing,
                Some(_) => Self::Final,
                None if says(&["URL scheme is not allowed", "without LOCATION"]) => Self::Final,
                None if says(&["dns error", "tcp connect error"]) || says(&MACHINES) => {
                    Self::Unreachable
                }
                None => Self::Passing,
            },
            _ => Self::Final,
        }
    }
}

/// An error of a store in words, the same for the same cause, and what to do about it; without anything secret.
pub(super) fn told(error: &Error) -> String {
    let mut text = without_answer(&error.to_string());
    let mut from = 0;
    while let Some(start) = text[from..].find("://").map(|at| from + at) {
        let end = text[start..]
            .find(|c: char| c.is_whitespace() || "\"')>".contains(c))
            .map_or(text.len(), |length| start + length);
        let cut = text[start..end].find('?').map_or(end, |at| start + at);
        text.replace_range(cut..end, "");
        let host = start + "://".len();
        let path = text[host..cut].find('/').map_or(cut, |at| host + at);
        from = cut;
        if let Some(at) = text[host..path].rfind('@') {
            text.replace_range(host..=host + at, "");
            from -= at + 1;
        }
    }
    if let Some(tries) = TRIES.as_ref() {
        text = tries.replace_all(&text, "").into_owned();
    }
    match advice(error) {
        // Errors are told again by those who could not go on without the request.
        Some(advice) if !text.contains(advice) => format!("{text}; {advice}"),
        _ => text,
    }
}

/// A text with the code and the message of an answer in place of all of it.
fn without_answer(text: &str) -> String {
    let Some(start) = ["<?xml", "<Error", "<!DOCTYPE", "<html"]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min()
    else {
        return text.to_owned();
    };
    let (before, answer) = text.split_at(start);
    let part = |element: &str| {
        let (_, rest) = answer.split_once(&format!("<{element}>"))?;
        Some(rest.split_once("</")?.0.trim())
    };
    // Azure says in further lines which request it was, and when: other words on every run.
    let message = part("Message").and_then(|message| message.lines().next());
    let told = match (part("Code"), message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => "an answer that is not one of a store".to_owned(),
    };
    let after = answer.rfind("</Error>").map(|end| end + "</Error>".len());
    format!("{before}{told}{}", after.map_or("", |end| &answer[end..]))
}

/// What to do about an error of a bucket.
fn advice(error: &Error) -> Option<&'static str> {
    let says = |word| is_about(error, word);
    if EXPIRED.iter().any(|word| says(word)) {
        return Some(
            "the credentials have expired: log in again, or name a `profile` that can renew them",
        );
    }
    if MACHINES.iter().any(|machine| says(machine)) {
        return Some(
            "there are no credentials: set AWS_*, AZURE_* or GOOGLE_*, or name a `profile` under `credentials`",
        );
    }
    if says("403 Forbidden") || says("401 Unauthorized") {
        return Some(
            "the credentials are wrong, have expired or may not do this: look at AWS_*, AZURE_* or GOOGLE_* in the environment, or at the profile",
        );
    }
    if says("without LOCATION") {
        return Some("the bucket is in another region: set `region` under `credentials`");
    }
    let is_missing = says("NoSuchBucket") || says("ContainerNotFound");
    is_missing.then_some("look at the name of the bucket, the endpoint and the region")
}

fn status(error: &Error) -> Option<u16> {
    let text = error.to_string();
    let found = STATUS.as_ref()?.captures(&text)?;
    found[1].parse().ok()
}

fn is_about(error: &(dyn std::error::Error + 'static), word: &str) -> bool {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    chain.any(|error| error.to_string().contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> Error {
        Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        }
    }

    #[test]
    fn errors_hold_no_query_and_no_times() {
        let text = told(&error(
            "GET https://sts.example/?Token=secret failed, then (http://x/y?z=secret)",
        ));
        assert!(!text.contains("secret"), "{text}");
        assert!(
            text.ends_with("GET https://sts.example/ failed, then (http://x/y)"),
            "{text}"
        );
        let text = told(&error("GET http://me:secret@host:1/a@b?c=secret failed"));
        assert!(text.ends_with("GET http://host:1/a@b failed"), "{text}");
        let text = told(&error(
            "GET http://x/y in 1.5s, after 2 retries, max_retries: 2, retry_timeout: 3s  - x",
        ));
        assert!(text.ends_with("GET http://x/y  - x"), "{text}");
    }

    #[test]
    fn of_an_answer_only_code_and_message_are_told() {
        let text = told(&error(
            "status code: 400 Bad Request: <?xml version=\"1.0\"?>\n<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message><Token-0>secret</Token-0></Error>; over",
        ));
        assert!(!text.contains("secret"), "{text}");
        assert!(
            text.contains(
                "400 Bad Request: ExpiredToken: The token has expired.; over; the credentials"
            ),
            "{text}"
        );
        let text = told(&error(
            "404 Not Found: \u{feff}<?xml version=\"1.0\"?><Error><Code>ContainerNotFound</Code><Message>It does not exist.\nRequestId:1\nTime:2</Message></Error>",
        ));
        assert!(
            text.ends_with("ContainerNotFound: It does not exist.; look at the name of the bucket, the endpoint and the region"),
            "{text}"
        );
        let text = told(&error(
            "GET http://169.254.169.254/metadata/identity - 403 Forbidden",
        ));
        assert!(text.contains("there are no credentials"), "{text}");
        let text = told(&error("403 Forbidden: <html>secret</html>"));
        assert!(
            text.contains("403 Forbidden: an answer that is not one of a store"),
            "{text}"
        );
    }

    #[test]
    fn what_is_worth_repeating() {
        let status = |status: &str, body: &str| {
            Fault::of(&error(&format!(
                "Error performing GET http://x - Server returned non-2xx status code: {status}: {body}"
            )))
        };
        assert_eq!(
            status("503 Service Unavailable", "SlowDown"),
            Fault::Passing
        );
        assert_eq!(status("400 Bad Request", "InvalidArgument"), Fault::Final);
        assert_eq!(status("400 Bad Request", "RequestTimeout"), Fault::Passing);
        assert_eq!(status("400 Bad Request", "ExpiredToken"), Fault::Expired);
        assert_eq!(status("404 Not Found", "NoSuchBucket"), Fault::Final);
        assert_eq!(
            Fault::of(&error("error decoding response body")),
            Fault::Passing
        );
        assert_eq!(
            Fault::of(&error("client error (Connect): tcp connect error")),
            Fault::Unreachable
        );
        let denied = Error::PermissionDenied {
            path: "x".to_owned(),
            source: "403 Forbidden: AccessDenied".into(),
        };
        assert_eq!(Fault::of(&denied), Fault::Final);
        assert!(told(&denied).contains("may not do this"));
    }
}
