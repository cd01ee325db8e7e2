//! `lakehunt schema`: what ships fits the schemas, what is refused does not, and every key is explained.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::shown;
use crate::workspace::{Workspace, repository};

const KINDS: [&str; 7] = [
    "front-matter",
    "job",
    "lake",
    "form",
    "view",
    "exceptions",
    "summary",
];

fn schema(kind: &str) -> Value {
    Workspace::empty().succeed(&["schema", kind]).json()
}

/// What of a value a schema does not allow, by the keywords that ours have.
fn misfits(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(target) = schema["$ref"].as_str() {
        let target = root.pointer(target.strip_prefix('#').unwrap()).unwrap();
        wrong.extend(misfits(root, target, value, at));
    }
    for keyword in ["anyOf", "oneOf"] {
        let Some(choices) = schema[keyword].as_array() else {
            continue;
        };
        let fits = |choice: &&Value| misfits(root, choice, value, at).is_empty();
        if !choices.iter().any(|choice| fits(&choice)) {
            wrong.push(format!("{at}: {value} is none of {keyword}"));
        }
    }
    if let Some(constant) = schema.get("const")
        && constant != value
    {
        wrong.push(format!("{at}: {value} is not {constant}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        wrong.push(format!("{at}: {value} is none of {words:?}"));
    }
    let is = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("a new type: {other}"),
    };
    let fits = match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        _ => true,
    };
    if !fits {
        wrong.push(format!("{at}: {value} is not {}", schema["type"]));
    }
    if let (Some(most), Some(number)) = (schema["maximum"].as_f64(), value.as_f64())
        && number > most
    {
        wrong.push(format!("{at}: {number} is above {most}"));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !regex::Regex::new(pattern)
            .unwrap()
            .is_match(value.as_str().unwrap_or_default())
    {
        wrong.push(format!("{at}: {value} does not match {pattern}"));
    }
    if let Value::Array(items) = value {
        for item in items {
            wrong.extend(misfits(root, &schema["items"], item, at));
        }
    }
    if let Value::Object(entries) = value {
        for required in schema["required"].as_array().into_iter().flatten() {
            if !entries.contains_key(required.as_str().unwrap()) {
                wrong.push(format!("{at}: {required} is missing"));
            }
        }
        for (key, entry) in entries {
            let at = format!("{at}.{key}");
            match (
                schema["properties"].get(key),
                &schema["additionalProperties"],
            ) {
                (Some(property), _) => wrong.extend(misfits(root, property, entry, &at)),
                (None, Value::Bool(false)) => wrong.push(format!("{at}: no such key")),
                (None, other) => wrong.extend(misfits(root, other, entry, &at)),
            }
        }
    }
    wrong
}

fn files(folder: &Path, suffix: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, suffix, found);
        } else if path.to_string_lossy().ends_with(suffix) {
            found.push(path);
        }
    }
}

fn yaml(text: &str) -> Value {
    yaml_serde::from_str(text).unwrap()
}

