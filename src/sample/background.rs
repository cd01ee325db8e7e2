//! Everyday telemetry: one event after the other for a collector and a day, in order of time, as many as asked. Between them
//! the planted events take their turn. It knows nothing of raw shapes.

use super::SampleError;
use super::event::{Body, Endpoint, Event, Log, Running};
use super::noise;
use super::outlets::Outlets;
use super::planned::{Planned, Story};
use super::programs::{
    CHROME, COMMON, DESK, Habit, LSASS, MODULES, OUTLOOK, SERVER, SVCHOST, TEAMS, W3WP,
};
use super::rng::Rng;
use super::stories::MILLISECOND;
use super::text::{DAY, SECOND, put_hex, put_number};
use super::world::{Host, RECENT, Route, SYSTEM, World, process_id};
use super::writer::Tally;

/// Everyday life of one kind of machine, each habit as often as it weighs.
#[derive(Debug)]
struct Life {
    all: Vec<&'static Habit>,
    varying: Vec<&'static Habit>,
    hours: [f64; 24],
}

impl Life {
    fn new(own: &'static [Habit], busy: std::ops::Range<usize>) -> Self {
        let all: Vec<&'static Habit> = COMMON
            .iter()
            .chain(own)
            .flat_map(|habit| std::iter::repeat_n(habit, usize::from(habit.weight)))
            .collect();
        let varying = all.iter().copied().filter(|habit| habit.varies()).collect();
        Self {
            all,
            varying,
            hours: std::array::from_fn(|hour| if busy.contains(&hour) { 5.0 } else { 1.0 }),
        }
    }

    /// The moment of the day, in microseconds, at which this share of the day's events has happened.
    fn moment(&self, share: f64) -> i64 {
        let mut left = share * self.hours.iter().sum::<f64>();
        for (hour, weight) in (0_i64..).zip(self.hours) {
            if left < weight {
                let within = left / weight * 3_600_000.0;
                #[expect(clippy::cast_possible_truncation, reason = "milliseconds of an hour")]
                return (hour * 3_600_000 + within as i64) * MILLISECOND;
            }
            left -= weight;
        }
        DAY
    }
}

/// Makes everyday telemetry.
#[derive(Debug)]
pub(crate) struct Background {
    desk: Life,
    server: Life,
    distinct: f64,
    /// Whether logs besides Sysmon's have somewhere to go.
    logs: bool,
    text: String,
}

/// One collector's day.
pub(crate) struct Shift<'a> {
    pub(crate) collector: usize,
    /// Midnight that begins it, in microseconds since 1970.
    pub(crate) midnight: i64,
    /// How many events to make besides the planted ones.
    pub(crate) budget: u64,
    pub(crate) planned: &'a [Planned],
    pub(crate) stories: &'a mut [Story],
    pub(crate) outlets: &'a mut Outlets,
    pub(crate) tally: &'a mut Tally,
    pub(crate) progress: &'a mut dyn FnMut(u64),
}

impl Background {
    pub(crate) fn new(distinct: f64, logs: bool) -> Self {
        Self {
            desk: Life::new(&DESK, 12..22),
            server: Life::new(&SERVER, 0..4),
            distinct,
            logs,
            text: String::new(),
        }
    }

