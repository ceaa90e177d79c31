//! The files that pages load. They are part of the binary, and their paths have a hash of their content, so browsers keep them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::contract::hex;

/// The digits of a hash in a path.
const DIGITS: usize = 16;

/// The style of all pages.
pub static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::of("console.css", "text/css; charset=utf-8", include_str!("assets/console.css")));

/// The script of all pages. Every page works without it.
pub static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::of("console.js", "text/javascript; charset=utf-8", include_str!("assets/console.js")));

/// A file that pages load.
pub struct Asset {
    /// The path, with the hash.
    pub path: String,
    content_type: &'static str,
    text: &'static str,
}

impl Asset {
    fn of(name: &str, content_type: &'static str, text: &'static str) -> Asset {
        let hash: String = hex(&Sha256::digest(text)).chars().take(DIGITS).collect();
        Asset { path: format!("/assets/{hash}/{name}"), content_type, text }
    }
}

/// Answers with a file.
pub async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let path = format!("/assets/{hash}/{name}");
    match [&*STYLE, &*SCRIPT].into_iter().find(|asset| asset.path == path) {
        Some(asset) => {
            let headers = [
                (CONTENT_TYPE, asset.content_type),
                (CACHE_CONTROL, "public, max-age=31536000, immutable"),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, asset.text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
