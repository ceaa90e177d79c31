//! The catalog: for each place that points at a user, what happens to it when the user leaves.
//!
//! The rules of a host are data, not code. A TOML file names the users' table and every reference to it, each with one of
//! six [dispositions](Disposition). `file` describes the TOML, `schema` the live database. [`check()`] combines them into
//! the [`Catalog`] that all other modules use, and [`scan()`] finds references that the catalog lacks. Nothing here does
//! I/O: the store reads the schema.

mod check;
mod condition;
mod credentials;
mod disposition;
mod draft;
mod effects;
mod fault;
mod file;
mod filter;
mod followers;
pub mod guess;
mod model;
mod reference;
mod relation;
mod rights;
mod scan;
mod schema;
mod schema_fact;
mod scim;
mod table_name;
mod tables;

pub use check::{Checked, check};
pub use condition::{Condition, Holds, Listing, Permission, SomeUsers, When};
pub use disposition::{Disposition, Eligible, JournalAction, Occupied, OnConflict, Retention, SetValue};
pub use draft::{Pointing, draft};
pub use fault::{ExpectedValue, Fault, Faults};
pub use file::CatalogFile;
pub use filter::{Filter, OrgScope, Parent, Test};
pub use followers::{Follower, Followers, Following, Link, Place};
pub use model::{Catalog, Groups, InvitationStatus, Invitations, License, Status, Users};
pub use reference::{ClaimedRows, Reference};
pub use relation::{
    ComputedColumn, Fires, Publication, Relation, RelationKind, RowCheck, TableFacts, Trigger, TriggerEvent,
};
pub use rights::{Columns, Rights, TableRights};
pub use scan::{Uncovered, covers, pointing_columns, scan, scan_names};
pub use schema::{
    Column, Family, ForeignKey, IndexPart, IndexValue, KeyAction, Policies, Schema, SchemaColumn, SchemaTraits,
    Spelling, Table, TableName, TimeForm, UniqueIndex,
};
pub use schema_fact::{RESERVED_NAMES, SchemaFact, Verdict, Work};
pub use scim::{NameColumns, Scim};
pub use tables::NamedTables;

/// The catalogs embedded in the binary: name and TOML.
pub const EMBEDDED: [(&str, &str); 3] = [
    ("keap", include_str!("../../config/catalogs/keap.toml")),
    ("agent-connect", include_str!("../../config/catalogs/agent-connect.toml")),
    ("apto", include_str!("../../config/catalogs/apto.toml")),
];
