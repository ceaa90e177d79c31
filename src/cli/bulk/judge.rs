//! Judges rows, as the planner would: together in one snapshot, which nothing is written to.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;

use super::reason::{self, RowReason};
use super::report::Line;
use super::row::Reading;
use super::table::Row;
use crate::contract::{HandoverRequest, JobId, Reason, Request, UserId};
use crate::plan::{Decision, Plan};
use crate::stages::Context;
use crate::stages::handover::evaluate::{Counting, evaluate, parties};
use crate::store::{Session, host, ledger::requests};

/// What rows are judged with.
pub struct Judge<'j> {
    /// The database and the catalog.
    pub context: &'j Context,
    /// What rows are read with.
    pub reading: &'j Reading<'j>,
    /// Who leaves in the file, and in how many rows.
    pub leavers: &'j HashMap<UserId, u64>,
}

/// A row, judged.
pub struct Judged {
    /// Where it stands in the file.
    pub row: u64,
    /// The user.
    pub user: String,
    /// What is to become of it.
    pub finding: Finding,
}

/// What is to become of a row.
pub enum Finding {
    /// Nothing: it does not ask for it.
    Skipped,
    /// Nothing: every reason why.
    Bad(Vec<RowReason>),
    /// This very request was sent before.
    Known(Box<Request>),
    /// It can be done, and would move so many records.
    Good(Box<Request>, u64),
}

impl Judged {
    /// The row's line of a report that judges only.
    pub fn line(&self) -> Line {
        let line = |outcome: &str| Line {
            row: self.row,
            user: self.user.clone(),
            outcome: outcome.into(),
            reasons: Vec::new(),
            job_id: None,
            records: None,
        };
        match &self.finding {
            Finding::Skipped => line("skipped"),
            Finding::Bad(reasons) => Line { reasons: reasons.clone(), ..line("rejected") },
            Finding::Known(request) => Line { job_id: Some(request.job_id()), ..line("sent_before") },
            Finding::Good(request, records) => {
                Line { job_id: Some(request.job_id()), records: Some(*records), ..line("ok") }
            }
        }
    }
}

