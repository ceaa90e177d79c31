//! Reads a message as a request, or finds the reason why it is invalid.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use time::{OffsetDateTime, UtcOffset};

use super::handover::Form;
use super::{DeadLetterCode, HandoverRequest, JobCommand, Request, RequestType, printable};

/// The maximum size of a message body, in bytes: enough for an `each` of ten thousand records.
pub const MAX_REQUEST_BYTES: usize = 1 << 20;

/// The maximum length of `reason`, in characters.
const LONGEST_REASON: usize = 2_000;

/// The maximum length of path and detail in an error, in characters of the message.
const LONGEST_QUOTE: usize = 1_000;

/// The maximum lengths of an invited user's name and address, in characters (RFC 5321 allows an address 64 + 1 + 255).
const LONGEST_NAME: usize = 200;
const LONGEST_EMAIL: usize = 320;

/// The reason why a message is not a valid request. Such a message becomes a dead letter and is never retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} at `{path}`: {detail}")]
pub struct InvalidRequest {
    /// The cause, as one word for programs.
    pub code: DeadLetterCode,
    /// The path to the field: `reassign.contact.shares[0].amount`, or `.` for the whole message.
    pub path: String,
    /// The cause and how to fix it, for people.
    pub detail: String,
}

impl InvalidRequest {
    /// Creates the reason. Path and detail may quote the message at any length and are written to headers and logs, so they
    /// are shortened and escaped.
    pub fn new(code: DeadLetterCode, path: impl AsRef<str>, detail: impl AsRef<str>) -> InvalidRequest {
        // A field name may be empty, but a header may not.
        let path = Some(path.as_ref()).filter(|path| !path.is_empty()).unwrap_or(".");
        InvalidRequest { code, path: shorten(path), detail: shorten(detail.as_ref()) }
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => printable(&text[..end]) + "…",
        None => printable(text),
    }
}

/// Reads a message body. Faults that only the catalog shows (an unknown kind, an id of the wrong shape) are found later.
pub fn read_request(body: &[u8]) -> Result<Request, InvalidRequest> {
    if body.len() > MAX_REQUEST_BYTES {
        let detail = format!("the message has {} bytes; the maximum is {MAX_REQUEST_BYTES}", body.len());
        return Err(InvalidRequest::new(DeadLetterCode::TooLarge, ".", detail));
    }
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => Err(InvalidRequest::new(DeadLetterCode::NotAnObject, ".", "a request must be a JSON object")),
            Err(error) => Err(InvalidRequest::new(DeadLetterCode::NotJson, ".", error.to_string())),
        };
    }
    let request = match read::<Typed>(body)?.kind.form() {
        Form::Handover => Request::Handover(check_handover(read(body)?)?),
        Form::User => Request::User(read(body)?),
        Form::Invite => Request::Invite(read(body)?),
        Form::Job => Request::Job(check_job_command(read(body)?)?),
    };
    check_texts(&request)?;
    refuse_nul(body, &request)?;
    Ok(request)
}

/// The type of a request, without its other fields.
#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: RequestType,
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidRequest> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| explain(body, error))?;
    json.end().map_err(|error| InvalidRequest::new(DeadLetterCode::NotJson, ".", error.to_string()))?;
    Ok(value)
}

/// Checks the fields that only one of the types with this form has.
fn check_handover(request: HandoverRequest) -> Result<HandoverRequest, InvalidRequest> {
    if request.kind == RequestType::Reassign {
        if request.reassign.is_empty() {
            return Err(InvalidRequest::new(
                DeadLetterCode::MissingField,
                "reassign",
                "name a successor for at least one kind",
            ));
        }
        let misplaced = [("return_at", request.return_at.is_some()), ("lock_out", request.lock_out)];
        if let Some((field, _)) = misplaced.into_iter().find(|(_, there)| *there) {
            return Err(InvalidRequest::new(
                DeadLetterCode::UnknownField,
                field,
                "a `reassign` only moves records: remove the field",
            ));
        }
    }
    for (field, at) in [("effective_at", request.effective_at), ("return_at", request.return_at)] {
        if !at.is_none_or(fits_databases) {
            return Err(InvalidRequest::new(
                DeadLetterCode::InvalidField,
                field,
                "the time must be between the years 1 and 9998, in UTC",
            ));
        }
    }
    if let (Some(leaves), Some(returns)) = (request.effective_at, request.return_at)
        && returns <= leaves
    {
        return Err(InvalidRequest::new(
            DeadLetterCode::InvalidField,
            "return_at",
            "it must be later than `effective_at`",
        ));
    }
    Ok(request)
}

