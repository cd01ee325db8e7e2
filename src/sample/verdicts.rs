//! What hunts that look at one process start alone say of a planted one: the answers of those hunts for every story, whatever it
//! was planted for. It knows nothing of hosts or time.

use super::answers::Hunt;
use super::falcon::base_name;

/// A process start as a hunt sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    pub(crate) image: &'a str,
    /// `""` where the sensor has none.
    pub(crate) original_name: &'a str,
    pub(crate) command: &'a str,
    pub(crate) parent: &'a str,
    /// `""` where the sensor has none.
    pub(crate) parent_command: &'a str,
}

/// What makes starts one activity, besides hunt, host and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Host,
    User,
    /// User and command line.
    Command,
}

/// A hit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) hunt: Hunt,
    pub(crate) key: Key,
    pub(crate) why: &'static str,
}

impl Start<'_> {
    /// Every hit.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let command = self.command.to_lowercase();
        let name = base_name(self.image).to_lowercase();
        let parent = base_name(self.parent).to_lowercase();
        let wmic = name == "wmic.exe" || self.original_name.eq_ignore_ascii_case("wmic.exe");
        let mut found = Vec::new();
        let mut hit = |hunt, key, why| found.push(Verdict { hunt, key, why });
        if parent == "wmiprvse.exe" {
            let why = "children of the WMI provider host, whoever asked for them";
            hit(Hunt::WmiProviderChildProcess, Key::Command, why);
        }
        if name == "cmd.exe" {
            self.shell(&command, &parent, &mut hit);
        }
        if name == "certutil.exe"
            && command.contains(r"c:\windows\temp\")
            && command.contains("-encodehex")
        {
            let why = "NetExec over WMI encodes a command's output to fetch it";
            hit(Hunt::NetexecCommand, Key::User, why);
        }
        if wmic && command.contains("/node:") {
            let why = "wmic told to work on a host by name or address, this one included";
            hit(Hunt::WmicRemoteNode, Key::Command, why);
        }
        if wmic && command.contains("process call create") {
            let why = "wmic starts a process";
            hit(Hunt::WmicProcessCallCreate, Key::Command, why);
        }
        if wmic && (command.contains(".xsl") || has_remote_format(&command)) {
            let why = "wmic with a style sheet of its own, which may hold script";
            hit(Hunt::WmicXslScript, Key::Command, why);
        }
        let original = self.original_name.to_lowercase();
        let is_one_of =
            |names: &[&str]| names.contains(&name.as_str()) || names.contains(&original.as_str());
        let tools = [
            "wmic.exe",
            "powershell.exe",
            "wbemtool.exe",
            "wmiprvse.exe",
            "wmiadap.exe",
            "scrcons.exe",
        ];
        let words = [
            "process call create",
            "shadowcopy delete",
            "process start",
            "createobject",
        ];
        if is_one_of(&tools) && words.iter().any(|word| command.contains(word)) {
            let why = "a program of WMI's or PowerShell with words that start or delete something";
            hit(Hunt::WmiCommandExecution, Key::Command, why);
        }
        let calls = [
            "invoke-wmimethod",
            "invoke-cimmethod",
            "get-wmiobject",
            "win32_process ",
        ];
        if is_one_of(&["powershell.exe"]) && calls.iter().any(|call| command.contains(call)) {
            let why = "PowerShell with a call to WMI on its command line";
            hit(Hunt::PowershellWmiCommandLine, Key::Command, why);
        }
        if deletes_shadow_copies(wmic, &name, &command) {
            let why = "deletes shadow copies";
            hit(Hunt::ShadowCopyDeletion, Key::Command, why);
        }
        found
    }

    fn shell(&self, command: &str, parent: &str, hit: &mut impl FnMut(Hunt, Key, &'static str)) {
        let silent = command.contains("/q /c ");
        let target = redirect_file(self.command);
        if silent && parent == "wmiprvse.exe" && target.is_none() {
            let why = "a silent shell of the WMI provider host whose output nobody reads";
            hit(Hunt::WmiexecNoOutput, Key::Command, why);
        }
        if let Some((host, name)) = target.and_then(share_of)
            && silent
        {
            let why = "a silent shell's output goes to a file on a share";
            hit(Hunt::CommandOutputRedirectedToShare, Key::User, why);
            let digits = |name: &str| name.len() == 5 && name.bytes().all(|c| c.is_ascii_digit());
            let object = ["mmc.exe", "explorer.exe"].contains(&parent);
            if object && host == "127.0.0.1" && name.strip_prefix("__").is_some_and(digits) {
                let why =
                    "dcomexec: a child of mmc.exe or explorer.exe, five digits in the file's name";
                hit(Hunt::DcomexecCommand, Key::User, why);
            }
        }
        if silent && target.is_some_and(is_netexec) {
            let why = "a file name of NetExec's: six letters, or a UUID in the system's Temp";
            hit(Hunt::NetexecCommand, Key::User, why);
        }
        let writes_batch = |line: &str| line.contains("__output") && line.contains(".bat");
        let runs_batch =
            command.rsplit('.').next() == Some("bat") && writes_batch(self.parent_command);
        if (parent == "services.exe" && writes_batch(command)) || runs_batch {
            let why = "smbexec: a service writes a command into a batch file and runs it";
            hit(Hunt::SmbexecCommand, Key::Host, why);
        }
        let ended = command
            .strip_suffix(" 2>&1")
            .and_then(|line| line.strip_suffix(".tmp"));
        if let Some((before, file)) = ended.and_then(|line| line.rsplit_once('\\'))
            && command.contains("cmd.exe /c ")
            && (before.ends_with(r"> c:\windows\temp") || before.ends_with(r"> %windir%\temp"))
            && letters(file, 8)
        {
            let why = "atexec: a task's output goes to eight letters in the system's Temp";
            hit(Hunt::AtexecCommand, Key::Host, why);
        }
    }
}

