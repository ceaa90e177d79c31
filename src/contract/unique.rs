//! Maps that refuse duplicate keys. JSON allows them, and readers differ in which one they take; that must not decide who
//! receives records.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

/// Reads a map and refuses duplicate keys.
pub fn map<'de, D: Deserializer<'de>, V: Deserialize<'de>>(from: D) -> Result<BTreeMap<String, V>, D::Error> {
    from.deserialize_map(Unique(PhantomData))
}

/// Reads a map as [`map`] does, for a field that may be absent.
pub fn some_map<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
    from: D,
) -> Result<Option<BTreeMap<String, V>>, D::Error> {
    map(from).map(Some)
}

struct Unique<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = access.next_key::<String>()? {
            match map.entry(key) {
                // The error is raised while the value is read, when the path to it is known.
                Entry::Occupied(there) => access.next_value_seed(Twice(there.key()))?,
                Entry::Vacant(free) => {
                    free.insert(access.next_value()?);
                }
            }
        }
        Ok(map)
    }
}

/// The value of a duplicate key.
struct Twice<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Twice<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(D::Error::custom(format!("[duplicate_field] `{}` occurs twice", self.0)))
    }
}
