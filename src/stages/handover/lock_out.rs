//! Lock-out: ends access before the handover can begin, because a guard fails, another job of the user is under way, or the job is
//! paused. The job then waits for a person, or for the other job.
//!
//! Nothing that the host's database refuses keeps the user in. Refused rows are found by bisection within savepoints, and
//! reported; all others go. The refused rows are tried again, in chunks, once the job is resumed.

use time::OffsetDateTime;

use crate::catalog::{Catalog, Reference};
use crate::contract::{Change, Reason};
use crate::job::reason;
use crate::stages::changes::LedgerChanges;
use crate::stages::handover::start::{FastPath, Ready, item_of, lock_out_leavers};
use crate::stages::lifecycle::JobChange;
use crate::store::host::{RowRange, WorkItem};
use crate::store::{Error, Result, Session, host};

/// The most refused rows of a reference that are reported one by one. If more are refused, the cause is not in the rows.
const MOST_REPORTED: usize = 20;

/// A job that locks its user out, and cannot begin.
pub struct LockedOut<'r> {
    /// The job, and its plan.
    pub ready: Ready<'r>,
    /// Why it cannot begin as it is.
    pub reasons: Vec<Reason>,
    /// The next state of the job.
    pub next: Next,
}

/// The next state of a job that has locked its user out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A person decides.
    Attention,
    /// It is scheduled to go on when the job that it waits for has ended, and looked at when it is due.
    Wait {
        /// The time at which it is looked at.
        due: OffsetDateTime,
    },
    /// It is scheduled to start a moment later, because its other guards are not evaluated yet.
    Start {
        /// When it starts.
        due: OffsetDateTime,
    },
    /// It stays scheduled: its step comes again by itself.
    Scheduled,
    /// It stays paused.
    Paused {
        /// When it is looked at again, if access may not have ended whole.
        wake_at: Option<OffsetDateTime>,
    },
}

/// Ends the access of users whose jobs cannot begin: sets their status, and removes what goes at the start. The next path removes
/// only the rows that the database lets go, and the last ones only set the status.
pub async fn lock_out(
    session: &Session,
    catalog: &Catalog,
    mut locked_out: Vec<LockedOut<'_>>,
    path: FastPath,
    now: OffsetDateTime,
) -> Result<LedgerChanges> {
    if locked_out.is_empty() {
        return Ok(LedgerChanges::default());
    }
    lock_out_leavers(session, catalog, locked_out.iter().map(|locked_out| &locked_out.ready), now).await?;
    if path == FastPath::Start {
        session.check_constraints_at_once().await?;
    }
    for reference in catalog.references.iter().filter(|reference| reference.ends_access()) {
        let item = |ready: &Ready<'_>| item_of(reference, ready, now);
        match path {
            FastPath::Whole => {
                let items: Vec<WorkItem> = locked_out.iter().filter_map(|out| item(&out.ready)).collect();
                if !items.is_empty() {
                    host::apply(session, catalog, reference, &items).await?;
                }
            }
            FastPath::Start => {
                for LockedOut { ready, reasons, .. } in &mut locked_out {
                    if let Some(item) = item(ready) {
                        reasons.extend(remove_what_can_go(session, catalog, reference, item).await?);
                    }
                }
            }
            FastPath::Status => {
                let remains = |ready: &Ready<'_>| item(ready).map(|_| reason::access_remains(&reference.kind));
                locked_out.iter_mut().for_each(|out| out.reasons.extend(remains(&out.ready)));
            }
            FastPath::Access => {}
        }
    }
    let mut changes = LedgerChanges::default();
    for locked_out in locked_out {
        locked_out.finish(now)?.save(&mut changes);
    }
    Ok(changes)
}

impl LockedOut<'_> {
    fn finish(self, now: OffsetDateTime) -> Result<JobChange> {
        let LockedOut { ready: Ready { mut change, plan, locks_out, .. }, reasons, next } = self;
        change.job.license_exempt = plan.license_exempt;
        if locks_out {
            change.lock_out(now);
        }
        match next {
            Next::Attention => change.mark_needs_attention(reasons, now)?,
            Next::Wait { due } if reasons.is_empty() => change.schedule(due, reasons, now)?,
            // Rows that give access remain: nobody would look before the other job has ended.
            Next::Wait { .. } => change.mark_needs_attention(reasons, now)?,
            Next::Start { due } => change.schedule(due, reasons, now)?,
            Next::Scheduled => change.report(Change::Scheduled, reasons, now)?,
            Next::Paused { wake_at } => change.stay_paused(reasons, wake_at, now)?,
        }
        Ok(change)
    }
}

/// Removes every row that the database lets go. Returns why the others stay.
async fn remove_what_can_go(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    item: WorkItem,
) -> Result<Vec<Reason>> {
    let mut reasons = Vec::new();
    let mut open = vec![item];
    while let Some(item) = open.pop() {
        session.savepoint().await?;
        let error = match host::apply(session, catalog, reference, std::slice::from_ref(&item)).await {
            Ok(_) => {
                session.forget_savepoint().await?;
                continue;
            }
            Err(error) if error.is_refused() => error,
            Err(error) => return Err(error),
        };
        session.back_to_savepoint().await?;
        if reference.keyless || reasons.len() >= MOST_REPORTED {
            reasons.push(reason::access_remains(&reference.kind));
            break;
        }
        let mut halves = halves(session, reference, &item).await?;
        // A range of one row was refused for that row.
        match (halves.len(), &item.range) {
            (0, _) => {}
            (1, RowRange::Keys { first, last }) if first == last => reasons.push(refused(reference, first, &error)),
            _ => open.append(&mut halves),
        }
    }
    Ok(reasons)
}

fn refused(reference: &Reference, key: &host::Key, error: &Error) -> Reason {
    reason::row_refused(&reference.kind, &key.join(","), &error.to_string())
}

/// Splits work in two, the first half last. Work without bounds becomes one range over all its rows.
async fn halves(session: &Session, reference: &Reference, item: &WorkItem) -> Result<Vec<WorkItem>> {
    let leaver = item.leaver.as_str();
    let cuts = match &item.range {
        RowRange::Keys { first, last } => {
            host::cut_between(session, reference, leaver, (first, last), &[], |rows| rows.div_ceil(2)).await?
        }
        RowRange::Whole | RowRange::Next { .. } | RowRange::Like(_) => {
            host::cut(session, reference, leaver, None, &[], 1, u64::from(u32::MAX)).await?
        }
    };
    let bounded =
        |cut: host::KeyRange| WorkItem { range: RowRange::Keys { first: cut.first, last: cut.last }, ..item.clone() };
    Ok(cuts.into_iter().rev().map(bounded).collect())
}