/// True if a time can be converted to UTC and has a year of four digits in every time zone, also a while later.
fn fits_databases(at: OffsetDateTime) -> bool {
    at.checked_to_offset(UtcOffset::UTC).is_some_and(|at| (1..=9998).contains(&at.year()))
}

fn check_job_command(command: JobCommand) -> Result<JobCommand, InvalidRequest> {
    match (command.kind == RequestType::Amend, command.reassign.is_empty()) {
        (true, true) => {
            let detail = "name a new successor for at least one kind";
            Err(InvalidRequest::new(DeadLetterCode::MissingField, "reassign", detail))
        }
        (false, false) => {
            Err(InvalidRequest::new(DeadLetterCode::UnknownField, "reassign", "only an `amend` names successors"))
        }
        (true, false) | (false, true) => Ok(command),
    }
}

fn check_texts(request: &Request) -> Result<(), InvalidRequest> {
    if request.header().reason.is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        let detail = format!("the reason exceeds {LONGEST_REASON} characters");
        return Err(InvalidRequest::new(DeadLetterCode::InvalidField, "reason", detail));
    }
    let Request::Invite(invite) = request else { return Ok(()) };
    for (field, text, longest) in [("name", &invite.name, LONGEST_NAME), ("email", &invite.email, LONGEST_EMAIL)] {
        if text.trim().is_empty() || text.chars().count() > longest || text.chars().any(char::is_control) {
            let detail = format!("it must have 1 to {longest} characters and no control characters");
            return Err(InvalidRequest::new(DeadLetterCode::InvalidField, field, detail));
        }
    }
    let parts: Vec<&str> = invite.email.split('@').collect();
    match parts.as_slice() {
        [local, domain] if !local.is_empty() && !domain.is_empty() && !invite.email.contains(char::is_whitespace) => {
            Ok(())
        }
        _ => Err(InvalidRequest::new(
            DeadLetterCode::InvalidField,
            "email",
            "it must be an address of the form name@domain",
        )),
    }
}

/// Refuses NUL: PostgreSQL's text cannot hold it, so such a request could be neither looked up nor stored.
fn refuse_nul(body: &[u8], request: &Request) -> Result<(), InvalidRequest> {
    let escape = br"\u0000";
    if !body.windows(escape.len()).any(|part| part == escape) {
        return Ok(());
    }
    match find_nul(&request.canonical(), "") {
        None => Ok(()),
        Some(path) => {
            Err(InvalidRequest::new(DeadLetterCode::InvalidField, path, "the text contains the character NUL"))
        }
    }
}