    /// Makes one collector's day.
    pub(crate) fn run(
        &mut self,
        world: &mut World,
        rng: &mut Rng,
        shift: &mut Shift<'_>,
    ) -> Result<(), SampleError> {
        let hosts = world.collectors[shift.collector].hosts.clone();
        let route = world.collectors[shift.collector].route;
        let server = route == Route::Server;
        let mut planned = shift.planned.iter().peekable();
        let mut made = 0;
        let mut told = 0;
        #[expect(clippy::cast_precision_loss, reason = "a place in the day")]
        while made < shift.budget {
            let share = (made as f64 + rng.fraction()) / shift.budget as f64;
            let life = if server { &self.server } else { &self.desk };
            let at = shift.midnight + life.moment(share).min(DAY - 4 * SECOND);
            while let Some(event) = planned.next_if(|event| event.at <= at) {
                shift.tell(world, event)?;
            }
            made += if route.is_windows() {
                let host = hosts.start + rng.index(hosts.len());
                self.step(world, rng, shift, host, at, shift.budget - made)?
            } else if hosts.is_empty() {
                shift.overhear(world, rng, at)?
            } else {
                let host = hosts.start + rng.index(hosts.len());
                self.elsewhere(world, rng, shift, host, at)?
            };
            if made - told >= 10_000 {
                told = made;
                (shift.progress)(shift.tally.events);
            }
        }
        for event in planned {
            shift.tell(world, event)?;
        }
        (shift.progress)(shift.tally.events);
        Ok(())
    }

    /// One thing that happens on a host: one event, or two where a start is seen by two sensors.
    fn step(
        &mut self,
        world: &mut World,
        rng: &mut Rng,
        shift: &mut Shift<'_>,
        host: usize,
        at: i64,
        left: u64,
    ) -> Result<u64, SampleError> {
        let audited = world.hosts[host].audited;
        match rng.below(100) {
            0..10 if audited => self.security(world, rng, shift, host, at),
            0..55 => {
                let (process, parent) = self.start(world, rng, host, at);
                let body = Body::Process {
                    process: &process,
                    parent: &parent,
                };
                let lag = rng.between(2 * MILLISECOND, 18 * MILLISECOND);
                let mut made = shift.emit(world, host, at, lag, body)?;
                if audited && left > made {
                    let body = Body::Audit {
                        process: &process,
                        parent: &parent,
                    };
                    let lag = rng.between(200, 4 * MILLISECOND);
                    made += shift.emit(world, host, at, lag, body)?;
                }
                remember(&mut world.hosts[host], process);
                Ok(made)
            }
            96.. if self.logs => {
                let record = noise::record(rng, world, host);
                let lag = rng.between(200, 4 * MILLISECOND);
                shift.emit(world, host, at, lag, Body::Record(&record))
            }
            kind => self.activity(world, rng, shift, host, at, kind),
        }
    }

