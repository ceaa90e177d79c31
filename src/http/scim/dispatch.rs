//! The rules that every endpoint shares: which connection asks, how often; the length of a body; the headers of an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts as Head;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use super::call::{Answered, CONTENT, Call, json};
use super::endpoint::Endpoint;
use super::{discovery, users};
use crate::app::scim::connections::{self, Connection};
use crate::app::scim::error::Error;
use crate::contract::MAX_REQUEST_BYTES;
use crate::http::api::{Api, Purpose, bearer, client, read_body};
use crate::http::ends::Ends;
use crate::scim::Failure;

/// The path of all resources.
pub const ROOT: &str = "/scim/v2";

/// The time for an answer. A provider sends the same again later.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Answers a request.
pub async fn answer(api: Arc<Api>, request: Request) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().strip_prefix(ROOT).unwrap_or_default();
    let endpoint = Endpoint::of(&method, &decoded(path));
    let template = endpoint.as_ref().map_or("/scim/v2/{path}", Endpoint::template);
    let mut response = match tokio::time::timeout(TIMEOUT, call(api, endpoint, request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(refused)) => refused.into_response(),
        Err(_) => Refused::busy("the database does not answer").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The template of the path: ids and filters stay out of the log.
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis() as u64);
    tracing::info!(method = %method, path = template, status, ms, "SCIM request");
    response
}

/// An error, with the headers that go with it.
struct Refused {
    failure: Failure,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refused {
    fn busy(why: &str) -> Refused {
        Refused {
            failure: Failure::new(503, format!("{why}: send the same request again")),
            header: Some((RETRY_AFTER, 1.into())),
        }
    }

    fn too_many(why: &str, seconds: u64) -> Refused {
        Refused { failure: Failure::new(429, why), header: Some((RETRY_AFTER, seconds.into())) }
    }

    fn unauthenticated(why: &str) -> Refused {
        let detail = format!("{why}: send `Authorization: Bearer` with a token of `handover scim add`");
        let challenge = HeaderValue::from_static("Bearer realm=\"handover\"");
        Refused { failure: Failure::new(401, detail), header: Some((WWW_AUTHENTICATE, challenge)) }
    }

    fn into_response(self) -> Response {
        let mut response = json(self.failure.status, &self.failure.to_json());
        response.headers_mut().extend(self.header);
        response
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused { failure, header: None }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        match error {
            Error::Failed(failure) => failure.into(),
            Error::App(error) if error.is_transient() => {
                tracing::warn!(%error, "a SCIM request found the database unavailable or busy");
                Refused::busy("the database is unavailable or busy")
            }
            Error::App(error) => {
                tracing::error!(%error, "a SCIM request failed");
                Failure::new(500, "the request failed; the log says why").into()
            }
        }
    }
}

async fn call(api: Arc<Api>, endpoint: Result<Endpoint, Failure>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let connection = authenticated(&api, &head).await?;
    let endpoint = endpoint?;
    let body = match endpoint.has_body() {
        true => {
            check_media_type(&head)?;
            read_body(body, MAX_REQUEST_BYTES)
                .await
                .map_err(|problem| Failure::new(problem.status(), problem.detail()))?
        }
        false => Vec::new(),
    };
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let base = base(&api, &head);
    let call = Call { api, connection, base, query, headers: head.headers, body };
    let _turn =
        call.api.budget.turn(endpoint.purpose()).await.map_err(|_| Refused::busy("too many calls use the database"))?;
    let answered = route(&call, endpoint).await;
    if let Err(Error::Failed(failure)) = &answered {
        note(&call, failure).await;
    }
    Ok(answered?)
}

async fn route(call: &Call, endpoint: Endpoint) -> Answered {
    match endpoint {
        Endpoint::Configuration => discovery::configuration(call),
        Endpoint::Schemas => discovery::schemas(call),
        Endpoint::Schema(id) => discovery::schema(call, &id),
        Endpoint::ResourceTypes => discovery::resource_types(call),
        Endpoint::ResourceType(id) => discovery::resource_type(call, &id),
        Endpoint::List => users::list(call).await,
        Endpoint::Search => users::search(call).await,
        Endpoint::Read(id) => users::read(call, &id).await,
        Endpoint::Create => users::create(call).await,
        Endpoint::Replace(id) => users::replace(call, &id).await,
        Endpoint::Patch(id) => users::patch(call, &id).await,
        Endpoint::Delete(id) => users::delete(call, &id).await,
    }
}

/// Notes an error for the list of connections. A user who does not exist is none: providers look for users.
async fn note(call: &Call, failure: &Failure) {
    if failure.status == 404 {
        return;
    }
    let text = format!("{}: {}", failure.status, failure.detail);
    if let Err(error) = connections::note_error(call.context(), &call.connection, &text).await {
        tracing::warn!(%error, "the error of a connection was not noted");
    }
}

async fn authenticated(api: &Api, head: &Head) -> Result<Connection, Refused> {
    let address = client(api, head);
    if let Some(Err(seconds)) = address.map(|address| api.rates.may_authenticate(address)) {
        return Err(Refused::too_many("authentication has failed too often", seconds));
    }
    let Some(token) = bearer(head) else { return Err(Refused::unauthenticated("the request has no token")) };
    let turn =
        api.budget.turn(Purpose::Authentication).await.map_err(|_| Refused::busy("too many calls use the database"))?;
    let found = connections::authenticate(&api.parts.context, token).await.map_err(Error::App)?;
    drop(turn);
    let Some(connection) = found else {
        address.into_iter().for_each(|address| api.rates.failure(address));
        return Err(Refused::unauthenticated("the token is not valid, or is of no connection"));
    };
    match api.rates.call(&connection.credential) {
        Ok(()) => Ok(connection),
        Err(seconds) => Err(Refused::too_many("the connection calls too often", seconds)),
    }
}

fn check_media_type(head: &Head) -> Result<(), Failure> {
    let given = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    match [CONTENT, "application/json"].iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        true => Ok(()),
        false => Err(Failure::new(415, format!("send `Content-Type: {CONTENT}`"))),
    }
}

/// Returns the URL of all resources, as the provider reaches it. Only a proxy that the settings list says how.
fn base(api: &Api, head: &Head) -> String {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let is_safe = |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte));
    let host = header(HOST.as_str()).filter(is_safe).unwrap_or("localhost");
    let has_tls = head.extensions.get::<Ends>().is_some_and(|ends| ends.has_tls);
    let is_https = has_tls || !api.parts.trusted_proxies.is_empty() && header("x-forwarded-proto") != Some("http");
    format!("{}://{host}{ROOT}", if is_https { "https" } else { "http" })
}

/// Decodes a path. A plus is a plus there.
fn decoded(path: &str) -> String {
    let pair = format!("p={}", path.replace('+', "%2B").replace('&', "%26").replace('=', "%3D"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs.next().map_or(String::new(), |(_, value)| value.into_owned())
}
