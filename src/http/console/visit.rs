//! One visit of a page: who is signed in, and what the browser sent.

use std::collections::BTreeMap;
use std::net::IpAddr;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{Frame, Section, page};
use super::fields::Fields;
use super::state::Console;
use super::texts;
use super::upload::File;
use crate::app::sign_in::SignedIn;
use crate::contract::UserId;
use crate::http::problem::{Problem, Result};
use crate::plan::normalize_user;
use crate::stages::Context;

/// One visit of a page.
pub struct Visit {
    /// The state of the console.
    pub console: Console,
    /// The person who is signed in.
    pub person: Option<SignedIn>,
    /// The parameters in the path.
    pub path: BTreeMap<String, String>,
    /// The fields of the query.
    pub query: Fields,
    /// The fields of the form.
    pub form: Fields,
    /// The file of the form.
    pub file: Option<File>,
    /// The address of the client.
    pub client: Option<IpAddr>,
}

impl Visit {
    /// Returns the database and the catalogs.
    pub fn context(&self) -> &Context {
        &self.console.api.parts.context
    }

    /// Returns the person who is signed in.
    pub fn person(&self) -> Result<&SignedIn> {
        self.person.as_ref().ok_or_else(not_signed_in)
    }

    /// Returns the organization of the person.
    pub fn org(&self) -> Result<&str> {
        Ok(&self.person()?.org)
    }

    /// Returns a parameter in the path.
    pub fn in_path(&self, name: &str) -> &str {
        self.path.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Returns the user in the path, in the form that the database writes.
    pub fn user(&self) -> Result<UserId> {
        let unknown = || Problem::not_found(texts::NO_SUCH_USER);
        let mut user = UserId::try_from(self.in_path("user").to_owned()).map_err(|_| unknown())?;
        let key = self.context().catalogs.current().users.key.clone();
        normalize_user(&key, &mut user, "user").map_err(|_| unknown())?;
        Ok(user)
    }

    /// Returns the frame of a page.
    pub fn frame(&self, section: Section, title: impl Into<String>) -> Frame {
        Frame { title: title.into(), section, person: self.person.as_ref().map(|person| person.name.clone()) }
    }

    /// Answers with a page.
    pub fn page(&self, template: &impl Template) -> Result<Response> {
        page(StatusCode::OK, template)
    }
}

/// Returns the problem of a visitor who is not signed in.
pub fn not_signed_in() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", texts::NOT_SIGNED_IN).hint(texts::HOW_TO_SIGN_IN)
}
