//! The TOML of a catalog's sections.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::conditions::{ConditionEntry, PermissionEntry};
use super::values::{AnyOf, Name, OneOrMore, Scalar, SetEntry};
use crate::contract::RequestType;

/// The users' table and its columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsersEntry {
    /// The table, with its schema if that is not on the search path: `crm.users`.
    #[schemars(with = "String")]
    pub table: Name,
    /// The key of users: a number, a UUID or text.
    #[schemars(with = "String")]
    pub key: Name,
    /// The column of the organization, if users belong to organizations. Successors belong to the leaver's.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    /// The column of the person's name.
    #[schemars(with = "String")]
    pub name: Name,
    /// The column of the person's email address.
    #[schemars(with = "String")]
    pub email: Name,
    /// The column that holds the user's manager, for allotments to `{"manager": true}`.
    #[schemars(with = "Option<String>")]
    pub manager: Option<Name>,
    /// The column that says if a user is active.
    pub status: StatusEntry,
    /// Columns that a complete profile fills. A user with an incomplete profile can neither leave nor be reactivated.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub required: Vec<Name>,
    /// The values of other columns for an invited user.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub new: BTreeMap<String, Spanned<Scalar>>,
    /// The permissions for each request type. A type that is absent takes the rule of `deactivate`; without one, every
    /// active user of the organization may ask.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AnyOf<PermissionEntry>>")]
    pub may: BTreeMap<RequestType, AnyOf<PermissionEntry>>,
}

/// The column that says if a user is active, and its values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusEntry {
    /// The column.
    #[schemars(with = "String")]
    pub column: Name,
    /// The value of active users. `{ null = true }` if the column holds the time of their deactivation.
    #[schemars(with = "SetEntry")]
    pub active: Spanned<SetEntry>,
    /// The value of users who have left; `{ now = true }` for the time at which they did.
    #[schemars(with = "SetEntry")]
    pub inactive: Spanned<SetEntry>,
    /// The value of users who have not accepted their invitation yet. Without it nobody can be invited.
    #[schemars(with = "Option<Scalar>")]
    pub invited: Option<Spanned<Scalar>>,
}

/// The licenses' table: one row for each license, which points at its holder or at nobody.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LicenseEntry {
    /// The table.
    #[schemars(with = "String")]
    pub table: Name,
    /// The key of its rows; by default the primary key, or else the first unique index.
    #[schemars(with = "Option<OneOrMore>")]
    pub key: Option<Spanned<OneOrMore>>,
    /// The column of the organization that pays for the license.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    /// The column that points at the holder.
    #[schemars(with = "String")]
    pub user: Name,
    /// The column of the product, where licenses of several products are in the table: an undo gives back those of the same one.
    #[schemars(with = "Option<String>")]
    pub of: Option<Name>,
    /// The value of the column `user` for a free license; NULL by default.
    #[schemars(with = "Option<Scalar>")]
    pub free: Option<Spanned<Scalar>>,
    /// The condition of users who need no license.
    pub exempt: Option<ConditionEntry>,
}

/// The invitations' table: one row for each invitation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationsEntry {
    /// The table.
    #[schemars(with = "String")]
    pub table: Name,
    /// The key of an invitation.
    #[schemars(with = "String")]
    pub key: Name,
    /// The column of the invited user.
    #[schemars(with = "String")]
    pub user: Name,
    /// The column of the user who asked for it.
    #[schemars(with = "Option<String>")]
    pub invited_by: Option<Name>,
    /// The column of the address of the mail.
    #[schemars(with = "Option<String>")]
    pub email: Option<Name>,
    /// The column of the organization.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    /// The column of the time of the last mail.
    #[schemars(with = "Option<String>")]
    pub sent_at: Option<Name>,
    /// The column of the time when it was accepted or withdrawn.
    #[schemars(with = "Option<String>")]
    pub answered_at: Option<Name>,
    /// The column of its status.
    pub status: Option<InvitationStatusEntry>,
}

/// The column of an invitation's status, and its values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationStatusEntry {
    /// The column.
    #[schemars(with = "String")]
    pub column: Name,
    /// The value while the invitation is neither accepted nor withdrawn.
    #[schemars(with = "Scalar")]
    pub open: Spanned<Scalar>,
    /// The value after the user accepted.
    #[schemars(with = "Scalar")]
    pub accepted: Spanned<Scalar>,
    /// The value after the invitation was withdrawn.
    #[schemars(with = "Scalar")]
    pub cancelled: Spanned<Scalar>,
}

/// The settings of a transaction that row-level security policies read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionEntry {
    /// The settings with their values. `{org}` in a value is replaced by the organization.
    #[schemars(with = "BTreeMap<String, String>")]
    pub settings: BTreeMap<String, Name>,
}

/// The columns of the users' table that identity providers read and write over SCIM.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScimEntry {
    /// The column of the name with which a user signs in: `userName`.
    #[schemars(with = "String")]
    pub user_name: Name,
    /// The column of the given name. Without it, given and family name are parts of the person's name, split before its last word.
    #[schemars(with = "Option<String>")]
    pub given_name: Option<Name>,
    /// The column of the family name.
    #[schemars(with = "Option<String>")]
    pub family_name: Option<Name>,
    /// The column of the email address; by default that of `[users]`.
    #[schemars(with = "Option<String>")]
    pub email: Option<Name>,
    /// The column of the title.
    #[schemars(with = "Option<String>")]
    pub title: Option<Name>,
    /// The column that holds the user's manager.
    #[schemars(with = "Option<String>")]
    pub manager: Option<Name>,
    /// The column of the provider's key of the user. Without it, the ledger keeps one for each connection.
    #[schemars(with = "Option<String>")]
    pub external_id: Option<Name>,
    /// `true` if providers may create users, who are then invited.
    #[schemars(with = "Option<bool>")]
    pub create: Option<Spanned<bool>>,
    /// The condition of users whom no connection may change, such as accounts for emergencies.
    pub protected: Option<ConditionEntry>,
}

/// The columns that `catalog scan` ignores.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanEntry {
    /// Columns, as `table.column`, that only look as if they held users.
    #[schemars(with = "Vec<String>")]
    pub ignore: Vec<Name>,
}

/// The table of groups and their members, for `round_robin` shares and `eligible = { group = … }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupsEntry {
    /// The table, with one row for each member.
    #[schemars(with = "String")]
    pub table: Name,
    /// The column of the group's name.
    #[schemars(with = "String")]
    pub group: Name,
    /// The column of the member.
    #[schemars(with = "String")]
    pub user: Name,
    /// The column of the organization, if users are known only together with it.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
}
