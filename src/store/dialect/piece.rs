//! The parts of a statement's text that the dialect renders.

use std::fmt;

use super::tables::LedgerTable;
use super::types::Type;

/// A part of a statement that the dialect renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The bound value with this index.
    Bind(usize),
    /// A table of the ledger.
    Table(LedgerTable),
    /// The name of a type.
    Type(TypeName),
    /// The keyword that makes the database compute a common table expression once.
    Materialized,
}

/// The name of a type in a statement's text: `format!("CAST(x AS {TEXT})")`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeName {
    /// A text.
    Text,
    /// An integer of 64 bits.
    Int64,
}

/// The name of the type of texts.
pub const TEXT: TypeName = TypeName::Text;

/// The name of the type of integers of 64 bits.
pub const INT64: TypeName = TypeName::Int64;

/// Has a common table expression computed once, where the planner might compute it again: `format!("x AS {MATERIALIZED}(…)")`.
pub const MATERIALIZED: Piece = Piece::Materialized;

impl TypeName {
    /// Returns the type.
    pub fn of(self) -> Type {
        match self {
            TypeName::Text => Type::Text,
            TypeName::Int64 => Type::Int64,
        }
    }
}

/// Stands before and after a piece. No SQL text can contain it.
pub const MARK: char = '\0';

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Bind(index) => write!(f, "{MARK}bind {index}{MARK}"),
            Piece::Table(table) => write!(f, "{MARK}table {}{MARK}", table.name()),
            Piece::Type(TypeName::Text) => write!(f, "{MARK}type text{MARK}"),
            Piece::Type(TypeName::Int64) => write!(f, "{MARK}type int64{MARK}"),
            Piece::Materialized => write!(f, "{MARK}materialized {MARK}"),
        }
    }
}

impl Piece {
    /// Reads a piece from the text between two marks.
    pub fn read(text: &str) -> Option<Piece> {
        match text.split_once(' ')? {
            ("bind", index) => index.parse().ok().map(Piece::Bind),
            ("table", name) => LedgerTable::ALL.iter().copied().find(|table| table.name() == name).map(Piece::Table),
            ("type", "text") => Some(Piece::Type(TypeName::Text)),
            ("type", "int64") => Some(Piece::Type(TypeName::Int64)),
            ("materialized", _) => Some(Piece::Materialized),
            _ => None,
        }
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Piece::Type(*self).fmt(f)
    }
}

impl fmt::Display for LedgerTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Piece::Table(*self).fmt(f)
    }
}
