//! What happened, before it has a raw shape: a process started, a connection was made, someone logged on.
//! Borrowed, so that background telemetry needs no allocation an event. It knows nothing of JSON, Parquet or files.

use super::programs::Program;
use super::world::{Account, Host};

/// A process that runs: what a process creation event says of it, and what later events refer to.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) program: &'static Program,
    /// Where the file lies, if not where its vendor puts it (a renamed copy).
    pub(crate) image: Option<&'static str>,
    /// When it started, in microseconds since 1970, and its number on the host: together its GUID.
    pub(crate) started: i64,
    pub(crate) sequence: u64,
    pub(crate) process_id: u32,
    pub(crate) command_line: String,
    pub(crate) directory: String,
    /// Index into the world's accounts.
    pub(crate) account: usize,
    pub(crate) integrity: Integrity,
}

impl Running {
    pub(crate) fn image(&self) -> &'static str {
        self.image.unwrap_or(self.program.path)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integrity {
    Medium,
    High,
    System,
}

impl Integrity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Medium => "Medium",
            Self::High => "High",
            Self::System => "System",
        }
    }

    /// The mandatory label of a 4688 record.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Medium => "S-1-16-8192",
            Self::High => "S-1-16-12288",
            Self::System => "S-1-16-16384",
        }
    }

    pub(crate) fn session(self) -> &'static str {
        if self == Self::Medium { "1" } else { "0" }
    }
}

/// An address and port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) address: [u8; 4],
    pub(crate) port: u16,
}

/// One event of one host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) host: &'a Host,
    pub(crate) accounts: &'a [Account],
    /// When it happened: microseconds since 1970, whole milliseconds (Sysmon's `UtcTime`).
    pub(crate) at: i64,
    /// When the log got it (`TimeCreated`): not before `at`.
    pub(crate) logged: i64,
    pub(crate) body: Body<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Body<'a> {
    /// Sysmon 1.
    Process {
        process: &'a Running,
        parent: &'a Running,
    },
    /// Sysmon 3.
    Network {
        process: &'a Running,
        initiated: bool,
        udp: bool,
        source: Endpoint,
        destination: Endpoint,
    },
    /// Sysmon 7.
    ImageLoad {
        process: &'a Running,
        module: &'static Program,
    },
    /// Sysmon 11.
    FileCreate {
        process: &'a Running,
        target: &'a str,
    },
    /// Sysmon 13.
    Registry {
        process: &'a Running,
        target: &'a str,
        value: u32,
    },
    /// Security 4688 of a process creation.
    Audit {
        process: &'a Running,
        parent: &'a Running,
    },
    /// Security 4624.
    Logon {
        account: usize,
        kind: u8,
        logon: u64,
        from: Endpoint,
    },
    /// Security 5145.
    Share {
        account: usize,
        logon: u64,
        from: Endpoint,
        share: &'a str,
        target: &'a str,
    },
}

impl Body<'_> {
    pub(crate) fn is_security(&self) -> bool {
        matches!(
            self,
            Self::Audit { .. } | Self::Logon { .. } | Self::Share { .. }
        )
    }

    pub(crate) fn event_id(&self) -> u64 {
        match self {
            Self::Process { .. } => 1,
            Self::Network { .. } => 3,
            Self::ImageLoad { .. } => 7,
            Self::FileCreate { .. } => 11,
            Self::Registry { .. } => 13,
            Self::Audit { .. } => 4688,
            Self::Logon { .. } => 4624,
            Self::Share { .. } => 5145,
        }
    }

    /// The `Version` of the event's manifest.
    pub(crate) fn version(&self) -> u64 {
        match self {
            Self::Process { .. } | Self::Network { .. } => 5,
            Self::ImageLoad { .. } => 3,
            Self::Share { .. } => 0,
            _ => 2,
        }
    }

    pub(crate) fn task(&self) -> u64 {
        match self {
            Self::Audit { .. } => 13_312,
            Self::Logon { .. } => 12_544,
            Self::Share { .. } => 12_811,
            _ => self.event_id(),
        }
    }
}
