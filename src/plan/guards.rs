//! The guards: a request and what was found go in, a plan or every reason against it comes out.

mod allotments;

use std::collections::{BTreeMap, HashMap};

use crate::catalog::{Catalog, Disposition, Permission, Reference, When};
use crate::contract::{Allotment, Drift, Extras, HandoverRequest, JobId, Reason, ReasonCode, RequestType, UserId};
use crate::job::reason;

use self::allotments::allot;
use super::facts::{Count, Facts, LeaverFindings, UserFacts, UserStatus};
use super::{Deal, token};

/// Reasons that a rejection tells one by one, at most.
const MOST_REASONS: usize = 1_000;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It can be done, so.
    Accepted(Plan),
    /// It may not be done: every reason, up to a thousand.
    Rejected(Vec<Reason>),
    /// Nothing but successors is missing, and the request asks for the user to be locked out at once: what is missing.
    LockedOut(Plan, Vec<Reason>),
}

/// What is to be done for one leaver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The references that count for this leaver, in the catalog's order.
    pub references: Vec<Planned>,
    /// Whether the leaver needs no license.
    pub license_exempt: bool,
    /// Kinds that the request names successors for and of which there is nothing to receive: they do not count for this leaver,
    /// or have no record.
    pub without_effect: Vec<String>,
    /// A job under way that gives the leaver records: this one waits for it.
    pub wait_for: Option<JobId>,
}

/// What is to be done with one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The reference, by its position in the catalog.
    pub position: usize,
    /// How many rows were found.
    pub count: Count,
    /// Who receives which rank. Nobody, where the reference is not transferred.
    pub deal: Deal,
    /// Records that go to a successor of their own and take no rank.
    pub named: BTreeMap<String, UserId>,
    /// Whether records move to successors: of a `block`, only when the request resolves it.
    pub transfers: bool,
}

impl Plan {
    /// Everybody who may receive something, each once.
    pub fn successors(&self) -> Vec<&UserId> {
        let dealt = self.references.iter().flat_map(|planned| planned.deal.successors());
        let named = self.references.iter().flat_map(|planned| planned.named.values());
        let mut users: Vec<&UserId> = dealt.chain(named).collect();
        users.sort();
        users.dedup();
        users
    }
}

impl Planned {
    /// How many records take a rank of the deal.
    pub fn ranked(&self) -> u64 {
        self.count.rows.saturating_sub(self.named.len() as u64)
    }

    /// How many records each successor receives.
    pub fn totals(&self) -> BTreeMap<UserId, u64> {
        let mut totals = self.deal.totals(self.ranked());
        for user in self.named.values() {
            *totals.entry(user.clone()).or_insert(0) += 1;
        }
        totals
    }
}

/// Judges a request. Every guard is asked, so that a rejection holds every reason.
pub fn check_guards(catalog: &Catalog, request: &HandoverRequest, facts: &Facts, found: &LeaverFindings) -> Decision {
    let asks = AccessQuery {
        kind: request.kind,
        org: request.org(),
        requester: &request.requested_by,
        about: Some(&request.user_id),
    };
    let mut reasons = check_requester(catalog, asks, facts);
    if request.kind == RequestType::Deactivate && request.requested_by == request.user_id {
        reasons = vec![reason::requester_is_leaver(request.user_id.as_str())];
    }
    let Some(leaver) = facts.users.get(request.user_id.as_str()) else {
        reasons.insert(0, reason::unknown_user(request.user_id.as_str()));
        return Decision::Rejected(reasons);
    };
    reasons.extend(check_leaver(catalog, request, leaver));
    let mut plan = Plan { wait_for: leaver.receives_from, ..Plan::default() };
    plan.license_exempt = is_license_exempt(catalog, leaver);
    let requester = facts.users.get(request.requested_by.as_str());
    let counting = |reference: &&Reference| match request.kind {
        // Moves only, and only what it names.
        RequestType::Reassign => request.reassign.contains_key(&reference.kind),
        _ => applies(reference, request, leaver, requester),
    };
    for reference in catalog.references.iter().filter(counting) {
        let planned = check_reference(catalog, request, facts, found, leaver, reference, &mut reasons);
        plan.references.push(planned);
    }
    plan.without_effect = without_effect(catalog, request, &plan);
    reasons.extend(check_drift(catalog, request, facts, &plan));
    match reasons.is_empty() {
        true => Decision::Accepted(plan),
        false if request.lock_out && reasons.iter().all(|reason| lacks_successor(catalog, reason)) => {
            Decision::LockedOut(plan, reasons)
        }
        false => Decision::Rejected(within_bounds(reasons)),
    }
}

