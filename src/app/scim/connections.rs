//! The connections of identity providers: adds, lists and removes them, gives them tokens, and finds out whose a token is.
//!
//! A connection is a service of the HTTP API: `service:NAME` in requests and in the audit trail. Its tokens have the scope `scim` alone.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::policy::{Choice, Policy};
use crate::app::access::{Access, Principal};
use crate::app::error::{Error, Result};
use crate::app::tokens::{self, Created};
use crate::catalog::Catalog;
use crate::contract::{InvalidRequest, OrgId, OwnerKind, RequestType, TokenScope, UserId, printable};
use crate::plan::{check_org, normalize_user};
use crate::stages::{Context, now};
use crate::store::ledger::audit::{self, Entry};
use crate::store::ledger::{scim, services, tokens as stored_tokens};
use crate::store::{Session, Store};

/// The transaction that adds a connection.
const ADD: &str = "add_scim_connection";
/// The transaction that gives one a token.
const ROTATE: &str = "rotate_scim_token";
/// The transaction that removes one.
const REMOVE: &str = "remove_scim_connection";
/// The transaction that notes an error of one.
const NOTE_ERROR: &str = "note_scim_error";

/// The requests that a connection may send.
const GRANTED: [RequestType; 5] = [
    RequestType::Deactivate,
    RequestType::Reactivate,
    RequestType::Cancel,
    RequestType::Invite,
    RequestType::CancelInvitation,
];

/// The time for which the same error of a connection is not noted again. A provider repeats itself, and each note is a transaction.
const NOTED_EVERY: Duration = Duration::minutes(1);

/// The characters of an error that are kept.
const LONGEST_ERROR: usize = 500;

/// A connection that asks.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The organization; empty if the host has none.
    pub org: String,
    /// The name.
    pub name: String,
    /// The receivers of the records of a user whom it deprovisions.
    pub policy: Policy,
    /// The id of its token.
    pub credential: String,
    /// The principal who asks.
    pub principal: Principal,
    /// The last error that was noted, with its time.
    noted: Option<(String, OffsetDateTime)>,
}

/// A connection as it is listed.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionListing {
    /// The organization; empty if the host has none.
    pub org_id: String,
    /// The name.
    pub name: String,
    /// The policy, as the command line writes it.
    pub policy: String,
    /// The ids of its live tokens.
    pub tokens: Vec<String>,
    /// The time of its creation.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The time of its last call, to the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
    /// The last error that it was answered.
    pub last_error: Option<String>,
    /// The time of that error.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_error_at: Option<OffsetDateTime>,
    /// Since when the breaker holds its deprovisionings; nothing while it does not.
    #[serde(with = "time::serde::rfc3339::option")]
    pub held_since: Option<OffsetDateTime>,
}

/// Adds a connection, with its first token.
pub async fn add(context: &Context, org: Option<OrgId>, name: &str, mut policy: Policy) -> Result<Created> {
    let catalog = context.catalogs.current();
    check_org(&catalog, org.as_ref()).map_err(InvalidRequest::from)?;
    tokens::check_name(name)?;
    complete(&catalog, &mut policy)?;
    let org = org.as_ref().map(OrgId::to_string).unwrap_or_default();
    let session = context.store.begin(ADD).await?;
    refuse_other_service(&session, &org, name).await?;
    let connection = scim::Connection {
        org: org.clone(),
        name: name.to_owned(),
        policy: serde_json::to_value(&policy).map_err(Error::json("a policy"))?,
        created_at: now(),
        last_error: None,
        last_error_at: None,
        wave: 0,
        tripped_at: None,
    };
    if !scim::add(&session, connection).await? {
        let what = format!("there is a connection {name}");
        return Err(Error::Token { what, hint: "`handover scim rotate` creates its next token" });
    }
    services::grant(&session, &org, name, &GRANTED.into()).await?;
    let created = issue(&session, &org, name).await?;
    let detail = json!([{ "code": "policy", "message": policy.to_string(), "hint": "" }]);
    audit::append(&session, vec![entry(&org, name, "scim_connection.added", Some(detail))]).await?;
    session.commit().await?;
    Ok(created)
}

/// Checks a policy against the catalog, and writes its users as the database does.
fn complete(catalog: &Catalog, policy: &mut Policy) -> Result<()> {
    let refused = |what: String| Error::Token { what, hint: "correct `--policy`" };
    policy.check(catalog).map_err(refused)?;
    for choice in policy.kinds.values_mut().chain([&mut policy.default]) {
        if let Choice::User(user) = choice {
            normalize_user(&catalog.users.key, user, "policy").map_err(InvalidRequest::from)?;
        }
    }
    Ok(())
}

