//! Errors of the API: problem details of RFC 9457, with every reason.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::contract::{DeadLetterCode, Fault, InvalidRequest, Reason};

/// The MIME type of problem details.
pub const CONTENT: &str = "application/problem+json";

/// An error.
#[derive(Debug)]
pub struct Problem(Box<Details>);

/// An error, RFC 9457.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Details {
    /// The kind of the problem: `urn:handover:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status, in words.
    title: String,
    /// The HTTP status.
    pub status: u16,
    /// One word for programs.
    code: String,
    /// The cause, for people.
    pub detail: String,
    /// How to fix it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The job that the problem concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Every reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub reasons: Vec<ProblemReason>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One reason of a problem.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProblemReason {
    /// One word for programs.
    pub code: String,
    /// The cause, for people.
    pub message: String,
    /// How to fix it, for people.
    pub hint: String,
    /// The JSON pointer (RFC 6901) to the field of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

/// The result of a route.
pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    /// Creates a problem.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Details {
            kind: format!("urn:handover:problem:{code}"),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            hint: None,
            instance: None,
            reasons: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// Adds how to fix it.
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the URL of the job that it concerns.
    pub fn about(mut self, instance: String) -> Problem {
        self.0.instance = Some(instance);
        self
    }

    /// Adds reasons.
    pub fn because(mut self, reasons: impl IntoIterator<Item = impl Into<ProblemReason>>) -> Problem {
        self.0.reasons.extend(reasons.into_iter().map(Into::into));
        self
    }

    /// Says after how many seconds to try again.
    pub fn retry_after(mut self, seconds: u64) -> Problem {
        self.0.headers.push((RETRY_AFTER, seconds.into()));
        self
    }

    /// Asks for a token.
    pub fn challenge(mut self) -> Problem {
        self.0.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"handover\"")));
        self
    }

    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Returns the cause.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns the details.
    pub fn details(&self) -> &Details {
        &self.0
    }

    /// Creates the problem of something that does not exist.
    pub fn not_found(what: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", what)
            .hint("check the id; nothing of another organization is shown")
    }

    /// Creates the problem of a parameter or header with a wrong value.
    pub fn parameter(name: &str, fault: impl std::fmt::Display) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_parameter", format!("`{name}`: {fault}"))
            .hint("`/v1/openapi.json` describes every parameter and header")
    }

    /// Creates the problem of a request that cannot be read.
    pub fn invalid(invalid: &InvalidRequest) -> Problem {
        Problem::unreadable().because(invalid.faults())
    }

    /// Creates the problem of a field of the body with a wrong value.
    pub fn field(name: &str, fault: &str, hint: &str) -> Problem {
        Problem::unreadable().because([ProblemReason::of_field(DeadLetterCode::InvalidField.name(), name, fault, hint)])
    }

    fn unreadable() -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_request", "the request cannot be read")
            .hint("every reason has a hint: fix them all, and send the request again")
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = std::mem::take(&mut self.0.headers);
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
        response.headers_mut().extend(headers);
        response
    }
}

impl ProblemReason {
    /// Creates a reason that concerns one field of the body.
    pub fn of_field(code: &str, name: &str, message: &str, hint: &str) -> ProblemReason {
        ProblemReason {
            code: code.to_owned(),
            message: message.to_owned(),
            hint: hint.to_owned(),
            pointer: Some(pointer(name)),
        }
    }
}

impl From<&Fault> for ProblemReason {
    fn from(fault: &Fault) -> ProblemReason {
        ProblemReason {
            code: fault.code.to_string(),
            message: fault.detail.clone(),
            hint: fault.hint.clone(),
            pointer: Some(pointer(&fault.path)),
        }
    }
}

impl<C: std::fmt::Display> From<&Reason<C>> for ProblemReason {
    fn from(reason: &Reason<C>) -> ProblemReason {
        let subject = &reason.concerning;
        let of_kind = || subject.kind.as_ref().map(|kind| format!("/reassign/{}", escaped(kind)));
        ProblemReason {
            code: reason.code.to_string(),
            message: reason.message.clone(),
            hint: reason.hint.clone(),
            pointer: subject.path.as_deref().map(pointer).or_else(of_kind),
        }
    }
}

/// Returns the JSON pointer of a path such as `reassign.contact.shares[0].user`. The whole request is the empty pointer.
fn pointer(path: &str) -> String {
    let path = path.replace('[', ".").replace(']', "");
    path.split('.').filter(|part| !part.is_empty()).map(|part| format!("/{}", escaped(part))).collect()
}

fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::pointer;

    #[test]
    fn paths_become_json_pointers() {
        assert_eq!(pointer("reassign.contact.shares[0].user"), "/reassign/contact/shares/0/user");
        assert_eq!(pointer("a/b~c"), "/a~1b~0c");
        assert_eq!(pointer("."), "");
    }
}
