//! Users: who there is, locks on them, their status, groups and licenses.

use std::collections::{BTreeSet, HashMap};

use sea_orm::DbErr;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::predicates::{LEAVES, as_text, inside, meets, open_states, org_of, same_type, state_list};
use crate::catalog::{Catalog, Column, Condition, Engine, Family};
use crate::contract::{JobId, UserId};
use crate::job::State;
use crate::plan::{UserFacts, UserStatus};
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, column, quoted, table};
use crate::store::{Error, Result, Row, Session};

/// Locks users for the transaction, all in one statement and in one order, so that no two transactions wait for each
/// other: leavers alone, receivers together with others who receive. The lock is PostgreSQL's advisory one on a hash of
/// (organization, user), so the host's own rows are not touched and its inserts do not wait. SQLite has one writer anyhow.
pub async fn lock_users(session: &Session, leavers: &[(&str, &UserId)], receivers: &[(&str, &UserId)]) -> Result<()> {
    if session.engine() == Engine::Sqlite {
        return Ok(());
    }
    let mut locks: HashMap<i64, bool> = HashMap::new();
    for (org, user) in receivers {
        locks.entry(lock_key(org, user)).or_insert(false);
    }
    for (org, user) in leavers {
        locks.insert(lock_key(org, user), true);
    }
    let mut locks: Vec<(i64, bool)> = locks.into_iter().collect();
    locks.sort_unstable();
    let mut sql = session.sql("");
    let arrays = vec![
        ColumnArray::new(Type::Int64, "key", locks.iter().map(|(key, _)| Some(key))),
        ColumnArray::new(Type::Bool, "alone", locks.iter().map(|(_, alone)| Some(alone))),
    ];
    let locks = sql.small_table("l", arrays);
    sql.add(&format!(
        "SELECT count(CASE WHEN l.alone THEN pg_advisory_xact_lock(l.key)::text ELSE pg_advisory_xact_lock_shared(l.key)::text END) \
         FROM {locks}"
    ));
    session.one("locking the users", sql).await?;
    Ok(())
}

fn lock_key(org: &str, user: &UserId) -> i64 {
    let digest = Sha256::digest(format!("handover:{}:{org}:{user}", org.len()));
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(key)
}

/// Reads users by their ids, with what the ledger knows of them; who does not exist is not there.
pub async fn read_users<'u>(
    session: &Session,
    catalog: &Catalog,
    ids: impl IntoIterator<Item = &'u UserId>,
) -> Result<HashMap<String, UserFacts>> {
    let doing = "reading users";
    let users = &catalog.users;
    let ids: BTreeSet<&str> = ids.into_iter().map(UserId::as_str).collect();
    let asked = catalog.rule_columns();
    let mut sql = session.sql("");
    let list = sql.host_list(&users.key, ids);
    let inside_users = inside(&mut sql, users.within.as_ref(), "u");
    let id = as_text(&column("u", &users.key.name));
    let org = org_of(catalog, "u");
    let manager = users.manager.as_ref().map_or("NULL".to_owned(), |manager| as_text(&column("u", &manager.name)));
    let mut rule_columns: String = (asked.iter().enumerate())
        .map(|(index, asked)| format!(", {} AS c{index}", as_text(&column("u", &asked.name))))
        .collect();
    let listings = catalog.rule_listings();
    for (index, listing) in listings.iter().enumerate() {
        let meets = meets(&mut sql, listing, "u");
        rule_columns.push_str(&format!(", CAST(CASE WHEN {meets} THEN 1 ELSE 0 END AS bigint) AS m{index}"));
    }
    sql.add(&format!(
        "SELECT {id} AS id, {org} AS org, {status} AS status, {manager} AS manager{rule_columns}, \
         (SELECT {open_job} LIMIT 1) AS under_way, \
         (SELECT {open_job} AND {leaves} LIMIT 1) AS leaving, \
         (SELECT {open_job} AND {leaves} AND j.started_at IS NOT NULL LIMIT 1) AS locked_out_by, \
         (SELECT j.id FROM handover.job_successors s JOIN handover.jobs j ON j.id = s.job_id \
            WHERE s.org = {org} AND s.user_id = {id} AND j.state IN ({under_way}) AND j.user_id <> {id} \
            ORDER BY j.requested_at, j.id LIMIT 1) AS receives_from \
         FROM {host} u WHERE {key} IN {list}{inside_users}",
        status = as_text(&column("u", &users.status.column.name)),
        open_job = format_args!(
            "j.id FROM handover.jobs j WHERE j.org = {org} AND j.user_id = {id} AND j.state IN ({})",
            open_states()
        ),
        leaves = LEAVES,
        under_way = state_list(State::UNDER_WAY),
        host = table(&users.table),
        key = column("u", &users.key.name),
    ));
    let rows = session.all(doing, sql).await?;
    let read = |row: &Row| read_user(row, catalog, &asked, &listings);
    let users: std::result::Result<Vec<UserFacts>, DbErr> = rows.iter().map(read).collect();
    let users = users.map_err(|error| Error::unexpected(doing, error.to_string()))?;
    Ok(users.into_iter().map(|user| (user.id.to_string(), user)).collect())
}

