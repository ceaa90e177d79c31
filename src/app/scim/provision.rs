//! Creates, changes and removes users for an identity provider.
//!
//! Access and attributes are two transactions. Whoever loses access loses it first, and gains it last: if the second transaction
//! fails, the provider sends the same again and finds the first one done.

use serde_json::{Value, json};
use uuid::Uuid;

use super::attributes;
use super::connections::Connection;
use super::error::{Error, Result};
use super::read::{self, entered, scope};
use super::status::{self, StatusOutcome};
use crate::app;
use crate::app::submit::{self, Taken};
use crate::contract::{JobId, Reason, ReasonCode, Request, UserId, read_request};
use crate::metrics;
use crate::plan::UserStatus;
use crate::scim::{Attribute, Change, Condition, Failure, Patch, ScimType, User};
use crate::stages::Context;
use crate::store::host::{self, ScimUser};

/// A change that a provider asks for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The user.
    pub id: &'a str,
    /// The changes.
    pub patch: Patch,
    /// The version that the user must have.
    pub if_match: Option<&'a str>,
    /// The W3C trace context.
    pub traceparent: Option<&'a str>,
}

/// Changes a user, and returns them as they are then.
pub async fn change(context: &Context, connection: &Connection, asked: Asked<'_>) -> Result<User> {
    let Asked { id, patch, if_match, traceparent } = asked;
    let patch = patch.only(read::mapped(context)?);
    metrics::scim_ignored(patch.ignored);
    match patch.active() {
        None => attributes::write(context, connection, id, &patch.changes, if_match).await?,
        Some(false) => {
            let user = attributes::check(context, connection, id, if_match).await?;
            end_access(context, connection, &user, traceparent).await?;
            attributes::write(context, connection, id, &patch.changes, None).await?;
        }
        Some(true) => {
            attributes::write(context, connection, id, &patch.changes, if_match).await?;
            let user = read::user(context, connection, id).await?;
            // An invited user has an account already, which waits for them.
            if !user.active {
                set_active(context, connection, &user_id(&user.id)?, true, traceparent).await?;
            }
        }
    }
    read::user(context, connection, id).await
}

/// Deactivates a user, and forgets them for this connection.
pub async fn remove(
    context: &Context,
    connection: &Connection,
    id: &str,
    if_match: Option<&str>,
    traceparent: Option<&str>,
) -> Result<()> {
    let user = attributes::check(context, connection, id, if_match).await?;
    end_access(context, connection, &user, traceparent).await?;
    attributes::remove(context, connection, id).await
}

/// Ends the access of a user. An invitation is cancelled: there is no access yet.
async fn end_access(
    context: &Context,
    connection: &Connection,
    user: &ScimUser,
    traceparent: Option<&str>,
) -> Result<()> {
    match &user.status {
        UserStatus::Invited if user.is_protected => Err(attributes::protected().into()),
        UserStatus::Invited => {
            let user_id = user.id.as_str();
            let request = request(connection, json!({ "type": "cancel_invitation", "user_id": user_id }))?;
            take(context, connection, request, traceparent).await.map(drop)
        }
        UserStatus::Active | UserStatus::Inactive | UserStatus::Other(_) => {
            set_active(context, connection, &user.id, false, traceparent).await
        }
    }
}

/// Sets whether a user is active, or returns why not.
async fn set_active(
    context: &Context,
    connection: &Connection,
    user: &UserId,
    active: bool,
    traceparent: Option<&str>,
) -> Result<()> {
    match status::set_active(context, connection, user, active, traceparent).await? {
        StatusOutcome::Done(_) | StatusOutcome::AlreadySo => Ok(()),
        StatusOutcome::Unknown => Err(read::unknown().into()),
        StatusOutcome::Protected => Err(attributes::protected().into()),
        StatusOutcome::Refused(reasons) => Err(refused(&reasons)),
        StatusOutcome::NotOfThisConnection(job) => {
            let by = job.map_or("not by this connection".to_owned(), |job| {
                format!("by the job {job}, which is not of this connection")
            });
            let detail =
                format!("the user was locked out {by}: an administrator must give them access in the application");
            Err(Failure::new(409, detail).into())
        }
        StatusOutcome::NoLicense => {
            let detail =
                "no license is free for the user: an administrator must free or add one, then send the same again";
            Err(Failure::new(409, detail).into())
        }
        StatusOutcome::Busy => Err(busy()),
    }
}

fn busy() -> Error {
    Failure::new(503, "other transactions are in the way: send the same again").into()
}

/// Reads the id of a user who was found.
fn user_id(id: &str) -> Result<UserId> {
    Ok(UserId::try_from(id.to_owned()).map_err(|_| read::unknown())?)
}

/// Creates a user, who is invited; or restores the inactive user whom this connection knows by the same `externalId`.
pub async fn create(
    context: &Context,
    connection: &Connection,
    patch: Patch,
    traceparent: Option<&str>,
) -> Result<User> {
    let patch = patch.only(read::mapped(context)?);
    if let Some(known) = known(context, connection, &patch).await? {
        let Known { user, is_linked } = known;
        if user.active || !is_linked || patch.active() == Some(false) {
            return Err(Failure::uniqueness(format!("the user {} has these names", user.id)).into());
        }
        let mut patch = patch;
        patch.changes.push(Change::Active(true));
        return change(context, connection, Asked { id: &user.id, patch, if_match: None, traceparent }).await;
    }
    metrics::scim_ignored(patch.ignored);
    let id = invite(context, connection, &patch, traceparent).await?;
    attributes::write(context, connection, &id, &patch.changes, None).await?;
    if patch.active() == Some(false) {
        let user = attributes::check(context, connection, &id, None).await?;
        end_access(context, connection, &user, traceparent).await?;
    }
    read::user(context, connection, &id).await
}

