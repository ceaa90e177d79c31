//! Values that the entries of a catalog share: names, literals and tests.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// A name, with its place in the text.
pub type Name = Spanned<String>;

/// A column, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write the name of a column, or a list of names: [\"a\", \"b\"]")]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    /// Returns the names.
    pub fn names(&self) -> &[String] {
        match self {
            OneOrMore::One(name) => std::slice::from_ref(name),
            OneOrMore::More(names) => names,
        }
    }
}

/// A test of a column: one value, one of several values, NULL, or not NULL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a test is a value, a list of values, { null = true } or { null = false }")]
pub enum TestEntry {
    One(Scalar),
    OneOf(Vec<Scalar>),
    Null(NullEntry),
}

/// A test for NULL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NullEntry {
    /// `true`: the column is NULL. `false`: it is not.
    pub null: bool,
}

/// The new value of a column: a literal, NULL, or the time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a new value is a literal, { null = true } or { now = true }")]
pub enum SetEntry {
    Value(Scalar),
    Null(NullEntry),
    Now(NowEntry),
}

/// The time of the change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NowEntry {
    /// Always `true`.
    pub now: bool,
    /// The unit, for a column of numbers.
    #[serde(rename = "as")]
    pub unit: Option<TimeUnit>,
}

/// A column that takes the time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "write the name of a column, or { column = \"updated_at\", as = \"seconds\" } (or \"milliseconds\")"
)]
pub enum TouchEntry {
    Column(String),
    Counted(CountedEntry),
}

/// A column of numbers that takes the time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountedEntry {
    /// The column.
    pub column: String,
    /// The unit.
    #[serde(rename = "as")]
    pub unit: TimeUnit,
}

/// The unit of a time that is kept as a number: since 1970, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    Seconds,
    Milliseconds,
}

impl TouchEntry {
    /// Returns the column, and the unit of its numbers.
    pub fn parts(&self) -> (&str, Option<TimeUnit>) {
        match self {
            TouchEntry::Column(column) => (column, None),
            TouchEntry::Counted(CountedEntry { column, unit }) => (column, Some(*unit)),
        }
    }
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a value is a text, a number, true or false")]
pub enum Scalar {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

/// One entry, or a list of alternatives.
#[derive(Debug)]
pub struct AnyOf<T>(pub Vec<T>);

/// Implemented by hand, because serde's untagged enums buffer the entries and lose their places in the text.
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
