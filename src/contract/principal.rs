//! Principals: who asks, as a door has established it.

use super::{InvalidId, RequestHeader, UserId};

/// The principal who asks.
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

/// A claim of a request that its principal does not confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherClaim {
    /// It names another organization.
    Organization,
    /// It names another requester.
    Requester,
}

impl OtherClaim {
    /// Returns the claim in words.
    pub fn name(self) -> &'static str {
        match self {
            OtherClaim::Organization => "organization",
            OtherClaim::Requester => "requester",
        }
    }

    /// Returns the field of the request.
    pub fn field(self) -> &'static str {
        match self {
            OtherClaim::Organization => "org_id",
            OtherClaim::Requester => "requested_by",
        }
    }
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
    pub fn actor(&self) -> Result<UserId, InvalidId> {
        match self {
            Principal::Person { user, .. } => Ok(user.clone()),
            Principal::Service { name, .. } => UserId::of_service(name),
            Principal::Operator { name } => UserId::try_from(format!("operator:{name}")),
        }
    }

    /// Returns the fields of a request that the principal states, unless its body does.
    pub fn stated(&self) -> Result<Vec<(&'static str, String)>, InvalidId> {
        let actor = (OtherClaim::Requester.field(), self.actor()?.to_string());
        // A host without organizations has none to state.
        let org = self.org().filter(|org| !org.is_empty());
        let org = org.map(|org| (OtherClaim::Organization.field(), org.to_owned()));
        Ok([actor].into_iter().chain(org).collect())
    }

    /// Returns what a request claims of another principal, if it does.
    pub fn other_claim(&self, header: RequestHeader<'_>) -> Option<OtherClaim> {
        if self.org() != Some(header.org()) {
            return Some(OtherClaim::Organization);
        }
        let is_own = self.actor().is_ok_and(|actor| actor == *header.requested_by);
        (!is_own).then_some(OtherClaim::Requester)
    }
}
