//! What copies keep of rows, written so that they come back to the last bit: whole rows, or some of their columns, as JSON objects.

use crate::catalog::{Column, Engine};
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, cast, column, quoted};

/// A whole row as a JSON object.
pub fn row_json(engine: Engine, columns: &[Column], alias: &str) -> String {
    columns_json(engine, &columns.iter().collect::<Vec<_>>(), alias)
}

/// An object of some columns, under their names, that [`copied_rows`] reads back to the last bit.
pub fn columns_json(engine: Engine, columns: &[&Column], alias: &str) -> String {
    let label = |of: &&Column| format!("'{}'", of.name.replace('\'', "''"));
    let value = |of: &&Column| copied_form(engine, &column(alias, &of.name));
    match engine {
        Engine::Postgres => {
            let labels: Vec<String> = columns.iter().map(label).collect();
            let values: Vec<String> = columns.iter().map(value).collect();
            format!("jsonb_object(ARRAY[{}]::text[], ARRAY[{}]::text[])", labels.join(", "), values.join(", "))
        }
        Engine::Sqlite => {
            let pairs: Vec<String> = columns.iter().map(|of| format!("{}, {}", label(of), value(of))).collect();
            format!("json_object({})", pairs.join(", "))
        }
    }
}

/// A value as a copy keeps it. PostgreSQL: as text, as the type itself writes it; a cast to text would be another's word
/// for it (`character` loses its blanks), and JSON's own types lose the spelling of numbers and the bounds of arrays.
/// SQLite: JSON has no bytes, and SQLite writes its numbers with 15 digits and knows no word for the infinite; a text may hold
/// what JSON does not give back (a zero byte). These are kept as text under a name that says so.
fn copied_form(engine: Engine, value: &str) -> String {
    match engine {
        // Unlike IS NOT NULL, this is true of a composite of nothing but NULLs.
        Engine::Postgres => format!("CASE WHEN {value} IS DISTINCT FROM NULL THEN format('%s', {value}) END"),
        Engine::Sqlite => format!(
            "CASE typeof({value}) WHEN 'blob' THEN json_object('hex', hex({value})) WHEN 'real' THEN {real} \
             WHEN 'text' THEN CASE WHEN CAST(json_array({value}) ->> 0 AS BLOB) = CAST({value} AS BLOB) THEN {value} \
             ELSE json_object('text', hex({value})) END ELSE {value} END",
            real = real_form(value)
        ),
    }
}

/// A power of two that brings the largest and the smallest numbers into the middle, where nothing is rounded: made of
/// integers, for SQLite may misread it too.
const FAR: &str = "((1 << 62) * 1.0 * (1 << 62) * (1 << 62) * (1 << 62))";

/// SQLite: a number. Of the text that SQLite itself has written, it reads some numbers as a neighbour, most of them very
/// large or very small. Such a one is kept as what is read, and what is then still missing: their sum is the number. Only
/// the sign of a negative zero is lost, which SQLite has no way to tell.
fn real_form(value: &str) -> String {
    format!(
        "CASE WHEN {value} = 9e999 THEN json_object('real', '9e999') WHEN {value} = -9e999 THEN json_object('real', '-9e999') \
         WHEN CAST(quote({value}) AS REAL) = {value} THEN json_object('real', quote({value})) \
         ELSE json((SELECT json_object(near.size, json_array(quote(near.n), quote(near.n - CAST(quote(near.n) AS REAL)))) \
           FROM (SELECT CASE WHEN abs({value}) < 1 THEN 'small' ELSE 'large' END AS size, \
             CASE WHEN abs({value}) < 1 THEN {value} * {FAR} ELSE {value} / {FAR} END AS n) near)) END"
    )
}

/// The value of a column in a copy's `content`.
pub fn copied_value(engine: Engine, content: &str, of: &Column) -> String {
    if engine == Engine::Postgres {
        return cast(&format!("{content} ->> '{}'", of.name.replace('\'', "''")), &of.cast);
    }
    let path = json_path(&of.name);
    let value = format!("{content} -> {path}");
    let part = |size: &str, index: u8| format!("CAST(({value}) ->> '$.{size}[{index}]' AS REAL)");
    let sum = |size: &str| format!("({} + {})", part(size, 0), part(size, 1));
    format!(
        "CASE json_type({value}) WHEN 'object' THEN CASE WHEN ({value}) ->> 'real' IS NOT NULL \
         THEN CAST(({value}) ->> 'real' AS REAL) WHEN ({value}) -> 'small' IS NOT NULL THEN {small} / {FAR} \
         WHEN ({value}) -> 'large' IS NOT NULL THEN {large} * {FAR} WHEN ({value}) ->> 'text' IS NOT NULL \
         THEN CAST(unhex(({value}) ->> 'text') AS TEXT) ELSE unhex(({value}) ->> 'hex') END ELSE {content} ->> {path} END",
        small = sum("small"),
        large = sum("large"),
    )
}

/// SQLite: where a name stands in an object, as a constant. A bare name would be read as a path where it begins like one.
pub fn json_path(name: &str) -> String {
    format!("'{}'", path_of(name).replace('\'', "''"))
}

/// The same, as a value to be bound.
pub fn path_of(name: &str) -> String {
    format!("$.\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Rows as copies hold them, as a table `r` with these columns of the host's own types, and `copy_id`.
pub fn copied_rows(sql: &mut Sql, columns: &[&Column], ids: &[i64]) -> String {
    let array = ColumnArray::new(Type::Int64, "id", ids.iter().map(Some));
    let (ids, engine) = (sql.table("i", vec![array]), sql.engine());
    let picked = |of: &&Column| format!(", {} AS {}", copied_value(engine, "c.content", of), quoted(&of.name));
    let picked: String = columns.iter().map(picked).collect();
    format!("(SELECT c.id AS copy_id{picked} FROM {ids} JOIN handover.row_snapshots c ON i.id = c.id) r")
}
