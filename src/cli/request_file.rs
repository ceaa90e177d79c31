//! Files of requests.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::contract::{Request, read_request};

/// Reads the requests of a file: one JSON value over any number of lines, or one per line. One faulty request fails the
/// whole file.
pub fn read_requests(file: &Path) -> Result<Vec<Request>> {
    let text = read_file(file)?;
    let is_one_value = serde_json::from_str::<serde_json::Value>(&text).is_ok();
    let pieces: Vec<(usize, &str)> = match is_one_value {
        true => vec![(1, text.as_str())],
        false => text.lines().enumerate().map(|(index, line)| (index + 1, line)).collect(),
    };
    let pieces: Vec<_> = pieces.into_iter().filter(|(_, piece)| !piece.trim().is_empty()).collect();
    if pieces.is_empty() {
        bail!("{} holds no request", file.display());
    }
    let read = |(line, piece): &(usize, &str)| {
        read_request(piece.as_bytes()).with_context(|| format!("{}, line {line}: nothing was sent", file.display()))
    };
    pieces.iter().map(read).collect()
}

/// Reads a file's text; `-` is standard input.
pub fn read_file(file: &Path) -> Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text)
}
