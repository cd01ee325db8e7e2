//! Everyday telemetry of other sensors than Sysmon: what CrowdStrike, Defender, Sentinel, a Security Lake and a network sensor
//! see, and PowerShell's and the filtering platform's records. Nothing here is what a hunt asks for. It knows nothing of raw
//! shapes.

use super::SampleError;
use super::background::{Background, Shift, connection, high_port, remember};
use super::event::{Body, Call, Endpoint, Flow, Log, Record};
use super::programs::{CHROME, POWERSHELL, SVCHOST};
use super::records::{self, Console};
use super::rng::Rng;
use super::stories::MILLISECOND;
use super::world::{Host, Route, World, process_id};

const NAMES: [&str; 6] = [
    "intranet.corp.example",
    "update.coldstack.example",
    "mail.corp.example",
    "cdn.fieldwatch.example",
    "www.example.org",
    "srv-file01.corp.example",
];

const SCRIPTS: [&str; 5] = [
    "Get-Service -Name W32Time | Select-Object Status, StartType",
    r"Get-ChildItem -Path C:\ProgramData\Fieldwatch\queue -Filter *.dat",
    r"Test-Path C:\Windows\CCM\Temp\done.flag",
    "prompt",
    "$total = 0; Get-Process | ForEach-Object { $total += $_.WorkingSet64 }; $total",
];

const CMDLETS: [(&str, &str, &str); 4] = [
    ("Get-Service", "Name", "W32Time"),
    ("Get-ChildItem", "Path", r"C:\ProgramData\Fieldwatch\queue"),
    ("Test-Path", "Path", r"C:\Windows\CCM\Temp\done.flag"),
    ("Out-File", "FilePath", r"C:\Windows\Temp\services.csv"),
];

/// Interface, call and pipe.
const CALLS: [(&str, &str, &str); 4] = [
    ("netlogon", "NetrLogonSamLogonEx", r"\pipe\lsass"),
    ("lsarpc", "LsarLookupNames4", r"\pipe\lsass"),
    ("samr", "SamrConnect5", r"\pipe\samr"),
    ("srvsvc", "NetrShareEnum", r"\pipe\srvsvc"),
];

/// A record of PowerShell or, where the host audits, of the filtering platform.
pub(super) fn record(rng: &mut Rng, world: &World, host: usize) -> Record {
    let machine = &world.hosts[host];
    let kind = rng.below(6);
    if kind < 3
        && machine.audited
        && let Body::Network {
            process,
            source,
            destination,
            ..
        } = connection(rng, machine)
    {
        let program = (process.process_id, process.image());
        return records::permitted(program, false, source, destination);
    }
    let account = &world.accounts[machine.user];
    let user = format!(r"{}\{}", account.domain, account.name);
    let console = Console {
        account: machine.user,
        user: &user,
        process_id: process_id(rng),
        application: POWERSHELL.path,
        id: rng.next(),
    };
    let (cmdlet, name, value) = CMDLETS[rng.index(CMDLETS.len())];
    match kind {
        0..4 => records::script(&console, SCRIPTS[rng.index(SCRIPTS.len())], ""),
        4 => records::pipeline(&console, cmdlet, &[(name, value)]),
        _ => {
            let line = format!("{cmdlet} -{name} {value}");
            records::details(&console, &line, cmdlet, &[(name, value)])
        }
    }
}

/// Someone opens a file of this host's.
fn visited(from: Endpoint, host: &Host) -> Body<'_> {
    Body::Network {
        process: host.running(&SVCHOST),
        initiated: false,
        udp: false,
        source: from,
        destination: Endpoint {
            address: host.address,
            port: 445,
        },
    }
}

impl Background {
    /// One event of a host without Windows' own logs of processes.
    pub(super) fn elsewhere(
        &mut self,
        world: &mut World,
        rng: &mut Rng,
        shift: &mut Shift<'_>,
        host: usize,
        at: i64,
    ) -> Result<u64, SampleError> {
        let route = world.collectors[shift.collector].route;
        let starts = match route {
            Route::Falcon => 50,
            Route::Sentinel => 90,
            _ => 65,
        };
        let lag = rng.between(2 * MILLISECOND, 18 * MILLISECOND);
        let kind = rng.below(100);
        if kind < starts {
            let (process, parent) = self.start(world, rng, host, at);
            let (process_seen, parent_seen) = (&process, &parent);
            let body = if route == Route::Sentinel {
                Body::Audit {
                    process: process_seen,
                    parent: parent_seen,
                }
            } else {
                Body::Process {
                    process: process_seen,
                    parent: parent_seen,
                }
            };
            let made = shift.emit(world, host, at, lag, body)?;
            remember(&mut world.hosts[host], process);
            return Ok(made);
        }
        let from = Endpoint {
            address: world.hosts[rng.index(world.hosts.len())].address,
            port: high_port(rng),
        };
        let logon = 0x10_0000 + rng.below(1 << 24);
        let record = world.hosts[host].next_record(Log::Sysmon);
        let machine = &world.hosts[host];
        let body = match (route, kind) {
            (Route::Sentinel, _) => Body::Logon {
                account: machine.user,
                kind: 3,
                logon,
                from,
            },
            (Route::Falcon, 80..) => Body::Dns {
                process: machine.running(&CHROME),
                name: NAMES[rng.index(NAMES.len())],
            },
            (_, 75..80) => visited(from, machine),
            _ => connection(rng, machine),
        };
        shift.write(world, host, (at, lag), record, body)
    }
}

impl Shift<'_> {
    /// One event that the network sensor hears: a connection of some host, or now and then a call.
    pub(super) fn overhear(
        &mut self,
        world: &World,
        rng: &mut Rng,
        at: i64,
    ) -> Result<u64, SampleError> {
        let host = rng.index(world.hosts.len());
        let Body::Network {
            udp,
            source,
            destination,
            ..
        } = connection(rng, &world.hosts[host])
        else {
            return Ok(0);
        };
        let id = rng.next();
        let body = if rng.below(100) < 4 {
            let (endpoint, operation, pipe) = CALLS[rng.index(CALLS.len())];
            let to = Endpoint {
                port: 445,
                ..destination
            };
            Body::Call(Call {
                from: source,
                to,
                id,
                endpoint,
                operation,
                pipe,
                answered_in: 200 + rng.below(3000),
            })
        } else {
            Body::Flow(Flow {
                from: source,
                to: destination,
                udp,
                service: match destination.port {
                    443 => "ssl",
                    53 => "dns",
                    88 => "krb_tcp",
                    445 => "gssapi,smb",
                    _ => "-",
                },
                duration: rng.between(2, 90_000) * MILLISECOND,
                sent: 60 + rng.below(9000),
                received: 90 + rng.below(60_000),
                id,
            })
        };
        self.write(world, host, (at, 0), 0, body)
    }
}
