//! Planted activities while the lake is made: their events, waiting for their day and collector, and the answers that grow
//! as these events find their line. What the activities are is told in `attacks` and `lookalikes`.

use std::collections::BTreeMap;

use super::answers::{Hunt, Kind, Place, Planted};
use super::event::{Body, Endpoint, Integrity, Running};
use super::programs::{EXPLORER, Program, WMIPRVSE};
use super::rng::Rng;
use super::text::{DAY, SECOND, put_date, put_iso, text_of};
use super::world::{Account, Route, World, process_id};

/// Microseconds of a millisecond.
pub(crate) const MILLISECOND: i64 = 1000;

/// A planted event that waits for its turn.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) host: usize,
    pub(crate) at: i64,
    pub(crate) logged: i64,
    /// Which stories it is evidence of.
    pub(crate) stories: Vec<usize>,
    body: PlannedBody,
}

#[derive(Debug)]
enum PlannedBody {
    Process {
        process: Running,
        parent: Running,
    },
    Audit {
        process: Running,
        parent: Running,
    },
    Network {
        process: Running,
        from: Endpoint,
        to: Endpoint,
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
        target: String,
    },
}

impl Planned {
    pub(crate) fn body(&self) -> Body<'_> {
        match &self.body {
            PlannedBody::Process { process, parent } => Body::Process { process, parent },
            PlannedBody::Audit { process, parent } => Body::Audit { process, parent },
            PlannedBody::Network { process, from, to } => Body::Network {
                process,
                initiated: false,
                udp: false,
                source: *from,
                destination: *to,
            },
            PlannedBody::FileCreate { process, target } => Body::FileCreate { process, target },
            PlannedBody::Logon {
                account,
                logon,
                from,
            } => Body::Logon {
                account: *account,
                kind: 3,
                logon: *logon,
                from: *from,
            },
            PlannedBody::Share {
                account,
                logon,
                from,
                target,
            } => Body::Share {
                account: *account,
                logon: *logon,
                from: *from,
                share: r"\\*\ADMIN$",
                target,
            },
        }
    }
}

/// An answer in the making.
#[derive(Debug)]
pub(crate) struct Story {
    hunt: Hunt,
    kind: Kind,
    host: String,
    table: &'static str,
    key: BTreeMap<String, String>,
    commands: Vec<String>,
    why: String,
    events: Vec<Place>,
    first: i64,
    last: i64,
}

impl Story {
    /// One of its events has been written.
    pub(crate) fn found(&mut self, place: Place, at: i64) {
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
            table: self.table.to_owned(),
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
    /// Stories that its 4688 event, where the host records one, is evidence of as well.
    pub(crate) audit_stories: &'a [usize],
}

/// Where a story plays: hosts are named by collector, because the collector decides table and raw shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) collector: usize,
    pub(crate) nth: usize,
}

/// Takes stories in and hands their events out, by day and collector.
#[derive(Debug)]
pub(crate) struct Stage<'w> {
    pub(crate) world: &'w mut World,
    pub(crate) rng: Rng,
    pub(crate) stories: Vec<Story>,
    queue: BTreeMap<(i64, usize), Vec<Planned>>,
    only: Option<usize>,
}

impl<'w> Stage<'w> {
    /// `only`: all stories play on hosts of this collector.
    pub(crate) fn new(world: &'w mut World, seed: u64, only: Option<usize>) -> Self {
        Self {
            world,
            rng: Rng::new(seed, &[0x57A6]),
            stories: Vec::new(),
            queue: BTreeMap::new(),
            only,
        }
    }

    pub(crate) fn host_at(&self, scene: Scene) -> usize {
        self.world
            .host_of(self.only.unwrap_or(scene.collector), scene.nth)
    }

    pub(crate) fn account_of(&self, host: usize) -> usize {
        self.world.hosts[host].user
    }

    pub(crate) fn account(&self, account: usize) -> &Account {
        &self.world.accounts[account]
    }

    /// Events of a day and collector, in order of time.
    pub(crate) fn take(&mut self, day: i64, collector: usize) -> Vec<Planned> {
        let mut planned = self.queue.remove(&(day, collector)).unwrap_or_default();
        planned.sort_by_key(|event| event.at);
        planned
    }

    /// Number of events that wait for a day and collector.
    pub(crate) fn waiting(&self, day: i64, collector: usize) -> u64 {
        self.queue
            .get(&(day, collector))
            .map_or(0, |planned| planned.len() as u64)
    }

    pub(crate) fn begin(
        &mut self,
        hunt: Hunt,
        kind: Kind,
        host: usize,
        key: (&str, &str),
        why: &str,
    ) -> usize {
        let name = self.world.hosts[host].name.clone();
        self.stories.push(Story {
            hunt,
            kind,
            table: match self.world.collectors[self.collector_of(host)].route {
                Route::Flat => "sysmon",
                Route::Server => "sysmon_servers",
                Route::Nxlog => "nxlog",
            },
            key: BTreeMap::from([
                ("host_name".to_owned(), name.clone()),
                (key.0.to_owned(), key.1.to_owned()),
            ]),
            host: name,
            commands: Vec::new(),
            why: why.to_owned(),
            events: Vec::new(),
            first: i64::MAX,
            last: i64::MIN,
        });
        self.stories.len() - 1
    }

