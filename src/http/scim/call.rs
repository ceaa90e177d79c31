//! One call of an identity provider.

use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::app::scim::connections::Connection;
use crate::app::scim::error::Error;
use crate::http::api::Api;
use crate::scim::{Projection, User};
use crate::stages::Context;
use crate::trace;

/// The MIME type of answers.
pub const CONTENT: &str = "application/scim+json";

/// An answer, or the reason why there is none.
pub type Answered = Result<Response, Error>;

/// One call.
pub struct Call {
    /// The state of the servers.
    pub api: Arc<Api>,
    /// The connection that asks.
    pub connection: Connection,
    /// The URL of all resources, as the provider reaches it.
    pub base: String,
    /// The parameters of the query.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Call {
    /// Returns the database and the catalogs.
    pub fn context(&self) -> &Context {
        &self.api.parts.context
    }

    /// Returns an answer with a body.
    pub fn json(&self, status: u16, body: &Value) -> Response {
        json(status, body)
    }

    /// Returns an answer with a user.
    pub fn user(&self, status: u16, user: &User, projection: &Projection) -> Response {
        let mut response = json(status, &user.to_json(&self.base, projection));
        if let Ok(tag) = HeaderValue::try_from(user.version()) {
            response.headers_mut().insert(ETAG, tag);
        }
        if let Ok(location) = HeaderValue::try_from(user.location(&self.base)) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    /// Returns a header as text; nothing if it is none.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the W3C trace context, if it is valid.
    pub fn traceparent(&self) -> Option<String> {
        trace::validated(self.header(trace::TRACEPARENT)?)
    }

    /// Returns the attributes that the answer has.
    pub fn projection(&self) -> Projection {
        let named = |name: &'static str| {
            let values = self.query.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
            values.flat_map(|(_, value)| value.split(','))
        };
        Projection::of(named("attributes"), named("excludedAttributes"))
    }
}

/// Returns an answer with a body.
pub fn json(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, CONTENT)], body.to_string()).into_response()
}
