//! Ending access before anyone has decided who receives what: a dismissed user is out at once, and the job waits for a person.
//!
//! Nothing that the host's database refuses keeps the user in. Rows that it refuses are found by halving, within savepoints,
//! and told; the others go. They are tried again, in chunks, when the job goes on.

use time::OffsetDateTime;

use crate::catalog::{Catalog, Disposition, Reference};
use crate::contract::Reason;
use crate::job::reason;
use crate::stages::handover::finalizer::mark_needs_attention;
use crate::stages::handover::start::{Begun, FastPath, Ready, item_of, lock_out_leavers};
use crate::store::host::{RowRange, WorkItem};
use crate::store::{Error, Result, Session, host};

/// Rows of a reference that are found and told one by one; where more are refused, it is not for what these rows hold.
const MOST_TOLD: usize = 20;

/// Ends the access of users whose successors are still to be named: their status, and what goes at the start. Where that is
/// refused, what can go of it; and where the commit refuses that too, the status alone.
pub async fn lock_out(
    session: &Session,
    catalog: &Catalog,
    mut locked_out: Vec<(Ready<'_>, Vec<Reason>)>,
    fast_path: FastPath,
    now: OffsetDateTime,
) -> Result<Vec<Begun>> {
    if locked_out.is_empty() {
        return Ok(Vec::new());
    }
    lock_out_leavers(session, catalog, locked_out.iter().map(|(ready, _)| ready)).await?;
    if fast_path == FastPath::Start {
        session.check_constraints_at_once().await?;
    }
    for reference in catalog.references.iter().filter(|reference| ends_access(reference)) {
        let item = |ready: &Ready<'_>| item_of(reference, ready, now);
        match fast_path {
            FastPath::Whole => {
                let items: Vec<WorkItem> = locked_out.iter().filter_map(|(ready, _)| item(ready)).collect();
                if !items.is_empty() {
                    host::apply(session, catalog, reference, &items).await?;
                }
            }
            FastPath::Start => {
                for (ready, reasons) in &mut locked_out {
                    if let Some(item) = item(ready) {
                        reasons.extend(end_what_can(session, catalog, reference, item).await?);
                    }
                }
            }
            FastPath::Status => {
                let remains = |ready: &Ready<'_>| item(ready).map(|_| reason::access_remains(&reference.kind));
                locked_out.iter_mut().for_each(|(ready, reasons)| reasons.extend(remains(ready)));
            }
        }
    }
    let mut begun = Vec::with_capacity(locked_out.len());
    for (ready, reasons) in locked_out {
        let mut job = ready.job;
        job.license_exempt = ready.plan.license_exempt;
        job.started_at = Some(now);
        let messages = mark_needs_attention(&mut job, reasons, now)?;
        begun.push(Begun { job, messages, follows: None, courses: Vec::new(), successors: Vec::new() });
    }
    Ok(begun)
}

fn ends_access(reference: &Reference) -> bool {
    let goes = matches!(
        reference.disposition,
        Disposition::Detach { .. } | Disposition::Set { .. } | Disposition::Purge { .. }
    );
    reference.at_start && goes
}

/// Lets all rows go that the database lets go; why the others do not.
async fn end_what_can(
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
        if reference.keyless || reasons.len() >= MOST_TOLD {
            reasons.push(reason::access_remains(&reference.kind));
            break;
        }
        let mut halves = halves(session, reference, &item).await?;
        // What is one row was refused for itself.
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

/// The same part in two, the first half last; all its rows between their keys, where it has no bounds yet.
async fn halves(session: &Session, reference: &Reference, item: &WorkItem) -> Result<Vec<WorkItem>> {
    let leaver = item.leaver.as_str();
    let cuts = match &item.range {
        RowRange::Keys { first, last } => {
            host::cut_between(session, reference, leaver, (first, last), &[], |rows| rows.div_ceil(2)).await?
        }
        _ => host::cut(session, reference, leaver, None, &[], 1, u64::from(u32::MAX)).await?,
    };
    let bounded =
        |cut: host::KeyRange| WorkItem { range: RowRange::Keys { first: cut.first, last: cut.last }, ..item.clone() };
    Ok(cuts.into_iter().rev().map(bounded).collect())
}
