//! Publishing a catalog: the current one is a version in the ledger, and every worker follows it.

use handover::contract::JobId;
use handover::job::State;
use serde_json::{Value, json};

use crate::support::people::{USERS, leave, owners, reference, start};
use crate::support::process::{Ended, borrowed, on, run, settings, text};
use crate::support::world::codes_of;
use crate::support::{World, every_engine};

const DOCS: &str = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, kind TEXT); \
     INSERT INTO docs VALUES (1, 9, 'open'), (2, 9, 'other'), (3, 2, 'open'), (4, 3, 'open');";

fn open_docs() -> String {
    reference("doc", "docs", "disposition = \"transfer\"\nwhere = { kind = \"open\" }")
}

/// Publishes a catalog of these references.
fn publish(world: &World, references: &str) -> Ended {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("catalog.toml");
    std::fs::write(&file, format!("{USERS}{references}")).expect("a file");
    let settings = settings(world);
    let environment = [borrowed(&settings), vec![("HANDOVER_CATALOG", text(&file))]].concat();
    tokio::task::block_in_place(|| run(&environment, &["catalog", "publish", "--by", "1", "--json"]))
}

async fn versions(world: &World) -> i64 {
    world.number("SELECT count(*) FROM handover.catalog_versions").await
}

/// Gives documents of a user to another one, and returns the hash of the catalog that the job was planned with.
async fn catalog_of_new_job(world: &World, number: &str) -> String {
    let give = json!({ "type": "reassign", "request_id": number, "user_id": "3", "requested_by": "1",
        "reassign": { "doc": { "user": "2" } } });
    world.hand_over(&give).await.catalog_hash
}

/// Proves that a faulty catalog changes nothing, and that a running worker follows one that is published.
#[every_engine]
async fn workers_follow_the_published_catalog(world: &mut World) {
    start(world, DOCS, &open_docs()).await;
    let first = catalog_of_new_job(world, "first").await;
    let refused = publish(world, &open_docs().replace("owner", "keeper")).expect(1);
    assert!(refused.err.contains("keeper"), "{}", refused.err);
    assert_eq!(versions(world).await, 0);

    let kept = reference("rest", "docs", "disposition = \"keep\"");
    let published = publish(world, &format!("{}{kept}", open_docs())).expect(0).json();
    assert_eq!((&published["version"], &published["is_new"]), (&json!(1), &json!(true)));
    let hash = published["catalog"].as_str().expect("a hash").to_owned();
    assert_ne!(hash, first);
    let again = publish(world, &format!("{}{kept}", open_docs())).expect(0).json();
    assert_eq!((&again["version"], &again["is_new"]), (&json!(1), &json!(false)));
    let follows = async || {
        let number = format!("{}", uuid::Uuid::new_v4());
        (catalog_of_new_job(world, &number).await == hash).then_some(())
    };
    world.until("the worker follows", follows).await;
    let audited = on(world, &["audit", "--action", "catalog.published", "--json"]).expect(0).json_lines();
    assert_eq!((audited.len(), &audited[0]["actor"], &audited[0]["detail"]["version"]), (1, &json!("1"), &json!(1)));
}

/// Proves that a job keeps its catalog until somebody resumes it with the current one, which is then part of its story.
#[every_engine]
async fn held_job_resumes_with_the_current_catalog(world: &mut World) {
    start(world, DOCS, &open_docs()).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!((job.state, codes_of(&job)), (State::NeedsAttention, vec!["orphans_left".to_owned()]));
    let kept = reference("rest", "docs", "disposition = \"keep\"");
    publish(
        world,
        &format!("{kept}{}", open_docs()).replace("kind = \"rest\"", "kind = \"rest\"\nwhere = { kind = \"other\" }"),
    )
    .expect(0);
    let resume = |more: Value| {
        let mut command =
            json!({ "type": "resume", "request_id": uuid::Uuid::new_v4(), "requested_by": "1", "job_id": job.id });
        if !more.is_null() {
            command["catalog"] = more;
        }
        command
    };
    world.hand_over(&resume(Value::Null)).await;
    let held = world.end_of(JobId(job.id)).await;
    assert_eq!((held.state, &held.catalog_hash), (State::NeedsAttention, &job.catalog_hash));
    let is_completed = async || {
        world.hand_over(&resume(json!("current"))).await;
        Some(world.end_of(JobId(job.id)).await).filter(|job| job.state == State::Completed)
    };
    let completed = world.until("the job is completed", is_completed).await;
    assert_ne!(completed.catalog_hash, job.catalog_hash);
    assert_eq!(owners(world, "docs").await, ["1:2", "2:9", "3:2", "4:3"]);
    let shown = on(world, &["job", &job.id.to_string(), "--json"]).expect(0).json();
    assert_eq!((&shown["catalog"], &shown["catalog_version"]), (&json!(completed.catalog_hash), &json!(1)));
    let audited = on(world, &["audit", "--action", "catalog.changed", "--json"]).expect(0).json_lines();
    assert_eq!(audited.len(), 1);
}
