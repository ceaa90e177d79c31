//! The way back begins: reverting a completed job, calling off one that has not ended, letting a user in again.
//!
//! What is small and must not wait is done at once, in the order's transaction: the license, the status. The rest is a job
//! like any other, which `undo` cuts and works on.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::contract::{Change, JobId, LicenseOutcome, Reason, RequestType, UserId};
use crate::job::{State, StepKind, Transition, reason};
use crate::plan::{Deal, Facts, UserFacts, UserStatus, is_license_exempt, missing_fields};
use crate::stages::changes::audit_entry;
use crate::stages::commands::{CommandContext, refusal};
use crate::stages::handover::finalizer::{mark_needs_attention, wake_waiting};
use crate::stages::handover::scheduled::START;
use crate::stages::handover::start::transition;
use crate::stages::undo::work;
use crate::stages::{Context, messages};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{audit, jobs, outbox, references};
use crate::store::{Locking, Result, Session, host};

/// Reverts a completed job: what is still where it was put goes back, and the user is active again.
pub async fn revert(acting: &mut CommandContext<'_>, target: Job) -> Result<Vec<Reason>> {
    // A return on a later day is this very undo, only earlier now.
    match judge_revert(acting.session, &target, Locking::Locked).await? {
        Err(reason) => return Ok(vec![reason]),
        Ok(None) => {}
        Ok(Some(mut later)) => {
            later.state = transition(&later, Transition::Cancelled)?;
            later.wake_at = None;
            later.completed_at = Some(acting.now);
            acting.messages.push(messages::news(&mut later, Change::Cancelled, Vec::new(), acting.now));
            acting.save(State::Scheduled, later).await?;
        }
    }
    begin(acting, target).await
}

/// Why a job cannot be reverted; or the return on a later day that its revert takes the place of.
pub async fn judge_revert(
    session: &Session,
    target: &Job,
    locking: Locking,
) -> Result<std::result::Result<Option<Job>, Reason>> {
    if target.is_forgotten() {
        return Ok(Err(reason::forgotten(JobId(target.id))));
    }
    if let Some(reason) = refusal(target, &[State::Completed], "reverted") {
        return Ok(Err(reason));
    }
    if !target.is(RequestType::Deactivate) && !target.is(RequestType::Reassign) {
        let hint = "only a deactivation or a reassignment can be reverted";
        return Ok(Err(reason::wrong_state(JobId(target.id), &target.kind, "reverted", hint)));
    }
    if let Some(last) = jobs::last_handover(session, &target.org, &target.user_id, locking).await?
        && last.id != target.id
    {
        return Ok(Err(reason::later_job(JobId(target.id), JobId(last.id))));
    }
    match jobs::open(session, &target.org, &target.user_id, locking).await? {
        Some(open) if open.target != Some(target.id) || open.state()? != State::Scheduled => {
            Ok(Err(reason::job_under_way(&target.user_id, JobId(open.id))))
        }
        open => Ok(Ok(open)),
    }
}

/// Calls a job off before its end. One that has not begun is forgotten; of one under way, what it did is undone.
pub async fn cancel(acting: &mut CommandContext<'_>, mut target: Job) -> Result<Vec<Reason>> {
    if let Some(reason) = refusal(&target, &State::OPEN, "cancelled") {
        return Ok(vec![reason]);
    }
    let has_begun = target.started_at.is_some();
    if has_begun && target.undoes() {
        let hint = "an undo that has begun goes on to its end";
        return Ok(vec![reason::wrong_state(JobId(target.id), &target.state, "cancelled", hint)]);
    }
    if has_begun {
        return begin(acting, target).await;
    }
    let from = target.state()?;
    target.state = transition(&target, Transition::Cancelled)?;
    target.wake_at = None;
    target.completed_at = Some(acting.now);
    acting.messages.push(messages::news(&mut target, Change::Cancelled, Vec::new(), acting.now));
    acting.messages.extend(wake_waiting(acting.session, &target, acting.now).await?);
    acting.save(from, target).await?;
    Ok(Vec::new())
}

