//! Sets whether a user is active, for a connection: deprovisions them, or lets in again whom the same connection has deprovisioned.
//!
//! Both are ordinary requests of the service that the connection is, so every rule of the other doors holds. What has been done already
//! is not done again, so a provider may repeat itself, also after a crash between the commit and the answer.

use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::connections::{self, Connection};
use crate::app;
use crate::app::error::{Error, Result};
use crate::app::submit::{self, Taken};
use crate::app::users::{StatusFilter, UserFilter, UserPages};
use crate::catalog::Catalog;
use crate::contract::{
    Drift, HandoverRequest, JobCommand, JobId, OrgId, Reason, ReasonCode, Request, RequestId, RequestType, UserCommand,
    UserId, hex,
};
use crate::job::{State, reason};
use crate::plan::{Decision, Occasion, UserFacts, UserStatus};
use crate::stages::handover::evaluate::evaluate_access;
use crate::stages::handover::settle::{Settling, WINDOW};
use crate::stages::{Context, commands, enter, now};
use crate::store::ledger::audit::{self, Entry};
use crate::store::ledger::job_filter::JobFilter;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::{jobs, scim};
use crate::store::{self, host};

/// The transaction that records a refusal.
const REFUSE: &str = "refuse_scim";

/// From how many deprovisionings within an hour on the active users are counted.
const COUNTED_FROM: u64 = 10;

/// The outcome of a change of a user's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusOutcome {
    /// It is done, by this job.
    Done(JobId),
    /// The user has this status already.
    AlreadySo,
    /// The organization has no such user.
    Unknown,
    /// The catalog's `[scim]` protects the user from every connection.
    Protected,
    /// A guard of the class access refuses, such as that over the last administrator.
    Refused(Vec<Reason>),
    /// The user was not deprovisioned by this connection, but by this job, if by any.
    NotOfThisConnection(Option<JobId>),
    /// No license is free for the user.
    NoLicense,
    /// Other transactions are in the way, or the database refuses. Nothing is done: the same call may succeed later.
    Busy,
}

/// Sets whether a user is active.
pub async fn set_active(
    context: &Context,
    connection: &Connection,
    user: &UserId,
    active: bool,
    traceparent: Option<&str>,
) -> Result<StatusOutcome> {
    let call = Call { context, connection, user, traceparent };
    // Counted before the status is read: of two equal calls at the same time, the second repeats the first.
    let number = call.count_requests().await?;
    let Some((catalog, found)) = call.read_user().await? else { return Ok(StatusOutcome::Unknown) };
    let is_so = match &found.status {
        UserStatus::Active => active,
        UserStatus::Inactive => !active,
        UserStatus::Invited | UserStatus::Other(_) => false,
    };
    if is_so {
        return Ok(StatusOutcome::AlreadySo);
    }
    let protected = catalog.scim.as_ref().and_then(|scim| scim.protected.as_ref());
    if protected.is_some_and(|condition| found.meets(condition)) {
        call.audit_refusal(active).await?;
        return Ok(StatusOutcome::Protected);
    }
    match active {
        false => call.deprovision(&catalog, number).await,
        true => call.let_in(&found, number).await,
    }
}

/// A call of a connection about a user.
struct Call<'c> {
    context: &'c Context,
    connection: &'c Connection,
    user: &'c UserId,
    traceparent: Option<&'c str>,
}

