//! The time at which a scheduled job is evaluated next.

use std::time::Duration;

use time::OffsetDateTime;

use crate::plan::Plan;
use crate::stages::context::Context;
use crate::store::ledger::jobs::Job;

/// Sets what a scheduled job waits for, and returns when it is looked at next.
///
/// A job with a date is looked at on that date. A job that waits for another one is woken when that one ends; a look at
/// intervals makes sure of it.
pub fn due_of(context: &Context, job: &mut Job, plan: &Plan, now: OffsetDateTime) -> OffsetDateTime {
    job.wait_for = plan.wait_for.map(|job| job.0);
    let at = job.effective_at.filter(|at| *at > now).unwrap_or(now + context.limits.stalled_after);
    job.wake_at = Some(at + context.limits.stalled_after);
    at
}

/// The time after which a job starts whose user's access had to end first.
pub const START_AFTER: Duration = Duration::from_secs(1);

/// Returns when a job starts whose user's access has just ended.
pub fn start_later(context: &Context, job: &mut Job, after: Duration, now: OffsetDateTime) -> OffsetDateTime {
    let due = now + after;
    job.wake_at = Some(due + context.limits.stalled_after);
    due
}
