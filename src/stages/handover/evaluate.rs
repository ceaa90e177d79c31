//! Evaluation of requests, for the planner and for previews: reads the facts, checks every guard, and changes nothing.

use std::collections::{BTreeSet, HashMap, HashSet};

use time::OffsetDateTime;

use crate::catalog::{Catalog, Disposition, Eligible, Reference};
use crate::contract::{Allotment, Extras, HandoverRequest, UserId};
use crate::plan::group::Parties;
use crate::plan::{Count, Decision, Facts, LeaverFindings, Occasion, Scope, Services, check_guards};
use crate::store::ledger::services;
use crate::store::{Result, Session, host};

/// The limit of counting rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Far enough to tell a small job from a large one, unless the request needs more.
    UpTo(u64),
    /// All rows.
    Exactly,
}

/// The facts about a group of requests, and the decision on each.
pub struct Evaluation {
    /// The users and groups concerned.
    pub facts: Facts,
    /// The decisions, in the requests' order.
    pub decisions: Vec<Decision>,
}

/// Returns the users whom requests concern: the leaver, and everybody of the organization who may receive something.
///
/// Called before any lock, to know the locks. A user who joins a group later receives nothing this time.
pub async fn parties(session: &Session, catalog: &Catalog, requests: &[&HandoverRequest]) -> Result<Vec<Parties>> {
    let asks_for_manager = |request: &&&HandoverRequest| request.reassign.values().any(Allotment::names_manager);
    let with_managers: Vec<&UserId> =
        requests.iter().filter(asks_for_manager).map(|request| &request.user_id).collect();
    let managers = match with_managers.is_empty() {
        true => HashMap::new(),
        false => host::managers(session, catalog, with_managers).await?,
    };
    let groups = requests.iter().flat_map(|request| request.groups());
    let members = host::group_members(session, catalog, &orgs_of(requests), groups, None).await?;
    let named = requests.iter().flat_map(|request| request.successors());
    let candidates = named.chain(managers.values()).chain(members.values().flatten());
    let orgs = host::organizations_of(session, catalog, candidates).await?;
    let of_request = |request: &&HandoverRequest| {
        let named = request.successors();
        let manager = managers.get(&request.user_id).filter(|_| asks_for_manager(&request));
        let in_groups = request.groups().flat_map(|group| members.get(group).into_iter().flatten());
        // Nobody else can receive anything. Whatever a request names, only users of its organization are locked for it.
        let is_of_org = |user: &&UserId| orgs.get(user.as_str()).is_some_and(|org| org == request.org());
        let mut receivers: HashSet<UserId> = named.chain(manager).chain(in_groups).filter(is_of_org).cloned().collect();
        // A request that names its own leaver as a successor is rejected by a guard; it must not collide with itself.
        receivers.remove(&request.user_id);
        let org = catalog.is_org_isolated().then(|| request.org().to_owned());
        Parties { leaver: Some(request.user_id.clone()), receivers, job: Some(request.job_id()), org }
    };
    Ok(requests.iter().map(of_request).collect())
}

/// Checks the guards of requests that share a transaction. All their leavers leave: none of them can receive from another.
pub async fn evaluate(
    session: &Session,
    catalog: &Catalog,
    requests: &[&HandoverRequest],
    parties: &[&Parties],
    counting: Counting,
    (occasion, now): (Occasion, OffsetDateTime),
) -> Result<Evaluation> {
    let facts = read_facts(session, catalog, requests, parties).await?;
    let limit = counting_limit(catalog, requests, counting);
    let counts =
        host::counts(session, catalog, catalog.references.iter(), &known_leavers(requests, &facts), limit).await?;
    let mut decisions = Vec::with_capacity(requests.len());
    for request in requests {
        let mut found = LeaverFindings { counts: counts_of(request, &counts), ..LeaverFindings::default() };
        look_closer(session, catalog, request, &mut found).await?;
        decisions.push(check_guards(catalog, request, &facts, &found, Scope::Whole, occasion, now));
    }
    Ok(Evaluation { facts, decisions })
}

/// Checks the guards that can refuse a lock-out, and no others. Reads the users' rows and the ledger alone.
pub async fn evaluate_access(
    session: &Session,
    catalog: &Catalog,
    requests: &[&HandoverRequest],
    (occasion, now): (Occasion, OffsetDateTime),
) -> Result<Evaluation> {
    let concerned = requests.iter().flat_map(|request| [&request.user_id, &request.requested_by]);
    let users = host::read_users_for_access(session, catalog, concerned).await?;
    let facts = Facts { users, services: services_among(session, requests).await?, ..Facts::default() };
    let own_rows = catalog.references.iter().filter(|reference| Scope::Access.has(reference));
    let counts = host::counts(session, catalog, own_rows, &known_leavers(requests, &facts), 1).await?;
    let decide = |request: &&HandoverRequest| {
        let found = LeaverFindings { counts: counts_of(request, &counts), ..LeaverFindings::default() };
        check_guards(catalog, request, &facts, &found, Scope::Access, occasion, now)
    };
    let decisions = requests.iter().map(decide).collect();
    Ok(Evaluation { facts, decisions })
}