fn read_user(
    row: &Row,
    catalog: &Catalog,
    asked: &[&Column],
    listings: &[&Condition],
) -> std::result::Result<UserFacts, DbErr> {
    let job = |column: &str| row.try_get::<Option<Uuid>>("", column).map(|id| id.map(JobId));
    let mut columns = HashMap::new();
    for (index, asked) in asked.iter().enumerate() {
        columns.insert(asked.name.clone(), row.try_get("", &format!("c{index}"))?);
    }
    let mut listed = Vec::new();
    for (index, listing) in listings.iter().enumerate() {
        if row.try_get::<i64>("", &format!("m{index}"))? != 0 {
            listed.push((*listing).clone());
        }
    }
    let manager: Option<String> = row.try_get("", "manager")?;
    Ok(UserFacts {
        id: user_id(row.try_get("", "id")?)?,
        org: row.try_get("", "org")?,
        status: standing(catalog, row.try_get("", "status")?),
        manager: manager.and_then(|manager| parse_user(catalog, manager)),
        columns,
        listed,
        under_way: job("under_way")?,
        leaving: job("leaving")?,
        locked_out_by: job("locked_out_by")?,
        receives_from: job("receives_from")?,
    })
}

fn user_id(text: String) -> std::result::Result<UserId, DbErr> {
    UserId::try_from(text).map_err(DbErr::Custom)
}

/// Whom a host's column means, where it means somebody: an empty text, or what no user's key can be, is nobody.
fn parse_user(catalog: &Catalog, text: String) -> Option<UserId> {
    let text = match catalog.users.key.family {
        Family::Integer { .. } => text.trim().parse::<i64>().ok()?.to_string(),
        Family::Uuid => text.trim().parse::<Uuid>().ok()?.to_string(),
        _ => text,
    };
    UserId::try_from(text).ok()
}

fn standing(catalog: &Catalog, status: Option<String>) -> UserStatus {
    let known = &catalog.users.status;
    match status {
        Some(status) if status == known.active => UserStatus::Active,
        Some(status) if status == known.inactive => UserStatus::Inactive,
        Some(status) if known.invited.as_ref() == Some(&status) => UserStatus::Invited,
        other => UserStatus::Other(other.unwrap_or_default()),
    }
}

/// The managers of users who have one.
pub async fn managers<'u>(
    session: &Session,
    catalog: &Catalog,
    users: impl IntoIterator<Item = &'u UserId>,
) -> Result<HashMap<UserId, UserId>> {
    let facts = read_users(session, catalog, users).await?;
    Ok(facts.into_values().filter_map(|user| Some((user.id, user.manager?))).collect())
}

