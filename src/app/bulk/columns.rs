//! Reads a file's head: the meaning of each column.

use anyhow::{Result, bail};

pub use super::column_names::Column;
use super::column_names::{folded, known, named};
use super::head::Head;
use crate::catalog::Catalog;

/// The columns of a file that are read.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    read: Vec<NamedColumn>,
    width: usize,
}

/// A column that is read.
#[derive(Debug, Clone)]
struct NamedColumn {
    place: usize,
    column: Column,
    /// The name as the file writes it.
    name: String,
}

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

impl Columns {
    /// Returns a column's place within a row, if the file has it.
    pub fn place(&self, wanted: &Column) -> Option<usize> {
        self.find(wanted).map(|found| found.place)
    }

    /// Returns a column's name as the file writes it, or the documented name if the file does not have the column.
    pub fn name<'a>(&'a self, wanted: &'a Column) -> &'a str {
        self.find(wanted).map_or(wanted.name(), |found| &found.name)
    }

    /// Returns the number of columns, including ignored ones.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the places and meanings of the columns that are read.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.read.iter().map(|read| (read.place, &read.column))
    }

    fn find(&self, wanted: &Column) -> Option<&NamedColumn> {
        self.read.iter().find(|read| read.column == *wanted)
    }
}

/// Reads a head, except the columns that are to be ignored. Reports every fault at once.
pub fn read(head: &Head, ignored: &[String], catalog: &Catalog, defaults: Defaults) -> Result<Columns> {
    let ignored: Vec<String> = ignored.iter().map(|name| folded(name)).collect();
    let known = known(catalog);
    let mut columns = Columns { read: Vec::new(), width: head.names.len() };
    let (mut faults, mut unknown) = (Vec::new(), Vec::new());
    for (place, name) in head.names.iter().enumerate() {
        if name.is_empty() {
            faults.push(format!("column {} has no name", place + 1));
        } else if name.chars().count() > LONGEST_NAME {
            faults.push(format!("the name of column {} has more than {LONGEST_NAME} characters", place + 1));
        } else if ignored.contains(&folded(name)) {
            continue;
        } else if let Some(column) = meaning(name, &known) {
            match columns.find(&column) {
                Some(earlier) => faults.push(twice(&earlier.name, name)),
                None if head.hidden.contains(&place) => {
                    faults.push(format!("column `{name}` is hidden: show it, or delete it"));
                }
                None => columns.read.push(NamedColumn { place, column, name: name.clone() }),
            }
        } else if let Some(similar) = similar(name, &known) {
            faults.push(format!(
                "there is no column `{name}` (did you mean `{similar}`? Otherwise ignore it with --ignore-columns)"
            ));
        } else {
            unknown.push(name.as_str());
        }
    }
    faults.extend(unknown_columns(&unknown, &known));
    faults.extend(missing(&columns, catalog, defaults));
    match faults.is_empty() {
        true => Ok(columns),
        false => bail!("row {} is read as the head, and its columns do not fit: {}", head.row, faults.join("; ")),
    }
}

/// Returns the meaning of a name. A kind of the catalog takes precedence over another spelling of a fixed name.
fn meaning(name: &str, known: &[Column]) -> Option<Column> {
    let folded_name = folded(name);
    known.iter().find(|column| folded(column.name()) == folded_name).cloned().or_else(|| named(name))
}

fn twice(earlier: &str, name: &str) -> String {
    match earlier == name {
        true => format!("column `{name}` appears twice"),
        false => format!("column `{name}` appears twice, once as `{earlier}`"),
    }
}

/// Reports all unknown columns together.
fn unknown_columns(unknown: &[&str], known: &[Column]) -> Option<String> {
    let known: Vec<&str> = known.iter().map(Column::name).collect();
    let quoted = |name: &&str| format!("`{name}`");
    (!unknown.is_empty()).then(|| {
        format!(
            "there is no column {} (known columns: {}); to ignore them, add --ignore-columns \"{}\"",
            unknown.iter().map(quoted).collect::<Vec<_>>().join(", "),
            known.join(", "),
            unknown.join(",")
        )
    })
}

/// Returns the known name that is most similar to a name, if one is.
fn similar<'k>(name: &str, known: &'k [Column]) -> Option<&'k str> {
    const SIMILAR: f64 = 0.75;
    let name = folded(name);
    let scored = known.iter().map(Column::name).map(|known| (strsim::jaro_winkler(&name, &folded(known)), known));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(score, _)| *score > SIMILAR).map(|(_, known)| known)
}

fn missing(columns: &Columns, catalog: &Catalog, defaults: Defaults) -> Vec<String> {
    let has = |column: Column| columns.find(&column).is_some();
    let mut faults = Vec::new();
    if !has(Column::UserId) && !has(Column::Email) {
        faults.push("a column `user_id` or `email` is missing: it names the leaver".to_owned());
    }
    if !has(Column::Deactivated) {
        faults.push("the column `deactivated` is missing: only rows that say `yes` in it are done".to_owned());
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
