//! Searches and lists (RFC 7644, sections 3.4.2 and 3.4.3).

use serde_json::{Value, json};

use super::failure::Result;
use super::fields::{field, invalid, read_object, syntax};
use super::filter::{Filter, parse_filter};
use super::projection::Projection;
use super::schema_ids::LIST_RESPONSE;
use crate::contract::Json;

/// Resources of a page, if a search does not say.
const PAGE: u64 = 100;

/// Resources of a page, at most.
const MOST: u64 = 200;

/// What a search asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The filter; nothing for every resource.
    pub filter: Option<Filter>,
    /// The place of the first resource, counted from 1.
    pub start: u64,
    /// The number of resources, at most.
    pub count: u64,
    /// The attributes.
    pub projection: Projection,
}

impl Search {
    /// Reads the parameters of a query. Unknown ones are ignored, as the RFC asks for those of other servers.
    pub fn of_query(query: &[(String, String)]) -> Result<Search> {
        let one = |name: &str| {
            let mut values = query.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some((_, value)), None) => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
                (Some(_), Some(_)) => Err(invalid(format!("`{name}` occurs twice"))),
            }
        };
        let number = |name: &str| one(name)?.map(|text| whole(name, text)).transpose();
        let names = |text: Option<&'_ str>| text.map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>());
        let (attributes, excluded) = (names(one("attributes")?), names(one("excludedAttributes")?));
        Ok(Search::with(
            one("filter")?.map(parse_filter).transpose()?,
            (number("startIndex")?, number("count")?),
            (&attributes.unwrap_or_default(), &excluded.unwrap_or_default()),
        ))
    }

    fn with(
        filter: Option<Filter>,
        (start, count): (Option<i64>, Option<i64>),
        (attributes, excluded): (&[String], &[String]),
    ) -> Search {
        // Smaller values are read as 1 and 0: RFC 7644, section 3.4.2.4.
        let start = start.map_or(1, |start| start.max(1).unsigned_abs());
        let count = count.map_or(PAGE, |count| count.max(0).unsigned_abs()).min(MOST);
        let projection = Projection::of(attributes.iter().map(String::as_str), excluded.iter().map(String::as_str));
        Search { filter, start, count, projection }
    }
}

/// Reads the body of a search by POST.
pub fn read_search(body: &[u8]) -> Result<Search> {
    let fields = read_object(body)?;
    let number = |name: &str| match field(&fields, name)? {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(number)) => whole(name, &number.to_string()).map(Some),
        Some(Json::Text(text)) => whole(name, text).map(Some),
        Some(other) => Err(invalid(format!("`{name}` must be a whole number; it is {other}"))),
    };
    let names = |name: &str| match field(&fields, name)? {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Text(text)) => Ok(text.split(',').map(str::to_owned).collect()),
        Some(Json::List(list)) => Ok(list
            .iter()
            .filter_map(|name| if let Json::Text(name) = name { Some(name.clone()) } else { None })
            .collect()),
        Some(other) => Err(syntax(format!("`{name}` must list names; it is {other}"))),
    };
    let filter = match field(&fields, "filter")? {
        None | Some(Json::Null) => None,
        Some(Json::Text(text)) => Some(parse_filter(text)?),
        Some(other) => return Err(syntax(format!("`filter` must be a text; it is {other}"))),
    };
    let (attributes, excluded) = (names("attributes")?, names("excludedAttributes")?);
    Ok(Search::with(filter, (number("startIndex")?, number("count")?), (&attributes, &excluded)))
}

fn whole(name: &str, text: &str) -> Result<i64> {
    text.trim().parse().map_err(|_| invalid(format!("`{name}` must be a whole number")))
}

/// A page of resources.
#[derive(Debug, Clone, PartialEq)]
pub struct ListResponse {
    /// The number of all resources that the search finds.
    pub total: u64,
    /// The place of the first resource of the page, counted from 1.
    pub start: u64,
    /// The resources.
    pub resources: Vec<Value>,
}

impl ListResponse {
    /// Returns the body of the answer.
    pub fn to_json(&self) -> Value {
        json!({
            "schemas": [LIST_RESPONSE],
            "totalResults": self.total,
            "startIndex": self.start,
            "itemsPerPage": self.resources.len(),
            "Resources": self.resources,
        })
    }
}
