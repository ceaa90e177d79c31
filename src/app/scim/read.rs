//! Reads users for an identity provider.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::connections::Connection;
use super::error::Result;
use crate::app;
use crate::catalog::{Catalog, NameColumns, Scim};
use crate::contract::{ReferenceResult, UserId};
use crate::plan::{UserStatus, normalize_user};
use crate::scim::{Attribute, Condition, Failure, HandoverState, Mapped, Search, User};
use crate::stages::{Context, enter};
use crate::store::host::{self, ScimScope, ScimUser};
use crate::store::ledger::chunks;
use crate::store::ledger::jobs::{self, Job};
use crate::store::{Locking, Session};

/// The time that a statement may take. A provider asks again, and must not keep the host waiting.
const LIMIT: Duration = Duration::from_secs(5);

/// A page of users.
#[derive(Debug)]
pub struct Page {
    /// The number of all users that the search finds.
    pub total: u64,
    /// The users of the page.
    pub users: Vec<User>,
}

/// Returns what the current catalog maps.
pub fn mapped(context: &Context) -> Result<Mapped> {
    Ok(section(&context.catalogs.current())?.mapped())
}

/// Lists the users of the connection's organization whom a search finds, inactive ones too.
pub async fn search(context: &Context, connection: &Connection, search: &Search) -> Result<Page> {
    let session = context.store.snapshot_within(LIMIT).await?;
    let catalog = entered(&session, context, connection).await?;
    let scope = scope(&catalog, connection)?;
    let condition = match &search.filter {
        Some(filter) => Condition::of(filter, scope.scim.mapped())?
            .with_equals(&|attribute, text| of_host(&catalog, attribute, text)),
        None => Condition::Constant(true),
    };
    let total = host::count_scim_users(&session, scope, &condition).await?;
    let (skip, limit) = (search.start - 1, search.count);
    let found = match limit {
        0 => Vec::new(),
        _ if skip >= total => Vec::new(),
        _ => host::list_scim_users(&session, scope, &condition, (skip, limit)).await?,
    };
    let users = with_handovers(&session, scope, found).await?;
    Ok(Page { total, users })
}

/// Returns a user of the connection's organization.
pub async fn user(context: &Context, connection: &Connection, id: &str) -> Result<User> {
    let session = context.store.snapshot_within(LIMIT).await?;
    let catalog = entered(&session, context, connection).await?;
    let scope = scope(&catalog, connection)?;
    let found = find(&session, scope, id, Locking::Unlocked).await?;
    let users = with_handovers(&session, scope, vec![found]).await?;
    Ok(users.into_iter().next().ok_or_else(unknown)?)
}

/// Restricts a transaction to the connection's organization, and returns the catalog as it sees it.
pub(super) async fn entered(session: &Session, context: &Context, connection: &Connection) -> Result<Arc<Catalog>> {
    let catalog = enter(session, context.catalogs.current(), &connection.org).await?;
    Ok(Arc::new(catalog.with_users_of(&connection.org)))
}

/// Returns the users whom a connection sees.
pub(super) fn scope<'s>(catalog: &'s Catalog, connection: &'s Connection) -> Result<ScimScope<'s>> {
    Ok(ScimScope { catalog, scim: section(catalog)?, org: &connection.org, connection: &connection.name })
}

fn section(catalog: &Catalog) -> Result<&Scim> {
    let missing = "the catalog has no [scim] section: add one that names the columns of users";
    Ok(catalog.scim.as_ref().ok_or_else(|| Failure::new(501, missing))?)
}

/// Returns the user with an id, or the error of one that the organization does not have.
pub(super) async fn find(session: &Session, scope: ScimScope<'_>, id: &str, locking: Locking) -> Result<ScimUser> {
    let id = id_of(scope.catalog, id).ok_or_else(unknown)?;
    Ok(host::find_scim_user(session, scope, &id, locking).await?.ok_or_else(unknown)?)
}

/// Creates the error of a user whom the organization does not have.
pub(super) fn unknown() -> Failure {
    Failure::not_found("there is no user with this id")
}

/// Returns an id as the database writes it; nothing if no user can have it.
pub(super) fn id_of(catalog: &Catalog, text: &str) -> Option<UserId> {
    let mut id = UserId::try_from(text.to_owned()).ok()?;
    normalize_user(&catalog.users.key, &mut id, "id").ok()?;
    Some(id)
}

/// Returns a value of a filter as the database writes it; nothing if no user can have it.
fn of_host(catalog: &Catalog, attribute: Attribute, text: String) -> Option<String> {
    match attribute {
        Attribute::Id | Attribute::Manager => id_of(catalog, &text).map(String::from),
        Attribute::ExternalId
        | Attribute::UserName
        | Attribute::GivenName
        | Attribute::FamilyName
        | Attribute::Email
        | Attribute::Title
        | Attribute::Active => Some(text),
    }
}

/// Returns users as resources, with the state of their last handovers.
async fn with_handovers(session: &Session, scope: ScimScope<'_>, users: Vec<ScimUser>) -> Result<Vec<User>> {
    let ids: Vec<&str> = users.iter().map(|user| user.id.as_str()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let last = jobs::last_handovers(session, scope.org, &ids).await?;
    let of_jobs: Vec<_> = last.iter().map(|job| job.id).collect();
    let chunks = match of_jobs.is_empty() {
        true => HashMap::new(),
        false => chunks::counts_of_jobs(session, &of_jobs).await?,
    };
    let mut states = HashMap::new();
    for job in last {
        let (records, done) = match chunks.get(&job.id) {
            Some(counts) => (counts.records, counts.done),
            None => done_at_once(&job)?,
        };
        let (kind, state) = (job.kind.name().to_owned(), job.state.name().to_owned());
        states.insert(job.user_id, HandoverState { job_id: job.id.to_string(), kind, state, records, done });
    }
    let resource = |user: ScimUser| {
        let handover = states.remove(user.id.as_str());
        User { handover, ..resource(scope.scim, user) }
    };
    Ok(users.into_iter().map(resource).collect())
}

/// Returns the records of a job without chunks, and those of them that are done: a small job is done in one transaction.
fn done_at_once(job: &Job) -> Result<(u64, u64)> {
    let Some(certificate) = app::jobs::certificate(job)? else { return Ok((0, 0)) };
    let of = |result: &ReferenceResult| {
        let ReferenceResult { moved, merged, dropped, removed, purged, set, .. } = result;
        [moved, merged, dropped, removed, purged, set].into_iter().flatten().sum::<u64>()
    };
    let done = certificate.references.iter().map(of).sum();
    Ok((done, done))
}

/// Returns a user as a resource, without the state of a handover.
pub(super) fn resource(scim: &Scim, user: ScimUser) -> User {
    let active = match user.status {
        UserStatus::Active | UserStatus::Invited => true,
        UserStatus::Inactive | UserStatus::Other(_) => false,
    };
    let (given_name, family_name) = match &scim.name {
        NameColumns::Whole(_) => split(user.name.as_deref().unwrap_or_default()),
        NameColumns::Parts { .. } => (user.given_name, user.family_name),
    };
    User {
        id: user.id.into(),
        external_id: user.external_id,
        user_name: user.user_name,
        given_name,
        family_name,
        email: user.email,
        title: user.title,
        manager: user.manager.map(String::from),
        active,
        handover: None,
    }
}

/// Splits a whole name before its last word. A single word is a given name.
fn split(name: &str) -> (Option<String>, Option<String>) {
    let part = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    match name.trim().rsplit_once(char::is_whitespace) {
        Some((given, family)) => (part(given), part(family)),
        None => (part(name), None),
    }
}
