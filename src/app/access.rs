//! Answers whether a user may ask for something, and if not, why.

use super::error::Result;
use crate::contract::Reason;
use crate::plan::{AccessQuery, Facts, check_requester};
use crate::stages::{Context, enter};
use crate::store::host;

/// Returns every reason why the requester may not ask for this; none if they may. Applies the rule that the planner's
/// guards and the commands apply.
pub async fn check(context: &Context, query: AccessQuery<'_>) -> Result<Vec<Reason>> {
    let session = context.store.snapshot().await?;
    let catalog = enter(&session, context.catalogs.current(), query.org).await?;
    let users = host::read_users(&session, &catalog, query.about.into_iter().chain([query.requester])).await?;
    let facts = Facts { users, ..Facts::default() };
    Ok(check_requester(&catalog, query, &facts))
}
