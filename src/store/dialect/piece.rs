//! The parts of a statement's text that the dialect renders.

use std::fmt;

use super::tables::LedgerTable;

/// A part of a statement that the dialect renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The bound value with this index.
    Bind(usize),
    /// A table of the ledger.
    Table(LedgerTable),
}

/// Stands before and after a piece. No SQL text can contain it.
pub const MARK: char = '\0';

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Bind(index) => write!(f, "{MARK}bind {index}{MARK}"),
            Piece::Table(table) => write!(f, "{MARK}table {}{MARK}", table.name()),
        }
    }
}

impl Piece {
    /// Reads a piece from the text between two marks.
    pub fn read(text: &str) -> Option<Piece> {
        match text.split_once(' ')? {
            ("bind", index) => index.parse().ok().map(Piece::Bind),
            ("table", name) => LedgerTable::ALL.iter().copied().find(|table| table.name() == name).map(Piece::Table),
            _ => None,
        }
    }
}

impl fmt::Display for LedgerTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Piece::Table(*self).fmt(f)
    }
}
