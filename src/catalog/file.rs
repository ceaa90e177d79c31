//! What may be written in a catalog's TOML. Names keep the place where they stand, so that a fault can tell its line.

mod reference;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

pub use self::reference::{
    AddEntry, EligibleEntry, NowEntry, OnConflictEntry, OnConflictWord, OneOrMore, ParentEntry, ReferenceEntry, Scalar,
    SetEntry, TestEntry, Word,
};
use crate::contract::RequestType;

/// A catalog as it is written: for editors, and whoever writes one by a program.
#[derive(JsonSchema)]
#[schemars(title = "Catalog", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only its schema is used: sections are read one by one, so that all faults are told at once"
)]
pub struct CatalogFile {
    /// The users' table.
    users: UsersEntry,
    /// Where licenses are.
    license: Option<LicenseEntry>,
    /// Where invitations are.
    invitations: Option<InvitationsEntry>,
    /// Round-robin groups.
    groups: Option<GroupsEntry>,
    /// What a transaction tells the database of its organization.
    session: Option<SessionEntry>,
    /// What `catalog scan` is to pass over.
    scan: Option<ScanEntry>,
    /// Every place that points at a user, and what becomes of it.
    #[serde(default)]
    reference: Vec<ReferenceEntry>,
}

/// A name in the file, with its place.
pub type Name = Spanned<String>;

/// The users' table and its columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsersEntry {
    /// The table, with its schema in front of it where that is not the usual one: `crm.users`.
    #[schemars(with = "String")]
    pub table: Name,
    /// The column that users are known by: a number, a UUID or text.
    #[schemars(with = "String")]
    pub key: Name,
    /// The column of the organization, where users belong to organizations. Successors are of the leaver's.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    /// The column of a person's name.
    #[schemars(with = "String")]
    pub name: Name,
    /// The column of a person's address.
    #[schemars(with = "String")]
    pub email: Name,
    /// The column that holds the user's manager, for allotments to `{"manager": true}`.
    #[schemars(with = "Option<String>")]
    pub manager: Option<Name>,
    /// Whether a user is active.
    pub status: StatusEntry,
    /// Columns without which a profile is incomplete: its user can neither leave nor come back before they are filled in.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub required: Vec<Name>,
    /// What a user who is invited has in other columns.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub new: BTreeMap<String, Spanned<Scalar>>,
    /// Who may ask for what, by request type. A type that is not here takes the rule of `deactivate`; without one,
    /// every active user of the organization may ask.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AnyOf<PermissionEntry>>")]
    pub may: BTreeMap<RequestType, AnyOf<PermissionEntry>>,
}

/// The column that says whether a user is active, and its values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusEntry {
    /// The column.
    #[schemars(with = "String")]
    pub column: Name,
    /// Its value for users who are active.
    #[schemars(with = "Scalar")]
    pub active: Spanned<Scalar>,
    /// Its value for users who have left.
    #[schemars(with = "Scalar")]
    pub inactive: Spanned<Scalar>,
    /// Its value for users who have not accepted their invitation yet. Without it nobody can be invited.
    #[schemars(with = "Option<Scalar>")]
    pub invited: Option<Spanned<Scalar>>,
}

/// What a user must have: a value in a column, or one that another table lists.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionEntry {
    /// A column of the users' table.
    #[schemars(with = "String")]
    pub column: Name,
    /// The value that it must have.
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    /// The table that lists the values that it may have.
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
    /// Tests by column: which of its rows count.
    #[serde(default, rename = "where")]
    #[schemars(with = "BTreeMap<String, TestEntry>")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
}

/// Who may ask for a request type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionEntry {
    /// A column of the users' table, of whoever asks.
    #[schemars(with = "String")]
    pub column: Name,
    /// The value that it must have.
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    /// The table that lists the values that it may have.
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
    /// Whom they may ask it for; without it, everybody of their organization.
    pub of: Option<ConditionEntry>,
}

