//! The rules that every route shares: who asks, how often, with which scope; the length of a body; the headers of an answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts as Head;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::budget::{Purpose, Turn, busy};
use super::call::{Call, internal};
use super::route::{self, Place, Route};
use super::state::Api;
use crate::app::access::Access;
use crate::app::{self, tokens};
use crate::contract::{DeadLetterCode, TokenScope};
use crate::http::ends::Ends;
use crate::http::problem::{Problem, ProblemReason, Result};

/// The time within which a body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The time for an answer. A database that is away is waited for no longer.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Answers a request by a route.
pub async fn answer(api: Arc<Api>, route: Arc<Route>, request: Request) -> Response {
    let began = Instant::now();
    let mut response = match tokio::time::timeout(TIMEOUT, call(api, &route, request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => busy("the database does not answer").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The template of the path: ids and names stay out of the log.
    let (method, path, status) = (route.method.name(), route.path, response.status().as_u16());
    tracing::info!(method, path, status, ms = began.elapsed().as_millis() as u64, "HTTP request");
    response
}

async fn call(api: Arc<Api>, route: &Route, request: Request) -> Result<Response> {
    let (mut head, body) = request.into_parts();
    let (principal, credential) = match route.scopes {
        [] => (None, None),
        scopes => {
            let access = authorized(&api, &head, scopes).await?;
            (Some(access.principal), Some(access.credential))
        }
    };
    let query = query(route, &head)?;
    let path = path(&mut head).await?;
    let (_room, body) = match route.body {
        Some(kind) => received(&api, &head, kind, body).await?,
        None => (None, Vec::new()),
    };
    (route.handler)(Call { api, principal, credential, path, query, headers: head.headers, body }).await
}

/// Returns who asks, if their token has every scope.
async fn authorized(api: &Api, head: &Head, needed: &[TokenScope]) -> Result<Access> {
    let access = authenticated(api, head).await?;
    if let Err(seconds) = api.rates.call(&access.credential) {
        return Err(too_many("the token is used too often", seconds));
    }
    match needed.iter().find(|scope| !access.scopes.contains(scope)) {
        None => Ok(access),
        Some(scope) => {
            let detail = format!("the token has no scope `{scope}`");
            Err(Problem::new(StatusCode::FORBIDDEN, "missing_scope", detail).hint("create a token with this scope"))
        }
    }
}

async fn authenticated(api: &Api, head: &Head) -> Result<Access> {
    let address = client(api, head);
    if let Some(Err(seconds)) = address.map(|address| api.rates.may_authenticate(address)) {
        return Err(too_many("authentication has failed too often", seconds));
    }
    let unauthenticated = |detail: &str| {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
            .hint("send `Authorization: Bearer` with a token of `handover token create`")
            .challenge()
    };
    let Some(token) = bearer(head) else { return Err(unauthenticated("the request has no token, or not just one")) };
    let turn = api.budget.turn(Purpose::Authentication).await?;
    let found = tokens::authenticate(&api.parts.context, token).await.map_err(problem)?;
    drop(turn);
    found.ok_or_else(|| {
        if let Some(address) = address {
            api.rates.failure(address);
        }
        unauthenticated("the token is not valid")
    })
}

/// Returns the problem of a caller who comes too often.
pub fn too_many(why: &str, seconds: u64) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", why)
        .hint("wait as long as `Retry-After` says")
        .retry_after(seconds)
}

/// Returns the token of a request, if it has exactly one.
pub fn bearer(head: &Head) -> Option<&str> {
    let mut values = head.headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the address of the client. A proxy that the settings list says whose it is, last in the header.
pub fn client(api: &Api, head: &Head) -> Option<IpAddr> {
    let peer = head.extensions.get::<Ends>()?.peer.ip().to_canonical();
    if !api.parts.trusted_proxies.contains(&peer) {
        return Some(peer);
    }
    let forwarded = head.headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    forwarded.and_then(|value| value.rsplit(',').next()?.trim().parse().ok()).or(Some(peer))
}

/// Returns the parameters of the query, which the route must know.
fn query(route: &Route, head: &Head) -> Result<BTreeMap<String, String>> {
    let known: Vec<&str> = (route.parameters.iter())
        .filter(|parameter| parameter.place == Place::Query)
        .map(|parameter| parameter.name)
        .collect();
    let mut query = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
        if !known.contains(&name.as_ref()) {
            let hint = match known.is_empty() {
                true => "the path takes no parameters".to_owned(),
                false => format!("the path takes {}", known.join(", ")),
            };
            return Err(Problem::parameter(&name, "there is no such parameter").hint(hint));
        }
        if query.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(Problem::parameter(&name, "it occurs more than once"));
        }
    }
    // No database stores it in a text.
    match query.iter().find(|(_, value)| value.contains('\0')) {
        Some((name, _)) => Err(Problem::parameter(name, "it contains control characters")),
        None => Ok(query),
    }
}

