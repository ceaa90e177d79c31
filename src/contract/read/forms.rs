//! Reads requests of each form.

use super::allotments::reassign;
use super::fields::{boolean, id, job_id, names, one_of, request_type, text};
use super::json::Json;
use super::object::Object;
use super::path::Path;
use super::times::time;
use crate::contract::handover::Form;
use crate::contract::{
    CatalogChoice, DeadLetterCode, Drift, Faults, HandoverRequest, InviteCommand, JobCommand, OrgId, Request,
    RequestId, RequestType, UserCommand, UserId,
};

/// The maximum length of `reason`, in characters.
const LONGEST_REASON: usize = 2_000;

/// The maximum lengths of an invited user's name and address, in characters (RFC 5321 allows an address 64 + 1 + 255).
const LONGEST_NAME: usize = 200;
const LONGEST_EMAIL: usize = 320;

/// The forms of an id.
const ID: &str = "\"53\"";

/// Reads a request.
pub fn request(json: &Json, faults: &mut Faults) -> Option<Request> {
    let Json::Object(object) = json else {
        let hint = match json {
            Json::List(_) => "send each request as a message of its own",
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => {
                "send a JSON object, such as {\"type\": \"deactivate\", …}"
            }
        };
        return faults.add(
            DeadLetterCode::NotAnObject,
            ".",
            format!("a request is an object, and this is {json}"),
            hint,
        );
    };
    let mut object = Object::open(object, &Path::Root, faults);
    let kind = object.required("type", "\"deactivate\", or another type", faults, request_type);
    let header = Header::read(&mut object, faults);
    // Without a type it is open which other fields there may be.
    let kind = kind?;
    match kind.form() {
        Form::Handover => handover(kind, header, object, faults).map(Request::Handover),
        Form::User => user(kind, header, object, faults).map(Request::User),
        Form::Invite => invite(kind, header, object, faults).map(Request::Invite),
        Form::Job => job(kind, header, object, faults).map(Request::Job),
    }
}

/// The fields that every request has.
struct Header {
    request_id: Option<RequestId>,
    org_id: Option<OrgId>,
    requested_by: Option<UserId>,
    reason: Option<String>,
}

impl Header {
    fn read(object: &mut Object<'_, '_>, faults: &mut Faults) -> Header {
        Header {
            request_id: object.required("request_id", "\"hr-2026-00017\"", faults, id),
            org_id: object.optional("org_id", faults, id),
            requested_by: object.required("requested_by", "\"1\"", faults, id),
            reason: object.optional("reason", faults, |json, path, faults| text(json, LONGEST_REASON, path, faults)),
        }
    }
}

fn handover(
    kind: RequestType,
    header: Header,
    mut object: Object<'_, '_>,
    faults: &mut Faults,
) -> Option<HandoverRequest> {
    let user_id = object.required("user_id", ID, faults, id);
    let effective_at = object.optional("effective_at", faults, time);
    let reassigns = kind == RequestType::Reassign;
    let allotments = match reassigns {
        true => object.required("reassign", "{\"contact\": {\"user\": \"11\"}}", faults, reassign),
        false => object.given("reassign", faults, reassign),
    };
    // A `reassign` only moves records.
    let return_at = if reassigns { None } else { object.optional("return_at", faults, time) };
    let lock_out = if reassigns { None } else { object.given("lock_out", faults, boolean) };
    let also = object.given("also", faults, names);
    let bulk = object.given("bulk", faults, boolean);
    let expect = object.optional("expect", faults, |json, path, faults| text(json, usize::MAX, path, faults));
    let drift = object.given("drift", faults, |json, path, faults| one_of(&Drift::ALL, json, path, faults));
    object.close(&format!("a request of type `{kind}`"), faults);
    if reassigns && allotments.as_ref().is_some_and(|allotments| allotments.is_empty()) {
        names_nobody(faults);
    }
    if let (Some(leaves), Some(returns)) = (effective_at, return_at)
        && returns <= leaves
    {
        let detail = "the user would return before they leave";
        let hint = "write a time later than `effective_at`";
        faults.add::<()>(DeadLetterCode::InvalidField, "return_at", detail, hint);
    }
    Some(HandoverRequest {
        kind,
        request_id: header.request_id?,
        org_id: header.org_id,
        user_id: user_id?,
        requested_by: header.requested_by?,
        reason: header.reason,
        effective_at,
        return_at,
        lock_out: lock_out.unwrap_or_default(),
        reassign: allotments.unwrap_or_default(),
        also: also.unwrap_or_default(),
        bulk: bulk.unwrap_or_default(),
        expect,
        drift: drift.unwrap_or_default(),
    })
}

