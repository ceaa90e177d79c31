//! The guards: a request and the facts go in; a plan, or every reason against it, comes out.

mod allotments;

use std::collections::{BTreeMap, HashMap};

use time::OffsetDateTime;

pub use self::allotments::check_successor;
use self::allotments::deal_allotment;
use super::deal::Deal;
use super::facts::{Facts, LeaverFindings, UserFacts, UserStatus};
use super::planned::{Decision, Plan, Planned};
use super::requester::{AccessQuery, check_requester};
use super::token::PlanToken;
use crate::catalog::{Catalog, Column, Disposition, Reference, When};
use crate::contract::{Allotment, Drift, Extras, GuardClass, HandoverRequest, Reason, RequestType, UserId};
use crate::job::reason;

/// Most reasons that a refusal lists.
const MOST_REASONS: usize = 1_000;

/// The occasion on which a request is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It is asked for, or amended, or previewed.
    Request,
    /// It was accepted earlier, and begins now.
    Start,
}

/// The guards that are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every guard.
    Whole,
    /// Guards of the class access, which need the users' rows alone. A lock-out that passes them ends access. Its other guards are
    /// evaluated later.
    Access,
}

/// Decides on a request. Every guard of the scope is evaluated, so that a refusal lists every reason.
///
/// `now` tells whether a lock-out is due. Until then it is bound by the user's open job like any other request.
pub fn check_guards(
    catalog: &Catalog,
    request: &HandoverRequest,
    facts: &Facts,
    findings: &LeaverFindings,
    scope: Scope,
    occasion: Occasion,
    now: OffsetDateTime,
) -> Decision {
    if let Some(reason) = check_organization(request, facts) {
        return Decision::Rejected(vec![reason]);
    }
    let mut reasons = match (occasion, request.lock_out) {
        // A lock-out that was validly ordered stays in force, whatever has become of its requester.
        (Occasion::Start, true) => Vec::new(),
        (Occasion::Start, false) | (Occasion::Request, _) => check_access(catalog, request, facts),
    };
    let Some(leaver) = facts.users.get(request.user_id.as_str()) else {
        reasons.insert(0, reason::unknown_user(request.user_id.as_str()));
        return Decision::Rejected(reasons);
    };
    reasons.extend(check_leaver(catalog, request, leaver));
    let mut plan = Plan { license_exempt: is_license_exempt(catalog, leaver), ..Plan::default() };
    // A lock-out never waits for those who give the user records: they check their successors again in each transaction.
    plan.wait_for = leaver.receives_from.filter(|_| !request.lock_out);
    reasons.extend(check_open_job(request, leaver, now, &mut plan));
    let requester = facts.users.get(request.requested_by.as_str());
    let counts = |reference: &&Reference| scope.has(reference) && counts_for(reference, request, leaver, requester);
    for reference in catalog.references.iter().filter(counts) {
        let planned = check_reference(catalog, request, facts, findings, leaver, reference, &mut reasons);
        plan.references.push(planned);
    }
    match scope {
        Scope::Whole => {
            plan.without_effect = without_effect(catalog, request, &plan);
            reasons.extend(check_drift(catalog, request, facts, &plan));
            decide(request, plan, reasons)
        }
        Scope::Access => decide_on_access(plan, reasons),
    }
}

impl Scope {
    /// True if the guards of a reference are evaluated.
    pub fn has(self, reference: &Reference) -> bool {
        match self {
            Scope::Whole => true,
            Scope::Access => reference.own_row,
        }
    }
}

fn decide(request: &HandoverRequest, plan: Plan, reasons: Vec<Reason>) -> Decision {
    let binds = |reason: &Reason| !request.lock_out || is_about_access(reason);
    match (reasons.is_empty(), reasons.iter().any(binds)) {
        (true, _) => Decision::Accepted(plan),
        (false, false) => Decision::LockedOut(plan, within_bounds(reasons)),
        (false, true) => Decision::Rejected(within_bounds(reasons)),
    }
}

fn decide_on_access(plan: Plan, mut reasons: Vec<Reason>) -> Decision {
    reasons.retain(is_about_access);
    match reasons.is_empty() {
        true => Decision::LockedOut(plan, vec![reason::handover_unchecked()]),
        false => Decision::Rejected(reasons),
    }
}

fn is_about_access(reason: &Reason) -> bool {
    reason.code.guard_class() == GuardClass::Access
}

/// Checks that a user returns later than now. A job that was accepted in time may start late: this guard is about new requests
/// only.
pub fn check_return(request: &HandoverRequest, now: OffsetDateTime) -> Option<Reason> {
    let is_past = request.return_at.is_some_and(|at| at <= now);
    is_past.then(|| reason::return_in_past(request.user_id.as_str()))
}

