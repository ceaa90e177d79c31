//! Evaluates rows together in one read-only snapshot, with the planner's guards.

use std::collections::BTreeSet;

use super::cells::Row;
use super::leavers::Leavers;
use super::outcome::{RowOutcome, RowResult};
use super::reason::{self, RowReason};
use super::row_reader::{RowReader, RowRequest};
use crate::app::error::Result;
use crate::contract::{HandoverRequest, JobId, Reason, Request, UserId};
use crate::plan::{Decision, Plan};
use crate::stages::Context;
use crate::stages::handover::evaluate::{Counting, evaluate, parties};
use crate::store::{self, Session, host, ledger::requests};

/// Evaluates the rows of a file.
pub struct Evaluator<'e> {
    /// The database and the catalog.
    pub context: &'e Context,
    /// Reads requests from rows.
    pub reader: &'e RowReader<'e>,
    /// The leavers of the file.
    pub leavers: &'e Leavers,
}

/// A row with its decision.
pub struct EvaluatedRow {
    /// Its number in the file.
    pub number: u64,
    /// The user: the id if it is known, otherwise the text of the row.
    pub user: String,
    /// The decision.
    pub decision: RowDecision,
}

/// The decision on a row.
pub enum RowDecision {
    /// The row does not ask for a deactivation; it says so in these words.
    Skipped(String),
    /// The row is rejected, for every one of these reasons.
    Rejected(Vec<RowReason>),
    /// The same request was sent before.
    SentBefore(Box<Request>),
    /// The row is acceptable, and would move this many records.
    Ok(Box<Request>, u64),
}

impl EvaluatedRow {
    /// Returns the row's result if it is not sent.
    pub fn result(&self) -> RowResult {
        let result = |outcome| RowResult {
            row: self.number,
            user: self.user.clone(),
            outcome,
            note: None,
            reasons: Vec::new(),
            job_id: None,
            records: None,
        };
        match &self.decision {
            RowDecision::Skipped(note) => RowResult { note: Some(note.clone()), ..result(RowOutcome::Skipped) },
            RowDecision::Rejected(reasons) => RowResult { reasons: reasons.clone(), ..result(RowOutcome::Rejected) },
            RowDecision::SentBefore(request) => {
                RowResult { job_id: Some(request.job_id()), ..result(RowOutcome::SentBefore) }
            }
            RowDecision::Ok(request, records) => {
                RowResult { job_id: Some(request.job_id()), records: Some(*records), ..result(RowOutcome::Ok) }
            }
        }
    }
}

impl RowDecision {
    /// Returns the decision with more reasons against the row, if there are any.
    fn rejected_for(self, mut more: Vec<RowReason>) -> RowDecision {
        if more.is_empty() {
            return self;
        }
        if let RowDecision::Rejected(reasons) = self {
            more.extend(reasons);
        }
        RowDecision::Rejected(more)
    }
}

