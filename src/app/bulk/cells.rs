//! The rows and cells of a file.

use anyhow::Result;

/// A row.
#[derive(Debug)]
pub struct Row {
    /// Its number in the file; the head is 1.
    pub number: u64,
    /// Its cells.
    pub cells: Vec<Cell>,
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
}

/// Rows, read on demand.
pub type Rows = Box<dyn Iterator<Item = Result<Row>>>;
