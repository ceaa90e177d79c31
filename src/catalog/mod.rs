//! The catalog: for each thing that points at a user, what becomes of it when the user leaves.
//!
//! The rules of a host are data, not code: a TOML file names the users' table and every reference to it, each with one
//! of six [dispositions](Disposition). `file` is what may be written, `schema` what the live database has; [`check()`]
//! brings the two together into the [`Catalog`] that everything else works with, and [`scan()`] finds what was forgotten.
//! Nothing here does I/O: the store reads the schema.

mod check;
mod condition;
mod draft;
mod fault;
mod file;
pub mod guess;
mod model;
mod reference;
mod rights;
mod scan;
mod schema;

pub use check::{Checked, check};
pub use condition::{Condition, Holds, Listing, Permission, SomeUsers, When};
pub use draft::{Pointing, draft};
pub use fault::{Fault, Faults};
pub use file::CatalogFile;
pub use model::{Catalog, Column, Groups, InvitationStatus, Invitations, License, OrgScope, Status, Users};
pub use reference::{
    Child, ClaimedRows, Disposition, Eligible, Filter, Occupied, OnConflict, Parent, Reference, SetValue, Test,
};
pub use rights::{Columns, Rights, TableRights};
pub use scan::{Uncovered, pointing_columns, scan, scan_names};
pub use schema::{Engine, Family, ForeignKey, OnDelete, Schema, SchemaColumn, Table, TableName};

/// The catalogs that are part of the binary: name and TOML.
pub const EMBEDDED: [(&str, &str); 3] = [
    ("keap", include_str!("../../config/catalogs/keap.toml")),
    ("agent-connect", include_str!("../../config/catalogs/agent-connect.toml")),
    ("apto", include_str!("../../config/catalogs/apto.toml")),
];
