//! Reads dead letters, and replays or drops those that pass a filter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::dead_letters::{self, Action, DeadLetterView, Filter};
use crate::broker::Broker;
use crate::contract::TokenScope;
use crate::http::api::budget::busy;
use crate::http::api::call::Call;
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Body, Handler, Method, Route, in_query, json, schema};
use crate::http::problem::{Problem, Result};

const LIST: &str = "/v1/dead-letters";

/// The dead letters to work on: those that pass every test that is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Selected {
    /// Ids in the dead-letter queue, or original ids.
    ids: Vec<String>,
    /// Reason codes.
    reasons: Vec<String>,
    /// The original queue: `requests` or `steps`.
    queue: Option<String>,
    /// The organization of the request.
    org_id: Option<String>,
    /// The minimum number of seconds since they were set aside.
    older_than_seconds: Option<u32>,
    /// The maximum number of seconds since they were set aside.
    newer_than_seconds: Option<u32>,
    /// A text in the body or the reason, in upper or lower case.
    text: Option<String>,
    /// True to work on all messages, without a filter.
    all: bool,
    /// False to do it. By default the answer only says what would be done.
    dry_run: Option<bool>,
}

/// A page of dead letters.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOfDeadLetters")]
struct Listed {
    /// The entries.
    items: Vec<DeadLetterView>,
    /// The place where the next page begins, for `after`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// True if the queue has more messages than the 10,000 oldest, which are all that is read for a page.
    is_cut: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize, JsonSchema)]
struct Worked {
    /// The number of all messages in the queue.
    messages: usize,
    /// The number of those that pass the filter, by reason.
    matching: BTreeMap<String, usize>,
    /// True if nothing was done.
    dry_run: bool,
    /// The number of messages that were worked on.
    done: usize,
    /// The ids of messages that stay in the queue because that failed.
    failed: Vec<String>,
}

pub fn routes() -> Vec<Route> {
    let acts = |path, summary, handler: Handler| Route {
        method: Method::Post,
        path,
        scopes: &[TokenScope::OperatorWrite],
        summary,
        parameters: Vec::new(),
        body: Some(Body::Json(schema::<Selected>)),
        answers: vec![json::<Worked>(200, "What was done, or would be.")],
        handler,
    };
    vec![
        Route {
            method: Method::Get,
            path: LIST,
            scopes: &[TokenScope::OperatorRead],
            summary: "List dead letters, oldest first, without their bodies",
            parameters: vec![
                in_query::<String>("reason", "Reason codes, separated by commas."),
                in_query::<String>("queue", "The original queue: `requests` or `steps`."),
                in_query::<String>("org", "The organization of the request."),
                in_query::<u64>("limit", "Entries of a page: 1 to 200, or 50."),
                in_query::<u64>("after", "The `next` of the page before."),
            ],
            body: None,
            answers: vec![json::<Listed>(200, "A page of dead letters.")],
            handler: |call| Box::pin(list(call)),
        },
        acts("/v1/dead-letters/replay", "Send dead letters back to their queues", |call| {
            Box::pin(act(call, Action::Replay))
        }),
        acts("/v1/dead-letters/drop", "Drop dead letters for good", |call| Box::pin(act(call, Action::Drop))),
    ]
}

async fn broker(call: &Call) -> Result<Arc<dyn Broker>> {
    call.api.parts.surroundings.broker().await.map_err(|error| {
        tracing::warn!(error, "an HTTP request found the broker unavailable");
        busy("the broker is unavailable")
    })
}

async fn list(call: Call) -> Result<Response> {
    let filter = Filter {
        reasons: call.listed("reason")?,
        queue: call.query.get("queue").cloned(),
        org: call.query.get("org").cloned(),
        ..Filter::default()
    };
    let (skip, limit) = (call.number("after")?.unwrap_or(0), call.limit()?);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let _turn = call.api.budget.read().await?;
    let broker = broker(&call).await?;
    let page = dead_letters::page(broker.as_ref(), &filter, skip, limit as usize).await.map_err(problem)?;
    let next = page.has_more.then(|| (skip + page.views.len()).to_string());
    let link = next.as_deref().and_then(|next| call.link(LIST, next));
    let mut response = Json(Listed { items: page.views, next, is_cut: page.is_cut }).into_response();
    response.headers_mut().extend(link);
    Ok(response)
}

async fn act(call: Call, action: Action) -> Result<Response> {
    let (filter, is_dry_run) = selected(&call.body)?;
    let by = call.principal()?.actor().map_err(|fault| Problem::parameter("token", fault))?;
    let _turn = call.api.budget.write().await?;
    let broker = broker(&call).await?;
    let selection = dead_letters::select(broker.as_ref(), &filter).await.map_err(problem)?;
    let (messages, matching) = (selection.total, selection.counts());
    let (mut done, mut failed) = (0, Vec::new());
    if is_dry_run {
        selection.release().await.map_err(problem)?;
    } else {
        let store = &call.api.parts.context.store;
        for (message, result) in selection.process(store, action, by.as_str()).await.map_err(problem)? {
            match result {
                Ok(()) => done += 1,
                Err(_) => failed.extend(message.id),
            }
        }
    }
    Ok(Json(Worked { messages, matching, dry_run: is_dry_run, done, failed }).into_response())
}

/// Reads which messages to work on, and whether only to say so.
fn selected(body: &[u8]) -> Result<(Filter, bool)> {
    let unreadable = |error: serde_json::Error| {
        let what = format!("the body is no filter of dead letters: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_request", what).hint("`/v1/openapi.json` lists its fields")
    };
    let Selected { ids, reasons, queue, org_id: org, older_than_seconds, newer_than_seconds, text, all, dry_run } =
        serde_json::from_slice(body).map_err(unreadable)?;
    let seconds = |seconds: Option<u32>| seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let (older_than, newer_than) = (seconds(older_than_seconds), seconds(newer_than_seconds));
    let filter = Filter { ids, reasons, queue, org, older_than, newer_than, text };
    match filter.is_empty() == all {
        true => Ok((filter, dry_run.unwrap_or(true))),
        false => {
            let which = Problem::new(StatusCode::BAD_REQUEST, "invalid_request", "the body must say which messages");
            Err(which.hint("name a test, or set `all` to true, and not both"))
        }
    }
}
