//! Clients that are slow, silent, many or behind a proxy.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use handover::contract::TokenScope;
use handover::http::api::FEWEST_CONNECTIONS;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::api::{ApiServer, Setup, token_of};
use crate::support::keap::{ADMIN, SUPPORT, deactivation, leaver, to};
use crate::support::people::begun;
use crate::support::process::{borrowed, run, settings};
use crate::support::world::{LIMIT, read};
use crate::support::{World, every_engine, on_postgres, on_sqlite};

const READ_AND_WRITE: [TokenScope; 2] = [TokenScope::JobsRead, TokenScope::JobsWrite];

/// Failed attempts at once after which an address has to wait.
const MOST_FAILURES: usize = 20;

/// Sends a wrong token for a client as a proxy would, and returns the status.
async fn guess(server: &ApiServer, forwarded_for: &str) -> u16 {
    let guess = format!("hdo_{}_{}", "0".repeat(16), "0".repeat(64));
    server.get(&guess, "/v1/jobs").header("X-Forwarded-For", forwarded_for).answer().await.status
}

/// Promise: a client that is not a listed proxy cannot pass for others, so that its failures count for itself.
#[on_sqlite]
async fn forwarded_header_of_others_counts_not(world: &mut World) {
    let server = ApiServer::start(world).await;
    let mut statuses = Vec::new();
    for number in 0..2 * MOST_FAILURES {
        statuses.push(guess(&server, &format!("10.0.0.{number}")).await);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

/// Promise: a listed proxy says whose failures it forwards: the last address in its header counts, whatever the client wrote before.
#[on_sqlite]
async fn listed_proxy_names_the_client(world: &mut World) {
    let trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    let server = ApiServer::start_as(world, Setup { trusted_proxies, ..Setup::default() }).await;
    for number in 0..2 * MOST_FAILURES {
        assert_eq!(guess(&server, &format!("10.0.0.{number}")).await, 401);
    }
    let mut statuses = Vec::new();
    for number in 0..2 * MOST_FAILURES {
        statuses.push(guess(&server, &format!("10.0.1.{number}, 10.0.2.1")).await);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let token = token_of(world, ADMIN, &[TokenScope::JobsRead]).await;
    let call = |client: &str| server.get(&token, "/v1/jobs").header("X-Forwarded-For", client.to_owned());
    call("10.0.2.1").answer().await.problem(429, "too_many_requests");
    call("10.0.2.2").answer().await.expect(200);
}

/// Promise: a token that is used too often has to wait, and other tokens do not.
#[on_sqlite]
async fn token_used_too_often_waits(world: &mut World) {
    let server = &ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &[TokenScope::JobsRead]).await;
    let other = &token_of(world, ADMIN, &[TokenScope::JobsRead]).await;
    let call = async || {
        let path = "/v1/jobs/6b0c3e7e-3c5c-5f7c-9d0a-0c7d1f6c2a11";
        let calls = (0..50).map(|_| server.get(token, path).answer());
        futures_util::future::join_all(calls).await.into_iter().find(|answer| answer.status == 429)
    };
    let refused = world.until("the token has to wait", call).await;
    refused.problem(429, "too_many_requests");
    assert!(refused.headers["retry-after"].parse::<u64>().is_ok_and(|seconds| seconds > 0), "{refused:?}");
    server.get(other, "/v1/jobs").answer().await.expect(200);
}

/// Promise: a head or a body that never ends, and a client that leaves in between, are closed and hold up nobody.
#[on_sqlite]
async fn slow_and_halved_clients_are_closed(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    let begin = async |text: String| {
        let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("a part");
        stream
    };
    let host = format!("Host: {}\r\n", server.address);
    let slow_head = begin(format!("GET /v1/jobs HTTP/1.1\r\n{host}X-Slow: ")).await;
    let slow_body = begin(format!(
        "POST /v1/requests HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{{"
    ))
    .await;
    let mut halved = begin(format!("POST /v1/requests HTTP/1.1\r\n{host}Content-Length: 1000\r\n\r\n{{")).await;
    halved.shutdown().await.expect("a half");
    server.put(token, &leaver()).answer().await.expect(202);
    for mut stream in [slow_head, slow_body, halved] {
        let mut bytes = Vec::new();
        let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut bytes)).await.expect("an end");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(" 200 ") && !text.contains(" 202 "), "{text}");
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.requests").await, 1);
}

