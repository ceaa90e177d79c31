//! The context of a command.

use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::plan::Facts;
use crate::stages::changes::LedgerChanges;
use crate::stages::context::Context;
use crate::stages::lifecycle::JobChange;
use crate::store::Session;

/// The context of a command.
pub struct CommandContext<'c> {
    /// The command's transaction.
    pub session: &'c Session,
    /// The stages' context.
    pub context: &'c Context,
    /// The catalog of new jobs.
    pub catalog: &'c Catalog,
    /// The requester and the user concerned.
    pub facts: Facts,
    /// The command's own job. It is completed, unless the command opens it.
    pub own: JobChange,
    /// The command's changes besides its own job. A rejected command changes nothing.
    pub changes: LedgerChanges,
    /// The time of the command.
    pub now: OffsetDateTime,
}

impl CommandContext<'_> {
    /// Saves a change of the job that the command is about, in the name of the command's requester.
    pub fn save(&mut self, change: JobChange) {
        change.by(&self.own.job.requested_by).save(&mut self.changes);
    }
}
