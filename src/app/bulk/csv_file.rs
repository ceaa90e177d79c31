//! Reads a CSV file as a stream.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use super::cells::{Row, Rows};
use super::csv_guard::GuardedReader;

/// Reads the column names and the separator.
pub fn head(file: &Path) -> Result<(Vec<String>, u8)> {
    let separator = separator(&first_line(file)?);
    let mut reader = reader(file, separator)?;
    let head = reader.headers().map_err(|error| failed(file, error))?;
    Ok((head.iter().map(|name| name.trim().to_owned()).collect(), separator))
}

/// Reads the rows below the head.
pub fn rows(file: &Path, separator: u8) -> Result<Rows> {
    let file = file.to_owned();
    let rows = reader(&file, separator)?.into_records();
    Ok(Box::new(rows.map(move |record| {
        let record = record.map_err(|error| failed(&file, error))?;
        let number = record.position().map_or(0, place);
        Ok(Row { number, cells: record.iter().map(|cell| Ok(cell.trim().to_owned())).collect() })
    })))
}

fn reader(file: &Path, separator: u8) -> Result<csv::Reader<GuardedReader<File>>> {
    let content = File::open(file).with_context(|| unreadable(file))?;
    Ok(csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .from_reader(GuardedReader::new(content, separator)))
}

fn unreadable(file: &Path) -> String {
    format!("{} cannot be read", file.display())
}

/// Reads the first line, up to the longest head. Refuses UTF-16.
fn first_line(file: &Path) -> Result<Vec<u8>> {
    const LONGEST_HEAD: u64 = 1 << 16;
    let mut line = Vec::new();
    let content = File::open(file).with_context(|| unreadable(file))?;
    let mut start = BufReader::new(content).take(LONGEST_HEAD);
    start.read_until(b'\n', &mut line).with_context(|| unreadable(file))?;
    let has_mark = line.starts_with(&[0xff, 0xfe]) || line.starts_with(&[0xfe, 0xff]);
    match has_mark || line.contains(&0) {
        true => bail!("{}, line 1: this is UTF-16, not UTF-8; save the file as \"CSV UTF-8\"", file.display()),
        false => Ok(line),
    }
}

/// Returns the most frequent separator of the head, outside quotation marks. Spreadsheets of many countries write
/// semicolons.
fn separator(head: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    for byte in head {
        quoted ^= *byte == b'"';
        let count = counts.iter_mut().find(|(separator, _)| separator == byte && !quoted);
        count.into_iter().for_each(|(_, count)| *count += 1);
    }
    // The first one wins a tie: a head of one column has no separator.
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts.iter().find(|(_, count)| *count == most).map_or(b',', |(separator, _)| *separator)
}

/// Returns a row's number as a spreadsheet counts it, whatever line ends its cells contain.
fn place(position: &csv::Position) -> u64 {
    position.record() + 1
}

fn failed(file: &Path, error: csv::Error) -> anyhow::Error {
    let file = file.display();
    match error.into_kind() {
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(1, place);
            anyhow!(
                "{file}, line {line}: this is not UTF-8 but Latin-1 or Windows-1252, it seems; save the file as \
                 \"CSV UTF-8\""
            )
        }
        // The message names the line.
        csv::ErrorKind::Io(error) => anyhow!("{file}, {error}"),
        kind => anyhow!("{file} cannot be read: {kind:?}"),
    }
}
