//! Every wrong call gets its problem, and changes nothing.

use handover::contract::TokenScope;
use handover::http::api::document;
use serde_json::{Value, json};

use crate::support::api::{ApiServer, operator_token, token_of};
use crate::support::http::{ObservedWorker, get};
use crate::support::keap::{ADMIN, leaver};
use crate::support::world::read;
use crate::support::{World, every_engine, on_sqlite};

const OF_PERSONS: [TokenScope; 4] =
    [TokenScope::JobsRead, TokenScope::JobsWrite, TokenScope::UsersRead, TokenScope::AuditRead];

const NO_JOB: &str = "6b0c3e7e-3c5c-5f7c-9d0a-0c7d1f6c2a11";

/// Promise: every malformed call has its 4xx with a code, and nothing is half done.
#[every_engine]
async fn malformed_calls_are_refused_with_problems(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &OF_PERSONS).await;
    let request = leaver().to_string();
    let long = format!("{{\"request_id\":\"{}\"}}", "x".repeat(1 << 20));
    let post = |body: &str| {
        server.call("POST", "/v1/requests").token(token).header("Content-Type", "application/json").body(body)
    };
    let cases = [
        (server.get(token, "/v2/jobs"), 404, "not_found"),
        (server.get(token, "/v1/jobs/"), 404, "not_found"),
        (server.call("DELETE", "/v1/jobs").token(token), 405, "method_not_allowed"),
        (server.get(token, "/v1/jobs?colour=red"), 400, "invalid_parameter"),
        (server.get(token, "/v1/jobs?state=asleep"), 400, "invalid_parameter"),
        (server.get(token, "/v1/jobs?limit=0"), 400, "invalid_parameter"),
        (server.get(token, "/v1/jobs?limit=few"), 400, "invalid_parameter"),
        (server.get(token, "/v1/audit?after=-1"), 400, "invalid_parameter"),
        (server.get(token, "/v1/users?after=x"), 400, "invalid_parameter"),
        (server.get(token, "/v1/successors?leaver=53"), 400, "invalid_parameter"),
        (server.get(token, "/v1/jobs?limit=1&limit=2"), 400, "invalid_parameter"),
        (server.get(token, "/v1/jobs?after=bm8"), 400, "invalid_parameter"),
        (server.get(token, "/v1/jobs?since=yesterday"), 400, "invalid_parameter"),
        (server.get(token, "/v1/jobs?user=%00"), 400, "invalid_parameter"),
        (server.get(token, "/v1/jobs/7"), 404, "not_found"),
        (server.get(token, "/v1/jobs/%FF"), 404, "not_found"),
        (server.get(token, format!("/v1/jobs/{NO_JOB}")), 404, "not_found"),
        (server.get(token, format!("/v1/jobs/{NO_JOB}/events")), 404, "not_found"),
        (server.get(token, format!("/v1/jobs/{NO_JOB}/certificate")), 404, "not_found"),
        (post("{"), 400, "invalid_request"),
        (post("[]"), 400, "invalid_request"),
        (post("\u{7f}"), 400, "invalid_request"),
        (post(r#"{"type":"deactivate","type":"deactivate"}"#), 400, "invalid_request"),
        (post(&long), 413, "too_large"),
        (server.call("POST", "/v1/requests").token(token).body(&request), 415, "unsupported_media_type"),
        (server.call("PUT", "/v1/requests/other").token(token).json(&leaver()), 400, "invalid_request"),
        (server.call("PUT", "/v1/requests/%0A").token(token).json(&leaver()), 400, "invalid_parameter"),
        (
            server.call("POST", format!("/v1/jobs/{NO_JOB}/commands")).token(token).json(&json!({ "type": "pause" })),
            404,
            "not_found",
        ),
        (server.get(token, "/v1/jobs").header("Host", "evil.example"), 421, "unknown_host"),
        (server.call("GET", "http://evil.example/v1/jobs").token(token), 421, "unknown_host"),
    ];
    for (call, status, code) in cases {
        let answer = call.answer().await;
        answer.problem(status, code);
        assert!(
            status == 404 || status == 405 || status == 421 || answer.headers["cache-control"] == "no-store",
            "{answer:?}"
        );
        assert!(answer.json()["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{answer:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 0);
}

/// Promise: a request that cannot be read gets every fault at once, each with a hint and a pointer to its field.
#[every_engine]
async fn all_faults_are_reported_with_pointers(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = token_of(world, ADMIN, &[TokenScope::JobsWrite]).await;
    let request = leaver().allot("contact", json!({ "shares": 7 })).allot("nothing", json!({ "user": "11" }));
    let answer = server.put(&token, &request.with("lock_out", json!("yes"))).answer().await;
    assert_eq!(answer.problem(400, "invalid_request"), ["invalid_field"; 3]);
    let body = answer.json();
    let pointers: Vec<&str> =
        body["reasons"].as_array().expect("reasons").iter().filter_map(|reason| reason["pointer"].as_str()).collect();
    assert!(
        pointers.contains(&"/lock_out") && pointers.iter().any(|path| path.starts_with("/reassign/contact")),
        "{body}"
    );
    assert!(body["reasons"].as_array().expect("reasons").iter().all(|reason| reason["hint"] != ""), "{body}");
    let rejected = server.put(&token, &leaver().requested_by(ADMIN).without_allotments()).answer().await;
    let codes = rejected.problem(422, "rejected");
    assert!(codes.len() >= 2 && codes.iter().all(|code| code == "allotment_missing"), "{rejected:?}");
    assert_eq!(
        rejected.json()["reasons"][0]["pointer"].as_str().map(|path| path.starts_with("/reassign/")),
        Some(true)
    );
}

/// Promise: a body that contradicts the path or the token gets a pointer to the field that is too much.
#[every_engine]
async fn contradicting_fields_are_pointed_at(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &[TokenScope::JobsRead, TokenScope::JobsWrite]).await;
    server.put(token, &leaver()).answer().await.expect(202);
    let job = format!("/v1/jobs/{}/commands", read(&leaver()).job_id());
    let command = |body: Value| server.call("POST", &job).token(token).json(&body);
    let cases = [
        (server.call("PUT", "/v1/requests/other").token(token).json(&leaver()), 400, "/request_id"),
        (server.put(token, &leaver().requested_by("12")), 403, "/requested_by"),
        (server.put(token, &leaver().with("org_id", json!("2"))), 403, "/org_id"),
        (command(json!({ "type": "pause", "job_id": NO_JOB })), 400, "/job_id"),
        (command(json!({ "type": "pause", "request_id": "a" })).header("Idempotency-Key", "b"), 400, "/request_id"),
        (command(json!({ "type": "deactivate", "user_id": "54" })), 400, "/type"),
    ];
    for (call, status, pointer) in cases {
        let answer = call.answer().await.expect(status);
        let reason = &answer.json()["reasons"][0];
        assert_eq!(reason["pointer"], pointer, "{answer:?}");
        assert!(reason["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{answer:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 1);
}

/// Promise: every route refuses a token without its scope, and a call without a token, before anything else.
#[every_engine]
async fn every_route_needs_its_scope(world: &mut World) {
    let server = ApiServer::start(world).await;
    let document = document();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let Some(scope) = operation["security"][0]["token"][0].as_str() else { continue };
            let scope: TokenScope = scope.parse().expect("a scope");
            let others = |all: &[TokenScope]| all.iter().copied().filter(|other| *other != scope).collect::<Vec<_>>();
            let token = match scope.is_operators() {
                true => operator_token(world, &others(&[TokenScope::OperatorRead, TokenScope::OperatorWrite])).await,
                false => token_of(world, ADMIN, &others(&OF_PERSONS)).await,
            };
            let (method, path) = (method.to_uppercase(), path.replace("{id}", NO_JOB).replace("{request_id}", "r1"));
            let body = json!({});
            let wrong = server.call(&method, &path).token(&token).json(&body).answer().await;
            wrong.problem(403, "missing_scope");
            let without = server.call(&method, &path).json(&body).answer().await;
            without.problem(401, "unauthenticated");
            assert!(without.headers["www-authenticate"].starts_with("Bearer"), "{without:?}");
            world.change_ledger("DELETE FROM handover.tokens").await;
            asked += 1;
        }
    }
    assert!(asked >= 8, "{asked} routes");
    server.call("GET", "/v1/openapi.json").answer().await.expect(200);
}

/// Promise: an address that fails to authenticate too often is refused before any query, also with a good token.
#[on_sqlite]
async fn failed_authentication_is_limited_by_address(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = token_of(world, ADMIN, &[TokenScope::JobsRead]).await;
    let guess = format!("hdo_{}_{}", "0".repeat(16), "0".repeat(64));
    let mut last = 401;
    for _ in 0..40 {
        last = server.get(&guess, "/v1/jobs").answer().await.status;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    let refused = server.get(&token, "/v1/jobs").answer().await;
    refused.problem(429, "too_many_requests");
    assert!(refused.headers["retry-after"].parse::<u64>().is_ok_and(|seconds| seconds > 0));
}

/// Promise: the metrics listener answers 421 to a host that it does not know, like every other.
#[on_sqlite]
async fn metrics_refuse_unknown_hosts(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let observed = ObservedWorker::start(world, folder.path(), &[("HANDOVER_HTTP__HOSTS", "metrics.example")]);
    for (host, status) in [("evil.example", 421), ("metrics.example:80", 200), ("localhost", 200)] {
        let answer = crate::support::http::get_as(&observed.address, "/metrics", host).expect("an answer");
        assert_eq!(answer.0, status, "{host}");
    }
    assert_eq!(get(&observed.address, "/livez").map(|answer| answer.0), Some(200));
}

/// Promise: the document is OpenAPI 3.1 with unique operations, and every reference in it leads somewhere.
#[test]
fn openapi_document_is_whole() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut operations = std::collections::BTreeSet::new();
    let routes = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|path| path.as_object().expect("methods").values());
    for operation in routes {
        assert!(operations.insert(operation["operationId"].to_string()), "{}", operation["operationId"]);
    }
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20);
    for (name, _) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "two types are called {name}");
    }
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
