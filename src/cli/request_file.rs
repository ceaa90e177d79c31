//! Files of requests.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::de::IgnoredAny;

use crate::contract::{Request, read_request};

/// Reads the requests of a file: one JSON value over any number of lines, or one per line. One faulty request fails the
/// whole file.
pub fn read_requests(file: &Path) -> Result<Vec<Request>> {
    let content = read_file(file)?;
    let pieces = pieces(&content);
    if pieces.is_empty() {
        bail!("{} holds no request", file.display());
    }
    let read = |(line, piece): &(usize, &[u8])| {
        read_request(piece).with_context(|| format!("{}, line {line}: nothing was sent", file.display()))
    };
    pieces.iter().map(read).collect()
}

/// Returns the requests of a file, each with its first line. The file has one request a line if its first line is a whole value.
fn pieces(content: &[u8]) -> Vec<(usize, &[u8])> {
    let lines = content.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| (index + 1, line));
    let lines: Vec<(usize, &[u8])> = lines.filter(|(_, line)| !line.trim_ascii().is_empty()).collect();
    let is_value = |piece: &[u8]| serde_json::from_slice::<IgnoredAny>(piece).is_ok();
    match lines.as_slice() {
        [] => Vec::new(),
        [(_, first), _, ..] if is_value(first) => lines,
        [(number, _), ..] => vec![(*number, content)],
    }
}

/// Reads a file; `-` is standard input.
pub fn read_file(file: &Path) -> Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()));
    }
    let mut content = Vec::new();
    std::io::stdin().read_to_end(&mut content).context("standard input cannot be read")?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_one_value_or_lines_of_values() {
        let lines = |content: &str| pieces(content.as_bytes()).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines(" \n\n"), [0; 0]);
        assert_eq!(lines("\n{\n\"a\": 1\n}\n"), [2]);
        assert_eq!(lines("{}\n\n{}\r\n[\n"), [1, 3, 4]);
        // A fault in a value over several lines is reported for the whole value.
        assert_eq!(lines("{\n\"a\": 1,\n}\n"), [1]);
    }
}