    /// A new process and its parent.
    pub(super) fn start(
        &mut self,
        world: &mut World,
        rng: &mut Rng,
        host: usize,
        at: i64,
    ) -> (Running, Running) {
        let machine = &mut world.hosts[host];
        let life = if machine.server {
            &self.server
        } else {
            &self.desk
        };
        let unique = rng.fraction() < self.distinct;
        let habits = if unique { &life.varying } else { &life.all };
        let habit = habits[rng.index(habits.len())];
        let sequence = machine.next_sequence();
        let user = &world.accounts[machine.user].name;
        let directory = if habit.as_user {
            format!(r"C:\Users\{user}\")
        } else {
            r"C:\Windows\system32\".to_owned()
        };
        let process = Running {
            program: habit.program,
            image: None,
            started: at,
            sequence,
            process_id: process_id(rng),
            command_line: filled(rng, habit.command, user, unique),
            directory,
            account: if habit.as_user { machine.user } else { SYSTEM },
            integrity: habit.integrity(),
        };
        let parent = machine.running(habit.parent).clone();
        (process, parent)
    }

    /// A running process connects, loads, writes a file or sets a registry value.
    fn activity(
        &mut self,
        world: &mut World,
        rng: &mut Rng,
        shift: &mut Shift<'_>,
        host: usize,
        at: i64,
        kind: u64,
    ) -> Result<u64, SampleError> {
        let record = world.hosts[host].next_record(Log::Sysmon);
        let machine = &world.hosts[host];
        let user = &world.accounts[machine.user].name;
        self.text.clear();
        let mut lag = rng.between(2 * MILLISECOND, 30 * MILLISECOND);
        let body = match kind {
            55..70 => {
                lag = rng.between(300 * MILLISECOND, 2500 * MILLISECOND);
                connection(rng, machine)
            }
            70..80 => Body::ImageLoad {
                process: anyone(rng, machine),
                module: MODULES[rng.index(MODULES.len())],
            },
            80..91 => {
                self.text = file_name(rng, user);
                Body::FileCreate {
                    process: anyone(rng, machine),
                    target: &self.text,
                }
            }
            _ => {
                let (target, value) = REGISTRY[rng.index(REGISTRY.len())];
                Body::Registry {
                    process: machine.running(&SVCHOST),
                    target,
                    value,
                }
            }
        };
        shift.write(world, host, (at, lag), record, body)
    }

    /// A logon, or a look at a share.
    fn security(
        &mut self,
        world: &mut World,
        rng: &mut Rng,
        shift: &mut Shift<'_>,
        host: usize,
        at: i64,
    ) -> Result<u64, SampleError> {
        let server = world.hosts[host].server;
        let from = if server {
            rng.index(world.hosts.len())
        } else {
            host
        };
        let account = world.hosts[from].user;
        let logon = 0x10_0000 + rng.below(1 << 24);
        let endpoint = Endpoint {
            address: world.hosts[from].address,
            port: high_port(rng),
        };
        let body = if server && rng.below(3) > 0 {
            self.text = shared_file(rng);
            let (share, target) = match rng.below(4) {
                0 => (r"\\*\SYSVOL", r"corp.example\Policies"),
                _ => (r"\\*\Teams", self.text.as_str()),
            };
            Body::Share {
                account,
                logon,
                from: endpoint,
                share,
                target,
            }
        } else {
            Body::Logon {
                account,
                kind: if server { 3 } else { 7 },
                logon,
                from: endpoint,
            }
        };
        let lag = rng.between(200, 4 * MILLISECOND);
        shift.emit(world, host, at, lag, body)
    }
}

impl Shift<'_> {
    pub(super) fn emit(
        &mut self,
        world: &mut World,
        host: usize,
        at: i64,
        lag: i64,
        body: Body<'_>,
    ) -> Result<u64, SampleError> {
        let record = world.hosts[host].next_record(body.log());
        self.write(world, host, (at, lag), record, body)
    }

    /// Writes an everyday event under a number that its log has given it.
    pub(super) fn write(
        &mut self,
        world: &World,
        host: usize,
        (at, lag): (i64, i64),
        record: u64,
        body: Body<'_>,
    ) -> Result<u64, SampleError> {
        let event = Event {
            host: &world.hosts[host],
            accounts: &world.accounts,
            at,
            logged: world.collectors[self.collector].route.told(at, lag),
            body,
        };
        self.outlets.write(&event, record, false, self.tally)
    }

    /// Writes a planted event and notes where it went.
    fn tell(&mut self, world: &mut World, planned: &Planned) -> Result<(), SampleError> {
        let body = planned.body.body();
        let record = world.hosts[planned.host].next_record(body.log());
        let event = Event {
            host: &world.hosts[planned.host],
            accounts: &world.accounts,
            at: planned.at,
            logged: planned.logged,
            body,
        };
        let evidence = !planned.stories.is_empty();
        self.outlets.write(&event, record, evidence, self.tally)?;
        for story in &planned.stories {
            let (place, told) = self.outlets.place(&event);
            self.stories[*story].found(place, told);
        }
        Ok(())
    }
}

const REGISTRY: [(&str, u32); 4] = [
    (
        r"HKLM\System\CurrentControlSet\Services\Fieldwatch\Parameters\LastRun",
        7,
    ),
    (
        r"HKLM\SOFTWARE\Microsoft\SMS\Client\Configuration\Revision",
        41,
    ),
    (
        r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\Advanced\State",
        1,
    ),
    (
        r"HKLM\System\CurrentControlSet\Services\W32Time\Config\PhaseCorrectRate",
        1,
    ),
];

