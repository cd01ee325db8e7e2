//! The arguments of `lakehunt hunts`.

use clap::{Args, Subcommand, ValueEnum};

use super::Format;

/// `lakehunt hunts`.
#[derive(Debug, Subcommand)]
pub enum HuntsCommand {
    /// All hunts with level, status and title.
    #[command(
        after_help = "Examples:\n  lakehunt hunts list\n  lakehunt hunts list --format json | jq '.[] | select(.status == \"stable\").name'"
    )]
    List {
        /// Only hunts with this tag; may be given several times.
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// How to print.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// One hunt: what it finds, what to do about it, its SQL.
    #[command(
        after_help = "Examples:\n  lakehunt hunts show wmic_format\n  lakehunt hunts show wmiexec_logscale --source"
    )]
    Show {
        /// The hunt.
        name: String,
        /// The published query it was ported from.
        #[arg(long)]
        source: bool,
        /// How to print.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Write a new hunt with its fixture: a commented template that passes check and test.
    New(NewArgs),
    /// Which techniques of ATT&CK the hunts are for, as a table or as a layer for the ATT&CK Navigator.
    #[command(
        after_help = "Examples:\n  lakehunt hunts coverage\n  lakehunt hunts coverage --status stable --format navigator > coverage.json\n\nOpen the layer at https://mitre-attack.github.io/attack-navigator/ with \"Open Existing Layer\". The score of a\ntechnique is its number of hunts. Names and tactics are of the version of ATT&CK that the output names."
    )]
    Coverage {
        /// Only hunts of this status; may be given several times.
        #[arg(long, value_name = "STATUS", value_parser = ["experimental", "test", "stable", "deprecated", "unsupported"])]
        status: Vec<String>,
        /// How to print.
        #[arg(long, value_enum, default_value_t = CoverageFormat::Text)]
        format: CoverageFormat,
    },
}

/// Output of coverage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CoverageFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// Markdown, for tickets.
    Markdown,
    /// A layer of the ATT&CK Navigator, format 4.5.
    Navigator,
}

/// `lakehunt hunts new`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt hunts new certutil_download\n  lakehunt hunts new rare_rpc_call --product network --category dce_rpc"
)]
pub struct NewArgs {
    /// The hunt's name, in `snake_case`: the name of its file.
    pub name: String,
    /// The view it reads.
    #[arg(long, value_name = "VIEW", default_value = "process_creation")]
    pub category: String,
    /// The folder below sql/hunts.
    #[arg(long, default_value = "windows")]
    pub product: String,
}
