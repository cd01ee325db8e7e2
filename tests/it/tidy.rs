//! The order of the house, kept by reading its source: which room may import which, which words a room must not know,
//! where clocks, contexts and printing belong, how long a file may be.
//!
//! It reads text, not syntax: comments, strings and test code are blanked first, then paths are looked for. That finds
//! what people write; it is no defence against somebody who wants to hide an import in a macro.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The rooms from the top down. A room imports only rooms below it; rooms on one line may import each other.
///
/// `cli` stands below `commands` and `shell`, which take its types as arguments: it is data without behaviour.
const ROOMS: &[&[&str]] = &[
    &["commands"],
    &["shell"],
    &["cli"],
    &["stats"],
    &["printer"],
    &["report"],
    &["deliver"],
    &["history"],
    &["output"],
    &["engine"],
    &["lake"],
    &["store"],
    &["functions"],
    &["hunt", "job", "exceptions", "credentials"],
    &["sample"],
    &["time"],
    &["error"],
];

/// Rooms that import nothing of the crate at all.
const ALONE: &[&str] = &["functions", "sample", "time"];

/// Files that are the door, not a room: they may import everything, and nothing may import them.
const DOORS: &[&str] = &["src/main.rs", "src/lib.rs"];

/// The longest a file may be before it must be split by concept.
const MOST_LINES: usize = 600;

/// A word, and where it may stand.
struct Word {
    /// What to look for, as a whole word; a trailing `*` allows a longer one.
    text: &'static str,
    /// Only files under these paths are looked at; empty means all.
    looked_for_in: &'static [&'static str],
    /// Files under these paths may use it.
    allowed_in: &'static [&'static str],
    /// What to do instead.
    reason: &'static str,
}

const PURE: &[&str] = &[
    "src/hunt/",
    "src/hunt.rs",
    "src/job/",
    "src/job.rs",
    "src/exceptions.rs",
];
const CLOCK: &str = "only main reads the clock; take `now` as a parameter";
const PRINTING: &str =
    "only src/printer.rs writes to stdout or stderr, and it does so with writeln!";

const WORDS: &[Word] = &[
    Word {
        text: "datafusion",
        looked_for_in: PURE,
        allowed_in: &[],
        reason: "hunts and jobs are pure",
    },
    Word {
        text: "tokio",
        looked_for_in: PURE,
        allowed_in: &[],
        reason: "hunts and jobs are pure",
    },
    // Also new_with_config, new_with_config_rt, new_with_state.
    Word {
        text: "SessionContext::new*",
        looked_for_in: &[],
        allowed_in: &["src/engine/", "src/engine.rs"],
        reason: "only the engine builds contexts",
    },
    Word {
        text: "Utc::now",
        looked_for_in: &[],
        allowed_in: &["src/main.rs"],
        reason: CLOCK,
    },
    Word {
        text: "Local::now",
        looked_for_in: &[],
        allowed_in: &["src/main.rs"],
        reason: CLOCK,
    },
    Word {
        text: "SystemTime::now",
        looked_for_in: &[],
        allowed_in: &["src/main.rs"],
        reason: CLOCK,
    },
    Word {
        text: "Instant::now",
        looked_for_in: &[],
        allowed_in: &[
            "src/main.rs",
            "src/printer.rs",
            "src/commands/",
            "src/shell/",
            "src/stats.rs",
        ],
        reason: "only main, printer, commands, shell and stats measure time",
    },
    Word {
        text: "print!",
        looked_for_in: &[],
        allowed_in: &[],
        reason: PRINTING,
    },
    Word {
        text: "println!",
        looked_for_in: &[],
        allowed_in: &[],
        reason: PRINTING,
    },
    Word {
        text: "eprint!",
        looked_for_in: &[],
        allowed_in: &[],
        reason: PRINTING,
    },
    Word {
        text: "eprintln!",
        looked_for_in: &[],
        allowed_in: &[],
        reason: PRINTING,
    },
];

