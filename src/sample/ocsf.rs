//! Process and network activity as OCSF 1.1 has them (classes 1007 and 4001): nested, for Parquet. It knows nothing of files.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use super::event::{Body, Event, Integrity, Running};
use super::falcon::{base_name, put_uuid};
use super::members::Members;
use super::rng::spread;
use super::text::{put_escaped, put_number};

/// Appends one event as a JSON object of the class's schema.
pub(crate) fn put(out: &mut Vec<u8>, event: &Event<'_>, record: u64) {
    let mut row = Members::begin(out);
    millis(&mut row, "time", event.at);
    match event.body {
        Body::Process { process, parent } => {
            class(
                &mut row,
                (1007, "Process Activity"),
                (1, "System Activity"),
                (1, "Launch"),
            );
            row.object("actor", |actor| {
                actor.object("process", |shape| shape_of(shape, event, parent));
                actor.object("user", |shape| user(shape, event, parent));
            });
            row.object("process", |shape| {
                shape_of(shape, event, process);
                shape.object("parent_process", |shape| shape_of(shape, event, parent));
            });
        }
        Body::Network {
            process,
            initiated,
            udp,
            source,
            destination,
        } => {
            class(
                &mut row,
                (4001, "Network Activity"),
                (4, "Network Activity"),
                (1, "Open"),
            );
            row.object("actor", |actor| {
                actor.object("process", |shape| shape_of(shape, event, process));
                actor.object("user", |shape| user(shape, event, process));
            });
            row.endpoint("src_endpoint", source);
            row.endpoint("dst_endpoint", destination);
            row.object("connection_info", |info| {
                info.number("direction_id", if initiated { 2 } else { 1 });
                info.text("direction", if initiated { "Outbound" } else { "Inbound" });
                info.number("protocol_num", if udp { 17 } else { 6 });
                info.text("protocol_name", if udp { "udp" } else { "tcp" });
            });
        }
        _ => {}
    }
    row.object("device", |device| {
        device.text("hostname", &event.host.name);
        device.text("uid", &event.host.sensor_id());
        device.address("ip", event.host.address);
        device.number("type_id", 2);
        device.object("os", |os| {
            os.text("name", "Windows");
            os.number("type_id", 100);
        });
    });
    row.object("metadata", |metadata| {
        metadata.text("version", "1.1.0");
        let mut state = u64::from(event.host.mark) << 32 ^ record;
        let (high, low) = (spread(&mut state), spread(&mut state));
        metadata.written("uid", |out| put_uuid(out, high, low));
        millis(metadata, "logged_time", event.logged);
        metadata.object("product", |product| {
            product.text("name", "Coldstack Sensor");
            product.text("vendor_name", "Coldstack Example Inc");
        });
    });
    row.number("severity_id", 1);
    row.end();
}

fn millis(row: &mut Members<'_>, name: &str, at: i64) {
    row.bare(name, |out| {
        put_number(out, u64::try_from(at / 1000).unwrap_or(0));
    });
}

fn class(row: &mut Members<'_>, class: (u64, &str), category: (u64, &str), activity: (u64, &str)) {
    row.number("class_uid", class.0);
    row.text("class_name", class.1);
    row.number("category_uid", category.0);
    row.text("category_name", category.1);
    row.number("activity_id", activity.0);
    row.text("activity_name", activity.1);
    row.number("type_uid", class.0 * 100 + activity.0);
    row.written("type_name", |out| {
        put_escaped(out, class.1);
        out.extend_from_slice(b": ");
        put_escaped(out, activity.1);
    });
}

fn shape_of(shape: &mut Members<'_>, event: &Event<'_>, process: &Running) {
    shape.text("name", base_name(process.image()));
    shape.number("pid", u64::from(process.process_id));
    shape.written("uid", |out| {
        let mut state = u64::from(event.host.mark) << 32 ^ process.sequence;
        let (high, low) = (spread(&mut state), spread(&mut state));
        put_uuid(out, high, low);
    });
    shape.text("cmd_line", &process.command_line);
    millis(shape, "created_time", process.started);
    let integrity = match process.integrity {
        Integrity::Medium => 3,
        Integrity::High => 4,
        Integrity::System => 5,
    };
    shape.text("integrity", process.integrity.name());
    shape.number("integrity_id", integrity);
    shape.object("file", |file| {
        file.text("name", base_name(process.image()));
        file.text("path", process.image());
        file.number("type_id", 1);
        file.text("internal_name", process.program.original_name);
        file.text("company_name", process.program.company);
        file.bare("hashes", |out| hashes(out, process.program.hashes()));
    });
    shape.object("user", |shape| user(shape, event, process));
}

