//! The programs of the invented enterprise: file facts as Sysmon reports them, and command lines they are started with.
//! Names of makers that are not Windows' own are invented. It knows nothing of hosts or time.

use std::sync::OnceLock;

use super::event::Integrity;
use super::rng::spread;
use super::text::{put_hex, text_of};

/// A program file. Hashes are made from the path, so that one file has one hash everywhere.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: &'static str,
    pub(crate) description: &'static str,
    pub(crate) product: &'static str,
    pub(crate) company: &'static str,
    pub(crate) original_name: &'static str,
    pub(crate) version: &'static str,
    hashes: OnceLock<String>,
}

impl Program {
    /// The file's hashes as Sysmon writes them, made once.
    pub(crate) fn hashes(&self) -> &str {
        self.hashes.get_or_init(|| {
            let mut state = 0xCBF2_9CE4_8422_2325_u64;
            for byte in self.path.bytes() {
                state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
            let mut digits = |words: usize| {
                text_of(|out| {
                    for _ in 0..words {
                        put_hex(out, spread(&mut state), 16, true);
                    }
                })
            };
            let (md5, sha256, imports) = (digits(2), digits(4), digits(2));
            format!("MD5={md5},SHA256={sha256},IMPHASH={imports}")
        })
    }
}

const WINDOWS: &str = "Microsoft® Windows® Operating System";
const MICROSOFT: &str = "Microsoft Corporation";

const fn windows(
    path: &'static str,
    description: &'static str,
    original_name: &'static str,
) -> Program {
    Program {
        path,
        description,
        product: WINDOWS,
        company: MICROSOFT,
        original_name,
        version: "10.0.19041.3636 (WinBuild.160101.0800)",
        hashes: OnceLock::new(),
    }
}

const fn vendor(
    path: &'static str,
    description: &'static str,
    company: &'static str,
    original_name: &'static str,
    version: &'static str,
) -> Program {
    Program {
        path,
        description,
        product: description,
        company,
        original_name,
        version,
        hashes: OnceLock::new(),
    }
}

macro_rules! programs {
    ($($name:ident = $make:ident($($argument:expr),* $(,)?);)*) => {
        $(pub(crate) static $name: Program = $make($($argument),*);)*
    };
}

programs! {
    KERNEL = vendor("System", "-", "-", "-", "-");
    SERVICES = windows(r"C:\Windows\System32\services.exe", "Services and Controller app", "services.exe");
    SVCHOST = windows(r"C:\Windows\System32\svchost.exe", "Host Process for Windows Services", "svchost.exe");
    LSASS = windows(r"C:\Windows\System32\lsass.exe", "Local Security Authority Process", "lsass.exe");
    EXPLORER = windows(r"C:\Windows\explorer.exe", "Windows Explorer", "EXPLORER.EXE");
    WMIPRVSE = windows(r"C:\Windows\System32\wbem\WmiPrvSE.exe", "WMI Provider Host", "Wmiprvse.exe");
    MMC = windows(r"C:\Windows\System32\mmc.exe", "Microsoft Management Console", "mmc.exe");
    CMD = windows(r"C:\Windows\System32\cmd.exe", "Windows Command Processor", "Cmd.Exe");
    CONHOST = windows(r"C:\Windows\System32\conhost.exe", "Console Window Host", "CONHOST.EXE");
    POWERSHELL = windows(r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe", "Windows PowerShell", "PowerShell.EXE");
    WMIC = windows(r"C:\Windows\System32\wbem\WMIC.exe", "WMI Commandline Utility", "wmic.exe");
    WHOAMI = windows(r"C:\Windows\System32\whoami.exe", "whoami - displays logged on user information", "whoami.exe");
    IPCONFIG = windows(r"C:\Windows\System32\ipconfig.exe", "IP Configuration Utility", "ipconfig.exe");
    NET = windows(r"C:\Windows\System32\net.exe", "Net Command", "net.exe");
    HOSTNAME = windows(r"C:\Windows\System32\HOSTNAME.EXE", "Hostname APP", "hostname.exe");
    NLTEST = windows(r"C:\Windows\System32\nltest.exe", "Microsoft® Logon Server Test Utility", "nltestrk.exe");
    TASKLIST = windows(r"C:\Windows\System32\tasklist.exe", "Lists the current running tasks", "tasklist.exe");
    QUSER = windows(r"C:\Windows\System32\quser.exe", "Query User Utility", "quser.exe");
    SYSTEMINFO = windows(r"C:\Windows\System32\systeminfo.exe", "Displays system information", "sysinfo.exe");
    REG = windows(r"C:\Windows\System32\reg.exe", "Registry Console Tool", "reg.exe");
    CERTUTIL = windows(r"C:\Windows\System32\certutil.exe", "CertUtil.exe", "CertUtil.exe");
    VSSADMIN = windows(r"C:\Windows\System32\vssadmin.exe", "Command Line Interface for Microsoft® Volume Shadow Copy Service", "VSSADMIN.EXE");
    JSCRIPT = windows(r"C:\Windows\System32\jscript.dll", "Microsoft ® JScript", "jscript.dll");
    VBSCRIPT = windows(r"C:\Windows\System32\vbscript.dll", "Microsoft ® VBScript", "vbscript.dll");
    NETSTAT = windows(r"C:\Windows\System32\NETSTAT.EXE", "TCP/IP Netstat Command", "netstat.exe");
    CSCRIPT = windows(r"C:\Windows\System32\cscript.exe", "Microsoft ® Console Based Script Host", "cscript.exe");
    MSIEXEC = windows(r"C:\Windows\System32\msiexec.exe", "Windows® installer", "msiexec.exe");
    RUNDLL32 = windows(r"C:\Windows\System32\rundll32.exe", "Windows host process (Rundll32)", "RUNDLL32.EXE");
    TASKHOST = windows(r"C:\Windows\System32\taskhostw.exe", "Host Process for Windows Tasks", "taskhostw.exe");
    BACKGROUND_TASK = windows(r"C:\Windows\System32\backgroundTaskHost.exe", "Background Task Host", "backgroundTaskHost.exe");
    SEARCH_PROTOCOL = windows(r"C:\Windows\System32\SearchProtocolHost.exe", "Microsoft Windows Search Protocol Host", "SearchProtocolHost.exe");
    NOTEPAD = windows(r"C:\Windows\System32\notepad.exe", "Notepad", "NOTEPAD.EXE");
    ROBOCOPY = windows(r"C:\Windows\System32\Robocopy.exe", "Microsoft Robocopy", "robocopy.exe");
    W3WP = windows(r"C:\Windows\System32\inetsrv\w3wp.exe", "IIS Worker Process", "w3wp.exe");
    CSC = windows(r"C:\Windows\Microsoft.NET\Framework64\v4.0.30319\csc.exe", "Visual C# Command Line Compiler", "csc.exe");
    CCMEXEC = windows(r"C:\Windows\CCM\CcmExec.exe", "Host Process for Microsoft Configuration Manager", "CcmExec.exe");
    OUTLOOK = vendor(r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE", "Microsoft Outlook", MICROSOFT, "Outlook.exe", "16.0.17328.20162");
    WINWORD = vendor(r"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE", "Microsoft Word", MICROSOFT, "WinWord.exe", "16.0.17328.20162");
    TEAMS = vendor(r"C:\Program Files\WindowsApps\MSTeams_8wekyb3d8bbwe\ms-teams.exe", "Microsoft Teams", MICROSOFT, "ms-teams.exe", "24.4.2.100");
    CHROME = vendor(r"C:\Program Files\Google\Chrome\Application\chrome.exe", "Google Chrome", "Google LLC", "chrome.exe", "131.0.6778.205");
    MONITOR = vendor(r"C:\Program Files\Fieldwatch\fwagent.exe", "Fieldwatch Agent", "Fieldwatch Example Ltd", "fwagent.exe", "7.4.1");
    MONITOR_PROBE = vendor(r"C:\Program Files\Fieldwatch\fwprobe.exe", "Fieldwatch Probe", "Fieldwatch Example Ltd", "fwprobe.exe", "7.4.1");
    BACKUP = vendor(r"C:\Program Files\Coldstack\csbackup.exe", "Coldstack Backup", "Coldstack Example Inc", "csbackup.exe", "3.12.0");
    WINNODE = vendor(r"C:\Program Files\Winnode\winnode.exe", "Winnode Cluster Console", "Winnode Example GmbH", "winnode.exe", "2.1.7");
    NTDLL = windows(r"C:\Windows\System32\ntdll.dll", "NT Layer DLL", "ntdll.dll");
    KERNELBASE = windows(r"C:\Windows\System32\KernelBase.dll", "Windows NT BASE API Client DLL", "Kernelbase.dll");
    WBEMPROX = windows(r"C:\Windows\System32\wbem\wbemprox.dll", "WMI", "wbemprox.dll");
    CRYPTBASE = windows(r"C:\Windows\System32\cryptbase.dll", "Base cryptographic API DLL", "cryptbase.dll");
    WININET = windows(r"C:\Windows\System32\wininet.dll", "Internet Extensions for Win32", "wininet.dll");
    MSCORLIB = windows(r"C:\Windows\assembly\NativeImages_v4.0.30319_64\mscorlib\mscorlib.ni.dll", "Microsoft Common Language Runtime Class Library", "mscorlib.dll");
}

/// The files that Sysmon 7 reports as loaded.
pub(crate) static MODULES: [&Program; 6] = [
    &NTDLL,
    &KERNELBASE,
    &WBEMPROX,
    &CRYPTBASE,
    &WININET,
    &MSCORLIB,
];

/// How a program is started in everyday life. In `command`, `{h}` stands for a hex id, `{n}` for a number and `{u}` for
/// the user's name: what makes command lines differ.
#[derive(Debug)]
pub(crate) struct Habit {
    pub(crate) program: &'static Program,
    pub(crate) parent: &'static Program,
    pub(crate) command: &'static str,
    /// Started as the host's user; otherwise as SYSTEM.
    pub(crate) as_user: bool,
    pub(crate) weight: u16,
}

impl Habit {
    pub(crate) fn integrity(&self) -> Integrity {
        if self.as_user {
            Integrity::Medium
        } else {
            Integrity::System
        }
    }

    /// Whether the command line can differ from one start to the next.
    pub(crate) fn varies(&self) -> bool {
        self.command.contains("{h}") || self.command.contains("{n}")
    }
}

const fn user(
    program: &'static Program,
    parent: &'static Program,
    command: &'static str,
    weight: u16,
) -> Habit {
    Habit {
        program,
        parent,
        command,
        as_user: true,
        weight,
    }
}

const fn system(
    program: &'static Program,
    parent: &'static Program,
    command: &'static str,
    weight: u16,
) -> Habit {
    Habit {
        program,
        parent,
        command,
        as_user: false,
        weight,
    }
}

/// What every machine does.
pub(crate) static COMMON: [Habit; 18] = [
    system(
        &SVCHOST,
        &SERVICES,
        r"C:\Windows\system32\svchost.exe -k netsvcs -p -s Schedule",
        4,
    ),
    system(
        &SVCHOST,
        &SERVICES,
        r"C:\Windows\System32\svchost.exe -k LocalSystemNetworkRestricted -p",
        4,
    ),
    system(
        &SVCHOST,
        &SERVICES,
        r"C:\Windows\System32\svchost.exe -k wsappx -p -s AppXSvc",
        3,
    ),
    system(
        &WMIPRVSE,
        &SVCHOST,
        r"C:\Windows\system32\wbem\wmiprvse.exe -secured -Embedding",
        5,
    ),
    system(&TASKHOST, &SVCHOST, "taskhostw.exe", 3),
    system(&TASKHOST, &SVCHOST, "taskhostw.exe /run {h}", 4),
    system(
        &CMD,
        &CCMEXEC,
        r#"C:\Windows\system32\cmd.exe /c "C:\Windows\CCM\Temp\{h}.cmd""#,
        5,
    ),
    system(
        &POWERSHELL,
        &CCMEXEC,
        r"powershell.exe -NoProfile -NonInteractive -File C:\Windows\CCM\SystemTemp\{h}.ps1 -Revision {n}",
        5,
    ),
    system(
        &MSIEXEC,
        &SERVICES,
        r"C:\Windows\system32\msiexec.exe /V",
        1,
    ),
    system(
        &MSIEXEC,
        &CCMEXEC,
        r"msiexec.exe /i C:\Windows\ccmcache\{n}\setup.msi /qn REBOOT=ReallySuppress",
        2,
    ),
    system(
        &MONITOR_PROBE,
        &MONITOR,
        r#""C:\Program Files\Fieldwatch\fwprobe.exe" --check disk --run {n}"#,
        7,
    ),
    system(
        &MONITOR_PROBE,
        &MONITOR,
        r#""C:\Program Files\Fieldwatch\fwprobe.exe" --check cpu"#,
        5,
    ),
    system(
        &CSCRIPT,
        &MONITOR,
        r#"cscript.exe //nologo "C:\Program Files\Fieldwatch\plugins\services.vbs" {n}"#,
        4,
    ),
    system(
        &CONHOST,
        &CMD,
        r"\??\C:\Windows\system32\conhost.exe 0xffffffff -ForceV1",
        8,
    ),
    system(
        &RUNDLL32,
        &SVCHOST,
        r"C:\Windows\system32\rundll32.exe C:\Windows\system32\PcaSvc.dll,PcaPatchSdbTask",
        2,
    ),
    // Administration with wmic that no hunt here asks for: no other machine, no address, no output style.
    system(
        &WMIC,
        &CMD,
        "wmic logicaldisk get size,freespace,caption",
        1,
    ),
    system(
        &WMIC,
        &CMD,
        "wmic service where state='running' get name",
        1,
    ),
    system(
        &WMIC,
        &CMD,
        "wmic process where processid={n} get executablepath",
        1,
    ),
];

/// What people at a desk do.
pub(crate) static DESK: [Habit; 16] = [
    user(
        &CHROME,
        &CHROME,
        r#""C:\Program Files\Google\Chrome\Application\chrome.exe" --type=renderer --renderer-client-id={n} --launch-time-ticks={n} --field-trial-handle={h}"#,
        22,
    ),
    user(
        &CHROME,
        &CHROME,
        r#""C:\Program Files\Google\Chrome\Application\chrome.exe" --type=utility --utility-sub-type=network.mojom.NetworkService --lang=en-US"#,
        8,
    ),
    user(
        &CHROME,
        &EXPLORER,
        r#""C:\Program Files\Google\Chrome\Application\chrome.exe" --profile-directory=Default"#,
        3,
    ),
    user(
        &OUTLOOK,
        &EXPLORER,
        r#""C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE""#,
        2,
    ),
    user(
        &WINWORD,
        &OUTLOOK,
        r#""C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE" /n "C:\Users\{u}\AppData\Local\Microsoft\Windows\INetCache\Content.Outlook\{h}\Minutes.docx""#,
        4,
    ),
    user(
        &TEAMS,
        &EXPLORER,
        r#""C:\Program Files\WindowsApps\MSTeams_8wekyb3d8bbwe\ms-teams.exe" msteams:system-initiated"#,
        2,
    ),
    user(
        &TEAMS,
        &TEAMS,
        r#""C:\Program Files\WindowsApps\MSTeams_8wekyb3d8bbwe\ms-teams.exe" --type=renderer --session={h}"#,
        6,
    ),
    user(&CMD, &EXPLORER, r#""C:\Windows\system32\cmd.exe" "#, 2),
    user(
        &CMD,
        &CMD,
        r"C:\Windows\system32\cmd.exe /c dir /b C:\Users\{u}\Projects\build-{n} 2>&1",
        3,
    ),
    user(&IPCONFIG, &CMD, "ipconfig  /all", 1),
    user(&WHOAMI, &CMD, "whoami  /groups", 1),
    user(
        &NET,
        &CMD,
        r"net  use Z: \\SRV-FILE01\home$\{u} /persistent:no",
        1,
    ),
    user(
        &POWERSHELL,
        &EXPLORER,
        r#""C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe" -File "C:\Users\{u}\Documents\report-{n}.ps1""#,
        2,
    ),
    user(
        &BACKGROUND_TASK,
        &SVCHOST,
        r#""C:\Windows\system32\backgroundTaskHost.exe" -ServerName:App.AppX{h}.mca"#,
        5,
    ),
    user(
        &SEARCH_PROTOCOL,
        &SVCHOST,
        r#""C:\Windows\system32\SearchProtocolHost.exe" Global\UsGthrFltPipeMssGthrPipe{n}_ Global\UsGthrCtrlFltPipeMssGthrPipe{n} 1 -2147483646"#,
        6,
    ),
    user(
        &NOTEPAD,
        &EXPLORER,
        r#""C:\Windows\system32\notepad.exe" C:\Users\{u}\Desktop\todo.txt"#,
        1,
    ),
];

/// What servers do.
pub(crate) static SERVER: [Habit; 8] = [
    system(
        &CSC,
        &W3WP,
        r#""C:\Windows\Microsoft.NET\Framework64\v4.0.30319\csc.exe" /noconfig /fullpaths @"C:\Windows\TEMP\{h}.cmdline""#,
        9,
    ),
    system(
        &W3WP,
        &SVCHOST,
        r#"c:\windows\system32\inetsrv\w3wp.exe -ap "Intranet" -v "v4.0" -a \\.\pipe\iisipm{h} -h "C:\inetpub\temp\apppools\Intranet\Intranet.config""#,
        5,
    ),
    system(
        &BACKUP,
        &SERVICES,
        r#""C:\Program Files\Coldstack\csbackup.exe" --job nightly --snapshot {h}"#,
        5,
    ),
    system(
        &ROBOCOPY,
        &CMD,
        r"robocopy  D:\Shares\Teams E:\Mirror\Teams /MIR /R:1 /W:1 /LOG:E:\Mirror\log-{n}.txt",
        4,
    ),
    system(
        &CMD,
        &SVCHOST,
        r#"C:\Windows\system32\cmd.exe /c "D:\Jobs\rotate.cmd" {n}"#,
        4,
    ),
    system(
        &POWERSHELL,
        &SVCHOST,
        r"powershell.exe -NoProfile -ExecutionPolicy Bypass -File D:\Jobs\sync-users.ps1",
        3,
    ),
    system(&REG, &CMD, r"reg  query HKLM\SOFTWARE\Coldstack\Jobs /s", 2),
    system(&TASKLIST, &CMD, r#"tasklist  /fi "PID eq {n}""#, 2),
];
