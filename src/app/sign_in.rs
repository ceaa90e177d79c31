//! Signs people in to the console: a link that is used once, and the session of a browser.
//!
//! Both are secrets of the module `secret`. A session belongs to a user of the host, and ends with their access.

use time::{Duration, OffsetDateTime};

use super::access::Principal;
use super::error::{Error, Result};
use super::secret::Secret;
use super::users;
use crate::contract::{InvalidRequest, OrgId, SignInKind, UserId};
use crate::plan::check_org;
use crate::stages::{Context, now};
use crate::store;
use crate::store::host::Person;
use crate::store::ledger::sign_ins::{self, SignIn};

/// The transaction that creates a link.
const CREATE_LINK: &str = "create_link";
/// The transaction that uses a link and begins a session.
const SIGN_IN: &str = "sign_in";
/// The transaction that ends a session.
const SIGN_OUT: &str = "sign_out";
/// The transaction that notes a use.
const NOTE_USE: &str = "note_session_use";

const LINK: &str = "hdl_";
const SESSION: &str = "hds_";

/// The time for which a link is valid.
pub const LINK_LIFE: Duration = Duration::minutes(5);

/// The time for which a session is valid, however much it is used.
pub const SESSION_LIFE: Duration = Duration::hours(12);

/// The time after which an unused session ends.
const IDLE: Duration = Duration::minutes(60);

/// A person who is signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The id of their session.
    pub session: String,
    /// The organization; empty if the host has none.
    pub org: String,
    /// The user.
    pub user: UserId,
    /// Their name; the id if the host has none.
    pub name: String,
}

impl SignedIn {
    /// Returns the principal who asks.
    pub fn principal(&self) -> Principal {
        Principal::Person { org: self.org.clone(), user: self.user.clone() }
    }
}

/// Creates a link by which a user signs in once, and returns its secret.
pub async fn create_link(context: &Context, org: Option<&OrgId>, user: &UserId) -> Result<String> {
    check_org(&context.catalogs.current(), org).map_err(InvalidRequest::from)?;
    let org = org.map_or("", OrgId::as_str);
    let Some(person) = users::active_with_id(context, org, user).await? else {
        let what = format!("the organization has no active user {user}");
        return Err(Error::Token { what, hint: "`handover users` lists them" });
    };
    let (secret, now) = (Secret::new(LINK), now());
    let session = context.store.begin(CREATE_LINK).await?;
    sign_ins::add(&session, row(&secret, SignInKind::Link, (org, &person.id), (now, LINK_LIFE))).await?;
    session.commit().await?;
    Ok(secret.text)
}

/// Returns whom a link would sign in; nothing if it is not valid any more.
pub async fn owner_of_link(context: &Context, link: &str) -> Result<Option<Person>> {
    match live(context, SignInKind::Link, link).await? {
        Some(row) => owner(context, &row).await,
        None => Ok(None),
    }
}

/// Uses a link, and returns the secret of a new session; nothing if the link is not valid any more. Of two uses, one succeeds.
pub async fn sign_in(context: &Context, link: &str) -> Result<Option<String>> {
    let Some(link) = live(context, SignInKind::Link, link).await? else { return Ok(None) };
    let Some(person) = owner(context, &link).await? else { return Ok(None) };
    let (secret, now) = (Secret::new(SESSION), now());
    let session = context.store.begin(SIGN_IN).await?;
    if !sign_ins::end(&session, &link.id, now).await? {
        return Ok(None);
    }
    let of = (link.org.as_str(), &person.id);
    sign_ins::add(&session, row(&secret, SignInKind::Session, of, (now, SESSION_LIFE))).await?;
    session.commit().await?;
    Ok(Some(secret.text))
}

/// Returns whose a session is; nothing if it has ended, or if its owner is not active any more.
pub async fn authenticate(context: &Context, secret: &str) -> Result<Option<SignedIn>> {
    let Some(row) = live(context, SignInKind::Session, secret).await? else { return Ok(None) };
    let Some(person) = owner(context, &row).await? else { return Ok(None) };
    let now = now();
    if row.is_use_noteworthy(now) {
        let session = context.store.begin(NOTE_USE).await?;
        sign_ins::note_use(&session, &row.id, now).await?;
        session.commit().await?;
    }
    let name = if person.name.is_empty() { person.id.to_string() } else { person.name };
    Ok(Some(SignedIn { session: row.id, org: row.org, user: person.id, name }))
}

/// Ends a session.
pub async fn sign_out(context: &Context, signed_in: &SignedIn) -> Result<()> {
    let session = context.store.begin(SIGN_OUT).await?;
    sign_ins::end(&session, &signed_in.session, now()).await?;
    session.commit().await?;
    Ok(())
}

fn row(
    secret: &Secret,
    kind: SignInKind,
    (org, user): (&str, &UserId),
    (now, life): (OffsetDateTime, Duration),
) -> SignIn {
    SignIn {
        id: secret.id.clone(),
        kind,
        hash: secret.hash(),
        org: org.to_owned(),
        user_id: user.to_string(),
        created_at: now,
        expires_at: now + life,
        last_used_at: now,
        ended_at: None,
    }
}

/// Returns the row of a secret, if it is known and has not ended.
async fn live(context: &Context, kind: SignInKind, text: &str) -> Result<Option<SignIn>> {
    let prefix = match kind {
        SignInKind::Link => LINK,
        SignInKind::Session => SESSION,
    };
    let Some(secret) = Secret::read(prefix, text) else { return Ok(None) };
    let found = sign_ins::get(&context.store.reader(), kind, &secret.id).await?;
    // The hash of a guess tells nothing about the secret, however long the comparison takes.
    Ok(found.filter(|row| row.hash == secret.hash() && row.is_live(IDLE, now())))
}

/// Returns the user of a link or a session, if they are still active.
async fn owner(context: &Context, row: &SignIn) -> Result<Option<Person>> {
    let unreadable = |what: crate::contract::InvalidId| store::Error::unexpected("reading a sign-in", what.to_string());
    let user = UserId::try_from(row.user_id.clone()).map_err(unreadable)?;
    users::active(context, &row.org, &user).await
}
