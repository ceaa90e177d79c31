//! The fields of a form or a query.

use crate::http::problem::{Problem, Result};

/// Fields that a form may have, at most.
const MOST: usize = 20_000;

/// The fields of a form or a query, in their order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads fields. Unknown ones have no effect.
    pub fn read(text: &[u8]) -> Result<Fields> {
        Fields::of(url::form_urlencoded::parse(text).into_owned().take(MOST + 1).collect())
    }

    /// Checks fields.
    pub fn of(fields: Vec<(String, String)>) -> Result<Fields> {
        if fields.len() > MOST {
            return Err(Problem::parameter("form", "it has too many fields"));
        }
        // No database stores it in a text.
        match fields.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
            Some((name, _)) => Err(Problem::parameter(&name.replace('\0', ""), "it contains control characters")),
            None => Ok(Fields(fields)),
        }
    }

    /// Returns the value of a field without blanks at its ends; nothing if it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// Lists the fields whose names begin with a prefix, each with the rest of its name.
    pub fn beginning<'f>(&'f self, prefix: &'f str) -> impl Iterator<Item = (&'f str, &'f str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.trim())))
    }

    /// Writes the fields as a query, without some and with one of them changed.
    pub fn query_with(&self, changed: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.0.iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name)));
        query.extend_pairs(changed.iter().filter(|(_, value)| !value.is_empty()));
        query.finish()
    }
}
