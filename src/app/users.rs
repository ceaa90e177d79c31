//! Lists users, what they own by kind and who holds a license; and names one user.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::{Error, Result};
use crate::catalog::{Catalog, Disposition, Status};
use crate::contract::UserId;
use crate::stages::{Context, enter};
use crate::store::host::{self, UserListing};
use crate::store::{Session, Store};

/// Users per page. Records are counted for a page at once.
const PAGE: u64 = 200;

/// The users to list, by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// Active users.
    Active,
    /// Invited users.
    Invited,
    /// Active and invited users.
    ActiveOrInvited,
    /// Inactive users.
    Inactive,
    /// Every user, also those whose status the catalog does not name.
    All,
}

/// A user and the number of records that they own, by kind.
#[derive(Debug, Serialize)]
pub struct UserWithRecords {
    /// The user.
    #[serde(flatten)]
    pub user: UserListing,
    /// The records, by kind. Kinds without a record are left out.
    pub owns: BTreeMap<String, u64>,
}

/// The users that pass a filter, read page by page from one snapshot.
pub struct UserPages {
    session: Session,
    catalog: Catalog,
    /// The values of the status column; `None` if no user can pass.
    statuses: Option<Vec<String>>,
    after: Option<String>,
}

impl UserPages {
    /// Opens the list, of one organization or of all of them.
    pub async fn open(store: &Store, catalog: Catalog, filter: StatusFilter, org: Option<&str>) -> Result<UserPages> {
        let session = store.snapshot().await?;
        let catalog = match org {
            Some(org) => {
                host::enter(&session, &catalog, org).await?;
                catalog.with_users_of(org)
            }
            None if catalog.is_org_isolated() => return Err(Error::OrgRequired),
            None => catalog,
        };
        let statuses = filter.values(&catalog.users.status);
        Ok(UserPages { session, catalog, statuses, after: None })
    }

    /// Reads the next page; an empty one is the end.
    pub async fn next(&mut self) -> Result<Vec<UserWithRecords>> {
        let Some(statuses) = &self.statuses else { return Ok(Vec::new()) };
        let statuses: Vec<&str> = statuses.iter().map(String::as_str).collect();
        let page = host::list_users(&self.session, &self.catalog, &statuses, self.after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(Vec::new()) };
        self.after = Some(last.id.clone());
        with_records(&self.session, &self.catalog, page).await
    }
}

impl StatusFilter {
    /// Returns the values of the status column; an empty list means all of them. `None` if no user can pass.
    fn values(self, status: &Status) -> Option<Vec<String>> {
        let (active, invited) = (Some(status.active.clone()), status.invited.clone());
        match self {
            StatusFilter::Active => Some(active.into_iter().collect()),
            StatusFilter::Invited => invited.map(|invited| vec![invited]),
            StatusFilter::ActiveOrInvited => Some(active.into_iter().chain(invited).collect()),
            StatusFilter::Inactive => Some(vec![status.inactive.clone()]),
            StatusFilter::All => Some(Vec::new()),
        }
    }
}

/// Returns the name of a user; none if the organization has no such user.
pub async fn name(context: &Context, org: &str, user: &UserId) -> Result<Option<String>> {
    let session = context.store.snapshot().await?;
    let catalog = enter(&session, context.catalogs.current(), org).await?;
    let profile = host::name_and_email(&session, &catalog, user).await;
    Ok(match profile {
        // The id is none that the column can hold.
        Err(error) if error.is_refused() => None,
        profile => profile?.map(|(name, _)| name),
    })
}

async fn with_records(session: &Session, catalog: &Catalog, page: Vec<UserListing>) -> Result<Vec<UserWithRecords>> {
    let ids: Vec<UserId> = page.iter().filter_map(|user| UserId::try_from(user.id.clone()).ok()).collect();
    let ids: Vec<&UserId> = ids.iter().collect();
    let counts = host::counts(session, catalog, &ids, u64::MAX).await?;
    let transferred = catalog.references.iter().filter(|r| matches!(r.disposition, Disposition::Transfer { .. }));
    let transferred: Vec<(usize, &str)> = transferred.map(|r| (r.position, r.kind.as_str())).collect();
    let owns = |user: &UserListing| {
        let count = |(position, kind): &(usize, &str)| {
            let count = counts.get(&(user.id.clone(), *position))?;
            (count.rows > 0).then(|| ((*kind).to_owned(), count.rows))
        };
        transferred.iter().filter_map(count).collect()
    };
    Ok(page.into_iter().map(|user| UserWithRecords { owns: owns(&user), user }).collect())
}