impl Judge<'_> {
    /// Judges rows of the file.
    pub async fn rows(&self, rows: &[Row]) -> Result<Vec<Judged>> {
        let people = self.reading.people(&self.context.store, rows).await?;
        let session = self.context.store.snapshot().await?;
        let mut judged = Vec::with_capacity(rows.len());
        let mut fresh = Vec::new();
        for row in rows {
            let mut one = Judged { row: row.number, user: self.reading.written(row), finding: Finding::Skipped };
            if self.reading.is_to_be_done(row) {
                let leaver = self.reading.leaver(row, &people).ok();
                one.user = leaver.as_ref().map_or(one.user, UserId::to_string);
                let mut reasons = leaver.and_then(|leaver| self.duplicate(&leaver)).into_iter().collect::<Vec<_>>();
                match self.reading.request(row, &people) {
                    Ok(request) if reasons.is_empty() => fresh.push((judged.len(), request)),
                    Ok(_) => {}
                    Err(more) => reasons.extend(more),
                }
                one.finding = Finding::Bad(reasons);
            }
            judged.push(one);
        }
        let fresh = self.sort_out_known(&session, fresh, &mut judged).await?;
        drop(session);
        for (place, finding) in self.requests(fresh).await? {
            judged[place].finding = finding;
        }
        Ok(judged)
    }

    fn duplicate(&self, user: &UserId) -> Option<RowReason> {
        let rows = self.leavers.get(user).copied().filter(|rows| *rows > 1)?;
        Some(reason::duplicate_user(user.as_str(), rows))
    }

    /// Requests that were sent before need no verdict: the planner answers them as before.
    async fn sort_out_known(
        &self,
        session: &Session,
        fresh: Vec<(usize, HandoverRequest)>,
        judged: &mut [Judged],
    ) -> Result<Vec<(usize, HandoverRequest)>> {
        if fresh.is_empty() {
            return Ok(fresh);
        }
        let ids: Vec<(&str, &str)> =
            fresh.iter().map(|(_, request)| (request.org(), request.request_id.as_str())).collect();
        let known = requests::known(session, &ids).await?;
        let mut unknown = Vec::new();
        for (place, request) in fresh {
            let id = (request.org().to_owned(), request.request_id.to_string());
            let Some(earlier) = known.get(&id) else {
                unknown.push((place, request));
                continue;
            };
            let job = JobId(earlier.job_id);
            let taken = reason::request_id_taken(request.request_id.as_str(), job);
            let whole = Request::Handover(request);
            judged[place].finding = match whole.body_hash() == earlier.body_hash {
                true => Finding::Known(Box::new(whole)),
                false => Finding::Bad(vec![taken]),
            };
        }
        Ok(unknown)
    }

    /// Judges requests together where that works, one by one where it does not: one that the database cannot look into is
    /// no other row's fault.
    async fn requests(&self, requests: Vec<(usize, HandoverRequest)>) -> Result<Vec<(usize, Finding)>> {
        let together: Vec<&HandoverRequest> = requests.iter().map(|(_, request)| request).collect();
        // Where a transaction sees one organization only, each row is judged in its own.
        let is_apart = self.reading.catalog.is_org_isolated();
        let judged = if is_apart { None } else { Some(self.together(&together).await) };
        let findings = match judged {
            Some(Ok(findings)) => findings,
            Some(Err(error)) if error.is_transient() => return Err(error.into()),
            Some(Err(_)) | None => {
                let mut findings = Vec::with_capacity(together.len());
                for request in together {
                    match self.together(&[request]).await {
                        Ok(found) => findings.extend(found),
                        Err(error) if error.is_transient() => return Err(error.into()),
                        Err(error) => findings.push(Finding::Bad(vec![reason::failed(&error.to_string())])),
                    }
                }
                findings
            }
        };
        Ok(requests.into_iter().map(|(place, _)| place).zip(findings).collect())
    }

    async fn together(&self, requests: &[&HandoverRequest]) -> crate::store::Result<Vec<Finding>> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let (catalog, org) = (self.reading.catalog, requests[0].org());
        let session = self.context.store.snapshot().await?;
        host::enter(&session, catalog, org).await?;
        let catalog = &*catalog.within(org);
        let parties = parties(&session, catalog, requests).await?;
        let parties: Vec<_> = parties.iter().collect();
        let evaluation = evaluate(&session, catalog, requests, &parties, Counting::Exactly).await?;
        let found = requests.iter().zip(evaluation.decisions).map(|(request, verdict)| {
            let (plan, reasons) = match verdict {
                Decision::Accepted(plan) => (plan, Vec::new()),
                Decision::Rejected(reasons) => (Plan::default(), reasons),
                Decision::LockedOut(plan, reasons) => (plan, reasons),
            };
            let mut reasons: Vec<RowReason> = reasons.into_iter().map(Reason::widen).collect();
            reasons.extend(self.leaving_in_file(request, &plan));
            match reasons.is_empty() {
                true => {
                    let records = plan.references.iter().flat_map(|planned| planned.totals().into_values()).sum();
                    Finding::Good(Box::new(Request::Handover((*request).clone())), records)
                }
                false => Finding::Bad(reasons),
            }
        });
        Ok(found.collect())
    }

    /// Successors who leave in the same file: those that the request names, and those that a manager or a group comes to.
    fn leaving_in_file(&self, request: &HandoverRequest, plan: &Plan) -> Vec<RowReason> {
        let named = request.reassign.iter();
        let named = named.flat_map(|(kind, allotment)| allotment.users().into_iter().map(|user| (kind.as_str(), user)));
        let dealt = plan.references.iter().flat_map(|planned| {
            let kind = self.reading.catalog.references[planned.position].kind.as_str();
            planned.deal.successors().into_iter().map(move |user| (kind, user))
        });
        // A leaver who is their own successor is told of by the planner's guard.
        let leaves = |user: &UserId| *user != request.user_id && self.leavers.contains_key(user);
        let leaving: BTreeSet<(&str, &UserId)> = named.chain(dealt).filter(|(_, user)| leaves(user)).collect();
        leaving.into_iter().map(|(kind, user)| reason::successor_leaves_in_file(kind, user.as_str())).collect()
    }
}