/// The members of groups, in the order of the users' keys. Of `among` only, where it is given.
pub async fn group_members<'g>(
    session: &Session,
    catalog: &Catalog,
    groups: impl IntoIterator<Item = &'g str>,
    among: Option<&[&UserId]>,
) -> Result<HashMap<String, Vec<UserId>>> {
    let doing = "reading groups";
    let names: BTreeSet<&str> = groups.into_iter().collect();
    let Some(groups) = catalog.groups.as_ref().filter(|_| !names.is_empty()) else {
        return Ok(HashMap::new());
    };
    let mut sql = session.sql("");
    let list = sql.host_list(&groups.group, names);
    let among = among.map_or(String::new(), |among| {
        let list = sql.host_list(&groups.user, among.iter().map(|user| user.as_str()));
        format!(" AND {} IN {list}", column("m", &groups.user.name))
    });
    let inside = inside(&mut sql, groups.within.as_ref(), "m");
    sql.add(&format!(
        "SELECT {group} AS name, {user} AS member FROM {host} m WHERE {group_column} IN {list}{among}{inside} AND {user_column} IS NOT NULL AND {group_column} IS NOT NULL \
         ORDER BY {group_column}, {user_column}",
        group = as_text(&column("m", &groups.group.name)),
        user = as_text(&column("m", &groups.user.name)),
        host = table(&groups.table),
        group_column = column("m", &groups.group.name),
        user_column = column("m", &groups.user.name),
    ));
    let mut members: HashMap<String, Vec<UserId>> = HashMap::new();
    for row in session.all(doing, sql).await? {
        let read = || Ok((row.try_get("", "name")?, row.try_get("", "member")?));
        let (name, member): (String, String) =
            read().map_err(|error: DbErr| Error::unexpected(doing, error.to_string()))?;
        let Some(member) = parse_user(catalog, member) else { continue };
        let group = members.entry(name).or_default();
        // The same name may stand for groups of several organizations: who is in two of them is one member.
        if group.last() != Some(&member) {
            group.push(member);
        }
    }
    Ok(members)
}

/// Ends the leavers' access: from active to inactive, in key order. Fewer rows than leavers mean that the host was
/// faster: the transaction must not go on.
pub async fn lock_out(session: &Session, catalog: &Catalog, leavers: &[&UserId]) -> Result<()> {
    let users = &catalog.users;
    let doing = "shutting out the leavers";
    let mut sql = session.sql("");
    let inactive = sql.host(&users.status.column, &users.status.inactive);
    let active = sql.host(&users.status.column, &users.status.active);
    let list = sql.host_list(&users.key, leavers.iter().map(|user| user.as_str()));
    let inside = inside(&mut sql, users.within.as_ref(), "u");
    let (host, key, status) = (table(&users.table), quoted(&users.key.name), quoted(&users.status.column.name));
    sql.add(&format!(
        "UPDATE {host} AS u SET {status} = {inactive} WHERE {key} IN {list}{inside} AND {status} = {active}"
    ));
    match session.run(doing, sql).await? {
        changed if changed == leavers.len() as u64 => Ok(()),
        _ => Err(Error { doing: doing.into(), cause: contention("the status of a leaver has changed meanwhile") }),
    }
}

pub fn contention(message: &str) -> crate::store::Cause {
    crate::store::Cause::Contention { code: "handover".into(), message: message.into() }
}

