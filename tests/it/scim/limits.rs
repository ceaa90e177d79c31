//! Limits: the rate of a connection, the time of a statement, and what the ledger keeps of calls.

use handover::job::State;
use handover::stages::sweeper;
use serde_json::json;

use super::deprovisioning::settle;
use super::provider::{HANDOVER, Provider, Scim, path_of};
use crate::support::api::{ApiProcess, Call};
use crate::support::keap::{GERALDINE, LEAVER, PRIYA};
use crate::support::people::begun;
use crate::support::{World, every_engine, on_postgres, on_sqlite};

/// Calls that Entra asks for each second.
const RATE: usize = 25;

/// Report 13 (rancher/rancher#54870, growthbook!5764, pingidentity/scim#20, RoboFinSystems/robosystems!1151). Promise: a connection that
/// floods is 429 with a time to wait, and another one has its rate meanwhile.
#[on_sqlite]
async fn floods_leave_others_their_rate(world: &mut World) {
    let okta = Provider::start(world).await;
    let entra = okta.another(world, "entra", "wait").await;
    let flood = async || futures_util::future::join_all((0..RATE).map(|_| okta.get("/Users?count=0"))).await;
    let stemmed = async || flood().await.into_iter().find(|answer| answer.status == 429);
    let refused = world.until("the flood is stemmed", stemmed).await;
    refused.failure(429, None);
    assert!(refused.headers["retry-after"].parse::<u64>().is_ok_and(|seconds| seconds > 0), "{refused:?}");
    let others = async {
        for _ in 0..RATE {
            entra.get("/Users?count=0").await.scim(200);
        }
    };
    let floods = async {
        loop {
            flood().await;
        }
    };
    tokio::select! {
        () = others => {}
        () = floods => {}
    }
}

/// Promise: a read that the database does not finish in five seconds is ended there, and is 503, whatever other statements may take.
#[on_postgres]
async fn slow_reads_are_ended(world: &mut World) {
    let token = &Provider::start(world).await.token;
    let folder = tempfile::tempdir().expect("a folder");
    let patient = [("HANDOVER_DATABASE__STATEMENT_TIMEOUT", "10m"), ("HANDOVER_DATABASE__LOCK_TIMEOUT", "10m")];
    let server = tokio::task::block_in_place(|| ApiProcess::start(world, folder.path(), &["serve"], &patient));
    let _held = begun(world, "LOCK TABLE public.users IN ACCESS EXCLUSIVE MODE").await;
    let path = format!("/scim/v2{}", path_of(LEAVER));
    let answer = Scim(Call::at(&server.address, "GET", path).token(token).answer().await);
    assert!(answer.failure(503, None).contains("unavailable or busy"), "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
}

/// Promise: the same error of a connection is noted at most once a minute, another one at once.
#[every_engine]
async fn repeated_errors_are_noted_once(world: &mut World) {
    let provider = Provider::start(world).await;
    let noted = async || {
        let row = "SELECT last_error || CAST(last_error_at AS text) AS t FROM handover.scim_connections";
        world.texts(row).await.remove(0)
    };
    let fail = async |value: &str| {
        provider
            .patch(LEAVER, &json!([{ "op": "replace", "path": "active", "value": value }]))
            .await
            .failure(400, Some("invalidValue"));
    };
    fail("perhaps").await;
    let first = noted().await;
    fail("perhaps").await;
    assert_eq!(noted().await, first);
    provider
        .patch(LEAVER, &json!([{ "op": "replace", "path": "id", "value": "7" }]))
        .await
        .failure(400, Some("mutability"));
    let other = noted().await;
    assert!(other != first && other.starts_with("400"), "{other}");
    world.change_ledger("UPDATE handover.scim_connections SET last_error_at = '2026-01-01 00:00:00+00:00'").await;
    provider
        .patch(LEAVER, &json!([{ "op": "replace", "path": "id", "value": "7" }]))
        .await
        .failure(400, Some("mutability"));
    assert!(!noted().await.contains("2026-01-01"));
}

/// Promise: of old deprovisionings, those whose jobs are open and those that a breaker holds are kept; the others are deleted.
#[every_engine]
async fn old_deprovisionings_are_deleted(world: &mut World) {
    let okta = Provider::start(world).await;
    let (ended, held) = (okta.deprovision(LEAVER).await, okta.deprovision(PRIYA).await);
    settle(world).await;
    world.start_worker().await;
    for job in [ended, held] {
        assert_eq!(world.end_of(job).await.state, State::Completed);
    }
    let open = okta.deprovision(GERALDINE).await;
    let purge = async || sweeper::purge(&world.context, false).await.expect("purged");
    let kept = async || world.number("SELECT count(*) FROM handover.scim_deprovisionings").await;
    purge().await;
    assert_eq!(kept().await, 3, "recent ones are counted");
    let of_held = format!("UPDATE handover.scim_deprovisionings SET wave = 1 WHERE job_id = {}", world.uuid(held));
    world.change_ledger(&of_held).await;
    world.change_ledger("UPDATE handover.scim_connections SET wave = 1, tripped_at = created_at").await;
    // Last: the worker purges, too.
    world.change_ledger("UPDATE handover.scim_deprovisionings SET at = '2026-01-01 00:00:00+00:00'").await;
    purge().await;
    assert_eq!(kept().await, 2, "the job that has ended is needed no more");
    world.change_ledger("UPDATE handover.scim_connections SET tripped_at = NULL").await;
    purge().await;
    let left = format!("SELECT count(*) FROM handover.scim_deprovisionings WHERE job_id = {}", world.uuid(open));
    assert_eq!((kept().await, world.number(&left).await), (1, 1));
    assert_eq!(okta.get(&path_of(GERALDINE)).await.scim(200)[HANDOVER]["state"], "scheduled");
}
