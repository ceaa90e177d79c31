//! The codes of reasons: why a request is refused, or why a job needs attention.

use super::named::named_enum;

/// The requests that a guard binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuardClass {
    /// The guard is about who may ask, and whose access may end. It binds every request.
    Access,
    /// The guard is about who receives what. It refuses a request, unless the request asks for a lock-out: then access ends, and
    /// the job needs attention.
    Handover,
}

named_enum! {
    /// Why a request is refused, or why a job needs attention: one word for programs.
    pub enum ReasonCode: "reason code" {
        /// The user does not exist.
        UnknownUser = "unknown_user",
        /// The user belongs to another organization than the request.
        OtherOrganization = "other_organization",
        /// The user has left already.
        AlreadyInactive = "already_inactive",
        /// The user is invited and has not accepted yet.
        Invited = "invited",
        /// The catalog does not name the user's status.
        NotActive = "not_active",
        /// Required fields of the user's profile are empty.
        IncompleteProfile = "incomplete_profile",
        /// The requester may not ask for this.
        RequesterNotPermitted = "requester_not_permitted",
        /// The requester asks for their own deactivation.
        RequesterIsLeaver = "requester_is_leaver",
        /// The user would return at a time that has passed.
        ReturnInPast = "return_in_past",
        /// Another job of the same user has not ended.
        JobUnderWay = "job_under_way",
        /// The leaver has records of a kind, and the request names no successor for it.
        AllotmentMissing = "allotment_missing",
        /// Records exceed a hardcoded allotment, and the request refuses extras.
        ExtrasRejected = "extras_rejected",
        /// A successor does not exist.
        UnknownSuccessor = "unknown_successor",
        /// A successor belongs to another organization.
        SuccessorOfOtherOrganization = "successor_of_other_organization",
        /// A successor is not active.
        SuccessorInactive = "successor_inactive",
        /// A successor is leaving, or is scheduled to leave.
        SuccessorLeaving = "successor_leaving",
        /// The catalog does not allow the successor to receive this kind.
        SuccessorNotEligible = "successor_not_eligible",
        /// The leaver is named as their own successor.
        LeaverIsSuccessor = "leaver_is_successor",
        /// A round-robin group has no member who can receive records.
        NoFitMember = "no_fit_member",
        /// The leaver has no manager.
        NoManager = "no_manager",
        /// The leaver has rows that the catalog blocks.
        Blocked = "blocked",
        /// The catalog protects the leaver's own row: the last administrator, for example.
        Protected = "protected",
        /// Records that the request names one by one do not belong to the leaver.
        RecordNotOwned = "record_not_owned",
        /// A user would report to themselves, or to a user who reports to them.
        ReportingCycle = "reporting_cycle",
        /// The plan has changed since its preview.
        StalePlan = "stale_plan",
        /// More reasons were found than are listed.
        MoreReasons = "more_reasons",
        /// The job does not exist in the organization.
        UnknownJob = "unknown_job",
        /// The job's state does not allow the command.
        WrongState = "wrong_state",
        /// The job's user was forgotten.
        Forgotten = "forgotten",
        /// The user has a later job, which must be reverted first.
        LaterJob = "later_job",
        /// No license is free.
        NoLicenseFree = "no_license_free",
        /// The user is active already.
        AlreadyActive = "already_active",
        /// The user is not invited.
        NotInvited = "not_invited",
        /// The catalog has no status for invited users.
        NoInvitations = "no_invitations",
        /// Another user has the email address.
        EmailTaken = "email_taken",
        /// A lock-out of the same user replaced the job, which had changed nothing yet.
        Superseded = "superseded",
        /// A successor of a job under way is not active any more.
        SuccessorGone = "successor_gone",
        /// A chunk failed in every attempt.
        ChunkFailed = "chunk_failed",
        /// The database refuses a change of one row.
        RowRefused = "row_refused",
        /// Rows that give the user access could not be removed.
        AccessRemains = "access_remains",
        /// More rows or chunks failed than are listed.
        MoreFailed = "more_failed",
        /// The guards of the handover could not be evaluated when access ended. They are evaluated when the job starts.
        HandoverUnchecked = "handover_unchecked",
        /// A step of the job failed in every attempt.
        StepFailed = "step_failed",
        /// Rows still point at the leaver against the catalog.
        OrphansLeft = "orphans_left",
        /// An attempt at a chunk failed and is repeated: in the audit trail only.
        AttemptFailed = "attempt_failed",
        /// More attempts failed than are listed: in the audit trail only.
        MoreAttemptsFailed = "more_attempts_failed",
    }
}

impl ReasonCode {
    /// Returns the class of the guard that gives this reason: the one rule for which guards bind a lock-out.
    ///
    /// A reason that arises only after access has ended, such as a failed chunk, has the class of the handover. A reason against
    /// a command has the class of access: commands have no lock-out.
    pub fn guard_class(self) -> GuardClass {
        match self {
            ReasonCode::UnknownUser
            | ReasonCode::OtherOrganization
            // There is no access to end.
            | ReasonCode::AlreadyInactive
            | ReasonCode::Invited
            | ReasonCode::NotActive
            | ReasonCode::Protected
            | ReasonCode::RequesterNotPermitted
            | ReasonCode::RequesterIsLeaver
            | ReasonCode::ReturnInPast
            // A user has one job at a time. A lock-out that is due takes the job's place, or waits for it with the access ended.
            | ReasonCode::JobUnderWay
            | ReasonCode::UnknownJob
            | ReasonCode::WrongState
            | ReasonCode::Forgotten
            | ReasonCode::LaterJob
            | ReasonCode::NoLicenseFree
            | ReasonCode::AlreadyActive
            | ReasonCode::NotInvited
            | ReasonCode::NoInvitations
            | ReasonCode::EmailTaken => GuardClass::Access,
            // An empty field must not keep a dismissed user's access open.
            ReasonCode::IncompleteProfile
            | ReasonCode::AllotmentMissing
            | ReasonCode::ExtrasRejected
            | ReasonCode::UnknownSuccessor
            | ReasonCode::SuccessorOfOtherOrganization
            | ReasonCode::SuccessorInactive
            | ReasonCode::SuccessorLeaving
            | ReasonCode::SuccessorNotEligible
            | ReasonCode::LeaverIsSuccessor
            | ReasonCode::NoFitMember
            | ReasonCode::NoManager
            | ReasonCode::Blocked
            | ReasonCode::RecordNotOwned
            | ReasonCode::ReportingCycle
            | ReasonCode::StalePlan
            // It stands for reasons that were judged one by one.
            | ReasonCode::MoreReasons
            | ReasonCode::Superseded
            | ReasonCode::SuccessorGone
            | ReasonCode::ChunkFailed
            | ReasonCode::RowRefused
            | ReasonCode::AccessRemains
            | ReasonCode::MoreFailed
            | ReasonCode::HandoverUnchecked
            | ReasonCode::StepFailed
            | ReasonCode::OrphansLeft
            | ReasonCode::AttemptFailed
            | ReasonCode::MoreAttemptsFailed => GuardClass::Handover,
        }
    }
}