fn front_matter(text: &str) -> Value {
    let lines = text.lines().skip(1).take_while(|line| *line != "-- ---");
    let lines = lines.map(|line| line.strip_prefix("-- ").unwrap_or_default());
    yaml(&lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn what_ships_fits() {
    let root = repository();
    for (kind, folder, suffix, least) in [
        ("front-matter", "sql/hunts", ".sql", 15),
        ("job", "jobs", ".yaml", 1),
        ("lake", "data", "lake.yaml", 1),
        ("form", "sql/forms", ".yaml", 3),
        ("view", "sql/views", "schema.yaml", 6),
    ] {
        let schema = schema(kind);
        let mut found = Vec::new();
        files(&root.join(folder), suffix, &mut found);
        assert!(found.len() >= least, "{kind}: {found:?}");
        for path in found {
            let text = fs::read_to_string(&path).unwrap();
            let value = if kind == "front-matter" {
                front_matter(&text)
            } else {
                yaml(&text)
            };
            let wrong = misfits(&schema, &schema, &value, kind);
            assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
        }
    }
    let schema = schema("exceptions");
    let one = json!({"hunt": "h", "condition": "true", "reason": "r", "expires": "2026-02-01"});
    for value in [json!([one]), json!({"exceptions": [one]})] {
        assert_eq!(misfits(&schema, &schema, &value, ""), [""; 0]);
    }
}

#[test]
fn a_summary_fits() {
    let workspace = Workspace::with_one_table();
    workspace.write("lake/events/day=2026-01-01/broken.ndjson", "not JSON\n");
    let printed = workspace.succeed(&["run", "jobs/night.yaml", "--format", "json"]);
    let schema = schema("summary");
    let written = workspace.json("out/summary/night/20260101T000000Z_20260102T000000Z.json");
    for summary in [printed.json(), written] {
        assert_eq!(misfits(&schema, &schema, &summary, "summary"), [""; 0]);
        let mut other = summary.clone();
        other["alerts"][0]["level"] = json!("severe");
        assert!(!misfits(&schema, &schema, &other, "summary").is_empty());
    }
}

#[test]
fn what_is_refused_does_not_fit() {
    let root = repository();
    let read = |inside: &str| fs::read_to_string(root.join(inside)).unwrap();
    let hunt = front_matter(&read("sql/hunts/windows/process_creation/wmic_format.sql"));
    let job = yaml(&read("jobs/nightly.yaml"));
    let lake = yaml(&read("data/lake.yaml"));
    let form = yaml(&read("sql/forms/windows_event.yaml"));
    let view = yaml(&read("sql/views/process_creation/schema.yaml"));
    for (kind, value, pointer, other) in [
        ("front-matter", &hunt, "/levle", json!("low")),
        ("front-matter", &hunt, "/level", json!("severe")),
        ("front-matter", &hunt, "/id", json!("7")),
        ("front-matter", &hunt, "/risk/score", json!(101)),
        ("front-matter", &hunt, "/key", json!("host_id")),
        ("job", &job, "/grid/crom", json!("* * * * *")),
        ("job", &job, "/grid", json!({"cron": "0 2 * * *"})),
        ("job", &job, "/hunts/status", json!(["stabel"])),
        ("lake", &lake, "/tables/sysmon/format", json!("xml")),
        ("lake", &lake, "/tables/sysmon/from", json!("windows_event")),
        ("form", &form, "/columns/Image", json!("txt")),
        ("form", &form, "/columns/Image", json!({"typ": "text"})),
        ("form", &form, "/time", json!([{"column": "UtcTime"}])),
        ("view", &view, "/columns/0/type", json!("Text")),
        ("view", &view, "/columns", json!({})),
        ("view", &view, "/tells_of", json!("record")),
        ("exceptions", &json!([{}]), "/0/hunt", json!("h")),
    ] {
        let schema = schema(kind);
        let mut changed = value.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[key] = other;
        assert!(
            !misfits(&schema, &schema, &changed, kind).is_empty(),
            "{kind} with another {pointer} fits"
        );
    }
}

#[test]
fn every_key_is_explained() {
    fn walk(value: &Value, at: &str, without: &mut Vec<String>) {
        let Value::Object(entries) = value else {
            return;
        };
        for (name, property) in entries
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if property["description"].as_str().is_none_or(str::is_empty) {
                without.push(format!("{at}.{name}"));
            }
        }
        for (key, inner) in entries {
            walk(inner, &format!("{at}/{key}"), without);
            for inner in inner.as_array().into_iter().flatten() {
                walk(inner, &format!("{at}/{key}"), without);
            }
        }
    }
    let mut without = Vec::new();
    for kind in KINDS {
        let schema = schema(kind);
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        walk(&schema, kind, &mut without);
    }
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn all_of_them_into_a_folder() {
    let workspace = Workspace::empty();
    shown("schema_kinds", &workspace, &["schema"]);
    workspace.succeed(&["schema", "--output", "schemas"]);
    for kind in KINDS {
        let written = workspace.json(&format!("schemas/{kind}.schema.json"));
        assert_eq!(written, schema(kind), "{kind}");
    }
    assert_eq!(workspace.hashes("schemas").len(), KINDS.len());
    assert_eq!(workspace.run(&["schema", "jobs"]).code, 2);
}
