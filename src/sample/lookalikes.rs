//! Planted activities that look like wmiexec and are not, or not what the hunt asks for: a monitoring product, installers,
//! inventory through WMI, other tools, files and calls on the network. It knows nothing of raw shapes or files.

use super::answers::{Hunt, Kind};
use super::event::{Call, Endpoint, Flow, Integrity, Running};
use super::network::dotted;
use super::planned::{Launch, PlannedBody, Scene};
use super::programs::{CCMEXEC, CMD, MONITOR};
use super::stories::{HOUR, MILLISECOND, MINUTE, Stage};
use super::text::SECOND;
use super::world::{MONITORING, STOLEN, SYSTEM};

/// Commands of one host that share a key without being a hit.
struct Lookalike<'a> {
    host: usize,
    start: i64,
    parent: &'a Running,
    account: usize,
    integrity: Integrity,
    file: &'a str,
    commands: &'a [String],
    why: &'a str,
}

/// Plants what begins on the nth day (from 0) of so many.
pub(crate) fn plant(stage: &mut Stage<'_>, midnight: i64, nth: u32, days: u32) {
    let chosen = |wanted: u32| nth == wanted % days;
    one_shot(stage, midnight, nth);
    if chosen(0) {
        installer(stage, midnight);
        other_tool(stage, midnight);
    }
    if chosen(1) {
        same_command_twice(stage, midnight);
        same_file_on_two_hosts(stage, midnight);
    }
    if chosen(2) {
        inventory(stage, midnight);
        without_output(stage, midnight);
    }
}

fn redirect(at: i64, fraction: u64) -> String {
    let seconds = at.div_euclid(SECOND) - 1;
    format!(r"\\127.0.0.1\ADMIN$\__{seconds}.{fraction:06}1")
}

fn silent(command: &str, file: &str) -> String {
    format!("cmd.exe /Q /c {command} 1> {file} 2>&1")
}

fn tell(stage: &mut Stage<'_>, lookalike: &Lookalike<'_>) {
    let story = stage.begin(
        Hunt::WmiexecSharedOutputFile,
        Kind::NearMiss,
        lookalike.host,
        ("redirect_file", lookalike.file),
        lookalike.why,
    );
    for (index, command) in (0_i64..).zip(lookalike.commands) {
        let lag = stage.rng.between(0, 900) * MILLISECOND;
        stage.launch(&Launch {
            host: lookalike.host,
            at: lookalike.start + index * 40 * SECOND + lag,
            program: &CMD,
            image: None,
            command,
            directory: r"C:\Windows\system32\",
            account: lookalike.account,
            integrity: lookalike.integrity,
            parent: lookalike.parent,
            client: None,
            stories: &[story],
            audit_stories: &[story],
        });
    }
}

fn one_shot(stage: &mut Stage<'_>, midnight: i64, nth: u32) {
    let start = midnight + 3 * HOUR + 7 * MINUTE;
    let host = stage.host_at(Scene {
        collector: 1,
        nth: usize::try_from(nth).unwrap_or(0) * 2 + 4,
    });
    let file = redirect(start, stage.rng.below(999_999));
    let agent = stage.long_running(host, &MONITOR);
    tell(
        stage,
        &Lookalike {
            host,
            start,
            parent: &agent,
            account: MONITORING,
            integrity: Integrity::High,
            file: &file,
            commands: &[silent("whoami", &file)],
            why: "the monitoring agent's remote check: one command, one process, and the file's name never comes again",
        },
    );
}

fn same_command_twice(stage: &mut Stage<'_>, midnight: i64) {
    let start = midnight + 5 * HOUR + 21 * MINUTE;
    let host = stage.host_at(Scene {
        collector: 2,
        nth: 4,
    });
    let file = redirect(start, stage.rng.below(999_999));
    let agent = stage.long_running(host, &MONITOR);
    let command = silent("hostname", &file);
    tell(
        stage,
        &Lookalike {
            host,
            start,
            parent: &agent,
            account: MONITORING,
            integrity: Integrity::High,
            file: &file,
            commands: &[command.clone(), command],
            why: "the monitoring agent tries again: two processes, but one distinct command",
        },
    );
}

fn same_file_on_two_hosts(stage: &mut Stage<'_>, midnight: i64) {
    let start = midnight + 6 * HOUR + 2 * MINUTE;
    let file = redirect(start, stage.rng.below(999_999));
    for (nth, command) in [(3, "whoami"), (5, "hostname")] {
        let host = stage.host_at(Scene { collector: 0, nth });
        let agent = stage.long_running(host, &MONITOR);
        tell(
            stage,
            &Lookalike {
                host,
                start,
                parent: &agent,
                account: MONITORING,
                integrity: Integrity::High,
                file: &file,
                commands: &[silent(command, &file)],
                why: "one command on each of two hosts with the same file name: no host has two",
            },
        );
    }
}

fn installer(stage: &mut Stage<'_>, midnight: i64) {
    let host = stage.host_at(Scene {
        collector: 1,
        nth: 3,
    });
    let agent = stage.long_running(host, &CCMEXEC);
    let shared = r"\\SRV-FILE02\logs$\install.log";
    let local = r"\\127.0.0.1\ADMIN$\Temp\install.log";
    let cases = [
        (
            shared,
            "an installer's steps write to one log file on a server: neither this host's share nor a name of digits",
        ),
        (
            local,
            "an installer's steps write to one log file on this host's ADMIN$: no name of digits",
        ),
    ];
    for (index, (file, why)) in (0_i64..).zip(cases) {
        let commands: Vec<String> = [
            r"msiexec /i C:\Windows\ccmcache\7\client.msi /qn",
            r"C:\Windows\ccmcache\7\configure.cmd",
            r"reg import C:\Windows\ccmcache\7\defaults.reg",
        ]
        .iter()
        .map(|command| silent(command, file))
        .collect();
        tell(
            stage,
            &Lookalike {
                host,
                start: midnight + 7 * HOUR + index * 10 * MINUTE,
                parent: &agent,
                account: SYSTEM,
                integrity: Integrity::System,
                file,
                commands: &commands,
                why,
            },
        );
    }
}

