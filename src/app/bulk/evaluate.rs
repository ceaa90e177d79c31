//! Evaluates rows together in one read-only snapshot, with the planner's guards.

use std::collections::BTreeSet;

use super::cells::Row;
use super::decision::{EvaluatedRow, RowDecision};
use super::directory::Directory;
use super::known::Known;
use super::leavers::Leavers;
use super::outcome::Understood;
use super::reading::Reading;
use super::reason::{self, RowReason};
use super::row_reader::RowReader;
use crate::app::error::Result;
use crate::contract::{HandoverRequest, Reason, Request, UserId};
use crate::plan::{Decision, Occasion, Plan};
use crate::stages::handover::evaluate::{Counting, evaluate, parties};
use crate::stages::{Context, now};
use crate::store::{self, host};

/// Evaluates the rows of a file.
pub struct Evaluator<'e> {
    /// The database and the catalog.
    pub context: &'e Context,
    /// Reads requests from rows.
    pub reader: &'e RowReader<'e>,
    /// The leavers of the file.
    pub leavers: &'e Leavers,
}

/// The requests of a row: one for each user who may be the leaver.
struct RowRequests {
    /// The place of the row among those that are evaluated.
    place: usize,
    requests: Vec<HandoverRequest>,
    reading: Reading,
}

impl Evaluator<'_> {
    /// Evaluates rows of the file.
    pub async fn rows(&self, rows: &[Row]) -> Result<Vec<EvaluatedRow>> {
        let directory = self.reader.directory(&self.context.store, rows).await?;
        let mut evaluated = Vec::with_capacity(rows.len());
        let mut requests = Vec::new();
        for row in rows {
            let (row, of_row) = self.read(row, &directory);
            let place = evaluated.len();
            requests.extend(of_row.map(|(requests, reading)| RowRequests { place, requests, reading }));
            evaluated.push(row);
        }
        let mut new = self.decide_known(rows, requests, &mut evaluated).await?;
        self.decide_new(&new, &mut evaluated).await?;
        // Requests that an earlier run sent may have been carried out meanwhile: then their users are inactive by now.
        new.retain(|row| matches!(evaluated[row.place].decision, RowDecision::Rejected(_)));
        self.decide_known(rows, new, &mut evaluated).await?;
        Ok(evaluated)
    }

    /// Reads a row. Returns its requests if it has any; then its decision is still open.
    fn read(&self, row: &Row, directory: &Directory) -> (EvaluatedRow, Option<(Vec<HandoverRequest>, Reading)>) {
        let (number, text) = (row.number, self.reader.user_text(row));
        let without_request = |decision| {
            let understood = Understood { user: text.clone(), ..Understood::default() };
            (EvaluatedRow { number, understood, decision }, None)
        };
        if let Some(fault) = self.reader.fault(row) {
            return without_request(RowDecision::Rejected(vec![fault]));
        }
        if !self.reader.is_requested(row) {
            return without_request(RowDecision::Skipped(self.reader.skipped(row)));
        }
        let mut reading = self.reader.read(row, directory);
        let leaver = if let [leaver] = reading.leavers.as_slice() { Some(leaver) } else { None };
        let understood = reading.understood(directory, text, leaver);
        let mut reasons: Vec<RowReason> = leaver.and_then(|leaver| self.duplicate(leaver)).into_iter().collect();
        reasons.append(&mut reading.faults);
        let (catalog, columns) = (self.reader.catalog, &self.reader.columns);
        let requests = if reasons.is_empty() { reading.requests(catalog, columns) } else { Ok(Vec::new()) };
        let requests = requests.map_err(|more| reasons.extend(more)).ok().filter(|requests| !requests.is_empty());
        let row = EvaluatedRow { number, understood, decision: RowDecision::Rejected(reasons) };
        (row, requests.map(|requests| (requests, reading)))
    }

    fn duplicate(&self, user: &UserId) -> Option<RowReason> {
        let rows = self.leavers.rows(user);
        (rows > 1).then(|| reason::duplicate_user(user.as_str(), rows))
    }

    /// Decides on rows that were sent before. Returns the others.
    async fn decide_known(
        &self,
        rows: &[Row],
        requests: Vec<RowRequests>,
        evaluated: &mut [EvaluatedRow],
    ) -> Result<Vec<RowRequests>> {
        let session = self.context.store.snapshot().await?;
        let known = Known::read(&session, requests.iter().flat_map(|row| &row.requests)).await?;
        drop(session);
        if known.is_empty() {
            return Ok(requests);
        }
        // Later than the jobs: a user who is active now was not deactivated by a job that had completed then.
        let directory = self.reader.directory(&self.context.store, rows).await?;
        let mut new = Vec::new();
        for row in requests {
            let mut is_known = false;
            for request in &row.requests {
                if let Some(decision) = known.decide(request, &directory)? {
                    let evaluated = &mut evaluated[row.place];
                    evaluated.understood = row.reading.understood(&directory, String::new(), Some(&request.user_id));
                    evaluated.decision = decision;
                    is_known = true;
                }
            }
            new.extend((!is_known).then_some(row));
        }
        Ok(new)
    }

    /// Decides on rows that were not sent before.
    async fn decide_new(&self, rows: &[RowRequests], evaluated: &mut [EvaluatedRow]) -> Result<()> {
        let is_one = |row: &&RowRequests| row.requests.len() == 1;
        let requests = rows.iter().filter(is_one).flat_map(|row| &row.requests).collect();
        let decisions = self.requests(requests).await?;
        for (row, decision) in rows.iter().filter(is_one).zip(decisions) {
            let wording = row.reading.wording(&self.reader.columns);
            let decision = decision.reworded(|reasons| wording.reasons(reasons));
            evaluated[row.place].decision = decision.rejected_for(row.reading.if_new.clone());
        }
        // Of several users with one address, nobody has left by this row, and nobody is active.
        for row in rows.iter().filter(|row| !is_one(row)) {
            evaluated[row.place].decision = RowDecision::Rejected(row.reading.if_new.clone());
        }
        Ok(())
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
        let evaluation =
            evaluate(&session, catalog, requests, &parties, Counting::Exactly, (Occasion::Request, now())).await?;
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
