//! Planted attacks, command line by command line as the tools emit them: Impacket's wmiexec and dcomexec against our hosts,
//! on every kind of sensor. It knows nothing of raw shapes or files.

use super::answers::{Hunt, Kind};
use super::event::{Integrity, Running};
use super::network::{Arrival, Dialogue, dotted};
use super::planned::{Launch, Scene};
use super::programs::{
    CMD, HOSTNAME, IPCONFIG, MMC, NET, NETSTAT, NLTEST, POWERSHELL, Program, QUSER, REG,
    SYSTEMINFO, TASKLIST, WHOAMI,
};
use super::stories::{HOUR, MILLISECOND, MINUTE, Stage};
use super::text::SECOND;
use super::world::{DEFENDER, FALCON, OCSF, Route, SENTINEL, STOLEN};

/// What an intruder types, as the tool sends it. `cd \` and `cd ` open every session: the tool asks where it is.
const INTERACTIVE: [&str; 16] = [
    "cd \\",
    "cd ",
    "whoami /all",
    "ipconfig /all",
    "hostname",
    "net user /domain",
    r#"net group "Domain Admins" /domain"#,
    "dir",
    r"cd C:\Users",
    "cd ",
    r"dir C:\Users\Public",
    "tasklist /v",
    "netstat -ano",
    "quser",
    r"reg query HKLM\SOFTWARE\Coldstack",
    "nltest /dclist:corp.example",
];
const SLOW: [&str; 12] = [
    "cd \\",
    "cd ",
    "whoami",
    "systeminfo",
    "net localgroup administrators",
    r"dir D:\Shares",
    r"cd D:\Shares",
    "cd ",
    r"dir D:\Shares\Finance /s",
    "tasklist",
    "net session",
    r"type D:\Shares\Finance\readme.txt",
];
const SHORT: [&str; 7] = [
    "cd \\",
    "cd ",
    "whoami",
    "net user",
    "ipconfig",
    r"dir C:\Users",
    "quser",
];

const SCRIPTED: [&str; 5] = [
    "cd \\",
    "cd ",
    "Get-Date",
    "Get-Process | Select-Object -First 5",
    "Get-Service | Where-Object Status -eq Running",
];

/// The shell around a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    /// wmiexec: child of the WMI provider host, output file named after the tool's start with its fraction.
    Wmiexec,
    /// wmiexec with `-shell-type powershell`.
    WmiexecPowershell,
    /// dcomexec: child of mmc.exe, the path of cmd.exe quoted, output file named after five digits.
    Dcomexec,
}

/// Which day of the lake a session begins on.
#[derive(Debug, Clone, Copy)]
enum On {
    /// Counted from 0, round and round where the lake is shorter.
    Nth(u32),
    Last,
    /// The last but one: the session ends on the last.
    Eve,
}

struct Session {
    tool: Tool,
    scene: Scene,
    on: On,
    /// Hour and minute, UTC.
    start: (i64, i64),
    minutes: i64,
    from: [u8; 4],
    typed: &'static [&'static str],
    why: &'static str,
}

