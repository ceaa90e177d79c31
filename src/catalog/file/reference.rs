//! How a reference is written, and the values and tests that stand in catalogs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{ListingEntry, Name, WhenEntry};

/// A reference as it is written. Which fields go with which disposition is checked afterwards, all faults at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceEntry {
    #[schemars(with = "String")]
    pub kind: Name,
    #[schemars(with = "String")]
    pub table: Name,
    #[schemars(with = "Option<OneOrMore>")]
    pub key: Option<Spanned<OneOrMore>>,
    #[schemars(with = "String")]
    pub user: Name,
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    #[schemars(with = "Word")]
    pub disposition: Spanned<Word>,
    #[serde(default, rename = "where")]
    #[schemars(with = "BTreeMap<String, TestEntry>")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
    #[schemars(with = "Option<ParentEntry>")]
    pub parent: Option<Spanned<ParentEntry>>,
    #[schemars(with = "Option<WhenEntry>")]
    pub when: Option<Spanned<WhenEntry>>,
    #[schemars(with = "Option<At>")]
    pub at: Option<Spanned<At>>,
    #[schemars(with = "Option<bool>")]
    pub required: Option<Spanned<bool>>,
    #[schemars(with = "Option<EligibleEntry>")]
    pub eligible: Option<Spanned<EligibleEntry>>,
    #[schemars(with = "Option<OnConflictEntry>")]
    pub on_conflict: Option<Spanned<OnConflictEntry>>,
    #[schemars(with = "Option<String>")]
    pub touch: Option<Name>,
    #[schemars(with = "Option<String>")]
    pub bump: Option<Name>,
    #[schemars(with = "Option<String>")]
    pub sole_in: Option<Name>,
    #[schemars(with = "Option<bool>")]
    pub resolve: Option<Spanned<bool>>,
    #[schemars(with = "Option<String>")]
    pub mend: Option<Name>,
    #[schemars(with = "Option<bool>")]
    pub restore: Option<Spanned<bool>>,
    #[schemars(with = "Option<BTreeMap<String, SetEntry>>")]
    pub set: Option<Spanned<BTreeMap<String, Spanned<SetEntry>>>>,
    #[schemars(with = "Option<String>")]
    pub keep_copy: Option<Name>,
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub with: Vec<Name>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParentEntry {
    #[schemars(with = "String")]
    pub table: Name,
    #[schemars(with = "BTreeMap<String, String>")]
    pub on: BTreeMap<String, Name>,
    #[serde(rename = "where")]
    #[schemars(with = "BTreeMap<String, TestEntry>")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Transfer,
    Detach,
    Set,
    Purge,
    Block,
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum At {
    Start,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OnConflictEntry {
    Word(OnConflictWord),
    Add(AddEntry),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflictWord {
    Drop,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddEntry {
    pub add: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EligibleEntry {
    pub group: Option<String>,
    #[schemars(with = "Option<String>")]
    pub column: Option<Name>,
    #[schemars(with = "Option<Scalar>")]
    pub equals: Option<Spanned<Scalar>>,
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TestEntry {
    One(Scalar),
    OneOf(Vec<Scalar>),
    Null(NullEntry),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NullEntry {
    pub null: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SetEntry {
    Value(Scalar),
    Now(NowEntry),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NowEntry {
    pub now: bool,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}
