//! Submits requests and commands.

use std::time::Duration;

use axum::Json;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::jobs::{self, Progress};
use crate::app::submit::{self, Taken};
use crate::contract::{Certificate, JobId, Reason, ReasonCode, Request, RequestId, TokenScope, read_request_with};
use crate::http::api::budget::{Purpose, busy};
use crate::http::api::call::Call;
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Body, Method, Parameter, Route, header, in_path, json, schema};
use crate::http::problem::{Problem, Result};

/// The longest time for which an answer may wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The state of a request's job.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RequestAnswer {
    /// The job.
    pub job: Progress,
    /// The reasons why the job needs attention.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub reasons: Vec<Reason>,
    /// The certificate, once the job has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

pub fn routes() -> Vec<Route> {
    let route = |method, path, summary, parameters: Vec<Parameter>, handler| Route {
        method,
        path,
        scopes: &[TokenScope::JobsWrite],
        summary,
        parameters,
        body: Some(Body::Json(schema::<Request>)),
        answers: answers(),
        handler,
    };
    let id = in_path("request_id", "The sender's id of the request: the same id and content is the same job.");
    let key = header("Idempotency-Key", "The `request_id`, instead of a field of the body.");
    vec![
        route(Method::Put, "/v1/requests/{request_id}", "Submit a request under its id", vec![id, prefer()], |call| {
            Box::pin(put(call))
        }),
        route(Method::Post, "/v1/requests", "Submit a request", vec![key, prefer()], |call| Box::pin(post(call))),
    ]
}

/// Returns the answers of every route that submits something.
pub fn answers() -> Vec<crate::http::api::route::Answer> {
    vec![
        json::<RequestAnswer>(200, "The job has ended, or waits for a person."),
        json::<RequestAnswer>(202, "The request is accepted. `Location` is the job."),
    ]
}

/// Returns the header by which a sender waits.
pub fn prefer() -> Parameter {
    header("Prefer", "`wait=5` waits for the end of the job, at most ten seconds.")
}

async fn put(call: Call) -> Result<Response> {
    let id = call.in_path("request_id").to_owned();
    submit(call, Some(id)).await
}

async fn post(call: Call) -> Result<Response> {
    let id = call.header("idempotency-key")?.map(|key| key.trim_matches('"').to_owned());
    submit(call, id).await
}

async fn submit(call: Call, id: Option<String>) -> Result<Response> {
    if let Some(Err(fault)) = id.clone().map(RequestId::try_from) {
        return Err(Problem::parameter("request_id", fault));
    }
    let request = read(&call, id.as_deref().map(|id| ("request_id", id)).into_iter().collect())?;
    if id.is_some_and(|id| id != request.header().request_id.as_str()) {
        return Err(other_id());
    }
    take(&call, request, None).await
}

/// Returns the problem of a body whose id is not that of the path or the header.
pub fn other_id() -> Problem {
    let fault = "`request_id` is another one in the path or in `Idempotency-Key`";
    Problem::field("request_id", fault, "leave it out of the body, or write the same")
}

/// Reads a request. The token says who asks and in which organization, unless the body does; `stated` are other such fields.
pub fn read(call: &Call, stated: Vec<(&str, &str)>) -> Result<Request> {
    // An operator sends no requests.
    call.org()?;
    let of_token = call.principal()?.stated().map_err(|fault| Problem::parameter("requested_by", fault))?;
    let of_token = of_token.iter().map(|(name, value)| (*name, value.as_str()));
    let stated: Vec<(&str, &str)> = of_token.chain(stated).collect();
    read_request_with(&call.body, &stated).map_err(|invalid| Problem::invalid(&invalid))
}

