//! Where a job's alerts go: webhooks, files for shippers, OCSF. Plain data; secrets are named, never written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::hunt::Level;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object an alert, as `lakehunt alerts --format ndjson` prints them.
    Json,
    /// Messages for an incoming webhook of Slack.
    Slack,
    /// Adaptive cards for a webhook of Teams.
    Teams,
    /// OCSF Detection Findings (class 2004) as JSON.
    Ocsf,
    /// OCSF Detection Findings as Parquet.
    OcsfParquet,
}

/// One place to which alerts go; unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What is sent.
    pub format: Format,
    /// A webhook whose address is no secret.
    pub url: Option<String>,
    /// The environment variable that holds the address of a webhook.
    pub url_env: Option<String>,
    /// The environment variable that holds a token, sent as `Authorization: Bearer`.
    pub token_env: Option<String>,
    /// A file, relative to the job, to which a line an alert is appended, for any shipper.
    pub file: Option<PathBuf>,
    /// A folder, relative to the job, or `s3://bucket/prefix`: a file a tile.
    pub folder: Option<PathBuf>,
    /// Only alerts of this level and above.
    pub level: Option<Level>,
    /// Repeats too; excepted alerts are never sent.
    #[serde(default)]
    pub repeats: bool,
}

/// What is wrong with the targets of a job: the name of the target, and why.
pub(super) fn mistake(targets: &BTreeMap<String, Target>) -> Option<(&str, String)> {
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        !name.is_empty() && name.chars().all(fits)
    };
    targets.iter().find_map(|(name, target)| {
        let wrong = if is_name(name) {
            target.mistake()
        } else {
            Some("its name may have letters, digits, `_` and `-`")
        };
        wrong.map(|wrong| (name.as_str(), format!("deliver `{name}`: {wrong}")))
    })
}

impl Target {
    fn mistake(&self) -> Option<&'static str> {
        let is_webhook = self.url.is_some() || self.url_env.is_some();
        let places = [
            self.url.is_some(),
            self.url_env.is_some(),
            self.file.is_some(),
            self.folder.is_some(),
        ];
        if places.iter().filter(|place| **place).count() != 1 {
            return Some("it needs one of `url`, `url_env`, `file` and `folder`");
        }
        if self.token_env.is_some() && !is_webhook {
            return Some("`token_env` is for webhooks");
        }
        if let Some(url) = &self.url
            && !url.starts_with("https://")
            && !url.starts_with("http://")
        {
            return Some("`url` begins with https:// or http://");
        }
        match self.format {
            Format::Slack | Format::Teams if !is_webhook => {
                Some("this format is for webhooks: name `url_env` or `url`")
            }
            Format::OcsfParquet if self.folder.is_none() => {
                Some("Parquet needs a `folder`: a file a tile")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(yaml: &str) -> Option<String> {
        let targets: BTreeMap<String, Target> = yaml_serde::from_str(yaml).unwrap();
        mistake(&targets).map(|(_, message)| message)
    }

    #[test]
    fn a_target_has_one_place_that_fits_its_format() {
        for good in [
            "soc: {format: slack, url_env: SLACK_WEBHOOK, level: high}",
            "siem: {format: json, url: https://siem.example/in, token_env: TOKEN}",
            "ship: {format: ocsf, file: alerts.ndjson, repeats: true}",
            "lake: {format: ocsf_parquet, folder: s3://bucket/ocsf}",
        ] {
            assert_eq!(wrong(good), None, "{good}");
        }
        for (bad, why) in [
            ("a: {format: json}", "one of `url`"),
            ("a: {format: json, url: https://x, file: y}", "one of `url`"),
            ("a: {format: slack, file: y}", "for webhooks"),
            ("a: {format: ocsf_parquet, file: y}", "`folder`"),
            ("a: {format: json, file: y, token_env: T}", "for webhooks"),
            ("a: {format: json, url: ftp://x}", "https://"),
            ("a/b: {format: json, file: y}", "its name"),
        ] {
            assert!(wrong(bad).is_some_and(|told| told.contains(why)), "{bad}");
        }
    }
}
