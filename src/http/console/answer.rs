//! Answers with pages: the frame around each, the page of a problem, and the headers of all.

use askama::Template;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::assets::{SCRIPT, STYLE};
use super::texts;
use crate::app::sign_in::SignedIn;
use crate::http::api::call::internal;
use crate::http::problem::{Problem, ProblemReason, Result};

/// Nothing but our own files and forms, and no page of others around ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The frame around a page.
pub struct Frame {
    /// The title.
    pub title: String,
    /// The part of the console that the page belongs to.
    pub section: Section,
    /// The name of the person who is signed in.
    pub person: Option<String>,
}

/// A part of the console, as its navigation lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Users.
    Users,
    /// Jobs.
    Jobs,
    /// Files with many leavers.
    Bulk,
    /// Jobs and waves that wait for a person.
    Inbox,
    /// None of them.
    None,
}

/// An option of a list.
pub struct Choice {
    /// The value.
    pub value: &'static str,
    /// The label.
    pub label: String,
    /// True if it is the one that is chosen.
    pub is_chosen: bool,
}

impl Frame {
    /// Returns the path of the style.
    pub fn style(&self) -> &'static str {
        &STYLE.path
    }

    /// Returns the path of the script.
    pub fn script(&self) -> &'static str {
        &SCRIPT.path
    }

    /// Returns the attribute of a link in the navigation.
    pub fn is_in(&self, section: Section) -> bool {
        self.section == section
    }
}

/// The page of a problem.
#[derive(Template)]
#[template(path = "failure.html")]
struct Failure<'p> {
    frame: Frame,
    detail: &'p str,
    hint: Option<&'p str>,
    reasons: &'p [ProblemReason],
}

/// Answers with a page.
pub fn page(status: StatusCode, template: &impl Template) -> Result<Response> {
    let text = template.render().map_err(|error| internal(&error))?;
    Ok((status, [(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}

/// Answers with the page of a problem.
pub fn failure(person: Option<&SignedIn>, problem: Problem) -> Response {
    let details = problem.details();
    let status = StatusCode::from_u16(details.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let template = Failure {
        frame: Frame {
            title: texts::title_of(status),
            section: Section::None,
            person: person.map(|person| person.name.clone()),
        },
        detail: &details.detail,
        hint: details.hint.as_deref(),
        reasons: &details.reasons,
    };
    let mut response = page(status, &template).unwrap_or_else(IntoResponse::into_response);
    protect(response.headers_mut());
    response
}

/// Sends the browser to another page, after a form.
pub fn see(path: &str) -> Result<Response> {
    let location = HeaderValue::try_from(path).map_err(|error| internal(&error))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
}

/// Sets the headers of every page.
pub fn protect(headers: &mut HeaderMap) {
    let all = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