/// Where `1>` sends the output, if errors follow it.
pub(crate) fn redirect_file(command: &str) -> Option<&str> {
    let (_, target) = command.rsplit_once("1> ")?;
    target.strip_suffix(" 2>&1")
}

/// Host and last part of a path on a share.
fn share_of(file: &str) -> Option<(&str, &str)> {
    let (host, path) = file.strip_prefix(r"\\")?.split_once('\\')?;
    let (_, name) = path.rsplit_once('\\')?;
    Some((host, name))
}

fn letters(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// `\Windows\Temp\<6 letters>`, six letters on a share of another host, or `"C:\windows\temp\<uuid>.txt"`.
fn is_netexec(file: &str) -> bool {
    if let Some(name) = file.strip_prefix(r"\Windows\Temp\") {
        return letters(name, 6);
    }
    if let Some(name) = file.strip_prefix(r#""C:\windows\temp\"#) {
        let dashes = [8, 13, 18, 23];
        return name.get(36..) == Some(r#".txt""#)
            && (name.bytes().take(36).enumerate()).all(|(place, byte)| {
                byte == b'-' && dashes.contains(&place) || byte.is_ascii_hexdigit()
            });
    }
    share_of(file).is_some_and(|(host, name)| host != "127.0.0.1" && letters(name, 6))
}

/// `/format:` with an address, a share or a path.
fn has_remote_format(command: &str) -> bool {
    let Some((_, style)) = command.split_once("format:") else {
        return false;
    };
    let style = style.trim_start_matches('"');
    style.starts_with("http") || style.starts_with(r"\\") || style.get(1..3) == Some(r":\")
}

fn deletes_shadow_copies(wmic: bool, name: &str, command: &str) -> bool {
    (wmic && command.contains("shadowcopy") && command.contains("delete"))
        || (name == "vssadmin.exe" && command.contains("delete shadows"))
        || (name == "powershell.exe"
            && command.contains("win32_shadowcopy")
            && command.contains("delete"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunts(image: &str, command: &str, parent: &str) -> Vec<Hunt> {
        let start = Start {
            image,
            original_name: "",
            command,
            parent,
            parent_command: "",
        };
        start.verdicts().iter().map(|each| each.hunt).collect()
    }

    const CMD: &str = r"C:\Windows\System32\cmd.exe";
    const WMIC: &str = r"C:\Windows\System32\wbem\WMIC.exe";

    #[test]
    fn shells_are_told_by_their_output_file() {
        let wmi = r"C:\Windows\System32\wbem\WmiPrvSE.exe";
        let provider = Hunt::WmiProviderChildProcess;
        let shared = Hunt::CommandOutputRedirectedToShare;
        for (command, parent, expected) in [
            (
                r"cmd.exe /Q /c x 1> \\127.0.0.1\ADMIN$\__1.2 2>&1",
                wmi,
                vec![provider, shared],
            ),
            (
                r"cmd.exe /Q /c x 1> \\127.0.0.1\ADMIN$\__17000 2>&1",
                r"C:\mmc.exe",
                vec![shared, Hunt::DcomexecCommand],
            ),
            (
                r"cmd.exe /Q /c x 1> \Windows\Temp\abCdeF 2>&1",
                wmi,
                vec![provider, Hunt::NetexecCommand],
            ),
            (
                r"cmd.exe /Q /c x 1> \\10.1.1.1\AB\abCdeF 2>&1",
                "",
                vec![shared, Hunt::NetexecCommand],
            ),
            (
                r#"cmd.exe /Q /c  (x) 1> "C:\windows\temp\5d41402a-bc4b-4a76-b971-9d911017c592.txt" 2>&1"#,
                "",
                vec![Hunt::NetexecCommand],
            ),
            (
                r"cmd.exe /C x > C:\Windows\Temp\abcDEFgh.tmp 2>&1",
                "",
                vec![Hunt::AtexecCommand],
            ),
            (r"cmd.exe /C x > C:\Windows\Temp\job.log 2>&1", "", vec![]),
            (
                r"cmd.exe /c winrm get x >C:\Windows\TEMP\1.stdout 2>C:\Windows\TEMP\1.stderr",
                "",
                vec![],
            ),
        ] {
            assert_eq!(hunts(CMD, command, parent), expected, "{command}");
        }
    }

    #[test]
    fn wmic_is_told_by_its_words() {
        let node = Hunt::WmicRemoteNode;
        for (command, expected) in [
            (
                r"wmic /NODE:x process call create y",
                vec![node, Hunt::WmicProcessCallCreate, Hunt::WmiCommandExecution],
            ),
            (
                r#"wmic os get /format:"http://x/y""#,
                vec![Hunt::WmicXslScript],
            ),
            (r"wmic os get /format:\\h\s\y", vec![Hunt::WmicXslScript]),
            (r"wmic os get /format:csv", vec![]),
            (
                r"wmic shadowcopy delete",
                vec![Hunt::WmiCommandExecution, Hunt::ShadowCopyDeletion],
            ),
            (r"wmic shadowcopy list", vec![]),
        ] {
            assert_eq!(hunts(WMIC, command, ""), expected, "{command}");
        }
    }
}
