//! Counting a leaver's rows before a job, to plan it.

use std::collections::HashMap;

use super::predicates::{bare_filter, is_sole, row_tests, sole_test};
use super::user_match::points_at;
use super::users::leaver_table;
use crate::catalog::{Catalog, Disposition, Reference};
use crate::contract::UserId;
use crate::plan::Count;
use crate::store::dialect::sql::{INT64, Sql, cast, table};
use crate::store::{Result, Session};

/// Counts each leaver's rows of each of these references, at most `limit` of each, in one statement. Returns the counts by leaver
/// and position. References whose rows stay are not counted.
pub async fn counts<'c>(
    session: &Session,
    catalog: &Catalog,
    references: impl Iterator<Item = &'c Reference>,
    leavers: &[&UserId],
    limit: u64,
) -> Result<HashMap<(String, usize), Count>> {
    if leavers.is_empty() {
        return Ok(HashMap::new());
    }
    let mut sql = session.sql("WITH p AS (SELECT * FROM ");
    let leaver_rows = leaver_table(&mut sql, leavers);
    // One more than the limit shows if there are more.
    let limit_bound = sql.bind(i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1);
    let leaving: Vec<String> = leavers.iter().map(|leaver| leaver.to_string()).collect();
    let mut branches = Vec::new();
    for reference in references.filter(|reference| is_counted(&reference.disposition)) {
        let tests = row_tests(&mut sql, reference, "t")
            + &sole_test(&mut sql, catalog, reference, "t", &leaving)
            + &not_handed_over(&mut sql, catalog, reference, &leaving);
        branches.push(format!(
            "SELECT CAST({position} AS {INT64}) AS position, p.leaver AS leaver, \
             (SELECT count(*) FROM (SELECT 1 FROM {host} t WHERE {is_theirs}{tests} LIMIT {limit_bound}) s) AS n FROM p",
            position = reference.position,
            host = table(&reference.table),
            is_theirs = points_at(&reference.user, "t", &cast("p.leaver", &reference.user.cast)),
        ));
    }
    if branches.is_empty() {
        return Ok(HashMap::new());
    }
    sql.add(&format!("{leaver_rows}) {}", branches.join(" UNION ALL ")));
    let mut counts = HashMap::new();
    for row in session.all("counting the leavers' rows", sql).await? {
        let rows = row.count("n")?;
        let count = Count { rows: rows.min(limit), exact: rows <= limit };
        counts.insert((row.get("leaver")?, row.count("position")? as usize), count);
    }
    Ok(counts)
}

fn is_counted(disposition: &Disposition) -> bool {
    !matches!(disposition, Disposition::Keep)
}

/// Tests that no guard over the last of a group hands a row over before this reference does: the row is counted there.
fn not_handed_over(sql: &mut Sql, catalog: &Catalog, reference: &Reference, leaving: &[String]) -> String {
    let mut text = String::new();
    for guard in catalog.references.iter().filter(|guard| guard.position != reference.position) {
        let Some(sole_in) = guard.disposition.sole_in().filter(|_| guard.disposition.is_allotted()) else { continue };
        // Only the request tells for whom another guard counts.
        if guard.may_overlap(reference) && guard.when.is_always() {
            let passes = bare_filter(sql, &guard.filter, "t");
            let is_sole = is_sole(sql, catalog, guard, sole_in, "t", leaving);
            text.push_str(&format!(" AND ({passes}{is_sole}) IS NOT TRUE"));
        }
    }
    text
}