fn names_nobody(faults: &mut Faults) {
    let hint = "name a successor for at least one kind, such as {\"contact\": {\"user\": \"11\"}}";
    faults.add::<()>(DeadLetterCode::MissingField, "reassign", "`reassign` names no kind", hint);
}

fn user(kind: RequestType, header: Header, mut object: Object<'_, '_>, faults: &mut Faults) -> Option<UserCommand> {
    let user_id = object.required("user_id", ID, faults, id);
    object.close(&format!("a request of type `{kind}`"), faults);
    Some(UserCommand {
        kind,
        request_id: header.request_id?,
        org_id: header.org_id,
        user_id: user_id?,
        requested_by: header.requested_by?,
        reason: header.reason,
    })
}

fn invite(kind: RequestType, header: Header, mut object: Object<'_, '_>, faults: &mut Faults) -> Option<InviteCommand> {
    let name = object
        .required("name", "\"Robin Vale\"", faults, |json, path, faults| person_text(json, LONGEST_NAME, path, faults));
    let email = object.required("email", "\"robin@example.com\"", faults, email);
    object.close(&format!("a request of type `{kind}`"), faults);
    Some(InviteCommand {
        kind,
        request_id: header.request_id?,
        org_id: header.org_id,
        name: name?,
        email: email?,
        requested_by: header.requested_by?,
        reason: header.reason,
    })
}

fn person_text(json: &Json, longest: usize, path: &Path<'_>, faults: &mut Faults) -> Option<String> {
    let text = text(json, longest, path, faults)?;
    if text.trim().is_empty() {
        return faults.add(DeadLetterCode::InvalidField, path, "the text is empty", "fill it in");
    }
    if text.chars().any(char::is_control) {
        return faults.add(DeadLetterCode::InvalidField, path, "the text contains control characters", "remove them");
    }
    Some(text)
}

fn email(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<String> {
    let email = person_text(json, LONGEST_EMAIL, path, faults)?;
    let parts: Vec<&str> = email.split('@').collect();
    let is_address = matches!(parts.as_slice(), [local, domain] if !local.is_empty() && !domain.is_empty());
    match is_address && !email.contains(char::is_whitespace) {
        true => Some(email),
        false => {
            let hint = "write it in the form name@example.com";
            faults.add(DeadLetterCode::InvalidField, path, "it is not an email address", hint)
        }
    }
}

fn job(kind: RequestType, header: Header, mut object: Object<'_, '_>, faults: &mut Faults) -> Option<JobCommand> {
    let job_id = object.required("job_id", "\"6b0c3e7e-3c5c-5f7c-9d0a-0c7d1f6c2a11\"", faults, job_id);
    // Only an `amend` names successors.
    let allotments = match kind == RequestType::Amend {
        true => object.required("reassign", "{\"contact\": {\"user\": \"11\"}}", faults, reassign),
        false => None,
    };
    let catalog = match kind == RequestType::Resume {
        true => {
            object.optional("catalog", faults, |json, path, faults| one_of(&CatalogChoice::ALL, json, path, faults))
        }
        false => None,
    };
    object.close(&format!("a request of type `{kind}`"), faults);
    if allotments.as_ref().is_some_and(|allotments| allotments.is_empty()) {
        names_nobody(faults);
    }
    Some(JobCommand {
        kind,
        request_id: header.request_id?,
        org_id: header.org_id,
        job_id: job_id?,
        requested_by: header.requested_by?,
        reason: header.reason,
        catalog,
        reassign: allotments.unwrap_or_default(),
    })
}
