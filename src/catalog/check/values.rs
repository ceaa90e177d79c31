//! Checks the values that a catalog writes for a column.

use toml::Spanned;
use uuid::Uuid;

use super::resolve::Resolver;
use super::times::check_time_column;
use crate::catalog::disposition::SetValue;
use crate::catalog::file::{NowEntry, NullEntry, Scalar, SetEntry};
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
    let text = literal_text(value, traits);
    if !fits(column, value, traits) {
        let wants = column.family.describe();
        resolver.fault(byte, format!("the value {text:?} does not fit {}, which holds {wants}", place()));
        return None;
    }
    if let Some(cause) = misfit(column, &text, traits) {
        resolver.fault(byte, format!("{} cannot hold {text:?}: {cause}", place()));
        return None;
    }
    if let Some(values) = &column.values
        && !values.contains(&text)
    {
        let allowed = values.join(", ");
        resolver.fault(byte, format!("{} never holds {text:?}; it allows: {allowed}", place()));
        return None;
    }
    Some(text)
}

/// Returns the new value of a column, or adds a fault at a byte of the text.
pub fn check_new_value(
    resolver: &mut Resolver<'_>,
    table: &Table,
    column: &str,
    value: &SetEntry,
    byte: usize,
) -> Option<SetValue> {
    match value {
        SetEntry::Value(value) => check_literal_at(resolver, table, column, value, byte).map(SetValue::Text),
        SetEntry::Null(NullEntry { null: true }) => {
            if table.column(column).is_some_and(|column| !column.nullable) {
                resolver.fault(byte, format!("the column `{column}` of {} cannot be NULL", table.name));
                return None;
            }
            Some(SetValue::Null)
        }
        SetEntry::Now(NowEntry { now: true, .. }) => Some(SetValue::Now),
        SetEntry::Null(NullEntry { null: false }) | SetEntry::Now(NowEntry { now: false, .. }) => {
            resolver.fault(byte, "`null` and `now` are true or absent");
            None
        }
    }
}

/// Returns a column as it takes a new value, or adds a fault.
pub fn form_by(
    resolver: &mut Resolver<'_>,
    table: &Table,
    column: Column,
    value: &SetEntry,
    byte: usize,
) -> Option<Column> {
    match value {
        SetEntry::Value(value) => typed_by(resolver, column, [value], byte),
        SetEntry::Null(_) => Some(column),
        SetEntry::Now(NowEntry { unit, .. }) => check_time_column(resolver, table, &column.name, *unit, byte),
    }
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

/// Returns why a column of a database that checks types cannot hold a text, although its family fits.
fn misfit(column: &SchemaColumn, text: &str, traits: SchemaTraits) -> Option<String> {
    match column.family {
        Family::Integer { bits } => {
            let number = text.parse::<i64>().ok()?;
            let is_held = matches!(number >> (bits - 1), 0 | -1);
            (!is_held).then(|| format!("it holds numbers of {bits} bits"))
        }
        Family::Uuid if traits.checks_types => Uuid::try_parse(text).is_err().then(|| "it is no UUID".to_owned()),
        Family::Time if traits.checks_types => {
            (!is_time(text)).then(|| "write a time as 2026-12-31T23:59:59Z, or a day as 2026-12-31".to_owned())
        }
        Family::Uuid | Family::Time => None,
        Family::Number | Family::Boolean | Family::Text | Family::Any | Family::Other | Family::Opaque => None,
    }
}

/// True if a text is a day, or a day and a time, in the form of ISO 8601.
fn is_time(text: &str) -> bool {
    if ["infinity", "-infinity"].contains(&text) {
        return true;
    }
    let (day, clock) = match text.split_once(['T', ' ']) {
        Some((day, clock)) => (day, Some(clock)),
        None => (text, None),
    };
    let mut parts = day.splitn(3, '-').map(|part| part.parse::<u16>().ok());
    let is_day = match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
        (Some(year), Some(month), Some(day)) => {
            let month = u8::try_from(month).ok().and_then(|month| time::Month::try_from(month).ok());
            let day = u8::try_from(day).ok();
            let date = month.zip(day).map(|(month, day)| time::Date::from_calendar_date(i32::from(year), month, day));
            matches!(date, Some(Ok(_)))
        }
        _ => false,
    };
    let is_clock = |clock: &str| clock.len() >= 5 && clock.chars().all(|c| c.is_ascii_digit() || ":.+-Z ".contains(c));
    is_day && clock.is_none_or(is_clock)
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
