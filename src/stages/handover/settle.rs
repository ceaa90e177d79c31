//! Deprovisionings by identity providers: access ends at once, and records move when the time to settle has passed, unless the breaker of
//! the connection holds them.
//!
//! The breaker is in the ledger, so all workers count together. Whatever it holds waits until a person releases the connection.

use std::time::Duration;

use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::contract::{BreakerTripped, HandoverRequest, Reason};
use crate::job::{State, StepKind, reason};
use crate::metrics::Observation;
use crate::stages::changes::LedgerChanges;
use crate::stages::context::{Context, now};
use crate::stages::lifecycle::JobChange;
use crate::stages::messages;
use crate::store::ledger::audit::Entry;
use crate::store::ledger::scim::{self, Connection, Deprovisioning};
use crate::store::{Result, Session, host};

/// The time over which deprovisionings are counted.
pub const WINDOW: Duration = Duration::from_secs(60 * 60);

/// The action of an entry about a breaker that has tripped.
const TRIPPED: &str = "scim_breaker.tripped";
/// The action of an entry about a breaker that a person has closed.
const RELEASED: &str = "scim_breaker.released";
/// The transaction that closes a breaker.
const RELEASE: &str = "release_scim";

/// The terms of a deprovisioning.
#[derive(Debug, Clone)]
pub struct Settling {
    /// The connection that asks.
    pub connection: String,
    /// The time from the end of access to the move of the records.
    pub settle: Duration,
    /// The number of deprovisionings within an hour above which the breaker trips.
    pub most: u64,
}

/// Returns why no connection may end the access of a user: the catalog protects them. The user must be locked.
pub async fn check_protected(
    session: &Session,
    catalog: &Catalog,
    request: &HandoverRequest,
) -> Result<Option<Reason>> {
    let Some(condition) = catalog.scim.as_ref().and_then(|scim| scim.protected.as_ref()) else { return Ok(None) };
    let user = &request.user_id;
    let found = host::read_users_for_access(session, catalog, [user]).await?;
    let is_protected = found.get(user.as_str()).is_some_and(|found| found.meets(condition));
    Ok(is_protected.then(|| reason::protected_from_providers(user.as_str())))
}

/// Records an accepted deprovisioning, and trips the breaker if there are too many.
///
/// Locks: the connection, last in the transaction.
pub async fn record(
    session: &Session,
    settling: &Settling,
    request: &HandoverRequest,
    now: OffsetDateTime,
) -> Result<()> {
    let (org, name) = (request.org(), settling.connection.as_str());
    // A connection that was removed meanwhile holds nothing back.
    let Some(connection) = scim::lock(session, org, name).await? else { return Ok(()) };
    let deprovisioning = Deprovisioning {
        job_id: request.job_id().0,
        org: org.to_owned(),
        connection: name.to_owned(),
        at: now,
        starts_at: now + settling.settle,
        wave: connection.tripped_at.map(|_| connection.wave),
    };
    scim::deprovision(session, deprovisioning).await?;
    if connection.tripped_at.is_some() {
        return Ok(());
    }
    let count = scim::count_since(session, org, name, now - WINDOW).await?;
    if count > settling.most {
        trip(session, connection, (count, settling.most), now).await?;
    }
    Ok(())
}

