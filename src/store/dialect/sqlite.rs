//! SQLite's dialect.

mod exact_real;

use std::time::Duration;

use sea_orm::DbBackend;

use super::capabilities::{Capabilities, Engine, RowAddress};
use super::column_array::ColumnArray;
use super::syntax::{Bind, Dialect, RowLock, TableSize};
use super::tables::LedgerTable;
use super::text::{differs, on_conflict_do_nothing, returning, update_from};
use super::types::Type;
use super::update_from::UpdateFrom;
use crate::catalog::TimeForm;

/// The syntax of SQLite 3.41 and newer.
#[derive(Debug)]
pub struct Sqlite;

const CAPABILITIES: Capabilities = Capabilities {
    writable_ctes: false,
    row_locks: false,
    locks_need_update: false,
    skip_locked: false,
    advisory_locks: false,
    arrays: false,
    deferrable_constraints: false,
    row_addresses: &[
        RowAddress { columns: &[("rowid", "INTEGER")] },
        RowAddress { columns: &[("_rowid_", "INTEGER")] },
        RowAddress { columns: &[("oid", "INTEGER")] },
    ],
    stable_row_addresses: true,
    schemas: false,
    roles: false,
    session_settings: false,
    sees_activity: false,
    is_server: false,
    max_concurrent_writers: Some(1),
    numbers_rows_lazily: false,
    separate_sequences: false,
    booleans_are_integers: true,
    checks_types: false,
};

/// The seconds since 1970.
const SECONDS: &str = "CAST(strftime('%s', 'now') AS INTEGER)";

/// The milliseconds since 1970.
const MILLISECONDS: &str = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)";

impl Dialect for Sqlite {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn backend(&self) -> DbBackend {
        DbBackend::Sqlite
    }

    fn placeholder(&self, number: usize) -> String {
        format!("?{number}")
    }

    /// SQLite has no schemas: a prefix keeps the ledger's names apart from the host's.
    fn ledger_table(&self, table: LedgerTable) -> (Option<&'static str>, String) {
        (None, format!("handover_{}", table.name()))
    }

