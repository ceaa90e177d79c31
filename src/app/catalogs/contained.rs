//! Looks for users' ids inside values: in arrays, in JSON documents, and in texts that list several.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use crate::app::error::Result;
use crate::catalog::guess::{self, names_a_person};
use crate::catalog::{Family, Schema, SchemaColumn, Table};
use crate::store::{Session, host};

/// The contents of a column that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Lists and documents: the column's name or type suggests users, or several values.
    ListsAndDocuments,
    /// Documents, which their form shows. A list of numbers in an ordinary text may be anything.
    Documents,
}

/// Returns the columns whose values may hold several users, with the contents to read.
pub fn places(schema: &Schema) -> Vec<(&Table, &SchemaColumn, Contents)> {
    let containers = guess::containers(schema).into_iter().map(|place| (place, Contents::ListsAndDocuments));
    let documents = guess::possible_documents(schema).into_iter().map(|place| (place, Contents::Documents));
    containers.chain(documents).map(|((table, column), contents)| (table, column, contents)).collect()
}

/// Describes the users inside the values of a column; nothing if there are none, or if this role may not read it.
pub async fn users_inside(
    session: &Session,
    (users, key): (&Table, &SchemaColumn),
    (table, column): (&Table, &SchemaColumn),
    contents: Contents,
) -> Result<Option<String>> {
    let values = match host::sample_values(session, &table.name, &column.name).await {
        Err(error) if error.is_refused() => return Ok(None),
        values => values?,
    };
    let mut ids = BTreeSet::new();
    let is_read = |value: &&String| match contents {
        Contents::ListsAndDocuments => true,
        Contents::Documents => value.starts_with(['[', '{']),
    };
    values.iter().filter(is_read).for_each(|value| collect(value, key.family, &mut ids));
    if ids.is_empty() {
        return Ok(None);
    }
    let known = host::count_users_among(session, (&users.name, &key.name), ids.iter().map(String::as_str)).await?;
    let why = format!("{known} of {} ids inside its values are users, and no reference can cover them", ids.len());
    Ok((known > 0).then_some(why))
}

/// Collects what may be ids in a value.
fn collect(value: &str, key: Family, ids: &mut BTreeSet<String>) {
    match serde_json::from_str::<Value>(value) {
        Ok(document @ (Value::Array(_) | Value::Object(_))) => collect_from_json(&document, key, true, ids),
        Ok(_) | Err(_) => {
            let inner = value.trim_start_matches('{').trim_end_matches('}');
            let parts: Vec<&str> = inner.split([',', ';', '|', ' ']).map(|part| part.trim_matches('"')).collect();
            let is_list = parts.len() > 1 || inner != value;
            ids.extend(parts.into_iter().filter(|part| is_list && is_id(part, key)).map(str::to_owned));
        }
    }
}

/// Collects from a JSON document. A number or a text is a likely id in a list, or under a name that suggests a user; a UUID is
/// one anywhere.
fn collect_from_json(document: &Value, key: Family, is_likely: bool, ids: &mut BTreeSet<String>) {
    let is_certain = matches!(key, Family::Uuid);
    match document {
        Value::Array(items) => items.iter().for_each(|item| collect_from_json(item, key, is_likely, ids)),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| collect_from_json(value, key, names_a_person(name), ids));
        }
        Value::String(text) => {
            ids.extend(Some(text.clone()).filter(|text| (is_likely || is_certain) && is_id(text, key)))
        }
        Value::Number(number) => ids.extend(Some(number.to_string()).filter(|text| is_likely && is_id(text, key))),
        Value::Null | Value::Bool(_) => {}
    }
}

fn is_id(text: &str, key: Family) -> bool {
    match key {
        Family::Integer { .. } | Family::Number => text.parse::<i64>().is_ok_and(|number| number > 0),
        Family::Uuid => Uuid::try_parse(text).is_ok(),
        Family::Text => !text.is_empty(),
        Family::Boolean | Family::Time | Family::Any | Family::Other | Family::Opaque => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_lists_and_documents() {
        let found = |value: &str| {
            let mut ids = BTreeSet::new();
            collect(value, Family::Integer { bits: 64 }, &mut ids);
            ids.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("{9,2}"), "2 9");
        assert_eq!(found("2, 9"), "2 9");
        assert_eq!(found("[9, {\"count\": 3}]"), "9");
        assert_eq!(found("[{\"do\": \"assign\", \"to\": 9, \"times\": 4}]"), "9");
        assert_eq!(found("{\"owners\": {\"owner\": [7]}, \"size\": 5}"), "7");
        assert_eq!(found("9"), "", "a single id is no list");
    }
}
