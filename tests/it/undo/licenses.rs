//! An undo gives back the licenses that were freed, and certificates say no more than what was done.

use handover::contract::{LicenseOutcome, UserId};
use handover::job::State;
use handover::stages::undo::preview::{LicensePreview, revert as revert_preview};
use handover::store::ledger::jobs::Job;
use serde_json::json;

use crate::support::people::{leave, reference, revert, reverted, start};
use crate::support::process::on;
use crate::support::world::{certificate_of, codes_of};
use crate::support::{World, every_engine};

const SEATS: &str = "CREATE TABLE seats (id BIGINT NOT NULL PRIMARY KEY, product TEXT NOT NULL, holder BIGINT); \
     INSERT INTO seats VALUES (1, 'base', NULL), (2, 'sales', 9), (3, 'support', 9), (4, 'sales', 2); \
     CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO docs VALUES (1, 9), (2, 3);";

const LICENSE: &str = "[license]\ntable = \"seats\"\nuser = \"holder\"\n";

fn docs() -> String {
    reference("doc", "docs", "disposition = \"transfer\"")
}

async fn seats(world: &World) -> Vec<String> {
    let seat = "CAST(id AS text) || ' ' || product || ' ' || COALESCE(CAST(holder AS text), '-')";
    world.texts(&format!("SELECT {seat} AS t FROM seats ORDER BY id")).await
}

async fn previewed(world: &World, job: &Job) -> LicensePreview {
    let requester = UserId::try_from("1".to_owned()).expect("an id");
    revert_preview(&world.context, job, &requester).await.expect("a preview").license
}

#[every_engine]
async fn undo_gives_the_freed_licenses_back(world: &mut World) {
    start(world, SEATS, &format!("{LICENSE}{}", docs())).await;
    let before = seats(world).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(certificate_of(&job).license, LicenseOutcome::Freed);
    assert_eq!(seats(world).await, ["1 base -", "2 sales -", "3 support -", "4 sales 2"]);
    assert_eq!(reverted(world, &job).await.license, LicenseOutcome::Taken);
    assert_eq!(seats(world).await, before);
}

#[every_engine]
async fn taken_license_is_replaced_within_its_product(world: &mut World) {
    start(world, SEATS, &format!("{LICENSE}of = \"product\"\n{}", docs())).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    world.sql("UPDATE seats SET holder = 3 WHERE id = 2").await;
    let before = seats(world).await;
    assert_eq!(previewed(world, &job).await, LicensePreview::NoneFree);
    let refused = world.hand_over(&revert(&job)).await;
    assert_eq!((refused.state, codes_of(&refused)), (State::Rejected, vec!["no_license_free".to_owned()]));
    assert_eq!(seats(world).await, before, "nothing is taken of two of which one is missing");

    world.sql("INSERT INTO seats VALUES (5, 'sales', NULL)").await;
    assert_eq!(previewed(world, &job).await, LicensePreview::Free);
    let mut again = revert(&job);
    again["request_id"] = json!("again");
    assert_eq!(certificate_of(&world.hand_over(&again).await).license, LicenseOutcome::Taken);
    assert_eq!(seats(world).await, ["1 base -", "2 sales 3", "3 support 9", "4 sales 2", "5 sales 9"]);
}

/// Proves that a license is mentioned only where one was freed or taken, and orphans only where they were counted.
#[every_engine]
async fn certificates_claim_only_what_was_done(world: &mut World) {
    start(world, SEATS, &docs()).await;
    let reassign = json!({ "type": "reassign", "request_id": "gives", "user_id": "3", "requested_by": "1",
        "reassign": { "doc": { "user": "2" } } });
    let reassigned = world.hand_over(&reassign).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    for (certificate, orphans) in [
        (certificate_of(&reassigned), None),
        (certificate_of(&job), Some(0)),
        (reverted(world, &reassigned).await, None),
    ] {
        assert_eq!((certificate.license, certificate.orphans), (LicenseOutcome::None, orphans));
    }
    let undo = world.hand_over(&revert(&job)).await;
    let certificate = certificate_of(&undo);
    assert_eq!((certificate.license, certificate.orphans), (LicenseOutcome::None, None));
    let printed = on(world, &["job", &undo.id.to_string()]).expect(0).out;
    assert!(printed.contains("1 restored") && printed.contains("state         completed"), "{printed}");
}
