//! The ways in which a database makes the changes that the statements describe.
//!
//! A strategy receives the changes of one table for a group of leavers, in order, so that it is free to combine them.

mod fast_path;
mod journal_first;
mod journal_rows;
mod single_statement;
mod triggers;
mod working_set;

use super::journal_write::JournalRow;
use super::statements::RowChange;
use crate::store::{Result, Session};

/// A way to make changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// One statement changes the rows and writes journal and snapshots from what the change returned.
    SingleStatement,
    /// Rows are locked and journaled; snapshots are taken; rows are changed; the counts are compared.
    JournalFirst,
}

impl Strategy {
    /// Returns the strategy for a session's database.
    pub fn of(session: &Session) -> Strategy {
        match session.capabilities().writable_ctes {
            true => Strategy::SingleStatement,
            false => Strategy::JournalFirst,
        }
    }

    /// Makes changes of one table, in order, and returns what was journaled of them.
    pub async fn run(self, session: &Session, changes: &[RowChange<'_>]) -> Result<Vec<JournalRow>> {
        let mut rows = Vec::new();
        for change in changes {
            // The rows are read back before the commit.
            if change.fires_triggers() && change.reference.fires.is_deferred {
                session.check_constraints_at_once().await?;
            }
            rows.extend(match self.for_change(session, change) {
                Strategy::SingleStatement => single_statement::run(session, change).await?,
                Strategy::JournalFirst => journal_first::run(session, change).await?,
            });
        }
        Ok(rows)
    }

    /// Returns the strategy for a change. If a row's address changes with the row, it says nothing afterwards: such rows
    /// without keys are changed by one statement. Rows that others follow are locked first, and so are rows of which a
    /// trigger decides what they become: that shows only afterwards.
    fn for_change(self, session: &Session, change: &RowChange<'_>) -> Strategy {
        let is_unstable = change.reference.keyless && !session.capabilities().stable_row_addresses;
        match (is_unstable, change.has_followers() || change.fires_triggers()) {
            (true, _) => Strategy::SingleStatement,
            (false, true) => Strategy::JournalFirst,
            (false, false) => self,
        }
    }
}
