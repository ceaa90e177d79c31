//! The progress of a job: as server-sent events, or by polling.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::http::header::ACCEPT;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use futures_util::stream::{self, Stream};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::app::jobs::{self, Progress};
use crate::contract::TokenScope;
use crate::http::api::call::{Call, internal, tag};
use crate::http::api::credentials::Validity;
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Answer, Method, Route, header, in_path, json, schema};
use crate::http::api::watcher::Followed;
use crate::http::problem::{Problem, Result};

const EVENT_STREAM: &str = "text/event-stream";

/// The interval of comments on a stream where nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The longest time of a stream. A client connects again.
const LONGEST: Duration = Duration::from_secs(300);

pub fn routes() -> Vec<Route> {
    let unchanged = Answer { status: 304, about: "The sender has this state.", content: None, schema: schema::<Value> };
    let once = json::<Progress>(200, "The progress, once or as events. An event's id is its version.");
    vec![Route {
        method: Method::Get,
        path: "/v1/jobs/{id}/events",
        scopes: &[TokenScope::JobsRead],
        summary: "Follow a job: JSON, or server-sent events for `Accept: text/event-stream`",
        parameters: vec![
            in_path("id", "The job."),
            header(
                "Last-Event-ID",
                "The id of the last event that the sender has: an unchanged state is not sent again.",
            ),
            header("If-None-Match", "The ETag of the state that the sender has."),
        ],
        body: None,
        answers: vec![once, unchanged],
        handler: |call| Box::pin(follow(call)),
    }]
}

async fn follow(call: Call) -> Result<Response> {
    let id = call.id("id")?;
    let turn = call.api.budget.read().await?;
    let store = &call.api.parts.context.store;
    call.owned(jobs::find(store, id).await.map_err(problem)?)?;
    let accepts = call.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accepts.contains(EVENT_STREAM) {
        let progress = jobs::progress_of(store, &[id]).await.map_err(problem)?.remove(&id);
        let progress = progress.ok_or_else(|| Problem::not_found("there is no job with this id"))?;
        return call.tagged(progress.version, &progress);
    }
    drop(turn);
    let last = call.header("last-event-id")?.map(str::to_owned);
    let followed = call.api.watcher.follow(id);
    let token = call.api.credentials.follow(call.credential()?);
    let draining = call.api.parts.draining.clone();
    let events = Events { followed, token, draining, last, until: Instant::now() + LONGEST, is_over: false };
    Ok(Sse::new(events.stream()).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("waiting")).into_response())
}

/// The events that one client receives.
struct Events {
    followed: Followed,
    token: Validity,
    draining: CancellationToken,
    /// The id of the last event that the client has.
    last: Option<String>,
    until: Instant,
    is_over: bool,
}

impl Events {
    fn stream(self) -> impl Stream<Item = std::result::Result<Event, Infallible>> {
        stream::unfold(self, async |mut events| events.next().await.map(|event| (Ok(event), events)))
    }

    /// Waits for the next state. The stream ends with the job, with the token, with the process, and after a while.
    async fn next(&mut self) -> Option<Event> {
        while !self.is_over {
            let left = self.until.saturating_duration_since(Instant::now());
            let changed = async {
                tokio::select! {
                    changed = self.followed.changed() => changed.ok(),
                    () = self.token.ended() => None,
                }
            };
            let changed = self.draining.run_until_cancelled(tokio::time::timeout(left, changed));
            let Some(Ok(Some(()))) = changed.await else { return None };
            let Some(progress) = self.followed.borrow_and_update().clone() else { continue };
            self.is_over = progress.ended;
            match event(&progress) {
                Ok((id, _)) if self.last.as_ref() == Some(&id) => {}
                Ok((id, event)) => {
                    self.last = Some(id);
                    return Some(event);
                }
                Err(error) => {
                    internal(&error);
                    return None;
                }
            }
        }
        None
    }
}

fn event(progress: &Progress) -> std::result::Result<(String, Event), serde_json::Error> {
    let body = serde_json::to_string(progress)?;
    let id = tag(progress.version, body.as_bytes()).trim_matches('"').to_owned();
    let event = Event::default().id(id.clone()).event("progress").data(body);
    Ok((id, event))
}
