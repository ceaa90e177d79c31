//! A database that is up but fails to serve: no answer, no connection, no space.

use handover::job::State;
use std::fs::File;
use std::task::Poll;
use std::time::{Duration, Instant};

use handover::store::{Settings, Store};
use sea_orm::ConnectionTrait;

use crate::support::database::{administer, settings as database_settings};
use crate::support::process::{WorkerProcess, borrowed, settings};
use crate::support::silence::Silence;
use crate::support::world::{certificate_of, keap_request};
use crate::support::{World, on_postgres, on_sqlite};

const CLOSED: &str = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";

/// A worker's database behind a proxy, with short timeouts.
fn impatient(world: &World, proxy: &Silence) -> Settings {
    Settings {
        statement_timeout: Duration::from_secs(2),
        acquire_timeout: Duration::from_secs(2),
        ..database_settings(proxy.through(world.worker_url()))
    }
}

#[on_postgres]
async fn unanswered_call_times_out_and_drops_connection(world: &mut World) {
    let proxy = Silence::before(world.worker_url()).await;
    let store = Store::open(&Settings { max_connections: 1, ..impatient(world, &proxy) }).await.expect("a store");
    // A statement of a transaction, a commit, and a standalone statement.
    for call in ["statement", "commit", "reader"] {
        let session = store.begin("test").await.expect("the one connection is free again");
        session.execute_unprepared("SELECT 1").await.expect("an answer");
        let began = Instant::now();
        let error = match call {
            "statement" => {
                proxy.fall();
                let answer = session.run("asking", session.sql("SELECT 1")).await;
                drop(session);
                answer.expect_err("no answer")
            }
            "commit" => {
                proxy.fall();
                session.commit().await.expect_err("no answer")
            }
            _ => {
                session.commit().await.expect("committed");
                let reader = store.reader();
                let asking = reader.run("asking", reader.sql("SELECT pg_sleep(1)"));
                let asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(1)%' \
                             AND state = 'active' AND datname = current_database()";
                let falls = async {
                    world.until("it is asked", async || (world.number(asked).await > 0).then_some(())).await;
                    proxy.fall();
                };
                tokio::join!(asking, falls).0.expect_err("no answer")
            }
        };
        assert!(error.is_away(), "{call}: {error}");
        assert!(began.elapsed() < Duration::from_secs(15), "{call}: {:?}", began.elapsed());
        // A caller waits until the pool replaces the dead connection, which takes a moment.
        world.until("a connection can be had", async || store.begin("test").await.ok().map(drop)).await;
    }
    store.close().await;
}

#[on_postgres]
async fn silent_database_still_moves_each_record_once(world: &mut World) {
    let proxy = Silence::before(world.worker_url()).await;
    world.use_chunks_of(2);
    let direct = world.context.store.clone();
    world.context.store = Store::open(&impatient(world, &proxy)).await.expect("a store");
    world.start_worker().await;
    let job = world.send(&keap_request("r1")).await;
    for chunks in [3, 30] {
        world.until("some chunks are done", async || (world.number(CLOSED).await >= chunks).then_some(())).await;
        proxy.fall();
    }
    let certificate = certificate_of(&world.end_of(job).await);
    let moved: u64 = certificate.references.iter().filter_map(|found| found.moved).sum();
    assert_eq!(moved, 104 + 92 + 12, "{certificate:?}");
    world.check_journal(job).await;
    assert_eq!(world.orphans().await, 0);
    world.stop_workers().await;
    direct.close().await;
}

#[on_postgres]
async fn worker_waits_for_a_free_connection(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let settings = settings(world);
    let more = [("HANDOVER_LIMITS__CHUNK_ROWS", "2"), ("HANDOVER_DATABASE__ACQUIRE_TIMEOUT", "1s")];
    let environment = [borrowed(&settings), more.to_vec()].concat();
    let worker = WorkerProcess::start_with_log(&environment, File::create(&log).expect("a file"));
    let job = world.send(&keap_request("r1")).await;
    world.until("some chunks are done", async || (world.number(CLOSED).await > 3).then_some(())).await;

    // The connection limit of a database binds everyone but superusers, like the server's own limit.
    let database = world.texts("SELECT CAST(current_database() AS text) AS t").await.remove(0);
    administer(&format!("ALTER DATABASE {database} CONNECTION LIMIT 0")).await;
    administer(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND usename <> current_user"
    ))
    .await;
    let reported = || std::fs::read_to_string(&log).expect("a log").contains("failed; retrying");
    world.until("the worker says that it waits", async || reported().then_some(())).await;
    assert!(!world.job(job).await.expect("a job").state.is_final());
    administer(&format!("ALTER DATABASE {database} CONNECTION LIMIT -1")).await;

    let ended = world.end_of(job).await;
    assert_eq!(ended.state, State::Completed, "{:?}", ended.reasons);
    world.check_journal(job).await;
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    let dead_letter = world.client.next_dead_letter(Duration::from_millis(100)).await;
    assert!(dead_letter.is_none(), "no dead letters");
}

#[on_sqlite]
async fn full_disk_loses_nothing(world: &mut World) {
    world.use_chunks_of(2);
    hold_to(world, world.number("SELECT page_count FROM pragma_page_count()").await).await;
    let fill = "CREATE TABLE filler AS SELECT zeroblob(1000000) AS bytes";
    let session = world.context.store.begin("test").await.expect("a transaction");
    let error = session.run("filling the disk", session.sql(fill)).await.expect_err("no room");
    drop(session);
    assert!(error.is_away(), "{error}");

    // The sender has space: only the worker's disk is full.
    let job = world.send(&keap_request("r1")).await;
    world.start_worker().await;
    hold_to(world, 1 << 30).await;
    let ended = world.end_of(job).await;
    assert_eq!(ended.state, State::Completed, "{:?}", ended.reasons);
    world.check_journal(job).await;
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox WHERE channel = 'dead'").await, 0);
}

/// Limits the database file to this many pages for the workers' writing connection.
async fn hold_to(world: &World, pages: i64) {
    let session = world.context.store.begin("test").await.expect("a transaction");
    session.execute_unprepared(&format!("PRAGMA max_page_count = {pages}")).await.expect("a limit");
    session.commit().await.expect("committed");
}

/// Promise: a caller who goes away while a transaction begins leaves none behind.
#[on_postgres]
async fn abandoned_begin_leaves_no_transaction(world: &mut World) {
    // It is dropped after any number of polls: when it has begun, while it waits for the answer to `BEGIN`, or for a connection. In this
    // order, since a transaction that begins and ends on the same connection would end an abandoned one too.
    for polls in (1..300).rev() {
        let mut begin = std::pin::pin!(world.context.store.begin("abandoned"));
        for _ in 0..polls {
            let has_begun = std::future::poll_fn(|context| Poll::Ready(begin.as_mut().poll(context).is_ready())).await;
            if has_begun {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let in_transaction = "SELECT CAST(pid AS text) AS t FROM pg_stat_activity WHERE datname = current_database() \
                          AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    let first = world.texts(in_transaction).await;
    world.until("they end", async || world.texts(in_transaction).await.is_empty().then_some(())).await;
    let all = world.texts("SELECT CAST(pid AS text) AS t FROM pg_stat_activity").await;
    assert!(first.iter().all(|pid| all.contains(pid)), "the database has ended a session because of its age");
}