/// A user who has the names of one to be created.
struct Known {
    user: User,
    /// True if this connection knows them by the same `externalId`.
    is_linked: bool,
}

/// Returns the user who has a name of the one to be created. Refuses a manager who does not exist, before anything is done.
async fn known(context: &Context, connection: &Connection, patch: &Patch) -> Result<Option<Known>> {
    let session = context.store.snapshot().await?;
    let catalog = entered(&session, context, connection).await?;
    let scope = scope(&catalog, connection)?;
    attributes::refuse_unknown_manager(&session, scope, &patch.changes).await?;
    for (attribute, is_linked) in [(Attribute::ExternalId, true), (Attribute::UserName, false)] {
        let Some(text) = text_of(patch, attribute) else { continue };
        let condition = Condition::Equals(attribute, text.to_owned());
        if let Some(user) = host::list_scim_users(&session, scope, &condition, (0, 1)).await?.pop() {
            return Ok(Some(Known { user: read::resource(scope.scim, user), is_linked }));
        }
    }
    Ok(None)
}

/// Invites a user as every other door does, and returns their id.
async fn invite(
    context: &Context,
    connection: &Connection,
    patch: &Patch,
    traceparent: Option<&str>,
) -> Result<String> {
    if !context.catalogs.current().scim.as_ref().is_some_and(|scim| scim.create) {
        let detail =
            "this application creates no users over SCIM: invite them there, or set `create` of [scim] in the catalog";
        return Err(Failure::new(501, detail).into());
    }
    let request = invitation(connection, patch)?;
    let job = take(context, connection, request, traceparent).await?;
    let job = app::jobs::find(&context.store, job.0).await?;
    let user = job.map(|job| job.user_id).filter(|user| !user.is_empty());
    Ok(user.ok_or_else(|| Failure::new(503, "the invited user cannot be read yet: send the same again"))?)
}

/// Takes a request of the connection, as every other door does.
async fn take(
    context: &Context,
    connection: &Connection,
    request: Request,
    traceparent: Option<&str>,
) -> Result<JobId> {
    match submit::take(context, &connection.principal, request, traceparent, None).await? {
        Taken::Accepted(job) => Ok(job),
        Taken::Rejected(_, reasons) => Err(refused(&reasons)),
        Taken::Invalid(invalid) => Err(Failure::bad(ScimType::InvalidValue, invalid.to_string()).into()),
        Taken::Conflict { .. } | Taken::Outdated | Taken::Busy => Err(busy()),
        Taken::Failed => Err(Failure::new(503, "the application's database refuses it; the log says why").into()),
    }
}

/// Returns a request of the connection.
fn request(connection: &Connection, mut body: Value) -> Result<Request> {
    let requested_by = connection.principal.actor().map_err(|what| Failure::new(403, what.to_string()))?;
    body["request_id"] = Uuid::new_v4().to_string().into();
    body["requested_by"] = requested_by.as_str().into();
    if !connection.org.is_empty() {
        body["org_id"] = connection.org.as_str().into();
    }
    let read = read_request(body.to_string().as_bytes());
    Ok(read.map_err(|invalid| Failure::bad(ScimType::InvalidValue, invalid.to_string()))?)
}

/// Returns the request that invites a user. Without an address or a name, the user name is one.
fn invitation(connection: &Connection, patch: &Patch) -> Result<Request> {
    let user_name = text_of(patch, Attribute::UserName).unwrap_or_default();
    let email = text_of(patch, Attribute::Email).or(Some(user_name).filter(|name| name.contains('@')));
    let email =
        email.ok_or_else(|| Failure::bad(ScimType::InvalidValue, "a user needs an email address: map `emails`"))?;
    let parts = [Attribute::GivenName, Attribute::FamilyName].map(|part| text_of(patch, part));
    let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let name = if name.is_empty() { user_name } else { &name };
    request(connection, json!({ "type": "invite", "name": name, "email": email }))
}

fn refused(reasons: &[Reason]) -> Error {
    let text =
        reasons.iter().map(|reason| format!("{}: {}", reason.message, reason.hint)).collect::<Vec<_>>().join("; ");
    match reasons.iter().any(|reason| reason.code == ReasonCode::EmailTaken) {
        true => Failure::uniqueness(text).into(),
        false => Failure::new(403, text).into(),
    }
}

/// Returns the last text that a patch gives an attribute.
fn text_of(patch: &Patch, attribute: Attribute) -> Option<&str> {
    let asked = patch.changes.iter().rev().find(|change| change.attribute() == attribute)?;
    match asked {
        Change::Active(_) => None,
        Change::UserName(name) => Some(name),
        Change::GivenName(text)
        | Change::FamilyName(text)
        | Change::Email(text)
        | Change::Title(text)
        | Change::Manager(text)
        | Change::ExternalId(text) => text.as_deref(),
    }
}
