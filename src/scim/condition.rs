//! The part of filters that the store runs: `eq`, `sw`, `pr`, `and` and `or` on mapped attributes.

use super::attribute::{Attribute, Mapped, Place, place};
use super::failure::{Failure, Result, ScimType};
use super::filter::{Comparison, Filter, FilterPath, Literal, Operator};

/// The maximum number of comparisons.
const MOST_TERMS: usize = 16;

/// A condition on users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every user passes, or none.
    Constant(bool),
    /// The attribute is this text.
    Equals(Attribute, String),
    /// The attribute starts with this text.
    StartsWith(Attribute, String),
    /// The attribute has a value.
    Present(Attribute),
    /// The user is active, or is not.
    Active(bool),
    /// Every part holds.
    All(Vec<Condition>),
    /// Some part holds.
    Any(Vec<Condition>),
}

impl Condition {
    /// Returns the condition of a filter, or the error of one that cannot be run.
    pub fn of(filter: &Filter, mapped: Mapped) -> Result<Condition> {
        let terms = terms(filter);
        if terms > MOST_TERMS {
            return Err(refused(format!("it has {terms} comparisons; the maximum is {MOST_TERMS}")));
        }
        of_parts(filter, &|one| of_user(one, mapped))
    }

    /// Replaces conditions on an attribute that must be another text, or that no user can pass.
    pub fn with_equals(self, replaced: &impl Fn(Attribute, String) -> Option<String>) -> Condition {
        let each = |parts: Vec<Condition>| parts.into_iter().map(|part| part.with_equals(replaced)).collect();
        match self {
            Condition::Equals(attribute, text) => match replaced(attribute, text) {
                Some(text) => Condition::Equals(attribute, text),
                None => Condition::Constant(false),
            },
            Condition::All(parts) => Condition::All(each(parts)),
            Condition::Any(parts) => Condition::Any(each(parts)),
            Condition::Constant(_) | Condition::StartsWith(..) | Condition::Present(_) | Condition::Active(_) => self,
        }
    }
}

/// Returns the condition of a filter whose comparisons have conditions by themselves.
fn of_parts(filter: &Filter, of_one: &impl Fn(&Filter) -> Result<Condition>) -> Result<Condition> {
    let each = |parts: &[Filter]| parts.iter().map(|part| of_parts(part, of_one)).collect::<Result<Vec<_>>>();
    match filter {
        Filter::All(parts) => Ok(Condition::All(each(parts)?)),
        Filter::Any(parts) => Ok(Condition::Any(each(parts)?)),
        Filter::Not(_) => Err(refused("`not` cannot be searched")),
        Filter::Compare(..) | Filter::Present(_) | Filter::Entry(_) => of_one(filter),
    }
}

/// Returns the condition of a comparison of users.
fn of_user(filter: &Filter, mapped: Mapped) -> Result<Condition> {
    match filter {
        Filter::Compare(path, comparison) => {
            let comparison = compare(attribute(path, mapped)?, comparison)?;
            with_entries(path, comparison)
        }
        Filter::Present(path) => {
            let attribute = attribute(path, mapped)?;
            let present = match attribute {
                Attribute::Id | Attribute::Active => Condition::Constant(true),
                Attribute::ExternalId
                | Attribute::UserName
                | Attribute::GivenName
                | Attribute::FamilyName
                | Attribute::Email
                | Attribute::Title
                | Attribute::Manager => Condition::Present(attribute),
            };
            with_entries(path, present)
        }
        Filter::Entry(path) => {
            is_email(path)?;
            with_entries(path, Condition::Present(Attribute::Email))
        }
        Filter::All(_) | Filter::Any(_) | Filter::Not(_) => Err(refused("it is no comparison")),
    }
}

/// Returns the attribute that a path names.
fn attribute(path: &FilterPath, mapped: Mapped) -> Result<Attribute> {
    if path.entries.is_some() {
        is_email(path)?;
        return match path.part.as_deref() {
            Some(part) if part.eq_ignore_ascii_case("value") => Ok(Attribute::Email),
            Some(_) | None => Err(refused(format!("`{path}` cannot be searched: compare `emails[...].value`"))),
        };
    }
    match place(&path.name) {
        Place::Attribute(attribute) if mapped.can_search(attribute) => Ok(attribute),
        Place::ReadOnly("id") => Ok(Attribute::Id),
        Place::Attribute(_)
        | Place::Name
        | Place::EmailPart(_)
        | Place::Schema(_)
        | Place::ReadOnly(_)
        | Place::Repeated
        | Place::PartOfActive
        | Place::Unknown => Err(refused(format!("`{}` cannot be searched", path.name))),
    }
}

