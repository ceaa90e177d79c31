//! Licenses: gives users theirs, and reads from a job's certificate what happened to one.

use serde::Deserialize;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::contract::{LicenseOutcome, Reason};
use crate::job::reason;
use crate::plan::{UserFacts, is_license_exempt};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::row_snapshots::{self, SnapshotOutcome};
use crate::store::{Error, Result, Session, host};

/// Makes sure that a user has a license, if they need one. Returns a reason if none is free.
pub async fn take_license(
    session: &Session,
    catalog: &Catalog,
    user: &UserFacts,
) -> Result<std::result::Result<LicenseOutcome, Reason>> {
    if catalog.license.is_none() {
        return Ok(Ok(LicenseOutcome::None));
    }
    if is_license_exempt(catalog, user) {
        return Ok(Ok(LicenseOutcome::Exempt));
    }
    match host::take_license(session, catalog, &user.org, &user.id).await? {
        true => Ok(Ok(LicenseOutcome::Taken)),
        false => Ok(Err(reason::no_license_free(user.id.as_str()))),
    }
}

/// Gives the leaver of a job the licenses back that the job has freed, by its undo, if they still need any. Returns a reason if
/// too few are free; nothing has changed then.
pub async fn give_licenses_back(
    session: &Session,
    catalog: &Catalog,
    user: &UserFacts,
    (target, by): (Uuid, Uuid),
) -> Result<std::result::Result<(), Reason>> {
    let freed = row_snapshots::freed_licenses(session, target).await?;
    if freed.is_empty() || is_license_exempt(catalog, user) {
        return Ok(Ok(()));
    }
    if !host::can_restore_licenses(session, catalog, &user.org, &user.id, &freed).await? {
        return Ok(Err(reason::no_license_free(user.id.as_str())));
    }
    host::restore_licenses(session, catalog, &user.org, &user.id, &freed).await?;
    row_snapshots::set_outcome(session, &freed, SnapshotOutcome::Restored { by }).await?;
    Ok(Ok(()))
}

/// Returns what a job's certificate says about the license, if it has one.
pub fn certified_license(job: &Job) -> Result<Option<LicenseOutcome>> {
    let Some(certificate) = &job.certificate else { return Ok(None) };
    let unreadable = |error: serde_json::Error| Error::unexpected("reading a certificate", error.to_string());
    LicenseOutcome::deserialize(&certificate["license"]).map(Some).map_err(unreadable)
}
