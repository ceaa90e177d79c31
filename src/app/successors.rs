//! Lists who may receive a leaver's records, and of everybody else, why not. The planner's own guard decides.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::error::Result;
use crate::catalog::{Catalog, Eligible, Reference};
use crate::contract::{InvalidRequest, Reason, UserId};
use crate::plan::{Facts, check_successor, normalize_user};
use crate::stages::{Context, enter};
use crate::store::Session;
use crate::store::host::{self, UserListing, UserSelection};

/// Records of a candidate that are counted, at most.
const MOST_COUNTED: u64 = 1_000;

/// A user of the leaver's organization, and whether they may receive records of a kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Candidate {
    /// The user.
    #[serde(flatten)]
    pub user: UserListing,
    /// The records of the kind that they own now.
    pub owns: u64,
    /// False if they own more than were counted.
    pub exact: bool,
    /// Why they may not receive any; absent if they may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
}

/// The question who may receive records.
#[derive(Debug, Clone, Copy)]
pub struct Query<'q> {
    /// The organization.
    pub org: &'q str,
    /// The leaver.
    pub leaver: &'q UserId,
    /// The kind of the records.
    pub kind: &'q str,
}

/// Returns a page of the candidates in the order of their keys, after one of them. `None` if no records of this kind are allotted.
pub async fn page(
    context: &Context,
    query: Query<'_>,
    after: Option<&UserId>,
    limit: u64,
) -> Result<Option<Vec<Candidate>>> {
    let session = context.store.snapshot().await?;
    let catalog = enter(&session, context.catalogs.current(), query.org).await?.with_users_of(query.org);
    let Some(reference) = catalog.reference(query.kind).filter(|found| found.disposition.is_allotted()) else {
        return Ok(None);
    };
    let mut leaver = query.leaver.clone();
    normalize_user(&catalog.users.key, &mut leaver, "leaver").map_err(InvalidRequest::from)?;
    let after = after.map(UserId::as_str);
    let listed = host::list_users(&session, &catalog, &UserSelection::default(), (after, 0, limit)).await?;
    let ids: Vec<UserId> = listed.iter().filter_map(|user| UserId::try_from(user.id.clone()).ok()).collect();
    let facts = facts(&session, &catalog, reference, query.org, &ids).await?;
    let ids: Vec<&UserId> = ids.iter().collect();
    let counts = host::counts(&session, &catalog, std::iter::once(reference), &ids, MOST_COUNTED).await?;
    let candidate = |user: UserListing| {
        let count = counts.get(&(user.id.clone(), reference.position));
        let id = UserId::try_from(user.id.clone()).ok();
        let refused = id.and_then(|id| check_successor(&catalog, &facts, reference, (query.org, &leaver), &id));
        Candidate {
            owns: count.map_or(0, |count| count.rows),
            exact: count.is_none_or(|count| count.exact),
            refused,
            user,
        }
    };
    Ok(Some(listed.into_iter().map(candidate).collect()))
}

async fn facts(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    org: &str,
    ids: &[UserId],
) -> Result<Facts> {
    let users = host::read_users(session, catalog, ids).await?;
    let groups = match reference.disposition.eligible() {
        Some(Eligible::Group(group)) => {
            let among: Vec<&UserId> = ids.iter().collect();
            host::group_members(session, catalog, &[org].into(), [group.as_str()], Some(&among)).await?
        }
        Some(Eligible::Users(_)) | None => HashMap::new(),
    };
    Ok(Facts { users, groups, ..Facts::default() })
}
