//! Snapshots of what the main commands print. To accept a change, run the tests with `INSTA_UPDATE=always` and review
//! the difference.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::keap::{AMANDA, LEAVER, MATHEW, example, to};
use crate::support::process::{borrowed, finish, on, run, settings, text, unconfirmed, with_input};
use crate::support::redact::{redacted, redacted_for};
use crate::support::world::catalog_source;
use crate::support::{World, on_sqlite};

/// Runs a command on the world and returns its redacted output, of either stream.
fn printed(world: &World, arguments: &[&str]) -> String {
    let ended = on(world, arguments);
    redacted_for(world, &format!("{}{}", ended.out, ended.err))
}

/// Runs a command on the world with input, and returns its redacted output.
fn printed_for(world: &World, arguments: &[&str], input: &str) -> String {
    let ended = with_input(world, arguments, input.as_bytes());
    redacted_for(world, &format!("{}{}", ended.out, ended.err))
}

#[test]
fn help_lists_every_command() {
    assert_snapshot!("help", run(&[], &["--help"]).expect(0).out);
    assert_snapshot!("help_of_submit", run(&[], &["submit", "--help"]).expect(0).out);
    let incomplete = finish(unconfirmed(&[], &["revert"]).spawn().expect("the binary"), b"").expect(2);
    assert_snapshot!("usage_error", incomplete.err);
}

#[on_sqlite]
async fn preview_prints_the_plan(world: &mut World) {
    assert_snapshot!("preview", printed_for(world, &["preview"], &example("r1").to_string()));
}

#[on_sqlite]
async fn refused_preview_prints_reasons_and_hints(world: &mut World) {
    let request = example("r1").without_allotments().leads(to(MATHEW)).requested_by(AMANDA);
    assert_snapshot!("preview_refused", printed_for(world, &["preview"], &request.to_string()));
}

#[on_sqlite]
async fn completed_job_is_printed_with_its_certificate(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&example("r1")).await;
    world.stop_workers().await;
    let id = job.id.to_string();
    assert_snapshot!("job", printed(world, &["job", &id]));
    assert_snapshot!("revert_preview", printed(world, &["revert", &id, "--by", "1", "--dry-run"]));
    assert_snapshot!("audit", printed(world, &["audit"]));
}

#[on_sqlite]
async fn held_and_rejected_jobs_are_printed_with_reasons(world: &mut World) {
    world.start_worker().await;
    world.hand_over(&example("rejected").requested_by(AMANDA)).await;
    let held = world.hand_over(&example("held").without_allotments().with("lock_out", json!(true))).await;
    world.stop_workers().await;
    assert_snapshot!("jobs", printed(world, &["jobs"]));
    assert_snapshot!("job_held", printed(world, &["job", &held.id.to_string()]));
}

#[on_sqlite]
async fn users_are_printed_with_their_records(world: &mut World) {
    assert_snapshot!("users", printed(world, &["users", "--status", "all"]));
}

#[on_sqlite]
async fn dead_letters_are_printed_with_their_reasons(world: &mut World) {
    world.start_worker().await;
    for (sent, body) in
        ["no request".to_owned(), example("r1").allot("badge", to(AMANDA)).to_string()].iter().enumerate()
    {
        world.client.send(body.clone().into_bytes()).await;
        world.until("it is dead-lettered", async || (world.client.waiting("dead").await > sent).then_some(())).await;
    }
    world.stop_workers().await;
    assert_snapshot!("dead_letters", printed(world, &["dead", "list"]));
}

#[on_sqlite]
async fn doctor_prints_every_check(world: &mut World) {
    assert_snapshot!("doctor", printed(world, &["doctor"]));
}

#[on_sqlite]
async fn catalog_faults_are_printed_with_hints(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.toml");
    let wrong = catalog_source("keap").replacen("\"contacts\"", "\"contact\"", 1).replace("\"30d\"", "\"?\"");
    std::fs::write(&file, wrong).expect("a file");
    let mut settings = settings(world);
    settings.push(("HANDOVER_CATALOG".into(), text(&file).into()));
    let checked = tokio::task::block_in_place(|| run(&borrowed(&settings), &["catalog", "check"])).expect(1);
    let printed = format!("{}{}", checked.out, checked.err).replace(text(&file), "[file]");
    assert_snapshot!("catalog_faults", redacted_for(world, &printed));
}

#[on_sqlite]
async fn bulk_dry_run_prints_every_row(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leavers.csv");
    let rows = format!("user_id,deactivated,successor\n{LEAVER},y,11\n54,,11\n31,yes,11\n999,X,11\n");
    std::fs::write(&file, rows).expect("a file");
    let printed = printed(world, &["bulk", text(&file), "--by", "1", "--org", "1"]);
    assert_snapshot!("bulk_dry_run", printed.replace(text(&file), "[file]"));
}

#[test]
fn configuration_faults_are_printed_at_once() {
    let wrong = [("HANDOVER_BROKER__URL", "ftp://localhost"), ("HANDOVER_LIMITS__CHUNK_ROWS", "0")];
    assert_snapshot!("configuration_faults", redacted(&run(&wrong, &["jobs"]).err));
}
