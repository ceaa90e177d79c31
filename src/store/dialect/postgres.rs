//! PostgreSQL's dialect.

use std::time::Duration;

use sea_orm::DbBackend;

use super::capabilities::{Capabilities, Engine, RowAddress};
use super::column_array::ColumnArray;
use super::syntax::{Bind, Dialect, RowLock, TableSize};
use super::tables::LedgerTable;
use super::text::{array_cast, array_text, differs, on_conflict_do_nothing, returning, update_from};
use super::types::Type;
use super::update_from::UpdateFrom;
use crate::catalog::TimeForm;

/// The syntax of PostgreSQL 14 and newer.
#[derive(Debug)]
pub struct Postgres {
    capabilities: Capabilities,
}

/// PostgreSQL as it is.
pub static POSTGRES: Postgres = Postgres::with(CAPABILITIES);

/// The capabilities of PostgreSQL.
pub const CAPABILITIES: Capabilities = Capabilities {
    writable_ctes: true,
    row_locks: true,
    locks_need_update: true,
    skip_locked: true,
    advisory_locks: true,
    arrays: true,
    deferrable_constraints: true,
    // Partitions and children have addresses of their own: the table's number makes one unique.
    row_addresses: &[RowAddress { columns: &[("tableoid", "oid"), ("ctid", "tid")] }],
    stable_row_addresses: false,
    schemas: true,
    roles: true,
    session_settings: true,
    sees_activity: true,
    is_server: true,
    max_concurrent_writers: None,
    numbers_rows_lazily: true,
    separate_sequences: true,
    booleans_are_integers: false,
    checks_types: true,
};

impl Postgres {
    /// Returns the dialect for a database with these capabilities. Tests leave some out, to run on PostgreSQL what code does
    /// on databases without them.
    pub const fn with(capabilities: Capabilities) -> Postgres {
        Postgres { capabilities }
    }
}

impl Dialect for Postgres {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    fn placeholder(&self, number: usize) -> String {
        format!("${number}")
    }

    fn ledger_table(&self, table: LedgerTable) -> (Option<&'static str>, String) {
        let name = if table == LedgerTable::Migrations { "handover_migrations" } else { table.name() };
        (Some("handover"), name.to_owned())
    }

