//! The invented enterprise: its hosts, the collectors that gather their logs, its people, and the processes that run since boot.
//! It knows nothing of event shapes or files.

use super::event::{Body, Integrity, Log, Running};
use super::programs::{
    CCMEXEC, CHROME, CMD, EXPLORER, LSASS, MONITOR, OUTLOOK, Program, SERVICES, SVCHOST, TEAMS,
    W3WP, WMIPRVSE,
};
use super::rng::{Rng, spread};
use super::text::{DAY, SECOND, put_hex, text_of};

/// Accounts that every Windows has, by index.
pub(crate) const SYSTEM: usize = 0;
/// The account of WMI provider hosts.
pub(crate) const NETWORK_SERVICE: usize = 1;
/// The administrator whose password the invented intruder has.
pub(crate) const STOLEN: usize = 2;
/// The account of the monitoring product.
pub(crate) const MONITORING: usize = 3;
const FIRST_PERSON: usize = 4;

/// Who something ran as.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) domain: &'static str,
    pub(crate) name: String,
    pub(crate) sid: String,
    pub(crate) logon: u64,
}

/// Which folder and shape a host's logs go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Flat EVTX as NDJSON: Sysmon and Security in two tables.
    Flat,
    /// Sysmon as Parquet, Security as flat EVTX.
    Server,
    /// nxlog: all channels in one table.
    Nxlog,
    /// CrowdStrike's sensor, replicated as FDR.
    Falcon,
    /// Microsoft Defender, through the streaming API.
    Defender,
    /// The Security log alone, exported from a Sentinel workspace.
    Sentinel,
    /// Process and network activity as OCSF in a Security Lake.
    Ocsf,
    /// No host at all: a network sensor that sees everyone's traffic.
    Zeek,
}

impl Route {
    /// Whether what this route brings has such an event.
    pub(crate) fn records(self, body: &Body<'_>) -> bool {
        match body {
            Body::Process { .. } => !matches!(self, Self::Sentinel | Self::Zeek),
            Body::Network { .. } => !matches!(self, Self::Sentinel | Self::Zeek),
            Body::Audit { .. } | Body::Logon { .. } => self.is_windows() || self == Self::Sentinel,
            Body::WmiCreate { .. } | Body::Dns { .. } => self == Self::Falcon,
            Body::Flow(_) | Body::Call(_) => self == Self::Zeek,
            _ => self.is_windows(),
        }
    }

    /// Whether it brings the logs of Windows with all their channels.
    pub(crate) fn is_windows(self) -> bool {
        matches!(self, Self::Flat | Self::Server | Self::Nxlog)
    }

    /// When what happened at `at` is told: a cloud gets it up to a minute later, in this lake on the same day.
    pub(crate) fn told(self, at: i64, lag: i64) -> i64 {
        match self {
            Self::Falcon | Self::Defender => {
                let midnight = at - at.rem_euclid(DAY) + DAY;
                (at + SECOND + lag * 1000 % (58 * SECOND)).min(midnight - 1000)
            }
            _ => at + lag,
        }
    }
}

/// A collector and the hosts that send to it.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) name: &'static str,
    pub(crate) route: Route,
    pub(crate) hosts: std::ops::Range<usize>,
}

/// A machine, with what changes while it runs.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) short_name: String,
    pub(crate) address: [u8; 4],
    /// Whether 4688 is recorded for process creations.
    pub(crate) audited: bool,
    pub(crate) server: bool,
    pub(crate) user: usize,
    /// The part of process GUIDs that is the machine's.
    pub(crate) mark: u32,
    /// The process that writes the Sysmon log.
    pub(crate) sensor_process: u32,
    pub(crate) sequence: u64,
    /// Last record numbers by log.
    pub(crate) records: [u64; 5],
    /// Processes that run since boot, then the latest started ones.
    pub(crate) since_boot: Vec<Running>,
    pub(crate) recent: Vec<Running>,
    pub(crate) oldest: usize,
}

/// How many of a host's latest processes can be parents of new ones.
pub(crate) const RECENT: usize = 6;

impl Host {
    /// The next record number of a log: they rise by one an event, as Windows counts.
    pub(crate) fn next_record(&mut self, log: Log) -> u64 {
        let record = &mut self.records[log as usize];
        *record += 1;
        *record
    }

    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// What CrowdStrike calls the host: FDR has no names of hosts.
    pub(crate) fn sensor_id(&self) -> String {
        let mut state = u64::from(self.mark);
        text_of(|out| {
            put_hex(out, spread(&mut state), 16, false);
            put_hex(out, spread(&mut state), 16, false);
        })
    }

    /// The host's name as its raw events spell it.
    pub(crate) fn raw_name(&self, route: Route) -> String {
        match route {
            Route::Falcon => self.sensor_id(),
            Route::Defender => self.name.to_lowercase(),
            _ => self.name.clone(),
        }
    }

