//! Users who come, or come back: their status, a license, invitations.
//!
//! Locks: the user's own row, one free license, the invitation's row; each alone, until the caller commits.

use std::collections::HashMap;

use sea_orm::DbErr;

use super::predicates::{as_text, inside, now};
use super::users::contention;
use crate::catalog::{Catalog, Column, Engine, InvitationStatus, Invitations, License, Status};
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, column, quoted, table};
use crate::store::{Error, Result, Row, Session};

/// Gives a user another status. Where it is not the one that was expected, the host was faster, and the transaction must
/// not go on.
pub async fn set_status(
    session: &Session,
    catalog: &Catalog,
    user: &UserId,
    from: UserStatus,
    to: UserStatus,
) -> Result<()> {
    let doing = "setting a user's status";
    let users = &catalog.users;
    let mut sql = session.sql("");
    let key = sql.host(&users.key, user.as_str());
    let (from, to) = (sql.host(&users.status.column, word(&users.status, &from)?), {
        let to = word(&users.status, &to)?.to_owned();
        sql.host(&users.status.column, &to)
    });
    let status = quoted(&users.status.column.name);
    let inside = inside(&mut sql, users.within.as_ref(), "u");
    sql.add(&format!(
        "UPDATE {host} AS u SET {status} = {to} WHERE {column} = {key} AND {status} = {from}{inside}",
        host = table(&users.table),
        column = quoted(&users.key.name),
    ));
    match session.run(doing, sql).await? {
        1 => Ok(()),
        _ => Err(Error { doing: doing.into(), cause: contention("the status of a user has changed meanwhile") }),
    }
}

fn word<'s>(status: &'s Status, standing: &UserStatus) -> Result<&'s str> {
    let word = match standing {
        UserStatus::Active => Some(status.active.as_str()),
        UserStatus::Inactive => Some(status.inactive.as_str()),
        UserStatus::Invited => status.invited.as_deref(),
        UserStatus::Other(_) => None,
    };
    word.ok_or_else(|| Error::unexpected("setting a user's status", "the catalog has no word for it"))
}

/// A license for a user: whether they hold one now. Waits for whoever frees or takes the last one just now.
pub async fn take_license(session: &Session, catalog: &Catalog, org: &str, user: &UserId) -> Result<bool> {
    let doing = "taking a license";
    let Some(license) = &catalog.license else { return Ok(true) };
    let (host, holder) = (table(&license.table), quoted(&license.user.name));
    let mut sql = session.sql("");
    let user_bound = sql.host(&license.user, user.as_str());
    let held = inside(&mut sql, license.within.as_ref(), "l");
    sql.add(&format!("SELECT 1 FROM {host} l WHERE {holder} = {user_bound}{held} LIMIT 1"));
    if session.one(doing, sql).await?.is_some() {
        return Ok(true);
    }
    let keys: Vec<String> = license.key.iter().map(|key| quoted(&key.name)).collect();
    let keys = keys.join(", ");
    let mut sql = session.sql("");
    let user_bound = sql.host(&license.user, user.as_str());
    let of_org = of_org(&mut sql, license.org.as_ref(), org);
    let free = is_free(&mut sql, license);
    let lock = if session.engine() == Engine::Postgres { " FOR UPDATE" } else { "" };
    sql.add(&format!(
        "UPDATE {host} SET {holder} = {user_bound} WHERE ({keys}) IN \
         (SELECT {keys} FROM {host} WHERE {free}{of_org} ORDER BY {keys} LIMIT 1{lock}) AND {free}"
    ));
    Ok(session.run(doing, sql).await? == 1)
}

/// Whether a user could take a license now: they hold one, or one is free.
pub async fn can_take_license(session: &Session, catalog: &Catalog, org: &str, user: &UserId) -> Result<bool> {
    let Some(license) = &catalog.license else { return Ok(true) };
    let (host, holder) = (table(&license.table), quoted(&license.user.name));
    let mut sql = session.sql("");
    let user = sql.host(&license.user, user.as_str());
    let free = is_free(&mut sql, license);
    let of_org = of_org(&mut sql, license.org.as_ref(), org);
    sql.add(&format!("SELECT 1 FROM {host} WHERE {holder} = {user} OR {free}{of_org} LIMIT 1"));
    Ok(session.one("looking for a license", sql).await?.is_some())
}

/// That nobody holds a license.
fn is_free(sql: &mut Sql, license: &License) -> String {
    let holder = quoted(&license.user.name);
    match &license.free {
        Some(free) => format!("({holder} IS NULL OR {holder} = {})", sql.host(&license.user, free)),
        None => format!("{holder} IS NULL"),
    }
}

