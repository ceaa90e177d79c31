//! Refuses forms that another site sends in a person's name.

use axum::http::header::{HeaderName, ORIGIN};
use axum::http::{HeaderMap, StatusCode};

use super::texts;
use crate::http::problem::{Problem, Result};
use crate::http::settings::PublicUrl;

/// The relation of the page that sends a request to us, as the browser states it. Scripts cannot change it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks that one of our own pages sends a form: `Sec-Fetch-Site` says so, or, where an older browser leaves it out, `Origin`.
pub fn check(headers: &HeaderMap, public: &PublicUrl) -> Result<()> {
    let is_ours = match only(headers, &SEC_FETCH_SITE) {
        Some(site) => site == b"same-origin",
        None => only(headers, &ORIGIN).is_some_and(|origin| origin == public.origin.as_bytes()),
    };
    match is_ours {
        true => Ok(()),
        false => Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", texts::CROSS_SITE).hint(texts::CROSS_SITE_HINT)),
    }
}

/// Returns the value of a header. If it occurs twice, it is a value that nothing accepts.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => Some(value.as_bytes()),
        (Some(_), Some(_)) => Some(b""),
    }
}
