//! Facts about users for the guards: the host's columns, and the ledger's jobs that concern them.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::columns::{parse_user, read_status, status_columns, user_text};
use crate::catalog::{Catalog, Column, Condition};
use crate::contract::{JobId, UserId};
use crate::job::State;
use crate::plan::{OpenJob, UserFacts};
use crate::store::dialect::sql::{INT64, as_text, column, table};
use crate::store::dialect::{JOB_SUCCESSORS, JOBS};
use crate::store::host::predicates::{LEAVES, in_org, meets, open_states, org_of, state_list};
use crate::store::{Result, Row, Session};

/// Reads users by their ids, with the jobs that concern them. Users who do not exist are left out.
pub async fn read_users<'u>(
    session: &Session,
    catalog: &Catalog,
    ids: impl IntoIterator<Item = &'u UserId>,
) -> Result<HashMap<String, UserFacts>> {
    read(session, catalog, of_host(ids), catalog.rule_conditions()).await
}

/// Reads users as [`read_users`] does, with the conditions alone that decide who may ask and whose access may end. A condition may
/// read a table that others hold.
pub async fn read_users_for_access<'u>(
    session: &Session,
    catalog: &Catalog,
    ids: impl IntoIterator<Item = &'u UserId>,
) -> Result<HashMap<String, UserFacts>> {
    read(session, catalog, of_host(ids), catalog.access_conditions()).await
}

/// Returns those ids that may be users of the host: a service is none.
fn of_host<'u>(ids: impl IntoIterator<Item = &'u UserId>) -> BTreeSet<&'u str> {
    ids.into_iter().filter(|id| id.service().is_none()).map(UserId::as_str).collect()
}

async fn read(
    session: &Session,
    catalog: &Catalog,
    ids: BTreeSet<&str>,
    conditions: Vec<&Condition>,
) -> Result<HashMap<String, UserFacts>> {
    let users = &catalog.users;
    let required = &users.required;
    let mut sql = session.sql("");
    let list = sql.host_list(&users.key, ids);
    let in_org = in_org(&mut sql, users.within.as_ref(), "u");
    let id = as_text(&column("u", &users.key.name));
    let org = org_of(catalog, "u");
    let manager = match &users.manager {
        Some(manager) => user_text(&mut sql, users, &column("u", &manager.name), manager),
        None => "NULL".to_owned(),
    };
    let status = status_columns(&mut sql, users, "u");
    let mut asked: String = (required.iter().enumerate())
        .map(|(index, asked)| format!(", {} AS c{index}", as_text(&column("u", &asked.name))))
        .collect();
    for (index, condition) in conditions.iter().enumerate() {
        let meets = meets(&mut sql, condition, "u");
        asked.push_str(&format!(", CAST(CASE WHEN {meets} THEN 1 ELSE 0 END AS {INT64}) AS m{index}"));
    }
    sql.add(&format!(
        "SELECT {id} AS id, {org} AS org, {status}, {manager} AS manager{asked}, \
         j.id AS open_job, j.wait_for AS waits_for, {undoes} AS undoes, {progress} AS progress, \
         (SELECT j.id FROM {JOB_SUCCESSORS} s JOIN {JOBS} j ON j.id = s.job_id \
            WHERE s.org = {org} AND s.user_id = {id} AND j.state IN ({under_way}) AND j.user_id <> {id} \
            ORDER BY j.requested_at, j.id LIMIT 1) AS receives_from \
         FROM {host} u LEFT JOIN {JOBS} j ON j.org = {org} AND j.user_id = {id} AND j.state IN ({open}) \
         WHERE {key} IN {list}{in_org} ORDER BY {key}, (j.wait_for IS NOT NULL), j.requested_at, j.id",
        undoes = undoes(),
        progress = progress(),
        under_way = state_list(State::UNDER_WAY),
        open = open_states(),
        host = table(&users.table),
        key = column("u", &users.key.name),
    ));
    let rows = session.all("reading users", sql).await?;
    let mut users: HashMap<String, UserFacts> = HashMap::new();
    for row in &rows {
        // A user with several open jobs has a row for each.
        let id: String = row.get("id")?;
        let user = match users.remove(&id) {
            Some(user) => user,
            None => read_user(row, catalog, required, &conditions)?,
        };
        let open_jobs = user.open_jobs.into_iter().chain(read_open_job(row)?).collect();
        users.insert(id, UserFacts { open_jobs, ..user });
    }
    Ok(users)
}

fn read_user(row: &Row, catalog: &Catalog, required: &[Column], conditions: &[&Condition]) -> Result<UserFacts> {
    let mut columns = HashMap::new();
    for (index, asked) in required.iter().enumerate() {
        columns.insert(asked.name.clone(), row.get(format!("c{index}").as_str())?);
    }
    let mut met = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        if row.get::<i64>(format!("m{index}").as_str())? != 0 {
            met.push((*condition).clone());
        }
    }
    let manager: Option<String> = row.get("manager")?;
    Ok(UserFacts {
        id: UserId::try_from(row.get::<String>("id")?).map_err(|what| row.invalid(what.to_string()))?,
        org: row.get("org")?,
        status: read_status(row)?,
        manager: manager.and_then(|manager| parse_user(catalog, manager)),
        columns,
        met,
        open_jobs: Vec::new(),
        receives_from: row.get::<Option<Uuid>>("receives_from")?.map(JobId),
    })
}

/// The job that an open job `j` is undoing.
fn undoes() -> String {
    format!("CASE WHEN {} THEN j.target END", is_undoing())
}

/// Tests that an open job `j` has begun to undo its target, though it may wait for another job.
fn is_undoing() -> String {
    let reverting = State::Reverting.name();
    format!("EXISTS (SELECT 1 FROM {JOBS} t WHERE t.id = j.target AND t.state = '{reverting}')")
}

/// Returns the expression for the progress of an open job, in letters: it is a leave (`l`), it has begun (`b`), it has ended the user's access (`a`).
fn progress() -> String {
    let letter = |test: &str, letter: &str| format!("CASE WHEN {test} THEN '{letter}' ELSE '' END");
    let begun = format!("j.started_at IS NOT NULL OR j.access_ended_at IS NOT NULL OR {}", is_undoing());
    [letter(LEAVES, "l"), letter(&begun, "b"), letter("j.access_ended_at IS NOT NULL", "a")].join(" || ")
}

fn read_open_job(row: &Row) -> Result<Option<OpenJob>> {
    let Some(id) = row.get::<Option<Uuid>>("open_job")? else { return Ok(None) };
    let progress: String = row.get("progress")?;
    Ok(Some(OpenJob {
        id: JobId(id),
        wait_for: row.get::<Option<Uuid>>("waits_for")?.map(JobId),
        undoes: row.get::<Option<Uuid>>("undoes")?.map(JobId),
        leaves: progress.contains('l'),
        has_begun: progress.contains('b'),
        has_ended_access: progress.contains('a'),
    }))
}

/// Returns the managers of these users. Users without a manager are left out.
pub async fn managers<'u>(
    session: &Session,
    catalog: &Catalog,
    users: impl IntoIterator<Item = &'u UserId>,
) -> Result<HashMap<UserId, UserId>> {
    let facts = read_users(session, catalog, users).await?;
    Ok(facts.into_values().filter_map(|user| Some((user.id, user.manager?))).collect())
}
