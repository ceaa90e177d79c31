//! Wrong messages: each with the code and path of its dead letter.

use serde_json::{Value, json};

use crate::support::broker::key_of;

/// A wrong message, and the code and path of its first fault.
pub struct Wrong {
    pub key: String,
    pub body: Vec<u8>,
    pub code: &'static str,
    pub path: &'static str,
}

/// Body, code and path.
type Case = (Vec<u8>, &'static str, &'static str);

/// Returns all wrong messages.
pub fn wrong_messages() -> Vec<Wrong> {
    let cases = [encodings(), not_requests(), wrong_fields(), wrong_times(), wrong_ids(), wrong_amounts()].concat();
    let cases = cases.into_iter().chain(wrong_allotments()).chain(wrong_commands()).chain(unknown_to_the_catalog());
    let wrong = |(body, code, path): Case| Wrong { key: key_of(&body), body, code, path };
    cases.map(wrong).chain(wrong_keys()).collect()
}

/// Returns a short request with one field changed or, by null, removed.
fn but(field: &str, value: Value) -> Value {
    let mut request =
        json!({ "type": "deactivate", "request_id": "r", "org_id": "1", "user_id": "53", "requested_by": "1" });
    match value {
        Value::Null => drop(request.as_object_mut().expect("an object").remove(field)),
        value => request[field] = value,
    }
    request
}

/// Returns a short request with one field changed or, by null, removed, as a message.
fn with(field: &str, value: Value) -> Vec<u8> {
    but(field, value).to_string().into_bytes()
}

/// Returns a request with more fields, verbatim.
fn raw(fields: &str) -> Vec<u8> {
    let header = r#""type":"deactivate","request_id":"r","org_id":"1","user_id":"53","requested_by":"1""#;
    format!("{{{header},{fields}}}").into_bytes()
}

/// Returns a request with one allotment for contacts.
fn with_contact(allotment: Value) -> Vec<u8> {
    raw(&format!("\"reassign\":{{\"contact\":{allotment}}}"))
}

fn shares(shares: Value) -> Vec<u8> {
    with_contact(json!({ "logic": "ratio", "shares": shares }))
}

/// Returns a request with one allotment.
fn with_kind(kind: &str, allotment: Value) -> Vec<u8> {
    with("reassign", json!({ kind: allotment }))
}

/// Returns a request of another type.
fn of_type(kind: &str, fields: Value) -> Vec<u8> {
    let mut request = json!({ "type": kind, "request_id": "r", "org_id": "1", "requested_by": "1" });
    for (name, value) in fields.as_object().expect("fields") {
        request[name] = value.clone();
    }
    request.to_string().into_bytes()
}

fn encodings() -> Vec<Case> {
    let whole = raw("\"reason\":\"Zoë\"");
    let text = String::from_utf8(whole.clone()).expect("UTF-8");
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin_1: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    vec![
        ([b"\xef\xbb\xbf".to_vec(), whole.clone()].concat(), "not_json", "."),
        (latin_1, "not_json", "."),
        (utf_16.clone(), "not_json", "."),
        ([b"\xff\xfe".to_vec(), utf_16].concat(), "not_json", "."),
        ([b"\x1f\x8b\x08\0".to_vec(), whole].concat(), "not_json", "."),
        (b"\x00\x01\x02".to_vec(), "not_json", "."),
    ]
}

