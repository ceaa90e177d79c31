//! The columns of a table of bound values.

use super::types::Type;
use crate::catalog::Column;

/// A column of a table made of bound values.
pub struct ColumnArray {
    /// Its name, quoted where it needs to be.
    pub name: String,
    /// The type that its values are cast to.
    pub of: Type,
    /// Its values, as text.
    pub values: Vec<Option<String>>,
}

impl ColumnArray {
    /// Builds an array of host values, of the type of a column.
    pub fn of(name: &str, column: &Column, values: impl IntoIterator<Item = impl Into<String>>) -> ColumnArray {
        ColumnArray::of_some(name, column, values.into_iter().map(|value| Some(value.into())))
    }

    /// Builds an array of host values, some of them NULL.
    pub fn of_some(name: &str, column: &Column, values: impl IntoIterator<Item = Option<String>>) -> ColumnArray {
        ColumnArray { name: name.into(), of: Type::of(column), values: values.into_iter().collect() }
    }

    /// Builds an array of values of this type.
    pub fn new(of: Type, name: &str, values: impl IntoIterator<Item = Option<impl ToString>>) -> ColumnArray {
        let values = values.into_iter().map(|value| value.map(|value| value.to_string())).collect();
        ColumnArray { name: name.into(), of, values }
    }
}
