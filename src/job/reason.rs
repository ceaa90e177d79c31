//! The reasons why a request is refused or a job needs attention: each with its code, its subject and a hint.

use crate::contract::{JobId, Reason, ReasonCode, Subject, counted};

/// The user does not exist.
pub fn unknown_user(user: &str) -> Reason {
    let message = format!("there is no user {user}");
    reason(ReasonCode::UnknownUser, of_user(user), message, "check `user_id`; `handover users` lists all users")
}

/// The user belongs to another organization than the request.
pub fn other_organization(user: &str) -> Reason {
    let message = format!("the user {user} does not belong to the organization of the request");
    let hint = "send the request for the user's own organization";
    reason(ReasonCode::OtherOrganization, of_user(user), message, hint)
}

/// The user has left already.
pub fn already_inactive(user: &str) -> Reason {
    let message = format!("the user {user} is already inactive");
    reason(ReasonCode::AlreadyInactive, of_user(user), message, "nothing needs to be done")
}

/// The user is invited and has not accepted yet.
pub fn invited(user: &str) -> Reason {
    let message = format!("the user {user} is only invited and owns nothing yet");
    reason(ReasonCode::Invited, of_user(user), message, "cancel the invitation instead")
}

/// The catalog does not name the user's status.
pub fn not_active(user: &str, status: &str) -> Reason {
    let message = format!("the user {user} has the status {status:?}, which the catalog does not name");
    let hint = "name the status in the catalog's [users], or fix the user's row";
    reason(ReasonCode::NotActive, of_user(user), message, hint)
}

/// Required fields of the user's profile are empty.
pub fn incomplete_profile(user: &str, fields: Vec<String>) -> Reason {
    let message = format!("the profile of user {user} lacks {}", fields.join(", "));
    let concerning = Subject { fields, ..of_user(user) };
    reason(ReasonCode::IncompleteProfile, concerning, message, "fill in the fields, with dummy values if necessary")
}

/// Neither the leaver nor the requester belongs to the organization of the request: most likely, it is the wrong one.
pub fn wrong_organization(org: &str, user: &str, requester: &str) -> Reason {
    let message = format!("neither the user {user} nor the requester {requester} belongs to the organization {org}");
    reason(ReasonCode::OtherOrganization, of_user(user), message, "check `org_id`, then `user_id` and `requested_by`")
}

/// The user would return at a time that has passed.
pub fn return_in_past(user: &str) -> Reason {
    let message = format!("the time at which the user {user} would return has passed");
    reason(ReasonCode::ReturnInPast, of_user(user), message, "correct `return_at`, or leave it out")
}

/// The requester may not ask for this.
pub fn requester_not_permitted(requester: &str, cause: &str) -> Reason {
    let message = format!("the requester {requester} may not ask for this: {cause}");
    let hint = "a user with the permission must send it: see `may` in the catalog";
    reason(ReasonCode::RequesterNotPermitted, of_user(requester), message, hint)
}

/// The requester asks for their own deactivation.
pub fn requester_is_leaver(user: &str) -> Reason {
    let message = format!("the user {user} asks for their own deactivation");
    reason(ReasonCode::RequesterIsLeaver, of_user(user), message, "let another permitted user send it")
}

/// Another job of the same user has not ended.
pub fn job_under_way(user: &str, job: JobId) -> Reason {
    let message = format!("the job {job} of user {user} has not ended yet");
    let concerning = Subject { job_id: Some(job.to_string()), ..of_user(user) };
    reason(ReasonCode::JobUnderWay, concerning, message, format!("wait for it: `handover watch {job}`"))
}

/// The leaver has records, and the request names no successor for them.
pub fn allotment_missing(kind: &str, count: u64, exact: bool) -> Reason {
    let more = if exact { "" } else { "at least " };
    let message = format!(
        "the leaver has {more}{} of kind `{kind}`, and the request does not say who receives {}",
        counted(count, "record"),
        if count == 1 { "it" } else { "them" }
    );
    let concerning = Subject { count: Some(count), ..of_kind(kind) };
    reason(ReasonCode::AllotmentMissing, concerning, message, format!("add `reassign.{kind}` to the request"))
}

