//! The guard on the requester: who may ask for what.

use super::facts::{Facts, UserFacts, UserStatus};
use crate::catalog::{Catalog, Permission};
use crate::contract::{Reason, RequestType, UserId};
use crate::job::reason;

/// A question of access: may this requester ask for this?
#[derive(Debug, Clone, Copy)]
pub struct AccessQuery<'r> {
    /// The request type.
    pub kind: RequestType,
    /// The organization of the request.
    pub org: &'r str,
    /// The requester.
    pub requester: &'r UserId,
    /// The user whom the request concerns.
    pub about: Option<&'r UserId>,
}

/// Checks that the requester may ask for this. A request type that the catalog's `may` does not name takes the rule of
/// `deactivate`. The planner, the commands and `app::access` all call this function.
pub fn check_requester(catalog: &Catalog, query: AccessQuery<'_>, facts: &Facts) -> Vec<Reason> {
    let is_about_self = query.about == Some(query.requester);
    if is_about_self && query.kind == RequestType::Deactivate {
        return vec![reason::requester_is_leaver(query.requester.as_str())];
    }
    // Invited users are not active yet, and accept their own invitations.
    if is_about_self && query.kind == RequestType::AcceptInvitation {
        return Vec::new();
    }
    let refuse = |cause: &str| vec![reason::requester_not_permitted(query.requester.as_str(), cause)];
    if let Some(name) = query.requester.service() {
        return check_service(catalog, query, name, facts).map(refuse).unwrap_or_default();
    }
    let Some(requester) = facts.users.get(query.requester.as_str()) else {
        return refuse("there is no such user");
    };
    if requester.org != query.org {
        return refuse("they do not belong to the organization of the request");
    }
    if requester.status != UserStatus::Active {
        return refuse("they are not active");
    }
    let about = query.about.and_then(|user| facts.users.get(user.as_str()));
    let may = &catalog.users.may;
    match may.get(&query.kind).or_else(|| may.get(&RequestType::Deactivate)) {
        Some(permissions) if !permissions.iter().any(|permission| permits(permission, requester, about)) => {
            let wants: Vec<String> = permissions.iter().map(describe).collect();
            refuse(&format!("they need {}", wants.join(", or ")))
        }
        Some(_) | None => Vec::new(),
    }
}

/// Returns why a service may not ask for this: it has a grant of its own, and the catalog's rules are about users.
fn check_service(catalog: &Catalog, query: AccessQuery<'_>, name: &str, facts: &Facts) -> Option<&'static str> {
    let invites = matches!(query.kind, RequestType::Invite | RequestType::ResendInvitation);
    let names_inviter = catalog.invitations.as_ref().is_some_and(|invitations| invitations.invited_by.is_some());
    match facts.services.get(&(query.org.to_owned(), name.to_owned())) {
        None => Some("the organization of the request has no such service"),
        Some(granted) if !granted.contains(&query.kind) => Some("the service has no grant for this request type"),
        Some(_) if invites && names_inviter => Some("an invitation names the user who invites, and a service is none"),
        Some(_) => None,
    }
}

fn permits(permission: &Permission, requester: &UserFacts, leaver: Option<&UserFacts>) -> bool {
    let of = permission.of.as_ref();
    requester.meets(&permission.requester)
        && of.is_none_or(|condition| leaver.is_some_and(|leaver| leaver.meets(condition)))
}

fn describe(permission: &Permission) -> String {
    match &permission.of {
        None => permission.requester.describe(),
        Some(of) => format!("{} (for users with {} only)", permission.requester.describe(), of.describe()),
    }
}