/// For which leavers and requests a reference counts: all that is said here must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenEntry {
    /// A column of the users' table, of the leaver.
    #[schemars(with = "Option<String>")]
    pub column: Option<Name>,
    /// The value that it must have.
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    /// The table that lists the values that it may have.
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
    /// What whoever asks must have.
    pub requester: Option<ConditionEntry>,
    /// Whether the request must say `"bulk": true`, or must not.
    pub bulk: Option<bool>,
    /// What the request must list in its `also`; a successor named for this kind says it as well.
    #[schemars(with = "Option<String>")]
    pub also: Option<Name>,
}

/// One entry, or a list of alternatives.
#[derive(Debug)]
pub struct AnyOf<T>(pub Vec<T>);

/// By hand, because serde's own way for this reads the entries into a buffer first and loses their places.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for AnyOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = AnyOf<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table, or a list of tables")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Ok(AnyOf(vec![T::deserialize(MapAccessDeserializer::new(map))?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Ok(AnyOf(Vec::deserialize(SeqAccessDeserializer::new(seq))?))
            }
        }

        deserializer.deserialize_any(Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for AnyOf<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("AnyOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// Where licenses are: a row each, which points at who holds it or at nobody.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LicenseEntry {
    /// The table.
    #[schemars(with = "String")]
    pub table: Name,
    /// What its rows are known by; where nothing is said, the primary key or else the first unique index.
    #[schemars(with = "Option<OneOrMore>")]
    pub key: Option<Spanned<OneOrMore>>,
    /// The column of the organization that pays for the license.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    /// The column that points at the holder.
    #[schemars(with = "String")]
    pub user: Name,
    /// What that column holds when nobody holds the license; NULL, where nothing is said.
    #[schemars(with = "Option<Scalar>")]
    pub free: Option<Spanned<Scalar>>,
    /// Users who need none.
    pub exempt: Option<ConditionEntry>,
}

/// Where invitations are: a row each.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationsEntry {
    /// The table.
    #[schemars(with = "String")]
    pub table: Name,
    /// What an invitation is known by.
    #[schemars(with = "String")]
    pub key: Name,
    /// The column of who is invited.
    #[schemars(with = "String")]
    pub user: Name,
    /// The column of who asked for it.
    #[schemars(with = "Option<String>")]
    pub invited_by: Option<Name>,
    /// The column of the address that it goes to.
    #[schemars(with = "Option<String>")]
    pub email: Option<Name>,
    /// The column of the organization.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    /// The column of when it was sent last.
    #[schemars(with = "Option<String>")]
    pub sent_at: Option<Name>,
    /// The column of when it was accepted or cancelled.
    #[schemars(with = "Option<String>")]
    pub answered_at: Option<Name>,
    /// What became of it.
    pub status: Option<InvitationStatusEntry>,
}

/// The column that says what became of an invitation, and its values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationStatusEntry {
    /// The column.
    #[schemars(with = "String")]
    pub column: Name,
    /// Its value while the invitation is neither accepted nor cancelled.
    #[schemars(with = "Scalar")]
    pub open: Spanned<Scalar>,
    /// Its value when the user has come.
    #[schemars(with = "Scalar")]
    pub accepted: Spanned<Scalar>,
    /// Its value when the user is not to come.
    #[schemars(with = "Scalar")]
    pub cancelled: Spanned<Scalar>,
}

/// What a transaction tells the database, for its row-level security.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionEntry {
    /// Settings of a transaction, each with its value; `{org}` in it stands for the organization.
    #[schemars(with = "BTreeMap<String, String>")]
    pub settings: BTreeMap<String, Name>,
}

/// What `catalog scan` is to pass over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanEntry {
    /// Columns, as `table.column`, that only look as if they held users.
    #[schemars(with = "Vec<String>")]
    pub ignore: Vec<Name>,
}

/// Which users are in which group: for `round_robin` shares, and for `eligible = { group = … }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupsEntry {
    /// The table, a row a member.
    #[schemars(with = "String")]
    pub table: Name,
    /// The column of the group's name.
    #[schemars(with = "String")]
    pub group: Name,
    /// The column of the member.
    #[schemars(with = "String")]
    pub user: Name,
    /// The column of the organization, where users are known only together with it.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
}