/// A rule broken at a place.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Everything that is wrong with one file. `file` is its path from the root of the package, with `/`.
fn check(file: &str, source: &str) -> Vec<Breach> {
    let breach = |line, what| Breach {
        file: file.to_owned(),
        line,
        what,
    };
    let mut breaches = Vec::new();
    if !source.starts_with("//!") {
        breaches.push(breach(
            1,
            "does not start with //!: what is it for, and what must it not know?".to_owned(),
        ));
    }
    let lines = source.lines().count();
    if lines > MOST_LINES {
        breaches.push(breach(
            lines,
            format!("has {lines} lines, more than {MOST_LINES}: split it by concept"),
        ));
    }
    if is_test_file(file) {
        return breaches;
    }
    let code = blank_tests(&blank_comments_and_strings(source));
    if !DOORS.contains(&file) {
        let room = room_of(file);
        if rank(room).is_none() {
            breaches.push(breach(
                1,
                format!("`{room}` is no room of the house: give it a place in ROOMS"),
            ));
        }
        for (position, target) in imports(file, &code) {
            if let Some(what) = forbidden(room, &target) {
                breaches.push(breach(line_of(&code, position), what));
            }
        }
    }
    for word in WORDS {
        let in_scope = word.looked_for_in.is_empty() || is_under(file, word.looked_for_in);
        if !in_scope || is_under(file, word.allowed_in) {
            continue;
        }
        for position in finds(&code, word.text) {
            let what = format!("`{}` does not belong here: {}", word.text, word.reason);
            breaches.push(breach(line_of(&code, position), what));
        }
    }
    breaches.sort_by_key(|breach| breach.line);
    breaches
}

fn is_under(file: &str, paths: &[&str]) -> bool {
    paths.iter().any(|path| {
        if path.ends_with('/') {
            file.starts_with(path)
        } else {
            file == *path
        }
    })
}

/// Modules that exist only for tests, by the names they have here.
fn is_test_file(file: &str) -> bool {
    file.ends_with("/tests.rs")
        || file.ends_with("_tests.rs")
        || file.ends_with("/samples.rs")
        || file.contains("/tests/")
}

/// `src/engine/scan/mod.rs` and `src/engine.rs` are in room `engine`.
fn room_of(file: &str) -> &str {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The line of ROOMS a room is on.
fn rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|line| line.contains(&room))
}

/// Why `room` must not import `target`, or nothing. What is no room (a macro or function of lib.rs) is not judged.
fn forbidden(room: &str, target: &str) -> Option<String> {
    if room == target {
        return None;
    }
    let (from, to) = (rank(room)?, rank(target)?);
    if ALONE.contains(&room) {
        return Some(format!(
            "{room} imports {target}, but {room} imports nothing of the crate"
        ));
    }
    (to < from).then(|| format!("{room} imports {target}, which is above it"))
}

/// The rooms a file names, each with its position: after `crate::`, after as many `super::` as lead to the root, and
/// inside braces after either.
fn imports(file: &str, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for position in finds(code, "crate::") {
        heads(code, position + "crate::".len(), &mut found);
    }
    let depth = module_depth(file);
    for position in finds(code, "super::") {
        if code[..position].ends_with("super::") {
            continue;
        }
        let mut end = position;
        let mut steps = 0;
        while code[end..].starts_with("super::") {
            end += "super::".len();
            steps += 1;
        }
        if steps == depth {
            heads(code, end, &mut found);
        }
    }
    found
}

/// How many `super::` lead from a file to the root: `src/time.rs` and `src/time/mod.rs` one, `src/time/cron.rs` two.
fn module_depth(file: &str) -> usize {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let parts = inside.split('/').count();
    if inside.ends_with("/mod.rs") {
        parts - 1
    } else {
        parts
    }
}

/// The first names of a path or of every path in a group: `a::b` gives a; `{a::{b, c}, d}` gives a and d.
fn heads(code: &str, start: usize, found: &mut Vec<(usize, String)>) {
    let bytes = code.as_bytes();
    let mut name_at = |position: usize| {
        let name: String = code[position..]
            .chars()
            .take_while(|next| next.is_alphanumeric() || *next == '_')
            .collect();
        if !name.is_empty() {
            found.push((position, name));
        }
    };
    if bytes.get(start) != Some(&b'{') {
        name_at(start);
        return;
    }
    let mut depth = 0;
    let mut expected = false;
    for (position, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'{' => {
                depth += 1;
                expected = depth == 1;
            }
            b'}' if depth == 1 => return,
            b'}' => depth -= 1,
            b',' => expected = depth == 1,
            _ if expected && !byte.is_ascii_whitespace() => {
                name_at(position);
                expected = false;
            }
            _ => {}
        }
    }
}

/// The positions of a word that is no part of a longer one. A trailing `*` allows a longer end.
fn finds(code: &str, word: &str) -> Vec<usize> {
    let (word, prefix_only) = word
        .strip_suffix('*')
        .map_or((word, false), |word| (word, true));
    let part = |character: char| character.is_alphanumeric() || character == '_';
    let ends_open = prefix_only || !word.ends_with(part);
    code.match_indices(word)
        .filter(|(position, _)| {
            let before = code[..*position].chars().next_back();
            let after = code[position + word.len()..].chars().next();
            !before.is_some_and(part) && (ends_open || !after.is_some_and(part))
        })
        .map(|(position, _)| position)
        .collect()
}

