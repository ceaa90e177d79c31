//! Sends the rows that can be done, and follows them to their end.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Result;
use time::OffsetDateTime;
use uuid::Uuid;

use super::judge::{Finding, Judged};
use super::patience::patiently;
use super::reason::{self, RowReason};
use super::report::{Line, Report};
use crate::app::submit;
use crate::broker::Broker;
use crate::contract::{Certificate, Request};
use crate::job::State;
const EVERY: std::time::Duration = std::time::Duration::from_millis(200);
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
use crate::store::Store;
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::requests;

/// Sends what can be done of these rows, and follows it to its end. The report says at any time what was sent.
pub async fn send(store: &Store, broker: &dyn Broker, judged: &[Judged], report: &mut Report) -> Result<()> {
    report.note(&standing(judged, "sending", &HashMap::new()))?;
    let unsent = publish(broker, judged).await;
    report.note(&standing(judged, "sent", &unsent))?;
    let sent = judged.iter().filter(|one| !unsent.contains_key(&one.row)).filter_map(request);
    let ended = follow(store, sent.map(|request| request.job_id().0).collect()).await?;
    let mut lines = standing(judged, "sent", &unsent);
    for (line, one) in lines.iter_mut().zip(judged).filter(|(line, _)| !unsent.contains_key(&line.row)) {
        if let Some(request) = request(one) {
            let head = request.header();
            let known = async || Ok(requests::get(&store.reader(), head.org(), head.request_id.as_str()).await?);
            let known = patiently("reading what became of rows", known).await?;
            let is_another = known.is_some_and(|known| known.body_hash != request.body_hash());
            *line = told(request, is_another, ended.get(&request.job_id().0), one);
        }
    }
    report.add(&lines)
}

/// How rows stand before it is known what becomes of those that are under way.
fn standing(judged: &[Judged], under_way: &str, unsent: &HashMap<u64, RowReason>) -> Vec<Line> {
    let line = |one: &Judged| match (&one.finding, unsent.get(&one.row)) {
        (_, Some(reason)) => Line { reasons: vec![reason.clone()], outcome: "failed".into(), ..one.line() },
        (Finding::Good(..), None) => Line { outcome: under_way.into(), records: None, ..one.line() },
        _ => one.line(),
    };
    judged.iter().map(line).collect()
}

fn request(judged: &Judged) -> Option<&Request> {
    match &judged.finding {
        Finding::Good(request, _) | Finding::Known(request) => Some(request),
        Finding::Skipped | Finding::Bad(_) => None,
    }
}

/// Publishes the rows that are good; those that did not arrive, by their place in the file.
async fn publish(broker: &dyn Broker, judged: &[Judged]) -> HashMap<u64, RowReason> {
    let good = |one: &Judged| matches!(one.finding, Finding::Good(..));
    let good: Vec<(u64, &Request)> =
        judged.iter().filter(|one| good(one)).filter_map(|one| Some((one.row, request(one)?))).collect();
    let results = submit::publish(broker, good.iter().map(|(_, request)| *request)).await;
    let failed = good.iter().zip(results).filter_map(|((row, _), result)| Some((*row, result.err()?)));
    failed.map(|(row, error)| (row, reason::failed(&format!("the request could not be sent: {error}")))).collect()
}

/// Follows jobs until nothing more happens to them by itself, or until their day.
async fn follow(store: &Store, mut ids: Vec<Uuid>) -> Result<HashMap<Uuid, Job>> {
    let began = Instant::now();
    let mut ended = HashMap::new();
    let mut asked = false;
    loop {
        let found = async || Ok(jobs::of_ids(&store.reader(), &ids).await?);
        for job in patiently("following the rows that were sent", found).await? {
            let state = job.state()?;
            let waits = state == State::Scheduled && job.effective_at.is_some_and(|at| at > OffsetDateTime::now_utc());
            if state.is_final() || state.is_held() || waits {
                ended.insert(job.id, job);
            }
        }
        ids.retain(|id| !ended.contains_key(id));
        if ids.is_empty() {
            return Ok(ended);
        }
        if ended.is_empty() && !asked && began.elapsed() > PATIENCE {
            asked = true;
            eprintln!("no row has come to its end yet: does a worker run (`handover run`)? Waiting on.");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What became of a row that was sent, now or before; `is_another`: its request id was used for another body.
fn told(request: &Request, is_another: bool, job: Option<&Job>, one: &Judged) -> Line {
    let job_id = request.job_id();
    let line = Line { outcome: "failed".into(), job_id: Some(job_id), records: None, ..one.line() };
    if is_another {
        return Line { reasons: vec![reason::request_id_taken(request.header().request_id.as_str(), job_id)], ..line };
    }
    let Some(job) = job else { return line };
    let reasons = job.reasons.clone().and_then(|reasons| serde_json::from_value(reasons).ok());
    let certificate: Option<Certificate> =
        job.certificate.clone().and_then(|certificate| serde_json::from_value(certificate).ok());
    let records = certificate
        .map(|certificate| certificate.references.iter().filter_map(|reference| reference.moved).sum::<u64>());
    Line { outcome: job.state.clone(), reasons: reasons.unwrap_or_default(), records, ..line }
}
