//! A route: what the router and the OpenAPI document need to know of it.

use axum::response::Response;
use axum::routing::MethodFilter;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::call::Call;
use crate::contract::{MAX_REQUEST_BYTES, TokenScope};
use crate::http::problem::Result;

/// The method of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Sends something under an id of ours.
    Post,
    /// Sends something under the id in the path.
    Put,
}

impl Method {
    /// Returns the name in an OpenAPI document.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "get",
            Method::Post => "post",
            Method::Put => "put",
        }
    }

    /// Returns the filter for the router.
    pub fn filter(self) -> MethodFilter {
        match self {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
        }
    }
}

/// The place of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// A header.
    Header,
}

/// A parameter of a route.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// The place.
    pub place: Place,
    /// The meaning.
    pub about: &'static str,
    /// Returns its schema.
    pub schema: fn(&mut SchemaGenerator) -> Value,
}

/// An answer of a route.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The meaning.
    pub about: &'static str,
    /// The MIME type of the body; nothing without a body.
    pub content: Option<&'static str>,
    /// Returns the schema of the body.
    pub schema: fn(&mut SchemaGenerator) -> Value,
}

/// The body that a route reads.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// JSON; the function returns its schema.
    Json(fn(&mut SchemaGenerator) -> Value),
    /// A file.
    File,
}

/// The MIME types of files with a table. The content decides how a file is read.
const FILES: [&str; 5] = [
    "text/csv",
    "text/tab-separated-values",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.ms-excel.sheet.macroenabled.12",
    "application/octet-stream",
];

/// The most bytes of a file.
const MOST_OF_A_FILE: usize = 10 * 1024 * 1024;

impl Body {
    /// Returns the MIME types that it may have.
    pub fn media_types(self) -> &'static [&'static str] {
        match self {
            Body::Json(_) => &["application/json"],
            Body::File => &FILES,
        }
    }

    /// Returns its schema.
    pub fn schema(self, generator: &mut SchemaGenerator) -> Value {
        match self {
            Body::Json(schema) => schema(generator),
            Body::File => json!({ "type": "string", "format": "binary" }),
        }
    }

    /// Returns the most bytes that it may have.
    pub fn most_bytes(self) -> usize {
        match self {
            Body::Json(_) => MAX_REQUEST_BYTES,
            Body::File => MOST_OF_A_FILE,
        }
    }
}

/// The function that answers a route.
pub type Handler = fn(Call) -> BoxFuture<'static, Result<Response>>;

/// A route.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The scopes that the credential needs; none if everybody may ask.
    pub scopes: &'static [TokenScope],
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// The body, if it reads one.
    pub body: Option<Body>,
    /// Its answers, besides problems.
    pub answers: Vec<Answer>,
    /// The function that answers it.
    pub handler: Handler,
}

impl Route {
    /// Returns the name of the operation: `getJobs`.
    pub fn operation(&self) -> String {
        let parts = self.path.trim_start_matches("/v1/").split('/').filter(|part| !part.starts_with('{'));
        let words = parts.flat_map(|part| part.split(['-', '.'])).map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_uppercase() + rest
        });
        let one = if self.path.ends_with('}') { "One" } else { "" };
        self.method.name().to_owned() + &words.collect::<String>() + one
    }
}

/// Returns the schema of a type.
pub fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// Returns an answer in JSON.
pub fn json<T: JsonSchema>(status: u16, about: &'static str) -> Answer {
    Answer { status, about, content: Some("application/json"), schema: schema::<T> }
}

/// Returns a parameter in the path.
pub fn in_path(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: Place::Path, about, schema: schema::<String> }
}

/// Returns a parameter of the query.
pub fn in_query<T: JsonSchema>(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, about, schema: schema::<T> }
}

/// Returns a header.
pub fn header(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: Place::Header, about, schema: schema::<String> }
}
