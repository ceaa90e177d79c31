//! Objects of a request, whose names are compared without regard to case (RFC 7643, section 2.1).

use super::failure::{Failure, Result, ScimType};
use crate::contract::{Json, parse_json};

/// The fields of an object.
pub type Fields = Vec<(String, Json)>;

/// The maximum length of a text value, in bytes.
const LONGEST: usize = 10_000;

/// Reads a body that must be an object.
pub fn read_object(body: &[u8]) -> Result<Fields> {
    let json = parse_json(body).map_err(|fault| syntax(format!("{}: {}", fault.detail, fault.hint)))?;
    match json {
        Json::Object(fields) => Ok(fields),
        other @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_)) => {
            Err(syntax(format!("the body must be an object; it is {other}")))
        }
    }
}

/// Returns a field. One that occurs twice has no clear meaning.
pub fn field<'f>(fields: &'f Fields, name: &str) -> Result<Option<&'f Json>> {
    let mut found = fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => Ok(Some(value)),
        (Some(_), Some(_)) => Err(syntax(format!("`{name}` occurs twice"))),
    }
}

/// Checks that no name occurs twice.
pub fn check_names(fields: &Fields) -> Result<()> {
    fields.iter().try_for_each(|(name, _)| field(fields, name).map(drop))
}

/// Checks that the body names its schema, if it names any.
pub fn check_schemas(fields: &Fields, expected: &str) -> Result<()> {
    let Some(schemas) = field(fields, "schemas")? else { return Ok(()) };
    let is_expected = |json: &Json| matches!(json, Json::Text(text) if text.eq_ignore_ascii_case(expected));
    if let Json::List(schemas) = schemas
        && schemas.iter().any(is_expected)
    {
        return Ok(());
    }
    Err(syntax(format!("`schemas` must list {expected}")))
}

/// Reads a text that an attribute may hold; nothing if the value empties it.
pub fn read_text(name: &str, value: &Json) -> Result<Option<String>> {
    match value {
        Json::Null => Ok(None),
        Json::Text(text) if text.trim().is_empty() => Ok(None),
        Json::Text(text) if text.len() > LONGEST || text.contains('\0') => {
            Err(invalid(format!("`{name}` is too long, or holds a NUL character")))
        }
        Json::Text(text) => Ok(Some(text.clone())),
        Json::Number(number) => Ok(Some(number.to_string())),
        // Some providers send a list of one value for an attribute of one value.
        Json::List(list) => match list.as_slice() {
            [] => Ok(None),
            [Json::List(_)] => Err(invalid(format!("`{name}` must be a text"))),
            [one] => read_text(name, one),
            _ => Err(invalid(format!("`{name}` has one value only"))),
        },
        Json::Object(fields) => match field(fields, "value")? {
            Some(Json::Object(_) | Json::List(_)) | None => Err(invalid(format!("`{name}` must be a text"))),
            Some(value) => read_text(name, value),
        },
        Json::Bool(_) => Err(invalid(format!("`{name}` must be a text; it is {value}"))),
    }
}

/// Reads a truth value. Microsoft Entra sends it as a text.
pub fn read_boolean(name: &str, value: &Json) -> Result<bool> {
    let unreadable = || invalid(format!("`{name}` must be true or false; it is {value}"));
    match value {
        Json::Bool(value) => Ok(*value),
        Json::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Json::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Json::List(list) => match list.as_slice() {
            [Json::List(_)] => Err(unreadable()),
            [one] => read_boolean(name, one),
            _ => Err(unreadable()),
        },
        Json::Object(fields) => match field(fields, "value")? {
            Some(value @ (Json::Bool(_) | Json::Text(_))) => read_boolean(name, value),
            Some(_) | None => Err(unreadable()),
        },
        Json::Null | Json::Text(_) | Json::Number(_) => Err(unreadable()),
    }
}

/// Creates the error of a malformed body.
pub fn syntax(detail: impl Into<String>) -> Failure {
    Failure::bad(ScimType::InvalidSyntax, detail)
}

/// Creates the error of a value that does not fit.
pub fn invalid(detail: impl Into<String>) -> Failure {
    Failure::bad(ScimType::InvalidValue, detail)
}