/// Lets a user in again who has left. Ownership stays where it went; what the catalog restores comes back.
pub async fn reactivate(acting: &mut CommandContext<'_>, user: &UserId) -> Result<Vec<Reason>> {
    let mut reasons = Vec::new();
    let Some(found) = acting.facts.users.get(user.as_str()) else {
        return Ok(vec![reason::unknown_user(user.as_str())]);
    };
    if found.org != acting.job.org {
        return Ok(vec![reason::other_organization(user.as_str())]);
    }
    match &found.status {
        UserStatus::Inactive => {}
        UserStatus::Active => reasons.push(reason::already_active(user.as_str())),
        UserStatus::Invited => reasons.push(reason::invited(user.as_str())),
        UserStatus::Other(status) => reasons.push(reason::not_active(user.as_str(), status)),
    }
    let missing = missing_fields(acting.catalog, found);
    if !missing.is_empty() {
        reasons.push(reason::incomplete_profile(user.as_str(), missing));
    }
    if let Some(job) = found.under_way {
        reasons.push(reason::job_under_way(user.as_str(), job));
    }
    if !reasons.is_empty() {
        return Ok(reasons);
    }
    let license = match take_license(acting.session, acting.catalog, found).await? {
        Ok(license) => license,
        Err(reason) => return Ok(vec![reason]),
    };
    host::set_status(acting.session, acting.catalog, user, UserStatus::Inactive, UserStatus::Active).await?;
    jobs::end_recounts(acting.session, &acting.job.org, user.as_str()).await?;
    acting.job.license_exempt = license == LicenseOutcome::Exempt;
    let messages = open(acting.session, acting.context, &mut acting.job, acting.now).await?;
    acting.messages.extend(messages);
    Ok(Vec::new())
}

/// Begins to undo a job by the order's own.
async fn begin(acting: &mut CommandContext<'_>, mut target: Job) -> Result<Vec<Reason>> {
    let catalog = acting.context.enter(acting.session, &target).await?;
    if let Err(reason) = let_in(acting.session, &catalog, &target, &acting.facts).await? {
        return Ok(vec![reason]);
    }
    let from = target.state()?;
    target.state = transition(&target, Transition::UndoStarted)?;
    (target.wake_at, target.recount_at) = (None, None);
    acting.job.catalog_hash.clone_from(&target.catalog_hash);
    acting.job.license_exempt = target.license_exempt;
    let id = target.id;
    acting.save(from, target).await?;
    acting.job.target = Some(id);
    let messages = open(acting.session, acting.context, &mut acting.job, acting.now).await?;
    acting.messages.extend(messages);
    Ok(Vec::new())
}

/// Lets the leaver of a job in again, who takes a license where the job has freed theirs. Nothing where they were not
/// shut out by it, or are active by now.
async fn let_in(
    session: &Session,
    catalog: &Catalog,
    target: &Job,
    facts: &Facts,
) -> Result<std::result::Result<(), Reason>> {
    let found = match who_comes_in(target, facts)? {
        Err(reason) => return Ok(Err(reason)),
        Ok(None) => return Ok(Ok(())),
        Ok(Some(found)) => found,
    };
    let user = &found.id;
    if freed_a_license(target)
        && let Err(reason) = take_license(session, catalog, found).await?
    {
        return Ok(Err(reason));
    }
    host::set_status(session, catalog, user, UserStatus::Inactive, UserStatus::Active).await?;
    jobs::end_recounts(session, &target.org, user.as_str()).await?;
    Ok(Ok(()))
}

/// The leaver of a job, where its undo lets them in again; or why it cannot.
pub fn who_comes_in<'f>(target: &Job, facts: &'f Facts) -> Result<std::result::Result<Option<&'f UserFacts>, Reason>> {
    let user = target.user()?;
    let Some(found) = facts.users.get(user.as_str()) else { return Ok(Err(reason::unknown_user(user.as_str()))) };
    if !target.is(RequestType::Deactivate) || found.status == UserStatus::Active {
        return Ok(Ok(None));
    }
    Ok(match found.status {
        UserStatus::Inactive => Ok(Some(found)),
        _ => Err(reason::invited(user.as_str())),
    })
}

/// Whether a job has freed a license, which its undo takes again.
pub fn freed_a_license(target: &Job) -> bool {
    target.certificate.as_ref().is_some_and(|certificate| certificate["license"] == "freed")
}

