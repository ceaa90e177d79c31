//! `handover watch`: one live view at a terminal, and lines elsewhere.

use handover::job::State;
use handover::worker::Role;
use serde_json::json;
use uuid::Uuid;

use crate::support::keap::example;
use crate::support::process::{borrowed, on, settings};
use crate::support::terminal::Session;
use crate::support::{Engine, World, every_engine};

/// The code that returns to the screen before the view, with its cursor.
const LEFT: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// Starts `watch` at a terminal.
fn watch(world: &World, arguments: &[&str], size: (u16, u16)) -> Session {
    Session::start(&borrowed(&settings(world)), &[&["watch"], arguments].concat(), size)
}

/// Waits until the picture has all parts, and returns it.
async fn picture(world: &World, session: &Session, parts: &[&str]) -> String {
    let is_shown = async || {
        let picture = session.picture();
        parts.iter().all(|part| picture.contains(part)).then_some(picture)
    };
    world.until(&format!("{parts:?} are shown"), is_shown).await
}

/// Leaves a job that needs attention, a job that is cut no further, and a dead letter.
async fn fill(world: &mut World) -> (Uuid, Uuid) {
    world.use_chunks_of(20);
    world.start_worker().await;
    let held = example("held").with("user_id", json!("15")).without_allotments().with("lock_out", json!(true));
    let held = world.hand_over(&held).await;
    assert_eq!(held.state, State::NeedsAttention);
    world.client.send(b"no request".to_vec()).await;
    world.until("it is set aside", async || (world.client.waiting("dead").await == 1).then_some(())).await;
    world.stop_workers().await;
    world.start_roles(&[Role::Planner]).await;
    let cut = world.send(&example("r1")).await;
    world.until("the job is accepted", async || world.job(cut).await).await;
    world.stop_workers().await;
    (held.id, cut.0)
}

/// The view has jobs, queues, rates and what a person must do; it fits the terminal, and leaves it clean.
#[every_engine]
async fn live_view_shows_jobs_queues_and_attention(world: &mut World) {
    let (held, cut) = fill(world).await;
    let (held, cut) = (held.to_string(), cut.to_string());
    for (size, key) in [((80, 24), "q"), ((60, 12), "\u{3}")] {
        let mut session = watch(world, &[], size);
        let open = ["1 cutting", "1 needs_attention", "records per second", "dead 1", "needs attention", "dead letter"];
        let picture = picture(world, &session, &open).await;
        let (columns, lines) = (usize::from(size.0), usize::from(size.1));
        assert!(picture.lines().count() <= lines, "{picture}");
        assert!(picture.lines().all(|line| line.chars().count() <= columns), "{picture}");
        if lines > 20 {
            let idle = ["no worker takes from requests and steps: run `handover run`"];
            let idle = if world.engine == Engine::Postgres { &idle[..] } else { &[] };
            for part in [&[&*held, &*cut, "to fix it: ", "per second"], idle].concat() {
                assert!(picture.contains(part), "{part} is missing in:\n{picture}");
            }
        }
        session.type_keys(key);
        assert_eq!(tokio::task::block_in_place(|| session.end()), 0);
        world.until("the screen is left", async || session.shown().ends_with(LEFT).then_some(())).await;
    }
}

/// The view of a job ends with the job, whose details are printed on the screen before.
#[every_engine]
async fn live_view_of_a_job_ends_with_it(world: &mut World) {
    let (held, cut) = fill(world).await;
    let cut = cut.to_string();
    let mut session = watch(world, &[&cut], (80, 24));
    picture(world, &session, &["deactivate of user 53", "state   cutting", "0 records done", "queues  "]).await;
    world.start_worker().await;
    assert_eq!(tokio::task::block_in_place(|| session.end()), 0);
    let details = async || {
        let shown = session.shown();
        let (_, after) = shown.rsplit_once(LEFT)?;
        (after.contains("state         completed") && after.contains("104 moved")).then_some(())
    };
    world.until("the job is printed", details).await;
    let mut session = watch(world, &[&held.to_string()], (80, 24));
    assert_eq!(tokio::task::block_in_place(|| session.end()), 1, "it waits for a person");
}

/// A pipe gets a line for each change, and no codes of a terminal.
#[every_engine]
async fn watch_prints_lines_without_a_terminal(world: &mut World) {
    let (held, cut) = fill(world).await;
    let printed = on(world, &["watch", "--timeout", "1s"]).expect(0).out;
    assert!(!printed.contains('\u{1b}'), "{printed}");
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable();
    let mut expected = [format!("{held} needs_attention"), format!("{cut} cutting")];
    expected.sort_unstable();
    assert_eq!(lines, expected, "no change, no line");
    let listed = on(world, &["watch", "--timeout", "1s", "--json"]).expect(0).json_lines();
    assert!(listed.iter().any(|job| job["job_id"] == json!(held) && job["state"] == "needs_attention"), "{listed:?}");
    if world.engine == Engine::Sqlite {
        // Its queue shows no workers, only how long messages wait.
        world.change_ledger("UPDATE handover.outbox SET created_at = '2026-01-01 00:00:00+00:00'").await;
    }
    let alone = on(world, &["watch", &cut.to_string()]).expect(1);
    assert!(alone.err.contains(&format!("the job {cut} waits on the queue, and no worker takes it")), "{}", alone.err);
}
