//! Writes the attributes of a user, in one short transaction that locks their row.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::connections::{self, Connection};
use super::error::Result;
use super::read::{entered, find, id_of, resource, scope};
use crate::catalog::{Column, NameColumns};
use crate::contract::UserId;
use crate::scim::{Attribute, Change, Condition, Failure, ScimType, User};
use crate::stages::{Context, now};
use crate::store::error::Violation;
use crate::store::host::{self, ScimScope, ScimUser};
use crate::store::ledger::audit::{self, Entry};
use crate::store::ledger::scim_links::{self, Linked};
use crate::store::{self, Locking, Session};

/// The transaction that writes attributes.
const WRITE: &str = "write_scim_user";

/// The action of an entry about attributes that a connection has written.
const UPDATED: &str = "scim_user.updated";

/// The time that a statement may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The columns that a user gets, by name.
type Values<'c> = BTreeMap<&'c str, (&'c Column, Option<String>)>;

/// Checks that a user has the version that a provider names, and returns them. A user whom the provider sees again is not removed any
/// more.
pub async fn check(context: &Context, connection: &Connection, id: &str, if_match: Option<&str>) -> Result<ScimUser> {
    let session = context.store.begin_within(WRITE, LIMIT).await?;
    let catalog = entered(&session, context, connection).await?;
    let scope = scope(&catalog, connection)?;
    let user = find(&session, scope, id, Locking::Locked).await?;
    check_version(scope, user.clone(), if_match)?;
    scim_links::keep(&session, linked(scope, &user.id)).await?;
    session.commit().await?;
    Ok(user)
}

/// Writes changes of attributes. A change that changes nothing is not written. `if_match`: the version that the user must have.
pub async fn write(
    context: &Context,
    connection: &Connection,
    id: &str,
    changes: &[Change],
    if_match: Option<&str>,
) -> Result<()> {
    let session = context.store.begin_within(WRITE, LIMIT).await?;
    let catalog = entered(&session, context, connection).await?;
    let scope = scope(&catalog, connection)?;
    let user = find(&session, scope, id, Locking::Locked).await?;
    let before = check_version(scope, user.clone(), if_match)?;
    let values = values(scope, &user, &before, changes);
    let external_id = asked_external_id(scope, &before, changes);
    if values.is_empty() && external_id.is_none() {
        return Ok(());
    }
    refuse_protected(&user)?;
    refuse_taken(&session, scope, &user.id, changes).await?;
    refuse_unknown_manager(&session, scope, changes).await?;
    audit::append(&session, vec![entry(connection, &user.id, &values, external_id.is_some())]).await?;
    if !values.is_empty() {
        let values: Vec<(&Column, Option<String>)> = values.into_values().collect();
        let written = host::write_scim_user(&session, scope, &user.id, &values).await;
        written.map_err(refusal)?;
    }
    if let Some(external_id) = external_id {
        relink(&session, scope, &user.id, external_id.as_deref()).await?;
    }
    session.commit().await?;
    Ok(())
}

/// Returns the entry of the audit trail about columns that change. It names them, and no value.
fn entry(connection: &Connection, user: &UserId, values: &Values<'_>, relinks: bool) -> Entry {
    let columns = values.keys().map(|name| format!("`{name}`")).chain(relinks.then(|| "`externalId`".to_owned()));
    let message = format!("changed: {}", columns.collect::<Vec<_>>().join(", "));
    let detail = json!([{ "code": "attributes", "message": message, "hint": "" }]);
    let of_connection = connections::entry(&connection.org, &connection.name, UPDATED, Some(detail));
    Entry { user_id: user.to_string(), ..of_connection }
}

/// Notes that a connection has removed a user, and forgets the provider's key.
pub async fn remove(context: &Context, connection: &Connection, id: &str) -> Result<()> {
    let session = context.store.begin_within(WRITE, LIMIT).await?;
    let catalog = entered(&session, context, connection).await?;
    let scope = scope(&catalog, connection)?;
    let user = find(&session, scope, id, Locking::Locked).await?;
    if let Some(kept) = &scope.scim.external_id {
        host::write_scim_user(&session, scope, &user.id, &[(kept, None)]).await.map_err(refusal)?;
    }
    scim_links::remove(&session, linked(scope, &user.id), now()).await?;
    session.commit().await?;
    Ok(())
}

fn linked<'l>(scope: ScimScope<'l>, id: &'l UserId) -> Linked<'l> {
    Linked { org: scope.org, connection: scope.connection, user_key: id.as_str() }
}

/// Returns the user as a resource, if they have the version that a provider names.
fn check_version(scope: ScimScope<'_>, user: ScimUser, if_match: Option<&str>) -> Result<User> {
    let user = resource(scope.scim, user);
    match if_match.is_none_or(|tags| user.has_version(tags)) {
        true => Ok(user),
        false => Err(Failure::new(412, "the user has changed since: read it again").into()),
    }
}

/// Creates the error of a user whom no connection may change.
pub(super) fn protected() -> Failure {
    Failure::new(403, "the user is protected: no connection may change them")
}

fn refuse_protected(user: &ScimUser) -> Result<()> {
    match user.is_protected {
        true => Err(protected().into()),
        false => Ok(()),
    }
}

/// Returns the columns that change, with their new values.
fn values<'c>(scope: ScimScope<'c>, user: &ScimUser, before: &User, changes: &[Change]) -> Values<'c> {
    let scim = scope.scim;
    let mut values = Values::new();
    let mut set = |column: &'c Column, value: Option<String>| drop(values.insert(&column.name, (column, value)));
    let (mut given, mut family) = (before.given_name.clone(), before.family_name.clone());
    for change in changes {
        match change {
            Change::Active(_) | Change::UserName(_) => {}
            Change::GivenName(name) => given.clone_from(name),
            Change::FamilyName(name) => family.clone_from(name),
            // The address cannot go where it is the user name too.
            Change::Email(None) if scim.email == scim.user_name => {}
            Change::Email(email) => set(&scim.email, email.clone()),
            Change::Title(title) => scim.title.iter().for_each(|column| set(column, title.clone())),
            Change::Manager(manager) => {
                let manager = manager.as_ref().map(|id| id_of(scope.catalog, id).map_or(id.clone(), String::from));
                scim.manager.iter().for_each(|column| set(column, manager.clone()));
            }
            Change::ExternalId(id) => scim.external_id.iter().for_each(|column| set(column, id.clone())),
        }
    }
    match &scim.name {
        NameColumns::Parts { given: given_column, family: family_column } => {
            set(given_column, given);
            set(family_column, family);
        }
        NameColumns::Whole(whole) => {
            let is_same = (&given, &family) == (&before.given_name, &before.family_name);
            let name: Vec<String> = given.into_iter().chain(family).collect();
            if !is_same {
                set(whole, Some(name.join(" ")).filter(|name| !name.is_empty()));
            }
        }
    }
    // The user name is written last: where the address has the same column, the name counts.
    for change in changes {
        if let Change::UserName(name) = change {
            set(&scim.user_name, Some(name.clone()));
        }
    }
    let current = current(scope, user);
    values.retain(|name, (_, value)| current.get(name) != Some(&value.as_deref()));
    values
}

