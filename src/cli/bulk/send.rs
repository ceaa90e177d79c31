//! Sends the rows that can be done, and follows them to their end.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Result;
use time::OffsetDateTime;
use uuid::Uuid;

use super::judge::{Finding, Judged};
use super::report::Line;
use crate::broker::{Broker, Outgoing};
use crate::cli::submit;
use crate::cli::watch::{EVERY, PATIENCE};
use crate::contract::{AnyRequest, Certificate, Rejection};
use crate::job::{State, rejection};
use crate::store::Store;
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::requests;

/// Sends what can be done of these rows; what became of each.
pub async fn send(store: &Store, broker: &dyn Broker, judged: Vec<Judged>) -> Result<Vec<Line>> {
    let unsent = publish(broker, &judged).await;
    let sent = judged.iter().filter(|one| !unsent.contains_key(&one.row)).filter_map(request);
    let ended = follow(store, sent.map(|request| request.job_id().0).collect()).await?;
    let mut lines = Vec::with_capacity(judged.len());
    for one in judged {
        let failed = unsent.get(&one.row).map(|reason| vec![reason.clone()]);
        let line = match (failed, request(&one)) {
            (Some(reasons), _) => Line { reasons, outcome: "failed".into(), ..one.into_line() },
            (None, Some(request)) => told(store, request, &ended, &one).await?,
            (None, None) => one.into_line(),
        };
        lines.push(line);
    }
    Ok(lines)
}

fn request(judged: &Judged) -> Option<&AnyRequest> {
    match &judged.finding {
        Finding::Good(request, _) | Finding::Known(request) => Some(request),
        Finding::Skipped | Finding::Bad(_) => None,
    }
}

/// Publishes the rows that are good; those that did not arrive, by their place in the file.
async fn publish(broker: &dyn Broker, judged: &[Judged]) -> HashMap<u64, Rejection> {
    let good = |one: &Judged| matches!(one.finding, Finding::Good(..));
    let good: Vec<(u64, &AnyRequest)> =
        judged.iter().filter(|one| good(one)).filter_map(|one| Some((one.row, request(one)?))).collect();
    let messages: Vec<Outgoing> = good.iter().map(|(_, request)| submit::message(request)).collect();
    let results = broker.publish(&messages).await;
    let failed = good.iter().zip(results).filter_map(|((row, _), result)| Some((*row, result.err()?)));
    failed.map(|(row, error)| (row, rejection::failed(&format!("the request could not be sent: {error}")))).collect()
}

/// Follows jobs until nothing more happens to them by itself, or until their day.
async fn follow(store: &Store, mut ids: Vec<Uuid>) -> Result<HashMap<Uuid, Job>> {
    let began = Instant::now();
    let mut ended = HashMap::new();
    let mut asked = false;
    loop {
        for job in jobs::of_ids(&store.reader(), &ids).await? {
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

/// What became of a row that was sent, now or before.
async fn told(store: &Store, request: &AnyRequest, ended: &HashMap<Uuid, Job>, one: &Judged) -> Result<Line> {
    let head = request.head();
    let (id, job_id) = (head.request_id.as_str(), request.job_id());
    let line = Line {
        row: one.row,
        user: one.user.clone(),
        outcome: "failed".into(),
        reasons: Vec::new(),
        job_id: Some(job_id),
        records: None,
    };
    let known = requests::get(&store.reader(), head.org(), id).await?;
    if known.is_some_and(|known| known.body_hash != request.body_hash()) {
        return Ok(Line { reasons: vec![rejection::request_id_taken(id, job_id)], ..line });
    }
    let Some(job) = ended.get(&job_id.0) else { return Ok(line) };
    let reasons = job.reasons.clone().and_then(|reasons| serde_json::from_value(reasons).ok());
    let certificate: Option<Certificate> =
        job.certificate.clone().and_then(|certificate| serde_json::from_value(certificate).ok());
    let records = certificate
        .map(|certificate| certificate.references.iter().filter_map(|reference| reference.moved).sum::<u64>());
    Ok(Line { outcome: job.state.clone(), reasons: reasons.unwrap_or_default(), records, ..line })
}
