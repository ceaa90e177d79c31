//! The TOML of a reference.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::conditions::{ListingEntry, WhenEntry};
use super::values::{Name, OneOrMore, Scalar, SetEntry, TestEntry, TouchEntry};
use crate::contract::named_enum;

/// A reference. The check reports fields that do not apply to the disposition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceEntry {
    /// The name of the reference in requests, events and certificates: `contact`.
    #[schemars(with = "String")]
    pub kind: Name,
    /// The table.
    #[schemars(with = "String")]
    pub table: Name,
    /// The key of its rows: one or more columns, unique and never NULL. Required, so that it is chosen with
    /// care: without it the check suggests the table's key. `[]` for a table without a unique key.
    #[schemars(with = "Option<OneOrMore>")]
    pub key: Option<Spanned<OneOrMore>>,
    /// The column that points at the user.
    #[schemars(with = "String")]
    pub user: Name,
    /// The column of the organization, if user ids are unique only within an organization.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    /// The effect on its rows when the user leaves.
    #[schemars(with = "DispositionName")]
    pub disposition: Spanned<DispositionName>,
    /// Tests by column: the rows that count. A row belongs to the first reference of its user column whose tests it
    /// passes.
    #[serde(default, rename = "where")]
    #[schemars(with = "BTreeMap<String, TestEntry>")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
    /// A test of the parent row in another table.
    #[schemars(with = "Option<ParentEntry>")]
    pub parent: Option<Spanned<ParentEntry>>,
    /// The leavers and requests for which it counts.
    #[schemars(with = "Option<WhenEntry>")]
    pub when: Option<Spanned<WhenEntry>>,
    /// With `detach`, `set` and `purge`: `start` changes the rows when the request is accepted, to end access then.
    #[schemars(with = "Option<At>")]
    pub at: Option<Spanned<At>>,
    /// With `transfer`: `true` (the default) if a request must name successors whenever there are records. With `false`,
    /// records without an allotment stay.
    #[schemars(with = "Option<bool>")]
    pub required: Option<Spanned<bool>>,
    /// With `transfer` and `block`: the users who may receive its records.
    #[schemars(with = "Option<EligibleEntry>")]
    pub eligible: Option<Spanned<EligibleEntry>>,
    /// With `transfer` and `block`: the effect on a record that the successor already has. By default, the move of that
    /// record fails.
    #[schemars(with = "Option<OnConflictEntry>")]
    pub on_conflict: Option<Spanned<OnConflictEntry>>,
    /// With `transfer`: a column that takes the time of the move.
    #[schemars(with = "Option<TouchEntry>")]
    pub touch: Option<Spanned<TouchEntry>>,
    /// With `transfer`, `block` and `set`: the column that holds when a row was created. An undo skips a row that was created after
    /// the job: the key of a deleted record was used again.
    #[schemars(with = "Option<TouchEntry>")]
    pub created: Option<Spanned<TouchEntry>>,
    /// With `transfer` and `set`: a column that every change of a row increments.
    #[schemars(with = "Option<String>")]
    pub version_column: Option<Name>,
    /// With `block`: blocks only the last active user among rows with the same value in this column.
    #[schemars(with = "Option<String>")]
    pub sole_in: Option<Name>,
    /// With `block`: `true` if the request may name a successor, to whom the rows are transferred.
    #[schemars(with = "Option<bool>")]
    pub resolve: Option<Spanned<bool>>,
    /// With `block`: the hint to the requester who is refused.
    #[schemars(with = "Option<String>")]
    pub hint: Option<Name>,
    /// With `detach` and `set`: `true` if a reactivation restores the rows or values, as an undo does.
    #[schemars(with = "Option<bool>")]
    pub restore: Option<Spanned<bool>>,
    /// With `detach` and `purge`: `true` for credentials such as sessions, tokens and keys. They are removed without a copy, and nothing
    /// restores them. `false` says that rows which look like credentials are none.
    #[schemars(with = "Option<bool>")]
    pub secret: Option<Spanned<bool>>,
    /// With `set`: the columns and their new values.
    #[schemars(with = "Option<BTreeMap<String, SetEntry>>")]
    pub set: Option<Spanned<BTreeMap<String, Spanned<SetEntry>>>>,
    /// With `purge`: the time for which snapshots of the rows are kept for an undo; `30d` by default, `0s` for none.
    #[schemars(with = "Option<String>")]
    pub keep_copy: Option<Name>,
    /// With `detach`, `purge` and `on_conflict`: tables whose rows follow removed rows. Rows that a foreign key deletes or that
    /// would refuse the delete are removed, too; columns that it empties come back with an undo.
    #[serde(default)]
    #[schemars(with = "Vec<WithEntry>")]
    pub with: Vec<Spanned<WithEntry>>,
}

/// A table whose rows follow removed rows: along each of its foreign keys to them, or along one link.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WithEntry {
    Table(String),
    Link(LinkEntry),
}

/// A table whose rows follow removed rows along one foreign key, or along columns without a foreign key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkEntry {
    /// The table.
    pub table: String,
    /// The column of the foreign key, or its columns.
    pub column: Option<OneOrMore>,
    /// Without a foreign key: the columns that point, each with the column of the reference's table that it holds.
    pub on: Option<BTreeMap<String, String>>,
}

/// A test of the parent row.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParentEntry {
    /// Its table.
    #[schemars(with = "String")]
    pub table: Name,
    /// The foreign-key columns, each with the parent's column that it references.
    #[schemars(with = "BTreeMap<String, String>")]
    pub on: BTreeMap<String, Name>,
    /// Tests by column of the parent row.
    #[serde(rename = "where")]
    #[schemars(with = "BTreeMap<String, TestEntry>")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
}

named_enum! {
    /// The effect on the rows of a user who leaves.
    pub enum DispositionName: "disposition" {
        /// They go to successors.
        Transfer = "transfer",
        /// They are removed; the journal keeps a snapshot.
        Detach = "detach",
        /// Columns take a value; the journal keeps the old values.
        Set = "set",
        /// They are deleted; a snapshot is kept for a while.
        Purge = "purge",
        /// The user cannot leave while such a row exists.
        Block = "block",
        /// They stay, on purpose.
        Keep = "keep",
    }
}

/// The time of the change, if it is not with the other work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// At the acceptance of the request.
    Start,
}

/// The effect on a record that the successor already has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`on_conflict` is \"drop\", or { add = [\"column\"] }")]
pub enum OnConflictEntry {
    Word(OnConflictWord),
    Add(AddEntry),
}

/// The effect on the leaver's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflictWord {
    /// It is removed; the journal keeps a snapshot.
    Drop,
}

/// The leaver's row is removed; the numbers in these columns are added to the successor's row.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddEntry {
    /// The columns that are added.
    pub add: Vec<String>,
}

/// The users who may receive records: members of a group, or users who meet a condition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EligibleEntry {
    /// The group.
    pub group: Option<String>,
    /// A column of the users' table.
    #[schemars(with = "Option<String>")]
    pub column: Option<Name>,
    /// The value that it must have.
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    /// The table that lists the allowed values.
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
}
