//! Reads a sheet of a workbook, cell by cell.
//!
//! The reader borrows the workbook, so both live in a thread of their own. The thread sends rows through a bounded channel.
//! Only the table of distinct texts is held in memory; `xlsx_limits` has checked its size.

use std::io::BufReader;
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::{Context, Result, anyhow, bail};
use calamine::{Data, ExcelDateTime, Xlsx, XlsxCellFormulaMetadataRecord, open_workbook_from_rs};

use super::cells::{Cell, CellFault, Row, Rows};
use super::content::{Content, Stream};

/// Rows that are read ahead, at most.
const READ_AHEAD: usize = 200;

/// Columns of a sheet, at most. A single cell in a far column would otherwise allocate a huge row.
const MAX_COLUMNS: usize = 1_000;

/// The thread's message: a row or a fault, or nothing after the last row.
type Message = Option<Result<Row>>;

/// Opens a workbook.
pub fn open(content: &Content) -> Result<Xlsx<BufReader<Box<dyn Stream>>>> {
    open_workbook_from_rs(content.stream()?).with_context(|| unreadable(content))
}

/// Reads every row of a sheet that holds a cell.
pub fn rows(content: &Content, sheet: &str) -> Rows {
    let (sender, receiver) = sync_channel(READ_AHEAD);
    let (content, sheet) = (content.clone(), sheet.to_owned());
    let of_thread = content.clone();
    std::thread::spawn(move || {
        let end = send_rows(&of_thread, &sheet, &sender).map_or_else(|error| Some(Err(error)), |()| None);
        // The receiver may have stopped reading.
        let _ = sender.send(end);
    });
    let mut is_over = false;
    Box::new(std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        // A thread that panics sends no end. The rows so far must not pass for the whole file.
        let failed = |_| Some(Err(anyhow!("{}: the reader failed", unreadable(&content))));
        let message: Message = receiver.recv().unwrap_or_else(failed);
        is_over = !matches!(message, Some(Ok(_)));
        message
    }))
}

fn unreadable(content: &Content) -> String {
    format!("{content} cannot be read as a spreadsheet")
}

fn send_rows(content: &Content, sheet: &str, sender: &SyncSender<Message>) -> Result<()> {
    let unreadable = || unreadable(content);
    let mut workbook = open(content)?;
    let mut reader = workbook.worksheet_cells_reader(sheet).with_context(unreadable)?;
    let mut row = Row { number: 0, cells: Vec::new(), fault: None };
    while let Some(cell) = reader.next_cell_with_formula_metadata().with_context(unreadable)? {
        let (place, column) = (u64::from(cell.pos.0) + 1, cell.pos.1 as usize);
        if place != row.number {
            let whole = std::mem::replace(&mut row, Row { number: place, cells: Vec::new(), fault: None });
            if !is_sent(whole, sender) {
                return Ok(());
            }
        }
        let read = read(cell);
        if read != Ok(String::new()) {
            if column >= MAX_COLUMNS {
                bail!("{content}, line {place}: at most {MAX_COLUMNS} columns are read");
            }
            row.cells.resize(row.cells.len().max(column + 1), Ok(String::new()));
            row.cells[column] = read;
        }
    }
    is_sent(row, sender);
    Ok(())
}

/// Sends a row. Returns false if the receiver has stopped reading.
fn is_sent(row: Row, sender: &SyncSender<Message>) -> bool {
    row.cells.is_empty() || sender.send(Some(Ok(row))).is_ok()
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

/// Returns a value as a CSV file would have it. Dates and times are written as the spreadsheet shows them, without an offset.
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
        Data::DateTime(at) => Ok(time_text(at)),
        Data::Error(error) => Err(CellFault::Error(error.to_string())),
    }
}

/// Returns a day, a day with a time, or only a time: a number of days below 1 has no date.
fn time_text(at: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
    let days = at.as_f64();
    match (days < 1.0 || at.is_duration(), days.fract() == 0.0) {
        (true, _) => format!("{hour:02}:{minute:02}:{second:02}"),
        (false, true) => format!("{year:04}-{month:02}-{day:02}"),
        (false, false) => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
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