fn without_effect(catalog: &Catalog, request: &HandoverRequest, plan: &Plan) -> Vec<String> {
    let counts = |kind: &String| {
        let some = plan.references.iter().filter(|planned| planned.count.rows > 0);
        some.into_iter().any(|planned| catalog.references[planned.position].kind == *kind)
    };
    request.reassign.keys().filter(|kind| !counts(kind)).cloned().collect()
}

/// A request can name thousands of users who are not there; its answer must still fit into a message.
fn within_bounds(mut reasons: Vec<Reason>) -> Vec<Reason> {
    if reasons.len() > MOST_REASONS {
        let more = reasons.split_off(MOST_REASONS).len();
        reasons.push(reason::more_reasons(more as u64));
    }
    reasons
}

/// Whether a reason would be fixed by naming a successor: no such reason keeps a user's access open who is locked out.
fn lacks_successor(catalog: &Catalog, reason: &Reason) -> bool {
    let resolvable = || {
        let reference = reason.concerning.kind.as_deref().and_then(|kind| catalog.reference(kind));
        reference.is_some_and(|reference| matches!(reference.disposition, Disposition::Block { resolve: true, .. }))
    };
    reason.code == ReasonCode::AllotmentMissing || reason.code == ReasonCode::Blocked && resolvable()
}

/// Whether a reference counts for this leaver and this request. Who names a successor for it asks for it, too.
fn applies(
    reference: &Reference,
    request: &HandoverRequest,
    leaver: &UserFacts,
    requester: Option<&UserFacts>,
) -> bool {
    let When { leaver: of_leaver, requester: of_requester, bulk, also } = &reference.when;
    let asked = |also: &String| request.also.contains(also) || request.reassign.contains_key(&reference.kind);
    of_leaver.as_ref().is_none_or(|condition| leaver.meets(condition))
        && of_requester.as_ref().is_none_or(|condition| requester.is_some_and(|found| found.meets(condition)))
        && bulk.is_none_or(|bulk| bulk == request.bulk)
        && also.as_ref().is_none_or(asked)
}

/// Whether a user needs no license.
pub fn is_license_exempt(catalog: &Catalog, leaver: &UserFacts) -> bool {
    let exempt = catalog.license.as_ref().and_then(|license| license.exempt.as_ref());
    exempt.is_some_and(|condition| leaver.meets(condition))
}

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub struct AccessQuery<'r> {
    /// What is asked for.
    pub kind: RequestType,
    /// For which organization.
    pub org: &'r str,
    /// By whom.
    pub requester: &'r UserId,
    /// About which user.
    pub about: Option<&'r UserId>,
}