/// Records exceed a hardcoded allotment with `"extras": "reject"`.
pub fn extras_rejected(kind: &str, extras: u64) -> Reason {
    let message = format!(
        "the amounts leave {} of kind `{kind}` over, and the request rejects extras",
        counted(extras, "record")
    );
    let concerning = Subject { count: Some(extras), ..of_kind(kind) };
    let hint = "raise the amounts, use the logic `ratio`, or leave the extras with the leaver";
    reason(ReasonCode::ExtrasRejected, concerning, message, hint)
}

/// A successor does not exist.
pub fn unknown_successor(kind: &str, user: &str) -> Reason {
    let message = format!("there is no user {user}, who is named as successor for `{kind}`");
    reason(ReasonCode::UnknownSuccessor, of_kind_and_user(kind, user), message, "name a user who exists")
}

/// A successor belongs to another organization.
pub fn successor_of_other_organization(kind: &str, user: &str) -> Reason {
    let message = format!("the successor {user} for `{kind}` does not belong to the leaver's organization");
    let hint = "name a user of the same organization";
    reason(ReasonCode::SuccessorOfOtherOrganization, of_kind_and_user(kind, user), message, hint)
}

/// A successor is not active.
pub fn successor_inactive(kind: &str, user: &str) -> Reason {
    let message = format!("the successor {user} for `{kind}` is not active");
    reason(ReasonCode::SuccessorInactive, of_kind_and_user(kind, user), message, "name an active user")
}

/// A successor is leaving, or is scheduled to leave.
pub fn successor_leaving(kind: &str, user: &str, job: JobId) -> Reason {
    let message = format!("the successor {user} for `{kind}` is leaving too, by the job {job}");
    let concerning = Subject { job_id: Some(job.to_string()), ..of_kind_and_user(kind, user) };
    reason(ReasonCode::SuccessorLeaving, concerning, message, "name a user who stays")
}

/// The catalog does not allow the successor to receive this kind.
pub fn successor_not_eligible(kind: &str, user: &str, cause: &str) -> Reason {
    let message = format!("the successor {user} may not receive `{kind}`: {cause}");
    let hint = format!("name an eligible user, or make {user} eligible");
    reason(ReasonCode::SuccessorNotEligible, of_kind_and_user(kind, user), message, hint)
}

/// The leaver is named as their own successor.
pub fn leaver_is_successor(kind: &str, user: &str) -> Reason {
    let message = format!("the leaver {user} is named as successor for `{kind}`");
    reason(ReasonCode::LeaverIsSuccessor, of_kind_and_user(kind, user), message, "name another user")
}

/// A round-robin group has no member who can receive records.
pub fn no_fit_member(kind: &str, group: &str) -> Reason {
    let message = format!("the round-robin group {group:?} has no active, eligible member who stays, for `{kind}`");
    let concerning = Subject { group: Some(group.into()), ..of_kind(kind) };
    reason(ReasonCode::NoFitMember, concerning, message, "add a member to the group, or name users")
}

/// The leaver has no manager.
pub fn no_manager(kind: &str, user: &str) -> Reason {
    let message = format!("the user {user} has no manager who could receive `{kind}`");
    reason(ReasonCode::NoManager, of_kind_and_user(kind, user), message, "name a user instead of the manager")
}

/// The leaver has rows that the catalog blocks.
pub fn blocked(kind: &str, count: u64, keys: Vec<String>, resolvable: bool, hint: Option<&str>) -> Reason {
    let message = format!("the leaver cannot leave with {} of kind `{kind}`", counted(count, "row"));
    let concerning = Subject { count: Some(count), keys, ..of_kind(kind) };
    let hint = match (hint, resolvable) {
        (Some(hint), _) => hint.to_owned(),
        (None, true) => format!("name a successor: add `reassign.{kind}` to the request"),
        (None, false) => "give these rows to another user in the application first".to_owned(),
    };
    reason(ReasonCode::Blocked, concerning, message, hint)
}

/// The catalog protects the leaver's own row.
pub fn protected(kind: &str, user: &str, hint: Option<&str>) -> Reason {
    let message = format!("the catalog protects the user {user}: their own row passes the guard `{kind}`");
    let concerning = Subject { keys: vec![user.into()], ..of_kind_and_user(kind, user) };
    let hint = hint.unwrap_or("change the user in the application first: their role, for example");
    reason(ReasonCode::Protected, concerning, message, hint)
}

