//! Prints tables and lines for people, and JSON for programs.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use crate::contract::{Reason, printable, printable_json, printable_lines};

/// Prints one line. Line breaks and other control characters in it are escaped. Closed output is an error that ends the
/// command silently.
pub fn line(text: impl AsRef<str>) -> Result<()> {
    print(&printable(text.as_ref()))
}

/// Prints several lines.
pub fn lines(text: impl AsRef<str>) -> Result<()> {
    print(&printable_lines(text.as_ref()))
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Prints a value as JSON, on one line.
pub fn json_line(value: &impl Serialize) -> Result<()> {
    print(&printable_json(&serde_json::to_string(value)?))
}

/// Prints a value as JSON, indented.
pub fn json(value: &impl Serialize) -> Result<()> {
    print(&printable_json(&serde_json::to_string_pretty(value)?))
}

/// Converts values to a list of JSON.
pub fn array(values: &[impl Serialize]) -> Result<Vec<serde_json::Value>> {
    Ok(values.iter().map(serde_json::to_value).collect::<std::result::Result<_, _>>()?)
}

/// Prints rows below a head, with aligned columns. Columns of numbers are aligned to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Result<()> {
    // The width counts the escaped text.
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let is_number = |cell: &str| cell.chars().all(|c| c.is_ascii_digit() || c == '-') && !cell.is_empty();
    let right: Vec<bool> =
        (0..head.len()).map(|column| !rows.is_empty() && rows.iter().all(|row| is_number(&row[column]))).collect();
    let print_row = |cells: Vec<&str>| {
        let padded: Vec<String> = (cells.iter().enumerate())
            .map(|(column, cell)| {
                let space = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                if right[column] { format!("{space}{cell}") } else { format!("{cell}{space}") }
            })
            .collect();
        line(padded.join("  ").trim_end())
    };
    print_row(head.to_vec())?;
    rows.iter().try_for_each(|row| print_row(row.iter().map(String::as_str).collect()))
}

/// Prints reasons, each with its hint.
pub fn reasons<C: Display>(reasons: &[Reason<C>]) -> Result<()> {
    for reason in reasons {
        line(format!("  {}: {}", reason.code, reason.message))?;
        line(format!("    to fix it: {}", reason.hint))?;
    }
    Ok(())
}

/// Returns true if the error only says that the output was closed.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}
