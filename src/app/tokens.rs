//! Tokens of the HTTP API: creates, lists and revokes them, and finds out whose a token is.
//!
//! A token is a secret (module `secret`) with the prefix `hdo_`. It is shown once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use super::access::{Access, Principal};
use super::error::{Error, Result};
use super::secret::Secret;
use super::users::{active, active_with_id};
use crate::contract::{InvalidRequest, OrgId, OwnerKind, RequestType, TokenScope, UnknownName, UserId};
use crate::plan::check_org;
use crate::stages::{Context, now};
use crate::store::ledger::tokens::{self, Token};
use crate::store::ledger::{scim, services};
use crate::store::{self, Session, Store};

/// The transaction that creates a token.
const CREATE: &str = "create_token";
/// The transaction that revokes one.
const REVOKE: &str = "revoke_token";
/// The transaction that notes a use.
const NOTE_USE: &str = "note_token_use";

/// Live tokens of an owner: one in use, and its successor.
const MOST_LIVE: usize = 2;

const PREFIX: &str = "hdo_";

/// A token that is to be created.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The owner.
    pub owner: Owner,
    /// The uses that it is good for.
    pub scopes: BTreeSet<TokenScope>,
    /// For how long it is valid; for ever if `None`.
    pub valid_for: Option<Duration>,
}

/// The owner of a new token.
#[derive(Debug, Clone)]
pub enum Owner {
    /// A user of the host.
    Person {
        /// The organization.
        org: Option<OrgId>,
        /// The user.
        user: UserId,
    },
    /// An application.
    Service {
        /// The organization.
        org: Option<OrgId>,
        /// Its name.
        name: String,
        /// The request types that it may send. They replace those that it had. If empty, it keeps them.
        request_types: BTreeSet<RequestType>,
    },
    /// An operator.
    Operator {
        /// The name.
        name: String,
    },
}

/// A token that was created.
#[derive(Debug, Serialize)]
pub struct Created {
    /// The token. It is shown this once.
    pub token: String,
    /// Its entry in the list.
    #[serde(flatten)]
    pub listed: TokenListing,
}

/// A token as it is listed.
#[derive(Debug, Clone, Serialize)]
pub struct TokenListing {
    /// The id.
    pub id: String,
    /// The kind of its owner.
    pub owner_kind: OwnerKind,
    /// The organization; empty for an operator, and where the host has none.
    pub org_id: String,
    /// The id of the user, or the name of the service or operator.
    pub owner: String,
    /// The uses that it is good for.
    pub scopes: String,
    /// True if it may be used now.
    pub live: bool,
    /// The time of its creation.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The time from which it is not valid any more.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// The time of its last use, to the minute.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
    /// The time when it was revoked.
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked_at: Option<OffsetDateTime>,
}

/// Creates a token.
pub async fn create(context: &Context, new: NewToken) -> Result<Created> {
    check_scopes(&new)?;
    let owner = checked_owner(context, &new.owner).await?;
    let session = context.store.begin(CREATE).await?;
    if let Owner::Service { name, request_types, .. } = &new.owner {
        if scim::get(&session, &owner.1, name).await?.is_some() {
            let what = format!("{name} is a SCIM connection");
            return Err(Error::Token { what, hint: "`handover scim rotate` creates its next token" });
        }
        if !request_types.is_empty() {
            services::grant(&session, &owner.1, name, request_types).await?;
        }
    }
    let created = issue(&session, owner, &new.scopes, new.valid_for).await?;
    session.commit().await?;
    Ok(created)
}

/// Adds a token of an owner, unless they have too many that are live.
pub(super) async fn issue(
    session: &Session,
    (kind, org, owner): (OwnerKind, String, String),
    scopes: &BTreeSet<TokenScope>,
    valid_for: Option<Duration>,
) -> Result<Created> {
    let now = now();
    let live = tokens::of_owner(session, kind, &org, &owner).await?;
    if live.iter().filter(|token| token.is_live(now)).count() >= MOST_LIVE {
        let what = format!("{owner} has {MOST_LIVE} live tokens");
        return Err(Error::Token { what, hint: "revoke one with `handover token revoke`" });
    }
    let secret = Secret::new(PREFIX);
    let row = Token {
        hash: secret.hash(),
        id: secret.id,
        owner_kind: kind,
        org,
        owner,
        scopes: scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" "),
        created_at: now,
        expires_at: valid_for.map(|time| now + time),
        last_used_at: None,
        revoked_at: None,
    };
    tokens::add(session, row.clone()).await?;
    Ok(Created { token: secret.text, listed: TokenListing::of(row, now) })
}

fn check_scopes(new: &NewToken) -> Result<()> {
    if new.scopes.contains(&TokenScope::Scim) {
        let what = "the scope scim is for connections".into();
        return Err(Error::Token { what, hint: "`handover scim add` creates a connection with its token" });
    }
    let is_operator = matches!(new.owner, Owner::Operator { .. });
    let wrong = new.scopes.iter().find(|scope| scope.is_operators() != is_operator);
    match (wrong, new.scopes.is_empty()) {
        (_, true) => {
            Err(Error::Token { what: "the token has no scope".into(), hint: "name what it is for with `--scopes`" })
        }
        (Some(scope), false) => {
            let what = format!("the scope {scope} is not for this owner");
            Err(Error::Token { what, hint: "scopes that begin with `operator:` are for `--operator`, and no others" })
        }
        (None, false) => Ok(()),
    }
}

