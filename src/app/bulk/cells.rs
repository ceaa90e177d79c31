//! The rows and cells of a file.

use anyhow::Result;

/// A row.
#[derive(Debug)]
pub struct Row {
    /// Its number in the file; the head is 1.
    pub number: u64,
    /// Its cells.
    pub cells: Vec<Cell>,
    /// The reason why it cannot be done, whatever its cells say.
    pub fault: Option<RowFault>,
}

/// The reason why a row as a whole cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFault {
    /// The row has fewer cells than the head has columns.
    TooFewCells(usize),
    /// The row has more cells than the head has columns.
    TooManyCells(usize),
    /// The row has a cell outside the columns of the head.
    OutsideTable,
    /// The spreadsheet does not show the row.
    Hidden,
}

impl Row {
    /// Returns true if no cell holds anything.
    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(is_empty)
    }
}

/// Returns true if a cell holds nothing.
pub fn is_empty(cell: &Cell) -> bool {
    cell.as_ref().is_ok_and(String::is_empty)
}

/// A cell: its trimmed text, or the reason why it has none.
pub type Cell = std::result::Result<String, CellFault>;

/// The reason why a cell cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellFault {
    /// This cell holds a formula without a stored value.
    Formula(String),
    /// The spreadsheet stores an error value.
    Error(String),
    /// The number has more digits than a spreadsheet keeps.
    Inexact,
    /// The cell is merged into another one, which holds the value.
    Merged,
}

/// Rows, read on demand.
pub type Rows = Box<dyn Iterator<Item = Result<Row>>>;
