//! Submitting requests and commands over HTTP.

use handover::contract::TokenScope;
use handover::job::State;
use serde_json::{Value, json};

use crate::support::api::{ApiProcess, ApiServer, Call, token_of};
use crate::support::http::line_of;
use crate::support::keap::{ADMIN, LEAVER, leaver};
use crate::support::server::until;
use crate::support::world::read;
use crate::support::{World, every_engine};

const READ_AND_WRITE: [TokenScope; 2] = [TokenScope::JobsRead, TokenScope::JobsWrite];

/// Promise: a request is accepted while no worker and no broker takes part; access ends at once, and the job goes on later.
#[every_engine]
async fn access_ends_before_the_answer(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    let accepted = server.put(token, &leaver()).answer().await.expect(202);
    let id = read(&leaver()).job_id();
    assert_eq!(accepted.headers["location"], format!("/v1/jobs/{id}"));
    assert!(accepted.headers.contains_key("retry-after"), "{accepted:?}");
    assert_eq!(accepted.json()["job"]["state"], "cutting");
    let status = format!("SELECT status AS t FROM users WHERE id = {LEAVER}");
    assert_eq!(world.texts(&status).await, ["inactive"], "access ends in the request's transaction");
    server.get(token, format!("/v1/jobs/{id}/certificate")).answer().await.problem(404, "not_found");
    world.start_worker().await;
    let done = server.put(token, &leaver()).header("Prefer", "respond-async").header("Prefer", "Wait = \"10\"");
    let done = done.answer().await.expect(200);
    assert_eq!(
        (&done.json()["job"]["state"], done.headers["preference-applied"].as_str()),
        (&json!("completed"), "wait=10")
    );
    let certificate = server.get(token, format!("/v1/jobs/{id}/certificate")).answer().await.expect(200).json();
    assert_eq!(certificate, done.json()["certificate"]);
    assert_eq!(certificate["orphans"], 0, "{certificate}");
}

/// Promise: the token says who asks and where, unless the body does; a body that claims another requester or organization is 403.
#[every_engine]
async fn body_cannot_claim_another_principal(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    for (field, value) in [("requested_by", "12"), ("org_id", "2"), ("requested_by", "service:crm")] {
        let claimed = server.put(token, &leaver().with(field, json!(value))).answer().await;
        claimed.problem(403, "other_principal");
        let preview = server.call("POST", "/v1/previews").token(token).json(&leaver().with(field, json!(value)));
        preview.answer().await.problem(403, "other_principal");
    }
    let mut short = leaver().clone();
    for field in ["requested_by", "org_id", "request_id"] {
        short.as_object_mut().expect("an object").remove(field);
    }
    let preview = server.call("POST", "/v1/previews").token(token).json(&short).answer().await.expect(200).json();
    let references = preview["references"].as_array().expect("references");
    let contacts = references.iter().find(|reference| reference["kind"] == "contact").expect("contacts");
    assert_eq!((&preview["accepted"], &contacts["found"]), (&json!(true), &json!(104)), "{preview}");
    let by_header = server.call("POST", "/v1/requests").token(token).header("Idempotency-Key", "r1").json(&short);
    by_header.answer().await.expect(202);
    assert_eq!(world.job(read(&leaver()).job_id()).await.expect("a job").requested_by, ADMIN);
}

/// Promise: a token of one organization sees nothing of another.
#[every_engine]
async fn jobs_of_other_organizations_do_not_exist(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    server.put(token, &leaver()).answer().await.expect(202);
    let id = read(&leaver()).job_id();
    let listed = server.get(token, "/v1/jobs?user=53&state=cutting,moving&type=deactivate").answer().await.expect(200);
    assert_eq!(listed.json()["items"][0]["job_id"], id.to_string());
    world.change_ledger("UPDATE handover.jobs SET org = '2'").await;
    assert_eq!(server.get(token, "/v1/jobs").answer().await.expect(200).json()["items"], json!([]));
    for path in ["", "/certificate", "/events"] {
        server.get(token, format!("/v1/jobs/{id}{path}")).answer().await.problem(404, "not_found");
    }
    let command = server.call("POST", format!("/v1/jobs/{id}/commands")).token(token).json(&json!({ "type": "pause" }));
    command.answer().await.problem(404, "not_found");
}

/// Promise: pages follow each other without gaps and repeats, by the cursor and by the link.
#[every_engine]
async fn pages_of_jobs_follow_each_other(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    for number in 0..5 {
        let request = leaver().with("request_id", json!(format!("r{number}"))).without_allotments();
        server.put(token, &request).answer().await.problem(422, "rejected");
    }
    let (mut found, mut path) = (Vec::new(), Some("/v1/jobs?limit=2&state=rejected".to_owned()));
    while let Some(next) = path {
        let page = server.get(token, next).answer().await.expect(200);
        let items = page.json()["items"].as_array().expect("items").clone();
        found.extend(items.iter().map(|job| job["request_id"].as_str().expect("an id").to_owned()));
        path = page.headers.get("link").map(|link| link[1..].split_once('>').expect("a link").0.to_owned());
    }
    assert_eq!(found, ["r4", "r3", "r2", "r1", "r0"]);
}

/// Promise: a command names the version of the job that it was decided on, and does nothing to another.
#[every_engine]
async fn commands_honor_the_version_of_the_job(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    server.put(token, &leaver()).answer().await.expect(202);
    let id = read(&leaver()).job_id();
    let job = format!("/v1/jobs/{id}");
    let version = server.get(token, &job).answer().await.expect(200).headers["etag"].clone();
    let send = |command: Value, version: &str, key: &'static str| {
        let call = server.call("POST", format!("{job}/commands")).token(token).json(&command);
        call.header("If-Match", version).header("Idempotency-Key", key)
    };
    for wrong in ["W/\"x\"", &format!("W/{version}"), &format!("{version}, \"9-a\""), "banana"] {
        send(json!({ "type": "pause" }), wrong, "p0").answer().await.problem(400, "invalid_parameter");
    }
    send(json!({ "type": "pause" }), &version, "p1").answer().await.expect(200);
    assert_eq!(world.job(id).await.expect("a job").state, State::Paused);
    send(json!({ "type": "resume" }), &version, "p2").answer().await.problem(412, "outdated");
    assert_eq!(
        world.number("SELECT count(*) FROM handover.requests WHERE request_id = 'p2'").await,
        0,
        "it may be sent again"
    );
    let version = server.get(token, &job).answer().await.expect(200).headers["etag"].clone();
    send(json!({ "type": "resume" }), &version, "p2").answer().await.expect(200);
    send(json!({ "type": "pause" }), "*", "p1").answer().await.expect(200);
    assert_ne!(world.job(id).await.expect("a job").state, State::Paused, "a repeated command is the first one");
    send(json!({ "type": "deactivate", "user_id": "53" }), "*", "p3").answer().await.problem(400, "invalid_request");
}

/// Promise: a worker in the same process carries on with an accepted request at once, without waiting for its next look.
#[every_engine]
async fn accepted_request_wakes_the_worker(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let token = token_of(world, ADMIN, &READ_AND_WRITE).await;
    let never = [("HANDOVER_WORKER__POLL", "1h"), ("HANDOVER_LIMITS__STALLED_AFTER", "1h")];
    let served = ApiProcess::start(world, folder.path(), &["run", "--serve"], &never);
    until("the worker runs", || line_of(&served.log, "worker started").is_some());
    let call = Call::at(&served.address, "PUT", "/v1/requests/r1").token(&token).json(&leaver());
    call.header("Prefer", "wait=10").answer().await.expect(200);
}
