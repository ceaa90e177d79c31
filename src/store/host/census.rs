//! Counting the rows that point at a leaver after a job, to prove that it is complete.

use std::collections::HashMap;

use super::predicates::{bare_filter, in_org, unclaimed, unset};
use super::user_match::points_at;
use super::users::leaver_table;
use crate::catalog::{Catalog, Disposition, Reference};
use crate::contract::UserId;
use crate::store::dialect::sql::{INT64, Sql, as_text, cast, table};
use crate::store::{Result, Session};

/// The reference that a row belongs to, and what is left to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowCategory {
    /// A reference must still process it: it is late, or was left.
    Remaining(usize),
    /// Its reference leaves it where it is (`keep`), or has set its columns (`set`).
    Handled(usize),
    /// No reference covers it. The number is the first reference's of its user column.
    Uncovered(usize),
}

/// Counts every row that points at the leavers, by leaver and category. A row belongs to the first of the references at
/// `positions` whose tests it passes.
///
/// Scans one index for each user column, and takes no locks.
pub async fn census(
    session: &Session,
    catalog: &Catalog,
    positions: &[usize],
    leavers: &[&UserId],
) -> Result<HashMap<(String, RowCategory), u64>> {
    let mut sql = session.sql("WITH p AS (SELECT * FROM ");
    let leaver_rows = leaver_table(&mut sql, leavers);
    let mut branches = Vec::new();
    let mut categories_of: HashMap<usize, Vec<RowCategory>> = HashMap::new();
    for column in user_columns(catalog, positions) {
        let (branch, categories) = census_of_column(&mut sql, &column, positions);
        categories_of.insert(column.first.position, categories);
        branches.push(branch);
    }
    let mut census = HashMap::new();
    if branches.is_empty() {
        return Ok(census);
    }
    sql.add(&format!("{leaver_rows}) {}", branches.join(" UNION ALL ")));
    for row in session.all("counting the remaining rows", sql).await? {
        let leaver: String = row.get("leaver")?;
        let counts: String = row.get("counts")?;
        let counts: Vec<u64> = serde_json::from_str(&counts).map_err(|error| row.invalid(error.to_string()))?;
        let categories = categories_of.get(&(row.count("first")? as usize)).into_iter().flatten();
        for (category, count) in categories.zip(counts).filter(|(_, count)| *count > 0) {
            census.insert((leaver.clone(), *category), count);
        }
    }
    Ok(census)
}

/// A user column of the host, and the references of it that count.
struct UserColumn<'c> {
    first: &'c Reference,
    references: Vec<&'c Reference>,
}

/// Returns the catalog's user columns, in its order. A column whose references are all conditional and do not count here is
/// one of them: its rows are uncovered.
fn user_columns<'c>(catalog: &'c Catalog, positions: &[usize]) -> Vec<UserColumn<'c>> {
    let mut columns: Vec<UserColumn<'c>> = Vec::new();
    for reference in catalog.references.iter().filter(|reference| !reference.own_row) {
        let is_same =
            |column: &UserColumn<'_>| column.first.table == reference.table && column.first.user == reference.user;
        let place = columns.iter().position(is_same).unwrap_or_else(|| {
            columns.push(UserColumn { first: reference, references: Vec::new() });
            columns.len() - 1
        });
        if positions.contains(&reference.position) {
            columns[place].references.push(reference);
        }
    }
    columns
}

/// Returns the query of one user column, and the categories that it counts, side by side. Counted this way nothing is sorted,
/// and memory does not grow with the rows.
fn census_of_column(
    sql: &mut Sql,
    UserColumn { first, references }: &UserColumn<'_>,
    positions: &[usize],
) -> (String, Vec<RowCategory>) {
    let mut categories = Vec::new();
    let mut cases = String::new();
    for (test, category) in references.iter().flat_map(|reference| tests_of(sql, reference, positions)) {
        cases.push_str(&format!(" WHEN {test} THEN {}", categories.len()));
        categories.push(category);
    }
    categories.push(RowCategory::Uncovered(first.position));
    let uncovered = categories.len() - 1;
    let category = match cases.is_empty() {
        true => uncovered.to_string(),
        false => format!("CASE{cases} ELSE {uncovered} END"),
    };
    let count = |category: usize| format!("count(CASE s.category WHEN {category} THEN 1 END)");
    let counts: Vec<String> = (0..categories.len()).map(count).collect();
    let in_org = in_org(sql, first.within.as_ref(), "t");
    let branch = format!(
        "SELECT CAST({position} AS {INT64}) AS first, p.leaver AS leaver, \
         (SELECT {counts} FROM (SELECT {category} AS category FROM {host} t WHERE {is_theirs}{in_org}) s) AS counts \
         FROM p",
        position = first.position,
        counts = as_text(&sql.dialect().json_array(&counts)),
        host = table(&first.table),
        is_theirs = points_at(&first.user, "t", &cast("p.leaver", &first.user.cast)),
    );
    (branch, categories)
}

/// Returns the tests of a reference's rows, in order, each with the category of the rows that pass it first.
fn tests_of(sql: &mut Sql, reference: &Reference, positions: &[usize]) -> Vec<(String, RowCategory)> {
    let mut filter = bare_filter(sql, &reference.filter, "t");
    // Rows of an earlier reference that is not counted here are not this one's.
    if (0..reference.position).any(|earlier| !positions.contains(&earlier)) {
        filter.push_str(&unclaimed(sql, reference, "t"));
    }
    let (remaining, handled) = (RowCategory::Remaining(reference.position), RowCategory::Handled(reference.position));
    match &reference.disposition {
        Disposition::Keep => vec![(filter, handled)],
        Disposition::Set { values, .. } => {
            let unset = unset(sql, values, "t");
            vec![(format!("{filter} AND ({unset})"), remaining), (filter, handled)]
        }
        // A guard over the last of a group says nothing of the other rows: a later reference does.
        Disposition::Block { sole_in: Some(_), .. } => Vec::new(),
        Disposition::Transfer { .. }
        | Disposition::Detach { .. }
        | Disposition::Purge { .. }
        | Disposition::Block { sole_in: None, .. } => vec![(filter, remaining)],
    }
}
