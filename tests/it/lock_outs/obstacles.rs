//! What keeps a handover from being planned does not keep access open: a table that a session of the host holds, a count that takes
//! too long, a table that cannot be read. Access ends by the users' rows alone, and the rest follows.

use std::time::Duration;

use handover::contract::JobId;
use handover::metrics;
use handover::stages::{Outcome, intake};
use handover::store::{Settings, Store};
use handover::worker::Role;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::{Value, json};

use super::{LATER, hire, is_out, lock_out, open_codes, send, until_state};
use crate::support::database::settings as database_settings;
use crate::support::keap::{AMANDA, WEST, deactivation, group, ratio, to};
use crate::support::people::begun;
use crate::support::world::{codes_of, message};
use crate::support::{Engine, World, every_engine, on_postgres, on_sqlite};
use crate::undo::revert::command;

/// Why the records cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Obstacle {
    /// The table has another name: the database refuses to read it.
    Missing,
    /// A session of the host holds the table.
    Held,
}

impl Obstacle {
    /// Lists those that a database knows. Where a session can hold no table, one that writes holds the whole database.
    fn of(engine: Engine) -> &'static [Obstacle] {
        match engine {
            Engine::Postgres => &[Obstacle::Missing, Obstacle::Held],
            Engine::Sqlite => &[Obstacle::Missing],
        }
    }

    async fn put(self, world: &World) -> Option<DatabaseTransaction> {
        match self {
            Obstacle::Missing => {
                world.sql("ALTER TABLE contacts RENAME TO contacts_gone").await;
                None
            }
            Obstacle::Held => Some(begun(world, "LOCK TABLE public.contacts IN ACCESS EXCLUSIVE MODE").await),
        }
    }

    async fn remove(self, world: &World, held: Option<DatabaseTransaction>) {
        match held {
            Some(held) => held.rollback().await.expect("given up"),
            None => world.sql("ALTER TABLE contacts_gone RENAME TO contacts").await,
        }
    }
}

/// Lets workers wait so long for a lock, and for a statement.
async fn wait_at_most(world: &mut World, lock_timeout: Duration, statement_timeout: Duration) {
    if world.engine == Engine::Postgres {
        let settings = database_settings(world.worker_url().to_owned());
        let settings = Settings { lock_timeout, statement_timeout, ..settings };
        world.context.store = Store::open(&settings).await.expect("a store");
    }
}

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

async fn until_inactive(world: &World, user: u32) {
    let is_inactive = async || (world.status_of(&user.to_string()).await == "inactive").then_some(());
    world.until("access has ended", is_inactive).await;
}

async fn until_sessions_end(world: &World, user: u32) {
    let has_none = async || (world.held_by(&user.to_string(), "sessions").await == 0).then_some(());
    world.until("sessions end", has_none).await;
}

/// Waits until a job is complete. If the database has refused its start, a person resumes it first.
async fn completes(world: &World, id: JobId) {
    let job = world.end_of(id).await;
    if job.state.name() != "completed" {
        world.hand_over(&command("resume", &format!("{id} goes on"), id)).await;
    }
    until_state(world, id, "completed").await;
}

/// Asks for a lock-out that is due in this way, with the obstacle in its way.
async fn ask(world: &World, way: &str, user: u32, obstacle: Obstacle) -> (JobId, Option<DatabaseTransaction>) {
    let request = lock_out(&format!("{user} {way}"), user);
    if way == "now" {
        let held = obstacle.put(world).await;
        return (world.send(&request).await, held);
    }
    let job = world.send(&request.with("effective_at", json!(LATER))).await;
    until_state(world, job, "scheduled").await;
    if way == "paused" {
        world.hand_over(&command("pause", &format!("{user} pause"), job)).await;
    }
    let held = obstacle.put(world).await;
    assert_eq!(world.status_of(&user.to_string()).await, "active");
    world.make_due(job).await;
    (job, held)
}

