//! The OpenAPI document, by official programs.

use std::path::Path;
use std::process::{Command, Stdio};

use handover::contract::{RequestType, TokenScope};
use serde_json::{Value, json};

use crate::support::api::{ApiServer, operator_token, service_token, token_of};
use crate::support::checkers::checkers;
use crate::support::keap::{ADMIN, leaver};
use crate::support::process::{Ended, finish, text};
use crate::support::{World, every_engine, on_sqlite};

const OF_PERSONS: [TokenScope; 4] =
    [TokenScope::JobsRead, TokenScope::JobsWrite, TokenScope::UsersRead, TokenScope::AuditRead];

/// The checks of each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// The time for the calls of a token, in seconds. A second one at the same time could be answered 503.
const SECONDS: &str = "8";

/// Checks a document with the official validator.
fn validate(programs: &Path, document: &Value) -> Ended {
    let mut validator = Command::new(programs.join("openapi-spec-validator"));
    validator.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::task::block_in_place(|| finish(validator.spawn().expect("a validator"), document.to_string().as_bytes()))
}

/// Promise: the official validator accepts the document, and refuses a wrong one.
#[on_sqlite]
async fn official_validator_accepts_the_document(world: &mut World) {
    let Some(programs) = tokio::task::block_in_place(checkers) else { return };
    let server = ApiServer::start(world).await;
    let document = server.call("GET", "/v1/openapi.json").answer().await.expect(200).json();
    validate(&programs, &document).expect(0);
    let mut wrong = document.clone();
    wrong["paths"]["/v1/jobs"]["get"]["parameters"][0]["in"] = json!("somewhere");
    validate(&programs, &wrong).expect(1);
}

/// Promise: whatever the document allows, and much that it does not, is answered as the document says, and never by a 5xx.
#[every_engine]
async fn every_answer_fits_the_document(world: &mut World) {
    let Some(programs) = tokio::task::block_in_place(checkers) else { return };
    world.start_worker().await;
    let job = world.hand_over(&leaver()).await.id;
    let server = ApiServer::start(world).await;
    let person = token_of(world, ADMIN, &OF_PERSONS).await;
    let service = service_token(world, "crm", &RequestType::ALL, &OF_PERSONS[..3]).await;
    let operator = operator_token(world, &[TokenScope::OperatorRead, TokenScope::OperatorWrite]).await;
    let file = server.call("POST", "/v1/bulk").token(&person).header("Content-Type", "text/csv");
    let file = file.body("user_id,deactivated\n54,y\n999,y\n").answer().await.expect(201).json();
    let folder = tempfile::tempdir().expect("a folder");
    let ids = [("jobs", json!(job)), ("bulk", file["id"].clone()), ("users", json!("13"))];
    let known = ids
        .map(|(of, id)| format!("[[operations]]\ninclude-path-regex = \"^/v1/{of}/\"\nparameters = {{ id = {id} }}\n"));
    let settings = folder.path().join("schemathesis.toml");
    std::fs::write(&settings, known.concat()).expect("settings");
    let document = format!("http://{}/v1/openapi.json", server.address);
    tokio::task::block_in_place(|| {
        for token in [&person, &service, &operator] {
            call_everything(&programs, &settings, &document, token);
        }
    });
}

/// Calls every operation of the document with a token, for a while.
fn call_everything(programs: &Path, settings: &Path, document: &str, token: &str) {
    let mut checker = Command::new(programs.join("schemathesis"));
    checker.args(["--config-file", text(settings), "run", document, "--checks", CHECKS, "--max-time", SECONDS]);
    checker.args(["--header", &format!("Authorization: Bearer {token}"), "--rate-limit", "45/s", "--seed", "1"]);
    checker.args(["--phases", "coverage,fuzzing", "--generation-database", "none", "--max-examples", "10"]);
    checker.args(["--suppress-health-check", "all", "--no-color"]);
    checker.current_dir(settings.parent().expect("a folder"));
    let child = checker.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    finish(child.expect("schemathesis"), b"").expect(0);
}