fn line_of(code: &str, position: usize) -> usize {
    code[..position].matches('\n').count() + 1
}

/// The source with comments, strings and character literals turned to blanks, every line end kept.
fn blank_comments_and_strings(source: &str) -> String {
    let characters: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut position = 0;
    while position < characters.len() {
        let end = end_of_blank(&characters, position);
        if end > position {
            code.extend(
                characters[position..end]
                    .iter()
                    .map(|next| if *next == '\n' { '\n' } else { ' ' }),
            );
            position = end;
        } else {
            code.push(characters[position]);
            position += 1;
        }
    }
    code
}

/// Where the comment, string or character literal that begins here ends; `start` when none begins.
fn end_of_blank(characters: &[char], start: usize) -> usize {
    let at = |position: usize| characters.get(position).copied().unwrap_or('\0');
    let find = |from: usize, pattern: &[char]| {
        (from..characters.len()).find(|position| characters[*position..].starts_with(pattern))
    };
    match (at(start), at(start + 1)) {
        ('/', '/') => find(start, &['\n']).unwrap_or(characters.len()),
        ('/', '*') => {
            let mut depth = 0;
            let mut position = start;
            while position < characters.len() {
                match (at(position), at(position + 1)) {
                    ('/', '*') => depth += 1,
                    ('*', '/') => depth -= 1,
                    _ => {
                        position += 1;
                        continue;
                    }
                }
                position += 2;
                if depth == 0 {
                    return position;
                }
            }
            characters.len()
        }
        ('"', _) => {
            let mut position = start + 1;
            while position < characters.len() && at(position) != '"' {
                position += if at(position) == '\\' { 2 } else { 1 };
            }
            (position + 1).min(characters.len())
        }
        ('r', '"' | '#') if start == 0 || !is_name(at(start - 1)) || at(start - 1) == 'b' => {
            let hashes = characters[start + 1..]
                .iter()
                .take_while(|next| **next == '#')
                .count();
            if at(start + 1 + hashes) != '"' {
                return start; // r#name
            }
            let mut close = vec!['"'];
            close.resize(hashes + 1, '#');
            find(start + 2 + hashes, &close)
                .map_or(characters.len(), |position| position + close.len())
        }
        ('\'', '\\') => find(start + 3, &['\'']).map_or(characters.len(), |position| position + 1),
        ('\'', _) if at(start + 2) == '\'' => start + 3,
        _ => start, // also a lifetime
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The code with every item under `#[cfg(test)]` turned to blanks. The code must have no strings and comments left.
fn blank_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        let (before, item) = rest.split_at(start);
        kept.push_str(before);
        let end = end_of_item(item, MARK.len());
        kept.extend(
            item[..end]
                .chars()
                .map(|next| if next == '\n' { '\n' } else { ' ' }),
        );
        rest = &item[end..];
    }
    kept + rest
}

/// An item ends with its block, or with a semicolon before any block.
fn end_of_item(item: &str, start: usize) -> usize {
    let mut depth = 0;
    for (position, character) in item
        .char_indices()
        .skip_while(|(position, _)| *position < start)
    {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return position + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return position + 1,
            _ => {}
        }
    }
    item.len()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[test]
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files).unwrap();
    files.sort();
    assert!(files.len() > 1, "no source found under {}", root.display());
    let breaches: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let parts: Vec<_> = path
                .strip_prefix(root)
                .unwrap()
                .iter()
                .map(|part| part.to_string_lossy())
                .collect();
            check(&parts.join("/"), &fs::read_to_string(path).unwrap())
        })
        .map(|breach| breach.to_string())
        .collect();
    assert!(
        breaches.is_empty(),
        "{} breaches:\n{}",
        breaches.len(),
        breaches.join("\n")
    );
}

/// What the checker says about a file with this code under its head line, as `line: what`.
fn said(file: &str, code: &str) -> Vec<String> {
    check(file, &format!("//! Head.\n{code}"))
        .into_iter()
        .map(|breach| format!("{}: {}", breach.line, breach.what))
        .collect()
}

#[test]
fn an_import_upwards_is_caught_however_it_is_written() {
    let up = ["2: lake imports engine, which is above it"];
    for code in [
        "use crate::engine::Engine;",
        "use crate::engine;",
        "pub(crate) use crate::engine::*;",
        "fn f() { crate::engine::run(); }",
        "use crate::{engine::Engine, time::Window};",
        "use crate::{time::{Window, tile}, engine};",
        "use super::engine::Engine;",
        "impl crate::engine::Face for X {}",
    ] {
        assert_eq!(said("src/lake/mod.rs", code), up, "{code}");
    }
    assert_eq!(
        said("src/lake/forms/mod.rs", "use super::super::engine;"),
        up
    );
    assert_eq!(
        said("src/lake/reader.rs", "use super::super::{store, engine};"),
        up
    );
    assert_eq!(
        said(
            "src/lake/reader.rs",
            "use crate::{\n    store,\n    engine,\n};"
        ),
        ["4: lake imports engine, which is above it"]
    );
}

