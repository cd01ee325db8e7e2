//! The shell in a real terminal: `script` gives it one, keys go in, and what comes out is waited for.
//!
//! Where `script` (util-linux) is missing, the tests say so and pass.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::workspace::{BINARY, Workspace, event};

/// How long something may take to appear; machines that test may be busy.
const PATIENCE: Duration = Duration::from_mins(2);

/// A terminal with the shell in it.
struct Terminal {
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
    /// How much of the output was waited for already.
    seen: usize,
}

impl Terminal {
    /// Starts the shell over the small lake; `None` where there is no `script`.
    fn open(workspace: &Workspace, more: &str) -> Option<Self> {
        let command = format!(
            "stty cols 80 rows 30; exec '{BINARY}' sql --lake lake/lake.yaml --from 2026-01-01 --to 2026-01-02 {more}"
        );
        let mut script = Command::new("script");
        script
            .args(["-qefc", &command, "/dev/null"])
            .current_dir(workspace.path(""))
            .env("TERM", "xterm")
            .env("LAKEHUNT_HISTORY", workspace.path("state/history"))
            .env("PAGER", "cat")
            .env_remove("COLUMNS")
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let Ok(mut child) = script.spawn() else {
            skipped("there is no `script` here");
            return None;
        };
        let output = Arc::new(Mutex::new(Vec::new()));
        let mut stdout = child.stdout.take().unwrap();
        let into = Arc::clone(&output);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut bytes) {
                into.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Some(Self {
            child,
            output,
            seen: 0,
        })
    }

    fn send(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Waits until a text appears behind what was waited for before, and gives what came with it.
    fn expect(&mut self, text: &str) -> String {
        let started = Instant::now();
        loop {
            let output = String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned();
            let new = &output[self.seen.min(output.len())..];
            if let Some(at) = new.find(text) {
                let end = self.seen + at + text.len();
                let came = output[self.seen..end].to_owned();
                self.seen = end;
                return came;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "`{text}` did not appear in:\n{new}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the prompt, which is drawn again with every key.
    fn prompt(&mut self) -> String {
        self.expect("2026-01-02 00:00> \u{1b}[0m")
    }

    fn run(&mut self, text: &str, expected: &str) -> String {
        self.send(text);
        let came = self.expect(expected);
        self.prompt();
        came
    }

    fn end(mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

#[test]
fn a_session() {
    let workspace = Workspace::with_one_table();
    let Some(mut terminal) = Terminal::open(&workspace, "") else {
        return;
    };
    terminal.expect("Ctrl-D leaves.");
    terminal.prompt();
    // A statement takes lines, and results are a table.
    terminal.send("SELECT count(*) AS n\n");
    terminal.expect("... ");
    terminal.run("FROM events;\n", "1 row");
    // A long value is shortened in the middle to the width of the terminal.
    let long = "SELECT repeat('a', 100) || repeat('b', 100) AS t, 1 AS one;\n";
    let came = terminal.run(long, "1 row");
    assert!(came.contains("aaa…bbb"), "{came}");
    // A mistake costs itself.
    let came = terminal.run("SELECT x FROM events;\n", "hint");
    assert!(came.contains("query:1:8"), "{came}");
    // Tab completes, the arrow goes back in history.
    terminal.run("DESCRIBE eve\t;\n", "record_id");
    terminal.send("\u{1b}[A");
    terminal.expect("DESCRIBE");
    terminal.send("\u{15}");
    terminal.prompt();
    terminal.run(
        ".mode csv\n.window\n",
        "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z",
    );
    terminal.run("SELECT 1 AS a, NULL AS b;\n", "\n1,\r");
    // Search finds what was typed.
    terminal.send("\u{12}repeat");
    terminal.expect("search `repeat`");
    terminal.send("\u{1b}");
    terminal.prompt();
    terminal.send("\u{4}");
    assert_eq!(terminal.end(), 0);
    let history = fs::read_to_string(workspace.path("state/history")).unwrap();
    assert!(
        history.contains("SELECT count(*) AS n\\nFROM events;\n"),
        "{history}"
    );
}

#[test]
fn ctrl_c_cancels_the_query_and_not_the_shell() {
    let workspace = Workspace::with_one_table();
    let many: String = (0..3000).map(event).collect();
    workspace.write("lake/events/day=2026-01-01/many.ndjson", many);
    let Some(mut terminal) = Terminal::open(&workspace, "") else {
        return;
    };
    terminal.prompt();
    terminal.send("SELECT 'half");
    terminal.expect("half");
    terminal.send("\u{3}");
    terminal.expect("^C");
    terminal.prompt();
    terminal.send("SELECT count(*) FROM events a, events b, events c, events d;\n");
    // Slow queries say how far they are.
    thread::sleep(Duration::from_secs(3));
    terminal.send("\u{3}");
    terminal.expect("the query was cancelled");
    terminal.prompt();
    terminal.run("SELECT 40 + 2 AS answer;\n", "42");
    terminal.send(".quit\n");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn commands_of_the_shell() {
    let workspace = Workspace::with_own_hunts();
    let Some(mut terminal) = Terminal::open(&workspace, "") else {
        return;
    };
    terminal.prompt();
    terminal.run(".help\n", "Ctrl-C cancels");
    terminal.run(".tables\n", "process_creation");
    terminal.run(".schema dce_rpc\n", "named_pipe");
    terminal.run(".functions base_n\n", "base_name(path)");
    terminal.run(".hunts wmic_form\n", "wmic_format_spl");
    terminal.run(".tabels\n", "did you mean `.tables`?");
    terminal.run(".explain SELECT image FROM process_creation;\n", "columns:");
    workspace.write("q.sql", "SELECT 1 + 1 AS two; SELECT 3 AS three;");
    terminal.run(".read q.sql\n", "three");
    terminal.run(".output rows.ndjson\n", "takes the place");
    terminal.run(
        "SELECT command_line FROM process_creation ORDER BY 1;\n",
        "rows",
    );
    terminal.run(".output\n", "");
    // The format of the screen is back.
    terminal.run(".mode\n", "table; there are");
    let written = fs::read_to_string(workspace.path("rows.ndjson")).unwrap();
    assert_eq!(written.lines().count(), 3, "{written}");
    terminal.run(".save rare_wmic\n", "lakehunt test rare_wmic --accept");
    terminal.run(".save rare_wmic\n", "nothing is overwritten");
    assert!(
        workspace
            .path("sql/hunts/windows/process_creation/rare_wmic.sql")
            .exists()
    );
    terminal.send(".window '2026-01-01 10:00' 2026-01-01T10:00:01Z\n");
    terminal.expect("2026-01-01 10:00 - 2026-01-01 10:00> ");
    terminal.send(".mode csv\nSELECT count(*) FROM events;\n");
    terminal.expect("\n1\r");
    terminal.send(".window all\n");
    terminal.expect("all time> ");
    terminal.send(".quit\n");
    assert_eq!(terminal.end(), 0);
}
