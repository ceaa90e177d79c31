//! Following a job: by a stream, and by polling.

use handover::contract::TokenScope;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::support::api::{ApiServer, token_of};
use crate::support::keap::{ADMIN, PARTNER, leaver};
use crate::support::process::on;
use crate::support::world::{LIMIT, read};
use crate::support::{World, every_engine, on_sqlite};

const READ_AND_WRITE: [TokenScope; 2] = [TokenScope::JobsRead, TokenScope::JobsWrite];

/// Reads the events of a stream, each as its id and data.
struct Events(BufReader<tokio::net::TcpStream>);

impl Events {
    /// Waits for the next event; nothing once the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        let (mut id, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            let read = tokio::time::timeout(LIMIT, self.0.read_line(&mut line)).await.expect("a line in time");
            if read.expect("a line") == 0 {
                return None;
            }
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.trim_end().to_owned();
            }
            if let Some(text) = line.strip_prefix("data: ") {
                return Some((id, serde_json::from_str(text).expect("JSON")));
            }
        }
    }
}

async fn follow(server: &ApiServer, token: &str, path: &str, last: &str) -> Events {
    let call = server.get(token, path).header("Accept", "text/event-stream").header("Last-Event-ID", last);
    Events(BufReader::new(call.send().await))
}

/// Promise: a stream tells the current state with its version, every change, and ends with the job. Polling tells the same.
#[every_engine(also_in_chunks_of = 10)]
async fn progress_is_streamed_to_the_end(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    server.put(token, &leaver()).answer().await.expect(202);
    let path = &format!("/v1/jobs/{}/events", read(&leaver()).job_id());
    let mut events = follow(&server, token, path, "").await;
    let (first, state) = events.next().await.expect("the current state");
    assert_eq!((&state["state"], &state["ended"]), (&"cutting".into(), &false.into()));
    let polled = server.get(token, path).answer().await.expect(200);
    assert_eq!((polled.json(), polled.headers["etag"].trim_matches('"')), (state, first.as_str()));
    let tag = polled.headers["etag"].clone();
    for known in [&tag, "*", &format!("\"a\", W/{tag}")] {
        server.get(token, path).header("If-None-Match", known).answer().await.expect(304);
    }
    // A client that has the current state waits for the next one.
    let mut again = follow(&server, token, path, &first).await;
    world.start_worker().await;
    let (second, _) = again.next().await.expect("a change");
    assert_ne!(second, first);
    let mut last = Value::Null;
    while let Some((_, state)) = events.next().await {
        last = state;
    }
    assert_eq!((&last["state"], &last["open_chunks"], &last["ended"]), (&"completed".into(), &0.into(), &true.into()));
    server.get(token, path).header("If-None-Match", tag).answer().await.expect(200);
}

/// Promise: streams end when the process drains, so that it does not wait for its readers.
#[on_sqlite]
async fn streams_end_when_the_server_drains(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    server.put(token, &leaver()).answer().await.expect(202);
    let path = format!("/v1/jobs/{}/events", read(&leaver()).job_id());
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut events = follow(&server, token, &path, "").await;
        events.next().await.expect("the current state");
        readers.push(events);
    }
    server.get(token, "/v1/jobs").answer().await.expect(200);
    server.draining.cancel();
    for mut events in readers {
        let mut rest = String::new();
        let ended = tokio::time::timeout(LIMIT, events.0.read_to_string(&mut rest)).await;
        ended.expect("the stream ends").expect("an end");
    }
}

/// Promise: a stream ends soon after its token is revoked or its person loses access; the streams of others go on.
#[every_engine]
async fn stream_ends_with_its_token(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    let (revoked, partner) =
        (&token_of(world, ADMIN, &READ_AND_WRITE).await, &token_of(world, PARTNER, &READ_AND_WRITE).await);
    server.put(token, &leaver()).answer().await.expect(202);
    let path = &format!("/v1/jobs/{}/events", read(&leaver()).job_id());
    let mut kept = follow(&server, token, path, "").await;
    let mut of_revoked = follow(&server, revoked, path, "").await;
    let mut of_partner = follow(&server, partner, path, "").await;
    let streams = [&mut kept, &mut of_revoked, &mut of_partner];
    for events in streams {
        events.next().await.expect("the current state");
    }
    on(world, &["token", "revoke", revoked.split('_').nth(1).expect("an id")]).expect(0);
    assert_eq!(of_revoked.next().await, None);
    world.sql(&format!("UPDATE users SET status = 'inactive' WHERE id = {PARTNER}")).await;
    assert_eq!(of_partner.next().await, None);
    world.start_worker().await;
    let mut last = None;
    while let Some((_, state)) = kept.next().await {
        last = Some(state["state"].clone());
    }
    assert_eq!(last, Some("completed".into()));
}
