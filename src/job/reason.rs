//! The reasons why a readable request may not be done: each with a code, what it concerns and how to fix it.

use crate::contract::{JobId, Reason, ReasonCode, Subject};

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

/// There is no such user.
pub fn unknown_user(user: &str) -> Reason {
    let message = format!("there is no user {user}");
    reason(ReasonCode::UnknownUser, of_user(user), message, "check `user_id`; `handover users` lists who there is")
}

/// The user belongs to another organization than the request.
pub fn other_organization(user: &str) -> Reason {
    let message = format!("the user {user} does not belong to the organization of the request");
    reason(ReasonCode::OtherOrganization, of_user(user), message, "send the request for the user's own organization")
}

/// The user has left already.
pub fn already_inactive(user: &str) -> Reason {
    reason(
        ReasonCode::AlreadyInactive,
        of_user(user),
        format!("the user {user} is inactive already"),
        "nothing is left to do",
    )
}

/// The user was invited and has not come yet.
pub fn invited(user: &str) -> Reason {
    let message = format!("the user {user} has been invited and owns nothing yet");
    reason(ReasonCode::Invited, of_user(user), message, "cancel the invitation instead")
}

/// The user's status is none that the catalog names.
pub fn not_active(user: &str, status: &str) -> Reason {
    let message = format!("the user {user} has the status {status:?}, which the catalog does not name");
    reason(
        ReasonCode::NotActive,
        of_user(user),
        message,
        "name the status in the catalog's [users], or fix the user's row",
    )
}

/// Required fields of the profile are empty.
pub fn incomplete_profile(user: &str, fields: Vec<String>) -> Reason {
    let message = format!("the profile of user {user} lacks {}", fields.join(", "));
    let concerning = Subject { fields, ..of_user(user) };
    reason(ReasonCode::IncompleteProfile, concerning, message, "fill the fields in, with dummy values if need be")
}

/// The requester is nobody who may ask for this.
pub fn requester_not_permitted(requester: &str, why: &str) -> Reason {
    let message = format!("the requester {requester} may not ask for this: {why}");
    reason(
        ReasonCode::RequesterNotPermitted,
        of_user(requester),
        message,
        "have somebody send it whom the catalog's `may` permits",
    )
}

/// Nobody deactivates themselves.
pub fn requester_is_leaver(user: &str) -> Reason {
    let message = format!("the user {user} asks for their own deactivation");
    reason(ReasonCode::RequesterIsLeaver, of_user(user), message, "have another permitted user send it")
}

/// Another job of the same leaver has not ended.
pub fn job_under_way(user: &str, job: JobId) -> Reason {
    let message = format!("the job {job} of user {user} has not ended yet");
    let concerning = Subject { job_id: Some(job.to_string()), ..of_user(user) };
    reason(ReasonCode::JobUnderWay, concerning, message, format!("wait for it: `handover watch {job}`"))
}

/// Records need a successor and the request names none.
pub fn allotment_missing(kind: &str, count: u64, exact: bool) -> Reason {
    let more = if exact { "" } else { "at least " };
    let message =
        format!("the leaver has {more}{count} records of kind `{kind}` and the request does not say who receives them");
    let concerning = Subject { count: Some(count), ..of_kind(kind) };
    reason(ReasonCode::AllotmentMissing, concerning, message, format!("add `reassign.{kind}` to the request"))
}

/// A hardcoded allotment with `"extras": "reject"` is too small.
pub fn extras_rejected(kind: &str, extras: u64) -> Reason {
    let message = format!("{extras} records of kind `{kind}` are beyond the amounts, and the request refuses extras");
    let concerning = Subject { count: Some(extras), ..of_kind(kind) };
    reason(
        ReasonCode::ExtrasRejected,
        concerning,
        message,
        "raise the amounts, use the logic `ratio`, or leave the extras behind",
    )
}

/// A successor does not exist.
pub fn unknown_successor(kind: &str, user: &str) -> Reason {
    let message = format!("there is no user {user}, named as successor for `{kind}`");
    reason(ReasonCode::UnknownSuccessor, of_kind_and_user(kind, user), message, "name a user who exists")
}

/// A successor belongs to another organization.
pub fn successor_of_other_organization(kind: &str, user: &str) -> Reason {
    let message = format!("the successor {user} for `{kind}` does not belong to the leaver's organization");
    reason(
        ReasonCode::SuccessorOfOtherOrganization,
        of_kind_and_user(kind, user),
        message,
        "name a user of the same organization",
    )
}

/// A successor is not active.
pub fn successor_inactive(kind: &str, user: &str) -> Reason {
    let message = format!("the successor {user} for `{kind}` is not active");
    reason(ReasonCode::SuccessorInactive, of_kind_and_user(kind, user), message, "name an active user")
}

