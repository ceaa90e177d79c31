//! Invited users, and the host's invitations.
//!
//! Locks: the rows that are added or changed, until the caller commits.

use super::columns::status_value;
use super::licenses::of_org;
use crate::catalog::{Catalog, Column, InvitationStatus, Invitations, TableName};
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::dialect::sql::{Sql, as_text, column, quoted, table};
use crate::store::host::predicates::in_org;
use crate::store::host::present::present_time;
use crate::store::host::statements::new_value;
use crate::store::{Error, Result, Session};

/// A user to be invited.
#[derive(Debug, Clone, Copy)]
pub struct Invitee<'i> {
    /// The organization.
    pub org: &'i str,
    /// The name.
    pub name: &'i str,
    /// The email address.
    pub email: &'i str,
    /// The user who invites them.
    pub invited_by: &'i str,
}

/// Returns the user of an organization who has an email address, whatever its case.
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
    first_text(session, "looking for an email address", sql).await
}

/// Adds a user with the status `invited`.
pub async fn add_invited(session: &Session, catalog: &Catalog, invited: Invitee<'_>) -> Result<UserId> {
    let doing = "adding a user";
    let users = &catalog.users;
    let mut sql = session.sql("");
    let status = status_value(&users.status, &UserStatus::Invited)?;
    let mut given = vec![(&users.name, invited.name), (&users.email, invited.email)];
    given.extend(users.org.as_ref().map(|org| (org, invited.org)));
    given.extend(users.new.iter().map(|(column, value)| (column, value.as_str())));
    let mut values: Vec<_> = given.into_iter().map(|(column, value)| (column, sql.host(column, value))).collect();
    values.push((&users.status.column, new_value(&mut sql, &users.table, &users.status.column, status)));
    insert_row(&mut sql, &users.table, &users.key, values);
    let id = first_text(session, doing, sql).await?;
    let id = id.ok_or_else(|| Error::unexpected(doing, "the database returned no key for the user"))?;
    UserId::try_from(id).map_err(|what| Error::unexpected(doing, what.to_string()))
}

/// Adds an invitation, if the host keeps them, and returns its key.
pub async fn invite(
    session: &Session,
    catalog: &Catalog,
    user: &UserId,
    invited: Invitee<'_>,
) -> Result<Option<String>> {
    let Some(invitations) = &catalog.invitations else { return Ok(None) };
    let mut sql = session.sql("");
    let given = [
        (Some(&invitations.user), user.as_str()),
        (invitations.invited_by.as_ref(), invited.invited_by),
        (invitations.email.as_ref(), invited.email),
        (invitations.org.as_ref(), invited.org),
    ];
    let given = given.into_iter().filter_map(|(column, value)| Some((column?, value)));
    let open = invitations.status.iter().map(|status| (&status.column, status.open.as_str()));
    let mut values: Vec<(&Column, String)> =
        given.chain(open).map(|(column, value)| (column, sql.host(column, value))).collect();
    values.extend(
        invitations
            .sent_at
            .iter()
            .map(|sent_at| (sent_at, present_time(sql.dialect(), &invitations.table, None, sent_at))),
    );
    insert_row(&mut sql, &invitations.table, &invitations.key, values);
    first_text(session, "adding an invitation", sql).await
}

/// A change of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationUpdate {
    /// It is sent again.
    Resent,
    /// The user has accepted.
    Accepted,
    /// It is cancelled.
    Cancelled,
}

/// Updates a user's open invitation, if the host keeps them, and returns its key.
pub async fn answer_invitation(
    session: &Session,
    catalog: &Catalog,
    user: &UserId,
    update: InvitationUpdate,
) -> Result<Option<String>> {
    let Some(invitations) = &catalog.invitations else { return Ok(None) };
    let mut sql = session.sql("");
    let assignments = assignments(&mut sql, invitations, update);
    let user = sql.host(&invitations.user, user.as_str());
    let open = invitations.status.as_ref().map_or(String::new(), |status| {
        format!(" AND {} = {}", quoted(&status.column.name), sql.host(&status.column, &status.open))
    });
    let (host, key) = (table(&invitations.table), quoted(&invitations.key.name));
    let last = format!(
        "{key} = (SELECT {key} FROM {host} WHERE {} = {user}{open} ORDER BY {key} DESC LIMIT 1)",
        quoted(&invitations.user.name)
    );
    let statement = match assignments.is_empty() {
        true => format!("SELECT {} AS id FROM {host} WHERE {last}", as_text(&key)),
        false => format!("UPDATE {host} SET {assignments} WHERE {last}{}", returning_id(&sql, &invitations.key)),
    };
    sql.add(&statement);
    first_text(session, "updating an invitation", sql).await
}

fn assignments(sql: &mut Sql, invitations: &Invitations, update: InvitationUpdate) -> String {
    let word = |status: &InvitationStatus| match update {
        InvitationUpdate::Resent => status.open.clone(),
        InvitationUpdate::Accepted => status.accepted.clone(),
        InvitationUpdate::Cancelled => status.cancelled.clone(),
    };
    let mut assignments = Vec::new();
    if let Some(status) = &invitations.status {
        let word = sql.host(&status.column, &word(status));
        assignments.push(format!("{} = {word}", quoted(&status.column.name)));
    }
    let time = match update {
        InvitationUpdate::Resent => &invitations.sent_at,
        InvitationUpdate::Accepted | InvitationUpdate::Cancelled => &invitations.answered_at,
    };
    if let Some(time) = time {
        assignments.push(format!(
            "{} = {}",
            quoted(&time.name),
            present_time(sql.dialect(), &invitations.table, None, time)
        ));
    }
    assignments.join(", ")
}

/// Returns a user's name and email address.
pub async fn name_and_email(session: &Session, catalog: &Catalog, user: &UserId) -> Result<Option<(String, String)>> {
    let doing = "reading a profile";
    let users = &catalog.users;
    let mut sql = session.sql("");
    let key = sql.host(&users.key, user.as_str());
    let in_org = in_org(&mut sql, users.within.as_ref(), "u");
    sql.add(&format!(
        "SELECT {name} AS name, {email} AS email FROM {host} u WHERE {column} = {key}{in_org}",
        name = as_text(&column("u", &users.name.name)),
        email = as_text(&column("u", &users.email.name)),
        host = table(&users.table),
        column = column("u", &users.key.name),
    ));
    let Some(row) = session.one(doing, sql).await? else { return Ok(None) };
    let text = |name: &str| row.get::<Option<String>>(name).map(Option::unwrap_or_default);
    Ok(Some((text("name")?, text("email")?)))
}

/// Writes the INSERT of a row of these values, which returns its key as the text `id`.
fn insert_row(sql: &mut Sql, host: &TableName, key: &Column, values: Vec<(&Column, String)>) {
    let (columns, values): (Vec<String>, Vec<String>) =
        values.into_iter().map(|(column, value)| (quoted(&column.name), value)).unzip();
    let id = returning_id(sql, key);
    sql.add(&format!(
        "INSERT INTO {host} ({columns}) VALUES ({values}){id}",
        host = table(host),
        columns = columns.join(", "),
        values = values.join(", "),
    ));
}

/// Returns the clause that returns a row's key as the text `id`.
fn returning_id(sql: &Sql, key: &Column) -> String {
    sql.dialect().returning(&format!("{} AS id", as_text(&quoted(&key.name))))
}

async fn first_text(session: &Session, doing: &str, sql: Sql) -> Result<Option<String>> {
    session.one(doing, sql).await?.map(|row| row.get("id")).transpose()
}
