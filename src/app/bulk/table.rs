//! Finds the table in a file. Its rows are read one by one.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::cells::{CellFault, Row, RowFault, Rows, is_empty};
use super::content::Content;
use super::csv_file::TextFile;
use super::format::{self, Format};
use super::head::{self, Head};
use super::sheets::{self, ChosenSheet, quoted};
use super::xlsx_marks::Marks;
use super::{xlsx_file, xlsx_limits};

/// A table with a head and rows. It can be read more than once.
pub struct Table {
    /// The head.
    pub head: Head,
    /// The sheet, if the file is a workbook.
    pub sheet: Option<String>,
    /// The file's name, for messages.
    pub name: String,
    /// Parts of the file that are not read, for the user to know.
    pub notes: Vec<String>,
    source: Source,
}

enum Source {
    Text { file: TextFile, separator: u8 },
    Sheet { content: Content, name: String, marks: Arc<Marks> },
}

impl Table {
    /// Opens a file; `-` is standard input. Its content decides on the format. `sheet` chooses a sheet of a workbook.
    pub fn open(file: &Path, sheet: Option<&str>) -> Result<Table> {
        Table::of(Content::open(file)?, sheet)
    }

    /// Opens an upload. `name`: for messages.
    pub fn uploaded(name: String, bytes: Vec<u8>, sheet: Option<&str>) -> Result<Table> {
        Table::of(Content::uploaded(name, bytes)?, sheet)
    }

    fn of(content: Content, sheet: Option<&str>) -> Result<Table> {
        let (source, notes) = match (format::recognize(&content)?, sheet) {
            (Format::Workbook, wanted) => sheet_of(&content, wanted)?,
            (Format::Text, None) => (text_of(&content)?, Vec::new()),
            (Format::Text, Some(_)) => bail!("{content} is a text file and has no sheets: leave --sheet out"),
        };
        let Some(mut head) = head::find(source.rows()?)? else {
            bail!("{content} is empty: a row must name the columns");
        };
        head.hidden = (0..head.names.len()).filter(|place| source.hides_column(head.left + place)).collect();
        let above =
            (!head.above.is_empty()).then(|| format!("not read above row {}: {}", head.row, quoted(&head.above)));
        let sheet = source.sheet().map(str::to_owned);
        Ok(Table { sheet, name: content.to_string(), notes: above.into_iter().chain(notes).collect(), head, source })
    }

    /// Returns the separator of the file; a comma if it is a workbook.
    pub fn separator(&self) -> u8 {
        match self.source {
            Source::Text { separator, .. } => separator,
            Source::Sheet { .. } => b',',
        }
    }

    /// Reads the rows below the head, except empty ones.
    pub fn rows(&self) -> Result<Rows> {
        let (first, left, width) = (self.head.row + 1, self.head.left, self.head.names.len());
        let marks = self.source.marks();
        let rows = self.source.rows()?.filter(move |row| !row.as_ref().is_ok_and(|row| row.number < first));
        let rows = rows.filter(|row| !row.as_ref().is_ok_and(Row::is_empty));
        Ok(Box::new(rows.map(move |row| row.map(|row| within(row, left, width, marks.as_deref())))))
    }
}

impl Source {
    fn rows(&self) -> Result<Rows> {
        match self {
            Source::Text { file, separator } => file.rows(*separator),
            Source::Sheet { content, name, marks } => {
                let marks = Arc::clone(marks);
                let mark = move |mut row: Row| {
                    row.fault = marks.hides_row(row.number).then_some(RowFault::Hidden);
                    row
                };
                Ok(Box::new(xlsx_file::rows(content, name).map(move |row| row.map(&mark))))
            }
        }
    }

    fn sheet(&self) -> Option<&str> {
        match self {
            Source::Text { .. } => None,
            Source::Sheet { name, .. } => Some(name),
        }
    }

    fn marks(&self) -> Option<Arc<Marks>> {
        match self {
            Source::Text { .. } => None,
            Source::Sheet { marks, .. } => Some(Arc::clone(marks)),
        }
    }

    fn hides_column(&self, column: usize) -> bool {
        self.marks().is_some_and(|marks| marks.hides_column(column))
    }
}

/// Chooses the sheet of a workbook. Returns notes about other sheets.
fn sheet_of(content: &Content, wanted: Option<&str>) -> Result<(Source, Vec<String>)> {
    xlsx_limits::check_size(content)?;
    let ChosenSheet { name, others } = sheets::choose(content, wanted)?;
    let note = (!others.is_empty()).then(|| format!("sheets not read: {}", quoted(&others)));
    let marks = Arc::new(Marks::read(content, &name)?);
    Ok((Source::Sheet { content: content.clone(), name, marks }, note.into_iter().collect()))
}

/// Chooses the separator of a text file: the one with which the head has the most known names.
fn text_of(content: &Content) -> Result<Source> {
    let file = TextFile::open(content)?;
    let known = |separator: &u8| {
        let head = file.rows(*separator).and_then(head::find);
        head.ok().flatten().map_or(0, |head| head.known)
    };
    // The last maximum is taken, which is the first separator of the list.
    let separator = file.separators.iter().copied().rev().max_by_key(known).unwrap_or(b',');
    Ok(Source::Text { file, separator })
}

/// Cuts a row to the columns of the head, and reports cells that are missing or outside.
fn within(mut row: Row, left: usize, width: usize, marks: Option<&Marks>) -> Row {
    let used = row.cells.iter().rposition(|cell| !is_empty(cell)).map_or(0, |last| last + 1);
    let is_outside = used > left + width || row.cells.iter().take(left).any(|cell| !is_empty(cell));
    match marks {
        Some(marks) => {
            row.cells.resize(left + width, Ok(String::new()));
            for (column, cell) in row.cells.iter_mut().enumerate().skip(left) {
                if marks.is_merged(row.number, column) {
                    *cell = Err(CellFault::Merged);
                }
            }
            row.fault = row.fault.or(is_outside.then_some(RowFault::OutsideTable));
        }
        None if used > left + width => row.fault = Some(RowFault::TooManyCells(used - left)),
        None if is_outside => row.fault = Some(RowFault::OutsideTable),
        None if row.cells.len() < left + width => {
            row.fault = Some(RowFault::TooFewCells(row.cells.len().saturating_sub(left)));
        }
        None => {}
    }
    row.cells = row.cells.split_off(left.min(row.cells.len()));
    row.cells.truncate(width);
    row
}