/// Locks the leavers' own rows, which waits for inserts of the host that hold a foreign key to them: what they insert is
/// there to be counted afterwards. SQLite has one writer anyhow.
pub async fn lock_leaver_rows(session: &Session, catalog: &Catalog, leavers: &[&UserId]) -> Result<()> {
    if session.engine() == Engine::Sqlite {
        return Ok(());
    }
    let key = &catalog.users.key;
    let mut sql = session.sql("");
    let list = sql.host_list(key, leavers.iter().map(|user| user.as_str()));
    let inside = inside(&mut sql, catalog.users.within.as_ref(), "u");
    let (host, column) = (table(&catalog.users.table), quoted(&key.name));
    sql.add(&format!("SELECT 1 FROM {host} u WHERE {column} IN {list}{inside} ORDER BY {column} FOR UPDATE"));
    session.all("locking the leavers' rows", sql).await?;
    Ok(())
}

/// Frees the leavers' licenses: the rows stay, and point at nobody. Who held one.
///
/// Locks: the rows of the licenses, in no order: they are the leavers', whom the caller has locked.
pub async fn free_licenses(session: &Session, catalog: &Catalog, leavers: &[&UserId]) -> Result<Vec<UserId>> {
    let doing = "freeing licenses";
    let Some(license) = catalog.license.as_ref().filter(|_| !leavers.is_empty()) else {
        return Ok(Vec::new());
    };
    let (host, user) = (table(&license.table), quoted(&license.user.name));
    let mut sql = session.sql("");
    let list = sql.host_list(&license.user, leavers.iter().map(|user| user.as_str()));
    let held = inside(&mut sql, license.within.as_ref(), "l");
    let holders = format!("SELECT DISTINCT {} AS holder FROM {host} l WHERE {user} IN {list}{held}", as_text(&user));
    if session.engine() == Engine::Postgres {
        // Both see the rows as they were when the statement began.
        let nobody = license.free.as_ref().map_or("NULL".to_owned(), |free| sql.host(&license.user, free));
        let free = format!("UPDATE {host} AS l SET {user} = {nobody} WHERE {user} IN {list}{held}");
        sql.add(&format!("WITH freed AS ({free}) {holders}"));
    } else {
        sql.add(&holders);
    }
    let rows = session.all(doing, sql).await?;
    let holders: std::result::Result<Vec<UserId>, DbErr> =
        rows.iter().map(|row| user_id(row.try_get("", "holder")?)).collect();
    let holders = holders.map_err(|error| Error::unexpected(doing, error.to_string()))?;
    if session.engine() == Engine::Sqlite && !holders.is_empty() {
        let mut sql = session.sql("");
        let nobody = license.free.as_ref().map_or("NULL".to_owned(), |free| sql.host(&license.user, free));
        let list = sql.host_list(&license.user, holders.iter().map(UserId::as_str));
        let held = inside(&mut sql, license.within.as_ref(), "l");
        sql.add(&format!("UPDATE {host} AS l SET {user} = {nobody} WHERE {user} IN {list}{held}"));
        session.run(doing, sql).await?;
    }
    Ok(holders)
}

/// Which of these users are not active now.
pub async fn inactive_among(session: &Session, catalog: &Catalog, users: &[&UserId]) -> Result<Vec<UserId>> {
    let facts = read_standing(session, catalog, users).await?;
    let fit = |user: &&&UserId| facts.get(user.as_str()).is_some_and(|standing| *standing == UserStatus::Active);
    Ok(users.iter().filter(|user| !fit(user)).map(|user| (*user).clone()).collect())
}

async fn read_standing(session: &Session, catalog: &Catalog, ids: &[&UserId]) -> Result<HashMap<String, UserStatus>> {
    let doing = "looking at the successors";
    let users = &catalog.users;
    let mut sql = session.sql("");
    let list = sql.host_list(&users.key, ids.iter().map(|user| user.as_str()));
    let inside = inside(&mut sql, users.within.as_ref(), "u");
    sql.add(&format!(
        "SELECT {id} AS id, {status} AS status FROM {host} u WHERE {key} IN {list}{inside}",
        id = as_text(&column("u", &users.key.name)),
        status = as_text(&column("u", &users.status.column.name)),
        host = table(&users.table),
        key = column("u", &users.key.name),
    ));
    let rows = session.all(doing, sql).await?;
    let read = |row: &Row| Ok((row.try_get("", "id")?, standing(catalog, row.try_get("", "status")?)));
    let standing: std::result::Result<HashMap<String, UserStatus>, DbErr> = rows.iter().map(read).collect();
    standing.map_err(|error| Error::unexpected(doing, error.to_string()))
}

