//! Signs a person in by a link, and out.
//!
//! A link is opened by a page that names the person, and used by its button: programs that look at links in messages use nothing up.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::Response;

use crate::app::sign_in;
use crate::http::api::dispatch::{problem, too_many};
use crate::http::console::answer::{Frame, Section, page, see};
use crate::http::console::page::Page;
use crate::http::console::visit::{Visit, not_signed_in};
use crate::http::console::{cookie, texts};
use crate::http::problem::{Problem, Result};

const HOME: &str = "/users";

/// The page that a link opens.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'p> {
    frame: Frame,
    name: &'p str,
    email: &'p str,
    link: &'p str,
}

/// The page after signing out.
#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutPage {
    frame: Frame,
}

pub fn pages() -> Vec<Page> {
    vec![
        Page::get("/", |visit| Box::pin(home(visit))).for_anyone(),
        Page::get("/login/{link}", |visit| Box::pin(link(visit))).for_anyone(),
        Page::post("/login", |visit| Box::pin(enter(visit))).for_anyone(),
        Page::post("/logout", |visit| Box::pin(leave(visit))).for_anyone(),
    ]
}

async fn home(visit: Visit) -> Result<Response> {
    match visit.person {
        Some(_) => see(HOME),
        None => Err(not_signed_in()),
    }
}

/// Shows whom a link signs in. Changes nothing.
async fn link(visit: Visit) -> Result<Response> {
    let link = visit.in_path("link");
    may_try(&visit)?;
    let turn = visit.console.api.budget.read().await?;
    let found = sign_in::owner_of_link(visit.context(), link).await.map_err(problem)?;
    drop(turn);
    let Some(person) = found else { return Err(used_up(&visit)) };
    let name = if person.name.is_empty() { person.id.as_str() } else { &person.name };
    visit.page(&SignInPage { frame: visit.frame(Section::None, texts::SIGN_IN), name, email: &person.email, link })
}

/// Uses a link.
async fn enter(visit: Visit) -> Result<Response> {
    may_try(&visit)?;
    let turn = visit.console.api.budget.write().await?;
    let link = visit.form.get("link").unwrap_or_default();
    let secret = sign_in::sign_in(visit.context(), link).await.map_err(problem)?;
    // The browser's former session is not left behind.
    if let (Some(_), Some(former)) = (&secret, &visit.person) {
        sign_in::sign_out(visit.context(), former).await.map_err(problem)?;
    }
    drop(turn);
    let Some(secret) = secret else { return Err(used_up(&visit)) };
    let mut response = see(HOME)?;
    response.headers_mut().extend(cookie::store(&visit.console.public, &secret).map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

async fn leave(visit: Visit) -> Result<Response> {
    if let Some(person) = &visit.person {
        let _turn = visit.console.api.budget.write().await?;
        sign_in::sign_out(visit.context(), person).await.map_err(problem)?;
    }
    let frame = Frame { person: None, ..visit.frame(Section::None, texts::SIGNED_OUT) };
    let mut response = page(StatusCode::OK, &SignedOutPage { frame })?;
    response.headers_mut().extend(cookie::clear(&visit.console.public).map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

/// Bounds how often an address may guess.
fn may_try(visit: &Visit) -> Result<()> {
    match visit.client.map(|address| visit.console.api.rates.may_authenticate(address)) {
        Some(Err(seconds)) => Err(too_many(texts::TOO_OFTEN, seconds)),
        Some(Ok(())) | None => Ok(()),
    }
}

/// Counts a link that is not valid, and returns its problem.
fn used_up(visit: &Visit) -> Problem {
    if let Some(address) = visit.client {
        visit.console.api.rates.failure(address);
    }
    Problem::new(StatusCode::GONE, "link_used_up", texts::LINK_USED_UP).hint(texts::HOW_TO_SIGN_IN)
}