impl Call<'_> {
    /// Counts the requests of the connection about the user.
    async fn count_requests(&self) -> Result<u64> {
        Ok(self.requests()?.count(&self.context.store.reader()).await?)
    }

    fn requests(&self) -> Result<JobFilter> {
        Ok(JobFilter {
            user: Some(self.user.to_string()),
            org: Some(self.connection.org.clone()),
            requested_by: Some(self.requester()?.into()),
            ..JobFilter::default()
        })
    }

    async fn read_user(&self) -> Result<Option<(Arc<Catalog>, UserFacts)>> {
        let session = self.context.store.snapshot().await?;
        let catalog = enter(&session, self.context.catalogs.current(), &self.connection.org).await?;
        let mut found = host::read_users_for_access(&session, &catalog, [self.user]).await?;
        let found = found.remove(self.user.as_str()).filter(|found| found.org == self.connection.org);
        Ok(found.map(|found| (catalog, found)))
    }

    async fn audit_refusal(&self, active: bool) -> Result<()> {
        let kind = if active { RequestType::Reactivate } else { RequestType::Deactivate };
        let message = reason::protected_from_providers(self.user.as_str()).message;
        let detail = json!([{ "code": "protected", "message": message, "hint": "" }]);
        let Connection { org, name, .. } = self.connection;
        let of_connection = connections::entry(org, name, &format!("{kind}.refused"), Some(detail));
        let entry = Entry { user_id: self.user.to_string(), ..of_connection };
        let session = self.context.store.begin(REFUSE).await?;
        audit::append(&session, vec![entry]).await?;
        Ok(session.commit().await?)
    }

    async fn deprovision(&self, catalog: &Catalog, number: u64) -> Result<StatusOutcome> {
        let Connection { name, policy, principal, .. } = self.connection;
        let request = HandoverRequest {
            kind: RequestType::Deactivate,
            request_id: self.request_id(number)?,
            org_id: self.org_id()?,
            user_id: self.user.clone(),
            requested_by: self.requester()?,
            reason: Some(format!("deprovisioned by {name}")),
            effective_at: None,
            return_at: None,
            lock_out: true,
            reassign: policy.allotments(catalog),
            also: Default::default(),
            bulk: false,
            expect: None,
            drift: Drift::default(),
        };
        if let Some(reasons) = self.repeated_refusal(&request).await? {
            return Ok(StatusOutcome::Refused(reasons));
        }
        let settle = self.context.limits.scim.settle;
        let settling = Settling { connection: name.clone(), settle, most: self.most().await? };
        let request = Request::Handover(request);
        let taken = submit::take_to_settle(self.context, principal, request, self.traceparent, &settling).await?;
        outcome_of(taken)
    }

    /// Returns the reasons why the connection's last request about the user was refused, if they still hold. A provider repeats itself
    /// for weeks, and the ledger records a refusal once.
    async fn repeated_refusal(&self, request: &HandoverRequest) -> Result<Option<Vec<Reason>>> {
        let last = self.requests()?.list(&self.context.store.reader(), 1, 0).await?.pop();
        let is_refusal = |job: &Job| job.state == State::Rejected && job.kind == RequestType::Deactivate;
        let Some(last) = last.filter(is_refusal) else { return Ok(None) };
        let recorded = app::jobs::reasons(&last)?;
        let session = self.context.store.snapshot().await?;
        let catalog = enter(&session, self.context.catalogs.current(), &self.connection.org).await?;
        let evaluation = evaluate_access(&session, &catalog, &[request], (Occasion::Request, now())).await?;
        let is_recorded = |reason: &Reason| recorded.iter().any(|known| known.code == reason.code);
        match evaluation.decisions.first() {
            Some(Decision::Rejected(reasons)) if reasons.iter().all(is_recorded) => Ok(Some(recorded)),
            Some(Decision::Rejected(_) | Decision::Accepted(_) | Decision::LockedOut(..)) | None => Ok(None),
        }
    }

    /// Returns the number of deprovisionings within an hour above which the breaker trips.
    async fn most(&self) -> Result<u64> {
        let (Connection { org, name, .. }, limits) = (self.connection, self.context.limits.scim);
        let recent = scim::count_since(&self.context.store.reader(), org, name, now() - WINDOW).await?;
        if recent < COUNTED_FROM.min(limits.breaker_least) {
            return Ok(limits.breaker_least);
        }
        let filter = UserFilter {
            status: StatusFilter::Active,
            org: Some(org.clone()).filter(|org| !org.is_empty()),
            text: None,
            id: None,
        };
        let catalog = (*self.context.catalogs.current()).clone();
        let active = UserPages::open(&self.context.store, catalog, filter, 1, 0).await?.total;
        // Those whose access has ended by this wave were active, too.
        let share = active.saturating_add(recent).saturating_mul(limits.breaker_percent) / 100;
        Ok(share.max(limits.breaker_least))
    }

    /// Lets a user in again, if this connection has deprovisioned them.
    async fn let_in(&self, found: &UserFacts, number: u64) -> Result<StatusOutcome> {
        let requester = self.requester()?;
        let reader = self.context.store.reader();
        let last = jobs::last_change_of_access(&reader, &self.connection.org, self.user.as_str()).await?;
        let Some(last) = last.filter(|last| last.kind == RequestType::Deactivate) else {
            return match self.has_cancelled_invitation().await? {
                true => self.ask(Request::User(self.reactivation(number)?)).await,
                false => Ok(StatusOutcome::NotOfThisConnection(None)),
            };
        };
        let id = JobId(last.id);
        if last.requested_by != requester.as_str() || found.is_locked_out_by_another(id) {
            return Ok(StatusOutcome::NotOfThisConnection(Some(id)));
        }
        let reactivation = self.reactivation(number)?;
        let UserCommand { request_id, org_id, requested_by, reason, .. } = reactivation.clone();
        let request = match State::OPEN.contains(&last.state) {
            true => Request::Job(JobCommand {
                kind: RequestType::Cancel,
                request_id,
                org_id,
                job_id: id,
                requested_by,
                reason,
                catalog: None,
                reassign: Default::default(),
            }),
            false => Request::User(reactivation),
        };
        self.ask(request).await
    }

    /// True if the last thing that happened to the user is that this connection has cancelled their invitation.
    async fn has_cancelled_invitation(&self) -> Result<bool> {
        let done = [State::OPEN.as_slice(), &[State::Completed]].concat();
        let of_user = JobFilter { states: done, requested_by: None, ..self.requests()? };
        let last = of_user.list(&self.context.store.reader(), 1, 0).await?.pop();
        let requester = self.requester()?;
        Ok(last.is_some_and(|job| job.kind == RequestType::CancelInvitation && job.requested_by == requester.as_str()))
    }

    fn reactivation(&self, number: u64) -> Result<UserCommand> {
        Ok(UserCommand {
            kind: RequestType::Reactivate,
            request_id: self.request_id(number)?,
            org_id: self.org_id()?,
            user_id: self.user.clone(),
            requested_by: self.requester()?,
            reason: Some(format!("provisioned by {}", self.connection.name)),
        })
    }

    /// Sends a request that lets the user in.
    async fn ask(&self, request: Request) -> Result<StatusOutcome> {
        // A refusal would be final for the request's id, and the provider asks again in an hour.
        let reasons = commands::preview(self.context, &request).await?;
        if !reasons.is_empty() {
            return Ok(refusal(reasons));
        }
        let taken = submit::take(self.context, &self.connection.principal, request, self.traceparent, None).await?;
        outcome_of(taken)
    }

    fn requester(&self) -> Result<UserId> {
        Ok(UserId::of_service(&self.connection.name).map_err(unexpected)?)
    }

    fn org_id(&self) -> Result<Option<OrgId>> {
        let org = Some(self.connection.org.clone()).filter(|org| !org.is_empty());
        Ok(org.map(OrgId::try_from).transpose().map_err(unexpected)?)
    }

    /// Returns the id of the connection's `number`-th request about the user.
    fn request_id(&self, number: u64) -> Result<RequestId> {
        let Connection { org, name, .. } = self.connection;
        let digest = hex(&Sha256::digest(json!([org, name, self.user, number]).to_string()));
        let id: String = digest.chars().take(32).collect();
        Ok(RequestId::try_from(format!("scim-{id}")).map_err(unexpected)?)
    }
}

fn unexpected(what: impl std::fmt::Display) -> store::Error {
    store::Error::unexpected("reading a connection", what.to_string())
}

fn outcome_of(taken: Taken) -> Result<StatusOutcome> {
    match taken {
        Taken::Accepted(job) => Ok(StatusOutcome::Done(job)),
        Taken::Rejected(_, reasons) => Ok(refusal(reasons)),
        Taken::Invalid(invalid) => Err(Error::Invalid(invalid)),
        Taken::Conflict { .. } | Taken::Outdated | Taken::Busy | Taken::Failed => Ok(StatusOutcome::Busy),
    }
}

fn refusal(reasons: Vec<Reason>) -> StatusOutcome {
    let has = |code: ReasonCode| reasons.iter().any(|reason| reason.code == code);
    if has(ReasonCode::AlreadyInactive) || has(ReasonCode::AlreadyActive) {
        StatusOutcome::AlreadySo
    } else if has(ReasonCode::NoLicenseFree) {
        StatusOutcome::NoLicense
    } else if has(ReasonCode::WrongState) {
        // The job has changed since it was read: look again.
        StatusOutcome::Busy
    } else {
        StatusOutcome::Refused(reasons)
    }
}
