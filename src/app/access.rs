//! Answers who asks, what they may do, and why not.

use std::collections::BTreeSet;

use super::error::Result;
pub use crate::contract::Principal;
use crate::contract::{Reason, TokenScope};
use crate::plan::{AccessQuery, Facts, check_requester};
use crate::stages::{Context, enter};
use crate::store::host;
use crate::store::ledger::services;

/// A principal, and what their credential may be used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The id of the credential.
    pub credential: String,
    /// The principal who asks.
    pub principal: Principal,
    /// The uses that the credential is good for.
    pub scopes: BTreeSet<TokenScope>,
}

/// Returns every reason why the requester may not ask for this; none if they may. Applies the rule that the planner's
/// guards and the commands apply.
pub async fn check(context: &Context, query: AccessQuery<'_>) -> Result<Vec<Reason>> {
    let session = context.store.snapshot().await?;
    let catalog = enter(&session, context.catalogs.current(), query.org).await?;
    let users = host::read_users(&session, &catalog, query.about.into_iter().chain([query.requester])).await?;
    let services = services::granted(&session, [(query.org, query.requester)]).await?;
    let facts = Facts { users, services, ..Facts::default() };
    Ok(check_requester(&catalog, query, &facts))
}
