//! Unreadable messages, in addition to `contract::bad_requests`: dead-lettered by the worker and refused by `handover
//! submit`.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{assert_worker_continues, but, hidden, shown};
use crate::support::process::{WorkerProcess, borrowed, settings, with_input};
use crate::support::{World, every_engine, snapshot};

/// Where the fault is found: while parsing, so `handover submit` finds it too, or by the worker, which knows the
/// catalog.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Reader,
    Catalog,
}
use By::{Catalog, Reader};

/// The message; where the fault is found; the code, the path, and words of the detail.
type Row = (Vec<u8>, By, &'static str, &'static str, &'static str);

/// Returns a request with these fields, verbatim.
fn raw(fields: &str) -> Vec<u8> {
    format!(r#"{{"type":"deactivate","request_id":"raw","org_id":"1","user_id":"53","requested_by":"1",{fields}}}"#)
        .into_bytes()
}

/// Returns a request with one share of this amount.
fn amount(amount: &str) -> Vec<u8> {
    contact(&format!(r#"{{"logic":"ratio","shares":[{{"user":"11","amount":{amount}}}]}}"#))
}

/// Returns a request with an allotment of contacts, verbatim.
fn contact(allotment: &str) -> Vec<u8> {
    raw(&format!(r#""reassign":{{"contact":{allotment}}}"#))
}

fn with(fields: Value) -> Vec<u8> {
    but("with", fields).to_string().into_bytes()
}

fn at(time: &str) -> Vec<u8> {
    raw(&format!(r#""effective_at":"{time}""#))
}

/// Returns `count` pieces separated by commas.
fn many(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect::<Vec<String>>().join(",")
}

#[rustfmt::skip]
fn bombs() -> Vec<Row> {
    let nested = |open: &str, inner: &str, close: &str, depth: usize| open.repeat(depth) + inner + &close.repeat(depth);
    let path = "reassign.contact";
    vec![
        (nested("{\"type\":\"deactivate\",\"a\":", "1", "}", 40_000).into(), Reader, "too_large", ".", "nested deeper"),
        (raw(&format!("\"reason\":{}", nested("[", "", "]", 100_000))), Reader, "too_large", ".", "nested deeper"),
        (raw(&format!("\"x\":{}", nested("[", "", "]", 400_000))), Reader, "too_large", ".", "nested deeper"),
        (contact(&nested("{\"each\":{\"1\":\"11\"},\"rest\":", "{}", "}", 20_000)), Reader, "too_large", ".", "nested deeper"),
        (contact(&nested("{\"each\":{\"1\":\"11\"},\"rest\":", "{\"user\":\"1\"}", "}", 100)), Reader, "invalid_field", path, "cannot be another `each`"),
        (raw(&format!("\"reassign\":{{{}}}", many(60_000, |_| "\"task\":{}".into()))), Reader, "duplicate_field", "reassign.task", "occurs 60000 times"),
        (raw(&many(60_000, |_| "\"bulk\":true".into())), Reader, "duplicate_field", "bulk", "occurs 60000 times"),
        (raw(&many(60_000, |at| format!("\"f{at}\":1"))), Reader, "unknown_field", "f0", "has no field `f0`"),
        (contact(&format!("{{\"each\":{{{}}}}}", many(100_000, |at| format!("\"{at}\":\"11\"")))), Reader, "too_large", ".", "the maximum is 1048576"),
        (contact(&format!("{{\"each\":{{{}}}}}", many(60_000, |at| format!("\"{at}\":\"11\"")))), Reader, "too_large", path, "names 60000 records"),
        (contact(&format!("{{\"logic\":\"ratio\",\"shares\":[{}]}}", many(20_000, |at| format!("{{\"user\":\"{at}\",\"amount\":1}}")))), Reader, "too_large", path, "20000 shares"),
        (contact(&format!("{{\"logic\":\"ratio\",\"shares\":[{}]}}", many(20_000, |_| "{\"round_robin\":\"West team\",\"amount\":1}".into()))), Reader, "too_large", path, "the maximum is 1000"),
        (with(json!({ "type": "x".repeat(1_000_000) })), Reader, "unknown_type", "type", "is not a known request type"),
        (with(json!({ "k".repeat(1_000_000): 1 })), Reader, "unknown_field", "kkkk", "has no field `kkk"),
        (with(json!({ "reason": "r".repeat(1_000_000) })), Reader, "invalid_field", "reason", "the maximum is 2000"),
        (with(json!({ "reassign": { "\u{1b}[2J".repeat(50_000): { "user": "11" } } })), Catalog, "unknown_kind", "reassign.\\u{1b}[2J", "transfers no kind"),
    ]
}

#[rustfmt::skip]
fn texts() -> Vec<Row> {
    vec![
        (with(json!({ "request_id": "x".repeat(10_000) })),          Reader,  "invalid_id",    "request_id",   "the id has 10000"),
        (with(json!({ "request_id": "名".repeat(201) })),            Reader,  "invalid_id",    "request_id",   "the maximum is 200"),
        (with(json!({ "request_id": "a\u{7f}b" })),                  Reader,  "invalid_id",    "request_id",   "control characters"),
        (with(json!({ "request_id": "a\u{9b}31mb" })),               Reader,  "invalid_id",    "request_id",   "control characters"),
        (with(json!({ "org_id": "1\r\nx-injected: 1" })),            Reader,  "invalid_id",    "org_id",       "control characters"),
        (raw(r#""reason":"\ud800""#), Reader, "invalid_field", "reason", "surrogate"),
        (raw(r#""reason":"\udc00\ud800""#), Reader, "invalid_field", "reason", "surrogate"),
        (raw(r#""\ud800":1"#), Reader, "invalid_field", ".", "surrogate"),
        (raw("\"reason\":\"\u{1b}]0;owned\u{7}\""),                  Reader,  "not_json",      ".",            "control character"),
        (raw(r#""":1"#), Reader, "unknown_field", ".", "has no field ``"),
        (raw(r#""reason":"\x41""#), Reader, "not_json", ".", "escape"),
        (raw("'reason':'x'"), Reader, "not_json", ".", "double quotes"),
        (raw(r#""reason":"x","#), Reader, "not_json", ".", "nothing follows a comma"),
        ([b"\xef\xbb\xbf".to_vec(), with(json!({}))].concat(), Reader, "not_json", ".", "byte order mark"),
        (with(json!({ "user_id": "53' OR '1'='1" })),                Catalog, "invalid_id",    "user_id",      "whole number"),
        (with(json!({ "user_id": "53; DROP TABLE users; --" })),     Catalog, "invalid_id",    "user_id",      "whole number"),
        (with(json!({ "user_id": "٥٣" })),                           Catalog, "invalid_id",    "user_id",      "whole number"),
        (with(json!({ "user_id": "５３" })),                         Catalog, "invalid_id",    "user_id",      "whole number"),
        (with(json!({ "user_id": "53\u{200b}" })),                   Catalog, "invalid_id",    "user_id",      "53\\u{200b}"),
        (with(json!({ "user_id": "\u{202e}35" })),                   Catalog, "invalid_id",    "user_id",      "\\u{202e}35"),
        (with(json!({ "user_id": "53\u{a0}" })),                     Catalog, "invalid_id",    "user_id",      "whole number"),
        (with(json!({ "org_id": "01" })),                            Catalog, "invalid_id",    "org_id",       "\"01\""),
        (with(json!({ "org_id": "1\" OR \"\"=\"" })),                Catalog, "invalid_id",    "org_id",       "whole number"),
        (with(json!({ "requested_by": "1e0" })),                     Catalog, "invalid_id",    "requested_by", "whole number"),
        (with(json!({ "reassign": { "task\"; --": { "user": "11" } } })), Catalog, "unknown_kind", "reassign.task\"; --", "transfers no kind"),
        (with(json!({ "also": ["\u{1b}c"] })), Catalog, "unknown_kind", "also[0]", "no `also` named"),
        (contact(&format!(r#"{{"logic":"ratio","shares":[{{"round_robin":"{}","amount":1}}]}}"#, "g".repeat(500_000))), Reader, "invalid_field", "reassign.contact.shares[0].round_robin", "the maximum is 200"),
    ]
}

#[rustfmt::skip]
fn numbers_and_times() -> Vec<Row> {
    let share = "reassign.contact.shares[0].amount";
    vec![
        (amount("1e400"),                          Reader, "invalid_amount", share,              "out of range"),
        (amount("1E999999999999999999"),           Reader, "invalid_amount", share,              "out of range"),
        (amount("-0"),                             Reader, "invalid_amount", share,              "-0.0"),
        (amount("1.0"),                            Reader, "invalid_amount", share,              "1.0"),
        (amount("18446744073709551616"), Reader, "invalid_amount", share, "whole number"),
        (amount("123456789012345678901234567890"), Reader, "invalid_amount", share, "whole number"),
        (amount("9223372036854775808"),            Reader, "invalid_amount", "reassign.contact", "add up to more than"),
        (amount("true"), Reader, "invalid_amount", share, "whole number"),
        (amount("NaN"), Reader, "not_json", ".", "no JSON value"),
        (amount("0x10"), Reader, "not_json", ".", "a comma"),
        (amount("01"), Reader, "not_json", ".", "not written as JSON"),
        (at("2026-02-30T00:00:00Z"), Reader, "invalid_field", "effective_at", "does not exist"),
        (at("2026-02-29T00:00:00Z"), Reader, "invalid_field", "effective_at", "does not exist"),
        (at("2026-12-01T24:00:00Z"), Reader, "invalid_field", "effective_at", "the time of day or the offset"),
        (at("2026-11-22T23:59:60Z"), Reader, "invalid_field", "effective_at", "the time of day or the offset"),
        (at("2026-12-01T00:00:00+24:00"), Reader, "invalid_field", "effective_at", "the time of day or the offset"),
        (at("2026-12-01T00:00:00 Europe/Berlin"), Reader, "invalid_field", "effective_at", "the time of day or the offset"),
        (at("2026-12-01T00:00:00 Mars/Olympus"), Reader, "invalid_field", "effective_at", "the time of day or the offset"),
        (at("2026-12-01T00:00:00"), Reader, "invalid_field", "effective_at", "no offset"),
        (at("0000-01-01T00:00:00Z"), Reader, "invalid_field", "effective_at", "outside the years 2000 to 2200"),
        (at("9999-12-31T23:59:59Z"), Reader, "invalid_field", "effective_at", "outside the years 2000 to 2200"),
        (at("9999-12-31T23:59:59-23:59"), Reader, "invalid_field", "effective_at", "outside the years 2000 to 2200"),
        (at("-0001-01-01T00:00:00Z"), Reader, "invalid_field", "effective_at", "is not a time"),
        (at("10000-01-01T00:00:00Z"), Reader, "invalid_field", "effective_at", "is not a time"),
        (raw(r#""return_at":"9999-01-01T00:00:00Z""#), Reader, "invalid_field", "return_at", "outside the years"),
        (raw(r#""effective_at":1765000000"#), Reader, "invalid_field", "effective_at", "a time is text"),
    ]
}

fn rows() -> Vec<Row> {
    [bombs(), texts(), numbers_and_times()].concat()
}

#[every_engine]
async fn hostile_message_is_dead_lettered_and_escaped(world: &mut World) {
    assert!(rows().len() >= 60);
    let before = snapshot::of_host(world).await;
    for format in ["text", "json"] {
        let (worker, log) = start_worker_with_log(world, format);
        are_dead_lettered(world, rows()).await;
        assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
        let log = std::fs::read_to_string(log.path()).expect("a UTF-8 log");
        assert!(log.contains("message dead-lettered") && hidden(&log).is_empty(), "{:?}", hidden(&log));
        assert!(log.lines().all(|line| line.starts_with(['{', '2']) && line.len() < 20_000), "{log}");
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 0);
    assert_eq!(snapshot::of_host(world).await, before);
    world.start_worker().await;
    assert_worker_continues(world).await;
}

/// Sends all messages at once and compares their dead letters.
async fn are_dead_lettered(world: &World, rows: Vec<Row>) {
    for (body, ..) in &rows {
        world.client.send(body.clone()).await;
    }
    let mut dead_letter = BTreeMap::new();
    for _ in &rows {
        let message = world.next_dead_letter().await;
        dead_letter.insert(message.body.clone(), message);
    }
    let mut wrong = Vec::new();
    for (body, _, code, path, words) in &rows {
        let Some(message) = dead_letter.get(body) else {
            wrong.push(format!("{}\n    is not dead-lettered with its body unchanged", shown(body)));
            continue;
        };
        let detail = &message.headers["x-handover-detail"];
        let fits = message.reason() == *code && message.path().starts_with(path) && detail.contains(words);
        let is_short = message.path().len() + detail.len() < 10_000;
        if !fits || !is_short || !hidden(detail).is_empty() || message.headers["x-handover-attempts"] != "1" {
            let reported: String = format!("{:?}", message.headers).chars().take(600).collect();
            wrong.push(format!("{}\n    {code} at {path} ({words}) expected: {reported}", shown(body)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn start_worker_with_log(world: &World, format: &str) -> (WorkerProcess, tempfile::NamedTempFile) {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let settings = [settings(world), vec![("HANDOVER_LOG__FORMAT".into(), format.into())]].concat();
    let worker = WorkerProcess::start_with_log(&borrowed(&settings), Stdio::from(log.reopen().expect("the file")));
    (worker, log)
}

#[every_engine]
async fn submit_refuses_what_workers_would_dead_letter(world: &mut World) {
    let mut wrong = Vec::new();
    for (body, by, code, path, words) in rows() {
        // Submit treats several lines as several requests, and stops at the first unreadable one.
        if by == Catalog || body.contains(&b'\n') {
            continue;
        }
        let ended = with_input(world, &["submit"], &body);
        let fits = [code, path, words, "nothing was sent"].iter().all(|part| ended.err.contains(part));
        if ended.code != 1 || !fits || !hidden(&ended.err).is_empty() || ended.err.len() > 10_000 {
            let reported: String = ended.err.chars().take(600).collect();
            wrong.push(format!("{}\n    {code} at {path} ({words}) expected: {} {reported}", shown(&body), ended.code));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox").await, 0);
    assert_eq!(world.client.waiting("requests").await, 0);
}
