//! Writes of which the database may refuse some: the others are made.

use std::collections::HashSet;

use async_trait::async_trait;

use super::restored::RestoreOutcome;
use crate::contract::SkipReason;
use crate::store::dialect::sql::Sql;
use crate::store::error::Violation;
use crate::store::{Result, Session};

/// A write that brings things back.
#[async_trait]
pub trait RestoreWrite: Sync {
    /// Says what is being done, for errors.
    fn doing(&self) -> &'static str;

    /// Returns the statement that brings some of the things back, by their positions.
    fn statement(&self, session: &Session, places: &[usize]) -> Sql;

    /// True if the statement changes a row for each thing. If it changes fewer, a trigger of the host has kept rows as they were
    /// without an error. Restored rows do not count: a trigger of a partitioned table may have put one elsewhere.
    fn changes_each(&self) -> bool {
        false
    }

    /// True if a trigger of the host has changed a row, but not as the statement says.
    async fn is_redirected(&self, _session: &Session, _places: &[usize]) -> Result<bool> {
        Ok(false)
    }

    /// Returns the things that came back, and now point at a parent that is gone, if the database does not check that at
    /// once.
    async fn orphans(&self, _session: &Session, _places: &[usize]) -> Result<HashSet<usize>> {
        Ok(HashSet::new())
    }
}

/// Makes a write for all things that the database allows. Those that lack a parent are tried again after others have come
/// back: the parent may be among them.
pub async fn bisect(
    session: &Session,
    write: &impl RestoreWrite,
    places: Vec<usize>,
    outcome: &mut RestoreOutcome,
) -> Result<()> {
    let mut waiting = places;
    while !waiting.is_empty() {
        let before = outcome.restored.len();
        bisect_once(session, write, waiting, outcome).await?;
        waiting = match outcome.restored.len() > before {
            true => outcome.skipped.remove(&SkipReason::ParentGone).unwrap_or_default(),
            false => Vec::new(),
        };
    }
    outcome.restored.sort_unstable();
    Ok(())
}

/// Writes all things at once if the database allows it; otherwise halves of them, down to those that it refuses.
async fn bisect_once(
    session: &Session,
    write: &impl RestoreWrite,
    places: Vec<usize>,
    outcome: &mut RestoreOutcome,
) -> Result<()> {
    let mut open = vec![places];
    while let Some(places) = open.pop() {
        if places.is_empty() {
            continue;
        }
        session.savepoint().await?;
        let refused = match try_write(session, write, &places).await? {
            Attempt::Written(orphans) if orphans.is_empty() => {
                session.forget_savepoint().await?;
                outcome.restored.extend(places);
                continue;
            }
            Attempt::Written(orphans) => {
                session.back_to_savepoint().await?;
                open.push(places.into_iter().filter(|place| !orphans.contains(place)).collect());
                orphans.into_iter().for_each(|place| outcome.skip(SkipReason::ParentGone, place));
                continue;
            }
            Attempt::Refused(reason) => reason,
        };
        session.back_to_savepoint().await?;
        match places.as_slice() {
            [place] => outcome.skip(refused, *place),
            places => {
                let (left, right) = places.split_at(places.len() / 2);
                open.extend([right.to_vec(), left.to_vec()]);
            }
        }
    }
    Ok(())
}

/// The result of one statement.
enum Attempt {
    /// It wrote everything; these things lack a parent.
    Written(HashSet<usize>),
    /// The database refused it.
    Refused(SkipReason),
}

async fn try_write(session: &Session, write: &impl RestoreWrite, places: &[usize]) -> Result<Attempt> {
    match session.run(write.doing(), write.statement(session, places)).await {
        Ok(changed) if write.changes_each() && changed < places.len() as u64 => {
            Ok(Attempt::Refused(SkipReason::Refused))
        }
        Ok(_) if write.is_redirected(session, places).await? => Ok(Attempt::Refused(SkipReason::Refused)),
        Ok(_) => Ok(Attempt::Written(write.orphans(session, places).await?)),
        Err(error) => match error.violation() {
            Some(violation) => Ok(Attempt::Refused(reason_of(violation))),
            None => Err(error),
        },
    }
}

fn reason_of(violation: Violation) -> SkipReason {
    match violation {
        Violation::Unique => SkipReason::Occupied,
        Violation::ForeignKey => SkipReason::ParentGone,
        Violation::Column => SkipReason::TableChanged,
        Violation::Other => SkipReason::Refused,
    }
}