/// That a row is of an organization, where its table says of which.
fn of_org(sql: &mut Sql, column: Option<&Column>, org: &str) -> String {
    column.map_or(String::new(), |column| format!(" AND {} = {}", quoted(&column.name), sql.host(column, org)))
}

/// Somebody who is to come.
#[derive(Debug, Clone, Copy)]
pub struct Invitee<'i> {
    /// The organization.
    pub org: &'i str,
    /// The name.
    pub name: &'i str,
    /// The address.
    pub email: &'i str,
    /// Who asked for it.
    pub invited_by: &'i str,
}

/// The user of an organization who has an address, whatever its case.
pub async fn user_with_email(session: &Session, catalog: &Catalog, org: &str, email: &str) -> Result<Option<String>> {
    let users = &catalog.users;
    let mut sql = session.sql("");
    let of_org = of_org(&mut sql, users.org.as_ref(), org);
    let email = sql.bind(email);
    sql.add(&format!(
        "SELECT {id} AS id FROM {host} WHERE lower({address}) = lower({email}){of_org} LIMIT 1",
        id = as_text(&quoted(&users.key.name)),
        host = table(&users.table),
        address = quoted(&users.email.name),
    ));
    first_text(session, "looking for an address", sql).await
}

/// The users of an organization who have these addresses, by address in lower case; an address may be several users'.
pub async fn users_with_emails(
    session: &Session,
    catalog: &Catalog,
    org: &str,
    emails: &[String],
) -> Result<HashMap<String, Vec<UserId>>> {
    let doing = "looking for addresses";
    let users = &catalog.users;
    let mut sql = session.sql("");
    let of_org = match &users.org {
        Some(of) => format!(" AND {} = {}", column("u", &of.name), sql.host(of, org)),
        None => String::new(),
    };
    let array = ColumnArray::new(Type::Text, "email", emails.iter().map(Some));
    let asked = sql.table("a", vec![array]);
    sql.add(&format!(
        "SELECT a.email AS email, {id} AS id FROM {asked} JOIN {host} u ON lower({address}) = lower(a.email){of_org}",
        id = as_text(&column("u", &users.key.name)),
        host = table(&users.table),
        address = column("u", &users.email.name),
    ));
    let mut found: HashMap<String, Vec<UserId>> = HashMap::new();
    for row in session.all(doing, sql).await? {
        let read = || -> std::result::Result<(String, String), DbErr> {
            Ok((row.try_get("", "email")?, row.try_get("", "id")?))
        };
        let (email, id) = read().map_err(|error| Error::unexpected(doing, error.to_string()))?;
        let id = UserId::try_from(id).map_err(|what| Error::unexpected(doing, what))?;
        found.entry(email.to_lowercase()).or_default().push(id);
    }
    Ok(found)
}

/// Adds a user with the status `invited`.
pub async fn add_invited(session: &Session, catalog: &Catalog, invited: Invitee<'_>) -> Result<UserId> {
    let doing = "adding a user";
    let users = &catalog.users;
    let mut sql = session.sql("");
    let mut columns = vec![&users.name, &users.email, &users.status.column];
    let mut values = vec![
        sql.host(&users.name, invited.name),
        sql.host(&users.email, invited.email),
        sql.host(&users.status.column, word(&users.status, &UserStatus::Invited)?),
    ];
    if let Some(org) = &users.org {
        columns.push(org);
        values.push(sql.host(org, invited.org));
    }
    for (column, value) in &users.new {
        columns.push(column);
        values.push(sql.host(column, value));
    }
    let columns: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    sql.add(&format!(
        "INSERT INTO {host} ({}) VALUES ({}) RETURNING {id} AS id",
        columns.join(", "),
        values.join(", "),
        host = table(&users.table),
        id = as_text(&quoted(&users.key.name)),
    ));
    let id = first_text(session, doing, sql).await?;
    let id = id.ok_or_else(|| Error::unexpected(doing, "the database gave the user no key"))?;
    UserId::try_from(id).map_err(|what| Error::unexpected(doing, what))
}