    /// A process of this program that runs, else the one that starts others here.
    pub(crate) fn running(&self, program: &'static Program) -> &Running {
        self.recent
            .iter()
            .chain(&self.since_boot)
            .find(|running| std::ptr::eq(running.program, program))
            .unwrap_or(&self.since_boot[0])
    }
}

/// Everything that the events are about.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) accounts: Vec<Account>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) collectors: Vec<Collector>,
}

const GIVEN: [&str; 20] = [
    "amara", "bruno", "chidi", "dagny", "elif", "farid", "greta", "hugo", "ines", "jonas", "kaito",
    "leila", "milan", "noor", "oskar", "priya", "quentin", "rosa", "soren", "tomas",
];
const FAMILY: [&str; 16] = [
    "abara", "berg", "castillo", "dvorak", "eriksen", "fontaine", "gruber", "haddad", "ivanov",
    "jansen", "kowal", "lindt", "moreau", "novak", "okafor", "petit",
];

/// Positions of collectors in [`World::collectors`].
pub(crate) const SERVERS: usize = 2;
/// CrowdStrike's.
pub(crate) const FALCON: usize = 5;
/// Defender's.
pub(crate) const DEFENDER: usize = 6;
/// Sentinel's.
pub(crate) const SENTINEL: usize = 7;
/// The Security Lake's.
pub(crate) const OCSF: usize = 8;
/// The network sensor's.
pub(crate) const ZEEK: usize = 9;

/// The least number of hosts: every collector has some, and every planted story its own.
pub(crate) const FEWEST_HOSTS: u32 = 20;

impl World {
    /// The enterprise of a seed. `boot` is the first moment of the lake; everything booted before it.
    pub(crate) fn new(seed: u64, hosts: u32, boot: i64) -> Self {
        let mut rng = Rng::new(seed, &[0x3057]);
        let total = usize::try_from(hosts.max(FEWEST_HOSTS)).unwrap_or(usize::MAX);
        let servers = (total / 5).max(5);
        let branch = (total / 8).max(2);
        let desks = (total - servers - 2 * branch) / 2;
        let mut world = Self {
            accounts: well_known(),
            hosts: Vec::with_capacity(total),
            collectors: Vec::new(),
        };
        let (many, few) = ((total / 10).max(3), (total / 20).max(2));
        for index in 0..total + 2 * many + 2 * few {
            world.accounts.push(person(index));
        }
        let plan = [
            ("wec01", Route::Flat, desks),
            ("wec02", Route::Flat, desks),
            ("srv01", Route::Server, servers),
            ("nyc01", Route::Nxlog, branch),
            ("nyc02", Route::Nxlog, branch),
            ("fdr", Route::Falcon, many),
            ("mde", Route::Defender, many),
            ("law", Route::Sentinel, few),
            ("asl", Route::Ocsf, few),
            ("zeek", Route::Zeek, 0),
        ];
        for (name, route, count) in plan {
            let from = world.hosts.len();
            for index in 0..count {
                let number = world.hosts.len();
                let host = host(&mut rng, route, index, number, boot);
                world.hosts.push(host);
            }
            world.collectors.push(Collector {
                name,
                route,
                hosts: from..world.hosts.len(),
            });
        }
        world
    }

    /// The nth host of a collector, counted round.
    pub(crate) fn host_of(&self, collector: usize, nth: usize) -> usize {
        let hosts = &self.collectors[collector].hosts;
        hosts.start + nth % hosts.len().max(1)
    }
}

fn well_known() -> Vec<Account> {
    let account = |domain, name: &str, sid: &str, logon| Account {
        domain,
        name: name.to_owned(),
        sid: sid.to_owned(),
        logon,
    };
    vec![
        account("NT AUTHORITY", "SYSTEM", "S-1-5-18", 0x3e7),
        account("NT AUTHORITY", "NETWORK SERVICE", "S-1-5-20", 0x3e4),
        account("CORP", "adm.reyes", &sid(1105), 0x0082_41c7),
        account("CORP", "svc_fieldwatch", &sid(1106), 0x0004_77b2),
    ]
}

fn sid(number: usize) -> String {
    format!("S-1-5-21-1085031214-1563985344-725345543-{number}")
}

fn person(index: usize) -> Account {
    let given = GIVEN[index % GIVEN.len()];
    let family = FAMILY[(index / GIVEN.len() + index * 7) % FAMILY.len()];
    let round = index / (GIVEN.len() * FAMILY.len());
    let name = if round == 0 {
        format!("{given}.{family}")
    } else {
        format!("{given}.{family}{round}")
    };
    Account {
        domain: "CORP",
        name,
        sid: sid(1200 + index),
        logon: 0x0001_0000 + (index as u64) * 0x3d1b,
    }
}