/// A license for a user who comes (back): one they hold already, or a free one.
pub async fn take_license(
    session: &Session,
    catalog: &Catalog,
    user: &UserFacts,
) -> Result<std::result::Result<LicenseOutcome, Reason>> {
    if catalog.license.is_none() {
        return Ok(Ok(LicenseOutcome::None));
    }
    if is_license_exempt(catalog, user) {
        return Ok(Ok(LicenseOutcome::Exempt));
    }
    match host::take_license(session, catalog, &user.org, &user.id).await? {
        true => Ok(Ok(LicenseOutcome::Taken)),
        false => Ok(Err(reason::no_license_free(user.id.as_str()))),
    }
}

/// Opens an undo: what it has to go through, and the first step.
async fn open(session: &Session, context: &Context, job: &mut Job, now: OffsetDateTime) -> Result<Vec<OutboxMessage>> {
    job.state = State::Cutting.name().into();
    job.started_at = Some(now);
    job.completed_at = None;
    job.wake_at = Some(now + context.limits.stalled_after);
    let course = |position: usize, kind: &str, cut: bool| ReferenceProgress {
        job: job.id,
        position,
        kind: kind.into(),
        deal: Deal::Nobody,
        named: Default::default(),
        transfers: false,
        cut,
        cursor: None,
        next_rank: 0,
    };
    let courses =
        vec![course(work::JOURNALED, "journaled", job.target.is_none()), course(work::RETURNING, "returning", false)];
    references::insert(session, courses).await?;
    Ok(vec![messages::step(StepKind::Cut, job, now)])
}

/// The job that undoes a leave on the day of return.
pub fn return_of(
    job: &Job,
    stalled_after: std::time::Duration,
    now: OffsetDateTime,
) -> Option<(Job, Vec<OutboxMessage>)> {
    let at = job.return_at?;
    let id = Uuid::new_v5(&job.id, b"return");
    let mut back = Job {
        id,
        kind: RequestType::Revert.name().into(),
        state: State::Scheduled.name().into(),
        target: Some(job.id),
        sequence: 0,
        reasons: None,
        certificate: None,
        wait_for: None,
        late_passes: 0,
        effective_at: Some(at),
        return_at: None,
        requested_at: now,
        started_at: None,
        completed_at: None,
        wake_at: Some(at.max(now) + stalled_after),
        redispatches: 0,
        progress: 0,
        recount_at: None,
        recount_until: None,
        ..job.clone()
    };
    let step = messages::step(StepKind::Start, &back, at.max(now));
    let news = messages::news(&mut back, Change::Scheduled, Vec::new(), now);
    Some((back, vec![step, news]))
}

/// Starts the undo of a leave whose day has come.
pub async fn start_due(context: &Context, job: Job, now: OffsetDateTime) -> Result<()> {
    let session = context.store.begin(START).await?;
    let user = job.user()?;
    host::lock_users(&session, &[(&job.org, &user)], &[]).await?;
    let Some(mut job) = jobs::lock(&session, job.id).await? else { return Ok(()) };
    let (State::Scheduled, Some(target)) = (job.state()?, job.target) else { return Ok(()) };
    if job.effective_at.is_some_and(|at| at > now) {
        return Ok(());
    }
    let Some(mut target) = jobs::lock(&session, target).await? else { return Ok(()) };
    let catalog = context.enter(&session, &job).await?;
    let users = host::read_users(&session, &catalog, [&user]).await?;
    let facts = Facts { users, ..Facts::default() };
    let mut left = Vec::new();
    let refused = match refusal(&target, &[State::Completed], "reverted") {
        Some(reason) => Some(reason),
        None => let_in(&session, &catalog, &target, &facts).await?.err(),
    };
    match refused {
        Some(reason) => left.extend(mark_needs_attention(&mut job, vec![reason], now)?),
        None => {
            target.state = transition(&target, Transition::UndoStarted)?;
            (target.wake_at, target.recount_at) = (None, None);
            audit::append(&session, vec![audit_entry(&target)]).await?;
            jobs::update(&session, State::Completed, target).await?;
            left.extend(open(&session, context, &mut job, now).await?);
        }
    }
    audit::append(&session, vec![audit_entry(&job)]).await?;
    outbox::insert(&session, left).await?;
    jobs::update(&session, State::Scheduled, job).await?;
    session.commit().await
}