/// Keeps a process as a possible parent, in place of the oldest one.
pub(super) fn remember(host: &mut Host, process: Running) {
    if host.recent.len() < RECENT {
        host.recent.push(process);
    } else {
        let oldest = host.oldest;
        host.recent[oldest] = process;
        host.oldest = (oldest + 1) % RECENT;
    }
}

fn anyone<'h>(rng: &mut Rng, host: &'h Host) -> &'h Running {
    let index = rng.index(host.recent.len() + host.since_boot.len());
    host.recent
        .get(index)
        .unwrap_or_else(|| &host.since_boot[index.saturating_sub(host.recent.len())])
}

pub(super) fn high_port(rng: &mut Rng) -> u16 {
    49_152 + u16::try_from(rng.below(16_000)).unwrap_or(0)
}

pub(super) fn connection<'h>(rng: &mut Rng, host: &'h Host) -> Body<'h> {
    let octet = |rng: &mut Rng, bound| u8::try_from(rng.below(bound)).unwrap_or(0);
    let near = Endpoint {
        address: host.address,
        port: high_port(rng),
    };
    let inside = [10, 20, 2 + octet(rng, 3), 10 + octet(rng, 8)];
    let networks: [[u8; 3]; 3] = [[203, 0, 113], [198, 51, 100], [192, 0, 2]];
    let [first, second, third] = networks[rng.index(networks.len())];
    let outside = [first, second, third, 1 + octet(rng, 60)];
    let (program, address, port) = match (rng.below(10), host.server) {
        (0..4, false) => (&CHROME, outside, 443),
        (4, false) => (&OUTLOOK, outside, 443),
        (5, false) => (&TEAMS, outside, 443),
        (0..5, true) => (&W3WP, inside, 1433),
        (6, _) => (&LSASS, inside, 88),
        (7, _) => (&SVCHOST, inside, 445),
        _ => (&SVCHOST, inside, 53),
    };
    Body::Network {
        process: host.running(program),
        initiated: true,
        udp: port == 53,
        source: near,
        destination: Endpoint { address, port },
    }
}

fn file_name(rng: &mut Rng, user: &str) -> String {
    let number = rng.below(1 << 32);
    match rng.below(4) {
        0 => format!(r"C:\Users\{user}\AppData\Local\Temp\{number:08x}.tmp"),
        1 => r"C:\Windows\System32\wbem\Repository\WRITABLE.TST".to_owned(),
        2 => format!(r"C:\Windows\Prefetch\APP-{number:08X}.pf"),
        _ => format!(r"C:\ProgramData\Fieldwatch\queue\{}.dat", number % 4096),
    }
}

fn shared_file(rng: &mut Rng) -> String {
    let teams = ["Finance", "Legal", "Plant", "Sales"];
    let team = teams[rng.index(teams.len())];
    format!(r"{team}\2026\sheet-{:03}.xlsx", rng.below(400))
}

/// A habit's command line. A unique one gets ids that never come again; else one of two, as programs that start the same
/// way every time have it.
fn filled(rng: &mut Rng, command: &str, user: &str, unique: bool) -> String {
    let mut bytes = Vec::with_capacity(command.len() + 32);
    let repeated = 1 + rng.below(2);
    let mut rest = command;
    while let Some(open) = rest.find('{') {
        bytes.extend_from_slice(&rest.as_bytes()[..open]);
        match rest.as_bytes().get(open + 1) {
            Some(b'h') if unique => put_hex(&mut bytes, rng.next(), 12, false),
            Some(b'h') => put_hex(&mut bytes, repeated * 0x5bd1_e995_c3a7, 12, false),
            Some(b'n') if unique => put_number(&mut bytes, 1000 + rng.below(2_000_000_000)),
            Some(b'n') => put_number(&mut bytes, repeated * 7),
            _ => bytes.extend_from_slice(user.as_bytes()),
        }
        rest = rest.get(open + 3..).unwrap_or("");
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_default()
}
