//! Notices an organization that does not exist before anything is done for it.

use std::collections::BTreeSet;

use super::error::{Error, Result};
use crate::catalog::Catalog;
use crate::contract::{InvalidRequest, OrgId, Request};
use crate::plan::check_org;
use crate::store::{Store, host};

/// Checks that the host has this organization, if the catalog has organizations: that is one with a user.
pub async fn check(store: &Store, catalog: &Catalog, org: &OrgId) -> Result<()> {
    check_org(catalog, Some(org)).map_err(InvalidRequest::from)?;
    let Some(column) = &catalog.users.org else { return Ok(()) };
    let session = store.snapshot().await?;
    host::enter(&session, catalog, org.as_str()).await?;
    if host::has_organization(&session, catalog, column, org.as_str()).await? {
        return Ok(());
    }
    let others = match catalog.session.is_empty() {
        true => Some(host::count_organizations(&session, catalog, column).await?),
        // Row-level security shows one organization at a time.
        false => None,
    };
    Err(Error::UnknownOrganization { org: org.to_string(), others })
}

/// Checks the organizations of requests, each once. A request about a job has that job's.
pub async fn check_all(store: &Store, catalog: &Catalog, requests: &[Request]) -> Result<()> {
    let of_people = requests.iter().filter(|request| !matches!(request, Request::Job(_)));
    let orgs: BTreeSet<OrgId> = of_people.filter_map(|request| request.header().org_id.cloned()).collect();
    for org in &orgs {
        check(store, catalog, org).await?;
    }
    Ok(())
}