fn host(rng: &mut Rng, route: Route, index: usize, number: usize, boot: i64) -> Host {
    let short_name = match (route, index) {
        (Route::Server, 0 | 1) => format!("DC{:02}", index + 1),
        (Route::Server, _) if index.is_multiple_of(2) => format!("SRV-FILE{:02}", index / 2),
        (Route::Server, _) => format!("SRV-APP{:02}", index / 2),
        (Route::Nxlog, _) => format!("NYC-WS{number:03}"),
        (Route::Falcon, _) => format!("ENG-{number:04}"),
        (Route::Defender, _) => format!("HR-{number:04}"),
        (Route::Sentinel, _) => format!("AZ-VM{number:03}"),
        (Route::Ocsf, _) => format!("LAB-{number:04}"),
        _ => format!("WS-{:04}", 101 + number),
    };
    let server = route == Route::Server;
    let octet = |value: usize| u8::try_from(value % 256).unwrap_or(0);
    let mark = u32::try_from(rng.below(1 << 32)).unwrap_or(0);
    let user = FIRST_PERSON + number;
    let mut host = Host {
        name: format!("{short_name}.corp.example"),
        address: [
            10,
            20,
            32 + octet(number / 200) % 200,
            octet(20 + number % 200),
        ],
        short_name,
        audited: match route {
            Route::Flat | Route::Nxlog => index.is_multiple_of(2),
            Route::Server | Route::Sentinel => true,
            _ => false,
        },
        server,
        user,
        mark,
        sensor_process: process_id(rng),
        sequence: 0x1000,
        records: [
            10_000 + rng.below(4_000_000),
            200_000 + rng.below(9_000_000),
            2000 + u64::from(mark % 5000),
            8000 + u64::from(mark % 30_000),
            1000 + u64::from(mark % 9000),
        ],
        since_boot: Vec::new(),
        recent: Vec::with_capacity(RECENT),
        oldest: 0,
    };
    let desk = [&EXPLORER, &CHROME, &OUTLOOK, &TEAMS];
    let everywhere = [
        &SERVICES, &SVCHOST, &LSASS, &WMIPRVSE, &CCMEXEC, &MONITOR, &CMD,
    ];
    let own: &[&'static Program] = if server { &[&W3WP] } else { &desk };
    for program in everywhere.iter().chain(own) {
        let running = since_boot(rng, &mut host, program, boot);
        host.since_boot.push(running);
    }
    host
}

fn since_boot(rng: &mut Rng, host: &mut Host, program: &'static Program, boot: i64) -> Running {
    let interactive =
        [EXPLORER.path, CHROME.path, OUTLOOK.path, TEAMS.path].contains(&program.path);
    let account = if interactive {
        host.user
    } else if program.path == WMIPRVSE.path {
        NETWORK_SERVICE
    } else {
        SYSTEM
    };
    let command_line = match program.path {
        path if path == SVCHOST.path => {
            r"C:\Windows\system32\svchost.exe -k DcomLaunch -p".to_owned()
        }
        path if path == WMIPRVSE.path => {
            r"C:\Windows\system32\wbem\wmiprvse.exe -secured -Embedding".to_owned()
        }
        path if path.contains(' ') => format!("\"{path}\""),
        path => path.to_owned(),
    };
    Running {
        program,
        image: None,
        started: boot - rng.between(3600, 86_400) * SECOND,
        sequence: host.next_sequence(),
        process_id: process_id(rng),
        command_line,
        directory: r"C:\Windows\system32\".to_owned(),
        account,
        integrity: if interactive {
            Integrity::Medium
        } else {
            Integrity::System
        },
    }
}

/// Process ids are multiples of four.
pub(crate) fn process_id(rng: &mut Rng) -> u32 {
    u32::try_from(500 + rng.below(4500) * 4).unwrap_or(500) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collector_has_hosts_and_names_are_unique() {
        let world = World::new(1, 0, 0);
        let with_hosts = world
            .collectors
            .iter()
            .filter(|each| each.route != Route::Zeek);
        assert!(with_hosts.clone().all(|each| each.hosts.len() >= 2));
        assert_eq!(with_hosts.count() + 1, world.collectors.len());
        let mut names: Vec<_> = world.hosts.iter().map(|host| &host.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), world.hosts.len());
        assert!(world.accounts.len() > world.hosts.len());
    }

    #[test]
    fn a_missing_parent_falls_back_to_the_service_manager() {
        let world = World::new(1, 0, 0);
        let host = &world.hosts[0];
        assert!(std::ptr::eq(
            host.running(&CHROME).program,
            &raw const CHROME
        ));
        assert!(std::ptr::eq(
            host.running(&W3WP).program,
            &raw const SERVICES
        ));
    }
}
