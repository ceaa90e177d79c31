//! An entry in the table of pages.

use std::pin::Pin;

use axum::response::Response;
use axum::routing::MethodFilter;

use super::visit::Visit;
use crate::http::problem::Result;

/// The answer of a page.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;

/// A page, or the receiver of a form.
pub struct Page {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    /// The visitors who may see it.
    pub audience: Audience,
    /// The function that answers.
    pub handler: fn(Visit) -> Answer,
}

/// The method of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It reads, and changes nothing.
    Get,
    /// It receives a form.
    Post,
    /// It receives a form with a file.
    Upload,
}

/// Who may see a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Anyone,
    /// A person who is signed in.
    SignedIn,
}

impl Method {
    /// Returns the router's filter.
    pub fn filter(self) -> MethodFilter {
        match self {
            Method::Get => MethodFilter::GET,
            Method::Post | Method::Upload => MethodFilter::POST,
        }
    }

    /// Returns the name, for the log.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post | Method::Upload => "POST",
        }
    }
}

impl Page {
    /// Describes a page for people who are signed in.
    pub fn get(path: &'static str, handler: fn(Visit) -> Answer) -> Page {
        Page { method: Method::Get, path, audience: Audience::SignedIn, handler }
    }

    /// Describes the receiver of a form of people who are signed in.
    pub fn post(path: &'static str, handler: fn(Visit) -> Answer) -> Page {
        Page { method: Method::Post, path, audience: Audience::SignedIn, handler }
    }

    /// Describes the receiver of a form with a file, of people who are signed in.
    pub fn upload(path: &'static str, handler: fn(Visit) -> Answer) -> Page {
        Page { method: Method::Upload, path, audience: Audience::SignedIn, handler }
    }

    /// Opens the page to everybody.
    pub fn for_anyone(self) -> Page {
        Page { audience: Audience::Anyone, ..self }
    }
}
