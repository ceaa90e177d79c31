//! Reads a file's head: the meaning of each column.

use anyhow::{Result, bail};

use crate::catalog::Catalog;

/// The meaning of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// The leaver's id.
    UserId,
    /// The leaver's address.
    Email,
    /// The answer that asks for the deactivation.
    Deactivated,
    /// The requester.
    RequestedBy,
    /// The organization.
    OrgId,
    /// The reason.
    Reason,
    /// The start.
    EffectiveAt,
    /// The request id.
    RequestId,
    /// The successor for every kind that must be transferred.
    Successor,
    /// The successor for one kind.
    Kind(String),
}

const FIXED: [(&str, Column); 9] = [
    ("user_id", Column::UserId),
    ("email", Column::Email),
    ("deactivated", Column::Deactivated),
    ("requested_by", Column::RequestedBy),
    ("org_id", Column::OrgId),
    ("reason", Column::Reason),
    ("effective_at", Column::EffectiveAt),
    ("request_id", Column::RequestId),
    ("successor", Column::Successor),
];

/// The values that the caller gives for every row.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// True if the requester is given.
    pub by: bool,
    /// True if the organization is given.
    pub org: bool,
}

/// The longest name that is compared with known names, in characters. A longer one is no typing mistake, and slow to compare.
const LONGEST_NAME: usize = 100;

/// Reads a head. Reports every fault at once.
pub fn read(head: &[String], catalog: &Catalog, defaults: Defaults) -> Result<Vec<Column>> {
    let kinds = catalog.references.iter().filter(|reference| reference.disposition.is_allotted());
    let kinds = kinds.map(|reference| (reference.kind.as_str(), Column::Kind(reference.kind.clone())));
    let known: Vec<(&str, Column)> = FIXED.into_iter().chain(kinds).collect();
    let mut columns = Vec::with_capacity(head.len());
    let mut faults = Vec::new();
    for (place, name) in head.iter().enumerate() {
        let folded = folded(name);
        match known.iter().find(|(known, _)| self::folded(known) == folded) {
            Some((known, column)) if columns.contains(column) => faults.push(format!("column `{known}` appears twice")),
            Some((_, column)) => columns.push(column.clone()),
            None if name.is_empty() => faults.push(format!("column {} has no name", place + 1)),
            None if name.chars().count() > LONGEST_NAME => {
                faults.push(format!("the name of column {} has more than {LONGEST_NAME} characters", place + 1));
            }
            None => faults.push(format!("there is no column `{name}`{}", nearest(&folded, &known))),
        }
    }
    faults.extend(missing(&columns, catalog, defaults));
    match faults.is_empty() {
        true => Ok(columns),
        false => bail!("the columns do not fit: {}", faults.join("; ")),
    }
}

fn missing(columns: &[Column], catalog: &Catalog, defaults: Defaults) -> Vec<String> {
    let has = |column: Column| columns.contains(&column);
    let mut faults = Vec::new();
    if !has(Column::UserId) && !has(Column::Email) {
        faults.push("a column `user_id` or `email` is missing: it names the leaver".to_owned());
    }
    if !has(Column::Deactivated) {
        faults.push("the column `deactivated` is missing: only rows that say `y` in it are done".to_owned());
    }
    if !has(Column::RequestedBy) && !defaults.by {
        faults.push("who asks is missing: a column `requested_by`, or --by USER".to_owned());
    }
    match (&catalog.users.org, has(Column::OrgId) || defaults.org) {
        (Some(_), false) => faults.push("the organization is missing: a column `org_id`, or --org ORG".to_owned()),
        (None, true) => {
            faults.push("the catalog has no organizations: leave `org_id` and --org out".to_owned());
        }
        (Some(_), true) | (None, false) => {}
    }
    faults
}

fn folded(name: &str) -> String {
    name.to_lowercase().replace([' ', '-'], "_")
}

/// Suggests the known name that is most similar, or lists all of them.
fn nearest(written: &str, known: &[(&str, Column)]) -> String {
    const SIMILAR: f64 = 0.75;
    let scored = known.iter().map(|(name, _)| (strsim::jaro_winkler(written, &folded(name)), *name));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other)).filter(|(score, _)| *score > SIMILAR);
    match best {
        Some((_, name)) => format!(" (did you mean `{name}`?)"),
        None => {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            format!(" (known columns: {})", names.join(", "))
        }
    }
}