    /// The WMI provider host or the desktop that runs since boot.
    pub(crate) fn long_running(&self, host: usize, program: &'static Program) -> Running {
        let since_boot = &self.world.hosts[host].since_boot;
        since_boot
            .iter()
            .find(|running| std::ptr::eq(running.program, program))
            .unwrap_or(&since_boot[0])
            .clone()
    }

    pub(crate) fn provider_host(&self, host: usize) -> Running {
        self.long_running(host, &WMIPRVSE)
    }

    pub(crate) fn desktop(&self, host: usize) -> Running {
        self.long_running(host, &EXPLORER)
    }

    /// Starts a process: a Sysmon event, and a 4688 event where the host records it.
    pub(crate) fn launch(&mut self, launch: &Launch<'_>) -> Running {
        let at = in_day(launch.at);
        let process = Running {
            program: launch.program,
            image: launch.image,
            started: at,
            sequence: self.world.hosts[launch.host].next_sequence(),
            process_id: process_id(&mut self.rng),
            command_line: launch.command.to_owned(),
            directory: launch.directory.to_owned(),
            account: launch.account,
            integrity: launch.integrity,
        };
        for story in launch.stories {
            self.stories[*story]
                .commands
                .push(launch.command.to_owned());
        }
        let body = PlannedBody::Process {
            process: process.clone(),
            parent: launch.parent.clone(),
        };
        let lag = self.rng.between(2 * MILLISECOND, 18 * MILLISECOND);
        self.plan(launch.host, at, at + lag, launch.stories, body);
        if self.world.hosts[launch.host].audited {
            let body = PlannedBody::Audit {
                process: process.clone(),
                parent: launch.parent.clone(),
            };
            let lag = self.rng.between(200, 4 * MILLISECOND);
            self.plan(launch.host, at, at + lag, launch.audit_stories, body);
        }
        process
    }

    /// A connection to the RPC endpoint mapper, and where the host records it the logon that comes with it.
    pub(crate) fn arrive(&mut self, host: usize, at: i64, account: usize, from: [u8; 4]) {
        let port = 50_000 + u16::try_from(self.rng.below(9000)).unwrap_or(0);
        let source = Endpoint {
            address: from,
            port,
        };
        let process = self.long_running(host, &super::programs::SVCHOST);
        let to = Endpoint {
            address: self.world.hosts[host].address,
            port: 135,
        };
        let at = in_day(at);
        let body = PlannedBody::Network {
            process,
            from: source,
            to,
        };
        // Sysmon reports connections late.
        let lag = self.rng.between(400 * MILLISECOND, 1500 * MILLISECOND);
        self.plan(host, at, at + lag, &[], body);
        if self.world.hosts[host].audited {
            let logon = self.world.accounts[account].logon;
            let body = PlannedBody::Logon {
                account,
                logon,
                from: source,
            };
            self.plan(host, at, at + MILLISECOND, &[], body);
        }
    }

    /// The tool writes its output file over SMB and reads it from there.
    pub(crate) fn read_output(
        &mut self,
        host: usize,
        at: i64,
        account: usize,
        from: [u8; 4],
        name: &str,
    ) {
        let at = in_day(at);
        let kernel = Running {
            program: &super::programs::KERNEL,
            image: None,
            started: 0,
            sequence: 1,
            process_id: 4,
            command_line: String::new(),
            directory: String::new(),
            account: super::world::SYSTEM,
            integrity: Integrity::System,
        };
        let body = PlannedBody::FileCreate {
            process: kernel,
            target: format!(r"C:\Windows\{name}"),
        };
        self.plan(host, at, at + 6 * MILLISECOND, &[], body);
        if self.world.hosts[host].audited {
            let logon = self.world.accounts[account].logon;
            let at = in_day(at + 700 * MILLISECOND);
            let body = PlannedBody::Share {
                account,
                logon,
                from: Endpoint {
                    address: from,
                    port: 50_896,
                },
                target: name.to_owned(),
            };
            self.plan(host, at, at + MILLISECOND, &[], body);
        }
    }

    fn plan(&mut self, host: usize, at: i64, logged: i64, stories: &[usize], body: PlannedBody) {
        let collector = self.collector_of(host);
        self.queue
            .entry((at.div_euclid(DAY), collector))
            .or_default()
            .push(Planned {
                host,
                at,
                logged,
                stories: stories.to_vec(),
                body,
            });
    }

    fn collector_of(&self, host: usize) -> usize {
        self.world
            .collectors
            .iter()
            .position(|collector| collector.hosts.contains(&host))
            .unwrap_or(0)
    }
}

/// Whole milliseconds, and far enough from midnight that both clocks of the event tell the same day.
fn in_day(at: i64) -> i64 {
    let whole = at - at.rem_euclid(MILLISECOND);
    let left = DAY - whole.rem_euclid(DAY);
    whole - (4 * SECOND - left).max(0)
}
