//! Reads single values: ids, texts, names, amounts.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use uuid::Uuid;

use super::json::Json;
use super::path::Path;
use crate::contract::{DeadLetterCode, Faults, InvalidId, JobId, RequestType, UnknownName, most_similar};

/// Reads an id.
pub fn id<T: TryFrom<String, Error = InvalidId>>(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<T> {
    let text = match json {
        // Many hosts number their users. Only whole numbers have one form as text.
        Json::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        Json::Number(_) | Json::Null | Json::Bool(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => {
            id_text(json, path, faults)?.to_owned()
        }
    };
    // White space alone is empty for people.
    let text = if text.trim().is_empty() { String::new() } else { text };
    match T::try_from(text) {
        Ok(id) => Some(id),
        Err(invalid) => faults.add(DeadLetterCode::InvalidId, path, invalid.to_string(), invalid.hint()),
    }
}

/// Reads a job's id.
pub fn job_id(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<JobId> {
    let text = id_text(json, path, faults)?;
    match Uuid::try_parse(text) {
        Ok(id) => Some(JobId(id)),
        Err(_) => {
            let hint = "take it from the reply, or from `handover jobs`";
            faults.add(DeadLetterCode::InvalidId, path, format!("a job's id is a UUID, and this is {json}"), hint)
        }
    }
}

fn id_text<'j>(json: &'j Json, path: &Path<'_>, faults: &mut Faults) -> Option<&'j str> {
    let hint = match json {
        Json::Text(text) => return Some(text),
        Json::Number(number) => format!("write \"{}\", with quotes", number.to_string().trim_end_matches(".0")),
        Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_) => "write it as text, such as \"53\"".to_owned(),
    };
    faults.add(DeadLetterCode::InvalidId, path, format!("an id is text or a whole number, and this is {json}"), hint)
}

/// Reads a text of at most `longest` characters.
pub fn text(json: &Json, longest: usize, path: &Path<'_>, faults: &mut Faults) -> Option<String> {
    let code = DeadLetterCode::InvalidField;
    let Json::Text(text) = json else {
        let hint = match json {
            Json::Number(_) | Json::Bool(_) => "write it in double quotes",
            Json::Null | Json::List(_) | Json::Object(_) | Json::Text(_) => "write a text in double quotes",
        };
        return faults.add(code, path, format!("it must be text, and this is {json}"), hint);
    };
    // PostgreSQL's text cannot hold NUL: such a request could be neither looked up nor stored.
    if text.contains('\0') {
        return faults.add(code, path, "the text contains the character NUL", "remove it");
    }
    let length = text.chars().count();
    if length > longest {
        let detail = format!("the text has {length} characters; the maximum is {longest}");
        return faults.add(code, path, detail, "shorten it");
    }
    Some(text.clone())
}

/// Reads true or false.
pub fn boolean(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<bool> {
    match json {
        Json::Bool(value) => Some(*value),
        Json::Null | Json::Number(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => {
            let detail = format!("it must be true or false, and this is {json}");
            faults.add(DeadLetterCode::InvalidField, path, detail, "write true or false, without quotes")
        }
    }
}

/// Reads an amount.
pub fn amount(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<u64> {
    if let Json::Number(number) = json
        && let Some(amount) = number.as_u64()
    {
        return Some(amount);
    }
    let hint = match json {
        Json::Text(text) if text.parse::<u64>().is_ok() => format!("write {text}, without quotes"),
        Json::Text(_) | Json::Number(_) | Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_) => {
            "write digits only, such as 5".to_owned()
        }
    };
    let detail = format!("an amount is a whole number of 0 or more, and this is {json}");
    faults.add(DeadLetterCode::InvalidAmount, path, detail, hint)
}

/// Reads one of the known names.
pub fn one_of<T: FromStr<Err = UnknownName> + Display>(
    known: &[T],
    json: &Json,
    path: &Path<'_>,
    faults: &mut Faults,
) -> Option<T> {
    named(DeadLetterCode::InvalidField, known, json, path, faults)
}

/// Reads the type of a request.
pub fn request_type(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<RequestType> {
    named(DeadLetterCode::UnknownType, &RequestType::ALL, json, path, faults)
}

fn named<T: FromStr<Err = UnknownName> + Display>(
    code: DeadLetterCode,
    known: &[T],
    json: &Json,
    path: &Path<'_>,
    faults: &mut Faults,
) -> Option<T> {
    let names: Vec<String> = known.iter().map(T::to_string).collect();
    let (written, detail) = match json {
        Json::Text(text) => match text.parse::<T>() {
            Ok(value) => return Some(value),
            Err(unknown) => (text.as_str(), format!("{json} is not a known {}", unknown.what)),
        },
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_) => {
            ("", format!("it must be text, and this is {json}"))
        }
    };
    let hint = match most_similar(written, names.iter().map(String::as_str)) {
        Some(similar) => format!("did you mean \"{similar}\"?"),
        None => format!("write one of: {}", names.join(", ")),
    };
    faults.add(code, path, detail, hint)
}

/// Reads a list of names.
pub fn names(json: &Json, path: &Path<'_>, faults: &mut Faults) -> Option<BTreeSet<String>> {
    let Json::List(items) = json else {
        let detail = format!("it must be a list of names, and this is {json}");
        return faults.add(DeadLetterCode::InvalidField, path, detail, "write it like [\"name\"]");
    };
    let items = items.iter().enumerate();
    let names: Vec<Option<String>> =
        items.map(|(index, item)| text(item, usize::MAX, &path.item(index), faults)).collect();
    names.into_iter().collect()
}
