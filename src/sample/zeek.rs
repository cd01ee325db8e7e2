//! Zeek's logs `conn` and `dce_rpc` as JSON lines: times in seconds since 1970, dotted names for the two ends. It knows nothing
//! of files.

use super::event::{Body, Call, Endpoint, Event, Flow};
use super::members::Members;
use super::rng::spread;
use super::text::{put_number, put_padded};

/// Appends one event as a JSON object.
pub(crate) fn put(out: &mut Vec<u8>, event: &Event<'_>) {
    let mut row = Members::begin(out);
    match event.body {
        Body::Flow(flow) => {
            row.text("_path", "conn");
            head(&mut row, event.at, flow.id, flow.from, flow.to);
            connection(&mut row, &flow);
        }
        Body::Call(call) => {
            row.text("_path", "dce_rpc");
            head(&mut row, event.at, call.id, call.from, call.to);
            called(&mut row, &call);
        }
        _ => {}
    }
    row.end();
}

fn seconds(row: &mut Members<'_>, name: &str, micros: i64) {
    row.bare(name, |out| {
        let micros = u64::try_from(micros).unwrap_or(0);
        put_number(out, micros / 1_000_000);
        out.push(b'.');
        put_padded(out, micros % 1_000_000, 6);
    });
}

fn head(row: &mut Members<'_>, at: i64, id: u64, from: Endpoint, to: Endpoint) {
    seconds(row, "ts", at);
    row.written("uid", |out| put_uid(out, id));
    row.address("id.orig_h", from.address);
    row.number("id.orig_p", u64::from(from.port));
    row.address("id.resp_h", to.address);
    row.number("id.resp_p", u64::from(to.port));
}

/// A `C` and 17 letters and digits.
fn put_uid(out: &mut Vec<u8>, id: u64) {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut state = id;
    out.push(b'C');
    for _ in 0..17 {
        let place = usize::try_from(spread(&mut state) % 62).unwrap_or(0);
        out.push(LETTERS[place]);
    }
}

fn connection(row: &mut Members<'_>, flow: &Flow) {
    let inside = |endpoint: Endpoint| -> &[u8] {
        if endpoint.address[0] == 10 {
            b"true"
        } else {
            b"false"
        }
    };
    row.text("proto", if flow.udp { "udp" } else { "tcp" });
    if flow.service != "-" {
        row.text("service", flow.service);
    }
    seconds(row, "duration", flow.duration);
    row.number("orig_bytes", flow.sent);
    row.number("resp_bytes", flow.received);
    row.text("conn_state", "SF");
    row.bare("local_orig", |out| {
        out.extend_from_slice(inside(flow.from));
    });
    row.bare("local_resp", |out| out.extend_from_slice(inside(flow.to)));
    row.number("missed_bytes", 0);
    row.text("history", if flow.udp { "Dd" } else { "ShADadFf" });
    let packets = |bytes: u64| bytes / 1200 + if flow.udp { 1 } else { 5 };
    row.number("orig_pkts", packets(flow.sent));
    row.number("orig_ip_bytes", flow.sent + 40 * packets(flow.sent));
    row.number("resp_pkts", packets(flow.received));
    row.number("resp_ip_bytes", flow.received + 40 * packets(flow.received));
}

fn called(row: &mut Members<'_>, call: &Call) {
    if call.answered_in > 0 {
        seconds(row, "rtt", i64::try_from(call.answered_in).unwrap_or(0));
    }
    row.text("named_pipe", call.pipe);
    row.text("endpoint", call.endpoint);
    row.text("operation", call.operation);
}
