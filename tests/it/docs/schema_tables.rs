//! Tables in Markdown from a JSON Schema.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

/// A type with more values than this is listed elsewhere on its page.
const MOST_VALUES: usize = 12;

/// A JSON Schema with its definitions.
pub struct SchemaTables<'s> {
    root: &'s Value,
    definitions: Option<&'s Map<String, Value>>,
}

impl<'s> SchemaTables<'s> {
    pub fn new(root: &'s Value) -> SchemaTables<'s> {
        SchemaTables { root, definitions: root["$defs"].as_object() }
    }

    /// Returns a section for the schema itself, if it is an object, and for each definition that has fields or values, in the
    /// order in which the fields lead to them.
    pub fn all(&self) -> String {
        let root = self.fields(&[self.root]).map(|fields| format!("### At the top\n\n{fields}"));
        let sections = self.in_reading_order().into_iter().filter_map(|name| {
            // A generic type has a definition for each use.
            let all = self.definitions.into_iter().flatten();
            let uses: Vec<&Value> = all.filter(|(other, _)| shown(other) == name).map(|(_, schema)| schema).collect();
            let content = self.fields(&uses).or_else(|| value_table(uses[0], "value"))?;
            let about = uses[0]["description"].as_str().map(|text| format!("{}\n\n", one_line(text)));
            Some(format!("### {name}\n\n{}{content}", about.unwrap_or_default()))
        });
        root.into_iter().chain(sections).collect::<Vec<_>>().join("\n\n")
    }

    /// Lists the names of the definitions that the schema leads to, nearest first.
    fn in_reading_order(&self) -> Vec<&'s str> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut waiting = VecDeque::from([self.root]);
        while let Some(schema) = waiting.pop_front() {
            for name in references(schema) {
                if seen.insert(name) {
                    waiting.push_back(self.definition(name));
                    if !found.contains(&shown(name)) {
                        found.push(shown(name));
                    }
                }
            }
        }
        found
    }

    /// Returns the table of an enum's values.
    pub fn values(&self, name: &str, heading: &str) -> String {
        let table = value_table(self.definition(name), heading);
        table.unwrap_or_else(|| panic!("{name} is no enum with documented values"))
    }

    /// Returns the meaning of each value of an enum.
    pub fn meanings(&self, name: &str) -> BTreeMap<String, String> {
        let values = documented_values(self.definition(name));
        values.unwrap_or_else(|| panic!("{name} is no enum with documented values")).into_iter().collect()
    }

    fn definition(&self, name: &str) -> &'s Value {
        self.definitions.and_then(|all| all.get(name)).unwrap_or_else(|| panic!("the schema has no {name}"))
    }

    /// Returns the table of the fields of a type, required ones first.
    fn fields(&self, uses: &[&Value]) -> Option<String> {
        let properties = uses[0]["properties"].as_object()?;
        let required = uses[0]["required"].as_array();
        let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|required| required == name));
        let row = |(name, field): (&String, &Value)| {
            let kinds: BTreeSet<String> = uses.iter().map(|schema| self.type_of(&schema["properties"][name])).collect();
            let kinds = kinds.into_iter().collect::<Vec<_>>().join(" or ");
            let needed = if is_required(name) { ", required" } else { "" };
            let meaning = field["description"].as_str().unwrap_or_default();
            (!is_required(name), format!("| `{name}` | {}{needed} | {} |", cell(&kinds), cell(meaning)))
        };
        let mut rows: Vec<(bool, String)> = properties.iter().map(row).collect();
        rows.sort_by_key(|(is_optional, _)| *is_optional);
        let rows = rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>().join("\n");
        Some(format!("| field | type | meaning |\n|---|---|---|\n{rows}"))
    }

    /// Describes the type of a field in words, with links to definitions.
    fn type_of(&self, schema: &Value) -> String {
        if let Some(name) = referenced(schema) {
            return self.name_of(name);
        }
        if let Some(values) = schema["enum"].as_array().filter(|values| values.len() <= MOST_VALUES) {
            let values: Vec<String> =
                values.iter().filter_map(|value| Some(format!("`{}`", value.as_str()?))).collect();
            return values.join(" or ");
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[choice].as_array() {
                let kinds = choices.iter().filter(|choice| choice["type"] != "null").map(|choice| self.type_of(choice));
                return kinds.collect::<Vec<_>>().join(" or ");
            }
        }
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
            kind => vec![kind.as_str().unwrap_or("object")],
        };
        kinds.into_iter().map(|kind| self.simple(kind, schema)).collect::<Vec<_>>().join(" or ")
    }

    fn simple(&self, kind: &str, schema: &Value) -> String {
        match (kind, schema["format"].as_str()) {
            ("string", Some("date-time")) => "time".into(),
            ("string", Some("uuid")) => "UUID".into(),
            ("string", _) => "text".into(),
            ("integer", _) => "whole number".into(),
            ("array", _) => format!("list of {}", self.type_of(&schema["items"])),
            ("object", _) if schema["additionalProperties"].is_object() => {
                format!("map to {}", self.type_of(&schema["additionalProperties"]))
            }
            (other, _) => other.into(),
        }
    }

    /// Links to a definition that has a section, and describes any other.
    fn name_of(&self, name: &str) -> String {
        let schema = self.definition(name);
        match schema["properties"].is_object() || documented_values(schema).is_some() {
            true => format!("[{}](#{})", shown(name), shown(name).to_lowercase()),
            false => self.type_of(schema),
        }
    }
}

/// Returns the name of a definition as the page shows it.
fn shown(name: &str) -> &str {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    name.strip_suffix("Entry").unwrap_or(name)
}

/// Lists the definitions that a schema refers to, itself and in its parts.
fn references(schema: &Value) -> Vec<&str> {
    match schema {
        Value::Object(parts) => {
            let parts = parts.iter().filter(|(name, _)| *name != "$defs").flat_map(|(_, part)| references(part));
            referenced(schema).into_iter().chain(parts).collect()
        }
        Value::Array(parts) => parts.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn referenced(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn value_table(schema: &Value, heading: &str) -> Option<String> {
    let rows = documented_values(schema)?;
    let rows: Vec<String> = rows.iter().map(|(value, meaning)| format!("| `{value}` | {} |", cell(meaning))).collect();
    Some(format!("| {heading} | meaning |\n|---|---|\n{}", rows.join("\n")))
}

/// Returns the values of an enum with the meaning of each.
fn documented_values(schema: &Value) -> Option<Vec<(String, String)>> {
    let value = |choice: &Value| {
        let value = choice["const"].as_str().or_else(|| choice["enum"][0].as_str())?;
        Some((value.to_owned(), choice["description"].as_str()?.to_owned()))
    };
    schema["oneOf"].as_array()?.iter().map(value).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns a text as one cell of a table.
pub fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}