fn known_leavers<'r>(requests: &[&'r HandoverRequest], facts: &Facts) -> Vec<&'r UserId> {
    let leavers = requests.iter().map(|request| &request.user_id);
    leavers.filter(|leaver| facts.users.contains_key(leaver.as_str())).collect()
}

fn counts_of(request: &HandoverRequest, counts: &HashMap<(String, usize), Count>) -> HashMap<usize, Count> {
    let theirs = counts.iter().filter(|((leaver, _), _)| leaver == request.user_id.as_str());
    theirs.map(|((_, position), count)| (*position, *count)).collect()
}

async fn read_facts(
    session: &Session,
    catalog: &Catalog,
    requests: &[&HandoverRequest],
    parties: &[&Parties],
) -> Result<Facts> {
    let concerned = requests.iter().flat_map(|request| [&request.user_id, &request.requested_by]);
    // Named successors who cannot receive anything too: the reason says why.
    let concerned = concerned.chain(requests.iter().flat_map(|request| request.successors()));
    let concerned = concerned.chain(parties.iter().flat_map(|parties| &parties.receivers));
    let orgs = orgs_of(requests);
    let users = host::read_users(session, catalog, concerned).await?;
    let round_robin = requests.iter().flat_map(|request| request.groups());
    let mut groups = host::group_members(session, catalog, &orgs, round_robin, None).await?;
    let receivers: Vec<&UserId> = parties.iter().flat_map(|parties| &parties.receivers).collect();
    let asked = requests.iter().flat_map(|request| request.reassign.keys());
    let asked = asked.filter_map(|kind| eligible_group(catalog.reference(kind)?));
    let asked = asked.filter(|group| !groups.contains_key(*group)).collect::<Vec<&str>>();
    groups.extend(host::group_members(session, catalog, &orgs, asked, Some(&receivers)).await?);
    Ok(Facts { users, groups, services: services_among(session, requests).await? })
}

/// Returns the grants of the services among the requesters.
async fn services_among(session: &Session, requests: &[&HandoverRequest]) -> Result<Services> {
    services::granted(session, requests.iter().map(|request| (request.org(), &request.requested_by))).await
}

fn orgs_of<'r>(requests: &[&'r HandoverRequest]) -> BTreeSet<&'r str> {
    requests.iter().map(|request| request.org()).collect()
}

fn eligible_group(reference: &Reference) -> Option<&str> {
    match reference.disposition.eligible()? {
        Eligible::Group(group) => Some(group),
        Eligible::Users(_) => None,
    }
}

/// Returns how far rows must be counted for the group. A plan token, a group's turn and a reference that is handed on at the
/// start need exact counts; a guard over extras needs one more than the amounts.
fn counting_limit(catalog: &Catalog, requests: &[&HandoverRequest], counting: Counting) -> u64 {
    let Counting::UpTo(limit) = counting else { return u64::MAX };
    let at_start = |kind: &String| catalog.reference(kind).is_some_and(|reference| reference.at_start);
    let needs = requests.iter().map(|request| {
        if request.expect.is_some() || request.groups().next().is_some() || request.reassign.keys().any(at_start) {
            return u64::MAX;
        }
        request.reassign.values().map(extras_limit).max().unwrap_or(0)
    });
    needs.max().unwrap_or(0).max(limit)
}

fn extras_limit(allotment: &Allotment) -> u64 {
    match allotment {
        Allotment::Hardcoded(shares, Extras::Reject) => shares.iter().map(|share| share.amount).sum::<u64>() + 1,
        Allotment::Each(each, Some(rest)) => extras_limit(rest).saturating_add(each.len() as u64),
        Allotment::Hardcoded(_, Extras::Leave)
        | Allotment::Ratio(_)
        | Allotment::User(_)
        | Allotment::Manager
        | Allotment::Each(_, None) => 0,
    }
}

/// Reads what only some requests need: the rows that block the leaver, named records that are not theirs, and reports who
/// are above a successor.
async fn look_closer(
    session: &Session,
    catalog: &Catalog,
    request: &HandoverRequest,
    found: &mut LeaverFindings,
) -> Result<()> {
    for reference in &catalog.references {
        let position = reference.position;
        let blocks = matches!(reference.disposition, Disposition::Block { .. });
        if blocks && found.counts.get(&position).is_some_and(|count| count.rows > 0) {
            let keys = host::blocking_keys(session, catalog, reference, &request.user_id).await?;
            found.blocking.insert(position, keys);
        }
        let Some(allotment) = request.reassign.get(&reference.kind) else { continue };
        if let Allotment::Each(each, _) = allotment {
            let keys = each.keys().map(String::as_str);
            found.not_owned.insert(position, host::not_owned(session, reference, &request.user_id, keys).await?);
        }
        if reference.of_users {
            let above =
                host::direct_reports_above(session, catalog, reference, &request.user_id, &allotment.users()).await?;
            found.reports_above.extend(above);
        }
    }
    Ok(())
}
