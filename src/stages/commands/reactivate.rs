//! Reactivating a user who has left.

use crate::contract::{JobId, LicenseOutcome, Reason, UserId};
use crate::job::reason;
use crate::plan::{UserStatus, missing_fields};
use crate::stages::commands::context::CommandContext;
use crate::stages::license::take_license;
use crate::stages::undo::begin::open;
use crate::store::ledger::jobs;
use crate::store::{Result, host};

/// Reactivates a user who has left. Records stay with their successors; what the catalog restores comes back.
pub async fn reactivate(command: &mut CommandContext<'_>, user: &UserId) -> Result<Vec<Reason>> {
    let mut reasons = Vec::new();
    let Some(found) = command.facts.users.get(user.as_str()) else {
        return Ok(vec![reason::unknown_user(user.as_str())]);
    };
    if found.org != command.own.job.org {
        return Ok(vec![reason::other_organization(user.as_str())]);
    }
    match &found.status {
        UserStatus::Inactive => {}
        UserStatus::Active => reasons.push(reason::already_active(user.as_str())),
        UserStatus::Invited => reasons.push(reason::invited(user.as_str())),
        UserStatus::Other(status) => reasons.push(reason::not_active(user.as_str(), status)),
    }
    let missing = missing_fields(command.catalog, found);
    if !missing.is_empty() {
        reasons.push(reason::incomplete_profile(user.as_str(), missing));
    }
    if let Some(open) = found.other_open_job(JobId(command.own.job.id)) {
        reasons.push(reason::job_under_way(user.as_str(), open.id));
    }
    if !reasons.is_empty() {
        return Ok(reasons);
    }
    let license = match take_license(command.session, command.catalog, found).await? {
        Ok(license) => license,
        Err(reason) => return Ok(vec![reason]),
    };
    host::set_status(command.session, command.catalog, user, UserStatus::Inactive, UserStatus::Active).await?;
    jobs::end_recounts(command.session, &command.own.job.org, user.as_str()).await?;
    command.own.job.license_exempt = license == LicenseOutcome::Exempt;
    let progress = open(&mut command.own, command.context, command.now)?;
    command.changes.progress(progress);
    Ok(Vec::new())
}
