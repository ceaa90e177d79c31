//! Following a bulk run: database outages and interruptions.

use std::time::Duration;

use super::{Sheet, codes, outcomes};
use crate::support::database::{come_back, go_away};
use crate::support::process::{binary, borrowed, finish, settings, signal, start_worker, text};
use crate::support::world::catalog_source;
use crate::support::{Engine, World, every_engine, on_postgres};

/// Four users: three can leave, one has left already.
const LEAVERS: &str = "user_id,deactivated,successor\n53,y,11\n31,y,11\n54,y,11\n16,y,11\n";

impl Sheet {
    fn submit(&self, world: &World) -> std::process::Child {
        let given = ["bulk", text(&self.file), "--by", "1", "--org", "1", "--submit", "--json"];
        binary(&borrowed(&settings(world)), &given).spawn().expect("the binary")
    }

    /// Returns the outcomes in the report on disk, without its header.
    fn reported(&self) -> Vec<String> {
        match std::fs::exists(format!("{}.report.csv", text(&self.file))) {
            Ok(true) => self.report().into_iter().map(|row| row["outcome"].clone()).collect(),
            _ => Vec::new(),
        }
    }

    async fn until_sent(&self, world: &World) {
        let is_sent = || self.reported().iter().any(|outcome| outcome == "sent");
        world.until("the rows are sent", async || is_sent().then_some(())).await;
    }
}

#[every_engine]
async fn interrupted_run_reports_which_rows_were_sent(world: &mut World) {
    let sheet = Sheet::of("leavers.csv", LEAVERS);
    // No worker runs, so the sent requests wait.
    let mut child = sheet.submit(world);
    sheet.until_sent(world).await;
    child.kill().expect("killed");
    child.wait().expect("an end");
    assert_eq!(sheet.reported(), ["sent", "rejected", "sent", "sent"]);
    let worker = start_worker(world, &[]);
    let rows = sheet.rows(world, &["--submit"], 3);
    assert_eq!(outcomes(&rows), ["completed", "rejected", "completed", "completed"]);
    assert_eq!(sheet.reported(), outcomes(&rows), "no row is only noted");
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 3, "nothing was done twice");
    tokio::task::block_in_place(|| worker.stop());
}

#[every_engine]
async fn row_whose_request_is_set_aside_is_rejected(world: &mut World) {
    // The worker has another catalog than the command, which therefore finds nothing wrong.
    world.use_catalog(&catalog_source("keap").replace("kind = \"lead\"", "kind = \"prospect\"")).await;
    world.start_worker().await;
    let sheet = Sheet::of("leavers.csv", "user_id,deactivated,successor\n53,y,11\n31,y,11\n16,y,11\n");
    let rows = sheet.rows(world, &["--submit"], 3);
    assert_eq!(outcomes(&rows), ["rejected", "rejected", "rejected"]);
    for row in [&rows[0], &rows[2]] {
        assert_eq!(codes(row), ["unknown_kind"], "{row}");
        let reason = &row["reasons"][0];
        let told = |field: &str| reason[field].as_str().expect("a text").to_owned();
        assert!(told("message").starts_with("the request was set aside: "), "{reason}");
        assert!(told("hint").starts_with("use one of: "), "{reason}");
    }
    assert_eq!(codes(&rows[1]), ["already_inactive"]);
    assert_eq!(sheet.reported(), outcomes(&rows));
    assert_eq!(world.client.waiting("dead").await, 2);
}

#[every_engine]
async fn ctrl_c_says_what_was_sent(world: &mut World) {
    let sheet = Sheet::of("leavers.csv", LEAVERS);
    let child = sheet.submit(world);
    sheet.until_sent(world).await;
    signal(child.id(), "INT");
    let ended = tokio::task::block_in_place(|| finish(child, b"")).expect(1);
    for part in ["interrupted: 0 of 4 rows", "3 more were sent", "leavers.csv.report.csv", "no row is done twice"] {
        assert!(ended.err.contains(part), "{part} is missing in: {}", ended.err);
    }
    assert_eq!(sheet.reported(), ["sent", "rejected", "sent", "sent"]);
}

/// A run without a worker ends by itself, and so does one whose time is over; both say what was sent.
#[every_engine]
async fn bulk_run_ends_without_a_worker(world: &mut World) {
    let sheet = Sheet::of("leavers.csv", LEAVERS);
    let child = sheet.submit(world);
    sheet.until_sent(world).await;
    if world.engine == Engine::Sqlite {
        // Its queue shows no workers, only how long messages wait.
        world.change_ledger("UPDATE handover.outbox SET created_at = '2026-01-01 00:00:00+00:00'").await;
    }
    let ended = tokio::task::block_in_place(|| finish(child, b"")).expect(1);
    for part in
        ["no worker takes the requests (run `handover run`): 0 of 4 rows", "3 more were sent", "no row is done twice"]
    {
        assert!(ended.err.contains(part), "{part} is missing in: {}", ended.err);
    }
    assert_eq!(sheet.reported(), ["sent", "rejected", "sent", "sent"]);
    let again = Sheet::of("others.csv", "user_id,deactivated,successor\n17,y,11\n");
    let ended = again.bulk(world, &["--submit", "--timeout", "1s"]).expect(1);
    assert!(ended.err.contains("the time is over: 0 of 1 rows"), "{}", ended.err);
}

#[on_postgres]
async fn bulk_run_waits_for_the_database(world: &mut World) {
    let sheet = Sheet::of("leavers.csv", LEAVERS);
    let database = world.texts("SELECT CAST(current_database() AS text) AS t").await.remove(0);
    let mut child = sheet.submit(world);
    sheet.until_sent(world).await;
    go_away(&database).await;
    // Longer than the polling interval.
    let began = std::time::Instant::now();
    let waits = async || (began.elapsed() > Duration::from_secs(1)).then_some(());
    world.until("it has tried to reach the database", waits).await;
    assert!(child.try_wait().expect("a process").is_none(), "it gave up");
    come_back(&database).await;
    let worker = start_worker(world, &[]);
    let ended = tokio::task::block_in_place(|| finish(child, b"")).expect(3);
    assert!(ended.err.contains("Waiting for the database"), "{}", ended.err);
    assert_eq!(sheet.reported(), ["completed", "rejected", "completed", "completed"]);
    tokio::task::block_in_place(|| worker.stop());
}
