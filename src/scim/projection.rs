//! The attributes that an answer has: `attributes` and `excludedAttributes` (RFC 7644, section 3.9).

use serde_json::{Map, Value};

use super::schema_ids::{ENTERPRISE, HANDOVER, USER};

/// A choice of attributes. Without one, an answer has all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Projection {
    /// Only these; all if there is none.
    only: Vec<Name>,
    /// None of these.
    without: Vec<Name>,
}

/// The name of an attribute, in lower case: of the resource, or of one of its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    whole: String,
    part: Option<String>,
}

impl Projection {
    /// Reads the names of `attributes` and `excludedAttributes`.
    pub fn of<'n>(
        attributes: impl IntoIterator<Item = &'n str>,
        excluded: impl IntoIterator<Item = &'n str>,
    ) -> Projection {
        let names =
            |texts: Vec<&str>| texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).map(Name::of).collect();
        Projection { only: names(attributes.into_iter().collect()), without: names(excluded.into_iter().collect()) }
    }

    /// Removes what the answer must not have. `id` and `schemas` always stay.
    pub fn apply(&self, resource: &mut Map<String, Value>) {
        let stays = |name: &str| matches!(name, "id" | "schemas");
        if !self.only.is_empty() {
            resource.retain(|name, value| stays(name) || self.keeps(name, value));
        }
        resource.retain(|name, value| stays(name) || !self.removes(name, value));
    }

    fn keeps(&self, name: &str, value: &mut Value) -> bool {
        let asked: Vec<&Name> = self.only.iter().filter(|asked| asked.whole.eq_ignore_ascii_case(name)).collect();
        if asked.iter().all(|asked| asked.part.is_some()) {
            let is_asked = |part: &str| asked.iter().any(|asked| asked.is_part(part));
            each_object(value, &|object| object.retain(|part, _| is_asked(part)));
        }
        !asked.is_empty() && !is_empty(value)
    }

    fn removes(&self, name: &str, value: &mut Value) -> bool {
        let named: Vec<&Name> = self.without.iter().filter(|named| named.whole.eq_ignore_ascii_case(name)).collect();
        if named.iter().any(|named| named.part.is_none()) {
            return true;
        }
        if !named.is_empty() {
            let is_named = |part: &str| named.iter().any(|named| named.is_part(part));
            each_object(value, &|object| object.retain(|part, _| !is_named(part)));
        }
        is_empty(value)
    }
}

impl Name {
    fn of(text: &str) -> Name {
        let lower = text.to_ascii_lowercase();
        for schema in [ENTERPRISE, HANDOVER].map(str::to_ascii_lowercase) {
            if let Some(rest) = lower.strip_prefix(&schema) {
                let part = rest.strip_prefix([':', '.']).and_then(|rest| rest.split('.').next());
                return Name { part: part.map(str::to_owned), whole: schema };
            }
        }
        let core = USER.to_ascii_lowercase();
        let bare = lower.strip_prefix(&core).and_then(|rest| rest.strip_prefix([':', '.'])).unwrap_or(&lower);
        match bare.split_once('.') {
            _ if bare == "manager" || bare.starts_with("manager.") => {
                Name { whole: ENTERPRISE.to_ascii_lowercase(), part: Some("manager".to_owned()) }
            }
            Some((whole, part)) => Name { whole: whole.to_owned(), part: Some(part.to_owned()) },
            None => Name { whole: bare.to_owned(), part: None },
        }
    }

    fn is_part(&self, part: &str) -> bool {
        self.part.as_ref().is_some_and(|named| named.eq_ignore_ascii_case(part))
    }
}

/// Changes an object, or every object of a list.
fn each_object(value: &mut Value, change: &impl Fn(&mut Map<String, Value>)) {
    if let Value::Array(entries) = value {
        entries.iter_mut().for_each(|entry| each_object(entry, change));
        entries.retain(|entry| !is_empty(entry));
    } else if let Value::Object(object) = value {
        change(object);
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}
