//! How many rows point at a leaver: before, to plan; afterwards, to prove.

use std::collections::HashMap;

use sea_orm::DbErr;

use super::predicates::{
    as_text, bare_filter, filter, inside, is_sole, is_user, key_columns, tests, unset, user_column,
};
use super::users::leaver_array;
use crate::catalog::{Catalog, Disposition, Engine, Reference};
use crate::contract::UserId;
use crate::plan::Count;
use crate::store::dialect::sql::{Sql, as_texts, cast, column, table};
use crate::store::{Error, Result, Row, Session};

/// Counts each leaver's rows of each reference, at most `limit` of each: one statement for all of them. What is found,
/// by leaver and position. References that stay are not counted.
pub async fn counts(
    session: &Session,
    catalog: &Catalog,
    leavers: &[&UserId],
    limit: u64,
) -> Result<HashMap<(String, usize), Count>> {
    let doing = "counting the leavers' rows";
    let counted = |reference: &&Reference| !matches!(reference.disposition, Disposition::Keep);
    let references: Vec<&Reference> = catalog.references.iter().filter(counted).collect();
    let mut sql = session.sql("WITH p AS (SELECT * FROM ");
    let array = leaver_array(&mut sql, leavers);
    // One more than the limit tells whether there are more.
    let limit_bound = sql.bind(i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1);
    let leaving: Vec<String> = leavers.iter().map(|leaver| leaver.to_string()).collect();
    let mut branches = Vec::new();
    for reference in references {
        let mut tests = tests(&mut sql, reference, "t");
        if let Disposition::Block { sole_in: Some(sole_in), .. } = &reference.disposition {
            tests.push_str(&is_sole(&mut sql, catalog, reference, sole_in, "t", &leaving));
        }
        tests.push_str(&not_handed_over(&mut sql, catalog, reference, &leaving));
        branches.push(format!(
            "SELECT {position} AS position, p.leaver AS leaver, \
             (SELECT count(*) FROM (SELECT 1 FROM {host} t WHERE t.{user} = {leaver}{tests} LIMIT {limit_bound}) s) AS n FROM p",
            position = reference.position,
            host = table(&reference.table),
            user = user_column(reference),
            leaver = cast("p.leaver", &reference.user.cast),
        ));
    }
    if branches.is_empty() {
        return Ok(HashMap::new());
    }
    sql.add(&format!("{array}) {}", branches.join(" UNION ALL ")));
    let mut counts = HashMap::new();
    for row in session.all(doing, sql).await? {
        let (position, leaver, n) = read_count(&row).map_err(|error| Error::unexpected(doing, error.to_string()))?;
        let count = Count { rows: n.min(limit), exact: n <= limit };
        counts.insert((leaver, position), count);
    }
    Ok(counts)
}

/// That no guard over the last of a group hands a row on before this reference is come to: it is counted there.
fn not_handed_over(sql: &mut Sql, catalog: &Catalog, reference: &Reference, leaving: &[String]) -> String {
    let mut text = String::new();
    for guard in catalog.references.iter().filter(|guard| guard.position != reference.position) {
        let Disposition::Block { sole_in: Some(sole_in), resolve: true, .. } = &guard.disposition else { continue };
        // For whom another guard counts, only the request tells.
        if guard.may_overlap(reference) && guard.when.is_always() {
            let passes = bare_filter(sql, &guard.filter, "t");
            let is_sole = is_sole(sql, catalog, guard, sole_in, "t", leaving);
            text.push_str(&format!(" AND ({passes}{is_sole}) IS NOT TRUE"));
        }
    }
    text
}

fn read_count(row: &Row) -> std::result::Result<(usize, String, u64), DbErr> {
    Ok((read_number(row, "position")? as usize, row.try_get("", "leaver")?, read_number(row, "n")? as u64))
}

/// A whole number, whichever width the engine gives it.
fn read_number(row: &Row, column: &str) -> std::result::Result<i64, DbErr> {
    row.try_get::<i64>("", column).or_else(|_| row.try_get::<i32>("", column).map(i64::from))
}

/// Where a row that points at a leaver belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowCategory {
    /// To a reference that still has to deal with it: late, or left behind.
    Remaining(usize),
    /// To a reference whose rows stay, or that has dealt with it where it stands (`keep`, `set`).
    Handled(usize),
    /// To no reference of a user column; the number is the first reference's of that column.
    Uncovered(usize),
}

