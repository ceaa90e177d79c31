//! HTTP and AMQP are doors to the same functions: they cannot disagree.

use handover::contract::{Certificate, TokenScope};
use handover::stages::{AnswerResult, Outcome, intake};
use serde_json::{Value, json};

use crate::support::api::{ApiServer, token_of};
use crate::support::keap::{ADMIN, AMANDA, LEAVER, MATHEW, deactivation, leaver, to};
use crate::support::world::{certificate_of, message, read};
use crate::support::{World, every_engine};

const READ_AND_WRITE: [TokenScope; 2] = [TokenScope::JobsRead, TokenScope::JobsWrite];

/// Returns the outcome of a request from the queue in a few words.
async fn over_amqp(world: &World, request: &Value) -> String {
    let outcome = intake::take(&world.context, &[message(request.to_string())]).await.pop().expect("an outcome");
    match outcome {
        Outcome::Answered(answer) => match answer.result {
            AnswerResult::Accepted => "accepted".into(),
            AnswerResult::Duplicate(outcome) => format!("{outcome} before"),
            AnswerResult::Rejected(reasons) => listed(reasons.iter().map(|reason| reason.code.to_string())),
        },
        Outcome::DeadLetter(reason) => listed(reason.faults().map(|fault| fault.code.to_string())),
        Outcome::Done | Outcome::Blocked(_) | Outcome::NotReached | Outcome::Outdated => format!("{outcome:?}"),
    }
}

async fn over_http(server: &ApiServer, token: &str, request: &Value) -> String {
    let answer = server.put(token, request).answer().await;
    let body = answer.json();
    match answer.status {
        200 | 202 => "accepted".into(),
        _ => listed(
            body["reasons"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|reason| reason["code"].as_str().expect("a code").to_owned()),
        ),
    }
}

fn listed(codes: impl Iterator<Item = String>) -> String {
    codes.collect::<Vec<_>>().join(" ")
}

/// Promise: the same request has the same outcome with the same reasons through both doors.
#[every_engine]
async fn doors_agree_on_every_outcome(world: &mut World) {
    let server = ApiServer::start(world).await;
    let admin = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    let amanda = &token_of(world, AMANDA, &READ_AND_WRITE).await;
    let command = |kind: &str, user: &str| json!({ "type": kind, "request_id": "c", "org_id": "1", "user_id": user, "requested_by": ADMIN });
    let requests = [
        (admin, deactivation("r", "999").clone()),
        (admin, deactivation("r", ADMIN).clone()),
        (amanda, leaver().requested_by(AMANDA).clone()),
        (admin, leaver().without_allotments().clone()),
        (admin, leaver().leads(to(MATHEW)).contacts(to(LEAVER)).clone()),
        (admin, leaver().with("user_id", json!("x")).clone()),
        (admin, leaver().allot("nothing", to("11")).clone()),
        (admin, leaver().with("expect", json!("old")).clone()),
        (admin, command("reactivate", LEAVER)),
        (admin, command("cancel_invitation", "999")),
    ];
    for (number, (token, mut request)) in requests.into_iter().enumerate() {
        request["request_id"] = json!(format!("amqp-{number}"));
        let first = over_amqp(world, &request).await;
        request["request_id"] = json!(format!("http-{number}"));
        assert_eq!(over_http(&server, token, &request).await, first, "{request}");
        assert!(!first.is_empty() && first != "accepted", "{request}");
    }
}

/// Promise: a job of either door moves the same records to the same people.
#[every_engine]
async fn doors_agree_on_the_certificate(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    world.start_worker().await;
    let by_amqp = world.certificate(&leaver().with("request_id", json!("amqp"))).await;
    let revert = json!({ "type": "revert", "reason": "once more" });
    let path = format!("/v1/jobs/{}/commands", read(&leaver().with("request_id", json!("amqp"))).job_id());
    let reverted = server.call("POST", path).token(token).json(&revert).header("Prefer", "wait=10").answer().await;
    assert_eq!(reverted.expect(200).json()["job"]["state"], "completed");
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    let request = leaver().with("request_id", json!("http"));
    server.put(token, &request).header("Prefer", "wait=10").answer().await.expect(200);
    let by_http = certificate_of(&world.end_of(read(&request).job_id()).await);
    // Credentials do not return with an undo.
    let of_kinds = |certificate: Certificate| {
        certificate.references.into_iter().filter(|reference| reference.kind != "api_token").collect::<Vec<_>>()
    };
    assert_eq!((&by_http.orphans, &by_http.license), (&by_amqp.orphans, &by_amqp.license));
    assert_eq!(of_kinds(by_http), of_kinds(by_amqp));
}

/// Promise: the same id and content is one job over both doors; other content is 422; another requester gets a bare conflict.
#[every_engine]
async fn request_id_is_one_job_over_both_doors(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    server.put(token, &leaver()).answer().await.expect(202);
    assert_eq!(over_amqp(world, &leaver()).await, "accepted before");
    server.put(token, &leaver()).answer().await.expect(202);
    let other = leaver().with("reason", json!("another one"));
    let answer = server.put(token, &other).answer().await;
    answer.problem(422, "other_content");
    assert_eq!(over_amqp(world, &other).await, "conflict");
    let amanda = token_of(world, AMANDA, &READ_AND_WRITE).await;
    let conflict = server.put(&amanda, &leaver().requested_by(AMANDA)).answer().await;
    assert_eq!(conflict.problem(409, "conflict"), Vec::<String>::new());
    assert!(!conflict.body.contains(&read(&leaver()).job_id().to_string()), "{conflict:?}");
    let rejected = leaver().with("request_id", json!("r2")).with("user_id", json!("999"));
    assert_eq!(over_amqp(world, &rejected).await, "unknown_user");
    let again = server.put(token, &rejected).answer().await;
    assert_eq!(again.problem(422, "rejected"), ["unknown_user"], "a rejected outcome is final for its id");
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 2);
}