/// A list, as the schema has it: one entry an algorithm.
fn hashes(out: &mut Vec<u8>, all: &str) {
    out.push(b'[');
    for (index, (name, algorithm)) in [("MD5=", 1), ("SHA256=", 3)].into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let value = all.split(',').find_map(|each| each.strip_prefix(name));
        let mut hash = Members::begin(out);
        hash.number("algorithm_id", algorithm);
        hash.text("algorithm", if algorithm == 1 { "MD5" } else { "SHA-256" });
        hash.text("value", value.unwrap_or(""));
        hash.end();
    }
    out.push(b']');
}

fn user(shape: &mut Members<'_>, event: &Event<'_>, process: &Running) {
    let account = &event.accounts[process.account];
    shape.text("name", &account.name);
    shape.text("domain", account.domain);
    shape.text("uid", &account.sid);
}

fn group(name: &str, fields: Vec<Field>) -> Field {
    Field::new(name, DataType::Struct(Fields::from(fields)), true)
}

fn texts(names: &[&str]) -> Vec<Field> {
    let text = |name: &&str| Field::new(*name, DataType::Utf8, true);
    names.iter().map(text).collect()
}

fn numbers(kind: &DataType, names: &[&str]) -> Vec<Field> {
    let number = |name: &&str| Field::new(*name, kind.clone(), true);
    names.iter().map(number).collect()
}

fn user_shape() -> Field {
    group("user", texts(&["name", "domain", "uid"]))
}

fn process_shape(name: &str, more: Vec<Field>) -> Field {
    let hash = [
        numbers(&DataType::Int32, &["algorithm_id"]),
        texts(&["algorithm", "value"]),
    ];
    let hash = Field::new(
        "element",
        DataType::Struct(Fields::from(hash.concat())),
        true,
    );
    let file = [
        texts(&["name", "path"]),
        numbers(&DataType::Int32, &["type_id"]),
        texts(&["internal_name", "company_name"]),
        vec![Field::new("hashes", DataType::List(Arc::new(hash)), true)],
    ];
    let fields = [
        texts(&["name"]),
        numbers(&DataType::Int32, &["pid"]),
        texts(&["uid", "cmd_line"]),
        numbers(&DataType::Int64, &["created_time"]),
        texts(&["integrity"]),
        numbers(&DataType::Int32, &["integrity_id"]),
        vec![group("file", file.concat()), user_shape()],
        more,
    ];
    group(name, fields.concat())
}

/// The columns of a class's files, as a Security Lake declares them: struct columns, times as numbers of milliseconds.
pub(crate) fn schema(network: bool) -> SchemaRef {
    let actor = group(
        "actor",
        vec![process_shape("process", vec![]), user_shape()],
    );
    let own = if network {
        let end = |name| {
            let fields = [texts(&["ip"]), numbers(&DataType::Int32, &["port"])];
            group(name, fields.concat())
        };
        let info = [
            numbers(&DataType::Int32, &["direction_id"]),
            texts(&["direction"]),
            numbers(&DataType::Int32, &["protocol_num"]),
            texts(&["protocol_name"]),
        ];
        let info = group("connection_info", info.concat());
        vec![actor, end("src_endpoint"), end("dst_endpoint"), info]
    } else {
        let parent = process_shape("parent_process", vec![]);
        vec![actor, process_shape("process", vec![parent])]
    };
    let os = [texts(&["name"]), numbers(&DataType::Int32, &["type_id"])];
    let device = [
        texts(&["hostname", "uid", "ip"]),
        numbers(&DataType::Int32, &["type_id"]),
        vec![group("os", os.concat())],
    ];
    let metadata = [
        texts(&["version", "uid"]),
        numbers(&DataType::Int64, &["logged_time"]),
        vec![group("product", texts(&["name", "vendor_name"]))],
    ];
    let fields = [
        numbers(&DataType::Int64, &["time"]),
        numbers(&DataType::Int32, &["class_uid"]),
        texts(&["class_name"]),
        numbers(&DataType::Int32, &["category_uid"]),
        texts(&["category_name"]),
        numbers(&DataType::Int32, &["activity_id"]),
        texts(&["activity_name"]),
        numbers(&DataType::Int64, &["type_uid"]),
        texts(&["type_name"]),
        own,
        vec![
            group("device", device.concat()),
            group("metadata", metadata.concat()),
        ],
        numbers(&DataType::Int32, &["severity_id"]),
    ];
    Arc::new(Schema::new(fields.concat()))
}
