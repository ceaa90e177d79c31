//! The database drivers: how each engine is reached, classified, read and granted. One folder for each engine.
//!
//! [`of_url`] and [`of`] choose a driver. Nothing else in the crate asks which engine is in use.

mod activity;
mod error_class;
pub mod errors;
mod index_text;
mod interface;
mod listed_values;
mod postgres;
mod settings;
mod sqlite;
mod tokens;

pub use self::activity::{HostLoad, Standbys};
pub use self::interface::{CurrentColumn, Driver, Pools, SessionDefault};
use self::postgres::PostgresDriver;
pub use self::settings::{Opening, Settings};
use self::sqlite::SqliteDriver;
use super::dialect::{Capabilities, Engine};
use super::error::Result;
use super::session::Session;
use crate::catalog::{Column, Family, Schema, SchemaTraits, Spelling, Table, TableName, TimeForm};

/// The engines, by the schemes of their URLs.
const SCHEMES: [(&str, Engine); 3] =
    [("postgres", Engine::Postgres), ("postgresql", Engine::Postgres), ("sqlite", Engine::Sqlite)];

/// Returns the driver of a URL, or what is wrong with the URL. It may hold a password, so the error does not repeat it.
pub fn of_url(url: &str) -> std::result::Result<&'static dyn Driver, String> {
    let scheme = url.split(':').next().unwrap_or_default();
    let engine = SCHEMES.into_iter().find(|(known, _)| *known == scheme).map(|(_, engine)| engine);
    engine.map(of_engine).ok_or_else(|| {
        let known = SCHEMES.map(|(scheme, _)| format!("`{scheme}:`"));
        format!("`database.url` must start with {}", known.join(" or "))
    })
}

/// Returns the driver of a session's database.
pub fn of(session: &Session) -> &'static dyn Driver {
    of_engine(session.dialect().engine())
}

fn of_engine(engine: Engine) -> &'static dyn Driver {
    match engine {
        Engine::Postgres => &PostgresDriver,
        Engine::Sqlite => &SqliteDriver,
    }
}

/// Reads the live schema, except the ledger's tables.
pub async fn read_schema(session: &Session) -> Result<Schema> {
    let capabilities = session.capabilities();
    let mut tables = of(session).read_tables(session).await?;
    for table in &mut tables {
        let has_address = !table.facts.is_without_row_numbers;
        table.row_address = row_address(capabilities, table).filter(|_| has_address);
    }
    let traits = SchemaTraits {
        booleans_are_integers: capabilities.booleans_are_integers,
        has_session_settings: capabilities.session_settings,
        checks_types: capabilities.checks_types,
    };
    let relations = of(session).read_relations(session).await?;
    Ok(Schema { traits, tables, relations })
}

/// Returns the first address of rows whose columns hide no column of the table.
fn row_address(capabilities: &Capabilities, table: &Table) -> Option<Vec<Column>> {
    let hides = |name: &str| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let mut addresses = capabilities.row_addresses.iter();
    let address = addresses.find(|address| address.columns.iter().all(|(name, _)| !hides(name)))?;
    let column = |(name, cast): &(&str, &str)| Column {
        name: (*name).to_owned(),
        cast: (*cast).to_owned(),
        family: Family::Other,
        spelling: Spelling::One,
        time: TimeForm::OfType,
    };
    Some(address.columns.iter().map(column).collect())
}

/// Reads the columns of a table as they are now; none if the table is gone.
pub async fn current_columns(session: &Session, table: &TableName) -> Result<Vec<CurrentColumn>> {
    of(session).current_columns(session, table).await
}

/// Reads the same, and keeps the table from being changed until the transaction ends. The table must exist.
pub async fn locked_columns(session: &Session, table: &TableName) -> Result<Vec<CurrentColumn>> {
    of(session).locked_columns(session, table).await
}
