//! Planted activities while the lake is made: their events, waiting for their day and collector. What the activities are is told
//! in `attacks`, `remote`, `wmic`, `lookalikes` and others.

use std::collections::{BTreeMap, HashMap};

use super::answers::{Hunt, Kind};
use super::event::Running;
use super::planned::{Launch, Planned, PlannedBody, Scene, Story};
use super::programs::{EXPLORER, Program, WMIPRVSE};
use super::rng::Rng;
use super::text::{DAY, SECOND};
use super::verdicts;
use super::world::{Account, Route, SYSTEM, World, ZEEK, process_id};

/// Microseconds of a millisecond.
pub(crate) const MILLISECOND: i64 = 1000;
/// Microseconds of a minute.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// Microseconds of an hour.
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// What an event of a start says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The sensor's own event.
    Start,
    /// Security 4688: no original name, and the machine in place of SYSTEM.
    Audit,
    /// CrowdStrike's `WmiCreateProcess`.
    WmiCreate,
}

/// Activities of several events that are found by what they have in common: hunt, host, key and day.
type Groups = HashMap<(Hunt, String, String, i64), usize>;

/// Takes stories in and hands their events out, by day and collector.
#[derive(Debug)]
pub(crate) struct Stage<'w> {
    pub(crate) world: &'w mut World,
    pub(crate) rng: Rng,
    /// For whatever came to the lake later, so that the older stories stay as they were.
    pub(crate) later: Rng,
    pub(crate) stories: Vec<Story>,
    queue: BTreeMap<(i64, usize), Vec<Planned>>,
    groups: Groups,
    only: Option<usize>,
}

impl<'w> Stage<'w> {
    /// `only`: all stories play on hosts of this collector, and only the first four hunts have answers.
    pub(crate) fn new(world: &'w mut World, seed: u64, only: Option<usize>) -> Self {
        Self {
            world,
            rng: Rng::new(seed, &[0x57A6]),
            later: Rng::new(seed, &[0x57A7]),
            stories: Vec::new(),
            queue: BTreeMap::new(),
            groups: HashMap::new(),
            only,
        }
    }

    /// Whether there is more than the one table for measurements.
    pub(crate) fn is_whole(&self) -> bool {
        self.only.is_none()
    }