/// Writes an invitation down, where the host keeps them; its key.
pub async fn invite(
    session: &Session,
    catalog: &Catalog,
    user: &UserId,
    invited: Invitee<'_>,
) -> Result<Option<String>> {
    let Some(invitations) = &catalog.invitations else { return Ok(None) };
    let mut sql = session.sql("");
    let mut columns = vec![&invitations.user];
    let mut values = vec![sql.host(&invitations.user, user.as_str())];
    let given = [
        (&invitations.invited_by, invited.invited_by),
        (&invitations.email, invited.email),
        (&invitations.org, invited.org),
    ];
    for (column, value) in given {
        if let Some(column) = column {
            columns.push(column);
            values.push(sql.host(column, value));
        }
    }
    if let Some(status) = &invitations.status {
        columns.push(&status.column);
        values.push(sql.host(&status.column, &status.open));
    }
    if let Some(sent_at) = &invitations.sent_at {
        columns.push(sent_at);
        values.push(now(session.engine(), sent_at));
    }
    let columns: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    sql.add(&format!(
        "INSERT INTO {host} ({}) VALUES ({}) RETURNING {id} AS id",
        columns.join(", "),
        values.join(", "),
        host = table(&invitations.table),
        id = as_text(&quoted(&invitations.key.name)),
    ));
    first_text(session, "writing an invitation down", sql).await
}

/// What becomes of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationUpdate {
    /// It is sent again.
    Resent,
    /// The user comes.
    Accepted,
    /// The user is not to come.
    Cancelled,
}

/// Notes what becomes of a user's open invitation, where the host keeps them; its key.
pub async fn answer_invitation(
    session: &Session,
    catalog: &Catalog,
    user: &UserId,
    answered: InvitationUpdate,
) -> Result<Option<String>> {
    let Some(invitations) = &catalog.invitations else { return Ok(None) };
    let mut sql = session.sql("");
    let assignments = assignments(&mut sql, session.engine(), invitations, answered);
    let user = sql.host(&invitations.user, user.as_str());
    let open = invitations.status.as_ref().map_or(String::new(), |status| {
        format!(" AND {} = {}", quoted(&status.column.name), sql.host(&status.column, &status.open))
    });
    let (host, key) = (table(&invitations.table), quoted(&invitations.key.name));
    let last = format!(
        "{key} = (SELECT {key} FROM {host} WHERE {} = {user}{open} ORDER BY {key} DESC LIMIT 1)",
        quoted(&invitations.user.name)
    );
    match assignments.is_empty() {
        true => sql.add(&format!("SELECT {} AS id FROM {host} WHERE {last}", as_text(&key))),
        false => sql.add(&format!("UPDATE {host} SET {assignments} WHERE {last} RETURNING {} AS id", as_text(&key))),
    };
    first_text(session, "answering an invitation", sql).await
}

fn assignments(sql: &mut Sql, engine: Engine, invitations: &Invitations, answered: InvitationUpdate) -> String {
    let word = |status: &InvitationStatus| match answered {
        InvitationUpdate::Resent => status.open.clone(),
        InvitationUpdate::Accepted => status.accepted.clone(),
        InvitationUpdate::Cancelled => status.cancelled.clone(),
    };
    let mut assignments = Vec::new();
    if let Some(status) = &invitations.status {
        let word = sql.host(&status.column, &word(status));
        assignments.push(format!("{} = {word}", quoted(&status.column.name)));
    }
    let time = match answered {
        InvitationUpdate::Resent => &invitations.sent_at,
        InvitationUpdate::Accepted | InvitationUpdate::Cancelled => &invitations.answered_at,
    };
    if let Some(time) = time {
        assignments.push(format!("{} = {}", quoted(&time.name), now(engine, time)));
    }
    assignments.join(", ")
}

/// A user's name and address, for whoever writes to them.
pub async fn name_and_email(session: &Session, catalog: &Catalog, user: &UserId) -> Result<Option<(String, String)>> {
    let doing = "reading a profile";
    let users = &catalog.users;
    let mut sql = session.sql("");
    let key = sql.host(&users.key, user.as_str());
    sql.add(&format!(
        "SELECT {name} AS name, {email} AS email FROM {host} u WHERE {column} = {key}",
        name = as_text(&column("u", &users.name.name)),
        email = as_text(&column("u", &users.email.name)),
        host = table(&users.table),
        column = column("u", &users.key.name),
    ));
    let Some(row) = session.one(doing, sql).await? else { return Ok(None) };
    let text = |row: &Row, name: &str| row.try_get::<Option<String>>("", name).map(Option::unwrap_or_default);
    let read = || Ok((text(&row, "name")?, text(&row, "email")?));
    read().map(Some).map_err(|error: sea_orm::DbErr| Error::unexpected(doing, error.to_string()))
}

async fn first_text(session: &Session, doing: &str, sql: Sql) -> Result<Option<String>> {
    let row = session.one(doing, sql).await?;
    let text = row.map(|row| row.try_get::<String>("", "id")).transpose();
    text.map_err(|error| Error::unexpected(doing, error.to_string()))
}
