//! Adds any number of rows to a table of the ledger by one statement.
//!
//! A database with arrays gets one for each column. The statement's text is then the same for any number of rows, is
//! prepared once, and has a dozen values instead of thousands.

use sea_orm::sea_query::Value;
use sea_orm::{ActiveModelTrait, EntityTrait, IdenStatic, Iterable};
use time::OffsetDateTime;
use time::macros::format_description;

use super::entity::LedgerEntity;
use crate::contract::hex;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, quoted};
use crate::store::{Error, Result, Row, Session};

/// Adds rows and returns how many were added. `tail` follows the values in the statement: it says what happens to rows
/// that exist already.
pub(super) async fn add<A>(session: &Session, doing: &'static str, rows: Vec<A>, tail: &str) -> Result<u64>
where
    A: ActiveModelTrait<Entity: LedgerEntity>,
{
    match statement(session, doing, rows, tail)? {
        Some(sql) => session.run(doing, sql).await,
        None => Ok(0),
    }
}

/// Adds rows and returns what the `tail` of the statement returns of each.
pub(super) async fn add_returning<A>(
    session: &Session,
    doing: &'static str,
    rows: Vec<A>,
    tail: &str,
) -> Result<Vec<Row>>
where
    A: ActiveModelTrait<Entity: LedgerEntity>,
{
    match statement(session, doing, rows, tail)? {
        Some(sql) => session.all(doing, sql).await,
        None => Ok(Vec::new()),
    }
}

fn statement<A>(session: &Session, doing: &str, rows: Vec<A>, tail: &str) -> Result<Option<Sql>>
where
    A: ActiveModelTrait<Entity: LedgerEntity>,
{
    if rows.is_empty() {
        return Ok(None);
    }
    let mut sql = session.sql("");
    let text = insertion(&mut sql, doing, rows, tail)?;
    sql.add(&text);
    Ok(Some(sql))
}

/// Returns the INSERT of these rows, as a statement or as a part of one.
pub(super) fn insertion<A>(sql: &mut Sql, doing: &str, rows: Vec<A>, tail: &str) -> Result<String>
where
    A: ActiveModelTrait<Entity: LedgerEntity>,
{
    // A number that the database gives is set in no row.
    let columns: Vec<Column<A>> =
        Column::<A>::iter().filter(|column| rows.iter().any(|row| !row.is_not_set(*column))).collect();
    let names: Vec<String> = columns.iter().map(|column| quoted(column.as_str())).collect();
    let names = names.join(", ");
    let source = match sql.capabilities().arrays {
        true => format!("SELECT {names} FROM {}", array_table::<A>(sql, doing, &columns, &rows)?),
        false => value_list(sql, &columns, &rows),
    };
    let table = A::Entity::TABLE;
    Ok(format!("INSERT INTO {table} ({names}) {source}{tail}"))
}

fn array_table<A>(sql: &mut Sql, doing: &str, columns: &[Column<A>], rows: &[A]) -> Result<String>
where
    A: ActiveModelTrait<Entity: LedgerEntity>,
{
    let mut arrays = Vec::with_capacity(columns.len());
    for column in columns {
        let unknown =
            || Error::unexpected(doing, format!("`{}` has a type that no array is built of", column.as_str()));
        let mut of = Type::Text;
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            let (type_, value) = row.get(*column).into_value().and_then(as_text).ok_or_else(unknown)?;
            of = type_;
            values.push(value);
        }
        arrays.push(ColumnArray { name: quoted(column.as_str()), of, values });
    }
    Ok(sql.table("added", arrays))
}

fn value_list<A: ActiveModelTrait>(sql: &mut Sql, columns: &[Column<A>], rows: &[A]) -> String {
    let row = |row: &A| {
        let values: Vec<String> = (columns.iter())
            .map(|column| row.get(*column).into_value().map_or_else(|| "NULL".to_owned(), |value| sql.bind(value)))
            .collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!("VALUES {}", rows.join(", "))
}

type Column<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Column;

/// Returns a value's type and the text that the database reads it from; nothing for a type that no column of the ledger
/// has.
#[expect(clippy::wildcard_enum_match_arm, reason = "a library's enum; other types are refused")]
fn as_text(value: Value) -> Option<(Type, Option<String>)> {
    Some(match value {
        Value::Bool(value) => (Type::Bool, value.map(|value| value.to_string())),
        Value::Int(value) => (Type::Int32, value.map(|value| value.to_string())),
        Value::BigInt(value) => (Type::Int64, value.map(|value| value.to_string())),
        Value::String(value) => (Type::Text, value),
        Value::Uuid(value) => (Type::Uuid, value.map(|value| value.to_string())),
        Value::Json(value) => (Type::Json, value.map(|value| value.to_string())),
        Value::Bytes(value) => (Type::Bytes, value.map(|value| format!("\\x{}", hex(&value)))),
        Value::TimeDateTimeWithTimeZone(None) => (Type::Timestamp, None),
        Value::TimeDateTimeWithTimeZone(Some(time)) => (Type::Timestamp, Some(time_text(time)?)),
        _ => return None,
    })
}

/// Writes a time to the microsecond, as PostgreSQL keeps it: it would round up further digits.
fn time_text(time: OffsetDateTime) -> Option<String> {
    let format = format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6][offset_hour sign:mandatory]:[offset_minute]"
    );
    time.format(&format).ok()
}
