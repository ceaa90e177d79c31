//! The TOML of a catalog. Names keep their place in the text, so that a fault can name its line.

mod conditions;
mod reference;
mod sections;
mod values;

use schemars::JsonSchema;

pub use self::conditions::{ConditionEntry, ListingEntry, PermissionEntry, WhenEntry};
pub use self::reference::{
    AddEntry, DispositionName, EligibleEntry, LinkEntry, OnConflictEntry, OnConflictWord, ParentEntry, ReferenceEntry,
    WithEntry,
};
pub use self::sections::{
    GroupsEntry, InvitationStatusEntry, InvitationsEntry, LicenseEntry, ScanEntry, ScimEntry, SessionEntry,
    StatusEntry, UsersEntry,
};
pub use self::values::{
    AnyOf, Name, NowEntry, NullEntry, OneOrMore, Scalar, SetEntry, TestEntry, TimeUnit, TouchEntry,
};

/// A catalog, for editors and for programs that write one.
#[derive(JsonSchema)]
#[schemars(title = "Catalog", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only its schema is used: sections are read one by one, so that all faults are reported at once"
)]
pub struct CatalogFile {
    /// The users' table.
    users: UsersEntry,
    /// The licenses' table.
    license: Option<LicenseEntry>,
    /// The invitations' table.
    invitations: Option<InvitationsEntry>,
    /// Round-robin groups.
    groups: Option<GroupsEntry>,
    /// The settings of a transaction that give the database its organization.
    session: Option<SessionEntry>,
    /// The columns that identity providers read and write over SCIM.
    scim: Option<ScimEntry>,
    /// The columns that `catalog scan` ignores.
    scan: Option<ScanEntry>,
    /// Every place that points at a user, with its disposition.
    #[serde(default)]
    reference: Vec<ReferenceEntry>,
}
