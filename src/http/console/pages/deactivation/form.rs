//! The form that assigns a leaver's records.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use uuid::Uuid;

use super::draft::{Draft, Shares};
use super::plan::{Options, previewed, request};
use super::times::Times;
use crate::app::groups::{self, Group};
use crate::app::preview::PreviewedReference;
use crate::app::successors::{self, Candidate, Query};
use crate::contract::{Reason, ReasonCode, RequestType, UserId};
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Frame, Section};
use crate::http::console::pages::user::{find, refused};
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::Result;
use crate::store::host::UserListing;

/// Users that may be successors, at most.
pub const CANDIDATES: u64 = 200;

/// Round-robin groups, at most.
const GROUPS: u64 = 50;

/// The form.
#[derive(Template)]
#[template(path = "deactivation.html")]
struct FormPage {
    frame: Frame,
    user: UserListing,
    kinds: Vec<Kind>,
    others: Vec<PreviewedReference>,
    problems: Vec<Obstacle>,
    reason: String,
    times: Times,
    lock_out_refused: Option<String>,
    lock_out_id: Uuid,
}

/// A reason against the request, and the fieldset that it is about.
struct Obstacle {
    reason: Reason,
    anchor: Option<String>,
}

/// The fieldset of one kind.
#[derive(Template)]
#[template(path = "kind.html")]
pub struct Kind {
    name: String,
    found: u64,
    /// The number of records with a successor, where a plan says it.
    assigned: Option<u64>,
    is_hardcoded: bool,
    rows: Vec<Row>,
    groups: Vec<GroupRow>,
    refused: Vec<(String, Reason)>,
    is_cut: bool,
    problems: Vec<Reason>,
}

impl Kind {
    fn is_done(&self) -> bool {
        self.assigned.is_some_and(|assigned| assigned >= self.found)
    }
}

/// A successor.
struct Row {
    id: String,
    name: String,
    owns: String,
    amount: String,
    outcome: Option<String>,
}

/// A round-robin group.
struct GroupRow {
    name: String,
    next: Option<String>,
    amount: String,
}

/// Shows the form with a draft in it, the planner's counts for the draft, and every obstacle.
pub async fn show(visit: &Visit, user: &UserId, draft: &Draft, reasons: Vec<Reason>) -> Result<Response> {
    let turn = visit.console.api.budget.read().await?;
    let found = find(visit, user).await?.user;
    let lock_out_refused = refused(visit, RequestType::Deactivate, user).await?;
    drop(turn);
    let preview = previewed(visit, request(visit, user, draft, &Options { lock_out: true, expect: None })?).await?;
    // Nothing is assigned yet when the form opens: that is no obstacle to report.
    let is_news = |reason: &Reason| !draft.kinds.is_empty() || reason.code != ReasonCode::AllotmentMissing;
    let found_now = preview.rejections.into_iter().chain(preview.open_reasons).filter(is_news);
    let reasons = if reasons.is_empty() { found_now.collect() } else { reasons };
    let mut kinds = Vec::new();
    let mut others = Vec::new();
    for reference in preview.references.into_iter().filter(|reference| reference.found > 0) {
        match kind(visit, user, draft, &reference, &reasons).await? {
            Some(kind) => kinds.push(kind),
            None => others.push(reference),
        }
    }
    let anchor = |reason: &Reason| {
        let about = reason.concerning.kind.as_ref()?;
        kinds.iter().any(|kind| kind.name == *about).then(|| format!("kind-{about}"))
    };
    let problems = reasons.into_iter().map(|reason| Obstacle { anchor: anchor(&reason), reason }).collect();
    visit.page(&FormPage {
        frame: visit.frame(Section::Users, format!("{} {}", texts::DEACTIVATE, found.name)),
        user: found,
        problems,
        kinds,
        others,
        reason: draft.reason.clone().unwrap_or_default(),
        times: draft.times.clone(),
        lock_out_refused,
        lock_out_id: Uuid::new_v4(),
    })
}

/// Returns the fieldset of a reference; nothing if its records are not assigned to successors.
pub async fn kind(
    visit: &Visit,
    leaver: &UserId,
    draft: &Draft,
    reference: &PreviewedReference,
    reasons: &[Reason],
) -> Result<Option<Kind>> {
    let _turn = visit.console.api.budget.read().await?;
    let query = Query { org: visit.org()?, leaver, kind: &reference.kind };
    let found = successors::page(visit.context(), query, None, CANDIDATES + 1).await.map_err(problem)?;
    let Some(mut candidates) = found else { return Ok(None) };
    let is_cut = candidates.len() as u64 > CANDIDATES;
    candidates.truncate(CANDIDATES as usize);
    let groups = groups::page(visit.context(), query.org, None, GROUPS).await.map_err(problem)?;
    let names: HashMap<String, String> =
        candidates.iter().map(|candidate| (candidate.user.id.clone(), candidate.user.name.clone())).collect();
    let shares = draft.kinds.get(&reference.kind).cloned().unwrap_or_default();
    let (may, may_not): (Vec<Candidate>, Vec<Candidate>) =
        candidates.into_iter().partition(|candidate| candidate.refused.is_none());
    let about = |reason: &&Reason| reason.concerning.kind.as_ref() == Some(&reference.kind);
    Ok(Some(Kind {
        name: reference.kind.clone(),
        found: reference.found,
        assigned: reference.assigned,
        is_hardcoded: shares.is_hardcoded,
        rows: may.into_iter().map(|candidate| row(candidate, &shares, reference)).collect(),
        groups: groups.into_iter().map(|group| group_row(group, &shares, &names)).collect(),
        refused: may_not.into_iter().filter_map(|candidate| not_eligible(candidate, leaver)).collect(),
        is_cut,
        problems: reasons.iter().filter(about).cloned().collect(),
    }))
}

fn row(candidate: Candidate, shares: &Shares, reference: &PreviewedReference) -> Row {
    let amount = shares.users.get(&candidate.user.id).copied();
    let receives = reference.successors.get(&candidate.user.id).copied();
    Row {
        owns: texts::at_least(candidate.owns, candidate.exact),
        amount: amount.map(|amount| amount.to_string()).unwrap_or_default(),
        // With a group, a member's records are of both shares.
        outcome: receives.map(|receives| texts::receives(receives, amount.filter(|_| shares.groups.is_empty()))),
        id: candidate.user.id,
        name: candidate.user.name,
    }
}

fn group_row(group: Group, shares: &Shares, names: &HashMap<String, String>) -> GroupRow {
    let next = group.next.map(|next| names.get(next.as_str()).cloned().unwrap_or_else(|| next.to_string()));
    let amount = shares.groups.get(&group.name).map(|amount| amount.to_string());
    GroupRow { name: group.name, next, amount: amount.unwrap_or_default() }
}

/// Returns the name of an active user who may not receive the records, and why. That inactive users may not is no news.
fn not_eligible(candidate: Candidate, leaver: &UserId) -> Option<(String, Reason)> {
    let is_listed = candidate.user.status == "active" && candidate.user.id != leaver.as_str();
    candidate.refused.filter(|_| is_listed).map(|reason| (candidate.user.name, reason))
}
