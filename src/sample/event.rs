//! What happened, before it has a raw shape: a process started, a connection was made, someone logged on.
//! Borrowed, so that most background telemetry needs no allocation an event. It knows nothing of JSON, Parquet or files.

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

/// A log of a Windows host: each has its own channel and counts its own records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    Sysmon,
    Security,
    WmiActivity,
    PowerShell,
    /// The older log of PowerShell, named `Windows PowerShell`.
    WindowsPowerShell,
}

/// The value of a field of a [`Record`].
#[derive(Debug, Clone)]
pub(crate) enum Leaf {
    Text(String),
    Number(u64),
    /// The unnamed values of an old-style event, in order.
    List(Vec<String>),
}

/// An event of which only names and values matter: no other event refers to what it says.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) log: Log,
    pub(crate) event_id: u64,
    /// Who the System part names.
    pub(crate) account: usize,
    /// Which process wrote it; 0: the record does not say.
    pub(crate) process_id: u32,
    pub(crate) fields: Vec<(&'static str, Leaf)>,
    /// The rendered text, where that is all that nxlog keeps of the event's own data.
    pub(crate) message: Option<String>,
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
    /// Sysmon 19 to 21, Security 5156, WMI-Activity, PowerShell.
    Record(&'a Record),
    /// CrowdStrike's `WmiCreateProcess`: the provider host starts a process for a client.
    WmiCreate {
        process: &'a Running,
        provider_host: &'a Running,
        /// None where the client is on the host itself.
        client: Option<[u8; 4]>,
    },
    /// A question to the name service.
    Dns {
        process: &'a Running,
        name: &'static str,
    },
    /// A connection on the wire.
    Flow(Flow),
    /// A decoded remote procedure call on the wire.
    Call(Call),
}

/// A connection as a network sensor sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
    pub(crate) udp: bool,
    /// Protocols found in it, `-` for none.
    pub(crate) service: &'static str,
    /// Microseconds.
    pub(crate) duration: i64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// What the sensor's id is made from.
    pub(crate) id: u64,
}

/// A remote procedure call as a network sensor decodes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
    pub(crate) id: u64,
    /// The interface.
    pub(crate) endpoint: &'static str,
    pub(crate) operation: &'static str,
    /// The pipe it went through, or the port.
    pub(crate) pipe: &'static str,
    /// Microseconds until the answer.
    pub(crate) answered_in: u64,
}

impl Body<'_> {
    /// Which log of a Windows host tells it. Sensors that keep no such logs count all their events as one.
    pub(crate) fn log(&self) -> Log {
        match self {
            Self::Audit { .. } | Self::Logon { .. } | Self::Share { .. } => Log::Security,
            Self::Record(record) => record.log,
            _ => Log::Sysmon,
        }
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
            Self::Record(record) => record.event_id,
            Self::WmiCreate { .. } | Self::Dns { .. } | Self::Flow(_) | Self::Call(_) => 0,
        }
    }

    /// The `Version` of the event's manifest.
    pub(crate) fn version(&self) -> u64 {
        match self.event_id() {
            1 | 3 => 5,
            7 | 19..=21 => 3,
            5145 | 5857..=5861 | 800 => 0,
            4103 | 4104 | 5156 => 1,
            _ => 2,
        }
    }

    pub(crate) fn task(&self) -> u64 {
        match self.event_id() {
            4688 => 13_312,
            4624 => 12_544,
            5145 => 12_811,
            5156 => 12_810,
            5857..=5861 => 0,
            4103 => 106,
            4104 => 2,
            800 => 8,
            id => id,
        }
    }
}
