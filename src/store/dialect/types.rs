//! The types of bound values.

use crate::catalog::Column;

/// A type that a value is cast to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// No cast: the value keeps the type that it has.
    Any,
    /// A truth value.
    Bool,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// A text.
    Text,
    /// A UUID.
    Uuid,
    /// A JSON document.
    Json,
    /// A time with its zone.
    Timestamp,
    /// Bytes.
    Bytes,
    /// A type of the host's, in the words of its database.
    Host(String),
}

impl Type {
    /// Returns the type that values of a host's column are cast to.
    pub fn of(column: &Column) -> Type {
        match column.cast.as_str() {
            "" => Type::Any,
            cast => Type::Host(cast.to_owned()),
        }
    }
}