/// The catalog protects the leaver from the connections of identity providers.
pub fn protected_from_providers(user: &str) -> Reason {
    let message = format!("the catalog protects the user {user} from identity providers");
    reason(
        ReasonCode::Protected,
        of_user(user),
        message,
        "deactivate them by a request of a person, or correct `protected` of [scim]",
    )
}

/// Records that the request names one by one do not belong to the leaver.
pub fn record_not_owned(kind: &str, keys: Vec<String>) -> Reason {
    let message = format!("records of kind `{kind}` that `each` names do not belong to the leaver");
    let concerning =
        Subject { count: Some(keys.len() as u64), keys: keys.into_iter().take(5).collect(), ..of_kind(kind) };
    reason(ReasonCode::RecordNotOwned, concerning, message, "remove them from `each`")
}

/// A user would report to themselves, or to a user who reports to them.
pub fn reporting_cycle(kind: &str, report: &str, successor: &str) -> Reason {
    let message = format!("the user {report} would report to {successor}, who is the same user or reports to them");
    let concerning = Subject { keys: vec![report.into()], ..of_kind_and_user(kind, successor) };
    let hint = format!("name another manager for {report}, with `each`");
    reason(ReasonCode::ReportingCycle, concerning, message, hint)
}

/// The plan has changed since its preview.
pub fn stale_plan(drift: &[String]) -> Reason {
    let message = format!("the plan has changed since its preview: {}", drift.join("; "));
    let hint = "preview again and send the new token, or allow the change with \"drift\": \"allow\"";
    reason(ReasonCode::StalePlan, Subject::default(), message, hint)
}

/// More reasons were found than are listed.
pub fn more_reasons(more: u64) -> Reason {
    let concerning = Subject { count: Some(more), ..Subject::default() };
    let message = format!("{more} more reasons omitted");
    reason(ReasonCode::MoreReasons, concerning, message, "fix these, then check again: `handover preview`")
}

/// The job does not exist in the organization.
pub fn unknown_job(job: JobId) -> Reason {
    let message = format!("there is no job {job}");
    reason(ReasonCode::UnknownJob, of_job(job), message, "`handover jobs` lists all jobs")
}

/// The job's state does not allow the command.
pub fn wrong_state(job: JobId, state: &str, wants: &str, hint: &str) -> Reason {
    let message = format!("the job {job} is {state}, and cannot be {wants}");
    reason(ReasonCode::WrongState, of_job(job), message, hint)
}

/// The job's user was forgotten.
pub fn forgotten(job: JobId) -> Reason {
    let message = format!("the user of the job {job} was forgotten, together with the data that an undo needs");
    reason(ReasonCode::Forgotten, of_job(job), message, "move records with a request of type `reassign`")
}

/// The user has a later job, which must be reverted first.
pub fn later_job(job: JobId, later: JobId) -> Reason {
    let message = format!("the job {job} is not the user's last one: {later} came later");
    reason(ReasonCode::LaterJob, of_job(later), message, format!("revert {later} first"))
}

/// No license is free.
pub fn no_license_free(user: &str) -> Reason {
    let message = format!("the user {user} needs a license and none is free");
    let hint = "free or buy a license, and send the request under a new id";
    reason(ReasonCode::NoLicenseFree, of_user(user), message, hint)
}

/// The user is active already.
pub fn already_active(user: &str) -> Reason {
    let message = format!("the user {user} is already active");
    reason(ReasonCode::AlreadyActive, of_user(user), message, "nothing needs to be done")
}

/// The user is not invited.
pub fn not_invited(user: &str) -> Reason {
    let message = format!("the user {user} is not invited");
    let hint = "`handover users --status invited` lists invited users";
    reason(ReasonCode::NotInvited, of_user(user), message, hint)
}

/// The catalog has no status for invited users.
pub fn no_invitations() -> Reason {
    let message = "the catalog has no status for invited users".to_owned();
    reason(ReasonCode::NoInvitations, Subject::default(), message, "add `invited` to the status in [users]")
}

/// Another user has the email address.
pub fn email_taken(email: &str, user: &str) -> Reason {
    let message = format!("the user {user} already has the address {email}");
    reason(ReasonCode::EmailTaken, of_user(user), message, "reactivate that user, or use another address")
}