/// Promise: while a thousand clients send nothing or follow a job, others are answered, and the job completes.
#[every_engine]
async fn thousand_idle_readers_hold_up_nobody(world: &mut World) {
    let server = ApiServer::start(world).await;
    let token = &token_of(world, ADMIN, &READ_AND_WRITE).await;
    server.put(token, &leaver()).answer().await.expect(202);
    let (mut silent, mut followers) = (Vec::new(), Vec::new());
    for _ in 0..950 {
        silent.push(TcpStream::connect(&server.address).await.expect("a connection"));
    }
    let path = format!("/v1/jobs/{}/events", read(&leaver()).job_id());
    for _ in 0..50 {
        followers.push(server.get(token, &path).header("Accept", "text/event-stream").send().await);
    }
    world.start_worker().await;
    world.end_of(read(&leaver()).job_id()).await;
    let other = token_of(world, ADMIN, &READ_AND_WRITE).await;
    server.get(&other, "/v1/jobs").answer().await.expect(200);
    for mut stream in followers {
        let mut text = String::new();
        let ended = tokio::time::timeout(LIMIT, stream.read_to_string(&mut text)).await;
        ended.expect("the stream ends with the job").expect("a text");
        assert!(text.contains("\"completed\""), "{text}");
    }
}

/// Promise: calls that wait for a table use up neither the connection of lock-outs nor that of authentication; further ones are
/// answered 503, with the time after which to try again.
#[on_postgres]
async fn full_budget_lets_lock_outs_pass(world: &mut World) {
    world.hire(900, 3).await;
    let server = &ApiServer::start_as(world, Setup { connections: FEWEST_CONNECTIONS, ..Setup::default() }).await;
    let token = &token_of(world, ADMIN, &[TokenScope::JobsWrite, TokenScope::UsersRead]).await;
    let _held = begun(world, "LOCK TABLE public.contacts IN ACCESS EXCLUSIVE MODE").await;
    let mut reads: FuturesUnordered<_> = (0..4).map(|_| server.get(token, "/v1/users/53").answer()).collect();
    let mut requests: FuturesUnordered<_> = (0..4)
        .map(|number| server.put(token, &leaver().with("request_id", json!(format!("r{number}")))).answer())
        .collect();
    let (read, request) = tokio::join!(reads.next(), requests.next());
    for full in [read, request].map(|answer| answer.expect("an answer")) {
        full.problem(503, "busy");
        assert_eq!(
            (full.headers["retry-after"].as_str(), full.body.contains("too many calls")),
            ("1", true),
            "{full:?}"
        );
    }
    let lock_out = deactivation("out", "900").contacts(to(SUPPORT)).with("lock_out", json!(true));
    server.put(token, &lock_out).answer().await.expect(202);
    assert_eq!(world.status_of("900").await, "inactive");
}

/// Promise: a pool that is too small for the API is refused at the start, with the size that it needs.
#[on_sqlite]
async fn small_pool_is_refused_with_its_size(world: &mut World) {
    let settings = settings(world);
    let with = |most: &'static str| [borrowed(&settings), vec![("HANDOVER_DATABASE__MAX_CONNECTIONS", most)]].concat();
    for (command, most, needed) in [(vec!["serve"], "5", "6 or more"), (vec!["run", "--serve"], "12", "13 or more")] {
        let refused = run(&with(most), &command).expect(1);
        assert!(refused.err.contains("`database.max_connections`") && refused.err.contains(needed), "{}", refused.err);
    }
}