#[test]
fn an_import_downwards_or_at_home_is_fine() {
    for code in [
        "use crate::{store::Store, time::Window, error::Error, hunt, job};",
        "use crate::lake::forms::Form;",
        "use super::engine::Inner;",
        "use super::super::{store, time};",
        "// use crate::engine;\n/* crate::engine /* nested */ crate::engine */",
        "const A: &str = \"crate::engine \\\" crate::engine\"; const B: &str = r#\"\"crate::engine\"#;",
        "const C: char = '\"'; const D: &str = \"crate::engine\"; fn f<'a>(x: &'a str) {}",
        "#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n    fn f() { println!(); }\n}",
        "#[cfg(test)]\nuse crate::engine::Engine;\nuse crate::time::Window;",
        "use mycrate::engine::Engine;",
        "fn engine() {}",
    ] {
        assert_eq!(said("src/lake/reader.rs", code), [""; 0], "{code}");
    }
    assert_eq!(
        said(
            "src/main.rs",
            "use crate::commands; fn f() { chrono::Utc::now(); }"
        ),
        [""; 0]
    );
}

#[test]
fn code_after_tests_and_strings_is_still_read() {
    let code =
        "#[cfg(test)]\nmod tests { fn f() {} }\nconst A: &str = \"//\"; use crate::engine::X;";
    assert_eq!(
        said("src/lake/mod.rs", code),
        ["4: lake imports engine, which is above it"]
    );
    let code = "const A: &[u8] = br\"\\\"; const B: char = '\\''; use crate::engine::X;";
    assert_eq!(
        said("src/lake/mod.rs", code),
        ["2: lake imports engine, which is above it"]
    );
}

#[test]
fn rooms_that_stand_alone_import_nothing() {
    assert_eq!(
        said("src/functions/args.rs", "use crate::error::Error;"),
        ["2: functions imports error, but functions imports nothing of the crate"]
    );
    assert_eq!(
        said("src/time/cron.rs", "use crate::time::Window;"),
        [""; 0]
    );
    assert_eq!(said("src/sample.rs", "use crate::time::Window;").len(), 1);
}

#[test]
fn a_room_without_a_place_is_caught() {
    assert_eq!(
        said("src/utils/mod.rs", ""),
        ["1: `utils` is no room of the house: give it a place in ROOMS"]
    );
}

#[test]
fn words_stay_where_they_belong() {
    let count = |file: &str, code: &str| said(file, code).len();
    assert_eq!(count("src/hunt/library.rs", "use datafusion::sql;"), 1);
    assert_eq!(count("src/job.rs", "use tokio::fs;"), 1);
    assert_eq!(count("src/job.rs", "// datafusion\nfn my_tokio() {}"), 0);
    assert_eq!(
        count("src/lake/mod.rs", "use datafusion::sql; use tokio::fs;"),
        0
    );
    assert_eq!(
        count(
            "src/lake/mod.rs",
            "fn f() { SessionContext::new(); SessionContext::new_with_state(s); }"
        ),
        2
    );
    assert_eq!(
        count("src/engine/mod.rs", "fn f() { SessionContext::new(); }"),
        0
    );
    assert_eq!(
        count(
            "src/engine/mod.rs",
            "fn f() { chrono::Utc::now(); SystemTime::now(); Instant::now(); }"
        ),
        3
    );
    assert_eq!(
        count("src/commands/run.rs", "fn f() { Instant::now(); }"),
        0
    );
    assert_eq!(count("src/commands/run.rs", "fn f() { Utc::now(); }"), 1);
    assert_eq!(
        count(
            "src/printer.rs",
            "fn f() { print!(); println!(); eprint!(); std::eprintln!(); }"
        ),
        4
    );
    assert_eq!(
        count("src/printer.rs", "fn f() { blueprint!(); writeln!(x); }"),
        0
    );
}

#[test]
fn a_file_has_a_head_and_an_end() {
    assert_eq!(check("src/time/cron.rs", "use std::fmt;\n")[0].line, 1);
    let long = format!("//! Head.\n{}", "\n".repeat(MOST_LINES));
    assert_eq!(check("src/time/cron.rs", &long).len(), 1);
    assert_eq!(check("src/time/cron.rs", &long[..long.len() - 1]), []);
}
