//! One call of a route: who asks, and what was sent.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::http::header::{ETAG, IF_NONE_MATCH, LINK};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::state::Api;
use crate::app::access::Principal;
use crate::app::jobs::Cursor;
use crate::contract::hex;
use crate::http::problem::{Problem, Result};
use crate::store::ledger::jobs::Job;
use crate::trace;

/// Entries of a page, if the call does not say.
const PAGE: u64 = 50;

/// Entries of a page, at most.
const MOST: u64 = 200;

/// The hint for a place in a list that cannot be read.
pub const CURSOR_HINT: &str = "take it from the page before, or leave it out to begin anew";

/// One call of a route.
pub struct Call {
    /// The state of the API.
    pub api: Arc<Api>,
    /// The principal who asks; nothing on a route that everybody may ask.
    pub principal: Option<Principal>,
    /// The id of the token; nothing on a route that everybody may ask.
    pub credential: Option<String>,
    /// The parameters in the path.
    pub path: BTreeMap<String, String>,
    /// The parameters of the query.
    pub query: BTreeMap<String, String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Call {
    /// Returns who asks.
    pub fn principal(&self) -> Result<&Principal> {
        self.principal.as_ref().ok_or_else(no_token)
    }

    /// Returns the id of the token.
    pub fn credential(&self) -> Result<&str> {
        self.credential.as_deref().ok_or_else(no_token)
    }

    /// Returns the organization of who asks.
    pub fn org(&self) -> Result<&str> {
        let no_org = || {
            Problem::new(StatusCode::FORBIDDEN, "no_organization", "an operator's token is of no organization")
                .hint("use the token of a person or a service")
        };
        self.principal()?.org().ok_or_else(no_org)
    }

    /// Returns a parameter in the path.
    pub fn in_path(&self, name: &str) -> &str {
        self.path.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Returns the id in the path.
    pub fn id(&self, name: &str) -> Result<Uuid> {
        self.in_path(name).parse().map_err(|_| Problem::not_found("there is no job with this id"))
    }

    /// Returns a parameter of the query.
    pub fn in_query<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>> {
        let text = self.query.get(name).filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|error| Problem::parameter(name, error))).transpose()
    }

    /// Returns a parameter of the query that is a whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        let text = self.query.get(name).filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|_| Problem::parameter(name, "it must be a whole number"))).transpose()
    }

    /// Returns the values of a parameter that commas separate.
    pub fn listed<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Vec<T>> {
        let texts = self.query.get(name).into_iter().flat_map(|text| text.split(',')).filter(|text| !text.is_empty());
        texts.map(|text| text.parse().map_err(|error| Problem::parameter(name, error))).collect()
    }

    /// Returns the number of entries that a page has.
    pub fn limit(&self) -> Result<u64> {
        match self.number("limit")? {
            None => Ok(PAGE),
            Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::parameter("limit", format!("it must be 1 to {MOST}"))),
        }
    }

    /// Returns a header as text.
    pub fn header(&self, name: &str) -> Result<Option<&str>> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                value.to_str().map(Some).map_err(|_| Problem::parameter(name, "it is no plain text"))
            }
            (Some(_), Some(_)) => Err(Problem::parameter(name, "it occurs more than once")),
        }
    }

    /// Returns the W3C trace context, if it is valid.
    pub fn traceparent(&self) -> Option<String> {
        trace::validated(self.headers.get(trace::TRACEPARENT)?.to_str().ok()?)
    }

    /// Returns the version of a job that a command names in `If-Match`; nothing if any will do.
    pub fn version(&self) -> Result<Option<i64>> {
        let Some(tag) = self.header("if-match")?.filter(|tag| *tag != "*") else { return Ok(None) };
        let quoted = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
        let version = quoted.split_once('-').filter(|(_, digest)| !digest.contains('"'));
        let version = version.and_then(|(version, _)| version.parse().ok());
        version.map(Some).ok_or_else(|| {
            Problem::parameter("If-Match", "it must be one ETag of the job, which is not weak")
                .hint("read the job, and send its `ETag` as it is")
        })
    }

    /// Checks that a job is of the organization of who asks. To others it does not exist.
    pub fn owned(&self, job: Option<Job>) -> Result<Job> {
        let org = self.org()?;
        job.filter(|job| job.org == org).ok_or_else(|| Problem::not_found("there is no job with this id"))
    }

    /// Returns the header that links to the next page of a path.
    pub fn link(&self, path: &str, next: &str) -> Option<(HeaderName, HeaderValue)> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.query.iter().filter(|(name, _)| *name != "after"));
        query.append_pair("after", next);
        let link = format!("<{path}?{}>; rel=\"next\"", query.finish());
        Some((LINK, HeaderValue::try_from(link).ok()?))
    }

    /// Answers with a representation of a job and its ETag, or 304 if the sender has it.
    pub fn tagged(&self, version: i64, body: &impl Serialize) -> Result<Response> {
        let body = serde_json::to_vec(body).map_err(|error| internal(&error))?;
        let tag = tag(version, &body);
        let has_it = self.headers.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let is_it = |known: &str| known == "*" || known.trim_start_matches("W/") == tag;
        if has_it.is_some_and(|tags| tags.split(',').any(|known| is_it(known.trim()))) {
            return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
        }
        Ok(([(ETAG, tag.as_str()), (axum::http::header::CONTENT_TYPE, "application/json")], body).into_response())
    }
}

fn no_token() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "no token")
}

/// Returns the ETag of a representation of a job: the number of the job's last event, which `If-Match` compares, and a digest.
pub fn tag(version: i64, body: &[u8]) -> String {
    let digest: String = hex(&Sha256::digest(body)).chars().take(16).collect();
    format!("\"{version}-{digest}\"")
}

/// A page of a list.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// The place where the next page begins, for `after`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T: Serialize> Page<T> {
    /// Answers with the page, and a link to the next one.
    pub fn answer(self, call: &Call, path: &str) -> Response {
        let link = self.next.as_deref().and_then(|next| call.link(path, next));
        let mut response = Json(self).into_response();
        response.headers_mut().extend(link);
        response
    }
}

/// Writes the place of a job in the list.
pub fn written((at, id): Cursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {id}", at.unix_timestamp_nanos()))
}

/// Reads the place of a job in the list.
pub fn cursor(text: &str) -> Result<Cursor> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (at, id) = text.split_once(' ')?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(at.parse().ok()?).ok()?;
        Some((at, id.parse::<Uuid>().ok()?))
    };
    read().ok_or_else(|| Problem::parameter("after", "it is no `next` of a page").hint(CURSOR_HINT))
}

/// Logs an error of ours, and returns a problem that says nothing about it.
pub fn internal(error: &dyn std::error::Error) -> Problem {
    tracing::error!(error = %error, "an HTTP request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request failed; the log says why")
}