/// Returns the values that a user has, by column.
fn current<'c>(scope: ScimScope<'c>, user: &'c ScimUser) -> BTreeMap<&'c str, Option<&'c str>> {
    let scim = scope.scim;
    let mut current = BTreeMap::from([
        (scim.email.name.as_str(), user.email.as_deref()),
        (scim.user_name.name.as_str(), user.user_name.as_deref()),
    ]);
    match &scim.name {
        NameColumns::Whole(whole) => {
            current.insert(&whole.name, user.name.as_deref());
        }
        NameColumns::Parts { given, family } => {
            current.insert(&given.name, user.given_name.as_deref());
            current.insert(&family.name, user.family_name.as_deref());
        }
    }
    current.extend(scim.title.iter().map(|column| (column.name.as_str(), user.title.as_deref())));
    current.extend(scim.manager.iter().map(|column| (column.name.as_str(), user.manager.as_ref().map(UserId::as_str))));
    current.extend(scim.external_id.iter().map(|column| (column.name.as_str(), user.external_id.as_deref())));
    current
}

/// Returns the provider's key that the ledger is to keep, if it changes.
fn asked_external_id(scope: ScimScope<'_>, before: &User, changes: &[Change]) -> Option<Option<String>> {
    let asked = changes.iter().rev().find_map(|change| match change {
        Change::ExternalId(id) => Some(id.clone()),
        Change::Active(_)
        | Change::UserName(_)
        | Change::GivenName(_)
        | Change::FamilyName(_)
        | Change::Email(_)
        | Change::Title(_)
        | Change::Manager(_) => None,
    });
    asked.filter(|asked| scope.scim.external_id.is_none() && *asked != before.external_id)
}

async fn relink(session: &Session, scope: ScimScope<'_>, id: &UserId, external_id: Option<&str>) -> Result<()> {
    let Some(external_id) = external_id else { return Ok(scim_links::unlink(session, linked(scope, id)).await?) };
    match scim_links::link(session, linked(scope, id), external_id, now()).await? {
        true => Ok(()),
        false => Err(Failure::uniqueness("another user has this `externalId`").into()),
    }
}

/// Refuses a user name that another user of the organization has.
async fn refuse_taken(session: &Session, scope: ScimScope<'_>, id: &UserId, changes: &[Change]) -> Result<()> {
    for change in changes {
        let Change::UserName(name) = change else { continue };
        let condition = Condition::Equals(Attribute::UserName, name.clone());
        let others = host::list_scim_users(session, scope, &condition, (0, 2)).await?;
        if others.iter().any(|other| other.id != *id) {
            return Err(Failure::uniqueness("another user has this `userName`").into());
        }
    }
    Ok(())
}

/// Refuses a manager whom the organization does not have.
pub(super) async fn refuse_unknown_manager(session: &Session, scope: ScimScope<'_>, changes: &[Change]) -> Result<()> {
    for change in changes {
        let Change::Manager(Some(manager)) = change else { continue };
        if find(session, scope, manager, Locking::Unlocked).await.is_err() {
            let detail = "`manager` is no user of the organization";
            return Err(Failure::bad(ScimType::InvalidValue, detail).into());
        }
    }
    Ok(())
}

/// Returns the error of values that the host's database refuses.
fn refusal(error: store::Error) -> super::error::Error {
    match error.violation() {
        Some(Violation::Unique) => Failure::uniqueness("another user has one of these values").into(),
        Some(Violation::ForeignKey | Violation::Column | Violation::Other) => {
            tracing::warn!(%error, "the host refuses what a provider sends");
            Failure::bad(ScimType::InvalidValue, "the application's database refuses one of these values").into()
        }
        None => error.into(),
    }
}