/// True if a user needs no license.
pub fn is_license_exempt(catalog: &Catalog, user: &UserFacts) -> bool {
    let exempt = catalog.license.as_ref().and_then(|license| license.exempt.as_ref());
    exempt.is_some_and(|condition| user.meets(condition))
}

/// Lists the required fields of a user's profile that are empty.
pub fn missing_fields(catalog: &Catalog, user: &UserFacts) -> Vec<String> {
    let empty = |column: &&Column| {
        user.columns.get(&column.name).and_then(Option::as_deref).is_none_or(|text| text.trim().is_empty())
    };
    catalog.users.required.iter().filter(empty).map(|column| column.name.clone()).collect()
}

/// Checks that the leaver or the requester belongs to the organization. If neither does, the organization is wrong, and no other
/// guard says anything of use.
fn check_organization(request: &HandoverRequest, facts: &Facts) -> Option<Reason> {
    let org = request.org_id.as_ref()?.as_str();
    let (user, requester) = (request.user_id.as_str(), request.requested_by.as_str());
    let is_elsewhere = |user: &str| facts.users.get(user).is_none_or(|found| found.org != org);
    let is_wrong = is_elsewhere(user) && is_elsewhere(requester);
    is_wrong.then(|| reason::wrong_organization(org, user, requester))
}

fn check_access(catalog: &Catalog, request: &HandoverRequest, facts: &Facts) -> Vec<Reason> {
    let query = AccessQuery {
        kind: request.kind,
        org: request.org(),
        requester: &request.requested_by,
        about: Some(&request.user_id),
    };
    check_requester(catalog, query, facts)
}

fn check_leaver(catalog: &Catalog, request: &HandoverRequest, leaver: &UserFacts) -> Vec<Reason> {
    let id = leaver.id.as_str();
    let mut reasons = Vec::new();
    if leaver.org != request.org() {
        // A request learns nothing else about another organization's user.
        return vec![reason::other_organization(id)];
    }
    // A `reassign` moves records of anyone.
    if request.kind == RequestType::Reassign {
        return reasons;
    }
    match &leaver.status {
        UserStatus::Active => {}
        // Locked out by this very job.
        UserStatus::Inactive if leaver.is_locked_out_by(request.job_id()) => {}
        UserStatus::Inactive => reasons.push(reason::already_inactive(id)),
        UserStatus::Invited => reasons.push(reason::invited(id)),
        UserStatus::Other(status) => reasons.push(reason::not_active(id, status)),
    }
    let missing = missing_fields(catalog, leaver);
    if !missing.is_empty() {
        reasons.push(reason::incomplete_profile(id, missing));
    }
    reasons
}

/// Decides what becomes of the other open jobs of the leaver. A lock-out that is due takes the place of the last one if that has
/// changed nothing, and otherwise waits for it with the access ended. Any other request is refused.
fn check_open_job(
    request: &HandoverRequest,
    leaver: &UserFacts,
    now: OffsetDateTime,
    plan: &mut Plan,
) -> Option<Reason> {
    if leaver.org != request.org() {
        return None;
    }
    let own = request.job_id();
    // The other open jobs wait for this one.
    if leaver.open_job(own).is_some_and(|job| job.wait_for.is_none()) {
        return None;
    }
    // A scheduled job that is evaluated again when it is due finds itself open.
    let before = leaver.job_before(own)?;
    let is_due = request.effective_at.is_none_or(|at| at <= now);
    let locks_out = request.lock_out && is_due && leaver.status == UserStatus::Active;
    match (leaver.is_locked_out_by(own), locks_out) {
        (true, _) => plan.wait_for = Some(before.id),
        (false, true) if before.has_begun => plan.wait_for = Some(before.id),
        (false, true) => {
            plan.supersedes = Some(before.id);
            plan.wait_for = leaver.job_before(before.id).map(|job| job.id);
        }
        (false, false) => return Some(reason::job_under_way(leaver.id.as_str(), before.id)),
    }
    None
}

/// True if a reference counts for this leaver and this request. A request that names a successor for it asks for it, too.
fn counts_for(
    reference: &Reference,
    request: &HandoverRequest,
    leaver: &UserFacts,
    requester: Option<&UserFacts>,
) -> bool {
    // A `reassign` only moves, and only the kinds that it names.
    if request.kind == RequestType::Reassign {
        return request.reassign.contains_key(&reference.kind);
    }
    let When { leaver: of_leaver, requester: of_requester, bulk, also } = &reference.when;
    let asked = |also: &String| request.also.contains(also) || request.reassign.contains_key(&reference.kind);
    of_leaver.as_ref().is_none_or(|condition| leaver.meets(condition))
        && of_requester.as_ref().is_none_or(|condition| requester.is_some_and(|found| found.meets(condition)))
        && bulk.is_none_or(|bulk| bulk == request.bulk)
        && also.as_ref().is_none_or(asked)
}

