//! Objects with known fields, and maps.

use std::collections::BTreeMap;

use super::json::Json;
use super::path::Path;
use crate::contract::{DeadLetterCode, Faults, most_similar};

/// Returns the entries of an object by name, in any order. Refuses a name that occurs twice: readers differ in which one they
/// take, and that must not decide who receives records.
pub fn entries<'j>(object: &'j [(String, Json)], path: &Path<'_>, faults: &mut Faults) -> BTreeMap<&'j str, &'j Json> {
    let mut entries = BTreeMap::new();
    let mut repeated: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, value) in object {
        if entries.insert(name.as_str(), value).is_some() {
            *repeated.entry(name).or_insert(1) += 1;
        }
    }
    for (name, times) in repeated {
        let detail = format!("`{name}` occurs {times} times");
        faults.add::<()>(DeadLetterCode::DuplicateField, path.field(name), detail, "write it once");
    }
    entries
}

/// Reads an object field by field. The fields that were asked for are the known ones.
pub struct Object<'j, 'p> {
    path: &'p Path<'p>,
    entries: BTreeMap<&'j str, &'j Json>,
    known: Vec<&'static str>,
}

impl<'j, 'p> Object<'j, 'p> {
    /// Opens an object.
    pub fn open(object: &'j [(String, Json)], path: &'p Path<'p>, faults: &mut Faults) -> Object<'j, 'p> {
        Object { path, entries: entries(object, path, faults), known: Vec::new() }
    }

    /// Returns true if the field is there, even as null.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Reads a field that must be there. `example`: how it may be written.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        example: &str,
        faults: &mut Faults,
        read: impl FnOnce(&'j Json, &Path<'_>, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        if !self.has(name) {
            self.known.push(name);
            let hint = format!("add it, such as \"{name}\": {example}");
            return faults.add(
                DeadLetterCode::MissingField,
                self.path.field(name),
                format!("`{name}` is missing"),
                hint,
            );
        }
        self.given(name, faults, read)
    }

    /// Reads a field that may be absent, or null.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&'j Json, &Path<'_>, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        self.given(name, faults, |value, path, faults| match value {
            Json::Null => None,
            Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => {
                read(value, path, faults)
            }
        })
    }

    /// Reads a field that may be absent, but not null.
    pub fn given<T>(
        &mut self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&'j Json, &Path<'_>, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        self.known.push(name);
        let value = self.entries.get(name)?;
        read(value, &self.path.field(name), faults)
    }

    /// Refuses all fields that were not asked for. `owner`: what has no such field.
    pub fn close(self, owner: &str, faults: &mut Faults) {
        for name in self.entries.keys().filter(|name| !self.known.contains(name)) {
            let hint = match self.most_similar(name, faults) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => format!("remove it; the fields are: {}", self.known.join(", ")),
            };
            let detail = format!("{owner} has no field `{name}`");
            faults.add::<()>(DeadLetterCode::UnknownField, self.path.field(name), detail, hint);
        }
    }

    /// Returns the field that a name most likely means: one that is not there.
    fn most_similar(&self, name: &str, faults: &Faults) -> Option<&'static str> {
        // Comparing is slow, and further faults are only counted.
        let absent = self.known.iter().copied().filter(|known| !faults.is_full() && !self.has(known));
        most_similar(name, absent)
    }
}
