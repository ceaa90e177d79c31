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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsersEntry {
    #[schemars(with = "String")]
    pub table: Name,
    #[schemars(with = "String")]
    pub key: Name,
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    #[schemars(with = "String")]
    pub name: Name,
    #[schemars(with = "String")]
    pub email: Name,
    #[schemars(with = "Option<String>")]
    pub manager: Option<Name>,
    pub status: StatusEntry,
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub required: Vec<Name>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub new: BTreeMap<String, Spanned<Scalar>>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AnyOf<PermissionEntry>>")]
    pub may: BTreeMap<RequestType, AnyOf<PermissionEntry>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusEntry {
    #[schemars(with = "String")]
    pub column: Name,
    #[schemars(with = "Scalar")]
    pub active: Spanned<Scalar>,
    #[schemars(with = "Scalar")]
    pub inactive: Spanned<Scalar>,
    #[schemars(with = "Option<Scalar>")]
    pub invited: Option<Spanned<Scalar>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionEntry {
    #[schemars(with = "String")]
    pub column: Name,
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListingEntry {
    #[schemars(with = "String")]
    pub table: Name,
    #[schemars(with = "String")]
    pub column: Name,
    #[serde(default, rename = "where")]
    #[schemars(with = "BTreeMap<String, TestEntry>")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionEntry {
    #[schemars(with = "String")]
    pub column: Name,
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
    pub of: Option<ConditionEntry>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenEntry {
    #[schemars(with = "Option<String>")]
    pub column: Option<Name>,
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
    pub requester: Option<ConditionEntry>,
    pub bulk: Option<bool>,
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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LicenseEntry {
    #[schemars(with = "String")]
    pub table: Name,
    #[schemars(with = "Option<OneOrMore>")]
    pub key: Option<Spanned<OneOrMore>>,
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    #[schemars(with = "String")]
    pub user: Name,
    #[schemars(with = "Option<Scalar>")]
    pub free: Option<Spanned<Scalar>>,
    pub exempt: Option<ConditionEntry>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationsEntry {
    #[schemars(with = "String")]
    pub table: Name,
    #[schemars(with = "String")]
    pub key: Name,
    #[schemars(with = "String")]
    pub user: Name,
    #[schemars(with = "Option<String>")]
    pub invited_by: Option<Name>,
    #[schemars(with = "Option<String>")]
    pub email: Option<Name>,
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    #[schemars(with = "Option<String>")]
    pub sent_at: Option<Name>,
    #[schemars(with = "Option<String>")]
    pub answered_at: Option<Name>,
    pub status: Option<InvitationStatusEntry>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationStatusEntry {
    #[schemars(with = "String")]
    pub column: Name,
    #[schemars(with = "Scalar")]
    pub open: Spanned<Scalar>,
    #[schemars(with = "Scalar")]
    pub accepted: Spanned<Scalar>,
    #[schemars(with = "Scalar")]
    pub cancelled: Spanned<Scalar>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionEntry {
    #[schemars(with = "BTreeMap<String, String>")]
    pub settings: BTreeMap<String, Name>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanEntry {
    #[schemars(with = "Vec<String>")]
    pub ignore: Vec<Name>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupsEntry {
    #[schemars(with = "String")]
    pub table: Name,
    #[schemars(with = "String")]
    pub group: Name,
    #[schemars(with = "String")]
    pub user: Name,
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
}
