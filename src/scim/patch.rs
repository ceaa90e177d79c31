//! PATCH bodies (RFC 7644, section 3.5.2), in every shape that identity providers send.
//!
//! An operation without a path has an object, each of whose fields is an operation of its own. So all shapes end in one function,
//! which takes the name of an attribute and its value.

use super::attribute::{Attribute, Place, place};
use super::change::{Change, Patch};
use super::condition::selects_email;
use super::failure::{Failure, Result, ScimType};
use super::fields::{Fields, check_names, check_schemas, field, invalid, read_boolean, read_object, read_text, syntax};
use super::filter::{FilterPath, parse_path};
use super::schema_ids::{ENTERPRISE, PATCH_OP};
use crate::contract::Json;

/// The maximum number of operations.
const MOST_OPERATIONS: usize = 1_000;

/// The maximum depth of objects that name attributes.
const DEEPEST: usize = 4;

/// Reads a PATCH body.
pub fn read_patch(body: &[u8]) -> Result<Patch> {
    let fields = read_object(body)?;
    check_schemas(&fields, PATCH_OP)?;
    let operations = match field(&fields, "Operations")? {
        Some(Json::List(operations)) if !operations.is_empty() => operations,
        Some(_) | None => return Err(syntax("`Operations` must list at least one operation")),
    };
    if operations.len() > MOST_OPERATIONS {
        return Err(syntax(format!("there are more than {MOST_OPERATIONS} operations")));
    }
    let mut reader = Reader { patch: Patch::default(), read_only: ReadOnly::Refused };
    for operation in operations {
        match operation {
            Json::Object(operation) => reader.operation(operation)?,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) => {
                return Err(syntax("an operation must be an object"));
            }
        }
    }
    Ok(reader.patch)
}

/// Reads the attributes of a whole user.
pub fn read_attributes(fields: &Fields) -> Result<Patch> {
    let mut reader = Reader { patch: Patch::default(), read_only: ReadOnly::Ignored };
    reader.object("", fields, 0)?;
    Ok(reader.patch)
}

/// What becomes of `id` and `meta` in a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadOnly {
    /// They are an error.
    Refused,
    /// A whole user repeats them.
    Ignored,
}

struct Reader {
    patch: Patch,
    read_only: ReadOnly,
}

impl Reader {
    fn operation(&mut self, operation: &Fields) -> Result<()> {
        let verb = match field(operation, "op")? {
            Some(Json::Text(verb)) => verb.to_ascii_lowercase(),
            Some(_) | None => return Err(syntax("an operation needs `op`")),
        };
        let value = field(operation, "value")?;
        let path = match field(operation, "path")? {
            None | Some(Json::Null) => None,
            Some(Json::Text(path)) if path.trim().is_empty() => None,
            Some(Json::Text(path)) => Some(path),
            Some(other) => return Err(syntax(format!("`path` must be a text; it is {other}"))),
        };
        match (verb.as_str(), path, value) {
            ("add" | "replace", Some(path), Some(value)) => self.at_path(path, value),
            ("add" | "replace", None, Some(Json::Object(fields))) => self.object("", fields, 0),
            ("add" | "replace", None, Some(_)) => Err(syntax("without `path`, `value` must be an object")),
            ("add" | "replace", _, None) => Err(invalid(format!("`{verb}` needs `value`"))),
            ("remove", Some(path), _) => self.at_path(path, &Json::Null),
            ("remove", None, _) => Err(Failure::bad(ScimType::NoTarget, "`remove` needs `path`")),
            _ => Err(syntax(format!("`op` must be add, replace or remove; it is {verb:?}"))),
        }
    }