    /// A declared type decides a value's affinity. Times and JSON are texts.
    fn type_name<'t>(&self, of: &'t Type) -> &'t str {
        match of {
            Type::Any => "",
            Type::Bool | Type::Int32 | Type::Int64 => "integer",
            Type::Text | Type::Json | Type::Timestamp => "text",
            Type::Uuid | Type::Bytes => "blob",
            Type::Host(name) => name,
        }
    }

    /// Binds one JSON text that holds the rows.
    fn value_table(&self, bind: Bind<'_>, alias: &str, columns: &[ColumnArray], _: TableSize) -> String {
        let rows = columns.first().map_or(0, |column| column.values.len());
        let rows: Vec<serde_json::Value> =
            (0..rows).map(|row| columns.iter().map(|column| serde_json::json!(column.values[row])).collect()).collect();
        let columns: Vec<String> = (columns.iter().enumerate())
            .map(|(index, column)| {
                format!("{} AS {}", self.element(&format!("value ->> {index}"), &column.of), column.name)
            })
            .collect();
        let json = bind(serde_json::Value::from(rows).to_string());
        format!("(SELECT {} FROM json_each({json})) AS {alias}", columns.join(", "))
    }

    fn in_list(&self, bind: Bind<'_>, of: &Type, values: &[Option<String>]) -> String {
        let json = bind(serde_json::json!(values).to_string());
        format!("(SELECT {} FROM json_each({json}))", self.element("value", of))
    }

    fn row_lock(&self, _: RowLock, _: Option<&str>) -> String {
        String::new()
    }

    /// SQLite has no type for times: hosts keep texts, seconds, milliseconds or Julian days, and sort wrongly where a column mixes
    /// them. So the form is that of a time which the column holds.
    fn now(&self, _: &Type, form: TimeForm, held: &str) -> String {
        match form {
            TimeForm::Seconds => SECONDS.to_owned(),
            TimeForm::Milliseconds => MILLISECONDS.to_owned(),
            TimeForm::OfType => format!(
                "(SELECT CASE typeof(h.v) WHEN 'integer' THEN CASE WHEN h.v > 100000000000 THEN {MILLISECONDS} ELSE {SECONDS} END \
                 WHEN 'real' THEN julianday('now') WHEN 'text' THEN CASE WHEN h.v LIKE '____-__-__T%Z' \
                 THEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHEN h.v LIKE '____-__-__T%' THEN strftime('%Y-%m-%dT%H:%M:%S', 'now') \
                 WHEN length(h.v) = 10 THEN date('now') ELSE CURRENT_TIMESTAMP END ELSE CURRENT_TIMESTAMP END \
                 FROM (SELECT {held} AS v) AS h)"
            ),
        }
    }

    /// Texts are in UTC, unless they name another zone.
    fn is_later(&self, value: &str, _: &Type, form: TimeForm, than: &str) -> String {
        let of_seconds = |seconds: &str| format!("{seconds} / 86400.0 + 2440587.5");
        let (seconds, milliseconds) = (of_seconds(value), of_seconds(&format!("{value} / 1000.0")));
        let days = match form {
            TimeForm::Seconds => seconds,
            TimeForm::Milliseconds => milliseconds,
            TimeForm::OfType => format!(
                "CASE typeof({value}) WHEN 'integer' THEN CASE WHEN {value} > 100000000000 THEN {milliseconds} ELSE {seconds} END \
                 WHEN 'real' THEN {value} ELSE julianday({value}) END"
            ),
        };
        format!("COALESCE({days} > julianday({than}, '+1 minute'), FALSE)")
    }

    fn boolean(&self, value: bool) -> &'static str {
        if value { "1" } else { "0" }
    }

    fn json_array(&self, values: &[String]) -> String {
        format!("json_array({})", values.join(", "))
    }

    fn json_array_of_texts(&self, text: &str) -> String {
        format!("json_group_array({text})")
    }

    /// JSON that comes out of a subquery is a mere text: it is parsed again.
    fn json_array_of_json(&self, json: &str) -> String {
        format!("json_group_array(json({json}))")
    }

    fn json_text(&self, json: &str, names: &[&str]) -> String {
        let (last, outer) = names.split_last().map_or(("", &[][..]), |(last, outer)| (*last, outer));
        let outer: String = outer.iter().map(|name| format!(" -> {}", path(name))).collect();
        format!("{json}{outer} ->> {}", path(last))
    }

    fn json_member(&self, json: &str, name: &str) -> String {
        format!("{json} -> {}", path(name))
    }

    fn json_item_text(&self, array: &str, position: usize) -> String {
        format!("{array} ->> {position}")
    }

    /// SQLite has one writer.
    fn advisory_lock(&self, _: &str, _: &str) -> String {
        "NULL".to_owned()
    }

    fn try_advisory_lock(&self, _: &str, _: &str) -> String {
        "TRUE".to_owned()
    }

    /// JSON has no bytes, SQLite writes its numbers with 15 digits, and a text may hold a zero byte, which JSON does not give
    /// back. Such a value is kept as an object whose only name says what it is.
    fn snapshot_object(&self, columns: &[(&str, String)]) -> String {
        let value = |value: &str| {
            format!(
                "CASE typeof({value}) WHEN 'blob' THEN json_object('hex', hex({value})) WHEN 'real' THEN {real} \
                 WHEN 'text' THEN CASE WHEN CAST(json_array({value}) ->> 0 AS BLOB) = CAST({value} AS BLOB) THEN {value} \
                 ELSE json_object('text', hex({value})) END ELSE {value} END",
                real = exact_real::encode(value)
            )
        };
        let fields: Vec<String> =
            columns.iter().map(|(name, expression)| format!("{}, {}", text(name), value(expression))).collect();
        format!("json_object({})", fields.join(", "))
    }

    fn snapshot_value(&self, object: &str, name: &str, _: &Type) -> String {
        let path = path(name);
        let value = format!("{object} -> {path}");
        format!(
            "CASE json_type({value}) WHEN 'object' THEN CASE {real} WHEN ({value}) ->> 'text' IS NOT NULL \
             THEN CAST(unhex(({value}) ->> 'text') AS TEXT) ELSE unhex(({value}) ->> 'hex') END ELSE {object} ->> {path} END",
            real = exact_real::decode(&value)
        )
    }

    fn json_object_of_json(&self, fields: &[(&str, &str)]) -> String {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}, json({value})", text(name))).collect();
        format!("json_object({})", fields.join(", "))
    }

    fn json_with(&self, object: &str, name: &str, value: &str) -> String {
        format!("json_set({object}, {}, {value})", path(name))
    }

    fn json_without(&self, object: &str, names: &[&str]) -> String {
        let paths: Vec<String> = names.iter().map(|name| path(name)).collect();
        format!("json_remove({object}, {})", paths.join(", "))
    }

    fn json_has(&self, object: &str, name: &str) -> String {
        format!("EXISTS (SELECT 1 FROM json_each({object}) f WHERE f.key = {name})")
    }

    fn json_fields(&self, object: &str, alias: &str) -> String {
        format!("json_each({object}) {alias}")
    }

    fn json_elements(&self, array: &str, alias: &str) -> String {
        format!("json_each({array}) {alias}")
    }

    fn json_element_text(&self, alias: &str) -> String {
        format!("{alias}.value")
    }

    fn contains(&self, text: &str, part: &str) -> String {
        format!("instr({text}, {part}) > 0")
    }

    fn overriding_identity(&self) -> &'static str {
        ""
    }

    fn on_conflict_do_nothing(&self, columns: &[&str]) -> String {
        on_conflict_do_nothing(columns)
    }

    fn update_from(&self, update: &UpdateFrom<'_>) -> String {
        update_from(update)
    }

    fn returning(&self, columns: &str) -> String {
        returning(columns)
    }

    fn materialized(&self) -> &'static str {
        "MATERIALIZED "
    }

    fn differs(&self, left: &str, right: &str) -> String {
        differs(left, right)
    }

    /// SQLite has no row-level security.
    fn enter_row_security(&self, _: &[(String, String)]) -> String {
        "SELECT NULL".to_owned()
    }

    fn limit_statements(&self, _: Duration) -> Option<String> {
        None
    }
}

impl Sqlite {
    /// Reads an element of a JSON array. The ledger keeps UUIDs as bytes, and a truth value comes as `true` or `false`.
    fn element(&self, value: &str, of: &Type) -> String {
        match of {
            Type::Uuid => format!("unhex(replace({value}, '-', ''))"),
            Type::Bool => format!("({value} = 'true')"),
            Type::Bytes => format!("unhex({value})"),
            Type::Any | Type::Int32 | Type::Int64 | Type::Text | Type::Json | Type::Timestamp | Type::Host(_) => {
                self.cast(value, of)
            }
        }
    }
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// The path of a name as a constant. A bare name that begins like a path would be read as one.
fn path(name: &str) -> String {
    let path = format!("$.\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    format!("'{}'", path.replace('\'', "''"))
}
