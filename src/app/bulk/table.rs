//! Opens a CSV or XLSX file. Its rows are read one by one.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::cells::{Row, Rows};
use super::{csv_file, xlsx_file, xlsx_limits};

/// A file with a head and rows. It can be read more than once.
pub struct Table {
    /// The column names as written.
    pub head: Vec<String>,
    file: PathBuf,
    format: Format,
}

enum Format {
    Csv { separator: u8 },
    Sheet,
}

impl Table {
    /// Opens a file. Its extension decides on the format.
    pub fn open(file: &Path) -> Result<Table> {
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
        let (head, format) = match extension.as_str() {
            "csv" => {
                let (head, separator) = csv_file::head(file)?;
                (head, Format::Csv { separator })
            }
            "xlsx" => {
                xlsx_limits::check_size(file)?;
                (xlsx_file::head(file)?, Format::Sheet)
            }
            _ => bail!("{}: the file must end in .csv or .xlsx", file.display()),
        };
        let head = trim_end(head);
        match head.is_empty() {
            true => bail!("{} is empty: its first row names the columns", file.display()),
            false => Ok(Table { head, file: file.to_owned(), format }),
        }
    }

    /// Reads the rows below the head, except empty ones.
    pub fn rows(&self) -> Result<Rows> {
        let rows = match self.format {
            Format::Csv { separator } => csv_file::rows(&self.file, separator)?,
            Format::Sheet => xlsx_file::rows(&self.file)?,
        };
        let is_empty = |row: &Row| row.cells.iter().all(|cell| cell.as_ref().is_ok_and(String::is_empty));
        Ok(Box::new(rows.filter(move |row| !row.as_ref().is_ok_and(is_empty))))
    }
}

/// Removes empty names at the end: a spreadsheet may have empty columns on the right.
fn trim_end(mut head: Vec<String>) -> Vec<String> {
    head.truncate(head.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1));
    head
}
