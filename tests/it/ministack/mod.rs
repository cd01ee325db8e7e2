//! A real S3 server beside the tests: users, signatures, conditions. It is installed below `target/` when Python is there,
//! started once for all tests of this process, and ends with it.
//!
//! Without Python the tests that need it say so and pass; with `CI=true` they fail, so that no CI is green for want of it.

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::workspace::{Printed, Workspace, hashes_of};

/// A bucket for each test: they run at the same time.
pub(crate) const BUCKETS: [&str; 9] = [
    "flips",
    "nightly",
    "conditions",
    "paused",
    "readonly",
    "expired",
    "roles",
    "names",
    "secrets",
];

/// A user's key and its secret.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) key: String,
    pub(crate) secret: String,
}

/// The running server.
#[derive(Debug)]
pub(crate) struct Ministack {
    pub(crate) url: String,
    pub(crate) writer: User,
    pub(crate) reader: User,
    /// The ARN of a role that everybody may take.
    pub(crate) role: String,
    python: PathBuf,
    /// Its standard input is ours: it ends with this process, however that ends.
    _server: Child,
}

/// The server; `None` where there is no Python, which is said.
#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
pub(crate) fn ministack() -> Option<&'static Ministack> {
    static SERVER: OnceLock<Result<Ministack, String>> = OnceLock::new();
    match SERVER.get_or_init(start) {
        Ok(server) => Some(server),
        Err(why) => {
            let is_required = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!is_required, "CI must run these tests: {why}");
            eprintln!("skipped: {why}");
            None
        }
    }
}

const HELPER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/ministack/helper.py");

fn start() -> Result<Ministack, String> {
    let python = install()?;
    for _ in 0..3 {
        let free = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = free.local_addr().map_err(|error| error.to_string())?.port();
        drop(free);
        let program = python.with_file_name("ministack");
        let mut server = command(&python)
            .arg("serve")
            .arg(port.to_string())
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("ministack does not start: {error}"))?;
        if !answers(port) {
            let _ = server.kill();
            continue;
        }
        let url = format!("http://127.0.0.1:{port}");
        let arguments = [&["setup", &url], &BUCKETS[..]].concat();
        let printed = Printed::of(command(&python).args(&arguments));
        assert_eq!(printed.code, 0, "{}", printed.stderr);
        let keys = printed.json();
        let user = |name: &str| User {
            key: keys[name][0].as_str().unwrap().to_owned(),
            secret: keys[name][1].as_str().unwrap().to_owned(),
        };
        return Ok(Ministack {
            url,
            writer: user("writer"),
            reader: user("reader"),
            role: user("role").key,
            python,
            _server: server,
        });
    }
    Err("ministack does not answer".to_owned())
}

/// Waits until a port is served; ministack takes connections when it is ready.
fn answers(port: u16) -> bool {
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// A virtual environment with ministack, made once.
fn install() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let requirements = Path::new(HELPER).with_file_name("requirements.txt");
    let wanted = fs::read_to_string(&requirements).map_err(|error| error.to_string())?;
    // Two test processes may start at once.
    let lock = File::create(folder.join("ministack.lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let environment = folder.join("ministack");
    let python = environment.join("bin/python");
    let done = environment.join("installed");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let run = |command: &mut Command| -> Result<(), String> {
        let output = command.output();
        let output = output.map_err(|error| format!("python3 cannot be started: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.lines().last().unwrap_or_default().to_owned();
        output.status.success().then_some(()).ok_or(last)
    };
    let make = ["-m", "venv", "--clear"];
    run(Command::new("python3").args(make).arg(&environment))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "-r"])
        .arg(&requirements))?;
    fs::write(&done, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.env("NO_PROXY", "127.0.0.1").arg(HELPER);
    command
}

impl Ministack {
    /// Runs the helper.
    pub(crate) fn helper(&self, arguments: &[&str]) -> Printed {
        let arguments = [&arguments[..1], &[self.url.as_str()], &arguments[1..]].concat();
        let printed = Printed::of(command(&self.python).args(&arguments));
        assert_eq!(printed.code, 0, "{arguments:?}\n{}", printed.stderr);
        printed
    }

    /// Puts one object.
    pub(crate) fn put(&self, bucket: &str, key: &str, content: &str) {
        let mut command = command(&self.python);
        command.args(["put", &self.url, bucket, key]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(content.as_bytes()).unwrap();
        drop(input);
        assert!(child.wait().unwrap().success());
    }

    /// Puts a folder.
    pub(crate) fn upload(&self, bucket: &str, prefix: &str, folder: &Path) {
        self.helper(&["upload", bucket, prefix, &folder.to_string_lossy()]);
    }

    /// What is below a prefix, in a folder of its own.
    pub(crate) fn download(&self, bucket: &str, prefix: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.helper(&["download", bucket, prefix, &folder.path().to_string_lossy()]);
        folder
    }

    /// The names of what is below a prefix, with the hashes of their bytes.
    pub(crate) fn files(&self, bucket: &str, prefix: &str) -> Vec<(String, String)> {
        let folder = self.download(bucket, prefix);
        hashes_of(folder.path()).into_iter().collect()
    }

    /// Sets the environment of a command to this server and a user.
    pub(crate) fn environment<'a>(&self, command: &'a mut Command, user: &User) -> &'a mut Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", &user.key)
            .env("AWS_SECRET_ACCESS_KEY", &user.secret)
            .env("NO_PROXY", "127.0.0.1")
    }

    /// Runs the binary as a user.
    pub(crate) fn run(&self, workspace: &Workspace, user: &User, arguments: &[&str]) -> Printed {
        let mut command = workspace.command(arguments);
        Printed::of(self.environment(&mut command, user))
    }
}
