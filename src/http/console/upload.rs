//! A form with a file.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts as Head;
use multer::Multipart;

use super::fields::Fields;
use super::texts;
use crate::contract::printable;
use crate::http::api::dispatch::read as read_body;
use crate::http::api::route;
use crate::http::problem::{Problem, Result};

/// The bytes of a form besides its file, at most.
const MOST_BESIDES: usize = 64 * 1024;

/// Fields of a form with a file, at most.
const MOST_FIELDS: usize = 20;

/// A file that a person has chosen.
#[derive(Debug)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Reads a form with a file. The file is missing if the person has chosen none.
pub async fn read(head: &Head, body: Body) -> Result<(Fields, Option<File>)> {
    let given = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(given).map_err(|_| no_form())?;
    let whole = Bytes::from(read_body(body, route::Body::File.most_bytes() + MOST_BESIDES).await?);
    let mut parts = Multipart::new(futures_util::stream::iter([Ok::<Bytes, Infallible>(whole)]), boundary);
    let (mut fields, mut file) = (Vec::new(), None);
    while let Some(part) = parts.next_field().await.map_err(|_| no_form())? {
        let field = part.name().unwrap_or_default().to_owned();
        match part.file_name().map(printable) {
            Some(name) => {
                let content = part.bytes().await.map_err(|_| no_form())?.to_vec();
                file = Some(File { name, content }).filter(|file| !(file.name.is_empty() && file.content.is_empty()));
            }
            None if fields.len() < MOST_FIELDS => fields.push((field, part.text().await.map_err(|_| no_form())?)),
            None => return Err(no_form()),
        }
    }
    Ok((Fields::of(fields)?, file))
}

fn no_form() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", texts::NO_FORM)
}
