//! The SQL dialects: what a database can do, and how it writes what databases write differently.
//!
//! [`Capabilities`] are facts that code asks about. [`Dialect`] is syntax that code calls. [`sql::Sql`] composes a
//! statement of pieces and renders it once, for one dialect.
//!
//! Every dialect reads identifiers in double quotes, `CAST(x AS type)`, common table expressions and window functions. Only
//! what a dialect with [`Capabilities::writable_ctes`] runs is written in PostgreSQL's syntax.

mod capabilities;
mod column_array;
mod piece;
mod postgres;
pub mod sql;
mod sqlite;
mod syntax;
mod tables;
pub mod text;
mod types;
mod update_from;

pub use self::capabilities::{Capabilities, Engine, RowAddress};
pub use self::column_array::ColumnArray;
pub use self::postgres::{CAPABILITIES as POSTGRES_CAPABILITIES, POSTGRES, Postgres};
pub use self::sqlite::Sqlite;
pub use self::syntax::{Bind, Dialect, RowLock, SharedDialect, TableSize};
pub use self::tables::{
    AUDIT, CATALOG_VERSIONS, CATALOGS, CHUNKS, JOB_REFERENCES, JOB_SUCCESSORS, JOBS, JOURNAL, LedgerTable, MIGRATIONS,
    OUTBOX, REQUESTS, ROUND_ROBIN, ROW_SNAPSHOTS, SCIM_CONNECTIONS, SCIM_DEPROVISIONINGS, SCIM_LINKS, SERVICES,
    SIGN_INS, TOKENS, UPLOADS,
};
pub use self::types::Type;
