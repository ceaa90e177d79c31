//! Checks columns that take the time: each must hold times, or count them in a stated unit.

use super::resolve::Resolver;
use crate::catalog::file::{TimeUnit, TouchEntry};
use crate::catalog::schema::{Column, Family, SchemaColumn, SchemaTraits, Table, TimeForm};

/// Checks the column of a `touch`.
pub fn check_touch(resolver: &mut Resolver<'_>, table: &Table, entry: &TouchEntry, byte: usize) -> Option<Column> {
    let (name, unit) = entry.parts();
    resolver.refuse_generated(table, name, byte);
    check_time_column(resolver, table, name, unit, byte)
}

/// Returns a column with the form in which it takes the time, or adds a fault.
pub fn check_time_column(
    resolver: &mut Resolver<'_>,
    table: &Table,
    name: &str,
    unit: Option<TimeUnit>,
    byte: usize,
) -> Option<Column> {
    let column = resolver.column_at(table, name, byte)?;
    match time_form(table.column(name)?, unit, resolver.schema.traits) {
        Ok(time) => Some(Column { time, ..column }),
        Err(cause) => {
            resolver.fault(byte, format!("the column `{name}` of {} cannot take the time: {cause}", table.name));
            None
        }
    }
}

fn time_form(column: &SchemaColumn, unit: Option<TimeUnit>, traits: SchemaTraits) -> Result<TimeForm, String> {
    let counted = unit.map(|unit| match unit {
        TimeUnit::Seconds => TimeForm::Seconds,
        TimeUnit::Milliseconds => TimeForm::Milliseconds,
    });
    let held = column.family.describe();
    match (column.family, counted) {
        (Family::Integer { bits: 16 }, _) | (Family::Integer { bits: 32 }, Some(TimeForm::Milliseconds)) => {
            Err("its numbers are too small".to_owned())
        }
        (Family::Integer { .. } | Family::Number | Family::Any, Some(form)) => Ok(form),
        (Family::Integer { .. } | Family::Number, None) => {
            Err(format!("it holds {held}; say of what, as = \"seconds\" or as = \"milliseconds\""))
        }
        (Family::Time | Family::Any, None) => Ok(TimeForm::OfType),
        (Family::Text, None) if !traits.checks_types => Ok(TimeForm::OfType),
        (Family::Time, Some(_)) => Err("`as` is for columns of numbers".to_owned()),
        (Family::Text | Family::Boolean | Family::Uuid | Family::Other | Family::Opaque, _) => {
            Err(format!("it holds {held}"))
        }
    }
}
