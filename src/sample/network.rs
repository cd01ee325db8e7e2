//! What planted activities leave besides process starts: connections as hosts and the network sensor see them, logons, files on
//! shares, loaded modules. It knows nothing of why they happen.

use super::answers::Hunt;
use super::event::{Call, Endpoint, Flow, Integrity, Record, Running};
use super::members::put_address;
use super::planned::{PlannedBody, Scene};
use super::programs::{KERNEL, Program, SVCHOST};
use super::records;
use super::rng::Rng;
use super::stories::{MILLISECOND, Stage, in_day};
use super::text::{SECOND, text_of};
use super::world::SYSTEM;

/// What a client does once it is connected, as decoded remote procedure calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialogue {
    /// Starts processes through WMI.
    Wmi,
    /// Starts processes through another object, as dcomexec does.
    Dcom,
    /// Speaks in a way that the sensor cannot read.
    Encrypted,
}

/// Someone connects from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) host: usize,
    pub(crate) at: i64,
    pub(crate) account: usize,
    pub(crate) from: [u8; 4],
    /// 135, 5985 or 5986.
    pub(crate) port: u16,
    pub(crate) dialogue: Dialogue,
    pub(crate) stories: &'a [usize],
}

/// An address as text.
pub(crate) fn dotted(address: [u8; 4]) -> String {
    text_of(|out| put_address(out, address))
}

const WHY_CONNECTION: &str =
    "a connection to a port of RPC's endpoint mapper or of WinRM, whoever opened it";
const WHY_CALL: &str = "calls of WMI's interfaces, decoded on the wire";

