//! Snapshots of removed rows and replaced values, as an undo brings them back.

use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::{Catalog, Column, Disposition, Following, ForeignKey, Link, Place, Reference};
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::row_snapshots::{PendingSnapshot, Restorable};
use crate::store::{Result, Session, host};

/// Returns the kinds of all snapshots that a reference makes: of its own rows, and of those that follow them.
pub fn snapshot_kinds(reference: &Reference) -> Vec<String> {
    places(reference).into_iter().map(|(kind, _)| kind).collect()
}

/// Returns the kinds of the snapshots of rows that other references may have removed from a reference's table, after it moved them.
pub fn kinds_removed_by_others(catalog: &Catalog, reference: &Reference) -> Vec<String> {
    let others = catalog.references.iter().filter(|other| other.kind != reference.kind);
    let removed = others.flat_map(|other| {
        places(other).into_iter().filter_map(move |(kind, of)| match of {
            SnapshotOf::Removed(place) => (other.table_at(place) == &reference.table).then_some(kind),
            SnapshotOf::Set | SnapshotOf::Emptied(_) => None,
        })
    });
    removed.collect()
}

/// The rows or values that the snapshots of a kind hold.
#[derive(Clone, Copy)]
pub enum SnapshotOf<'b> {
    /// Rows of the table at this place that were removed.
    Removed(Place),
    /// Rows of which a `set` replaced values.
    Set,
    /// Rows of which a link was emptied.
    Emptied(&'b Link),
}

/// Returns what a reference takes snapshots of, by kind, in the order in which it comes back: parents before their children.
fn places(reference: &Reference) -> Vec<(String, SnapshotOf<'_>)> {
    let own = match reference.disposition {
        Disposition::Set { .. } => SnapshotOf::Set,
        Disposition::Transfer { .. }
        | Disposition::Detach { .. }
        | Disposition::Purge { .. }
        | Disposition::Block { .. }
        | Disposition::Keep => SnapshotOf::Removed(None),
    };
    let mut places = vec![(reference.kind.clone(), own)];
    let Some(followers) = reference.disposition.followers() else { return places };
    for place in std::iter::once(None).chain((0..followers.tables.len()).map(Some)) {
        if followers.removes_from(place) {
            places.push((reference.removed_kind(reference.table_at(place)), SnapshotOf::Removed(place)));
        }
    }
    for link in followers.with_effect(Following::Emptied) {
        places.push((reference.emptied_kind(reference.table_at(link.child), link), SnapshotOf::Emptied(link)));
    }
    places
}

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
            catalog.references.iter().filter(|reference| is_one(reference)).flat_map(snapshot_kinds).collect()
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

/// Snapshots of one kind that come back together.
pub struct Batch<'b> {
    /// The reference that they belong to.
    pub reference: &'b Reference,
    /// Their kind in the journal.
    pub kind: String,
    /// The rows or values that they hold.
    pub of: SnapshotOf<'b>,
    /// The snapshots.
    pub snapshots: Vec<&'b PendingSnapshot>,
}

impl Batch<'_> {
    /// Returns the snapshots' ids.
    pub fn ids(&self) -> Vec<i64> {
        self.snapshots.iter().map(|snapshot| snapshot.id).collect()
    }

    /// Returns the removed rows for the host, if the snapshots are of some.
    pub fn rows(&self) -> Option<host::RowsToRestore<'_>> {
        let SnapshotOf::Removed(place) = self.of else { return None };
        let (columns, deferrable) = self.columns_at(place);
        Some(host::RowsToRestore { table: self.reference.table_at(place), columns, deferrable, copies: self.ids() })
    }

    /// Returns the emptied rows for the host, if the snapshots are of some.
    pub fn emptied(&self) -> Option<host::EmptiedRows<'_>> {
        let SnapshotOf::Emptied(link) = self.of else { return None };
        let (table, key) = (self.reference.table_at(link.child), self.reference.key_at(link.child));
        let (_, deferrable) = self.columns_at(link.child);
        Some(host::EmptiedRows { table, key, link, deferrable, copies: self.ids() })
    }

    fn columns_at(&self, place: Place) -> (&[Column], &[ForeignKey]) {
        let follower = place.and_then(|place| self.reference.disposition.followers()?.tables.get(place));
        follower.map_or((&self.reference.columns, &self.reference.deferrable), |follower| {
            (&follower.columns, &follower.deferrable)
        })
    }
}

/// Groups snapshots by kind, in the order in which they come back: parents before their children.
pub fn by_kind<'b>(catalog: &'b Catalog, pending: &'b [PendingSnapshot]) -> Vec<Batch<'b>> {
    let mut batches = Vec::new();
    for reference in &catalog.references {
        for (kind, of) in places(reference) {
            let snapshots = pending.iter().filter(|snapshot| snapshot.kind == kind).collect();
            batches.push(Batch { reference, kind, of, snapshots });
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
