//! The rows that guards over the last of a group lock.

use std::collections::BTreeSet;

use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, UserId};
use crate::plan::Scope;
use crate::store::{Result, Session, host};

/// Locks the rows of everybody who shares a group with a leaver, for the guards of a scope. If other jobs change such rows by another
/// column, it takes their lock first: they hold it while they wait for these rows.
///
/// Locks: as [`host::lock_shared_rows`], then as [`host::lock_group_rows`], reference by reference.
pub async fn lock_guard_rows(
    session: &Session,
    catalog: &Catalog,
    requests: &[&HandoverRequest],
    scope: Scope,
) -> Result<()> {
    // The end of access waits for no other job's records.
    if scope == Scope::Whole && catalog.guards_shared_rows() {
        let orgs: BTreeSet<&str> = requests.iter().map(|request| request.org()).collect();
        host::lock_shared_rows(session, &orgs).await?;
    }
    let leavers: Vec<&UserId> = requests.iter().map(|request| &request.user_id).collect();
    for reference in catalog.references.iter().filter(|reference| scope.has(reference)) {
        host::lock_group_rows(session, reference, &leavers).await?;
    }
    Ok(())
}