/// A user as `handover users` shows them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UserListing {
    /// The id.
    pub id: String,
    /// The organization; empty where the host has none.
    pub org: String,
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
    /// The status, in the catalog's words; the host's own value where the catalog does not name it.
    pub status: String,
    /// Whether they hold a license.
    pub license: bool,
}

/// Users of some statuses behind a key, in key order, at most `limit` of them.
pub async fn list_users(
    session: &Session,
    catalog: &Catalog,
    statuses: &[&str],
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<UserListing>> {
    let doing = "listing users";
    let users = &catalog.users;
    let mut sql = session.sql("");
    let mut tests = vec!["TRUE".to_owned()];
    if !statuses.is_empty() {
        let list = sql.host_list(&users.status.column, statuses.iter().copied());
        tests.push(format!("{} IN {list}", column("u", &users.status.column.name)));
    }
    if let Some(after) = after {
        let after = sql.host(&users.key, after);
        tests.push(format!("{} > {after}", column("u", &users.key.name)));
    }
    let license = catalog.license.as_ref().map_or("FALSE".to_owned(), |license| {
        let held = same_type(&column("u", &users.key.name), &users.key, &license.user);
        let (host, user) = (table(&license.table), column("l", &license.user.name));
        let inside = inside(&mut sql, license.within.as_ref(), "l");
        format!("EXISTS (SELECT 1 FROM {host} l WHERE {user} = {held}{inside})")
    });
    let limit = sql.bind(limit as i64);
    let inside = inside(&mut sql, users.within.as_ref(), "u");
    sql.add(&format!(
        "SELECT {id} AS id, {org} AS org, {name} AS name, {email} AS email, {status} AS status, \
         CAST(CASE WHEN {license} THEN 1 ELSE 0 END AS bigint) AS license FROM {host} u WHERE {tests}{inside} ORDER BY {key} LIMIT {limit}",
        id = as_text(&column("u", &users.key.name)),
        org = org_of(catalog, "u"),
        name = as_text(&column("u", &users.name.name)),
        email = as_text(&column("u", &users.email.name)),
        status = as_text(&column("u", &users.status.column.name)),
        host = table(&users.table),
        tests = tests.join(" AND "),
        key = column("u", &users.key.name),
    ));
    let rows = session.all(doing, sql).await?;
    let listed: std::result::Result<Vec<UserListing>, DbErr> =
        rows.iter().map(|row| read_listed(row, catalog)).collect();
    listed.map_err(|error| Error::unexpected(doing, error.to_string()))
}

fn read_listed(row: &Row, catalog: &Catalog) -> std::result::Result<UserListing, DbErr> {
    let text = |column: &str| row.try_get::<Option<String>>("", column).map(Option::unwrap_or_default);
    let status = match standing(catalog, row.try_get("", "status")?) {
        UserStatus::Active => "active".to_owned(),
        UserStatus::Inactive => "inactive".to_owned(),
        UserStatus::Invited => "invited".to_owned(),
        UserStatus::Other(status) => status,
    };
    let license: i64 = row.try_get("", "license")?;
    Ok(UserListing {
        id: text("id")?,
        org: text("org")?,
        name: text("name")?,
        email: text("email")?,
        status,
        license: license != 0,
    })
}

/// Statements elsewhere that only need the leaver as the user column holds them.
pub fn leaver_array(sql: &mut Sql, leavers: &[&UserId]) -> String {
    let arrays = vec![ColumnArray::new(Type::Text, "leaver", leavers.iter().map(Some))];
    sql.small_table("p", arrays)
}