/// A successor is leaving too, or waits to.
pub fn successor_leaving(kind: &str, user: &str, job: JobId) -> Reason {
    let message = format!("the successor {user} for `{kind}` is leaving too, by the job {job}");
    let concerning = Subject { job_id: Some(job.to_string()), ..of_kind_and_user(kind, user) };
    reason(ReasonCode::SuccessorLeaving, concerning, message, "name a user who stays")
}

/// A successor lacks what the catalog asks of who receives this kind.
pub fn successor_not_eligible(kind: &str, user: &str, wants: &str) -> Reason {
    let message = format!("the successor {user} may not receive `{kind}`: {wants}");
    reason(
        ReasonCode::SuccessorNotEligible,
        of_kind_and_user(kind, user),
        message,
        format!("name a user who is eligible, or make {user} so"),
    )
}

/// The leaver stands among their own successors.
pub fn leaver_is_successor(kind: &str, user: &str) -> Reason {
    let message = format!("the leaver {user} is named as successor for `{kind}`");
    reason(ReasonCode::LeaverIsSuccessor, of_kind_and_user(kind, user), message, "name somebody else")
}

/// A round-robin group has no member who could receive.
pub fn no_fit_member(kind: &str, group: &str) -> Reason {
    let message = format!("the round-robin group {group:?} has no active, eligible member who stays, for `{kind}`");
    let concerning = Subject { group: Some(group.into()), ..of_kind(kind) };
    reason(ReasonCode::NoFitMember, concerning, message, "add a member to the group, or name users")
}

/// The leaver has no manager.
pub fn no_manager(kind: &str, user: &str) -> Reason {
    let message = format!("the user {user} has no manager to receive `{kind}`");
    reason(ReasonCode::NoManager, of_kind_and_user(kind, user), message, "name a user instead of the manager")
}

/// A guard of the catalog holds the leaver back.
pub fn blocked(kind: &str, count: u64, keys: Vec<String>, resolvable: bool, hint: Option<&str>) -> Reason {
    let rows = if count == 1 { "row" } else { "rows" };
    let message = format!("the leaver cannot leave with {count} {rows} of kind `{kind}`");
    let concerning = Subject { count: Some(count), keys, ..of_kind(kind) };
    let hint = match (hint, resolvable) {
        (Some(hint), _) => hint.to_owned(),
        (None, true) => format!("name who takes over: add `reassign.{kind}` to the request"),
        (None, false) => "give these rows to somebody else in the application first".to_owned(),
    };
    reason(ReasonCode::Blocked, concerning, message, hint)
}

/// Records named one by one are not the leaver's.
pub fn record_not_owned(kind: &str, keys: Vec<String>) -> Reason {
    let message = format!("records of kind `{kind}` that `each` names are not the leaver's");
    let concerning =
        Subject { count: Some(keys.len() as u64), keys: keys.into_iter().take(5).collect(), ..of_kind(kind) };
    reason(ReasonCode::RecordNotOwned, concerning, message, "take them out of `each`")
}

/// Somebody would report to themselves, or to somebody who reports to them.
pub fn reporting_cycle(kind: &str, report: &str, successor: &str) -> Reason {
    let message = format!("the user {report} would report to {successor}, who is the same or reports to them");
    let concerning = Subject { keys: vec![report.into()], ..of_kind_and_user(kind, successor) };
    reason(ReasonCode::ReportingCycle, concerning, message, format!("name somebody else for {report}, with `each`"))
}

/// What a preview saw has changed since.
pub fn stale_plan(drift: &[String]) -> Reason {
    let message = format!("the plan has changed since its preview: {}", drift.join("; "));
    reason(
        ReasonCode::StalePlan,
        Subject::default(),
        message,
        "preview again and send the new token, or allow it with \"drift\": \"allow\"",
    )
}

/// A successor can no longer receive: of a job that needs attention.
pub fn successor_gone(kind: &str, user: &str) -> Reason {
    let message = format!("the successor {user} for `{kind}` is not active any more");
    reason(
        ReasonCode::SuccessorGone,
        of_kind_and_user(kind, user),
        message,
        "make the user active again, or name another successor",
    )
}

/// A chunk could not be moved after every attempt: of a job that needs attention.
pub fn chunk_failed(kind: &str, chunk: i32, error: &str) -> Reason {
    let message = format!("chunk {chunk} of kind `{kind}` cannot be worked on: {error}");
    reason(ReasonCode::ChunkFailed, of_kind(kind), message, "fix what the database says, then resume the job")
}

/// The database refuses a row, whatever is around it: of a job that needs attention.
pub fn row_refused(kind: &str, key: &str, error: &str) -> Reason {
    let message = format!("the row {key} of kind `{kind}` cannot be worked on: {error}");
    let concerning = Subject { count: Some(1), keys: vec![key.into()], ..of_kind(kind) };
    reason(ReasonCode::RowRefused, concerning, message, "fix the row, or what refuses it, then resume the job")
}