/// Returns the parameters in the path.
pub async fn path(head: &mut Head) -> Result<BTreeMap<String, String>> {
    let parameters = RawPathParams::from_request_parts(head, &()).await;
    let parameters = parameters.map_err(|_| Problem::not_found("the path is not UTF-8"))?;
    Ok(parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Receives a body of a kind, within its bounds. Of files a few arrive at a time: the call holds the room for its own.
async fn received(api: &Api, head: &Head, kind: route::Body, body: Body) -> Result<(Option<Turn>, Vec<u8>)> {
    check_media_type(head, kind.media_types())?;
    if body.size_hint().lower() > kind.most_bytes() as u64 {
        return Err(too_large(kind.most_bytes()));
    }
    let room = match kind {
        route::Body::Json(_) => None,
        route::Body::File => Some(api.budget.upload().await?),
    };
    Ok((room, read(body, kind.most_bytes()).await?))
}

fn check_media_type(head: &Head, known: &[&str]) -> Result<()> {
    let given = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (kind, _) = given.split_once(';').unwrap_or((given, ""));
    match known.iter().any(|known| kind.trim().eq_ignore_ascii_case(known)) {
        true => Ok(()),
        false => {
            let detail = "the body has another media type than the path takes";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
                .hint(format!("send `Content-Type: {}`", known.join("`, or `"))))
        }
    }
}

/// Reads a body within its bounds.
pub async fn read(body: Body, most: usize) -> Result<Vec<u8>> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, most).collect()).await;
    let late = |_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "slow_body", "the body did not arrive in time")
            .hint(format!("send it within {} seconds", BODY_TIMEOUT.as_secs()))
    };
    let collected = collected.map_err(late)?.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => too_large(most),
        None => Problem::new(StatusCode::BAD_REQUEST, "broken_body", "the body ended early")
            .hint("send as many bytes as `Content-Length` says"),
    })?;
    Ok(collected.to_bytes().to_vec())
}

fn too_large(most: usize) -> Problem {
    let detail = format!("the body is too long: the maximum is {most} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).hint("send it in several parts")
}

/// Returns the problem of a use case that failed.
pub fn problem(error: app::Error) -> Problem {
    if error.is_transient() {
        tracing::warn!(%error, "an HTTP request found the database unavailable or busy");
        return busy("the database is unavailable or busy");
    }
    match &error {
        app::Error::Invalid(invalid) => Problem::invalid(invalid),
        app::Error::OtherPrincipal(claim) => {
            let (what, field) = (error.to_string(), claim.field());
            let hint = format!("leave `{field}` out of the body: the token says it");
            let reason = ProblemReason::of_field(DeadLetterCode::OtherPrincipal.name(), field, &what, &hint);
            Problem::new(StatusCode::FORBIDDEN, "other_principal", what).hint(hint).because([reason])
        }
        app::Error::Broker(_) => {
            tracing::warn!(%error, "an HTTP request found the broker unavailable");
            busy("the broker is unavailable")
        }
        app::Error::File(what) => {
            let unreadable = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unreadable_file", what.as_str());
            let of_options = "options of the command line are parameters here: `--sheet` is `sheet`";
            if what.contains(" --") { unreadable.hint(of_options) } else { unreadable }
        }
        app::Error::TooManyUploads(_) => Problem::new(StatusCode::CONFLICT, "too_many_uploads", error.to_string())
            .hint("submit or read those that you have"),
        app::Error::UnknownDeadLetters(_) | app::Error::UnknownReason { .. } => {
            Problem::new(StatusCode::NOT_FOUND, "unknown_dead_letter", error.to_string())
                .hint("`/v1/dead-letters` lists those in the queue")
        }
        app::Error::UnknownOrganization { .. }
        | app::Error::OrgRequired
        | app::Error::Token { .. }
        | app::Error::NoExample { .. }
        | app::Error::HasUsers(_)
        | app::Error::DatabaseUnavailable(_)
        | app::Error::Store(_)
        | app::Error::Ledger(_)
        | app::Error::CatalogUnreadable { .. }
        | app::Error::CatalogFaults(_)
        | app::Error::Json { .. } => internal(&error),
    }
}