/// Counts every row that points at the leavers, by leaver and by where it belongs. A row belongs to the first of the
/// references at `positions` whose tests it passes. One index scan for each user column; no locks.
pub async fn census(
    session: &Session,
    catalog: &Catalog,
    positions: &[usize],
    leavers: &[&UserId],
) -> Result<HashMap<(String, RowCategory), u64>> {
    let doing = "counting what is left";
    let mut sql = session.sql("WITH p AS (SELECT * FROM ");
    let array = leaver_array(&mut sql, leavers);
    let mut branches = Vec::new();
    let mut places_of: HashMap<usize, Vec<RowCategory>> = HashMap::new();
    for site in sites(catalog, positions) {
        let (branch, places) = census_of_site(&mut sql, &site);
        places_of.insert(site.0.position, places);
        branches.push(branch);
    }
    let mut census = HashMap::new();
    if branches.is_empty() {
        return Ok(census);
    }
    sql.add(&format!("{array}) {}", branches.join(" UNION ALL ")));
    for row in session.all(doing, sql).await? {
        let read = || -> std::result::Result<(usize, String, String), DbErr> {
            Ok((read_number(&row, "site")? as usize, row.try_get("", "leaver")?, row.try_get("", "counts")?))
        };
        let (site, leaver, counts) = read().map_err(|error| Error::unexpected(doing, error.to_string()))?;
        let places = places_of.get(&site).into_iter().flatten();
        for (place, count) in places.zip(counts.split(',')) {
            let count: u64 = count.parse().map_err(|_| Error::unexpected(doing, format!("{count:?} is no count")))?;
            if count > 0 {
                census.insert((leaver.clone(), *place), count);
            }
        }
    }
    Ok(census)
}

/// References of one user column, in the catalog's order. A column that only has conditional references none of which
/// counts here is a site all the same: its rows are uncovered.
fn sites<'c>(catalog: &'c Catalog, positions: &[usize]) -> Vec<(&'c Reference, Vec<&'c Reference>)> {
    let mut sites: Vec<(&Reference, Vec<&Reference>)> = Vec::new();
    for reference in catalog.references.iter().filter(|reference| !reference.own_row) {
        let place = sites.iter().position(|(first, _)| first.table == reference.table && first.user == reference.user);
        let place = place.unwrap_or_else(|| {
            sites.push((reference, Vec::new()));
            sites.len() - 1
        });
        if positions.contains(&reference.position) {
            sites[place].1.push(reference);
        }
    }
    sites
}

/// The statement for one user column, and the places whose counts it gives, side by side: counting this way, nothing is
/// sorted, and memory does not grow with the rows.
fn census_of_site(sql: &mut Sql, (first, references): &(&Reference, Vec<&Reference>)) -> (String, Vec<RowCategory>) {
    let mut places = Vec::new();
    let mut cases = String::new();
    let mut case = |test: String, place: RowCategory| {
        cases.push_str(&format!(" WHEN {test} THEN {}", places.len()));
        places.push(place);
    };
    for reference in references {
        let filter = bare_filter(sql, &reference.filter, "t");
        let position = reference.position;
        match &reference.disposition {
            Disposition::Keep => case(filter, RowCategory::Handled(position)),
            Disposition::Set { values, .. } => {
                let unset = unset(sql, values, "t");
                case(format!("{filter} AND ({unset})"), RowCategory::Remaining(position));
                case(filter, RowCategory::Handled(position));
            }
            // A guard over the last of a group says nothing of the other rows: a later reference does.
            Disposition::Block { sole_in: Some(_), .. } => {}
            _ => case(filter, RowCategory::Remaining(position)),
        }
    }
    places.push(RowCategory::Uncovered(first.position));
    let uncovered = places.len() - 1;
    let place = match cases.is_empty() {
        true => uncovered.to_string(),
        false => format!("CASE{cases} ELSE {uncovered} END"),
    };
    let count = |place: usize| format!("CAST(count(CASE s.place WHEN {place} THEN 1 END) AS text)");
    let counts: Vec<String> = (0..places.len()).map(count).collect();
    let inside = inside(sql, first.within.as_ref(), "t");
    let branch = format!(
        "SELECT {site} AS site, p.leaver AS leaver, \
         (SELECT {counts} FROM (SELECT {place} AS place FROM {host} t WHERE t.{user} = {leaver}{inside}) s) AS counts FROM p",
        site = first.position,
        counts = counts.join(" || ',' || "),
        host = table(&first.table),
        user = user_column(first),
        leaver = cast("p.leaver", &first.user.cast),
    );
    (branch, places)
}

/// Keys of the first few rows that hold a leaver back, for the rejection; of rows without a key the count has to do.
pub async fn blocking_keys(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    leaver: &UserId,
) -> Result<Vec<String>> {
    if reference.keyless {
        return Ok(Vec::new());
    }
    let doing = format!("looking at {}", reference.kind);
    let mut sql = session.sql("");
    let user = sql.host(&reference.user, leaver.as_str());
    let mut tests = tests(&mut sql, reference, "t");
    if let Disposition::Block { sole_in: Some(sole_in), .. } = &reference.disposition {
        tests.push_str(&is_sole(&mut sql, catalog, reference, sole_in, "t", &[leaver.to_string()]));
    }
    sql.add(&format!(
        "SELECT {texts} FROM {host} t WHERE t.{column} = {user}{tests} ORDER BY {order} LIMIT 5",
        texts = as_texts(&reference.key, "t"),
        host = table(&reference.table),
        column = user_column(reference),
        order = key_columns(reference, "t"),
    ));
    let rows = session.all(&doing, sql).await?;
    rows.iter().map(|row| super::cut::read_key(&doing, reference, row).map(|key| key.join(","))).collect()
}

