//! The table of hunts in the README: what each finds, in the sample lake and in real telemetry of real attacks. What is in
//! words there is written by hand; the figures are `lakehunt evaluate`'s.
//!
//! `LAKEHUNT_ACCEPT=1 cargo test recall` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use lakehunt::hunt::{Content, Library, Status};
use serde_json::Value;

use crate::real_telemetry::mapping::Mapping;
use crate::real_telemetry::run::data_folder;
use crate::real_telemetry::truth::Truth;
use crate::workspace::{Workspace, is_of_attacks, repository};

const BEGIN: &str = "<!-- recall -->\n";
const END: &str = "<!-- /recall -->\n";
const HEAD: &str = "\
| hunt | finds | from | sample lake | near misses | real telemetry | extra | recall | precision |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// What `evaluate` says of each hunt.
fn evaluate(workspace: &Workspace, arguments: &[&str]) -> BTreeMap<String, Value> {
    let printed = workspace.succeed(&[&["evaluate", "--format", "json"], arguments].concat());
    let hunts = printed.json()["hunts"].as_array().unwrap().clone();
    let named = hunts.into_iter();
    named
        .map(|hunt| (hunt["hunt"].as_str().unwrap().to_owned(), hunt))
        .collect()
}

/// Of the sample lake; once for all tests.
static SAMPLE: LazyLock<BTreeMap<String, Value>> =
    LazyLock::new(|| evaluate(&Workspace::of_repository(), &["data/answers.json"]));

fn of(hunt: Option<&Value>, part: &str, whole: &str) -> String {
    match hunt {
        Some(hunt) if !hunt[whole].is_null() => format!("{} of {}", hunt[part], hunt[whole]),
        _ => "-".to_owned(),
    }
}

/// As the binary's own table has it.
fn percent(hunt: &Value, share: &str) -> String {
    match hunt[share].as_f64() {
        Some(share) => format!("{} %", (share * 1000.0 + 1e-9).floor() / 10.0),
        None => "-".to_owned(),
    }
}

/// The words of a row that people wrote: hunt, what it finds, where it is from.
fn words(row: &str) -> Option<[String; 3]> {
    let cells: Vec<_> = row
        .split(" | ")
        .map(|cell| cell.trim_matches(['|', ' ']))
        .collect();
    let name = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
    Some([name, cells.get(1)?, cells.get(2)?].map(str::to_owned))
}

/// The rows of the table as they are, with those of hunts that it lacks at its end.
fn rows(table: &str) -> Vec<[String; 3]> {
    let library = Library::load(&Content::read(&repository().join("sql")).unwrap());
    let mut rows: Vec<_> = table.lines().filter_map(words).collect();
    rows.retain(|[name, ..]| library.get(name).is_ok());
    for hunt in library.iter().filter(|hunt| is_of_attacks(hunt)) {
        if !rows.iter().any(|[name, ..]| *name == hunt.name) {
            let source = hunt.front_matter.source.as_ref();
            let from = source.map_or("own", |source| source.language.as_str());
            rows.push([&hunt.name, hunt.front_matter.title.as_str(), from].map(str::to_owned));
        }
    }
    rows
}

/// What is missed and extra, and why.
fn notes(name: &str, hunt: &Value) -> String {
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for word in ["missed", "extra"] {
        for event in hunt[word].as_array().unwrap() {
            let why = event["why"].as_str().unwrap_or("not explained");
            let reason = format!("{word}: {why}");
            match reasons.iter_mut().find(|(one, _)| *one == reason) {
                Some((_, count)) => *count += 1,
                None => reasons.push((reason, 1)),
            }
        }
    }
    let said = reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"));
    let said = said.collect::<Vec<_>>().join("; ");
    if said.is_empty() {
        said
    } else {
        format!("- `{name}`: {said}.\n")
    }
}

#[test]
fn the_table_in_the_readme_is_true() {
    let Some(folder) = data_folder() else {
        let mut stderr = std::io::stderr();
        std::io::Write::write_all(
            &mut stderr,
            b"recall skipped: ../shared/data is not there\n",
        )
        .unwrap();
        return;
    };
    let workspace = Workspace::of_repository();
    let answers = Mapping::read().answers(&Truth::read(&folder));
    workspace.write("answers.json", answers.to_string());
    let lake = repository().join("tests/lakes/real_telemetry.yaml");
    let real = evaluate(
        &workspace,
        &["answers.json", "--lake", lake.to_str().unwrap()],
    );

    let path = repository().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let mut written = HEAD.to_owned();
    let mut all_notes = String::new();
    for [name, finds, from] in rows(table) {
        let real = &real[&name];
        let planted = SAMPLE.get(&name);
        let _ = writeln!(
            written,
            "| `{name}` | {finds} | {from} | {} | {} | {} | {} | {} | {} |",
            of(planted, "found", "labelled"),
            of(planted, "near_misses_found", "near_misses"),
            of(Some(real), "found", "labelled"),
            real["extra"].as_array().unwrap().len(),
            percent(real, "recall"),
            percent(real, "precision"),
        );
        all_notes += &notes(&name, real);
    }
    let _ = write!(
        written,
        "\nMissed and extra in the real telemetry:\n\n{all_notes}"
    );
    if table == written {
        return;
    }
    assert!(
        std::env::var_os("LAKEHUNT_ACCEPT").is_some(),
        "the table in the README is not what the hunts find; if they are right, set LAKEHUNT_ACCEPT=1 to rewrite it\n\
         --- README\n{table}\n--- now\n{written}"
    );
    std::fs::write(&path, format!("{before}{BEGIN}{written}{END}{after}")).unwrap();
}

/// What the sample lake was planted with is found, and nothing else: by every stable hunt, as the table says.
#[test]
fn the_sample_has_every_hunt_and_they_find_all_and_nothing_else() {
    let library = Library::load(&Content::read(&repository().join("sql")).unwrap());
    for hunt in library.iter().filter(|hunt| is_of_attacks(hunt)) {
        if hunt.front_matter.status == Status::Stable {
            assert!(
                SAMPLE.contains_key(&hunt.name),
                "{} is not planted",
                hunt.name
            );
        }
    }
    for (name, hunt) in SAMPLE.iter() {
        assert_eq!(hunt["recall"], 1.0, "{name}: {}", hunt["missed"]);
        assert_eq!(hunt["precision"], 1.0, "{name}: {}", hunt["extra"]);
        assert_eq!(hunt["near_misses_found"], 0, "{name}");
    }
}

/// The script that the README names gives the labels that these tests use.
#[test]
fn the_script_gives_the_same_labels() {
    let Some(folder) = data_folder() else { return };
    let script = repository().join("tests/bench/ground_truth.py");
    let output = Command::new("python3")
        .arg(script)
        .stderr(Stdio::inherit())
        .output();
    let Ok(output) = output else { return };
    assert!(output.status.success());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let answers = Mapping::read().answers(&Truth::read(&folder));
    assert_eq!(in_order(said), in_order(answers));
}

/// The same whatever order lists are in.
fn in_order(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(in_order).collect();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.into_iter().collect();
            let members = members
                .into_iter()
                .map(|(name, value)| (name, in_order(value)));
            Value::Object(members.collect())
        }
        other => other,
    }
}
