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
    let widths = widths(head, rows);
    print_table(head, rows, &widths)
}

/// Prints rows as [`table`] does, within a width. Cuts the widest columns of those that may be cut, and then leaves out the last
/// columns.
pub fn table_within(head: &[&str], rows: &[Vec<String>], may_cut: &[bool], width: usize) -> Result<()> {
    let mut widths = widths(head, rows);
    while !shrink(&mut widths, may_cut, width) && widths.len() > 1 {
        widths.pop();
    }
    print_table(head, rows, &widths)
}

/// The space between columns.
const GAP: &str = "  ";

/// A column is not cut below this width.
const NARROWEST: usize = 8;

fn widths(head: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let widest = |column: usize| {
        // The width counts the escaped text.
        let cells = rows.iter().map(|row| printable(&row[column]).chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    (0..head.len()).map(widest).collect()
}

/// Takes width from the widest columns that may be cut until all columns fit. Returns false if they cannot.
fn shrink(widths: &mut [usize], may_cut: &[bool], width: usize) -> bool {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    let narrowest = |column: usize| if may_cut[column] { widths[column].min(NARROWEST) } else { widths[column] };
    if (0..widths.len()).map(narrowest).sum::<usize>() + gaps > width {
        return false;
    }
    while widths.iter().sum::<usize>() + gaps > width {
        let cuttable = (0..widths.len()).filter(|column| may_cut[*column] && widths[*column] > NARROWEST);
        let Some(widest) = cuttable.max_by_key(|column| widths[*column]) else { return false };
        widths[widest] -= 1;
    }
    true
}

/// Prints as many columns as there are widths.
fn print_table(head: &[&str], rows: &[Vec<String>], widths: &[usize]) -> Result<()> {
    let is_number = |cell: &str| cell.chars().all(|c| c.is_ascii_digit() || c == '-') && !cell.is_empty();
    let right: Vec<bool> =
        (0..widths.len()).map(|column| !rows.is_empty() && rows.iter().all(|row| is_number(&row[column]))).collect();
    let print_row = |cells: Vec<&str>| {
        let padded: Vec<String> = (cells.iter().zip(widths).enumerate())
            .map(|(column, (cell, width))| {
                let cell = cut(&printable(cell), *width);
                let space = " ".repeat(width.saturating_sub(cell.chars().count()));
                if right[column] { format!("{space}{cell}") } else { format!("{cell}{space}") }
            })
            .collect();
        line(padded.join(GAP).trim_end())
    };
    print_row(head.to_vec())?;
    rows.iter().try_for_each(|row| print_row(row.iter().map(String::as_str).collect()))
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
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
