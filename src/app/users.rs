//! Lists users, what they own by kind and who holds a license; and names one user.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Error, Result};
use crate::catalog::{Catalog, Disposition, SetValue, Status};
use crate::contract::{InvalidRequest, UserId};
use crate::plan::{UserStatus, normalize_user};
use crate::stages::{Context, enter};
use crate::store::host::{self, Person, UserListing, UserSelection};
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
#[derive(Debug, Serialize, JsonSchema)]
pub struct UserWithRecords {
    /// The user.
    #[serde(flatten)]
    pub user: UserListing,
    /// The records, by kind. Kinds without a record are left out.
    pub owns: BTreeMap<String, u64>,
}

/// The users of a list.
#[derive(Debug, Clone)]
pub struct UserFilter {
    /// By status.
    pub status: StatusFilter,
    /// The organization; all of them if there is none.
    pub org: Option<String>,
    /// With this text in the name or the email address.
    pub text: Option<String>,
    /// The user with this id.
    pub id: Option<UserId>,
}

/// The users that pass a filter, read page by page from one snapshot.
pub struct UserPages {
    session: Session,
    catalog: Catalog,
    selection: UserSelection,
    after: Option<String>,
    /// The number of users to leave out before the first page.
    skip: u64,
    /// The number of users still to read.
    rest: u64,
    /// The number of all users that pass.
    pub total: u64,
}

impl UserPages {
    /// Opens the list: at most `limit` users after the first `skip` ones.
    pub async fn open(store: &Store, catalog: Catalog, filter: UserFilter, limit: u64, skip: u64) -> Result<UserPages> {
        let session = store.snapshot().await?;
        let catalog = match filter.org.as_deref() {
            Some(org) => {
                host::enter(&session, &catalog, org).await?;
                catalog.with_users_of(org)
            }
            None if catalog.is_org_isolated() => return Err(Error::OrgRequired),
            None => catalog,
        };
        let statuses = filter.status.values(&catalog.users.status);
        // Without a value for a status, no user can have it.
        let (rest, statuses) = statuses.map_or((0, Vec::new()), |statuses| (limit, statuses));
        let selection = UserSelection { statuses, text: filter.text, id: filter.id };
        let total = if rest == 0 { 0 } else { host::count_users(&session, &catalog, &selection).await? };
        Ok(UserPages { session, catalog, selection, after: None, skip, rest, total })
    }

    /// Begins after the user with this key.
    pub fn after(mut self, key: Option<UserId>) -> UserPages {
        self.after = key.map(String::from);
        self
    }

    /// Reads the next page; an empty one is the end.
    pub async fn next(&mut self) -> Result<Vec<UserWithRecords>> {
        if self.rest == 0 {
            return Ok(Vec::new());
        }
        let bounds = (self.after.as_deref(), std::mem::take(&mut self.skip), PAGE.min(self.rest));
        let page = host::list_users(&self.session, &self.catalog, &self.selection, bounds).await?;
        self.rest = self.rest.saturating_sub(page.len() as u64);
        let Some(last) = page.last() else { return Ok(Vec::new()) };
        self.after = Some(last.id.clone());
        with_records(&self.session, &self.catalog, page).await
    }
}

/// Returns a page of the users of an organization in the order of their keys, after one of them, without counting what they own.
pub async fn page(
    context: &Context,
    filter: UserFilter,
    after: Option<&UserId>,
    limit: u64,
) -> Result<Vec<UserListing>> {
    let session = context.store.snapshot().await?;
    let org = filter.org.as_deref().unwrap_or_default();
    let catalog = enter(&session, context.catalogs.current(), org).await?.with_users_of(org);
    let Some(statuses) = filter.status.values(&catalog.users.status) else { return Ok(Vec::new()) };
    let selection = UserSelection { statuses, text: filter.text, id: filter.id };
    let bounds = (after.map(UserId::as_str), 0, limit);
    Ok(host::list_users(&session, &catalog, &selection, bounds).await?)
}

impl StatusFilter {
    /// The status lists of the Keap help page, by name.
    pub const ALL: [(&str, StatusFilter); 5] = [
        ("active-or-invited", StatusFilter::ActiveOrInvited),
        ("active", StatusFilter::Active),
        ("invited", StatusFilter::Invited),
        ("inactive", StatusFilter::Inactive),
        ("all", StatusFilter::All),
    ];

    /// Returns the list with this name.
    pub fn named(name: &str) -> Option<StatusFilter> {
        StatusFilter::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, status)| status)
    }

    /// Returns the values of the status column; an empty list means all of them. `None` if no user can pass.
    fn values(self, status: &Status) -> Option<Vec<SetValue>> {
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

/// Returns a user, if they are active and of the organization.
pub async fn active(context: &Context, org: &str, user: &UserId) -> Result<Option<Person>> {
    let session = context.store.snapshot().await?;
    let catalog = enter(&session, context.catalogs.current(), org).await?;
    let found = host::users_with_ids(&session, &catalog, org, &[user]).await?;
    Ok(found.into_iter().find(|person| person.status == UserStatus::Active))
}

/// Returns the user whom a person has named, if they are active and of the organization.
pub async fn active_with_id(context: &Context, org: &str, user: &UserId) -> Result<Option<Person>> {
    let mut user = user.clone();
    let key = context.catalogs.current().users.key.clone();
    normalize_user(&key, &mut user, "user_id").map_err(InvalidRequest::from)?;
    active(context, org, &user).await
}

/// The names of users, by id.
#[derive(Debug, Default)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// Returns the name of a user; the id if there is none.
    pub fn of<'n>(&'n self, user: &'n str) -> &'n str {
        self.0.get(user).map_or(user, String::as_str)
    }
}

/// Returns the names of those of these users who exist in the organization.
pub async fn names(context: &Context, org: &str, users: impl IntoIterator<Item = &str>) -> Result<Names> {
    let session = context.store.snapshot().await?;
    let catalog = enter(&session, context.catalogs.current(), org).await?;
    let readable = |user: &str| {
        let mut user = UserId::try_from(user.to_owned()).ok()?;
        normalize_user(&catalog.users.key, &mut user, "user_id").ok()?;
        Some(user)
    };
    let ids: BTreeSet<UserId> = users.into_iter().filter_map(readable).collect();
    let found = host::users_with_ids(&session, &catalog, org, &ids.iter().collect::<Vec<_>>()).await?;
    let named = found.into_iter().filter(|person| !person.name.is_empty());
    Ok(Names(named.map(|person| (person.id.into(), person.name)).collect()))
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
    let counts = host::counts(session, catalog, catalog.references.iter(), &ids, u64::MAX).await?;
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