impl Evaluator<'_> {
    /// Evaluates rows of the file.
    pub async fn rows(&self, rows: &[Row]) -> Result<Vec<EvaluatedRow>> {
        let directory = self.reader.directory(&self.context.store, rows).await?;
        let session = self.context.store.snapshot().await?;
        let mut evaluated = Vec::with_capacity(rows.len());
        let mut fresh = Vec::new();
        for row in rows {
            let skipped = RowDecision::Skipped(self.reader.skipped(row));
            let mut result = EvaluatedRow { number: row.number, user: self.reader.user_text(row), decision: skipped };
            if let Some(fault) = self.reader.fault(row) {
                result.decision = RowDecision::Rejected(vec![fault]);
            } else if self.reader.is_requested(row) {
                let leaver = self.reader.leaver(row, &directory).ok();
                result.user = leaver.as_ref().map_or(result.user, UserId::to_string);
                let mut reasons = leaver.and_then(|leaver| self.duplicate(&leaver)).into_iter().collect::<Vec<_>>();
                match self.reader.request(row, &directory) {
                    Ok(request) if reasons.is_empty() => fresh.push((evaluated.len(), request)),
                    Ok(_) => {}
                    Err(more) => reasons.extend(more),
                }
                result.decision = RowDecision::Rejected(reasons);
            }
            evaluated.push(result);
        }
        let fresh = self.decide_known(&session, fresh, &mut evaluated).await?;
        drop(session);
        let requests = fresh.iter().map(|(_, fresh)| &fresh.request).collect();
        let decisions = self.requests(requests).await?;
        for ((index, fresh), decision) in fresh.into_iter().zip(decisions) {
            evaluated[index].decision = decision.rejected_for(fresh.untimely);
        }
        Ok(evaluated)
    }

    fn duplicate(&self, user: &UserId) -> Option<RowReason> {
        let rows = self.leavers.rows(user);
        (rows > 1).then(|| reason::duplicate_user(user.as_str(), rows))
    }

    /// Decides on requests that were sent before: the planner answers them as before. Returns the others.
    async fn decide_known(
        &self,
        session: &Session,
        fresh: Vec<(usize, RowRequest)>,
        evaluated: &mut [EvaluatedRow],
    ) -> Result<Vec<(usize, RowRequest)>> {
        if fresh.is_empty() {
            return Ok(fresh);
        }
        let ids: Vec<(&str, &str)> =
            fresh.iter().map(|(_, row)| (row.request.org(), row.request.request_id.as_str())).collect();
        let known = requests::known(session, &ids).await?;
        let mut unknown = Vec::new();
        for (index, row) in fresh {
            let request = &row.request;
            let id = (request.org().to_owned(), request.request_id.to_string());
            let Some(earlier) = known.get(&id) else {
                unknown.push((index, row));
                continue;
            };
            let job = JobId(earlier.job_id);
            let taken = reason::request_id_taken(request.request_id.as_str(), job);
            let whole = Request::Handover(row.request);
            evaluated[index].decision = match whole.body_hash() == earlier.body_hash {
                true => RowDecision::SentBefore(Box::new(whole)),
                false => RowDecision::Rejected(vec![taken]),
            };
        }
        Ok(unknown)
    }

    /// Evaluates requests together. If that fails, evaluates them one by one, so that one request that the database refuses
    /// does not fail the others.
    async fn requests(&self, requests: Vec<&HandoverRequest>) -> Result<Vec<RowDecision>> {
        // A transaction that sees one organization only evaluates one row.
        let is_isolated = self.reader.catalog.is_org_isolated();
        let evaluated = if is_isolated { None } else { Some(self.together(&requests).await) };
        match evaluated {
            Some(Ok(decisions)) => Ok(decisions),
            Some(Err(error)) if error.is_transient() => Err(error.into()),
            Some(Err(_)) | None => {
                let mut decisions = Vec::with_capacity(requests.len());
                for request in requests {
                    match self.together(&[request]).await {
                        Ok(found) => decisions.extend(found),
                        Err(error) if error.is_transient() => return Err(error.into()),
                        Err(error) => decisions.push(RowDecision::Rejected(vec![reason::failed(&error.to_string())])),
                    }
                }
                Ok(decisions)
            }
        }
    }

    async fn together(&self, requests: &[&HandoverRequest]) -> store::Result<Vec<RowDecision>> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let (catalog, org) = (self.reader.catalog, requests[0].org());
        let session = self.context.store.snapshot().await?;
        host::enter(&session, catalog, org).await?;
        let catalog = &*catalog.within(org);
        let parties = parties(&session, catalog, requests).await?;
        let parties: Vec<_> = parties.iter().collect();
        let evaluation = evaluate(&session, catalog, requests, &parties, Counting::Exactly).await?;
        let decisions = requests.iter().zip(evaluation.decisions).map(|(request, decision)| {
            let (plan, reasons) = match decision {
                Decision::Accepted(plan) => (plan, Vec::new()),
                Decision::Rejected(reasons) => (Plan::default(), reasons),
                Decision::LockedOut(plan, reasons) => (plan, reasons),
            };
            let mut reasons: Vec<RowReason> = reasons.into_iter().map(Reason::widen).collect();
            reasons.extend(self.leaving_in_file(request, &plan));
            match reasons.is_empty() {
                true => {
                    let records = plan.references.iter().flat_map(|planned| planned.totals().into_values()).sum();
                    RowDecision::Ok(Box::new(Request::Handover((*request).clone())), records)
                }
                false => RowDecision::Rejected(reasons),
            }
        });
        Ok(decisions.collect())
    }

    /// Rejects successors who leave in the same file: those that the request names, and those of its managers and groups.
    fn leaving_in_file(&self, request: &HandoverRequest, plan: &Plan) -> Vec<RowReason> {
        let named = request.reassign.iter();
        let named = named.flat_map(|(kind, allotment)| allotment.users().into_iter().map(|user| (kind.as_str(), user)));
        let dealt = plan.references.iter().flat_map(|planned| {
            let kind = self.reader.catalog.references[planned.position].kind.as_str();
            planned.deal.successors().into_iter().map(move |user| (kind, user))
        });
        // The planner's guard rejects a leaver who is their own successor.
        let leaves = |user: &UserId| *user != request.user_id && self.leavers.contains(user);
        let leaving: BTreeSet<(&str, &UserId)> = named.chain(dealt).filter(|(_, user)| leaves(user)).collect();
        leaving.into_iter().map(|(kind, user)| reason::successor_leaves_in_file(kind, user.as_str())).collect()
    }
}