/// Returns the path to the first text that contains NUL.
fn find_nul(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| find_nul(item, &format!("{path}[{index}]")))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if name.contains('\0') { Some(path) } else { find_nul(value, &path) }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn explain(body: &[u8], error: serde_path_to_error::Error<serde_json::Error>) -> InvalidRequest {
    let path = error.path().to_string();
    let inner = error.inner();
    // serde reports a value of the wrong type for an enum (`"type": 7`) as a syntax error, too.
    let text = std::str::from_utf8(body).unwrap_or_default();
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    if !is_json && (inner.is_syntax() || inner.is_eof()) {
        return InvalidRequest::new(DeadLetterCode::NotJson, ".", inner.to_string());
    }
    let text = inner.to_string();
    // Checks of this module put their code in brackets, because a serde error carries only text.
    if let Some((code, detail)) = text.strip_prefix('[').and_then(|rest| rest.split_once("] "))
        && let Ok(code) = code.parse()
    {
        return InvalidRequest::new(code, path, detail);
    }
    for (words, code) in
        [("missing field `", DeadLetterCode::MissingField), ("duplicate field `", DeadLetterCode::DuplicateField)]
    {
        if let Some(field) = text.strip_prefix(words).and_then(|rest| rest.split('`').next()) {
            let path = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
            let text = match field {
                "type" => "the body names no type: add \"type\": \"deactivate\", or another type",
                _ => &text,
            };
            return InvalidRequest::new(code, path, text);
        }
    }
    InvalidRequest::new(serde_code(&text, &path), path, text)
}

/// Returns the code of an error that serde words itself.
fn serde_code(text: &str, path: &str) -> DeadLetterCode {
    if text.starts_with("unknown field") {
        DeadLetterCode::UnknownField
    } else if path == "type" {
        DeadLetterCode::UnknownType
    } else if path.ends_with("amount") {
        DeadLetterCode::InvalidAmount
    } else if path.ends_with("_id") || path == "requested_by" {
        DeadLetterCode::InvalidId
    } else {
        DeadLetterCode::InvalidField
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &str) -> (String, String) {
        let invalid = read_request(body.as_bytes()).expect_err(body);
        (invalid.code.name().to_owned(), invalid.path)
    }

    fn with_contact(allotment: &str) -> String {
        format!(
            r#"{{"type":"deactivate","request_id":"r","org_id":"1","user_id":"53","requested_by":"1","reassign":{{"contact":{allotment}}}}}"#
        )
    }

    #[test]
    fn faults_have_a_code_and_a_path() {
        let cases = [
            ("", "not_json", "."),
            ("{", "not_json", "."),
            ("[1]", "not_an_object", "."),
            ("{}", "missing_field", "type"),
            (r#"{"request_id":"r","org_id":"1","user_id":"53","requested_by":"1"}"#, "missing_field", "type"),
            (r#"{"type":"deactivate","request_id":"r"}"#, "missing_field", "user_id"),
            (r#"{"type":"explode"}"#, "unknown_type", "type"),
            (r#"{"type":"deactivate","request_id":"r","surprise":1}"#, "unknown_field", "surprise"),
            (r#"{"type":"deactivate","":1}"#, "unknown_field", "."),
            (r#"{"type":"deactivate","request_id":7}"#, "invalid_id", "request_id"),
            (r#"{"type":"deactivate","request_id":""}"#, "invalid_id", "request_id"),
        ];
        for (body, code, path) in cases {
            assert_eq!(fault(body), (code.to_owned(), path.to_owned()), "{body}");
        }
        let allotments = [
            (r#"{"logic":"ratio","shares":[]}"#, "empty_shares", "reassign.contact"),
            (
                r#"{"logic":"ratio","shares":[{"user":"1","amount":-1}]}"#,
                "invalid_amount",
                "reassign.contact.shares[0].amount",
            ),
            (r#"{"logic":"ratio","shares":[{"user":"1","amount":0}]}"#, "invalid_amount", "reassign.contact"),
            (
                r#"{"logic":"ratio","shares":[{"user":"1","amount":9223372036854775807},{"user":"2","amount":1}]}"#,
                "invalid_amount",
                "reassign.contact",
            ),
            (r#"{"logic":"ratio","user":"1"}"#, "invalid_field", "reassign.contact"),
            (r#"{"user":"1","colour":"red"}"#, "unknown_field", "reassign.contact.colour"),
            (r#"{"user":12}"#, "invalid_field", "reassign.contact.user"),
        ];
        for (allotment, code, path) in allotments {
            assert_eq!(fault(&with_contact(allotment)), (code.to_owned(), path.to_owned()), "{allotment}");
        }
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
}