/// Returns the kind, organization and name of an owner who exists.
async fn checked_owner(context: &Context, owner: &Owner) -> Result<(OwnerKind, String, String)> {
    let catalog = context.catalogs.current();
    let org_text = |org: &Option<OrgId>| org.as_ref().map(OrgId::to_string).unwrap_or_default();
    match owner {
        Owner::Person { org, user } => {
            check_org(&catalog, org.as_ref()).map_err(InvalidRequest::from)?;
            let org = org_text(org);
            let Some(person) = active_with_id(context, &org, user).await? else {
                let what = format!("the organization has no active user {user}");
                return Err(Error::Token { what, hint: "`handover users` lists them" });
            };
            Ok((OwnerKind::Person, org, person.id.into()))
        }
        Owner::Service { org, name, .. } => {
            check_org(&catalog, org.as_ref()).map_err(InvalidRequest::from)?;
            check_name(name)?;
            Ok((OwnerKind::Service, org_text(org), name.clone()))
        }
        Owner::Operator { name } => {
            check_name(name)?;
            Ok((OwnerKind::Operator, String::new(), name.clone()))
        }
    }
}

/// Checks the name of a service or an operator.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match !name.is_empty() && name.len() <= 60 && name.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(Error::Token {
            what: format!("{name:?} is no name of a service"),
            hint: "use up to 60 letters, digits, `-`, `_` and `.`",
        }),
    }
}

/// Lists every token.
pub async fn list(store: &Store) -> Result<Vec<TokenListing>> {
    let now = now();
    Ok(tokens::all(&store.reader()).await?.into_iter().map(|token| TokenListing::of(token, now)).collect())
}

/// Revokes a token, and returns what is listed of it.
pub async fn revoke(store: &Store, id: &str) -> Result<TokenListing> {
    let now = now();
    let session = store.begin(REVOKE).await?;
    tokens::revoke(&session, id, now).await?;
    let revoked = tokens::get(&session, id).await?;
    session.commit().await?;
    let unknown = || Error::Token { what: format!("there is no token {id}"), hint: "`handover token list` lists them" };
    Ok(TokenListing::of(revoked.ok_or_else(unknown)?, now))
}

/// Returns whose a token is, and what it may be used for; nothing if it is not valid, or if its owner is not active any more.
pub async fn authenticate(context: &Context, token: &str) -> Result<Option<Access>> {
    let Some(secret) = Secret::read(PREFIX, token) else { return Ok(None) };
    let now = now();
    let Some(found) = tokens::get(&context.store.reader(), &secret.id).await? else { return Ok(None) };
    // The hash of a guess tells nothing about the token, however long the comparison takes.
    if found.hash != secret.hash() || !found.is_live(now) {
        return Ok(None);
    }
    let scopes = found.scopes.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>();
    let scopes = scopes.map_err(|error: UnknownName| unreadable(error.to_string()))?;
    let Some(principal) = principal_of(context, &found).await? else { return Ok(None) };
    if found.is_use_noteworthy(now) {
        let session = context.store.begin(NOTE_USE).await?;
        tokens::note_use(&session, &secret.id, now).await?;
        session.commit().await?;
    }
    Ok(Some(Access { credential: found.id, principal, scopes }))
}

/// Returns true if the token with this id may be used: it is live, and its owner is active.
pub async fn is_valid(context: &Context, id: &str) -> Result<bool> {
    let Some(found) = tokens::get(&context.store.reader(), id).await? else { return Ok(false) };
    Ok(found.is_live(now()) && principal_of(context, &found).await?.is_some())
}

/// Returns whose a token is; nothing for a user who is not active.
async fn principal_of(context: &Context, token: &Token) -> Result<Option<Principal>> {
    let (org, owner) = (token.org.clone(), token.owner.clone());
    Ok(match token.owner_kind {
        OwnerKind::Person => {
            let user = UserId::try_from(owner).map_err(|what| unreadable(what.to_string()))?;
            active(context, &org, &user).await?.map(|person| Principal::Person { org, user: person.id })
        }
        OwnerKind::Service => Some(Principal::Service { org, name: owner }),
        OwnerKind::Operator => Some(Principal::Operator { name: owner }),
    })
}

fn unreadable(what: String) -> store::Error {
    store::Error::unexpected("reading a token", what)
}

impl TokenListing {
    fn of(token: Token, now: OffsetDateTime) -> TokenListing {
        TokenListing {
            live: token.is_live(now),
            id: token.id,
            owner_kind: token.owner_kind,
            org_id: token.org,
            owner: token.owner,
            scopes: token.scopes,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at: token.revoked_at,
        }
    }
}
