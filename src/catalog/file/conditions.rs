//! The TOML of conditions on users and requests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::values::{Name, Scalar, TestEntry};

/// A condition on a user: a column has this value, or one that another table lists.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionEntry {
    /// A column of the users' table.
    #[schemars(with = "String")]
    pub column: Name,
    /// The value that it must have.
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    /// The table that lists the allowed values.
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
}

/// A table that lists values, such as one of roles and their permissions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListingEntry {
    /// The table.
    #[schemars(with = "String")]
    pub table: Name,
    /// The column that holds the values.
    #[schemars(with = "String")]
    pub column: Name,
    /// Tests by column: the rows that count.
    #[serde(default, rename = "where")]
    #[schemars(with = "BTreeMap<String, TestEntry>")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
}

/// A permission to ask for a request type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionEntry {
    /// A column of the users' table, for the requester.
    #[schemars(with = "String")]
    pub column: Name,
    /// The value that it must have.
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    /// The table that lists the allowed values.
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
    /// The users they may ask it for; without it, every user of their organization.
    pub of: Option<ConditionEntry>,
}

/// The leavers and requests for which a reference counts. Every condition must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenEntry {
    /// A column of the users' table, for the leaver.
    #[schemars(with = "Option<String>")]
    pub column: Option<Name>,
    /// The value that it must have.
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    /// The table that lists the allowed values.
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
    /// The condition that the requester must meet.
    pub requester: Option<ConditionEntry>,
    /// `true` if the request must say `"bulk": true`, `false` if it must not.
    pub bulk: Option<bool>,
    /// A name that the request must list in its `also`. Naming a successor for this kind has the same effect.
    #[schemars(with = "Option<String>")]
    pub also: Option<Name>,
}
