//! What may be written in a catalog's TOML. Names keep the place where they stand, so that a fault can tell its line.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::contract::RequestType;

/// A name in the file, with its place.
pub type Name = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersEntry {
    pub table: Name,
    pub key: Name,
    pub org: Option<Name>,
    pub name: Name,
    pub email: Name,
    pub manager: Option<Name>,
    pub status: StatusEntry,
    #[serde(default)]
    pub required: Vec<Name>,
    #[serde(default)]
    pub new: BTreeMap<String, Spanned<Scalar>>,
    #[serde(default)]
    pub may: BTreeMap<RequestType, AnyOf<PermissionEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusEntry {
    pub column: Name,
    pub active: Spanned<Scalar>,
    pub inactive: Spanned<Scalar>,
    pub invited: Option<Spanned<Scalar>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionEntry {
    pub column: Name,
    pub equals: Option<Spanned<Scalar>>,
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListingEntry {
    pub table: Name,
    pub column: Name,
    #[serde(default, rename = "where")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionEntry {
    pub column: Name,
    pub equals: Option<Spanned<Scalar>>,
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
    pub of: Option<ConditionEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenEntry {
    pub column: Option<Name>,
    pub equals: Option<Spanned<Scalar>>,
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
    pub requester: Option<ConditionEntry>,
    pub bulk: Option<bool>,
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenseEntry {
    pub table: Name,
    pub key: Option<Spanned<OneOrMore>>,
    pub org: Option<Name>,
    pub user: Name,
    pub free: Option<Spanned<Scalar>>,
    pub exempt: Option<ConditionEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitationsEntry {
    pub table: Name,
    pub key: Name,
    pub user: Name,
    pub invited_by: Option<Name>,
    pub email: Option<Name>,
    pub org: Option<Name>,
    pub sent_at: Option<Name>,
    pub answered_at: Option<Name>,
    pub status: Option<InvitationStatusEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitationStatusEntry {
    pub column: Name,
    pub open: Spanned<Scalar>,
    pub accepted: Spanned<Scalar>,
    pub cancelled: Spanned<Scalar>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionEntry {
    pub settings: BTreeMap<String, Name>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanEntry {
    pub ignore: Vec<Name>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsEntry {
    pub table: Name,
    pub group: Name,
    pub user: Name,
    pub org: Option<Name>,
}

/// A reference as it is written. Which fields go with which disposition is checked afterwards, all faults at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceEntry {
    pub kind: Name,
    pub table: Name,
    pub key: Option<Spanned<OneOrMore>>,
    pub user: Name,
    pub org: Option<Name>,
    pub disposition: Spanned<Word>,
    #[serde(default, rename = "where")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
    pub parent: Option<Spanned<ParentEntry>>,
    pub when: Option<Spanned<WhenEntry>>,
    pub at: Option<Spanned<At>>,
    pub required: Option<Spanned<bool>>,
    pub eligible: Option<Spanned<EligibleEntry>>,
    pub on_conflict: Option<Spanned<OnConflictEntry>>,
    pub touch: Option<Name>,
    pub bump: Option<Name>,
    pub sole_in: Option<Name>,
    pub resolve: Option<Spanned<bool>>,
    pub mend: Option<Name>,
    pub restore: Option<Spanned<bool>>,
    pub set: Option<Spanned<BTreeMap<String, Spanned<SetEntry>>>>,
    pub keep_copy: Option<Name>,
    #[serde(default)]
    pub with: Vec<Name>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParentEntry {
    pub table: Name,
    pub on: BTreeMap<String, Name>,
    #[serde(rename = "where")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub fn names(&self) -> &[String] {
        match self {
            OneOrMore::One(name) => std::slice::from_ref(name),
            OneOrMore::More(names) => names,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Transfer,
    Detach,
    Set,
    Purge,
    Block,
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    Start,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OnConflictEntry {
    Word(OnConflictWord),
    Add(AddEntry),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflictWord {
    Drop,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddEntry {
    pub add: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EligibleEntry {
    pub group: Option<String>,
    pub column: Option<Name>,
    pub equals: Option<Spanned<Scalar>>,
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum TestEntry {
    One(Scalar),
    OneOf(Vec<Scalar>),
    Null(NullEntry),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NullEntry {
    pub null: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum SetEntry {
    Value(Scalar),
    Now(NowEntry),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NowEntry {
    pub now: bool,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}