fn not_requests() -> Vec<Case> {
    let whole = but("bulk", json!(true)).to_string();
    vec![
        (b"".to_vec(), "not_json", "."),
        (b" \n".to_vec(), "not_json", "."),
        (b"hello".to_vec(), "not_json", "."),
        (b"type=deactivate&user_id=53".to_vec(), "not_json", "."),
        (b"<request type=\"deactivate\"/>".to_vec(), "not_json", "."),
        (b"{".to_vec(), "not_json", "."),
        (whole[..whole.len() - 1].into(), "not_json", "."),
        (format!("{whole} and more").into_bytes(), "not_json", "."),
        (format!("{whole}{whole}").into_bytes(), "not_json", "."),
        (raw("\"reason\":\"x\","), "not_json", "."),
        (raw("'reason':'x'"), "not_json", "."),
        (raw("reason:\"x\""), "not_json", "."),
        (raw("\"reason\" \"x\""), "not_json", "."),
        (raw("\"reason\":\"x\" \"bulk\":true"), "not_json", "."),
        (raw("\"reason\":\"a\tb\""), "not_json", "."),
        (raw("\"reason\":\"C:\\Users\""), "not_json", "."),
        (raw("\"lock_out\":True"), "not_json", "."),
        (raw("\"lock_out\":NaN"), "not_json", "."),
        (raw("\"lock_out\":01"), "not_json", "."),
        (raw("\"reason\":\"\\ud800\""), "invalid_field", "reason"),
        ("[".repeat(10_000).into_bytes(), "too_large", "."),
        (with("reason", json!("x".repeat(1 << 20))), "too_large", "."),
        (b"[]".to_vec(), "not_an_object", "."),
        (format!("[{whole}]").into_bytes(), "not_an_object", "."),
        (b"null".to_vec(), "not_an_object", "."),
        (b"\"deactivate\"".to_vec(), "not_an_object", "."),
        (b"42".to_vec(), "not_an_object", "."),
    ]
}