#[every_engine]
async fn records_that_cannot_be_counted_delay_no_lock_out(world: &mut World) {
    wait_at_most(world, SHORT, LONG).await;
    world.start_worker().await;
    let ways = ["now", "scheduled", "paused"];
    for (round, obstacle) in (0..).zip(Obstacle::of(world.engine)) {
        for (number, way) in (0..).zip(ways) {
            let user = 300 + 10 * round + number;
            hire(world, user).await;
            let (id, held) = ask(world, way, user, *obstacle).await;
            until_inactive(world, user).await;
            let job = world.job(id).await.expect("a job");
            assert!(job.access_ended_at.is_some() && job.started_at.is_none(), "{way}, {obstacle:?}: {job:?}");
            obstacle.remove(world, held).await;
            if way == "paused" {
                if *obstacle == Obstacle::Held {
                    until_sessions_end(world, user).await;
                }
                until_state(world, id, "paused").await;
            }
            completes(world, id).await;
            assert!(is_out(world, user).await, "{way}, {obstacle:?}");
            assert_eq!(world.owned_by(&user.to_string(), "contacts").await, 0, "{way}, {obstacle:?}");
        }
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox WHERE channel = 'dead'").await, 0);
}

/// The job says that its guards are not evaluated. Later, they stop the handover and not the end of access.
#[every_engine]
async fn guards_are_evaluated_once_they_can_be(world: &mut World) {
    wait_at_most(world, SHORT, LONG).await;
    hire(world, 300).await;
    world.start_roles(&[Role::Planner]).await;
    let obstacle = *Obstacle::of(world.engine).last().expect("one");
    let held = obstacle.put(world).await;
    let id = send(world, &lock_out("r1", 300).without_allotments()).await;
    let job = world.job(id).await.expect("a job");
    assert_eq!((job.state.name(), open_codes(&job)), ("scheduled", vec!["handover_unchecked".to_owned()]));
    assert_eq!(world.status_of("300").await, "inactive");
    for (code, user, requester) in [("requester_not_permitted", 53, AMANDA), ("requester_is_leaver", 1, "1")] {
        let refused = world.hand_over(&lock_out(code, user).requested_by(requester)).await;
        assert_eq!((refused.state.name(), codes_of(&refused)), ("rejected", vec![code.to_owned()]));
    }
    obstacle.remove(world, held).await;
    world.start_worker().await;
    let job = until_state(world, id, "needs_attention").await;
    // Rows of a catalog whose tables have just changed may have to wait for a person, too.
    assert_eq!(codes_of(&job)[0], "allotment_missing");
    assert_eq!(world.status_of("300").await, "inactive");
}

/// One planner takes all requests in one group.
#[every_engine]
async fn lock_outs_of_a_group_end_access_before_others(world: &mut World) {
    wait_at_most(world, SHORT, LONG).await;
    for user in 300..304 {
        hire(world, user).await;
    }
    let obstacle = *Obstacle::of(world.engine).last().expect("one");
    let held = obstacle.put(world).await;
    let mut ordinary = Vec::new();
    for user in [300, 301] {
        let request = lock_out(&format!("{user} ordinary"), user).with("lock_out", json!(false));
        ordinary.push(world.send(&request).await);
    }
    let mut urgent = Vec::new();
    for user in [302, 303] {
        urgent.push(world.send(&lock_out(&format!("{user} urgent"), user)).await);
    }
    world.start_worker().await;
    for user in [302, 303] {
        until_inactive(world, user).await;
    }
    assert_eq!(world.number("SELECT count(*) FROM users WHERE id IN (300, 301) AND status = 'active'").await, 2);
    obstacle.remove(world, held).await;
    for job in urgent {
        completes(world, job).await;
    }
    // What the database refuses may be set aside.
    for job in ordinary.into_iter().filter(|_| obstacle == Obstacle::Held) {
        assert_eq!(world.end_of(job).await.state.name(), "completed");
    }
}

#[every_engine]
async fn lock_out_behind_another_job_ends_access(world: &mut World) {
    wait_at_most(world, SHORT, LONG).await;
    world.use_chunks_of(2);
    hire(world, 300).await;
    world.start_roles(&[Role::Planner]).await;
    let mut request: Value = deactivation("first", "300").contacts(to(AMANDA)).clone();
    request["type"] = json!("reassign");
    let first = send(world, &request).await;
    let obstacle = *Obstacle::of(world.engine).last().expect("one");
    let held = obstacle.put(world).await;
    let second = send(world, &lock_out("second", 300)).await;
    assert_eq!(world.status_of("300").await, "inactive");
    obstacle.remove(world, held).await;
    // The other job does not go on, and the sessions end nevertheless.
    world.hand_over(&command("pause", "pause", first)).await;
    world.start_worker().await;
    until_sessions_end(world, 300).await;
    let job = until_state(world, second, "scheduled").await;
    assert_eq!(job.wait_for, Some(first.0));
    world.hand_over(&command("resume", "resume", first)).await;
    completes(world, second).await;
}

/// Each table that a start reads or changes, with the mode in which the host holds it.
#[on_postgres]
async fn no_table_but_that_of_users_delays_a_lock_out(world: &mut World) {
    wait_at_most(world, SHORT, LONG).await;
    world.start_worker().await;
    let held = [
        ("sessions", "ACCESS EXCLUSIVE"),
        ("sessions", "SHARE"),
        ("group_members", "ACCESS EXCLUSIVE"),
        ("portals", "ACCESS EXCLUSIVE"),
        ("licenses", "ACCESS EXCLUSIVE"),
        ("notes", "SHARE"),
    ];
    for (number, (table, mode)) in (0..).zip(held) {
        let user = 300 + number;
        hire(world, user).await;
        world.sql(&format!("INSERT INTO follows (follower_id, followed_id) VALUES ({user}, 11)")).await;
        let transaction = begun(world, &format!("LOCK TABLE public.{table} IN {mode} MODE")).await;
        let request = lock_out(&format!("{table} {mode}"), user).contacts(ratio([group(WEST, 1)]));
        let id = world.send(&request).await;
        until_inactive(world, user).await;
        transaction.rollback().await.expect("given up");
        let job = world.end_of(id).await;
        assert_eq!(job.state.name(), "completed", "{table} {mode}: {:?}", job.reasons);
        assert!(is_out(world, user).await, "{table} {mode}");
    }
    assert!(world.client.next_dead_letter(Duration::from_millis(100)).await.is_none());
}

fn retries_of_planning() -> f64 {
    let series = "handover_retries_total{what=\"planning requests\"} ";
    let metrics = metrics::render();
    metrics.lines().find_map(|line| line.strip_prefix(series)).map_or(0.0, |count| count.parse().expect("a number"))
}

/// While the application writes, nobody else can, not even the end of access. It follows at once, as if nobody had written.
#[on_sqlite]
async fn writer_of_the_database_only_delays_a_lock_out(world: &mut World) {
    hire(world, 300).await;
    let settings = database_settings(world.worker_url().to_owned());
    world.context.store = Store::open(&Settings { lock_timeout: SHORT, ..settings }).await.expect("a store");
    let writer = world.store.begin("host").await.expect("a transaction");
    writer.execute_unprepared("UPDATE contacts SET name = name").await.expect("written");
    let before = retries_of_planning();
    let (context, request) = (world.context.clone(), message(lock_out("r1", 300).to_string()));
    let planning = tokio::spawn(async move { intake::take(&context, &[request]).await });
    world.until("it is tried", async || (retries_of_planning() > before).then_some(())).await;
    assert_eq!(world.status_of("300").await, "active");
    writer.commit().await.expect("committed");
    let outcomes = planning.await.expect("the planner");
    assert!(matches!(outcomes[..], [Outcome::Answered(_)]), "{outcomes:?}");
    assert!(is_out(world, 300).await);
    assert_eq!(world.owned_by("300", "contacts").await, 0);
}

/// A row that the host inserts and does not commit keeps the leaver's rows from being counted. All others move meanwhile.
#[on_postgres]
async fn records_move_while_an_insert_is_open(world: &mut World) {
    wait_at_most(world, SHORT, LONG).await;
    world.start_worker().await;
    hire(world, 300).await;
    let insert = "INSERT INTO public.contacts (org_id, owner_id, created_by, name) VALUES (1, 300, 1, 'import')";
    let held = begun(world, insert).await;
    let id = world.send(&lock_out("r1", 300)).await;
    until_inactive(world, 300).await;
    let has_none = async || (world.owned_by("300", "contacts").await == 0).then_some(());
    world.until("the records move", has_none).await;
    held.commit().await.expect("committed");
    completes(world, id).await;
    assert_eq!(world.owned_by("300", "contacts").await, 0);
}

/// A statement may take a minute, and waits for a lock as long. Access ends within seconds.
#[on_postgres]
async fn long_count_delays_no_lock_out(world: &mut World) {
    wait_at_most(world, LONG, LONG).await;
    hire(world, 300).await;
    world.start_worker().await;
    let held = Obstacle::Held.put(world).await;
    let id = world.send(&lock_out("r1", 300)).await;
    world
        .until_within(LONG / 2, "access has ended", async || (world.status_of("300").await == "inactive").then_some(()))
        .await;
    Obstacle::Held.remove(world, held).await;
    completes(world, id).await;
    assert_eq!(world.owned_by("300", "contacts").await, 0);
}