    /// Reads the fields of an object, each as an attribute of its own. `prefix`: the schema of the names.
    fn object(&mut self, prefix: &str, fields: &Fields, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(syntax("the objects are nested too deep"));
        }
        check_names(fields)?;
        for (name, value) in fields {
            match prefix {
                "" => self.named(name, value, depth)?,
                prefix => self.at(&format!("{prefix}{name}"), value, depth)?,
            }
        }
        Ok(())
    }

    /// Reads a field of an object without a path. Its name may be a whole path, as Microsoft Entra sends them.
    fn named(&mut self, name: &str, value: &Json, depth: usize) -> Result<()> {
        match name.contains('[') {
            true => self.at_path(name, value),
            false => self.at(name, value, depth),
        }
    }

    fn at_path(&mut self, path: &str, value: &Json) -> Result<()> {
        let wrong =
            |what: String| Failure::bad(ScimType::InvalidPath, format!("the path {path:?} cannot be read: {what}"));
        let FilterPath { name, entries, part } = parse_path(path).map_err(wrong)?;
        let Some(entries) = entries else { return self.at(&name, value, 0) };
        match place(&name) {
            Place::Attribute(Attribute::Email) if selects_email(&entries) => match part.as_deref() {
                None => self.at(&name, value, 0),
                Some(part) if part.eq_ignore_ascii_case("value") => self.at(&name, value, 0),
                Some(_) => self.ignore(),
            },
            Place::Attribute(Attribute::Active) => Err(wrong("`active` has no entries".to_owned())),
            Place::ReadOnly(name) => Err(immutable(name)),
            Place::Attribute(_)
            | Place::Name
            | Place::EmailPart(_)
            | Place::Schema(_)
            | Place::Repeated
            | Place::PartOfActive
            | Place::Unknown => self.ignore(),
        }
    }

    /// Reads the value of an attribute.
    fn at(&mut self, name: &str, value: &Json, depth: usize) -> Result<()> {
        match (place(name), value) {
            (Place::Attribute(attribute), value) => {
                let change = change(attribute, value)?;
                self.patch.changes.push(change);
                Ok(())
            }
            (Place::Name, Json::Object(fields)) => self.object("name.", fields, depth + 1),
            (Place::Name, Json::Null) => {
                self.patch.changes.extend([Change::GivenName(None), Change::FamilyName(None)]);
                Ok(())
            }
            (Place::Name, other) => Err(invalid(format!("`name` must be an object; it is {other}"))),
            // The whole extension is removed: of its attributes, the manager is kept here.
            (Place::Schema(ENTERPRISE), Json::Null) => {
                self.patch.changes.push(Change::Manager(None));
                Ok(())
            }
            (Place::Schema(""), Json::Object(fields)) => self.object("", fields, depth + 1),
            (Place::Schema(schema), Json::Object(fields)) => self.object(&format!("{schema}:"), fields, depth + 1),
            (Place::ReadOnly(name), _) if self.read_only == ReadOnly::Refused => Err(immutable(name)),
            (Place::PartOfActive, _) => Err(Failure::bad(ScimType::InvalidPath, "`active` has no parts")),
            (Place::ReadOnly(_) | Place::Repeated, _) => Ok(()),
            (Place::EmailPart(_) | Place::Schema(_) | Place::Unknown, _) => self.ignore(),
        }
    }

    fn ignore(&mut self) -> Result<()> {
        self.patch.ignored += 1;
        Ok(())
    }
}

fn immutable(name: &str) -> Failure {
    Failure::bad(ScimType::Mutability, format!("`{name}` cannot be written"))
}

fn change(attribute: Attribute, value: &Json) -> Result<Change> {
    Ok(match attribute {
        Attribute::Active => Change::Active(read_boolean("active", value)?),
        Attribute::UserName => {
            let name = read_text("userName", value)?;
            Change::UserName(name.ok_or_else(|| invalid("`userName` cannot be empty"))?)
        }
        Attribute::GivenName => Change::GivenName(read_text("name.givenName", value)?),
        Attribute::FamilyName => Change::FamilyName(read_text("name.familyName", value)?),
        Attribute::Email => Change::Email(email(value)?),
        Attribute::Title => Change::Title(read_text("title", value)?),
        Attribute::Manager => Change::Manager(read_text("manager", value)?),
        Attribute::ExternalId => Change::ExternalId(read_text("externalId", value)?),
        Attribute::Id => return Err(immutable("id")),
    })
}

/// Reads the address of `emails`: of several entries the primary one, or that of the type `work`, or the first.
fn email(value: &Json) -> Result<Option<String>> {
    let Json::List(entries) = value else { return read_text("emails", value) };
    let has = |entry: &Json, name: &str, wanted: &str| match entry {
        Json::Object(fields) => fields.iter().any(|(known, value)| {
            let is_wanted = match value {
                Json::Bool(value) => value.to_string() == wanted,
                Json::Text(text) => text.eq_ignore_ascii_case(wanted),
                Json::Null | Json::Number(_) | Json::List(_) | Json::Object(_) => false,
            };
            is_wanted && known.eq_ignore_ascii_case(name)
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) => false,
    };
    let primary = entries.iter().find(|entry| has(entry, "primary", "true"));
    let work = entries.iter().find(|entry| has(entry, "type", "work"));
    let chosen = primary.or(work).or(entries.first());
    chosen.map_or(Ok(None), |entry| read_text("emails", entry))
}
