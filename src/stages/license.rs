//! Licenses of users who come or come back.

use crate::catalog::Catalog;
use crate::contract::{LicenseOutcome, Reason};
use crate::job::reason;
use crate::plan::{UserFacts, is_license_exempt};
use crate::store::ledger::jobs::Job;
use crate::store::{Result, Session, host};

/// Gives a user a license: one that they hold already, or a free one. Returns the reason if none is free.
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

/// Returns true if a job has freed a license, which its undo takes again.
pub fn freed_a_license(target: &Job) -> bool {
    target.certificate.as_ref().is_some_and(|certificate| certificate["license"] == "freed")
}
