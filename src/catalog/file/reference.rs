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
    /// The name of the reference, which requests, events and certificates use: `contact`.
    #[schemars(with = "String")]
    pub kind: Name,
    /// The table.
    #[schemars(with = "String")]
    pub table: Name,
    /// What its rows are known by: a column or several, unique and never NULL. Always said: `[]` says that the table has no
    /// unique key.
    #[schemars(with = "Option<OneOrMore>")]
    pub key: Option<Spanned<OneOrMore>>,
    /// The column that points at the user.
    #[schemars(with = "String")]
    pub user: Name,
    /// The column of the organization, where users are known only together with it.
    #[schemars(with = "Option<String>")]
    pub org: Option<Name>,
    /// What becomes of its rows.
    #[schemars(with = "Word")]
    pub disposition: Spanned<Word>,
    /// Tests by column: which rows are meant. A row belongs to the first reference of its user column whose tests it
    /// passes.
    #[serde(default, rename = "where")]
    #[schemars(with = "BTreeMap<String, TestEntry>")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
    /// A test of the row of another table that a row belongs to.
    #[schemars(with = "Option<ParentEntry>")]
    pub parent: Option<Spanned<ParentEntry>>,
    /// For which leavers and requests it counts.
    #[schemars(with = "Option<WhenEntry>")]
    pub when: Option<Spanned<WhenEntry>>,
    /// With `detach`, `set` and `purge`: `start` deals with its rows when the request is accepted, as access must end then.
    #[schemars(with = "Option<At>")]
    pub at: Option<Spanned<At>>,
    /// With `transfer`: whether a request must say who receives the records, where there are any; it must, where nothing
    /// is said. `false`: those that it does not allot stay.
    #[schemars(with = "Option<bool>")]
    pub required: Option<Spanned<bool>>,
    /// With `transfer` and `block`: who may receive its records.
    #[schemars(with = "Option<EligibleEntry>")]
    pub eligible: Option<Spanned<EligibleEntry>>,
    /// With `transfer` and `block`: what happens to a record that the successor has already. Where nothing is said, the
    /// move of that record fails.
    #[schemars(with = "Option<OnConflictEntry>")]
    pub on_conflict: Option<Spanned<OnConflictEntry>>,
    /// With `transfer`: a column that takes the time of the move.
    #[schemars(with = "Option<String>")]
    pub touch: Option<Name>,
    /// With `transfer` and `set`: a column that counts the changes of a row.
    #[schemars(with = "Option<String>")]
    pub version_column: Option<Name>,
    /// With `block`: only the last active user among rows with the same value in this column is held back.
    #[schemars(with = "Option<String>")]
    pub sole_in: Option<Name>,
    /// With `block`: whether the request may name a successor, to whom the rows go then.
    #[schemars(with = "Option<bool>")]
    pub resolve: Option<Spanned<bool>>,
    /// With `block`: what whoever is refused is told to do.
    #[schemars(with = "Option<String>")]
    pub hint: Option<Name>,
    /// With `detach` and `set`: whether a reactivation brings the rows or values back, as undo does.
    #[schemars(with = "Option<bool>")]
    pub restore: Option<Spanned<bool>>,
    /// With `set`: the columns and what they take.
    #[schemars(with = "Option<BTreeMap<String, SetEntry>>")]
    pub set: Option<Spanned<BTreeMap<String, Spanned<SetEntry>>>>,
    /// With `purge`: how long a copy of the rows is kept for an undo, such as `30d`, as where nothing is said; `0s`: none.
    #[schemars(with = "Option<String>")]
    pub keep_copy: Option<Name>,
    /// With `detach` and `purge`: tables whose rows go with these rows.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub with: Vec<Name>,
}

/// A test of the row that a row belongs to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParentEntry {
    /// Its table.
    #[schemars(with = "String")]
    pub table: Name,
    /// The columns that point, each with the column that it points at.
    #[schemars(with = "BTreeMap<String, String>")]
    pub on: BTreeMap<String, Name>,
    /// Tests by column of that row.
    #[serde(rename = "where")]
    #[schemars(with = "BTreeMap<String, TestEntry>")]
    pub filter: BTreeMap<String, Spanned<TestEntry>>,
}

/// A column, or several.
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

/// What becomes of the rows of a user who leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// They go to successors.
    Transfer,
    /// They go; a copy stays in the journal.
    Detach,
    /// Columns of theirs take a value; the old one stays in the journal.
    Set,
    /// They are deleted; a copy is kept for a while.
    Purge,
    /// The user cannot leave while such a row exists.
    Block,
    /// They stay, on purpose.
    Keep,
}

/// When rows are dealt with that do not wait for the other work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// When the request is accepted.
    Start,
}

/// What happens to a record that the successor has already.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OnConflictEntry {
    Word(OnConflictWord),
    Add(AddEntry),
}

/// What becomes of the leaver's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflictWord {
    /// It goes; a copy stays in the journal.
    Drop,
}

/// The leaver's row goes, and is added to the successor's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddEntry {
    /// The columns that are added up.
    pub add: Vec<String>,
}

/// Who may receive records: members of a group, or users who meet a condition.
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
    /// The table that lists the values that it may have.
    #[serde(rename = "in")]
    pub listed: Option<ListingEntry>,
}

/// What a column must hold: a value, one of several, or NULL or not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TestEntry {
    One(Scalar),
    OneOf(Vec<Scalar>),
    Null(NullEntry),
}

/// Whether a column is NULL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NullEntry {
    /// `true`: it is NULL. `false`: it is not.
    pub null: bool,
}

/// What a column takes: a value, or the time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SetEntry {
    Value(Scalar),
    Now(NowEntry),
}

/// The time of the change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NowEntry {
    /// `true`.
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
