//! What may be written in a catalog's TOML. Names keep the place where they stand, so that a fault can tell its line.

use std::collections::BTreeMap;

use serde::Deserialize;
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
    pub may: BTreeMap<RequestType, ConditionEntry>,
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
    pub equals: Spanned<Scalar>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenseEntry {
    pub table: Name,
    pub user: Name,
    pub org: Option<Name>,
    pub free: Option<Spanned<Scalar>>,
    pub exempt: Option<ConditionEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionEntry {
    pub settings: BTreeMap<String, Name>,
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
    pub key: Spanned<OneOrMore>,
    pub user: Name,
    pub org: Option<Name>,
    pub disposition: Spanned<Word>,
    #[serde(default, rename = "where")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
    pub parent: Option<Spanned<ParentEntry>>,
    pub when: Option<ConditionEntry>,
    pub at: Option<Spanned<At>>,
    pub required: Option<Spanned<bool>>,
    pub eligible: Option<Spanned<EligibleEntry>>,
    pub on_conflict: Option<Spanned<OnConflictWord>>,
    pub touch: Option<Name>,
    pub bump: Option<Name>,
    pub sole_in: Option<Name>,
    pub resolve: Option<Spanned<bool>>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflictWord {
    Drop,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EligibleEntry {
    pub group: Option<String>,
    pub column: Option<Name>,
    pub equals: Option<Spanned<Scalar>>,
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
