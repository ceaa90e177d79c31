//! A file of rows under a head, CSV or XLSX, read row by row: it is never held as a whole.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{packed, sheet, text};

/// A file of rows under a head. It can be gone through more than once.
pub struct Table {
    /// The columns' names, as they are written.
    pub head: Vec<String>,
    file: PathBuf,
    format: Format,
}

enum Format {
    Csv { separator: u8 },
    Sheet,
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
    /// A formula whose value was not stored, in this cell.
    Formula(String),
    /// A value of the spreadsheet that stands for an error.
    Error(String),
    /// A number with more digits than a spreadsheet keeps.
    Inexact,
}

/// Rows, read as they are asked for.
pub type Rows = Box<dyn Iterator<Item = Result<Row>>>;

impl Table {
    /// Opens a file by its extension.
    pub fn open(file: &Path) -> Result<Table> {
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
        let (head, format) = match extension.as_str() {
            "csv" => {
                let (head, separator) = text::head(file)?;
                (head, Format::Csv { separator })
            }
            "xlsx" => {
                packed::judge(file)?;
                (sheet::head(file)?, Format::Sheet)
            }
            _ => bail!("{}: the file must end in .csv or .xlsx", file.display()),
        };
        let head = without_empty_end(head);
        match head.is_empty() {
            true => bail!("{} is empty: its first row names the columns", file.display()),
            false => Ok(Table { head, file: file.to_owned(), format }),
        }
    }

    /// The rows below the head, without those that are empty.
    pub fn rows(&self) -> Result<Rows> {
        let rows = match self.format {
            Format::Csv { separator } => text::rows(&self.file, separator)?,
            Format::Sheet => sheet::rows(&self.file)?,
        };
        let is_empty = |row: &Row| row.cells.iter().all(|cell| cell.as_ref().is_ok_and(String::is_empty));
        Ok(Box::new(rows.filter(move |row| !row.as_ref().is_ok_and(is_empty))))
    }
}

/// A spreadsheet may go on to the right of what was written into it.
fn without_empty_end(mut head: Vec<String>) -> Vec<String> {
    head.truncate(head.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1));
    head
}
