//! Prints tables and lines for people, and JSON for programs.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::contract::{Reason, printable, printable_json, printable_lines};

/// Prints a sentence or a value. Line breaks and other control characters in it are escaped. A terminal breaks it between words.
/// Closed output is an error that ends the command silently.
pub fn line(text: impl AsRef<str>) -> Result<()> {
    let text = text.as_ref();
    let indent = text.len() - text.trim_start_matches(' ').len();
    hanging(indent + 2, text)
}

/// Prints a value after its label. A value that is wider than the terminal continues below its beginning.
pub fn field(label: &str, value: impl AsRef<str>) -> Result<()> {
    hanging(LABEL + 1, &format!("{label:LABEL$} {}", value.as_ref()))
}

/// Prints a text as [`line()`] does. Its lines after the first are indented.
pub fn hanging(indent: usize, text: &str) -> Result<()> {
    let text = printable(text);
    match width() {
        Some(width) => broken(&text, width, indent).iter().try_for_each(|line| print(line)),
        None => print(&text),
    }
}

/// Prints what a person should know besides the result, on standard error. Control characters other than line breaks are escaped.
pub fn note(text: impl AsRef<str>) {
    let terminal = io::stderr().is_terminal().then(|| terminal_size::terminal_size_of(io::stderr())).flatten();
    let width = terminal.map_or(usize::MAX, |(terminal_size::Width(width), _)| usize::from(width));
    for line in printable_lines(text.as_ref()).lines() {
        eprintln!("{}", broken(line, width, 2).join("\n"));
    }
}

/// The width of labels.
const LABEL: usize = 13;

/// Breaks a text between words. A word that is wider than the line stays whole, so that it can be copied.
fn broken(text: &str, width: usize, indent: usize) -> Vec<String> {
    let (mut lines, mut line, mut is_first) = (Vec::new(), String::new(), true);
    for word in text.split(' ') {
        let fits = line.width() + 1 + word.width() <= width;
        if !is_first && !fits && !line.trim().is_empty() {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent.saturating_sub(1))));
        }
        if !is_first {
            line.push(' ');
        }
        line.push_str(word);
        is_first = false;
    }
    lines.push(line);
    lines
}

/// Prints several lines as they are.
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

/// Prints rows below a head, with aligned columns. Columns of numbers are aligned to the right. On a terminal, a cell that is wider
/// than its column continues in the next line.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let mut widths = widths(head, rows);
    let longest_words = longest_words(head, rows);
    let right = right(head, rows);
    match width() {
        Some(width) if shrink(&mut widths, &longest_words, width) => {}
        Some(width) => {
            return table_lines(head, rows, &vec![true; head.len()], width).iter().try_for_each(|line| print(line));
        }
        None => {}
    }
    print(&aligned(head, &widths, &right))?;
    for row in rows {
        let cells: Vec<Vec<String>> =
            row.iter().zip(&widths).map(|(cell, width)| broken(&printable(cell), *width, 0)).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let parts: Vec<&str> =
                cells.iter().map(|lines| lines.get(line).map_or("", |part| part.trim_start())).collect();
            print(&aligned(&parts, &widths, &right))?;
        }
    }
    Ok(())
}

/// Returns the lines of a table within a width. Cuts the widest columns of those that may be cut, and then leaves out the last
/// columns.
pub fn table_lines(head: &[&str], rows: &[Vec<String>], may_cut: &[bool], width: usize) -> Vec<String> {
    let mut widths = widths(head, rows);
    let narrowest = |(width, may_cut): (&usize, &bool)| if *may_cut { NARROWEST.min(*width) } else { *width };
    let narrowest: Vec<usize> = widths.iter().zip(may_cut).map(narrowest).collect();
    while width < usize::MAX && !shrink(&mut widths, &narrowest, width) && widths.len() > 1 {
        widths.pop();
    }
    let right = right(head, rows);
    let cells = |row: &Vec<String>| row.iter().map(|cell| printable(cell)).collect::<Vec<String>>();
    let row = |row: Vec<String>| aligned(&row.iter().map(String::as_str).collect::<Vec<_>>(), &widths, &right);
    [aligned(head, &widths, &right)].into_iter().chain(rows.iter().map(|cells_of| row(cells(cells_of)))).collect()
}

