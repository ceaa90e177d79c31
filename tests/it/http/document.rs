//! The OpenAPI document, by official programs.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::api::ApiServer;
use crate::support::checkers::checkers;
use crate::support::process::{Ended, finish};
use crate::support::{World, on_sqlite};

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