/// Locks the rows of everybody who shares a group with a leaver, in key order, where a guard asks whether the leaver is
/// the last of it: of two who leave at once, the second waits here, and then finds the first one gone.
pub async fn lock_group_rows(session: &Session, reference: &Reference, leavers: &[&UserId]) -> Result<()> {
    let Disposition::Block { sole_in: Some(sole_in), .. } = &reference.disposition else {
        return Ok(());
    };
    if session.engine() == Engine::Sqlite {
        return Ok(());
    }
    let mut sql = session.sql("");
    let list = sql.host_list(&reference.user, leavers.iter().map(|leaver| leaver.as_str()));
    let mut tests =
        |alias: &str| inside(&mut sql, reference.within.as_ref(), alias) + &filter(&mut sql, &reference.filter, alias);
    let (sharing, theirs) = (tests("t"), tests("l"));
    sql.add(&format!(
        "SELECT 1 FROM {host} t WHERE {group} IN (SELECT {inner} FROM {host} l WHERE {user} IN {list}{theirs}){sharing} \
         ORDER BY {keys} FOR UPDATE",
        host = table(&reference.table),
        group = column("t", &sole_in.name),
        inner = column("l", &sole_in.name),
        user = column("l", &reference.user.name),
        keys = key_columns(reference, "t"),
    ));
    session.all(&format!("locking {}", reference.kind), sql).await?;
    Ok(())
}

/// Which of the records that a request names one by one are not the leaver's.
pub async fn not_owned<'k>(
    session: &Session,
    reference: &Reference,
    leaver: &UserId,
    keys: impl IntoIterator<Item = &'k str>,
) -> Result<Vec<String>> {
    let doing = format!("looking for the named records of {}", reference.kind);
    let keys: Vec<&str> = keys.into_iter().collect();
    let [key] = reference.key.as_slice() else { return Ok(Vec::new()) };
    let mut sql = session.sql("");
    let user = sql.host(&reference.user, leaver.as_str());
    let list = sql.host_list(key, keys.iter().copied());
    let tests = tests(&mut sql, reference, "t");
    sql.add(&format!(
        "SELECT {text} AS k0 FROM {host} t WHERE {column} IN {list} AND t.{user_column} = {user}{tests}",
        text = as_text(&column("t", &key.name)),
        host = table(&reference.table),
        column = column("t", &key.name),
        user_column = user_column(reference),
    ));
    let mut owned = std::collections::HashSet::new();
    for row in session.all(&doing, sql).await? {
        owned.extend(super::cut::read_key(&doing, reference, &row)?);
    }
    Ok(keys.into_iter().filter(|key| !owned.contains(*key)).map(str::to_owned).collect())
}

/// For each of these users who stands below the leaver in the hierarchy of a reference on the users' own table: the
/// leaver's direct report above them, or they themselves. A hierarchy that runs in a circle ends where it repeats.
pub async fn direct_reports_above(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    leaver: &UserId,
    users: &[&UserId],
) -> Result<HashMap<UserId, String>> {
    let doing = format!("looking above the successors of {}", reference.kind);
    let key = &catalog.users.key;
    let mut sql = session.sql("");
    let list = sql.host_list(key, users.iter().map(|user| user.as_str()));
    let leaver = sql.host(&reference.user, leaver.as_str());
    let inside = inside(&mut sql, catalog.users.within.as_ref(), "u");
    sql.add(&format!(
        "WITH RECURSIVE up AS (\
           SELECT {id} AS start, {id} AS at, {boss} AS boss FROM {host} u WHERE {id} IN {list}{inside} \
           UNION SELECT up.start, {id}, {boss} FROM up JOIN {host} u ON {is_boss}{inside} WHERE up.boss <> {leaver}) \
         SELECT {start} AS start, {report} AS report FROM up WHERE up.boss = {leaver}",
        id = column("u", &key.name),
        boss = column("u", &reference.user.name),
        is_boss = is_user(&column("u", &key.name), key, "up.boss", &reference.user),
        host = table(&reference.table),
        start = as_text("up.start"),
        report = as_text("up.at"),
    ));
    let mut above = HashMap::new();
    for row in session.all(&doing, sql).await? {
        let read = || -> std::result::Result<(String, String), DbErr> {
            Ok((row.try_get("", "start")?, row.try_get("", "report")?))
        };
        let (start, report) = read().map_err(|error| Error::unexpected(&doing, error.to_string()))?;
        let start = UserId::try_from(start).map_err(|what| Error::unexpected(&doing, what))?;
        above.insert(start, report);
    }
    Ok(above)
}
