//! Checks the values that a catalog writes for a column.

use toml::Spanned;

use super::resolve::Resolver;
use crate::catalog::file::Scalar;
use crate::catalog::schema::{Column, Family, SchemaColumn, SchemaTraits, Table};

/// Returns the text of a literal in the column's own text form, or adds a fault.
pub fn check_literal(
    resolver: &mut Resolver<'_>,
    table: &Table,
    column: &str,
    value: &Spanned<Scalar>,
) -> Option<String> {
    check_literal_at(resolver, table, column, value.get_ref(), value.span().start)
}

/// Returns the text of a literal in the column's own text form, or adds a fault at a byte of the text.
pub fn check_literal_at(
    resolver: &mut Resolver<'_>,
    table: &Table,
    column: &str,
    value: &Scalar,
    byte: usize,
) -> Option<String> {
    // The look-up of the column reports that it does not exist.
    let column = table.column(column)?;
    let traits = resolver.schema.traits;
    let place = || format!("the column `{}` of {}", column.name, table.name);
    if !fits(column, value, traits) {
        let wants = family_name(column.family);
        resolver.fault(byte, format!("the value does not fit {}, which holds {wants}", place()));
        return None;
    }
    let text = literal_text(value, traits);
    if let Some(values) = &column.values
        && !values.contains(&text)
    {
        let allowed = values.join(", ");
        resolver.fault(byte, format!("{} never holds this value; it allows: {allowed}", place()));
        return None;
    }
    Some(text)
}

/// Returns a column as these values are compared with it or written to it, or adds a fault. A column without a type of its own
/// takes the type of the values.
pub fn typed_by<'v>(
    resolver: &mut Resolver<'_>,
    column: Column,
    values: impl IntoIterator<Item = &'v Scalar>,
    byte: usize,
) -> Option<Column> {
    if column.family != Family::Any {
        return Some(column);
    }
    let mut casts = values.into_iter().map(|value| match value {
        Scalar::Boolean(_) | Scalar::Integer(_) => "INTEGER",
        Scalar::Number(_) => "REAL",
        Scalar::Text(_) => "TEXT",
    });
    let cast = casts.next()?;
    if casts.any(|other| other != cast) {
        let message = format!("the column `{}` has no declared type: write values of one type", column.name);
        resolver.fault(byte, message);
        return None;
    }
    Some(Column { cast: cast.to_owned(), ..column })
}

fn fits(column: &SchemaColumn, value: &Scalar, traits: SchemaTraits) -> bool {
    match (column.family, value) {
        (Family::Integer { .. }, Scalar::Integer(_)) | (Family::Boolean, Scalar::Boolean(_)) => true,
        (Family::Integer { .. } | Family::Number, Scalar::Boolean(_)) => traits.booleans_are_integers,
        (Family::Number, Scalar::Integer(_) | Scalar::Number(_)) => true,
        (Family::Integer { .. } | Family::Number | Family::Boolean, _) => false,
        (_, Scalar::Text(_)) => true,
        (_, Scalar::Boolean(_) | Scalar::Integer(_) | Scalar::Number(_)) => {
            matches!(column.family, Family::Any | Family::Other | Family::Opaque)
        }
    }
}

fn literal_text(value: &Scalar, traits: SchemaTraits) -> String {
    match value {
        Scalar::Boolean(flag) if traits.booleans_are_integers => u8::from(*flag).to_string(),
        Scalar::Boolean(flag) => flag.to_string(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text.clone(),
    }
}

/// Describes the values of a family, for faults.
pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::Integer { .. } => "whole numbers",
        Family::Number => "numbers",
        Family::Boolean => "true or false",
        Family::Text => "text",
        Family::Uuid => "UUIDs",
        Family::Time => "dates or times, written as text",
        Family::Any => "values of any type",
        Family::Other | Family::Opaque => "values of another type",
    }
}
