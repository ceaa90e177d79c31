//! Reading a file row by row: CSV as a stream, XLSX by its first sheet.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use calamine::{Data, DataRef, Reader, Xlsx, open_workbook};

/// A file of rows under a head. It can be gone through more than once.
pub struct Table {
    /// The columns' names, as they are written.
    pub head: Vec<String>,
    source: Source,
}

enum Source {
    Csv { file: PathBuf, separator: u8 },
    Sheet(Sheet),
}

/// A row.
#[derive(Debug)]
pub struct Row {
    /// Where it stands in the file: the head is 1.
    pub number: u64,
    /// Its cells.
    pub cells: Vec<Cell>,
}

/// A cell: its text without spaces around it, or why it has none.
pub type Cell = std::result::Result<String, CellFault>;

/// Why a cell cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellFault {
    /// A formula whose value was not stored.
    Formula,
    /// A value of the spreadsheet that stands for an error.
    Error(String),
    /// A number with more digits than a spreadsheet keeps.
    Inexact,
}

type Rows<'t> = Box<dyn Iterator<Item = Result<Row>> + 't>;

impl Table {
    /// Opens a file by its extension.
    pub fn open(file: &Path) -> Result<Table> {
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
        let table = match extension.as_str() {
            "csv" => open_csv(file)?,
            "xlsx" => open_sheet(file)?,
            _ => bail!("{}: the file must end in .csv or .xlsx", file.display()),
        };
        match table.head.is_empty() {
            true => bail!("{} is empty: its first row names the columns", file.display()),
            false => Ok(table),
        }
    }

    /// The rows below the head, without those that are empty.
    pub fn rows(&self) -> Result<Rows<'_>> {
        let rows: Rows<'_> = match &self.source {
            Source::Csv { file, separator } => csv_rows(file, *separator)?,
            Source::Sheet(sheet) => Box::new(sheet.rows().skip(1).map(Ok)),
        };
        let is_empty = |row: &Row| row.cells.iter().all(|cell| cell.as_ref().is_ok_and(String::is_empty));
        Ok(Box::new(rows.filter(move |row| !row.as_ref().is_ok_and(is_empty))))
    }
}

fn open_csv(file: &Path) -> Result<Table> {
    let separator = separator(file)?;
    let mut reader = csv_reader(file, separator)?;
    let head = reader.headers().map_err(|error| csv_error(file, &error))?;
    let head = without_empty_end(head.iter().map(|name| name.trim().to_owned()).collect());
    Ok(Table { head, source: Source::Csv { file: file.to_owned(), separator } })
}

/// A spreadsheet may go on to the right of what was written into it.
fn without_empty_end(mut head: Vec<String>) -> Vec<String> {
    head.truncate(head.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1));
    head
}

fn csv_reader(file: &Path, separator: u8) -> Result<csv::Reader<File>> {
    let reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_path(file);
    reader.with_context(|| format!("{} cannot be read", file.display()))
}

/// The separator that stands most often in the head, outside of quotation marks: spreadsheets of many countries write
/// semicolons.
fn separator(file: &Path) -> Result<u8> {
    const LONGEST_HEAD: u64 = 1 << 16;
    let unreadable = || format!("{} cannot be read", file.display());
    let mut head = Vec::new();
    let mut start = BufReader::new(File::open(file).with_context(unreadable)?).take(LONGEST_HEAD);
    start.read_until(b'\n', &mut head).with_context(unreadable)?;
    let mut quoted = false;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    for byte in head {
        quoted ^= byte == b'"';
        let count = counts.iter_mut().find(|(separator, _)| *separator == byte && !quoted);
        count.into_iter().for_each(|(_, count)| *count += 1);
    }
    // Of equally many the first: a head of one column has none.
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    Ok(counts.iter().find(|(_, count)| *count == most).map_or(b',', |(separator, _)| *separator))
}

fn csv_rows(file: &Path, separator: u8) -> Result<Rows<'static>> {
    let file = file.to_owned();
    let rows = csv_reader(&file, separator)?.into_records();
    Ok(Box::new(rows.map(move |record| {
        let record = record.map_err(|error| csv_error(&file, &error))?;
        let number = record.position().map_or(0, place);
        Ok(Row { number, cells: record.iter().map(|cell| Ok(cell.trim().to_owned())).collect() })
    })))
}

/// Where a row stands as a spreadsheet counts, however its lines end and however many one of its cells has.
fn place(position: &csv::Position) -> u64 {
    position.record() + 1
}

fn csv_error(file: &Path, error: &csv::Error) -> anyhow::Error {
    match error.kind() {
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(1, place);
            anyhow!("{}, line {line}: this is not UTF-8; save the file as \"CSV UTF-8\"", file.display())
        }
        _ => anyhow!("{}: {error}", file.display()),
    }
}

/// The cells of a sheet that hold something, by row and column from 0. Only these are kept: two cells in far corners make a
/// sheet of a few bytes that stands for billions of cells.
#[derive(Default)]
struct Sheet(BTreeMap<u32, BTreeMap<u32, Cell>>);

/// Columns of a sheet that are read, at most.
const MOST_COLUMNS: u32 = 1_000;

impl Sheet {
    /// The rows that hold something, each from the first column that any of them uses.
    fn rows(&self) -> impl Iterator<Item = Row> {
        let left = self.0.values().filter_map(|cells| cells.keys().next()).min().copied().unwrap_or(0);
        self.0.iter().map(move |(place, cells)| {
            let last = cells.keys().next_back().copied().unwrap_or(left);
            let cell = |column| cells.get(&column).cloned().unwrap_or_else(|| Ok(String::new()));
            Row { number: u64::from(*place) + 1, cells: (left..=last).map(cell).collect() }
        })
    }
}

fn open_sheet(file: &Path) -> Result<Table> {
    let unreadable = || format!("{} cannot be read as a spreadsheet", file.display());
    let mut workbook: Xlsx<_> = open_workbook(file).with_context(unreadable)?;
    let Some(name) = workbook.sheet_names().into_iter().next() else { bail!("{} has no sheet", file.display()) };
    let mut reader = workbook.worksheet_cells_reader(&name).with_context(unreadable)?;
    let mut sheet = Sheet::default();
    while let Some(found) = reader.next_cell_with_formula().with_context(unreadable)? {
        let has_formula = found.formula.is_some_and(|formula| !formula.is_empty());
        let cell = match cell_text(found.value) {
            Ok(text) if text.is_empty() && has_formula => Err(CellFault::Formula),
            Ok(text) if text.is_empty() => continue,
            cell => cell,
        };
        let (row, column) = found.pos;
        if column >= MOST_COLUMNS {
            bail!("{}, line {}: at most {MOST_COLUMNS} columns are read", file.display(), u64::from(row) + 1);
        }
        sheet.0.entry(row).or_default().insert(column, cell);
    }
    let names = sheet.rows().next().map_or(Vec::new(), |row| row.cells);
    let head = without_empty_end(names.into_iter().map(Cell::unwrap_or_default).collect());
    Ok(Table { head, source: Source::Sheet(sheet) })
}

/// A value as it would be written into a CSV file. Dates are told in RFC 3339.
fn cell_text(value: DataRef<'_>) -> Cell {
    /// From here on a spreadsheet's numbers have lost digits.
    const EXACT: f64 = 1e15;
    match &Data::from(value) {
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
