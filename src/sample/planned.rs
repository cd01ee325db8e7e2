//! Planted events that wait for their turn, what a story says to have them planned, and the answers that grow as the events find
//! their line. It knows nothing of why they are planted.

use std::collections::BTreeMap;

use super::answers::{Hunt, Kind, Place, Planted};
use super::event::{Body, Call, Endpoint, Flow, Integrity, Record, Running};
use super::programs::Program;
use super::text::{DAY, put_date, put_iso, text_of};

/// A planted event that waits for its turn.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) host: usize,
    pub(crate) at: i64,
    pub(crate) logged: i64,
    /// Which stories it is evidence of.
    pub(crate) stories: Vec<usize>,
    pub(crate) body: PlannedBody,
}

/// What [`Body`] borrows.
#[derive(Debug)]
pub(crate) enum PlannedBody {
    Process {
        process: Running,
        parent: Running,
    },
    Audit {
        process: Running,
        parent: Running,
    },
    WmiCreate {
        process: Running,
        parent: Running,
        client: Option<[u8; 4]>,
    },
    Network {
        process: Running,
        initiated: bool,
        from: Endpoint,
        to: Endpoint,
    },
    ImageLoad {
        process: Running,
        module: &'static Program,
    },
    FileCreate {
        process: Running,
        target: String,
    },
    Logon {
        account: usize,
        logon: u64,
        from: Endpoint,
    },
    Share {
        account: usize,
        logon: u64,
        from: Endpoint,
        share: &'static str,
        target: String,
    },
    Record(Record),
    Flow(Flow),
    Call(Call),
}

impl PlannedBody {
    pub(crate) fn body(&self) -> Body<'_> {
        match self {
            Self::Process { process, parent } => Body::Process { process, parent },
            Self::Audit { process, parent } => Body::Audit { process, parent },
            Self::WmiCreate {
                process,
                parent,
                client,
            } => Body::WmiCreate {
                process,
                provider_host: parent,
                client: *client,
            },
            Self::Network {
                process,
                initiated,
                from,
                to,
            } => Body::Network {
                process,
                initiated: *initiated,
                udp: false,
                source: *from,
                destination: *to,
            },
            Self::ImageLoad { process, module } => Body::ImageLoad { process, module },
            Self::FileCreate { process, target } => Body::FileCreate { process, target },
            Self::Logon {
                account,
                logon,
                from,
            } => Body::Logon {
                account: *account,
                kind: 3,
                logon: *logon,
                from: *from,
            },
            Self::Share {
                account,
                logon,
                from,
                share,
                target,
            } => Body::Share {
                account: *account,
                logon: *logon,
                from: *from,
                share,
                target,
            },
            Self::Record(record) => Body::Record(record),
            Self::Flow(flow) => Body::Flow(*flow),
            Self::Call(call) => Body::Call(*call),
        }
    }
}

/// An answer in the making.
#[derive(Debug)]
pub(crate) struct Story {
    hunt: Hunt,
    kind: Kind,
    host: String,
    /// That of its first event.
    table: String,
    key: BTreeMap<String, String>,
    pub(crate) commands: Vec<String>,
    why: String,
    events: Vec<Place>,
    first: i64,
    last: i64,
}

impl Story {
    /// An activity of which nothing is written yet. `host` is its name in the raw events.
    pub(crate) fn new(
        hunt: Hunt,
        kind: Kind,
        host: &str,
        (name, value): (&str, &str),
        why: &str,
    ) -> Self {
        Self {
            hunt,
            kind,
            host: host.to_owned(),
            table: String::new(),
            key: BTreeMap::from([
                ("host_name".to_owned(), host.to_owned()),
                (name.to_owned(), value.to_owned()),
            ]),
            commands: Vec::new(),
            why: why.to_owned(),
            events: Vec::new(),
            first: i64::MAX,
            last: i64::MIN,
        }
    }

    /// One of its events has been written.
    pub(crate) fn found(&mut self, place: Place, at: i64) {
        if self.events.is_empty() {
            self.table.clone_from(&place.table);
        }
        self.events.push(place);
        self.first = self.first.min(at);
        self.last = self.last.max(at);
    }

    pub(crate) fn answer(self, number: usize) -> Planted {
        Planted {
            id: format!("p{:03}", number + 1),
            hunt: self.hunt,
            kind: self.kind,
            day: text_of(|out| put_date(out, self.last.div_euclid(DAY))),
            host: self.host,
            table: self.table,
            first_seen: text_of(|out| put_iso(out, self.first)),
            last_seen: text_of(|out| put_iso(out, self.last)),
            key: self.key,
            commands: self.commands,
            events: self.events,
            why: self.why,
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        !self.events.is_empty()
    }
}

/// A process that a story starts.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) host: usize,
    pub(crate) at: i64,
    pub(crate) program: &'static Program,
    pub(crate) image: Option<&'static str>,
    pub(crate) command: &'a str,
    pub(crate) directory: &'a str,
    pub(crate) account: usize,
    pub(crate) integrity: Integrity,
    pub(crate) parent: &'a Running,
    /// Stories that its Sysmon event is evidence of.
    pub(crate) stories: &'a [usize],
    /// Where the order came from over the network, for a sensor that says so.
    pub(crate) client: Option<[u8; 4]>,
    /// Stories that its 4688 event, where the host records one, is evidence of as well.
    pub(crate) audit_stories: &'a [usize],
}

/// Where a story plays: hosts are named by collector, because the collector decides table and raw shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) collector: usize,
    pub(crate) nth: usize,
}