    fn type_name<'t>(&self, of: &'t Type) -> &'t str {
        match of {
            Type::Any => "",
            Type::Bool => "boolean",
            Type::Int32 => "integer",
            Type::Int64 => "bigint",
            Type::Text => "text",
            Type::Uuid => "uuid",
            Type::Json => "jsonb",
            Type::Timestamp => "timestamptz",
            Type::Bytes => "bytea",
            Type::Host(name) => name,
        }
    }

    /// Binds one array for each column: the statement's text is the same for any number of rows.
    fn value_table(&self, bind: Bind<'_>, alias: &str, columns: &[ColumnArray], size: TableSize) -> String {
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let arrays: Vec<String> = (columns.iter())
            .map(|column| {
                let bound = bind(array_text(&column.values));
                let array = array_cast(&bound, self.type_name(&column.of));
                match size {
                    TableSize::Small => uncounted(&array),
                    TableSize::Any => array,
                }
            })
            .collect();
        format!("unnest({}) AS {alias}({})", arrays.join(", "), names.join(", "))
    }

    fn in_list(&self, bind: Bind<'_>, of: &Type, values: &[Option<String>]) -> String {
        let bound = bind(array_text(values));
        format!("(SELECT unnest({}))", uncounted(&array_cast(&bound, self.type_name(of))))
    }

    fn row_lock(&self, lock: RowLock, of: Option<&str>) -> String {
        let of = of.map(|alias| format!(" OF {alias}")).unwrap_or_default();
        match lock {
            RowLock::Wait => format!(" FOR UPDATE{of}"),
            RowLock::SkipLocked => format!(" FOR UPDATE{of} SKIP LOCKED"),
            RowLock::SkipChanging => format!(" FOR NO KEY UPDATE{of} SKIP LOCKED"),
        }
    }

    fn now(&self, of: &Type, form: TimeForm, _: &str) -> String {
        match form {
            TimeForm::OfType => self.cast("now()", of),
            TimeForm::Seconds => self.cast("floor(extract(epoch FROM now()))", of),
            TimeForm::Milliseconds => self.cast("floor(extract(epoch FROM now()) * 1000)", of),
        }
    }

    fn is_later(&self, value: &str, of: &Type, form: TimeForm, than: &str) -> String {
        let limit = format!("(CAST({than} AS timestamptz) + interval '1 minute')");
        match form {
            TimeForm::OfType => format!("COALESCE({value} > {}, FALSE)", self.cast(&limit, of)),
            TimeForm::Seconds => format!("COALESCE({value} > extract(epoch FROM {limit}), FALSE)"),
            TimeForm::Milliseconds => format!("COALESCE({value} > extract(epoch FROM {limit}) * 1000, FALSE)"),
        }
    }

    fn boolean(&self, value: bool) -> &'static str {
        if value { "TRUE" } else { "FALSE" }
    }

    fn json_array(&self, values: &[String]) -> String {
        format!("jsonb_build_array({})", values.join(", "))
    }

    fn json_array_of_texts(&self, text: &str) -> String {
        format!("jsonb_agg({text})")
    }

    fn json_array_of_json(&self, json: &str) -> String {
        format!("jsonb_agg({json})")
    }

    fn json_text(&self, json: &str, names: &[&str]) -> String {
        let (last, outer) = names.split_last().map_or(("", &[][..]), |(last, outer)| (*last, outer));
        let outer: String = outer.iter().map(|name| format!(" -> {}", text(name))).collect();
        format!("{json}{outer} ->> {}", text(last))
    }

    fn json_member(&self, json: &str, name: &str) -> String {
        format!("{json} -> {}", text(name))
    }

    fn json_item_text(&self, array: &str, position: usize) -> String {
        format!("{array} ->> {position}")
    }

    fn advisory_lock(&self, number: &str, exclusive: &str) -> String {
        format!(
            "CASE WHEN {exclusive} THEN pg_advisory_xact_lock({number})::text \
             ELSE pg_advisory_xact_lock_shared({number})::text END"
        )
    }

    fn try_advisory_lock(&self, number: &str, exclusive: &str) -> String {
        format!(
            "CASE WHEN {exclusive} THEN pg_try_advisory_xact_lock({number}) \
             ELSE pg_try_advisory_xact_lock_shared({number}) END"
        )
    }

    /// Keeps each value as the text that its type writes. A cast to text would be another function's text (`character` loses
    /// its blanks); JSON's own types lose the spelling of numbers and the bounds of arrays.
    fn snapshot_object(&self, columns: &[(&str, String)]) -> String {
        let names: Vec<String> = columns.iter().map(|(name, _)| text(name)).collect();
        // Unlike IS NOT NULL, this is true of a composite of nothing but NULLs.
        let value = |value: &str| format!("CASE WHEN {value} IS DISTINCT FROM NULL THEN format('%s', {value}) END");
        let values: Vec<String> = columns.iter().map(|(_, expression)| value(expression)).collect();
        format!("jsonb_object(ARRAY[{}]::text[], ARRAY[{}]::text[])", names.join(", "), values.join(", "))
    }

    fn snapshot_value(&self, object: &str, name: &str, of: &Type) -> String {
        self.cast(&format!("{object} ->> {}", text(name)), of)
    }

    fn json_object_of_json(&self, fields: &[(&str, &str)]) -> String {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}, {value}", text(name))).collect();
        format!("jsonb_build_object({})", fields.join(", "))
    }

    fn json_with(&self, object: &str, name: &str, value: &str) -> String {
        format!("{object} || jsonb_build_object({}, {value})", text(name))
    }

    fn json_without(&self, object: &str, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| text(name)).collect();
        format!("({object} - ARRAY[{}]::text[])", names.join(", "))
    }

    fn json_has(&self, object: &str, name: &str) -> String {
        format!("jsonb_exists({object}, {name})")
    }

    fn json_fields(&self, object: &str, alias: &str) -> String {
        format!("jsonb_each_text({object}) {alias}")
    }

    fn json_elements(&self, array: &str, alias: &str) -> String {
        format!("jsonb_array_elements({array}) AS {alias}(value)")
    }

    fn json_element_text(&self, alias: &str) -> String {
        format!("{alias}.value #>> '{{}}'")
    }

    fn contains(&self, text: &str, part: &str) -> String {
        format!("strpos({text}, {part}) > 0")
    }

    fn overriding_identity(&self) -> &'static str {
        "OVERRIDING SYSTEM VALUE "
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

    /// The connection has switched row-level security off, so that a statement fails instead of missing a row.
    fn enter_row_security(&self, settings: &[(String, String)]) -> String {
        let set = |(name, value): &(String, String)| format!(", set_config({name}, {value}, true)");
        let settings: String = settings.iter().map(set).collect();
        format!("SELECT set_config('row_security', 'on', true){settings}")
    }

    fn limit_statements(&self, limit: Duration) -> Option<String> {
        Some(format!("SET LOCAL statement_timeout = {}", limit.as_millis()))
    }
}

/// Hides the length of an array from the planner. It would find a plan for exactly so many values cheaper than one for any
/// number, and plan the statement anew each time: for some, planning takes longer than running.
fn uncounted(array: &str) -> String {
    format!("(SELECT {array})")
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