fn wrong_fields() -> Vec<Case> {
    vec![
        (b"{}".to_vec(), "missing_field", "type"),
        (with("type", Value::Null), "missing_field", "type"),
        (raw("\"type\":null"), "duplicate_field", "type"),
        (with("type", json!("explode")), "unknown_type", "type"),
        (with("type", json!("Deactivate")), "unknown_type", "type"),
        (with("type", json!(7)), "unknown_type", "type"),
        (with("request_id", Value::Null), "missing_field", "request_id"),
        (with("user_id", Value::Null), "missing_field", "user_id"),
        (with("requested_by", Value::Null), "missing_field", "requested_by"),
        (with("colour", json!("red")), "unknown_field", "colour"),
        (with("reasign", json!({})), "unknown_field", "reasign"),
        (with("successor", json!("11")), "unknown_field", "successor"),
        (with("job_id", json!("6b0c3e7e-3c5c-5f7c-9d0a-0c7d1f6c2a11")), "unknown_field", "job_id"),
        (
            br#"{"type":"deactivate","requestId":"r","orgId":"1","userId":"53","requestedBy":"1"}"#.to_vec(),
            "unknown_field",
            "orgId",
        ),
        (raw("\"user_id\":\"54\""), "duplicate_field", "user_id"),
        (raw(r#""reassign":{"task":{"user":"11"},"task":{"user":"12"}}"#), "duplicate_field", "reassign.task"),
        (raw(r#""reassign":{"contact":{"each":{"1":"11","1":"12"}}}"#), "duplicate_field", "reassign.contact.each.1"),
        (with("drift", json!("maybe")), "invalid_field", "drift"),
        (with("drift", json!(true)), "invalid_field", "drift"),
        (with("lock_out", json!("true")), "invalid_field", "lock_out"),
        (with("bulk", json!(1)), "invalid_field", "bulk"),
        (with("also", json!("opportunity_team_member")), "invalid_field", "also"),
        (with("also", json!([7])), "invalid_field", "also[0]"),
        (with("reassign", json!([])), "invalid_field", "reassign"),
        (with("reassign", json!("11")), "invalid_field", "reassign"),
        (raw("\"reassign\":null"), "invalid_field", "reassign"),
        (with("reason", json!("x".repeat(2_001))), "invalid_field", "reason"),
        (with("reason", json!("a\u{0}b")), "invalid_field", "reason"),
        (with("reason", json!(17)), "invalid_field", "reason"),
        (with("expect", json!("p1.\u{0}")), "invalid_field", "expect"),
    ]
}

fn wrong_times() -> Vec<Case> {
    let at = |time: Value| (with("effective_at", time), "invalid_field", "effective_at");
    let leave = |from: &str, to: &str| {
        (raw(&format!(r#""effective_at":"{from}","return_at":"{to}""#)), "invalid_field", "return_at")
    };
    vec![
        at(json!("tomorrow")),
        at(json!("31.12.2026")),
        at(json!("12/31/2026")),
        at(json!("2026-12-31")),
        at(json!("2026-12-31 18:00")),
        at(json!("2026-12-31T18:00:00")),
        at(json!("2026-12-31T18:00:00 Europe/Berlin")),
        at(json!("2026-02-30T18:00:00Z")),
        at(json!("2026-12-31T25:00:00Z")),
        at(json!(1_798_736_400)),
        at(json!("1899-12-31T18:00:00Z")),
        at(json!("1970-01-01T00:00:00Z")),
        at(json!("2999-01-01T00:00:00Z")),
        at(json!("")),
        leave("2126-12-31T18:00:00Z", "2126-12-31T18:00:00Z"),
        leave("2126-12-31T18:00:00Z", "2126-12-30T18:00:00Z"),
        leave("2126-12-31T18:00:00+02:00", "2126-12-31T17:00:00+02:00"),
        (raw(r#""return_at":"2999-01-01T00:00:00Z""#), "invalid_field", "return_at"),
    ]
}

fn wrong_ids() -> Vec<Case> {
    let user = |id: Value| (with("user_id", id), "invalid_id", "user_id");
    vec![
        user(json!(53.0)),
        user(json!(1e300)),
        user(json!(true)),
        user(json!(["53"])),
        user(json!({ "id": "53" })),
        user(json!("")),
        user(json!(" ")),
        user(json!("5".repeat(201))),
        user(json!("abc")),
        user(json!("zoe@example.com")),
        user(json!("053")),
        user(json!("+53")),
        user(json!(" 53")),
        user(json!("53\u{a0}")),
        user(json!("53.0")),
        user(json!("-0")),
        user(json!("9223372036854775808")),
        (raw("\"user_id\":null"), "duplicate_field", "user_id"),
        (with("request_id", json!(17.5)), "invalid_id", "request_id"),
        (with("request_id", json!("a\u{0}b")), "invalid_id", "request_id"),
        (with("request_id", json!("a\nb")), "invalid_id", "request_id"),
        (with("org_id", json!(1.5)), "invalid_id", "org_id"),
        (with("org_id", json!("one")), "invalid_id", "org_id"),
        (with("org_id", json!("")), "invalid_id", "org_id"),
        (with("requested_by", json!("1.5")), "invalid_id", "requested_by"),
        (with("requested_by", json!({})), "invalid_id", "requested_by"),
        (with_contact(json!({ "user": 11.5 })), "invalid_id", "reassign.contact.user"),
        (with_contact(json!({ "user": "eleven" })), "invalid_id", "reassign.contact.user"),
        (
            shares(json!([{ "user": "11", "amount": 1 }, { "user": "0x0b", "amount": 1 }])),
            "invalid_id",
            "reassign.contact.shares[1].user",
        ),
        (with_contact(json!({ "each": { "first": "11" } })), "invalid_id", "reassign.contact.each.first"),
        (with_contact(json!({ "each": { "1": "him" } })), "invalid_id", "reassign.contact.each.1"),
        (with_contact(json!({ "each": { "1": 11.5 } })), "invalid_id", "reassign.contact.each.1"),
        (
            with_contact(json!({ "each": { "1": "11" }, "rest": { "user": "her" } })),
            "invalid_id",
            "reassign.contact.rest.user",
        ),
    ]
}

fn wrong_amounts() -> Vec<Case> {
    let (list, amount) = ("reassign.contact.shares", "reassign.contact.shares[0].amount");
    let of = |amount: Value| shares(json!([{ "user": "11", "amount": amount }]));
    let too_large = r#""reassign":{"contact":{"logic":"ratio","shares":[{"user":"11","amount":1e400}]}}"#;
    vec![
        (of(json!(-1)), "invalid_amount", amount),
        (of(json!(1.5)), "invalid_amount", amount),
        (of(json!("5")), "invalid_amount", amount),
        (of(json!("5%")), "invalid_amount", amount),
        (of(json!(null)), "invalid_amount", amount),
        (of(json!(18_446_744_073_709_551_616.0_f64)), "invalid_amount", amount),
        (raw(too_large), "invalid_amount", amount),
        (of(json!(u64::MAX)), "invalid_amount", list),
        (shares(json!([{ "user": "11", "amount": i64::MAX }, { "user": "12", "amount": 1 }])), "invalid_amount", list),
        (shares(json!([{ "user": "11", "amount": 0 }, { "user": "12", "amount": 0 }])), "invalid_amount", list),
        (shares(json!([{ "user": "11" }])), "missing_field", amount),
    ]
}

fn wrong_allotments() -> Vec<Case> {
    let contact = "reassign.contact";
    let some = json!([{ "user": "11", "amount": 1 }]);
    let with_shares = |field: &str, value: Value| {
        let mut allotment = json!({ "logic": "ratio", "shares": some });
        allotment[field] = value;
        with_contact(allotment)
    };
    vec![
        (with_contact(json!("11")), "invalid_field", contact),
        (with_contact(json!(11)), "invalid_field", contact),
        (with_contact(json!(null)), "invalid_field", contact),
        (with_contact(json!([])), "invalid_field", contact),
        (with_contact(json!(true)), "invalid_field", contact),
        (with_contact(json!({})), "invalid_field", contact),
        (with_contact(json!({ "user": "11", "manager": true })), "invalid_field", contact),
        (with_contact(json!({ "user": "11", "logic": "ratio", "shares": some })), "invalid_field", contact),
        (with_contact(json!({ "manager": false })), "invalid_field", "reassign.contact.manager"),
        (with_contact(json!({ "manager": "12" })), "invalid_field", "reassign.contact.manager"),
        (with_contact(json!({ "user": "11", "shares": some })), "invalid_field", "reassign.contact.shares"),
        (with_contact(json!({ "user": "11", "colour": "red" })), "unknown_field", "reassign.contact.colour"),
        (with_contact(json!({ "user": "11", "rest": { "user": "12" } })), "invalid_field", "reassign.contact.rest"),
        (with_contact(json!({ "logic": "hardcoded" })), "empty_shares", contact),
        (shares(json!([])), "empty_shares", "reassign.contact.shares"),
        (shares(json!({ "11": 1 })), "invalid_field", "reassign.contact.shares"),
        (shares(json!(["11"])), "invalid_field", "reassign.contact.shares[0]"),
        (with_shares("extras", json!("reject")), "invalid_field", "reassign.contact.extras"),
        (with_shares("logic", json!(5)), "invalid_field", "reassign.contact.logic"),
        (with_shares("logic", json!("fair")), "invalid_field", "reassign.contact.logic"),
        (
            with_contact(json!({ "logic": "hardcoded", "shares": some, "extras": "burn" })),
            "invalid_field",
            "reassign.contact.extras",
        ),
        (
            shares(json!([{ "user": "11", "round_robin": "West team", "amount": 1 }])),
            "invalid_field",
            "reassign.contact.shares[0]",
        ),
        (shares(json!([{ "amount": 1 }])), "invalid_field", "reassign.contact.shares[0]"),
        (
            shares(json!([{ "round_robin": "", "amount": 1 }])),
            "invalid_field",
            "reassign.contact.shares[0].round_robin",
        ),
        (
            shares(json!([{ "round_robin": "West\u{0}team", "amount": 1 }])),
            "invalid_field",
            "reassign.contact.shares[0].round_robin",
        ),
        (
            shares(json!([{ "user": "11", "amount": 1, "weight": 2 }])),
            "unknown_field",
            "reassign.contact.shares[0].weight",
        ),
        (
            shares(json!([{ "user": 11.5, "amount": -1 }, { "user": "12", "ammount": 1 }])),
            "invalid_id",
            "reassign.contact.shares[0].user",
        ),
        (with_contact(json!({ "each": {} })), "empty_shares", "reassign.contact.each"),
        (with_contact(json!({ "each": ["1"] })), "invalid_field", "reassign.contact.each"),
        (
            with_contact(json!({ "each": { "1": "11" }, "rest": { "each": { "2": "11" } } })),
            "invalid_field",
            "reassign.contact.rest",
        ),
    ]
}

fn wrong_commands() -> Vec<Case> {
    let job = "6b0c3e7e-3c5c-5f7c-9d0a-0c7d1f6c2a11";
    let to_11 = json!({ "contact": { "user": "11" } });
    let back = "2126-12-31T18:00:00Z";
    vec![
        (of_type("revert", json!({ "job_id": "abc" })), "invalid_id", "job_id"),
        (of_type("revert", json!({ "job_id": 17 })), "invalid_id", "job_id"),
        (of_type("revert", json!({})), "missing_field", "job_id"),
        (of_type("revert", json!({ "user_id": "53" })), "unknown_field", "user_id"),
        (of_type("pause", json!({ "job_id": job, "reassign": to_11 })), "unknown_field", "reassign"),
        (of_type("amend", json!({ "job_id": job })), "missing_field", "reassign"),
        (of_type("amend", json!({ "job_id": job, "reassign": {} })), "missing_field", "reassign"),
        (of_type("reassign", json!({ "user_id": "53" })), "missing_field", "reassign"),
        (of_type("reassign", json!({ "user_id": "53", "reassign": {} })), "missing_field", "reassign"),
        (
            of_type("reassign", json!({ "user_id": "53", "reassign": to_11, "return_at": back })),
            "unknown_field",
            "return_at",
        ),
        (
            of_type("reassign", json!({ "user_id": "53", "reassign": to_11, "lock_out": true })),
            "unknown_field",
            "lock_out",
        ),
        (of_type("reactivate", json!({ "job_id": job })), "unknown_field", "job_id"),
        (of_type("invite", json!({ "name": "Robin" })), "missing_field", "email"),
        (of_type("invite", json!({ "name": "Robin", "email": "robin" })), "invalid_field", "email"),
        (of_type("invite", json!({ "name": " ", "email": "robin@example.com" })), "invalid_field", "name"),
    ]
}

fn unknown_to_the_catalog() -> Vec<Case> {
    vec![
        (with("org_id", Value::Null), "missing_field", "org_id"),
        (with("also", json!(["note"])), "unknown_kind", "also[0]"),
        (with_kind("boat", json!({ "user": "11" })), "unknown_kind", "reassign.boat"),
        (with_kind("contcat", json!({ "user": "11" })), "unknown_kind", "reassign.contcat"),
        (with_kind("note", json!({ "user": "11" })), "unknown_kind", "reassign.note"),
        (with_kind("session", json!({ "user": "11" })), "unknown_kind", "reassign.session"),
        (with_kind("hierarchy_choice", json!({ "user": "11" })), "unknown_kind", "reassign.hierarchy_choice"),
        (
            with_kind("opportunity_split", json!({ "each": { "1": "11" } })),
            "invalid_field",
            "reassign.opportunity_split.each",
        ),
        (
            raw(r#""reassign":{"boat":{"user":"eleven"},"contact":{"user":"eleven"},"lead":{"user":" 12"}}"#),
            "unknown_kind",
            "reassign.boat",
        ),
    ]
}

/// Returns readable bodies with routing keys of other types, of none, and bodies without a type.
fn wrong_keys() -> Vec<Wrong> {
    let keys = [
        ("request.reassign", Some("deactivate"), "type_mismatch"),
        ("request.pause", Some("deactivate"), "type_mismatch"),
        ("request.deactivate", Some("reassign"), "type_mismatch"),
        ("request.fire", Some("deactivate"), "type_mismatch"),
        ("request", Some("deactivate"), "type_mismatch"),
        ("request.", Some("deactivate"), "type_mismatch"),
        ("request.deactivate.now", Some("deactivate"), "type_mismatch"),
        ("request.Deactivate", Some("deactivate"), "type_mismatch"),
        ("request.reassign", None, "missing_field"),
        ("request.pause", None, "missing_field"),
        ("request.fire", Some("fire"), "unknown_type"),
    ];
    let wrong = |(key, kind, code): (&str, Option<&str>, &'static str)| {
        let mut body = but("type", kind.map_or(Value::Null, Value::from));
        body["reassign"] = json!({ "contact": { "user": "11" } });
        let body = body.to_string().into_bytes();
        Wrong { key: key.to_owned(), body, code, path: "type" }
    };
    keys.into_iter().map(wrong).collect()
}
