//! Failures between the end of access and the answer: the provider sends the same again, and the rest is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use handover::store::failpoint::{Failpoints, Point};
use handover::store::{Cause, Error, Result};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::provider::{Provider, Scim, patch, path_of};
use crate::support::api::{ApiProcess, Call};
use crate::support::keap::LEAVER;
use crate::support::people::begun;
use crate::support::{Engine, World, every_engine};

/// Ends access, and writes attributes after that.
fn leaves() -> Value {
    json!([
        { "op": "replace", "path": "active", "value": false },
        { "op": "replace", "value": { "title": "Left", "externalId": "00u1" } },
    ])
}

/// Fails the transaction that writes attributes once. The one before it has only checked the user.
#[derive(Default)]
struct FailsToWrite(AtomicU32);

impl Failpoints for FailsToWrite {
    fn at(&self, step: &str, point: Point) -> Result<()> {
        let is_write = step == "write_scim_user" && point == Point::BeforeCommit;
        if !is_write || self.0.fetch_add(1, Ordering::Relaxed) != 1 {
            return Ok(());
        }
        let cause = Cause::Contention { code: "40001".into(), message: "made to fail".into() };
        Err(Error { doing: "writing a user".into(), cause })
    }
}

async fn jobs(world: &World) -> i64 {
    world.number("SELECT count(*) FROM handover.jobs").await
}

/// Promise: a change of which only the end of access is done is 503, and the retry does the rest without a second job.
#[every_engine]
async fn half_done_changes_are_503(world: &mut World) {
    world.context.store = world.context.store.clone().with_failpoints(Arc::new(FailsToWrite::default()));
    let provider = Provider::start(world).await;
    let failed = provider.patch(LEAVER, &leaves()).await;
    failed.failure(503, None);
    assert_eq!(failed.headers["retry-after"], "1");
    let user = provider.get(&path_of(LEAVER)).await.scim(200);
    assert_eq!((&user["active"], &user["title"]), (&json!(false), &json!("Sales")));
    let user = provider.patch(LEAVER, &leaves()).await.scim(200);
    assert_eq!((&user["active"], &user["title"], &user["externalId"]), (&json!(false), &json!("Left"), &json!("00u1")));
    assert_eq!(jobs(world).await, 1);
}

/// Promise: a server killed after the end of access and before the answer costs nothing: the retry gets the answer, and there is one job.
#[every_engine]
async fn killed_servers_answer_the_retry(world: &mut World) {
    let token = &Provider::start(world).await.token;
    let folder = tempfile::tempdir().expect("a folder");
    let serve =
        |world: &World| tokio::task::block_in_place(|| ApiProcess::start(world, folder.path(), &["serve"], &[]));
    // The attributes are written after the end of access. Another transaction, or a long one, holds that up.
    let held = match world.engine {
        Engine::Postgres => {
            let same_key = "INSERT INTO handover.scim_links (org, connection, user_key, external_id, created_at) \
                            VALUES ('1', 'okta', '13', '00u1', now())";
            Some(begun(world, same_key).await)
        }
        Engine::Sqlite => {
            let long =
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT i FROM n";
            let slow = format!("BEGIN SELECT count(*) FROM ({long}); END");
            world.sql(&format!("CREATE TRIGGER slow BEFORE UPDATE OF title ON users {slow}")).await;
            None
        }
    };
    let killed = serve(world);
    let mut stream = call(&killed, token).send().await;
    world.until("access has ended", async || (world.status_of(LEAVER).await == "inactive").then_some(())).await;
    // SIGKILL.
    drop(killed);
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    assert!(!text.contains(" 200 "), "{text}");
    match held {
        Some(held) => held.rollback().await.expect("a rollback"),
        None => world.sql("DROP TRIGGER slow").await,
    }
    let served = serve(world);
    let answer = async || Scim(call(&served, token).answer().await).scim(200);
    let first = answer().await;
    assert_eq!(
        (&first["active"], &first["title"], &first["externalId"]),
        (&json!(false), &json!("Left"), &json!("00u1"))
    );
    assert_eq!(answer().await, first);
    assert_eq!(jobs(world).await, 1);
}

fn call<'c>(server: &'c ApiProcess, token: &str) -> Call<'c> {
    let call = Call::at(&server.address, "PATCH", format!("/scim/v2{}", path_of(LEAVER))).token(token);
    call.header("Content-Type", "application/scim+json").body(patch(&leaves()).to_string())
}
