//! Snapshots of removed rows and replaced values, as an undo brings them back.

use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::{Catalog, Column, Disposition, ForeignKey, Reference, TableName};
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::row_snapshots::{PendingSnapshot, Restorable};
use crate::store::{Result, Session, host};

/// The kinds that come back when a user returns, besides what the job to be undone has removed.
pub struct ReturningKinds {
    restored: Vec<String>,
    access: Vec<String>,
}

impl ReturningKinds {
    /// Reads the kinds from the catalog. Rows that give access come back with the undo of a job: an earlier undo has left them out
    /// while that job had the user locked out.
    pub fn of(catalog: &Catalog, undone: Option<Uuid>) -> ReturningKinds {
        let kinds = |is_one: &dyn Fn(&Reference) -> bool| {
            catalog.references.iter().filter(|reference| is_one(reference)).map(|found| found.kind.clone()).collect()
        };
        let restored = kinds(&|reference| reference.disposition.restores());
        let access = kinds(&|reference| undone.is_some() && reference.ends_access());
        ReturningKinds { restored, access }
    }

    /// Returns the snapshots that come back with a user, but not those of the job to be undone.
    pub fn snapshots<'r>(&'r self, org: &'r str, user: &'r str, undone: Option<Uuid>) -> Restorable<'r> {
        Restorable { org, user, kinds: &self.restored, kinds_of_undone: &self.access, except: undone }
    }
}

/// Returns the snapshots that come back because the user returns by an undo.
pub fn returning<'r>(job: &'r Job, kinds: &'r ReturningKinds) -> Restorable<'r> {
    kinds.snapshots(&job.org, &job.user_id, job.target)
}

/// Snapshots of one table that come back together.
pub struct Batch<'b> {
    /// The reference that they belong to.
    pub reference: &'b Reference,
    /// Their kind in the journal: the reference's kind, followed by the table for rows that were removed with it.
    pub kind: String,
    /// The table.
    pub table: &'b TableName,
    /// Its columns.
    columns: &'b [Column],
    /// Its foreign keys that can be checked at commit.
    deferrable: &'b [ForeignKey],
    /// The snapshots.
    pub snapshots: Vec<&'b PendingSnapshot>,
}

impl Batch<'_> {
    /// Returns the snapshots' ids.
    pub fn ids(&self) -> Vec<i64> {
        self.snapshots.iter().map(|snapshot| snapshot.id).collect()
    }

    /// Returns true if the snapshots are values that a `set` replaced.
    pub fn is_set(&self) -> bool {
        matches!(self.reference.disposition, Disposition::Set { .. })
    }

    /// Returns the rows for the host.
    pub fn rows(&self) -> host::RowsToRestore<'_> {
        host::RowsToRestore {
            table: self.table,
            columns: self.columns,
            deferrable: self.deferrable,
            copies: self.ids(),
        }
    }
}

/// Groups snapshots by table, in the order in which they come back: parents before their children.
pub fn by_table<'b>(catalog: &'b Catalog, pending: &'b [PendingSnapshot]) -> Vec<Batch<'b>> {
    let mut batches = Vec::new();
    for reference in &catalog.references {
        let of_kind: Vec<&PendingSnapshot> =
            pending.iter().filter(|snapshot| snapshot.kind == reference.kind).collect();
        let own = (&reference.table, &reference.columns, &reference.deferrable, reference.kind.clone());
        let children = reference.disposition.children().iter().map(|child| {
            (&child.table, &child.columns, &child.deferrable, format!("{}/{}", reference.kind, child.table))
        });
        for (table, columns, deferrable, kind) in std::iter::once(own).chain(children) {
            let name = table.to_string();
            let snapshots = of_kind.iter().copied().filter(|snapshot| snapshot.table_name == name).collect();
            batches.push(Batch { reference, kind, table, columns, deferrable, snapshots });
        }
    }
    batches.retain(|batch| !batch.snapshots.is_empty());
    batches
}

/// Separates snapshots whose users are all active from those whose other user is not. `coming` counts as active.
pub async fn split_by_presence(
    session: &Session,
    catalog: &Catalog,
    pending: Vec<PendingSnapshot>,
    coming: Option<&str>,
) -> Result<(Vec<PendingSnapshot>, Vec<PendingSnapshot>)> {
    let between = pending.iter().filter(|snapshot| snapshot.other_user.is_some());
    let users = between.flat_map(|snapshot| [Some(&snapshot.from_user), snapshot.other_user.as_ref()]).flatten();
    let users: HashSet<UserId> = users.filter_map(|user| UserId::try_from(user.clone()).ok()).collect();
    if users.is_empty() {
        return Ok((pending, Vec::new()));
    }
    let found = host::read_users(session, catalog, &users).await?;
    let is_here =
        |user: &str| coming == Some(user) || found.get(user).is_some_and(|user| user.status == UserStatus::Active);
    let is_complete = |snapshot: &PendingSnapshot| {
        snapshot.other_user.as_ref().is_none_or(|other| is_here(other) && is_here(&snapshot.from_user))
    };
    Ok(pending.into_iter().partition(is_complete))
}