    /// Runs with the later numbers in place of the first ones.
    pub(crate) fn later(&mut self, plant: impl FnOnce(&mut Self)) {
        std::mem::swap(&mut self.rng, &mut self.later);
        plant(self);
        std::mem::swap(&mut self.rng, &mut self.later);
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

    /// `DOMAIN\name`.
    pub(crate) fn user(&self, account: usize) -> String {
        let account = self.account(account);
        format!(r"{}\{}", account.domain, account.name)
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
        let name = self.world.hosts[host].raw_name(self.route_of(host));
        self.begin_named(hunt, kind, &name, key, why)
    }

    /// Where the raw events do not name one of our hosts.
    pub(crate) fn begin_named(
        &mut self,
        hunt: Hunt,
        kind: Kind,
        host: &str,
        key: (&str, &str),
        why: &str,
    ) -> usize {
        self.stories.push(Story::new(hunt, kind, host, key, why));
        self.stories.len() - 1
    }

    /// The hit with this hunt and host on the day of `at` that nothing but `apart` tells from others: begun now, or before.
    pub(crate) fn group(
        &mut self,
        (hunt, host, key): (Hunt, &str, (&str, &str)),
        apart: &str,
        at: i64,
        why: &str,
    ) -> usize {
        let day = in_day(at).div_euclid(DAY);
        let group = (hunt, host.to_owned(), apart.to_owned(), day);
        if let Some(story) = self.groups.get(&group) {
            return *story;
        }
        let story = self.begin_named(hunt, Kind::Hit, host, key, why);
        self.groups.insert(group, story);
        story
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

    /// Starts a process: an event of the host's sensor, and a 4688 event where the host records it.
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
        let parent = launch.parent;
        let body = PlannedBody::Process {
            process: process.clone(),
            parent: parent.clone(),
        };
        let mut stories = Vec::new();
        if self.route_of(launch.host).records(&body.body()) {
            stories = self.judged(launch, &process, Seen::Start);
            self.tell_command(launch.command, &stories, &[]);
        }
        let lag = self.rng.between(2 * MILLISECOND, 18 * MILLISECOND);
        if self.route_of(launch.host) == Route::Falcon && parent.image() == WMIPRVSE.path {
            let told = &stories;
            let stories = self.judged(launch, &process, Seen::WmiCreate);
            self.tell_command(launch.command, &stories, told);
            let body = PlannedBody::WmiCreate {
                process: process.clone(),
                parent: parent.clone(),
                client: launch.client,
            };
            self.plan(launch.host, at, lag, &stories, body);
        }
        self.plan(launch.host, at, lag, &stories, body);
        if self.world.hosts[launch.host].audited {
            let told = &stories;
            let stories = self.judged(launch, &process, Seen::Audit);
            self.tell_command(launch.command, &stories, told);
            let body = PlannedBody::Audit {
                process: process.clone(),
                parent: parent.clone(),
            };
            let lag = self.rng.between(200, 4 * MILLISECOND);
            self.plan(launch.host, at, lag, &stories, body);
        }
        process
    }

    /// Notes a command line, once a process: not in stories that another event of it has told it.
    fn tell_command(&mut self, command: &str, stories: &[usize], told: &[usize]) {
        for story in stories.iter().filter(|story| !told.contains(story)) {
            self.stories[*story].commands.push(command.to_owned());
        }
    }

    /// The stories that an event of this start is evidence of: those it was planted for, and those of the hunts that look at
    /// one start alone.
    fn judged(&mut self, launch: &Launch<'_>, process: &Running, seen: Seen) -> Vec<usize> {
        let mut stories = match seen {
            Seen::Start | Seen::WmiCreate => launch.stories.to_vec(),
            Seen::Audit => launch.audit_stories.to_vec(),
        };
        if !self.is_whole() {
            return stories;
        }
        let route = self.route_of(launch.host);
        let host = &self.world.hosts[launch.host];
        let name = host.raw_name(route);
        let account = &self.world.accounts[launch.account];
        // A hunt's key has the user as the event names it: 4688 the machine for SYSTEM, ProcessRollup2 nobody.
        let user = match (seen, route) {
            (Seen::Audit, _) if launch.account == SYSTEM => format!(r"CORP\{}$", host.short_name),
            (Seen::Start, Route::Falcon) => String::new(),
            _ => format!(r"{}\{}", account.domain, account.name),
        };
        let poor = seen != Seen::Start || route == Route::Falcon;
        let start = verdicts::Start {
            image: process.image(),
            original_name: if poor {
                ""
            } else {
                process.program.original_name
            },
            command: launch.command,
            parent: launch.parent.image(),
            parent_command: if poor {
                ""
            } else {
                &launch.parent.command_line
            },
        };
        for verdict in start.verdicts() {
            let command = ("command_line", launch.command);
            let file = verdicts::redirect_file(launch.command).unwrap_or("");
            let (key, apart) = match verdict.key {
                verdicts::Key::Host => (("host_name", name.as_str()), String::new()),
                verdicts::Key::User => (("redirect_file", file), user.clone()),
                verdicts::Key::Command => (command, format!("{user} {}", launch.command)),
            };
            let group = (verdict.hunt, name.as_str(), key);
            stories.push(self.group(group, &apart, launch.at, verdict.why));
        }
        stories
    }

    /// Plans an event on a host, if what the host's events come through has such events.
    pub(crate) fn plan(
        &mut self,
        host: usize,
        at: i64,
        lag: i64,
        stories: &[usize],
        body: PlannedBody,
    ) {
        let collector = self.collector_of(host);
        let route = self.world.collectors[collector].route;
        if route.records(&body.body()) {
            self.queue_event(collector, host, at, route.told(at, lag), stories, body);
        }
    }

    /// Plans what the network sensor sees.
    pub(crate) fn plan_wire(&mut self, at: i64, stories: &[usize], body: PlannedBody) {
        if self.is_whole() {
            self.queue_event(ZEEK, 0, at, at, stories, body);
        }
    }

    fn queue_event(
        &mut self,
        collector: usize,
        host: usize,
        at: i64,
        logged: i64,
        stories: &[usize],
        body: PlannedBody,
    ) {
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

    pub(crate) fn route_of(&self, host: usize) -> Route {
        self.world.collectors[self.collector_of(host)].route
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
pub(crate) fn in_day(at: i64) -> i64 {
    let whole = at - at.rem_euclid(MILLISECOND);
    let left = DAY - whole.rem_euclid(DAY);
    whole - (4 * SECOND - left).max(0)
}