impl Stage<'_> {
    /// A connection to the RPC endpoint mapper or to the remote shell service (5985, 5986), and where the host records it the logon that comes with it.
    pub(crate) fn arrive(&mut self, arrival: &Arrival<'_>) {
        let Arrival { host, from, .. } = *arrival;
        let port = 50_000 + u16::try_from(self.rng.below(9000)).unwrap_or(0);
        let source = Endpoint {
            address: from,
            port,
        };
        let to = Endpoint {
            address: self.world.hosts[host].address,
            port: arrival.port,
        };
        let at = in_day(arrival.at);
        let mut process = self.long_running(host, &SVCHOST);
        if arrival.port != 135 {
            // WinRM's port belongs to the kernel.
            process = kernel();
        }
        let mut stories = arrival.stories.to_vec();
        if self.is_whole() {
            let name = self.world.hosts[host].raw_name(self.route_of(host));
            let address = dotted(from);
            let key = ("source_ip", address.as_str());
            let group = (Hunt::RemoteWmiConnection, name.as_str(), key);
            let apart = format!("from {address} {}", arrival.port);
            stories.push(self.group(group, &apart, at, WHY_CONNECTION));
        }
        let body = PlannedBody::Network {
            process,
            initiated: false,
            from: source,
            to,
        };
        // Sysmon reports connections late.
        let lag = self.rng.between(400 * MILLISECOND, 1500 * MILLISECOND);
        self.plan(host, at, lag, &stories, body);
        if self.world.hosts[host].audited {
            let logon = self.world.accounts[arrival.account].logon;
            let body = PlannedBody::Logon {
                account: arrival.account,
                logon,
                from: source,
            };
            self.plan(host, at, MILLISECOND, &[], body);
        }
        self.wire(at, source, to, arrival.dialogue);
    }

    /// The filtering platform of a host notes that it let a client in. The system's own process answers.
    pub(crate) fn permit(&mut self, scene: Scene, at: i64, from: [u8; 4], port: u16) {
        let host = self.host_at(scene);
        let source = Endpoint {
            address: from,
            port: 50_000 + u16::try_from(self.rng.below(9000)).unwrap_or(0),
        };
        let to = Endpoint {
            address: self.world.hosts[host].address,
            port,
        };
        let name = self.world.hosts[host].raw_name(self.route_of(host));
        let address = dotted(from);
        let key = ("source_ip", address.as_str());
        let group = (Hunt::RemoteWmiConnection, name.as_str(), key);
        let apart = format!("from {address} {port}");
        let story = self.group(group, &apart, at, WHY_CONNECTION);
        let record = records::permitted((4, "System"), true, source, to);
        self.note(host, at, record, &[story]);
    }

    /// A process opens a connection to another host.
    pub(crate) fn connect(
        &mut self,
        host: usize,
        at: i64,
        process: &Running,
        to: Endpoint,
        stories: &[usize],
    ) {
        let at = in_day(at);
        let mut stories = stories.to_vec();
        if [135, 5985, 5986].contains(&to.port) {
            let name = self.world.hosts[host].raw_name(self.route_of(host));
            let address = dotted(to.address);
            let key = ("destination_ip", address.as_str());
            let group = (Hunt::RemoteWmiConnection, name.as_str(), key);
            let apart = format!("to {address} {}", to.port);
            stories.push(self.group(group, &apart, at, WHY_CONNECTION));
        }
        let from = Endpoint {
            address: self.world.hosts[host].address,
            port: 50_000 + u16::try_from(self.rng.below(9000)).unwrap_or(0),
        };
        let body = PlannedBody::Network {
            process: process.clone(),
            initiated: true,
            from,
            to,
        };
        let lag = self.rng.between(400 * MILLISECOND, 1500 * MILLISECOND);
        self.plan(host, at, lag, &stories, body);
        if to.port == 135 {
            self.wire(at, from, to, Dialogue::Wmi);
        }
    }

    /// What the network sensor sees of a client at a port of WMI's.
    fn wire(&mut self, at: i64, from: Endpoint, to: Endpoint, dialogue: Dialogue) {
        if !self.is_whole() {
            return;
        }
        // Numbers of its own, so that the sensor's being there changes nothing else.
        let mut rng = Rng::new(at.unsigned_abs(), &[u64::from(from.port), 0x2EE4]);
        let server = dotted(to.address);
        let client = dotted(from.address);
        let group = (
            Hunt::RemoteWmiConnection,
            server.as_str(),
            ("source_ip", client.as_str()),
        );
        let apart = format!("from {client} {}", to.port);
        let story = self.group(group, &apart, at, WHY_CONNECTION);
        let mapper = rng.next();
        let flow = Flow {
            from,
            to,
            udp: false,
            service: if to.port == 135 { "dce_rpc" } else { "http" },
            duration: rng.between(200, 15_000) * MILLISECOND,
            sent: 300 + rng.below(400),
            received: 280 + rng.below(300),
            id: mapper,
        };
        self.plan_wire(at, &[story], PlannedBody::Flow(flow));
        if to.port != 135 || dialogue == Dialogue::Encrypted {
            return;
        }
        let object = Endpoint {
            address: to.address,
            port: 49_664 + u16::try_from(rng.below(8)).unwrap_or(0),
        };
        let client = Endpoint {
            address: from.address,
            port: from.port + 1,
        };
        let second = rng.next();
        let flow = Flow {
            to: object,
            from: client,
            duration: rng.between(20, 600) * SECOND,
            sent: 9000 + rng.below(20_000),
            received: 7000 + rng.below(20_000),
            id: second,
            ..flow
        };
        self.plan_wire(at + 20 * MILLISECOND, &[], PlannedBody::Flow(flow));
        let mapped: [(i64, &str, &str); 2] = [
            (3, "IObjectExporter", "ServerAlive2"),
            (9, "ISystemActivator", "RemoteCreateInstance"),
        ];
        let asked: &[(i64, &str, &str)] = match dialogue {
            Dialogue::Wmi => &[
                (26, "IWbemLevel1Login", "NTLMLogin"),
                (31, "IRemUnknown2", "RemRelease"),
                (44, "IWbemServices", "GetObject"),
                (420, "IWbemServices", "ExecMethod"),
            ],
            _ => &[
                (30, "IDispatch", "GetIDsOfNames"),
                (52, "IDispatch", "Invoke"),
            ],
        };
        let all = (mapped
            .into_iter()
            .map(|call| (call, from, to, mapper, "135")))
        .chain((asked.iter()).map(|call| (*call, client, object, second, "49664")));
        for ((after, endpoint, operation), from, to, id, pipe) in all {
            let purpose = match (endpoint, operation) {
                ("IWbemServices", "ExecMethod") => Some("execute"),
                ("IWbemServices", _) => Some("read"),
                ("IWbemLevel1Login", _) => Some("login"),
                ("IRemUnknown2", _) => Some("object"),
                _ => None,
            };
            let story = purpose.map(|purpose| {
                let group = (Hunt::WmiRpcCall, server.as_str(), ("purpose", purpose));
                let apart = format!("{purpose} {:?}", from.address);
                self.group(group, &apart, at, WHY_CALL)
            });
            let stories: Vec<usize> = story.into_iter().collect();
            let call = Call {
                from,
                to,
                id,
                endpoint,
                operation,
                pipe,
                answered_in: 300 + rng.below(4000),
            };
            let at = in_day(at + after * MILLISECOND);
            self.plan_wire(at, &stories, PlannedBody::Call(call));
        }
    }

    /// A tool's output file appears and is read over SMB.
    pub(crate) fn read_output(
        &mut self,
        host: usize,
        at: i64,
        account: usize,
        from: [u8; 4],
        name: &str,
    ) {
        let at = in_day(at);
        let body = PlannedBody::FileCreate {
            process: kernel(),
            target: format!(r"C:\Windows\{name}"),
        };
        self.plan(host, at, 6 * MILLISECOND, &[], body);
        if self.world.hosts[host].audited {
            let why =
                "the output file is read on ADMIN$: two underscores and a number that is a time";
            let host_name = self.world.hosts[host].raw_name(self.route_of(host));
            let group = (
                Hunt::ImpacketOutputFileOverSmb,
                host_name.as_str(),
                ("relative_target_name", name),
            );
            let story = self.group(group, name, at, why);
            let at = at + 700 * MILLISECOND;
            self.look_at_share(host, at, account, from, (r"\\*\ADMIN$", name), &[story]);
        }
    }

    /// Someone looks at a file of a share, on a host that records it.
    pub(crate) fn look_at_share(
        &mut self,
        host: usize,
        at: i64,
        account: usize,
        from: [u8; 4],
        (share, target): (&'static str, &str),
        stories: &[usize],
    ) {
        let body = PlannedBody::Share {
            account,
            logon: self.world.accounts[account].logon,
            from: Endpoint {
                address: from,
                port: 50_896,
            },
            share,
            target: target.to_owned(),
        };
        self.plan(host, in_day(at), MILLISECOND, stories, body);
    }

    /// A process loads a module.
    pub(crate) fn load(
        &mut self,
        host: usize,
        at: i64,
        process: &Running,
        module: &'static Program,
        stories: &[usize],
    ) {
        let body = PlannedBody::ImageLoad {
            process: process.clone(),
            module,
        };
        self.plan(host, in_day(at), 9 * MILLISECOND, stories, body);
    }

    /// A log gets a record.
    pub(crate) fn note(&mut self, host: usize, at: i64, record: Record, stories: &[usize]) {
        self.plan(
            host,
            in_day(at),
            3 * MILLISECOND,
            stories,
            PlannedBody::Record(record),
        );
    }
}

fn kernel() -> Running {
    Running {
        program: &KERNEL,
        image: None,
        started: 0,
        sequence: 1,
        process_id: 4,
        command_line: String::new(),
        directory: String::new(),
        account: SYSTEM,
        integrity: Integrity::System,
    }
}
