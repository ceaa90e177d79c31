//! The interface of a dialect.

use std::fmt;
use std::time::Duration;

use sea_orm::DbBackend;

use super::capabilities::{Capabilities, Engine};
use super::column_array::ColumnArray;
use super::tables::LedgerTable;
use super::text;
use super::types::Type;
use super::update_from::UpdateFrom;
use crate::catalog::TimeForm;

/// A dialect, shared by every session and statement of a database.
pub type SharedDialect = &'static dyn Dialect;

/// The lock on rows that a statement reads, held until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowLock {
    /// Waits for rows that another transaction has locked.
    Wait,
    /// Leaves out rows that another transaction has locked.
    SkipLocked,
    /// Leaves out rows that another transaction changes. Foreign keys that point at a row do not count.
    SkipChanging,
}

/// The number of rows of a table of bound values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableSize {
    /// A few. The planner must not count them: a plan for any number serves them all.
    Small,
    /// Any number. The planner may count them.
    Any,
}

/// Binds a text to the statement in the making, and returns what stands for it.
pub type Bind<'b> = &'b mut dyn FnMut(String) -> String;

/// The syntax of a database.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// Returns the engine, by which its driver is chosen. Anything else asks for capabilities.
    fn engine(&self) -> Engine;

    /// Returns the database's name, for people.
    fn name(&self) -> &'static str;

    /// Returns what the database can do.
    fn capabilities(&self) -> &Capabilities;

    /// Returns sea-orm's name for the database.
    fn backend(&self) -> DbBackend;

    /// Returns the placeholder of the value with this number, counted from 1.
    ///
    /// A dialect without numbers returns the same text for each, and the value is bound again at each place.
    fn placeholder(&self, number: usize) -> String;

    /// Returns the schema, if any, and the name of a table of the ledger.
    fn ledger_table(&self, table: LedgerTable) -> (Option<&'static str>, String);

    /// Returns the database's name of a type; empty where values of any type need no cast.
    fn type_name<'t>(&self, of: &'t Type) -> &'t str;

    /// Casts an expression. [`Type::Any`] casts nothing.
    fn cast(&self, expression: &str, to: &Type) -> String {
        text::cast(expression, self.type_name(to))
    }

    /// Returns a table of bound values for a FROM: one row for each position in the arrays.
    fn value_table(&self, bind: Bind<'_>, alias: &str, columns: &[ColumnArray], size: TableSize) -> String;

    /// Returns the right side of an `IN`: bound values, cast to a type.
    fn in_list(&self, bind: Bind<'_>, of: &Type, values: &[Option<String>]) -> String;

    /// Returns the clause that locks rows, with a blank before it; nothing where [`Capabilities::row_locks`] is false.
    ///
    /// `of` names the alias whose rows are locked; by default all are.
    fn row_lock(&self, lock: RowLock, of: Option<&str>) -> String;

    /// Returns the present time as a value of a column of this type. `held` is a time that the column holds, or NULL.
    fn now(&self, of: &Type, form: TimeForm, held: &str) -> String;

    /// Tests that a time in a column of this type is later than a time of the ledger, by more than a minute: clocks differ, and
    /// a transaction takes time. NULL is not later.
    fn is_later(&self, value: &str, of: &Type, form: TimeForm, than: &str) -> String;

    /// Returns a literal.
    fn boolean(&self, value: bool) -> &'static str;

    /// Returns a JSON array of these expressions.
    fn json_array(&self, values: &[String]) -> String;

    /// Returns the JSON array of a text of every row of a group.
    fn json_array_of_texts(&self, text: &str) -> String;

    /// Returns the JSON array of a JSON value of every row of a group.
    fn json_array_of_json(&self, json: &str) -> String;

    /// Returns the text under a name, inside nested objects; NULL where it is missing.
    fn json_text(&self, json: &str, names: &[&str]) -> String;

    /// Returns the JSON value under a name.
    fn json_member(&self, json: &str, name: &str) -> String;

    /// Returns the text at a position of an array, counted from 0.
    fn json_item_text(&self, array: &str, position: usize) -> String;

    /// Returns an expression that locks a number until the end of the transaction, exclusively if a test holds. Only with
    /// [`Capabilities::advisory_locks`].
    fn advisory_lock(&self, number: &str, exclusive: &str) -> String;

    /// Returns a call that locks a number until the transaction ends, exclusively or shared, without waiting: true if it is locked.
    /// Only with [`Capabilities::advisory_locks`].
    fn try_advisory_lock(&self, number: &str, exclusive: &str) -> String;

    /// Returns the JSON object that a snapshot keeps of columns, as names and expressions. [`Dialect::snapshot_value`] gives
    /// each value back exactly.
    fn snapshot_object(&self, columns: &[(&str, String)]) -> String;

    /// Returns the value of a column in a snapshot's object.
    fn snapshot_value(&self, object: &str, name: &str, of: &Type) -> String;

    /// Returns a JSON object of JSON values.
    fn json_object_of_json(&self, fields: &[(&str, &str)]) -> String;

    /// Returns a JSON object with a JSON value added under a name.
    fn json_with(&self, object: &str, name: &str, value: &str) -> String;

    /// Returns a JSON object without these names.
    fn json_without(&self, object: &str, names: &[&str]) -> String;

    /// Tests if a JSON object has the name that an expression holds.
    fn json_has(&self, object: &str, name: &str) -> String;

    /// Returns an item of a FROM: the fields of a JSON object, as `key` and `value`.
    fn json_fields(&self, object: &str, alias: &str) -> String;

    /// Returns an item of a FROM: the elements of a JSON array, as `value`.
    fn json_elements(&self, array: &str, alias: &str) -> String;

    /// Returns the text of an element of [`Dialect::json_elements`] that is a text.
    fn json_element_text(&self, alias: &str) -> String;

    /// Tests if a text holds another.
    fn contains(&self, text: &str, part: &str) -> String;

    /// Returns the clause of an INSERT that may give values to a column which the database numbers, with a blank after
    /// it.
    fn overriding_identity(&self) -> &'static str;

    /// Returns what follows an INSERT that leaves out rows which exist already, with a blank before it.
    fn on_conflict_do_nothing(&self, columns: &[&str]) -> String;

    /// Returns an UPDATE of the rows that others name.
    fn update_from(&self, update: &UpdateFrom<'_>) -> String;

    /// Returns what follows an INSERT or UPDATE of which these columns are read, with a blank before it.
    fn returning(&self, columns: &str) -> String;

    /// Returns what has a common table expression computed once, with a blank after it.
    fn materialized(&self) -> &'static str;

    /// Tests that two values differ, where NULL equals NULL.
    fn differs(&self, left: &str, right: &str) -> String;

    /// Returns the query that has row-level security hide rows for the rest of the transaction, with these settings for its
    /// policies, each a name and a value. Only with [`Capabilities::session_settings`].
    fn enter_row_security(&self, settings: &[(String, String)]) -> String;

    /// Returns the statement that ends each later statement of the transaction after a time; nothing if the database cannot.
    fn limit_statements(&self, limit: Duration) -> Option<String>;
}
