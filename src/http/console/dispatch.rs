//! The rules that every page shares: who is signed in, where a form comes from, its length, and the headers of an answer.

use std::time::{Duration, Instant};

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::request::Parts as Head;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::answer::{failure, protect};
use super::fields::Fields;
use super::page::{Audience, Method, Page};
use super::state::Console;
use super::upload::{self, File};
use super::visit::{Visit, not_signed_in};
use super::{cookie, origin, texts};
use crate::app::sign_in::{self, SignedIn};
use crate::contract::MAX_REQUEST_BYTES;
use crate::http::api::budget::{Turn, busy};
use crate::http::api::dispatch::{client, path, problem, read, too_many};
use crate::http::problem::{Problem, Result};

/// The time for an answer. A database that is away is waited for no longer.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Answers a visit.
pub async fn answer(console: Console, page: Arc<Page>, request: Request) -> Response {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let work = async {
        let person = authenticate(&console, &head).await.map_err(|problem| (None, problem))?;
        let shown = person.clone();
        visit(&console, &page, person, head, body).await.map_err(|problem| (shown, problem))
    };
    let mut response = match tokio::time::timeout(TIMEOUT, work).await {
        Ok(Ok(response)) => response,
        Ok(Err((person, problem))) => failure(person.as_ref(), problem),
        Err(_) => failure(None, busy("the database does not answer")),
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110 asks for a challenge. Browsers ignore the ones that they do not know.
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Link realm=\"handover\""));
    }
    protect(response.headers_mut());
    // The template of the path: ids, names and links stay out of the log.
    let (method, path, status) = (page.method.name(), page.path, response.status().as_u16());
    tracing::info!(method, path, status, ms = began.elapsed().as_millis() as u64, "HTTP request");
    response
}

/// Returns who is signed in. A cookie is the only way: tokens of the API do not open pages.
async fn authenticate(console: &Console, head: &Head) -> Result<Option<SignedIn>> {
    let Some(secret) = cookie::secret(&head.headers, &console.public) else { return Ok(None) };
    let _turn = console.api.budget.read().await?;
    sign_in::authenticate(&console.api.parts.context, secret).await.map_err(problem)
}

async fn visit(
    console: &Console,
    page: &Page,
    person: Option<SignedIn>,
    mut head: Head,
    body: axum::body::Body,
) -> Result<Response> {
    match (&person, page.audience) {
        (None, Audience::SignedIn) => return Err(not_signed_in()),
        (Some(person), Audience::SignedIn | Audience::Anyone) => {
            let taken = console.api.rates.call(&person.session);
            taken.map_err(|seconds| too_many(texts::TOO_OFTEN, seconds))?;
        }
        (None, Audience::Anyone) => {}
    }
    let Received { form, file, _room } = receive(console, page.method, &head, body).await?;
    let query = Fields::read(head.uri.query().unwrap_or_default().as_bytes())?;
    let client = client(&console.api, &head);
    let path = path(&mut head).await?;
    (page.handler)(Visit { console: console.clone(), person, path, query, form, file, client }).await
}

/// The content of a form.
#[derive(Default)]
struct Received {
    form: Fields,
    file: Option<File>,
    /// The room that the file takes until the visit ends.
    _room: Option<Turn>,
}

/// Receives a form of one of our own pages, within its bounds.
async fn receive(console: &Console, method: Method, head: &Head, body: axum::body::Body) -> Result<Received> {
    Ok(match method {
        Method::Get => Received::default(),
        Method::Post => {
            origin::check(&head.headers, &console.public)?;
            check_media_type(head)?;
            Received { form: Fields::read(&read(body, MAX_REQUEST_BYTES).await?)?, ..Received::default() }
        }
        Method::Upload => {
            origin::check(&head.headers, &console.public)?;
            let room = console.api.budget.upload().await?;
            let (form, file) = upload::read(head, body).await?;
            Received { form, file, _room: Some(room) }
        }
    })
}

fn check_media_type(head: &Head) -> Result<()> {
    let given = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    match kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        true => Ok(()),
        false => Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", texts::NO_FORM)),
    }
}