/// Refuses the name of a service that is no connection: their grants would be one.
async fn refuse_other_service(session: &Session, org: &str, name: &str) -> Result<()> {
    let service = UserId::of_service(name)
        .map_err(|what| Error::Token { what: what.to_string(), hint: "choose a shorter name" })?;
    let granted = services::granted(session, [(org, &service)]).await?;
    let tokens = stored_tokens::of_owner(session, OwnerKind::Service, org, name).await?;
    let is_used = granted.values().any(|types| !types.is_empty()) || tokens.iter().any(|token| token.is_live(now()));
    let is_connection = scim::get(session, org, name).await?.is_some();
    match is_used && !is_connection {
        true => Err(Error::Token {
            what: format!("there is a service {name}, with tokens of its own"),
            hint: "choose another name",
        }),
        false => Ok(()),
    }
}

async fn issue(session: &Session, org: &str, name: &str) -> Result<Created> {
    let owner = (OwnerKind::Service, org.to_owned(), name.to_owned());
    tokens::issue(session, owner, &BTreeSet::from([TokenScope::Scim]), None).await
}

/// Gives a connection its next token. The one before stays live until it is revoked.
pub async fn rotate(store: &Store, org: &str, name: &str) -> Result<Created> {
    let session = store.begin(ROTATE).await?;
    known(&session, org, name).await?;
    let created = issue(&session, org, name).await?;
    session.commit().await?;
    Ok(created)
}

/// Removes a connection and its tokens. Its jobs go on.
pub async fn remove(store: &Store, org: &str, name: &str) -> Result<()> {
    let session = store.begin(REMOVE).await?;
    if known(&session, org, name).await?.tripped_at.is_some() {
        let what = format!("the breaker holds deprovisionings of {name}");
        return Err(Error::Token { what, hint: "release them, or roll them back and release the rest" });
    }
    scim::remove(&session, org, name).await?;
    services::grant(&session, org, name, &BTreeSet::new()).await?;
    for token in stored_tokens::of_owner(&session, OwnerKind::Service, org, name).await? {
        stored_tokens::revoke(&session, &token.id, now()).await?;
    }
    audit::append(&session, vec![entry(org, name, "scim_connection.removed", None)]).await?;
    Ok(session.commit().await?)
}

/// Returns a connection that exists.
pub(super) async fn known(session: &Session, org: &str, name: &str) -> Result<scim::Connection> {
    let unknown =
        || Error::Token { what: format!("there is no connection {name}"), hint: "`handover scim list` lists them" };
    scim::get(session, org, name).await?.ok_or_else(unknown)
}

/// Returns an entry of the audit trail about a connection.
pub(super) fn entry(org: &str, name: &str, action: &str, detail: Option<serde_json::Value>) -> Entry {
    Entry {
        id: 0,
        at: now(),
        org: org.to_owned(),
        actor: format!("service:{name}"),
        action: action.to_owned(),
        user_id: String::new(),
        job_id: None,
        request_id: String::new(),
        detail,
    }
}

/// Lists every connection.
pub async fn list(store: &Store) -> Result<Vec<ConnectionListing>> {
    let (session, now) = (store.reader(), now());
    let mut listed = Vec::new();
    for connection in scim::all(&session).await? {
        let policy = read_policy(&connection)?.to_string();
        let scim::Connection { org, name, created_at, last_error, last_error_at, tripped_at, .. } = connection;
        let tokens = stored_tokens::of_owner(&session, OwnerKind::Service, &org, &name).await?;
        let live = tokens.iter().filter(|token| token.is_live(now)).map(|token| token.id.clone()).collect();
        listed.push(ConnectionListing {
            last_seen_at: tokens.iter().filter_map(|token| token.last_used_at).max(),
            org_id: org,
            name,
            policy,
            tokens: live,
            created_at,
            last_error,
            last_error_at,
            held_since: tripped_at,
        });
    }
    Ok(listed)
}

fn read_policy(connection: &scim::Connection) -> Result<Policy> {
    serde_json::from_value(connection.policy.clone()).map_err(Error::json("a policy"))
}

/// Returns the connection that a token is of; nothing if it is of none, or not valid.
pub async fn authenticate(context: &Context, token: &str) -> Result<Option<Connection>> {
    let Some(access) = tokens::authenticate(context, token).await? else { return Ok(None) };
    let Access { credential, principal, scopes } = access;
    let Principal::Service { org, name } = &principal else { return Ok(None) };
    if !scopes.contains(&TokenScope::Scim) {
        return Ok(None);
    }
    let Some(found) = scim::get(&context.store.reader(), org, name).await? else { return Ok(None) };
    let policy = read_policy(&found)?;
    let noted = found.last_error.zip(found.last_error_at);
    Ok(Some(Connection { org: found.org, name: found.name, policy, credential, principal, noted }))
}

/// Notes the last error that a connection was answered, to the minute if it is the same again.
pub async fn note_error(context: &Context, connection: &Connection, error: &str) -> Result<()> {
    let (error, now) = (printable(error).chars().take(LONGEST_ERROR).collect::<String>(), now());
    if connection.noted.as_ref().is_some_and(|(noted, at)| *noted == error && now - *at < NOTED_EVERY) {
        return Ok(());
    }
    let session = context.store.begin(NOTE_ERROR).await?;
    scim::note_error(&session, &connection.org, &connection.name, &error, now).await?;
    Ok(session.commit().await?)
}