/// The space between columns.
const GAP: &str = "  ";

/// A column is not cut below this width.
const NARROWEST: usize = 8;

fn widths(head: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let widest = |column: usize| {
        // The width counts the escaped text.
        let cells = rows.iter().map(|row| printable(&row[column]).width());
        cells.chain([head[column].width()]).max().unwrap_or(0)
    };
    (0..head.len()).map(widest).collect()
}

/// Returns the width of the longest word of each column.
fn longest_words(head: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let longest = |cell: &str| cell.split(' ').map(UnicodeWidthStr::width).max().unwrap_or(0);
    let of_column = |column: usize| {
        let cells = rows.iter().map(|row| longest(&printable(&row[column])));
        cells.chain([longest(head[column])]).max().unwrap_or(0)
    };
    (0..head.len()).map(of_column).collect()
}

/// Takes width from the widest columns until all columns fit; no column becomes narrower than its limit. Returns false if they
/// cannot fit.
fn shrink(widths: &mut [usize], narrowest: &[usize], width: usize) -> bool {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    if narrowest.iter().take(widths.len()).sum::<usize>() + gaps > width {
        return false;
    }
    while widths.iter().sum::<usize>() + gaps > width {
        let wide = (0..widths.len()).filter(|column| widths[*column] > narrowest[*column]);
        let Some(widest) = wide.max_by_key(|column| widths[*column]) else { return false };
        widths[widest] -= 1;
    }
    true
}

/// Returns the line of a row, with as many columns as there are widths.
fn aligned(cells: &[&str], widths: &[usize], right: &[bool]) -> String {
    let padded = cells.iter().zip(widths).zip(right).map(|((cell, width), is_right)| {
        let cell = cut(cell, *width);
        let space = " ".repeat(width.saturating_sub(cell.width()));
        if *is_right { format!("{space}{cell}") } else { format!("{cell}{space}") }
    });
    padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
}

/// Returns the columns that are aligned to the right.
fn right(head: &[&str], rows: &[Vec<String>]) -> Vec<bool> {
    (0..head.len()).map(|column| is_numeric(rows, column)).collect()
}

/// Returns true if a column has numbers only.
fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    let is_number = |cell: &str| cell.chars().all(|c| c.is_ascii_digit() || "-,".contains(c)) && !cell.is_empty();
    !rows.is_empty() && rows.iter().all(|row| is_number(&row[column]))
}

/// Cuts a text to the columns of a terminal, with an ellipsis at its end.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if kept.width() + c.width().unwrap_or(0) + 1 > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// Returns the width of the terminal, or of `COLUMNS` if there is none. Output to a file is not cut.
pub fn width() -> Option<usize> {
    let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    let width = terminal.map(|(terminal_size::Width(width), _)| usize::from(width));
    width.or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
}

/// Prints reasons, each with its hint.
pub fn reasons<C: Display>(reasons: &[Reason<C>]) -> Result<()> {
    for reason in reasons {
        line(format!("  {}: {}", reason.code, reason.message))?;
        line(format!("    to fix it: {}", reason.hint))?;
    }
    Ok(())
}

/// Returns a time for people: in UTC, to the millisecond, and always as long.
pub fn time(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
}

/// Returns true if the error only says that the output was closed.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_breaks_between_words_and_below_its_beginning() {
        let text = "hint          give everything to one successor";
        assert_eq!(broken(text, 30, 14), ["hint          give everything", "              to one successor"]);
        assert_eq!(broken("short", 30, 2), ["short"]);
        let address = "https://example.org/a/very/long/address";
        assert_eq!(broken(&format!("see {address} now"), 10, 2), ["see", &format!("  {address}"), "  now"]);
    }

    #[test]
    fn width_counts_the_columns_of_a_terminal() {
        assert_eq!(cut("王小明王小明", 7), "王小明…");
        assert_eq!(cut("e\u{301}tude", 80), "e\u{301}tude");
        let rows = [vec!["王小明".to_owned(), "1".to_owned()], vec!["Ann".to_owned(), "1,200".to_owned()]];
        assert_eq!(
            table_lines(&["name", "n"], &rows, &[true, false], 80),
            ["name        n", "王小明      1", "Ann     1,200"]
        );
    }
}
