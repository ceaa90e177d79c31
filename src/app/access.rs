//! Answers who asks, what they may do, and why not.

use std::collections::BTreeSet;

use super::error::Result;
use crate::contract::{InvalidId, Reason, TokenScope, UserId};
use crate::plan::{AccessQuery, Facts, check_requester};
use crate::stages::{Context, enter};
use crate::store::host;
use crate::store::ledger::services;

/// The principal who asks, as a door has established it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user of the host.
    Person {
        /// The organization; empty if the host has none.
        org: String,
        /// The user.
        user: UserId,
    },
    /// An application, with a grant of its own in one organization.
    Service {
        /// The organization; empty if the host has none.
        org: String,
        /// Its name.
        name: String,
    },
    /// A person who operates Handover, for all organizations. An operator sends no requests.
    Operator {
        /// The name.
        name: String,
    },
}

impl Principal {
    /// Returns the organization; nothing for an operator.
    pub fn org(&self) -> Option<&str> {
        match self {
            Principal::Person { org, .. } | Principal::Service { org, .. } => Some(org),
            Principal::Operator { .. } => None,
        }
    }

    /// Returns who a request is from, as requests and the audit trail name them.
    pub fn actor(&self) -> std::result::Result<UserId, InvalidId> {
        match self {
            Principal::Person { user, .. } => Ok(user.clone()),
            Principal::Service { name, .. } => UserId::of_service(name),
            Principal::Operator { name } => UserId::try_from(format!("operator:{name}")),
        }
    }
}

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