/// Takes a request, waits if the sender prefers that, and answers with the state of its job.
pub async fn take(call: &Call, request: Request, version: Option<i64>) -> Result<Response> {
    let wait = preferred_wait(call);
    let purpose = Purpose::of(&request);
    let turn = call.api.budget.turn(purpose).await?;
    let (context, traceparent) = (&call.api.parts.context, call.traceparent());
    let taken = submit::take(context, call.principal()?, request, traceparent.as_deref(), version).await;
    drop(turn);
    match taken.map_err(problem)? {
        Taken::Accepted(job) => accepted(call, job, purpose, wait).await,
        Taken::Rejected(job, reasons) => Err(rejected(job, &reasons)),
        // Another requester learns that the id is taken, and nothing else.
        Taken::Conflict { is_own: false } => {
            Err(Problem::new(StatusCode::CONFLICT, "conflict", "the `request_id` is taken"))
        }
        Taken::Conflict { is_own: true } => {
            let detail = "the `request_id` belongs to another request of yours, whose job is unchanged";
            let conflict = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "other_content", detail);
            Err(conflict.hint("send this request under a new `request_id`"))
        }
        Taken::Invalid(invalid) => Err(Problem::invalid(&invalid)),
        Taken::Outdated => {
            let changed =
                Problem::new(StatusCode::PRECONDITION_FAILED, "outdated", "the job has changed since that version");
            Err(changed.hint("read the job again, and decide anew"))
        }
        Taken::Busy => Err(busy("other transactions are in the way")),
        Taken::Failed => {
            let failed = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the database refuses the request");
            Err(failed.hint("the log has the database's error; the same `request_id` may be sent again"))
        }
    }
}

fn rejected(job: JobId, reasons: &[Reason]) -> Problem {
    let about_asker =
        |reason: &Reason| matches!(reason.code, ReasonCode::RequesterNotPermitted | ReasonCode::RequesterIsLeaver);
    let status = match reasons.iter().any(about_asker) {
        true => StatusCode::FORBIDDEN,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, "rejected", "the request is rejected, which is final for its `request_id`")
        .hint("fix every reason, and send the request under a new `request_id`")
        .about(url_of(job.0))
        .because(reasons)
}

fn url_of(job: Uuid) -> String {
    format!("/v1/jobs/{job}")
}

/// Returns the time for which the sender waits: `Prefer: wait=N`, RFC 7240. Other preferences, and those that cannot be read, are
/// ignored, as its section 2 asks for. The header may occur more than once.
fn preferred_wait(call: &Call) -> Option<Duration> {
    let lines = call.headers.get_all("prefer").iter().filter_map(|line| line.to_str().ok());
    let preferences = lines.flat_map(|line| line.split([',', ';'])).filter_map(|preference| preference.split_once('='));
    let mut waits = preferences.filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"));
    let seconds = waits.next()?.1.trim().trim_matches('"').parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

async fn accepted(call: &Call, job: JobId, purpose: Purpose, wait: Option<Duration>) -> Result<Response> {
    if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
        let mut followed = call.api.watcher.follow(job.0);
        let ended = followed.wait_for(|progress| progress.as_ref().is_some_and(|progress| progress.ended));
        // Too late, or at the end of the process: the answer says how far the job is.
        let _ = tokio::time::timeout(wait, call.api.parts.draining.run_until_cancelled(ended)).await;
    }
    // Readers must not keep the answer from whom they could not keep the request.
    let turn = call.api.budget.turn(purpose).await?;
    let store = &call.api.parts.context.store;
    let progress = jobs::progress_of(store, &[job.0]).await.map_err(problem)?.remove(&job.0);
    let found = jobs::find(store, job.0).await.map_err(problem)?;
    drop(turn);
    let (Some(progress), Some(found)) = (progress, found) else { return Err(busy("the job cannot be read yet")) };
    let status = if progress.ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    let answer = RequestAnswer {
        reasons: jobs::reasons(&found).map_err(problem)?,
        certificate: jobs::certificate(&found).map_err(problem)?,
        job: progress,
    };
    let mut response = (status, Json(answer)).into_response();
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(url_of(job.0)).ok().map(|location| (LOCATION, location)));
    if status == StatusCode::ACCEPTED {
        headers.insert(RETRY_AFTER, 1.into());
    }
    let applied = wait.and_then(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok());
    headers.extend(applied.map(|applied| (PREFERENCE_APPLIED, applied)));
    Ok(response)
}
