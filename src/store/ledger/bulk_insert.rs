//! Adding rows to a table of the ledger, however many, by one statement.
//!
//! PostgreSQL gets an array for each column: so the statement's text is the same for any number of rows, is prepared once,
//! and has a dozen values instead of thousands.

use sea_orm::sea_query::Value;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, EntityName, EntityTrait, IdenStatic, Iterable, QueryResult,
    QueryTrait, Statement,
};
use time::OffsetDateTime;
use time::macros::format_description;

use super::failed;
use crate::catalog::Engine;
use crate::contract::hex;
use crate::store::dialect::sql::{ColumnArray, Sql, quoted};
use crate::store::{Error, Result, Session};

/// Adds rows; how many there are more. What stands behind the values in the statement is `tail`: what to do with rows that
/// are there already.
pub(super) async fn add<A: ActiveModelTrait>(
    session: &Session,
    doing: &'static str,
    rows: Vec<A>,
    tail: &str,
) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let statement = insertion(session.engine(), doing, rows, tail)?;
    Ok(session.execute_raw(statement).await.map_err(failed(doing))?.rows_affected())
}

/// Adds rows; what the `tail` of the statement returns of each.
pub(super) async fn add_returning<A: ActiveModelTrait>(
    session: &Session,
    doing: &'static str,
    rows: Vec<A>,
    tail: &str,
) -> Result<Vec<QueryResult>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let statement = insertion(session.engine(), doing, rows, tail)?;
    session.query_all_raw(statement).await.map_err(failed(doing))
}

fn insertion<A: ActiveModelTrait>(engine: Engine, doing: &str, rows: Vec<A>, tail: &str) -> Result<Statement> {
    if engine == Engine::Sqlite {
        let mut statement = A::Entity::insert_many(rows).build(DbBackend::Sqlite);
        statement.sql.push_str(tail);
        return Ok(statement);
    }
    let mut sql = Sql::new(engine, "");
    let text = insertion_into(&mut sql, doing, rows, tail)?;
    sql.add(&text);
    Ok(sql.statement())
}

/// PostgreSQL: adding rows, as a statement or a part of one.
pub(super) fn insertion_into<A: ActiveModelTrait>(
    sql: &mut Sql,
    doing: &str,
    rows: Vec<A>,
    tail: &str,
) -> Result<String> {
    let entity = A::Entity::default();
    // A number that the database gives is set in no row.
    let columns: Vec<Column<A>> =
        Column::<A>::iter().filter(|column| rows.iter().any(|row| !row.is_not_set(*column))).collect();
    let mut arrays = Vec::with_capacity(columns.len());
    for column in columns {
        let values = rows.iter().map(|row| row.get(column).into_value().and_then(in_words));
        let values = values.collect::<Option<Vec<(&str, Option<String>)>>>();
        let unknown = || Error::unexpected(doing, format!("`{}` has a type of its own", column.as_str()));
        let (casts, values): (Vec<&str>, Vec<Option<String>>) = values.ok_or_else(unknown)?.into_iter().unzip();
        let cast = casts.first().copied().unwrap_or_default().to_owned();
        arrays.push(ColumnArray { name: quoted(column.as_str()), cast, values });
    }
    let names: Vec<String> = arrays.iter().map(|array| array.name.clone()).collect();
    let names = names.join(", ");
    let values = sql.table("added", arrays);
    Ok(format!(
        "INSERT INTO {}.{} ({names}) SELECT {names} FROM {values}{tail}",
        quoted(entity.schema_name().unwrap_or_default()),
        quoted(entity.table_name()),
    ))
}

type Column<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Column;

/// A value as PostgreSQL reads it, behind the name of its type. None of a type that no column of the ledger has.
fn in_words(value: Value) -> Option<(&'static str, Option<String>)> {
    Some(match value {
        Value::Bool(value) => ("boolean", value.map(|value| value.to_string())),
        Value::Int(value) => ("integer", value.map(|value| value.to_string())),
        Value::BigInt(value) => ("bigint", value.map(|value| value.to_string())),
        Value::String(value) => ("text", value),
        Value::Uuid(value) => ("uuid", value.map(|value| value.to_string())),
        Value::Json(value) => ("jsonb", value.map(|value| value.to_string())),
        Value::Bytes(value) => ("bytea", value.map(|value| format!("\\x{}", hex(&value)))),
        Value::TimeDateTimeWithTimeZone(value) => ("timestamptz", value.map(time_in_words)),
        _ => return None,
    })
}

/// To the microsecond, as PostgreSQL keeps it: what is behind would be rounded up.
fn time_in_words(time: OffsetDateTime) -> String {
    let format = format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6][offset_hour sign:mandatory]:[offset_minute]"
    );
    time.format(&format).unwrap_or_default()
}