fn is_email(path: &FilterPath) -> Result<()> {
    match place(&path.name) {
        Place::Attribute(Attribute::Email) => Ok(()),
        Place::Attribute(_)
        | Place::Name
        | Place::EmailPart(_)
        | Place::Schema(_)
        | Place::ReadOnly(_)
        | Place::Repeated
        | Place::PartOfActive
        | Place::Unknown => Err(refused(format!("`{}` has no entries that can be searched", path.name))),
    }
}

/// Adds the filter in brackets to a condition on the email address.
fn with_entries(path: &FilterPath, condition: Condition) -> Result<Condition> {
    match &path.entries {
        None => Ok(condition),
        Some(entries) => Ok(Condition::All(vec![of_email(entries)?, condition])),
    }
}

/// Returns the condition of a filter on entries of `emails`. There is one entry, of the type `work`, and it is the primary one.
fn of_email(filter: &Filter) -> Result<Condition> {
    let unknown = |part: &str| refused(format!("`{part}` of an email address cannot be searched"));
    of_parts(filter, &|one| match one {
        Filter::Present(path) => match path.name.to_ascii_lowercase().as_str() {
            "value" => Ok(Condition::Present(Attribute::Email)),
            "type" | "primary" => Ok(Condition::Constant(true)),
            other => Err(unknown(other)),
        },
        Filter::Compare(path, comparison) => match path.name.to_ascii_lowercase().as_str() {
            "value" => compare(Attribute::Email, comparison),
            "type" => Ok(Condition::Constant(is_work(comparison)?)),
            "primary" => Ok(Condition::Constant(boolean("primary", comparison)?)),
            other => Err(unknown(other)),
        },
        Filter::Entry(_) | Filter::All(_) | Filter::Any(_) | Filter::Not(_) => {
            Err(refused("this filter in brackets cannot be searched"))
        }
    })
}

/// True if a filter in brackets may select the one email address that is kept.
pub fn selects_email(filter: &Filter) -> bool {
    fn may_hold(condition: &Condition) -> bool {
        match condition {
            Condition::Constant(holds) => *holds,
            Condition::All(parts) => parts.iter().all(may_hold),
            Condition::Any(parts) => parts.iter().any(may_hold),
            Condition::Equals(..) | Condition::StartsWith(..) | Condition::Present(_) | Condition::Active(_) => true,
        }
    }
    of_email(filter).is_ok_and(|condition| may_hold(&condition))
}

fn is_work(comparison: &Comparison) -> Result<bool> {
    match (comparison.operator, &comparison.value) {
        (Operator::Eq, Literal::Text(text)) => Ok(text.eq_ignore_ascii_case("work")),
        _ => Err(refused("`type` can only be compared by `eq` with a text")),
    }
}

fn compare(attribute: Attribute, comparison: &Comparison) -> Result<Condition> {
    if attribute == Attribute::Active {
        return Ok(Condition::Active(boolean("active", comparison)?));
    }
    let Literal::Text(text) = &comparison.value else {
        return Err(refused(format!("{} is no text", comparison.value)));
    };
    match comparison.operator {
        // No database stores it in a text.
        Operator::Eq | Operator::Sw if text.contains('\0') => Ok(Condition::Constant(false)),
        Operator::Eq => Ok(Condition::Equals(attribute, text.clone())),
        Operator::Sw if matches!(attribute, Attribute::Id | Attribute::Manager | Attribute::ExternalId) => {
            Err(refused("`sw` does not search ids"))
        }
        Operator::Sw => Ok(Condition::StartsWith(attribute, text.clone())),
        Operator::Ne | Operator::Co | Operator::Ew | Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
            Err(refused(format!("`{}` is not supported: use eq, sw, pr, and, or", comparison.operator)))
        }
    }
}

fn boolean(name: &str, comparison: &Comparison) -> Result<bool> {
    match (comparison.operator, &comparison.value) {
        (Operator::Eq, Literal::Boolean(value)) => Ok(*value),
        (Operator::Eq, Literal::Text(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        (Operator::Eq, Literal::Text(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(refused(format!("`{name}` can only be compared by `eq` with true or false"))),
    }
}

/// Counts the comparisons of a filter, those in brackets too.
fn terms(filter: &Filter) -> usize {
    let in_brackets = |path: &FilterPath| path.entries.as_ref().map_or(0, |entries| terms(entries));
    match filter {
        Filter::All(parts) | Filter::Any(parts) => parts.iter().map(terms).sum(),
        Filter::Not(part) => terms(part),
        Filter::Compare(path, _) | Filter::Present(path) => 1 + in_brackets(path),
        Filter::Entry(path) => in_brackets(path),
    }
}

fn refused(what: impl std::fmt::Display) -> Failure {
    Failure::bad(ScimType::InvalidFilter, format!("the filter cannot be run: {what}"))
}