static SESSIONS: [Session; 6] = [
    Session {
        tool: Tool::Wmiexec,
        scene: Scene {
            collector: 0,
            nth: 0,
        },
        on: On::Last,
        start: (14, 5),
        minutes: 25,
        from: [10, 20, 9, 41],
        typed: &INTERACTIVE,
        why: "wmiexec, interactive: sixteen commands in 25 minutes write to one file on ADMIN$; the host records 4688 as well, so each process is seen twice",
    },
    Session {
        tool: Tool::Wmiexec,
        scene: Scene {
            collector: 2,
            nth: 3,
        },
        on: On::Nth(0),
        start: (9, 10),
        minutes: 150,
        from: [10, 20, 9, 42],
        typed: &SLOW,
        why: "wmiexec, slow: twelve commands over two and a half hours, on a server whose Sysmon log is Parquet",
    },
    Session {
        tool: Tool::Dcomexec,
        scene: Scene {
            collector: 1,
            nth: 2,
        },
        on: On::Nth(0),
        start: (11, 30),
        minutes: 6,
        from: [10, 20, 9, 43],
        typed: &SHORT,
        why: "dcomexec: a child of mmc.exe with the path of cmd.exe quoted and only five digits in the file's name",
    },
    Session {
        tool: Tool::Wmiexec,
        scene: Scene {
            collector: 3,
            nth: 0,
        },
        on: On::Nth(1),
        start: (2, 40),
        minutes: 12,
        from: [10, 20, 9, 44],
        typed: &SHORT,
        why: "wmiexec on a host in New York: the path and EventTime name the evening before, UtcTime this day",
    },
    Session {
        tool: Tool::WmiexecPowershell,
        scene: Scene {
            collector: 0,
            nth: 2,
        },
        on: On::Nth(1),
        start: (16, 20),
        minutes: 8,
        from: [10, 20, 9, 45],
        typed: &SCRIPTED,
        why: "wmiexec -shell-type powershell: the commands are base64 in -Enc, the helpers stay plain cd",
    },
    Session {
        tool: Tool::Wmiexec,
        scene: Scene {
            collector: 1,
            nth: 1,
        },
        on: On::Eve,
        start: (23, 12),
        minutes: 70,
        from: [10, 20, 9, 46],
        typed: &SHORT,
        why: "wmiexec across midnight: only the tile that holds the last command counts it, and needs the day before to see it whole",
    },
];

const fn on_sensor(
    collector: usize,
    on: On,
    start: (i64, i64),
    from: u8,
    typed: &'static [&'static str],
    why: &'static str,
) -> Session {
    Session {
        tool: Tool::Wmiexec,
        scene: Scene { collector, nth: 0 },
        on,
        start,
        minutes: 9,
        from: [10, 20, 9, from],
        typed,
        why,
    }
}

/// Against hosts that other products watch.
static ELSEWHERE: [Session; 5] = [
    on_sensor(
        FALCON,
        On::Nth(1),
        (10, 15),
        51,
        &SHORT,
        "wmiexec seen by CrowdStrike: each command as WmiCreateProcess, which knows the client's address, and as ProcessRollup2",
    ),
    on_sensor(
        DEFENDER,
        On::Nth(2),
        (8, 40),
        52,
        &SHORT,
        "wmiexec seen by Defender: names in lower case, times in units of 100 nanoseconds",
    ),
    on_sensor(
        SENTINEL,
        On::Nth(0),
        (15, 25),
        53,
        &SHORT,
        "wmiexec seen by Sentinel: 4688 alone, process ids in hex",
    ),
    on_sensor(
        OCSF,
        On::Nth(2),
        (19, 5),
        54,
        &SHORT,
        "wmiexec as OCSF: the parent is the actor's process, everything is nested",
    ),
    Session {
        tool: Tool::Dcomexec,
        scene: Scene {
            collector: FALCON,
            nth: 1,
        },
        on: On::Last,
        start: (13, 35),
        minutes: 4,
        from: [10, 20, 9, 55],
        typed: &SHORT,
        why: "dcomexec seen by CrowdStrike: a child of mmc.exe, and no WmiCreateProcess",
    },
];

/// Plants what begins on the nth day (from 0) of so many.
pub(crate) fn plant(stage: &mut Stage<'_>, midnight: i64, nth: u32, days: u32) {
    let is_due = |each: &&Session| match each.on {
        On::Nth(wanted) => nth == wanted % days,
        On::Last => nth + 1 == days,
        On::Eve => nth + 2 == days,
    };
    for each in SESSIONS.iter().filter(is_due) {
        session(stage, each, midnight);
    }
    if stage.is_whole() {
        stage.later(|stage| {
            for each in ELSEWHERE.iter().filter(is_due) {
                session(stage, each, midnight);
            }
        });
    }
}

