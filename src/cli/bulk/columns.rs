//! What a file's columns mean.

use anyhow::{Result, bail};

use crate::catalog::Catalog;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// The leaver's id.
    UserId,
    /// The leaver's address.
    Email,
    /// Whether the row is to be done.
    Deactivated,
    /// Who asks.
    RequestedBy,
    /// The organization.
    OrgId,
    /// Why.
    Reason,
    /// When to start.
    EffectiveAt,
    /// The row's own name for its request.
    RequestId,
    /// Who receives everything that must be transferred.
    Successor,
    /// Who receives a kind of the catalog.
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

/// What the command line says for every row.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// Who asks.
    pub by: bool,
    /// The organization.
    pub org: bool,
}

/// Longest name that is told and compared with those that there are: what is longer is no slip of somebody's hand, and takes long to compare.
const LONGEST_NAME: usize = 100;

/// Reads a head. Every fault is told at once.
pub fn read(head: &[String], catalog: &Catalog, given: Given) -> Result<Vec<Column>> {
    let kinds = catalog.references.iter().filter(|reference| reference.disposition.is_allotted());
    let kinds = kinds.map(|reference| (reference.kind.as_str(), Column::Kind(reference.kind.clone())));
    let known: Vec<(&str, Column)> = FIXED.into_iter().chain(kinds).collect();
    let mut columns = Vec::with_capacity(head.len());
    let mut faults = Vec::new();
    for (place, name) in head.iter().enumerate() {
        let folded = folded(name);
        match known.iter().find(|(known, _)| self::folded(known) == folded) {
            Some((known, column)) if columns.contains(column) => faults.push(format!("`{known}` stands there twice")),
            Some((_, column)) => columns.push(column.clone()),
            None if name.is_empty() => faults.push(format!("column {} has no name", place + 1)),
            None if name.chars().count() > LONGEST_NAME => {
                faults.push(format!("the name of column {} has more than {LONGEST_NAME} characters", place + 1));
            }
            None => faults.push(format!("there is no column `{name}`{}", nearest(&folded, &known))),
        }
    }
    faults.extend(missing(&columns, catalog, given));
    match faults.is_empty() {
        true => Ok(columns),
        false => bail!("the columns do not fit: {}", faults.join("; ")),
    }
}

fn missing(columns: &[Column], catalog: &Catalog, given: Given) -> Vec<String> {
    let has = |column: Column| columns.contains(&column);
    let mut faults = Vec::new();
    if !has(Column::UserId) && !has(Column::Email) {
        faults.push("a column `user_id` or `email` is missing: who leaves".to_owned());
    }
    if !has(Column::Deactivated) {
        faults.push("the column `deactivated` is missing: only rows that say `y` in it are done".to_owned());
    }
    if !has(Column::RequestedBy) && !given.by {
        faults.push("who asks is missing: a column `requested_by`, or --by USER".to_owned());
    }
    match (&catalog.users.org, has(Column::OrgId) || given.org) {
        (Some(_), false) => faults.push("the organization is missing: a column `org_id`, or --org ORG".to_owned()),
        (None, true) => {
            faults.push("the catalog has no organizations: leave `org_id` and --org out".to_owned());
        }
        _ => {}
    }
    faults
}

fn folded(name: &str) -> String {
    name.to_lowercase().replace([' ', '-'], "_")
}

/// The known name that is most like the one written.
fn nearest(written: &str, known: &[(&str, Column)]) -> String {
    const ALIKE: f64 = 0.75;
    let alike = known.iter().map(|(name, _)| (strsim::jaro_winkler(written, &folded(name)), *name));
    let best = alike.max_by(|(one, _), (other, _)| one.total_cmp(other)).filter(|(how, _)| *how > ALIKE);
    match best {
        Some((_, name)) => format!(" (is it `{name}`?)"),
        None => {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            format!(" (there are: {})", names.join(", "))
        }
    }
}