/// Rows that go at the start are still there, though their user is locked out.
pub fn access_remains(kind: &str) -> Reason {
    let message = format!(
        "rows of kind `{kind}` that end with the user's access are still there: the database refuses to let them go"
    );
    reason(
        ReasonCode::AccessRemains,
        of_kind(kind),
        message,
        "fix what refuses them, or end that access by hand; they are tried again when the job goes on",
    )
}

/// More failed than is told one by one: of a job that needs attention.
pub fn more_failed(failed: u64, told: u64) -> Reason {
    let message = format!("{failed} rows or chunks in all cannot be worked on; the first {told} are told");
    let concerning = Subject { count: Some(failed), ..Subject::default() };
    reason(ReasonCode::MoreFailed, concerning, message, "fix what the database says of those, then resume the job")
}

/// A step of a job fails, and will fail again: of a job that needs attention.
pub fn step_failed(step: &str, error: &str) -> Reason {
    let message = format!("the step {step} fails: {error}");
    reason(ReasonCode::StepFailed, Subject::default(), message, "fix what the database says, then resume the job")
}

/// Rows keep coming, or match no rule: of a job that needs attention.
pub fn orphans_left(kind: Option<&str>, place: &str, count: u64) -> Reason {
    let message =
        format!("{count} rows of {place} still point at the leaver and no rule of the catalog allows them to stay");
    let concerning = Subject { kind: kind.map(str::to_owned), count: Some(count), ..Subject::default() };
    reason(ReasonCode::OrphansLeft, concerning, message, "find out who still writes them, or cover them in the catalog")
}

/// More speaks against a request than is told one by one.
pub fn more_reasons(more: u64) -> Reason {
    let concerning = Subject { count: Some(more), ..Subject::default() };
    let message = format!("{more} more reasons of the same kinds are not told one by one");
    reason(ReasonCode::MoreReasons, concerning, message, "fix these, then look again: `handover preview`")
}

/// There is no such job in the organization.
pub fn unknown_job(job: JobId) -> Reason {
    let concerning = Subject { job_id: Some(job.to_string()), ..Subject::default() };
    reason(
        ReasonCode::UnknownJob,
        concerning,
        format!("there is no job {job}"),
        "`handover jobs` lists those that there are",
    )
}

/// The job is in a state in which this cannot be done.
pub fn wrong_state(job: JobId, state: &str, wants: &str, hint: &str) -> Reason {
    let concerning = Subject { job_id: Some(job.to_string()), ..Subject::default() };
    reason(ReasonCode::WrongState, concerning, format!("the job {job} is {state}, and cannot be {wants}"), hint)
}

/// Whose job it was is forgotten.
pub fn forgotten(job: JobId) -> Reason {
    let concerning = Subject { job_id: Some(job.to_string()), ..Subject::default() };
    let message = format!("the user of the job {job} was forgotten, and with them what an undo would need");
    reason(ReasonCode::Forgotten, concerning, message, "move records with a request of type `reassign`")
}

/// The user handed something over again since: that comes back first.
pub fn later_job(job: JobId, later: JobId) -> Reason {
    let concerning = Subject { job_id: Some(later.to_string()), ..Subject::default() };
    let message = format!("the job {job} is not the user's last one: {later} came later");
    reason(ReasonCode::LaterJob, concerning, message, format!("revert {later} first"))
}

/// Every license is taken.
pub fn no_license_free(user: &str) -> Reason {
    let message = format!("the user {user} needs a license and none is free");
    reason(
        ReasonCode::NoLicenseFree,
        of_user(user),
        message,
        "free a license, or buy one, and send the request under a new id",
    )
}

/// The user is active already.
pub fn already_active(user: &str) -> Reason {
    reason(
        ReasonCode::AlreadyActive,
        of_user(user),
        format!("the user {user} is active already"),
        "nothing is left to do",
    )
}

/// The user is not invited.
pub fn not_invited(user: &str) -> Reason {
    let message = format!("the user {user} is not invited");
    reason(ReasonCode::NotInvited, of_user(user), message, "`handover users --status invited` lists who is")
}

/// The host knows no invited users, or the catalog does not say how.
pub fn no_invitations() -> Reason {
    let message = "the catalog does not say what an invited user is".to_owned();
    reason(ReasonCode::NoInvitations, Subject::default(), message, "give [users] a status `invited`")
}

/// Somebody has this address already.
pub fn email_taken(email: &str, user: &str) -> Reason {
    let message = format!("the user {user} has the address {email} already");
    reason(ReasonCode::EmailTaken, of_user(user), message, "reactivate that user, or use another address")
}
