//! Reads jobs, and takes commands about them.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::requests::{answers, other_id, prefer, read, take};
use crate::app::jobs::{self, Summary};
use crate::contract::{Allotment, CatalogChoice, Certificate, Request, RequestType, State, TokenScope};
use crate::http::api::call::{Call, Page, cursor, written};
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Answer, Body, Method, Route, header, in_path, in_query, json, schema};
use crate::http::problem::{Problem, Result};
use crate::store::ledger::job_filter::JobFilter;

const LIST: &str = "/v1/jobs";

/// A command about the job in the path. The token says who asks.
#[derive(JsonSchema)]
#[schemars(rename = "NewCommand", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used: the body is read as a request")]
struct Command {
    /// The command.
    #[schemars(rename = "type")]
    #[schemars(extend("enum" = ["revert", "cancel", "pause", "resume", "amend"]))]
    kind: RequestType,
    /// The sender's id of the command. Default: the `Idempotency-Key`, or a new one.
    request_id: Option<String>,
    /// The cause, for the audit trail.
    #[schemars(extend("maxLength" = 2000))]
    reason: Option<String>,
    /// Of `resume`: `current` continues the job with the catalog that is current.
    catalog: Option<CatalogChoice>,
    /// Of `amend`: for each kind, the allotment of the remaining records.
    reassign: Option<BTreeMap<String, Allotment>>,
}

pub fn routes() -> Vec<Route> {
    let reads = |path, summary, parameters, answers, handler| Route {
        method: Method::Get,
        path,
        scopes: &[TokenScope::JobsRead],
        summary,
        parameters,
        body: None,
        answers,
        handler,
    };
    let id = || in_path("id", "The job.");
    let unchanged = Answer { status: 304, about: "The sender has this state.", content: None, schema: schema::<Value> };
    let known = || header("If-None-Match", "The ETag of the state that the sender has.");
    vec![
        reads(
            LIST,
            "List jobs, newest first",
            vec![
                in_query::<String>("state", "States, separated by commas."),
                in_query::<String>("type", "Types of requests, separated by commas."),
                in_query::<String>("user", "The user whom the job is about."),
                in_query::<String>("by", "The requester."),
                in_query::<String>("since", "The earliest time of the request, RFC 3339."),
                in_query::<String>("text", "A part of the request's id or reason."),
                in_query::<u64>("limit", "Entries of a page: 1 to 200, or 50."),
                in_query::<String>("after", "The `next` of the page before."),
            ],
            vec![json::<Page<Summary>>(200, "A page of jobs. `Link` names the next one.")],
            |call| Box::pin(list(call)),
        ),
        reads(
            "/v1/jobs/{id}",
            "Read the whole story of a job",
            vec![id(), known()],
            vec![json::<jobs::Details>(200, "The job, from the request to the certificate."), unchanged],
            |call| Box::pin(details(call)),
        ),
        reads(
            "/v1/jobs/{id}/certificate",
            "Read the certificate of a job",
            vec![id()],
            vec![json::<Certificate>(200, "The counts that the job has proved.")],
            |call| Box::pin(certificate(call)),
        ),
        Route {
            method: Method::Post,
            path: "/v1/jobs/{id}/commands",
            scopes: &[TokenScope::JobsWrite],
            summary: "Revert, cancel, pause, resume or amend a job",
            parameters: vec![
                id(),
                header("If-Match", "The ETag of the job: does nothing if the job has changed since."),
                header("Idempotency-Key", "The `request_id`, instead of a field of the body."),
                prefer(),
            ],
            body: Some(Body::Json(schema::<Command>)),
            answers: answers(),
            handler: |call| Box::pin(command(call)),
        },
    ]
}

async fn list(call: Call) -> Result<Response> {
    let time = |text: &String| {
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Problem::parameter("since", "it is no time of RFC 3339"))
    };
    let filter = JobFilter {
        states: call.listed::<State>("state")?,
        kinds: call.listed::<RequestType>("type")?,
        user: call.query.get("user").cloned(),
        org: Some(call.org()?.to_owned()),
        requested_by: call.query.get("by").cloned(),
        since: call.query.get("since").map(time).transpose()?,
        text: call.query.get("text").cloned(),
        before: call.query.get("after").map(|text| cursor(text)).transpose()?,
    };
    let limit = call.limit()?;
    let _turn = call.api.budget.read().await?;
    let (items, next) = jobs::page(&call.api.parts.context.store, &filter, limit).await.map_err(problem)?;
    Ok(Page { items, next: next.map(written) }.answer(&call, LIST))
}

async fn details(call: Call) -> Result<Response> {
    let id = call.id("id")?;
    let _turn = call.api.budget.read().await?;
    let parts = &call.api.parts;
    let job = call.owned(jobs::find(&parts.context.store, id).await.map_err(problem)?)?;
    let details = jobs::details(&parts.context.store, id, parts.carries_events).await.map_err(problem)?;
    call.tagged(job.sequence, &details)
}

async fn certificate(call: Call) -> Result<Response> {
    let id = call.id("id")?;
    let _turn = call.api.budget.read().await?;
    let job = call.owned(jobs::find(&call.api.parts.context.store, id).await.map_err(problem)?)?;
    match jobs::certificate(&job).map_err(problem)? {
        Some(certificate) => Ok(Json(certificate).into_response()),
        None => Err(Problem::not_found("the job has no certificate yet")),
    }
}

async fn command(call: Call) -> Result<Response> {
    let id = call.id("id")?;
    let version = call.version()?;
    let key = call.header("idempotency-key")?.map(|key| key.trim_matches('"').to_owned());
    let request_id = key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let job_id = id.to_string();
    let turn = call.api.budget.write().await?;
    call.owned(jobs::find(&call.api.parts.context.store, id).await.map_err(problem)?)?;
    drop(turn);
    if is_of_another_type(&call.body) {
        return Err(no_command());
    }
    let request = read(&call, vec![("job_id", &job_id), ("request_id", &request_id)])?;
    match &request {
        Request::Job(asked) if asked.job_id.0 == id => {}
        Request::Job(_) => {
            return Err(Problem::field("job_id", "`job_id` is another one in the path", "leave it out of the body"));
        }
        Request::Handover(_) | Request::User(_) | Request::Invite(_) => return Err(no_command()),
    }
    if key.is_some_and(|key| key != request.header().request_id.as_str()) {
        return Err(other_id());
    }
    take(&call, request, version).await
}

/// Returns true if a body is a request that is no command about a job. Read as one, it would have the job of the path in excess.
fn is_of_another_type(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: RequestType,
    }
    serde_json::from_slice(body).is_ok_and(|Typed { kind }| !kind.is_about_job())
}

fn no_command() -> Problem {
    Problem::field("type", "the request is no command about a job", "send it to `/v1/requests`")
}
