//! Rows that arrive after the end of a job and that nobody may receive: the job is reopened, with an event and a certificate.

use handover::contract::JobId;
use handover::job::State;
use handover::stages::handover::finalizer;
use handover::store::ledger::jobs::Job;
use serde_json::{Value, json};

use crate::support::people::{leave, owners, reference, start};
use crate::support::world::{certificate_of, codes_of, result_of};
use crate::support::{World, every_engine};

const TABLES: &str = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, kind TEXT); \
     CREATE TABLE memos (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO memos VALUES (1, 9);";

/// No reference covers documents of another kind than `open`.
fn references() -> String {
    reference("doc", "docs", "disposition = \"transfer\"\nwhere = { kind = \"open\" }")
        + &reference("note", "memos", "disposition = \"transfer\"")
}

/// Deactivates the leaver, who has a note and no document, so that the request allots notes only.
async fn leave_without_documents(world: &mut World) -> Job {
    start(world, TABLES, &references()).await;
    world.hand_over(&leave("9", json!({ "note": { "user": "2" } }))).await
}

async fn recounted(world: &World, job: &Job) -> Job {
    let id = JobId(job.id);
    finalizer::recount(&world.context, id).await.expect("counted");
    world.job(id).await.expect("the job")
}

async fn event_of(world: &mut World, job: &Job, change: &str) -> Value {
    loop {
        let event = world.next_event_of(JobId(job.id)).await;
        if event["type"] == format!("handover.deactivation.{change}") {
            return event;
        }
    }
}

/// Inserts a late document that nobody may receive, beside a note that moves, and asserts that the job is reopened.
async fn reopens(world: &mut World, document: &str, kind: Value) {
    let job = leave_without_documents(world).await;
    assert_eq!(certificate_of(&job).orphans, Some(0));
    world.sql(&format!("INSERT INTO docs VALUES {document}; INSERT INTO memos VALUES (2, 9)")).await;
    let reopened = recounted(world, &job).await;
    assert_eq!((reopened.state, codes_of(&reopened)), (State::NeedsAttention, vec!["orphans_left".to_owned()]));
    let certificate = certificate_of(&reopened);
    assert_eq!((certificate.orphans, certificate.supplement), (Some(1), 1));
    assert_eq!(result_of(&certificate, "note").moved, Some(2), "what moved since is in the certificate");
    let event = event_of(world, &job, "needs_attention").await;
    assert_eq!(event["data"]["reasons"][0]["concerning"]["kind"], kind);
}

/// Proves that "0 orphans" does not stay in a certificate while rows that no allotment covers point at the leaver.
#[every_engine]
async fn late_rows_without_allotment_reopen_the_job(world: &mut World) {
    reopens(world, "(1, 9, 'open')", json!("doc")).await;
}

#[every_engine]
async fn late_rows_outside_every_condition_reopen_the_job(world: &mut World) {
    reopens(world, "(1, 9, 'other')", Value::Null).await;
}

/// Proves that a reopened job ends with another certificate once somebody has been named, and returns the user once.
#[every_engine]
async fn amended_job_moves_late_rows_and_ends(world: &mut World) {
    let job = leave_without_documents(world).await;
    world.sql("INSERT INTO docs VALUES (1, 9, 'open')").await;
    recounted(world, &job).await;
    let amend = json!({ "type": "amend", "request_id": "names", "requested_by": "1", "job_id": job.id,
        "reassign": { "doc": { "user": "3" } } });
    assert_eq!(world.hand_over(&amend).await.state, State::Completed);
    let ended = world.end_of(JobId(job.id)).await;
    let ended = world.until("the job ends again", async || {
        world.job(JobId(ended.id)).await.filter(|job| job.state == State::Completed)
    });
    let ended = ended.await;
    let certificate = certificate_of(&ended);
    assert_eq!((certificate.orphans, certificate.supplement), (Some(0), 2));
    assert_eq!((ended.completed_at, owners(world, "docs").await), (job.completed_at, vec!["1:3".to_owned()]));
    let event = event_of(world, &job, "completed").await;
    assert_eq!(event["data"]["supplement"], 0);
}

/// Proves that a job stays completed while its user's return is scheduled, and reports the rows once.
#[every_engine]
async fn late_rows_are_reported_while_return_is_scheduled(world: &mut World) {
    start(world, TABLES, &references()).await;
    let mut leaves = leave("9", json!({ "note": { "user": "2" } }));
    leaves["return_at"] = json!("2190-01-01T00:00:00Z");
    let job = world.hand_over(&leaves).await;
    world.sql("INSERT INTO docs VALUES (1, 9, 'open')").await;
    let reported = recounted(world, &job).await;
    assert_eq!((reported.state, certificate_of(&reported).orphans), (State::Completed, Some(1)));
    event_of(world, &job, "needs_attention").await;
    assert_eq!(recounted(world, &job).await.sequence, reported.sequence);
}
