//! Faults of a catalog: reported all at once, each with its line and a hint.

use std::fmt;

use serde::Serialize;

use super::schema::{Column, TableName};
use super::tables::NamedTables;
use crate::contract::counted;

/// One fault, or one warning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The line of the file, from 1.
    pub line: usize,
    /// The fault and how to fix it.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// A value that some row should have: a test or a status that no row has may be misspelled.
#[derive(Debug, Clone)]
pub struct ExpectedValue {
    /// The line of the file, from 1.
    pub line: usize,
    /// The table.
    pub table: TableName,
    /// The column.
    pub column: Column,
    /// The value, in the column's text form.
    pub value: String,
}

/// Every fault of a catalog, in the order of lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults {
    /// The catalog's name or path.
    pub catalog: String,
    /// The faults.
    pub faults: Vec<Fault>,
    /// The catalog's tables, if the database has hardly any of them. That is then the only fault.
    pub elsewhere: Option<NamedTables>,
}

impl Faults {
    /// Returns the fault of a catalog whose tables are elsewhere.
    pub(super) fn of_elsewhere(catalog: &str, tables: NamedTables) -> Faults {
        let fault = Fault { line: 1, message: tables.message(catalog, "this database") };
        Faults { catalog: catalog.into(), faults: vec![fault], elsewhere: Some(tables) }
    }

    /// Names the database, if the catalog's tables are elsewhere.
    pub fn in_database(mut self, database: &str) -> Faults {
        if let (Some(tables), [fault]) = (&self.elsewhere, self.faults.as_mut_slice()) {
            fault.message = tables.message(&self.catalog, database);
        }
        self
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(_), [fault]) = (&self.elsewhere, self.faults.as_slice()) {
            return f.write_str(&fault.message);
        }
        write!(f, "the catalog {} has {}:", self.catalog, counted(self.faults.len(), "fault"))?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// The ends of a text's lines, in bytes. Computed once, so that a hundred thousand faults do not each scan a long file.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    /// Finds the ends of the lines.
    pub fn of(text: &str) -> Lines {
        Lines(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(place, _)| place).collect())
    }

    /// Returns the line, from 1, that holds a byte.
    pub fn line_of(&self, byte: usize) -> usize {
        1 + self.0.partition_point(|end| *end < byte)
    }
}
