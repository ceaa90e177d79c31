//! Reads the first sheet of an XLSX file, cell by cell.
//!
//! The reader borrows the workbook, so both live in a thread of their own. The thread sends rows through a bounded channel.
//! Only the table of distinct texts is held in memory; `xlsx_limits` has checked its size.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::{Context, Result, bail};
use calamine::{Data, Reader, Xlsx, XlsxCellFormulaMetadataRecord, open_workbook};

use super::cells::{Cell, CellFault, Row, Rows};

/// Rows that are read ahead, at most.
const READ_AHEAD: usize = 200;

/// Columns of a sheet, at most. A single cell in a far column would otherwise allocate a huge row.
const MAX_COLUMNS: usize = 1_000;

/// Reads the head: the first row that is not empty.
pub fn head(file: &Path) -> Result<Vec<String>> {
    let Some(head) = all_rows(file).next() else { return Ok(Vec::new()) };
    let cells = head?.cells.into_iter();
    Ok(cells.map(Cell::unwrap_or_default).skip_while(String::is_empty).collect())
}

/// Reads the rows below the head, from the column of its first name on.
pub fn rows(file: &Path) -> Result<Rows> {
    let mut rows = all_rows(file);
    let left = match rows.next() {
        Some(head) => head?.cells.iter().take_while(|cell| cell.as_ref().is_ok_and(String::is_empty)).count(),
        None => 0,
    };
    Ok(Box::new(rows.map(move |row| {
        let Row { number, mut cells } = row?;
        let cells = cells.split_off(left.min(cells.len()));
        Ok(Row { number, cells })
    })))
}

/// Reads every row that holds a cell.
fn all_rows(file: &Path) -> impl Iterator<Item = Result<Row>> + use<> {
    let (sender, receiver) = sync_channel(READ_AHEAD);
    let file = file.to_owned();
    std::thread::spawn(move || {
        if let Err(error) = send_rows(&file, &sender) {
            // The receiver has stopped reading.
            let _ = sender.send(Err(error));
        }
    });
    receiver.into_iter()
}

fn send_rows(file: &PathBuf, sender: &SyncSender<Result<Row>>) -> Result<()> {
    let unreadable = || format!("{} cannot be read as a spreadsheet", file.display());
    let mut workbook: Xlsx<_> = open_workbook(file).with_context(unreadable)?;
    let Some(sheet) = workbook.sheet_names().into_iter().next() else { bail!("{} has no sheet", file.display()) };
    let mut reader = workbook.worksheet_cells_reader(&sheet).with_context(unreadable)?;
    let mut row = Row { number: 0, cells: Vec::new() };
    while let Some(cell) = reader.next_cell_with_formula_metadata().with_context(unreadable)? {
        let (place, column) = (u64::from(cell.pos.0) + 1, cell.pos.1 as usize);
        if place != row.number {
            let whole = std::mem::replace(&mut row, Row { number: place, cells: Vec::new() });
            if !is_sent(whole, sender) {
                return Ok(());
            }
        }
        let read = read(cell);
        if read != Ok(String::new()) {
            if column >= MAX_COLUMNS {
                bail!("{}, line {place}: at most {MAX_COLUMNS} columns are read", file.display());
            }
            row.cells.resize(row.cells.len().max(column + 1), Ok(String::new()));
            row.cells[column] = read;
        }
    }
    is_sent(row, sender);
    Ok(())
}

/// Sends a row. Returns false if the receiver has stopped reading.
fn is_sent(row: Row, sender: &SyncSender<Result<Row>>) -> bool {
    row.cells.is_empty() || sender.send(Ok(row)).is_ok()
}

fn read(cell: XlsxCellFormulaMetadataRecord<'_>) -> Cell {
    let text = cell_text(&Data::from(cell.value))?;
    match text.is_empty() && cell.formula.is_some() {
        true => Err(CellFault::Formula(cell_name(cell.pos))),
        false => Ok(text),
    }
}

/// Returns a spreadsheet's name for a cell: `B7`.
fn cell_name((row, column): (u32, u32)) -> String {
    let mut letters = Vec::new();
    let mut left = column + 1;
    while left > 0 {
        letters.push(char::from(b'A' + ((left - 1) % 26) as u8));
        left = (left - 1) / 26;
    }
    format!("{}{}", letters.iter().rev().collect::<String>(), row + 1)
}

/// Returns a value as a CSV file would have it. Dates are written in RFC 3339.
fn cell_text(value: &Data) -> Cell {
    /// Spreadsheets lose digits of larger numbers.
    const EXACT: f64 = 1e15;
    match value {
        Data::Empty => Ok(String::new()),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => Ok(text.trim().to_owned()),
        Data::Int(number) => Ok(number.to_string()),
        Data::Float(number) if number.abs() >= EXACT => Err(CellFault::Inexact),
        Data::Float(number) => Ok(number.to_string()),
        Data::Bool(is_so) => Ok(is_so.to_string()),
        Data::DateTime(at) => {
            let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
            Ok(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
        }
        Data::Error(error) => Err(CellFault::Error(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::cell_name;

    #[test]
    fn cells_are_named_like_in_spreadsheets() {
        let names = [(0, 0), (6, 25), (9, 26), (0, 701), (0, 702)].map(cell_name);
        assert_eq!(names, ["A1", "Z7", "AA10", "ZZ1", "AAA1"]);
    }
}