fn other_tool(stage: &mut Stage<'_>, midnight: i64) {
    let host = stage.host_at(Scene {
        collector: 4,
        nth: 0,
    });
    let parent = stage.provider_host(host);
    for (index, (name, command)) in (0_i64..).zip([("kTzQwE", "whoami"), ("pLmXvA", "ipconfig")]) {
        let file = format!(r"\Windows\Temp\{name}");
        tell(
            stage,
            &Lookalike {
                host,
                start: midnight + 12 * HOUR + index * MINUTE,
                parent: &parent,
                account: STOLEN,
                integrity: Integrity::High,
                file: &file,
                commands: &[silent(command, &file)],
                why: "an attack with another tool (NetExec): a new file for each command, and none on a share",
            },
        );
    }
}

fn inventory(stage: &mut Stage<'_>, midnight: i64) {
    let host = stage.host_at(Scene {
        collector: 2,
        nth: 2,
    });
    let parent = stage.provider_host(host);
    for (index, query) in (0_i64..).zip([
        "get winrm/config",
        "enumerate winrm/config/listener",
        "get winrm/config/service",
    ]) {
        let hash = stage.rng.next();
        let file = format!(r"C:\Windows\TEMP\{hash:016x}.stdout");
        let command =
            format!(r"cmd.exe /c winrm {query} >{file} 2>C:\Windows\TEMP\{hash:016x}.stderr");
        tell(
            stage,
            &Lookalike {
                host,
                start: midnight + 4 * HOUR + index * 2 * SECOND,
                parent: &parent,
                account: SYSTEM,
                integrity: Integrity::System,
                file: &file,
                commands: &[command],
                why: "inventory through WMI: a child of the WMI provider host that writes to a file of its own",
            },
        );
    }
}

fn without_output(stage: &mut Stage<'_>, midnight: i64) {
    let host = stage.host_at(Scene {
        collector: 3,
        nth: 1,
    });
    let parent = stage.provider_host(host);
    let commands = ["whoami", "hostname"].map(|command| format!("cmd.exe /Q /c {command}"));
    tell(
        stage,
        &Lookalike {
            host,
            start: midnight + 18 * HOUR,
            parent: &parent,
            account: STOLEN,
            integrity: Integrity::High,
            file: "",
            commands: &commands,
            why: "wmiexec -nooutput: an attack, but without an output file there is nothing that ties the commands together",
        },
    );
}

/// Plants files and calls that look like a remote shell's.
pub(crate) fn plant_on_the_network(stage: &mut Stage<'_>, midnight: i64, nth: u32, days: u32) {
    if nth != 1 % days {
        return;
    }
    let host = stage.host_at(Scene {
        collector: 2,
        nth: 4,
    });
    let from = [10, 20, 4, 21];
    let looks = [
        (
            r"\\*\ADMIN$",
            r"Temp\install.log",
            "an administrative share, and a name of no tool",
        ),
        (
            r"\\*\Teams",
            r"Plant\__1767272400.1234567",
            "a name like a tool's, and a share that is none of Windows' own",
        ),
        (
            r"\\*\ADMIN$",
            r"Temp\__MACOSX",
            "two underscores, and no number",
        ),
    ];
    for (index, (share, target, why)) in (0_i64..).zip(looks) {
        let key = ("relative_target_name", target);
        let hunt = Hunt::ImpacketOutputFileOverSmb;
        let story = stage.begin(hunt, Kind::NearMiss, host, key, why);
        let at = midnight + 14 * HOUR + index * 7 * MINUTE;
        stage.look_at_share(host, at, MONITORING, from, (share, target), &[story]);
    }
    let to = Endpoint {
        address: stage.world.hosts[host].address,
        port: 445,
    };
    let from = Endpoint {
        address: from,
        port: 50_733,
    };
    let server = dotted(to.address);
    let why = "a service is made over RPC, as smbexec and administrators do: no interface of WMI's";
    let key = ("source_ip", "10.20.4.21");
    let story = stage.begin_named(Hunt::WmiRpcCall, Kind::NearMiss, &server, key, why);
    for (index, operation) in (0_i64..).zip(["OpenSCManagerW", "CreateServiceW", "StartServiceW"]) {
        let call = Call {
            from,
            to,
            id: 0x5EC5,
            endpoint: "svcctl",
            operation,
            pipe: r"\pipe\svcctl",
            answered_in: 900,
        };
        let at = midnight + 14 * HOUR + MINUTE + index * 40 * MILLISECOND;
        stage.plan_wire(at, &[story], PlannedBody::Call(call));
    }
    let why = "a port whose number begins like that of WinRM";
    let key = ("destination_port", "59850");
    let story = stage.begin_named(Hunt::RemoteWmiConnection, Kind::NearMiss, &server, key, why);
    let flow = Flow {
        from,
        to: Endpoint { port: 59_850, ..to },
        udp: false,
        service: "-",
        duration: 3 * SECOND,
        sent: 900,
        received: 1200,
        id: 0x5985,
    };
    let at = midnight + 14 * HOUR + 2 * MINUTE;
    stage.plan_wire(at, &[story], PlannedBody::Flow(flow));
}