fn check_reference(
    catalog: &Catalog,
    request: &HandoverRequest,
    facts: &Facts,
    findings: &LeaverFindings,
    leaver: &UserFacts,
    reference: &Reference,
    reasons: &mut Vec<Reason>,
) -> Planned {
    let position = reference.position;
    let count = findings.counts.get(&position).copied().unwrap_or_default();
    let mut planned = Planned { position, count, deal: Deal::Nobody, named: BTreeMap::new(), transfers: false };
    if leaver.org != request.org() {
        return planned;
    }
    let kind = reference.kind.as_str();
    match (request.reassign.get(kind), &reference.disposition) {
        (Some(allotment), disposition) if disposition.is_allotted() => {
            planned.transfers = true;
            (planned.deal, planned.named) =
                deal_allotment(catalog, request, facts, leaver, reference, allotment, reasons);
            reasons.extend(check_extras(kind, allotment, &planned));
            reasons.extend(check_named(reference, findings, &planned));
        }
        (None, Disposition::Transfer { required: true, .. }) if count.rows > 0 => {
            reasons.push(reason::allotment_missing(kind, count.rows, count.exact));
        }
        (None, Disposition::Block { hint, .. }) if count.rows > 0 && reference.own_row => {
            reasons.push(reason::protected(kind, leaver.id.as_str(), hint.as_deref()));
        }
        (None, Disposition::Block { resolve, hint, .. }) if count.rows > 0 => {
            let keys = findings.blocking.get(&position).cloned().unwrap_or_default();
            reasons.push(reason::blocked(kind, count.rows, keys, *resolve, hint.as_deref()));
        }
        (Some(_) | None, _) => {}
    }
    planned
}

fn check_extras(kind: &str, allotment: &Allotment, planned: &Planned) -> Option<Reason> {
    let rest = if let Allotment::Each(_, Some(rest)) = allotment { rest } else { allotment };
    let extras = planned.deal.extras(planned.ranked());
    let refuses = matches!(rest, Allotment::Hardcoded(_, Extras::Reject));
    (refuses && extras > 0).then(|| reason::extras_rejected(kind, extras))
}

/// Checks records that are named one by one: they must belong to the leaver. On the users' own table, nobody may come to
/// report to themselves or to a user below them.
fn check_named(reference: &Reference, findings: &LeaverFindings, planned: &Planned) -> Vec<Reason> {
    let kind = reference.kind.as_str();
    let not_owned = findings.not_owned.get(&reference.position).filter(|keys| !keys.is_empty());
    let mut reasons: Vec<Reason> =
        not_owned.map(|keys| reason::record_not_owned(kind, keys.clone())).into_iter().collect();
    if reference.of_users {
        let below: &HashMap<UserId, String> = &findings.reports_above;
        // A named report goes to the user that the request names; the others may go to any user of the deal.
        let named = planned.named.iter().filter(|(report, successor)| below.get(*successor) == Some(*report));
        reasons.extend(named.map(|(report, successor)| reason::reporting_cycle(kind, report, successor.as_str())));
        let dealt =
            planned.deal.successors().into_iter().filter_map(|successor| Some((successor, below.get(successor)?)));
        let dealt = dealt.filter(|(_, report)| !planned.named.contains_key(*report));
        reasons.extend(dealt.map(|(successor, report)| reason::reporting_cycle(kind, report, successor.as_str())));
    }
    reasons
}

fn check_drift(catalog: &Catalog, request: &HandoverRequest, facts: &Facts, plan: &Plan) -> Option<Reason> {
    let expected = request.expect.as_deref()?;
    if request.drift == Drift::Allow {
        return None;
    }
    let now = PlanToken::of(catalog, request, facts, plan);
    let drift = match PlanToken::read(expected) {
        Some(previewed) => previewed.drift_to(&now),
        None => vec!["the token is not one that a preview gives".to_owned()],
    };
    (!drift.is_empty()).then(|| reason::stale_plan(&drift))
}

fn without_effect(catalog: &Catalog, request: &HandoverRequest, plan: &Plan) -> Vec<String> {
    let has_records = |kind: &String| {
        let mut some = plan.references.iter().filter(|planned| planned.count.rows > 0);
        some.any(|planned| catalog.references[planned.position].kind == *kind)
    };
    request.reassign.keys().filter(|kind| !has_records(kind)).cloned().collect()
}

/// Limits the list of reasons. A request can name thousands of unknown users, and its reply must fit into a message.
fn within_bounds(mut reasons: Vec<Reason>) -> Vec<Reason> {
    if reasons.len() > MOST_REASONS {
        let more = reasons.split_off(MOST_REASONS).len();
        reasons.push(reason::more_reasons(more as u64));
    }
    reasons
}
