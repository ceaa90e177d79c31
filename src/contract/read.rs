//! Reads a message as a request, or finds every fault for which it is none.
//!
//! One pass over the JSON collects the faults in their own words. No message of a parser reaches the sender.

mod allotments;
mod fields;
mod forms;
mod json;
mod object;
mod path;
mod syntax;
mod times;

use serde_json::Value;

use self::forms::request;
use self::json::parse;
pub use self::json::{Json, parse as parse_json};
use super::{DeadLetterCode, Fault, Faults, InvalidRequest, Request};

/// The maximum size of a message body, in bytes: enough for an `each` of ten thousand records.
pub const MAX_REQUEST_BYTES: usize = 1 << 20;

/// Reads a message body. Faults that only the catalog shows (an unknown kind, an id of the wrong shape) are found later.
pub fn read_request(body: &[u8]) -> Result<Request, InvalidRequest> {
    read_request_with(body, &[])
}

/// Reads a message body to which a door adds fields that its sender has stated elsewhere. A field of the body stays as it is.
pub fn read_request_with(body: &[u8], stated: &[(&str, &str)]) -> Result<Request, InvalidRequest> {
    if body.len() > MAX_REQUEST_BYTES {
        // A worker keeps only the beginning of a long body, and does not know its length here.
        let detail = format!("the message is too long: the maximum is {MAX_REQUEST_BYTES} bytes");
        let hint = "name fewer records one by one: `rest` takes all others";
        return Err(Fault::new(DeadLetterCode::TooLarge, ".", detail, hint).into());
    }
    let mut json = parse(body)?;
    if let Json::Object(fields) = &mut json {
        let added = stated.iter().filter(|(name, _)| fields.iter().all(|(known, _)| known != name));
        let added: Vec<_> = added.map(|(name, value)| ((*name).to_owned(), Json::Text((*value).to_owned()))).collect();
        fields.extend(added);
    }
    read_json(&json)
}

/// Reads a request as the ledger stores it: in its canonical form.
pub fn read_stored(stored: Value) -> Result<Request, InvalidRequest> {
    let unreadable = |error: serde_json::Error| {
        Fault::new(DeadLetterCode::NotJson, ".", error.to_string(), "restore the ledger from a backup")
    };
    read_json(&serde_json::from_value::<Json>(stored).map_err(unreadable)?)
}

/// Checks that a text is JSON.
pub fn check_json(text: &[u8]) -> Result<(), InvalidRequest> {
    Ok(parse(text).map(drop)?)
}

fn read_json(json: &Json) -> Result<Request, InvalidRequest> {
    let mut faults = Faults::default();
    let request = request(json, &mut faults);
    faults.finish(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#""request_id":"r","org_id":"1","user_id":"53","requested_by":"1""#;

    fn deactivation(fields: &str) -> String {
        format!(r#"{{"type":"deactivate",{HEADER}{fields}}}"#)
    }

    fn with_contact(allotment: &str) -> String {
        deactivation(&format!(r#","reassign":{{"contact":{allotment}}}"#))
    }

    fn faults(body: &str) -> Vec<String> {
        let invalid = read_request(body.as_bytes()).expect_err(body);
        invalid.faults().map(|fault| format!("{} {}", fault.code, fault.path)).collect()
    }

    #[test]
    fn all_faults_of_a_message_are_found() {
        let cases: [(String, &[&str]); 10] = [
            ("[1]".into(), &["not_an_object ."]),
            ("{}".into(), &["missing_field type", "missing_field request_id", "missing_field requested_by"]),
            (format!("{{{HEADER}}}"), &["missing_field type"]),
            (format!(r#"{{"type":"explode",{HEADER},"surprise":1}}"#), &["unknown_type type"]),
            (
                r#"{"type":"deactivate","request_id":7.5,"user":"53"}"#.into(),
                &["invalid_id request_id", "unknown_field user", "missing_field requested_by", "missing_field user_id"],
            ),
            (deactivation(r#","":1"#), &["unknown_field ."]),
            (
                deactivation(r#","user_id":"54","lock_out":"yes","effective_at":"31.12.2026""#),
                &["duplicate_field user_id", "invalid_field effective_at", "invalid_field lock_out"],
            ),
            (
                with_contact(r#"{"logic":"ratio","shares":[{"user":1.5,"amount":-1},{"amount":1,"weight":2}]}"#),
                &[
                    "invalid_id reassign.contact.shares[0].user",
                    "invalid_amount reassign.contact.shares[0].amount",
                    "unknown_field reassign.contact.shares[1].weight",
                    "invalid_field reassign.contact.shares[1]",
                ],
            ),
            (with_contact(r#""11""#), &["invalid_field reassign.contact"]),
            (
                with_contact(r#"{"each":{"1":"11"},"rest":{"each":{"2":"11"}}}"#),
                &["invalid_field reassign.contact.rest"],
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(faults(&body), expected, "{body}");
        }
    }

    #[test]
    fn many_faults_are_listed_in_part() {
        let fields: String = (0..60_000).map(|at| format!(",\"f{at}\":1")).collect();
        let invalid = read_request(deactivation(&fields).as_bytes()).expect_err("unknown fields");
        let last = invalid.more.last().expect("another fault");
        assert_eq!((invalid.faults().count(), last.code), (21, DeadLetterCode::MoreFaults));
        assert!(last.detail.contains("59980"), "{last}");
    }

    #[test]
    fn equivalent_bodies_have_one_hash() {
        let short = with_contact(r#"{"user":"11"}"#);
        let long = r#"{ "reassign": {"contact":{"user":"11"}}, "type": "deactivate", "drift": "refuse",
            "requested_by":"1", "user_id":"53", "org_id":"1", "request_id":"r" }"#;
        let other = with_contact(r#"{"user":"12"}"#);
        let hash = |body: &str| read_request(body.as_bytes()).expect("readable").body_hash();
        assert_eq!(hash(&short), hash(long));
        assert_ne!(hash(&short), hash(&other));
    }

    #[test]
    fn stored_requests_are_read_back() {
        for allotment in [
            r#"{"user":"11"}"#,
            r#"{"manager":true}"#,
            r#"{"logic":"ratio","shares":[{"user":"11","amount":5},{"round_robin":"West","amount":0}]}"#,
            r#"{"logic":"hardcoded","extras":"reject","shares":[{"user":"11","amount":5}]}"#,
            r#"{"each":{"1":"11"},"rest":{"logic":"hardcoded","shares":[{"user":"11","amount":5}]}}"#,
        ] {
            let read = read_request(with_contact(allotment).as_bytes()).expect(allotment);
            assert_eq!(read_stored(read.canonical()).as_ref(), Ok(&read), "{allotment}");
        }
    }
}
