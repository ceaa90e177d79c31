//! Repeated requests, and good requests among bad ones.

use handover::job::State;
use std::collections::BTreeMap;

use handover::contract::{JobId, RequestOutcome};
use handover::stages::intake::take;
use handover::stages::{Answer, AnswerResult, Outcome};
use serde_json::{Value, json};
use uuid::Uuid;

use super::changed;
use super::rejected::reason_of;
use crate::support::keap::{ADMIN, SUPPORT, to};
use crate::support::world::{LIMIT, keap_request, message, read};
use crate::support::{World, every_engine, snapshot};

/// Counts everything that a repeated request could add to.
async fn ledger_counts(world: &World) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in ["requests", "jobs", "chunks", "journal", "audit"] {
        counts.push(world.number(&format!("SELECT count(*) FROM handover.{table}")).await);
    }
    counts
}

#[every_engine]
async fn id_is_the_same_as_number_and_as_text(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&keap_request("r1")).await;
    assert_eq!(job.state, State::Completed, "{:?}", job.reasons);
    let mut numbers = keap_request("r1");
    (numbers["user_id"], numbers["org_id"], numbers["requested_by"]) = (json!(53), json!(1), json!(1));
    numbers["reassign"]["task"] = json!({ "user": 11 });
    let outcome = take(&world.context, &[message(numbers.to_string())]).await.remove(0);
    assert!(
        matches!(&outcome, Outcome::Answered(Answer { result: AnswerResult::Duplicate(_), .. })),
        "the same request: {outcome:?}"
    );
    let counts = ledger_counts(world).await;
    assert_eq!(counts[..2], [1, 1]);
}

/// Returns the types of all events up to the job's own outcome.
async fn events_until(world: &mut World, job: JobId, kind: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let event = world.client.next_event(LIMIT).await.expect("an event within the limit");
        let last = event["data"]["job_id"] == job.to_string() && event["type"] == kind;
        events.push(event);
        if last {
            return events;
        }
    }
}

#[every_engine]
async fn same_request_twice_is_one_job(world: &mut World) {
    world.start_worker().await;
    let request = keap_request("r1");
    let job = world.hand_over(&request).await;
    // A name-based UUID (RFC 9562) of `<length>:<org>,<length>:<request_id>,` in the published namespace.
    let namespace = Uuid::parse_str("6d7f1c52-9f0e-5b1a-8a3c-4e2170d95b66").expect("a UUID");
    assert_eq!(job.id, Uuid::new_v5(&namespace, b"1:1,2:r1,"));
    let (before, ledger) = (snapshot::of_host(world).await, ledger_counts(world).await);

    world.send(&request).await;
    let reformatted = format!(
        "\n{{ \"drift\": \"refuse\", \"reassign\": {},\n \"requested_by\":\"1\", \"user_id\":\"5\\u0033\", \"org_id\":\"1\", \
         \"type\":\"deactivate\", \"request_id\":\"r1\" }}\n",
        serde_json::to_string_pretty(&request["reassign"]).expect("JSON")
    );
    let again = [message(request.to_string()), message(reformatted)];
    let duplicate = Outcome::Answered(Answer {
        request_id: "r1".into(),
        job: JobId(job.id),
        result: AnswerResult::Duplicate(RequestOutcome::Accepted),
    });
    assert_eq!(take(&world.context, &again).await, [duplicate.clone(), duplicate]);

    let marker = changed("marker", "user_id", json!("999"));
    let marker = JobId(world.hand_over(&marker).await.id);
    world.stop_workers().await;
    let events = events_until(world, marker, "handover.deactivation.rejected").await;
    let of_job = events.iter().filter(|event| event["data"]["job_id"] == job.id.to_string());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    of_job.for_each(|event| *kinds.entry(event["type"].as_str().expect("a type")).or_default() += 1);
    assert_eq!(kinds["handover.deactivation.completed"], 1, "{kinds:?}");
    // Users 11 to 14 receive contacts, 15 to 17 leads.
    assert_eq!(kinds["handover.records.assigned"], 7, "{kinds:?}");
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert_eq!(snapshot::of_host(world).await, before);
    // The marker adds one request, one job and one audit entry.
    let expected: Vec<i64> = ledger.iter().zip([1, 1, 0, 0, 1]).map(|(count, more)| count + more).collect();
    assert_eq!(ledger_counts(world).await, expected);
}

#[every_engine]
async fn same_id_with_another_body_conflicts(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&keap_request("r1")).await;
    let (before, ledger) = (snapshot::of_host(world).await, ledger_counts(world).await);
    let other = changed("r1", "user_id", json!("14"));
    world.send(&other).await;
    let dead_letter = world.next_dead_letter().await;
    assert_eq!((dead_letter.reason(), dead_letter.path()), ("conflict", "request_id"));
    assert_eq!(serde_json::from_slice::<Value>(&dead_letter.body).expect("JSON"), other);
    assert!(dead_letter.headers["x-handover-detail"].contains(&job.id.to_string()), "{:?}", dead_letter.headers);
    assert_eq!(world.job(JobId(job.id)).await, Some(job));
    assert_eq!(snapshot::of_host(world).await, before);
    assert_eq!(ledger_counts(world).await, ledger);
}

#[every_engine]
async fn rejected_request_stays_rejected_when_repeated(world: &mut World) {
    world.start_worker().await;
    world.sql("UPDATE users SET email = NULL WHERE id = 53").await;
    let request = keap_request("r1");
    reason_of(world, &request).await;
    // A rejection is final. Fix the request and send it under a new id.
    world.sql("UPDATE users SET email = 'dana@example.com' WHERE id = 53").await;
    let message = message(request.to_string());
    let duplicate = Outcome::Answered(Answer {
        request_id: "r1".into(),
        job: read(&request).job_id(),
        result: AnswerResult::Duplicate(RequestOutcome::Rejected),
    });
    assert_eq!(take(&world.context, &[message]).await, [duplicate]);
    assert_eq!(world.job(read(&request).job_id()).await.expect("a job").state, State::Rejected);
    assert_eq!(world.hand_over(&keap_request("r2")).await.state, State::Completed);
}

#[every_engine]
async fn bad_requests_do_not_affect_their_group(world: &mut World) {
    let take_all = to(SUPPORT);
    let everything = json!({ "contact": take_all, "lead": take_all, "task": take_all });
    let leaver = |id: &str| json!({ "type": "deactivate", "request_id": format!("leaver {id}"), "org_id": "1", "user_id": id, "requested_by": ADMIN, "reassign": everything });
    let good = [leaver("16"), leaver("53"), leaver("17")];
    let rejected = [leaver("31"), leaver("999")];
    let mut conflict = leaver("16");
    conflict["reason"] = json!("another body");
    for body in [&good[0], &rejected[0], &good[1]] {
        world.send(body).await;
    }
    world.client.send(b"no request at all".to_vec()).await;
    for body in [&conflict, &rejected[1], &good[2]] {
        world.send(body).await;
    }
    world.start_worker().await;
    for (requests, state) in [(&good[..], State::Completed), (&rejected[..], State::Rejected)] {
        for request in requests {
            let job = world.end_of(read(request).job_id()).await;
            assert_eq!(job.state, state, "{request}: {:?}", job.reasons);
        }
    }
    let mut reasons = [world.next_dead_letter().await, world.next_dead_letter().await]
        .map(|dead_letter| dead_letter.reason().to_owned());
    reasons.sort();
    assert_eq!(reasons, ["conflict", "not_json"]);
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 5);
}