/// Whether the requester may ask for this. A type of request that the catalog's `may` does not name takes the rule of
/// `deactivate`.
pub fn check_requester(catalog: &Catalog, asks: AccessQuery<'_>, facts: &Facts) -> Vec<Reason> {
    let refuse = |why: &str| vec![reason::requester_not_permitted(asks.requester.as_str(), why)];
    let Some(found) = facts.users.get(asks.requester.as_str()) else {
        return refuse("there is no such user");
    };
    if found.org != asks.org {
        return refuse("they do not belong to the organization of the request");
    }
    if found.status != UserStatus::Active {
        return refuse("they are not active");
    }
    let about = asks.about.and_then(|user| facts.users.get(user.as_str()));
    let may = &catalog.users.may;
    match may.get(&asks.kind).or_else(|| may.get(&RequestType::Deactivate)) {
        Some(permissions) if !permissions.iter().any(|permission| permits(permission, found, about)) => {
            let wants: Vec<String> = permissions.iter().map(describe).collect();
            refuse(&format!("they need {}", wants.join(", or ")))
        }
        _ => Vec::new(),
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

fn check_leaver(catalog: &Catalog, request: &HandoverRequest, leaver: &UserFacts) -> Vec<Reason> {
    let id = leaver.id.as_str();
    let mut reasons = Vec::new();
    if leaver.org != request.org() {
        // Nothing more is told of somebody else's user.
        return vec![reason::other_organization(id)];
    }
    // A scheduled job that is checked again when it is due finds itself under way.
    if let Some(job) = leaver.under_way.filter(|job| *job != request.job_id()) {
        reasons.push(reason::job_under_way(id, job));
    }
    // Records are moved from anyone; and who was locked out by this very job is out already.
    if request.kind == RequestType::Reassign || leaver.locked_out_by == Some(request.job_id()) {
        return reasons;
    }
    match &leaver.status {
        UserStatus::Active => {}
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

/// Required fields of a user's profile that are empty.
pub fn missing_fields(catalog: &Catalog, user: &UserFacts) -> Vec<String> {
    let empty = |column: &&crate::catalog::Column| {
        user.columns.get(&column.name).and_then(Option::as_deref).is_none_or(|text| text.trim().is_empty())
    };
    catalog.users.required.iter().filter(empty).map(|column| column.name.clone()).collect()
}

fn check_reference(
    catalog: &Catalog,
    request: &HandoverRequest,
    facts: &Facts,
    found: &LeaverFindings,
    leaver: &UserFacts,
    reference: &Reference,
    reasons: &mut Vec<Reason>,
) -> Planned {
    let position = reference.position;
    let count = found.counts.get(&position).copied().unwrap_or_default();
    let mut planned = Planned { position, count, deal: Deal::Nobody, named: BTreeMap::new(), transfers: false };
    if leaver.org != request.org() {
        return planned;
    }
    let kind = reference.kind.as_str();
    match (&reference.disposition, request.reassign.get(kind)) {
        (Disposition::Transfer { .. } | Disposition::Block { resolve: true, .. }, Some(allotment)) => {
            planned.transfers = true;
            (planned.deal, planned.named) = allot(catalog, request, facts, leaver, reference, allotment, reasons);
            reasons.extend(check_extras(kind, allotment, &planned));
            reasons.extend(check_named(reference, found, &planned));
        }
        (Disposition::Transfer { required: true, .. }, None) if count.rows > 0 => {
            reasons.push(reason::allotment_missing(kind, count.rows, count.exact));
        }
        (Disposition::Block { resolve, hint, .. }, None) if count.rows > 0 => {
            let keys = found.blocking.get(&position).cloned().unwrap_or_default();
            reasons.push(reason::blocked(kind, count.rows, keys, *resolve, hint.as_deref()));
        }
        _ => {}
    }
    planned
}

fn check_extras(kind: &str, allotment: &Allotment, planned: &Planned) -> Option<Reason> {
    let rest = match allotment {
        Allotment::Each(_, Some(rest)) => rest,
        other => other,
    };
    let extras = planned.deal.extras(planned.ranked());
    let refuses = matches!(rest, Allotment::Hardcoded(_, Extras::Reject));
    (refuses && extras > 0).then(|| reason::extras_rejected(kind, extras))
}

/// Records named one by one must be the leaver's; on the users' own table nobody may come to report to themselves or to
/// somebody below them.
fn check_named(reference: &Reference, found: &LeaverFindings, planned: &Planned) -> Vec<Reason> {
    let kind = reference.kind.as_str();
    let not_owned = found.not_owned.get(&reference.position).filter(|keys| !keys.is_empty());
    let mut reasons: Vec<Reason> =
        not_owned.map(|keys| reason::record_not_owned(kind, keys.clone())).into_iter().collect();
    if reference.of_users {
        let below: &HashMap<UserId, String> = &found.reports_above;
        // A report who is named goes where the request says; the others may come to anybody of the deal.
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
    let now = token::PlanToken::of(catalog, request, facts, plan);
    let drift = match token::PlanToken::from_token(expected) {
        Some(seen) => seen.drift_to(&now),
        None => vec!["the token is not one that a preview gives".to_owned()],
    };
    (!drift.is_empty()).then(|| reason::stale_plan(&drift))
}