/// Trips the breaker: the deprovisionings of the last hour are a wave, and so are those that follow.
async fn trip(session: &Session, connection: Connection, (count, most): (u64, u64), now: OffsetDateTime) -> Result<()> {
    let (org, name, wave) = (connection.org.clone(), connection.name.clone(), connection.wave + 1);
    scim::join_wave(session, &org, &name, now - WINDOW, wave).await?;
    scim::update(session, Connection { wave, tripped_at: Some(now), ..connection }).await?;
    session.observe(Observation::BreakerTripped);
    tracing::error!(
        connection = name,
        org,
        count,
        most,
        "breaker tripped: too many users deprovisioned; no record moves"
    );
    let message = format!("{count} users deprovisioned within an hour, above {most}: no record moves");
    let hint =
        format!("`handover scim release {name}` lets them go on, `handover scim rollback {name}` brings them back");
    let detail = serde_json::json!([{ "code": "breaker_tripped", "message": message, "hint": hint }]);
    let mut changes = LedgerChanges::default();
    changes.audit(entry(&org, format!("service:{name}"), TRIPPED, detail, now));
    let event = BreakerTripped { org_id: org, connection: name, deprovisioned: count, most };
    changes.messages([messages::breaker_tripped(wave, event, now)?]);
    changes.write(session).await
}

fn entry(org: &str, actor: String, action: &str, detail: serde_json::Value, at: OffsetDateTime) -> Entry {
    Entry {
        id: 0,
        at,
        org: org.to_owned(),
        actor,
        action: action.to_owned(),
        user_id: String::new(),
        job_id: None,
        request_id: String::new(),
        detail: Some(detail),
    }
}

/// Closes the breaker of a connection, and lets the jobs that it holds go on. Returns how many; nothing if it holds none.
///
/// Locks: the connection, then the jobs of its wave.
pub async fn release(context: &Context, org: &str, name: &str, by: &str) -> Result<Option<usize>> {
    let now = now();
    let session = context.store.begin(RELEASE).await?;
    let connection = scim::lock(&session, org, name).await?;
    let Some(connection) = connection.filter(|connection| connection.tripped_at.is_some()) else { return Ok(None) };
    let mut changes = LedgerChanges::default();
    let mut released = 0;
    for found in scim::of_wave(&session, org, name, connection.wave).await? {
        let Some(mut change) = JobChange::lock(&session, found.job_id).await? else { continue };
        if change.state() == State::Scheduled {
            let due = found.starts_at.max(now);
            change.job.wake_at = Some(due + context.limits.stalled_after);
            change.step(StepKind::Start, due)?;
            change.save(&mut changes);
            released += 1;
        }
    }
    scim::update(&session, Connection { tripped_at: None, ..connection }).await?;
    let detail =
        serde_json::json!([{ "code": "connection", "message": format!("{name}: {released} go on"), "hint": "" }]);
    changes.audit(entry(org, by.to_owned(), RELEASED, detail, now));
    changes.write(&session).await?;
    session.commit().await?;
    Ok(Some(released))
}

/// Why a job may not start yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It settles until this time.
    Until(OffsetDateTime),
    /// The breaker holds it until a person releases the connection.
    Breaker,
}

/// Returns why a scheduled job may not start yet, if it is a deprovisioning.
pub async fn hold_of(session: &Session, change: &JobChange, now: OffsetDateTime) -> Result<Option<Hold>> {
    let is_of_service = change.job.requested_by.starts_with("service:");
    if change.state() != State::Scheduled || !is_of_service || change.job.access_ended_at.is_none() {
        return Ok(None);
    }
    let Some(found) = scim::deprovisioning(session, change.job.id).await? else { return Ok(None) };
    if found.starts_at > now {
        return Ok(Some(Hold::Until(found.starts_at)));
    }
    let connection = scim::get(session, &found.org, &found.connection).await?;
    let is_held = connection.is_some_and(|held| held.tripped_at.is_some() && Some(held.wave) == found.wave);
    Ok(is_held.then_some(Hold::Breaker))
}

/// Leaves a job scheduled, and commits.
pub async fn wait(context: &Context, session: Session, mut change: JobChange, hold: Hold) -> Result<()> {
    match hold {
        Hold::Until(at) => {
            change.job.wake_at = Some(at + context.limits.stalled_after);
            change.step(StepKind::Start, at)?;
        }
        // The release leaves its next step.
        Hold::Breaker => change.job.wake_at = None,
    }
    change.write(&session).await?;
    session.commit().await
}