fn session(stage: &mut Stage<'_>, session: &Session, midnight: i64) {
    let (hour, minute) = session.start;
    let start = midnight + hour * HOUR + minute * MINUTE + some_milliseconds(stage);
    let host = stage.host_at(session.scene);
    let seconds = (start - 2 * SECOND).div_euclid(SECOND);
    let fraction = stage.rng.below(999_999) * 10 + 7;
    let name = match session.tool {
        Tool::Dcomexec => format!("__{}", seconds / 100_000),
        _ => format!("__{seconds}.{fraction:07}"),
    };
    let file = format!(r"\\127.0.0.1\ADMIN$\{name}");
    let story = stage.begin(
        Hunt::WmiexecSharedOutputFile,
        Kind::Hit,
        host,
        ("redirect_file", &file),
        session.why,
    );
    let mut stories = vec![story];
    let through_wmi = session.tool != Tool::Dcomexec;
    if stage.is_whole() && stage.route_of(host) != Route::Sentinel {
        stories.push(sequence(stage, host, session, through_wmi));
    }
    stage.arrive(&Arrival {
        host,
        at: start - 400 * MILLISECOND,
        account: STOLEN,
        from: session.from,
        port: 135,
        dialogue: if through_wmi {
            Dialogue::Wmi
        } else {
            Dialogue::Dcom
        },
        stories: if through_wmi { &stories[1..] } else { &[] },
    });
    let parent = shell_parent(stage, session.tool, host, start);
    let mut directory = "C:\\".to_owned();
    let last = i64::try_from(session.typed.len()).unwrap_or(1) - 1;
    for (index, typed) in (0_i64..).zip(session.typed) {
        // The helpers follow at once; the rest at a person's pace, the last one at the end.
        let jitter = if index == 0 || index == last {
            -some_milliseconds(stage)
        } else {
            stage.rng.between(0, 9 * SECOND)
        };
        let at = match index {
            1 => start + 900 * MILLISECOND,
            _ => start + session.minutes * MINUTE * index / last.max(1) - jitter,
        };
        let command = wrapped(session.tool, typed, &file);
        let child_lag = stage.rng.between(18, 60) * MILLISECOND;
        let shell = stage.launch(&Launch {
            host,
            at,
            program: &CMD,
            image: None,
            command: &command,
            directory: &directory,
            account: STOLEN,
            integrity: Integrity::High,
            parent: &parent,
            client: Some(session.from),
            stories: &stories,
            audit_stories: &stories,
        });
        if let Some((program, started)) = child(session.tool, typed) {
            stage.launch(&Launch {
                host,
                at: at + child_lag,
                program,
                image: None,
                command: &started,
                directory: &directory,
                account: STOLEN,
                integrity: Integrity::High,
                parent: &shell,
                client: None,
                stories: &[],
                audit_stories: &[],
            });
        }
        if index < 3 {
            stage.read_output(host, at + 30 * MILLISECOND, STOLEN, session.from, &name);
        }
        if let Some(target) = typed.strip_prefix("cd ").filter(|target| target.len() > 2) {
            target.clone_into(&mut directory);
            directory.push('\\');
        }
    }
}

/// The process that starts the tool's shells: mmc.exe for dcomexec, which starts with the session, else the WMI provider host.
fn shell_parent(stage: &mut Stage<'_>, tool: Tool, host: usize, start: i64) -> Running {
    match tool {
        Tool::Dcomexec => {
            let services = stage.long_running(host, &super::programs::SVCHOST);
            stage.launch(&Launch {
                host,
                at: start - 200 * MILLISECOND,
                program: &MMC,
                image: None,
                command: r"C:\Windows\system32\mmc.exe -Embedding",
                directory: r"C:\Windows\system32\",
                account: STOLEN,
                integrity: Integrity::High,
                parent: &services,
                client: None,
                stories: &[],
                audit_stories: &[],
            })
        }
        _ => stage.provider_host(host),
    }
}