/// A lock-out replaced the job.
pub fn superseded(by: JobId) -> Reason {
    let message = format!("the lock-out by the job {by} replaced this job, which had changed nothing yet");
    let hint = format!("see `handover job {by}`; amend it if this job named other successors");
    reason(ReasonCode::Superseded, of_job(by), message, hint)
}

/// A successor of a job under way is not active any more.
pub fn successor_gone(kind: &str, user: &str) -> Reason {
    let message =
        format!("the successor {user} for `{kind}` is no longer active in the organization, or is locked out");
    let hint = "amend the job with another successor, or make the user active again and resume it";
    reason(ReasonCode::SuccessorGone, of_kind_and_user(kind, user), message, hint)
}

/// A chunk failed in every attempt.
pub fn chunk_failed(kind: &str, chunk: i32, error: &str) -> Reason {
    let message = format!("chunk {chunk} of kind `{kind}` failed: {error}");
    reason(ReasonCode::ChunkFailed, of_kind(kind), message, FIX_AND_RESUME)
}

/// The database refuses a change of one row.
pub fn row_refused(kind: &str, key: &str, error: &str) -> Reason {
    let message = format!("the database refused the row {key} of kind `{kind}`: {error}");
    let concerning = Subject { count: Some(1), keys: vec![key.into()], ..of_kind(kind) };
    reason(ReasonCode::RowRefused, concerning, message, "fix the row or the rule that refuses it, then resume the job")
}

/// Rows that give the user access could not be removed.
pub fn access_remains(kind: &str) -> Reason {
    let message =
        format!("rows of kind `{kind}`, which give the user access, remain: the database refused to remove them");
    let hint = "fix the cause, or end that access by hand; the job tries again when it is resumed";
    reason(ReasonCode::AccessRemains, of_kind(kind), message, hint)
}

/// More rows or chunks failed than are listed.
pub fn more_failed(failed: u64, listed: u64) -> Reason {
    let message = format!("{failed} rows or chunks failed in total; the first {listed} are listed");
    let concerning = Subject { count: Some(failed), ..Subject::default() };
    reason(ReasonCode::MoreFailed, concerning, message, FIX_AND_RESUME)
}

/// The guards of the handover could not be evaluated when access ended.
pub fn handover_unchecked() -> Reason {
    let message = "the database did not let the guards of the handover be evaluated yet: a table is locked, or a count takes too long"
        .to_owned();
    let hint =
        "nothing needs to be done: the job evaluates them again when it starts, and needs attention if that fails";
    reason(ReasonCode::HandoverUnchecked, Subject::default(), message, hint)
}

/// A step of the job failed in every attempt.
pub fn step_failed(step: &str, error: &str) -> Reason {
    let message = format!("the step {step} failed: {error}");
    reason(ReasonCode::StepFailed, Subject::default(), message, FIX_AND_RESUME)
}

/// Rows still point at the leaver against the catalog.
pub fn orphans_left(kind: Option<&str>, table: &str, count: u64) -> Reason {
    let message = format!(
        "{} of {table} still {} at the leaver, and no rule of the catalog allows {} to stay",
        counted(count, "row"),
        if count == 1 { "points" } else { "point" },
        if count == 1 { "it" } else { "them" },
    );
    let concerning = Subject { kind: kind.map(str::to_owned), count: Some(count), ..Subject::default() };
    reason(
        ReasonCode::OrphansLeft,
        concerning,
        message,
        "find out what still writes them, or cover them in the catalog",
    )
}

const FIX_AND_RESUME: &str = "fix the cause that the database reports, then resume the job";

fn reason(code: ReasonCode, concerning: Subject, message: String, hint: impl Into<String>) -> Reason {
    Reason { code, concerning, message, hint: hint.into() }
}

fn of_user(user: &str) -> Subject {
    Subject { user_id: Some(user.into()), ..Subject::default() }
}

fn of_kind(kind: &str) -> Subject {
    Subject { kind: Some(kind.into()), ..Subject::default() }
}

fn of_kind_and_user(kind: &str, user: &str) -> Subject {
    Subject { user_id: Some(user.into()), ..of_kind(kind) }
}

fn of_job(job: JobId) -> Subject {
    Subject { job_id: Some(job.to_string()), ..Subject::default() }
}