/// What the session is to the hunt that asks for a child of the WMI provider host after a connection.
fn sequence(stage: &mut Stage<'_>, host: usize, session: &Session, through_wmi: bool) -> usize {
    let (kind, why) = if through_wmi {
        let why = "the first child of the WMI provider host comes 0.4 s after the connection to port 135, the others belong to the session";
        (Kind::Hit, why)
    } else {
        let why = "a connection to port 135, but the children are those of mmc.exe";
        (Kind::NearMiss, why)
    };
    let address = dotted(session.from);
    let key = ("source_ip", address.as_str());
    stage.begin(Hunt::WmiChildAfterInboundConnection, kind, host, key, why)
}

/// People and networks do not act on the full second.
fn some_milliseconds(stage: &mut Stage<'_>) -> i64 {
    stage.rng.between(0, 400) * MILLISECOND
}

/// A command as the target's process creation shows it.
fn wrapped(tool: Tool, typed: &str, file: &str) -> String {
    let shell = match tool {
        Tool::Dcomexec => r#""C:\Windows\System32\cmd.exe""#,
        _ => "cmd.exe",
    };
    let command = if tool == Tool::WmiexecPowershell && !typed.starts_with("cd ") {
        format!(
            "powershell.exe -NoP -NoL -sta -NonI -W Hidden -Exec Bypass -Enc {}",
            encoded(typed)
        )
    } else {
        typed.to_owned()
    };
    format!("{shell} /Q /c {command} 1> {file} 2>&1")
}

/// The program that a command starts, and its command line: cmd.exe puts two blanks after the name.
fn child(tool: Tool, typed: &str) -> Option<(&'static Program, String)> {
    if tool == Tool::WmiexecPowershell {
        return (!typed.starts_with("cd ")).then(|| {
            let encoded = encoded(typed);
            let command = format!(
                "powershell.exe  -NoP -NoL -sta -NonI -W Hidden -Exec Bypass -Enc {encoded} "
            );
            (&POWERSHELL, command)
        });
    }
    let (name, rest) = typed.split_once(' ').unwrap_or((typed, ""));
    let program: &'static Program = match name {
        "whoami" => &WHOAMI,
        "ipconfig" => &IPCONFIG,
        "hostname" => &HOSTNAME,
        "net" => &NET,
        "nltest" => &NLTEST,
        "tasklist" => &TASKLIST,
        "netstat" => &NETSTAT,
        "quser" => &QUSER,
        "systeminfo" => &SYSTEMINFO,
        "reg" => &REG,
        _ => return None,
    };
    Some((program, format!("{name}  {rest}")))
}

/// Base64 of UTF-16LE, as PowerShell's `-EncodedCommand` takes it; the tool silences progress first.
fn encoded(script: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let script = format!("$ProgressPreference=\"SilentlyContinue\";{script}");
    let bytes: Vec<u8> = script.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
        for place in 0..4 {
            text.push(if place <= chunk.len() {
                char::from(ALPHABET[word >> (18 - 6 * place) & 63])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_commands_look_like_the_tools() {
        assert!(encoded("Get-Date").starts_with("JABQAHIAbwBnAHIAZQBzAHMA"));
        assert_eq!(encoded("Get-Date").len() % 4, 0);
    }

    #[test]
    fn the_second_helper_has_two_blanks() {
        let file = r"\\127.0.0.1\ADMIN$\__1700000000.1234567";
        assert_eq!(
            wrapped(Tool::Wmiexec, "cd ", file),
            r"cmd.exe /Q /c cd  1> \\127.0.0.1\ADMIN$\__1700000000.1234567 2>&1"
        );
        assert_eq!(
            wrapped(Tool::Wmiexec, "cd \\", file),
            r"cmd.exe /Q /c cd \ 1> \\127.0.0.1\ADMIN$\__1700000000.1234567 2>&1"
        );
    }
}
