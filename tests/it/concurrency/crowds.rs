//! Colleagues who follow each other, and leave at once.

use handover::job::State;
use handover::metrics;
use handover::store::Session;
use handover::worker::Role;

use crate::support::keap::{SUPPORT, deactivation, to};
use crate::support::{World, on_postgres};

/// Returns how many deadlocks this process has counted.
fn counted_deadlocks() -> f64 {
    let metrics = metrics::render();
    let line = metrics.lines().find_map(|line| line.strip_prefix("handover_deadlocks_total "));
    line.expect("the metric").parse().expect("a number")
}

/// Two transactions wait for each other.
#[on_postgres]
async fn deadlocks_are_counted(world: &mut World) {
    let before = counted_deadlocks();
    let lock = async |session: &Session, number: u32| {
        session.one("locking", session.sql(&format!("SELECT pg_advisory_xact_lock({number})"))).await
    };
    let (first, second) = (world.store.begin("first").await, world.store.begin("second").await);
    let (first, second) = (first.expect("a transaction"), second.expect("a transaction"));
    lock(&first, 1).await.expect("locked");
    lock(&second, 2).await.expect("locked");
    let (one, other) = tokio::join!(lock(&first, 2), lock(&second, 1));
    assert!(one.is_err() != other.is_err(), "the database ends one of them");
    assert!(counted_deadlocks() > before);
}

/// The leavers.
const CROWD: std::ops::Range<u32> = 300..330;

/// The transactions of two planners want the same rows, each by another reference.
#[on_postgres]
async fn crowd_that_follows_each_other_leaves_without_deadlock(world: &mut World) {
    for user in CROWD {
        world.hire(user, 1).await;
    }
    let (first, last) = (CROWD.start, CROWD.end - 1);
    let all = format!("generate_series({first}, {last})");
    world
        .sql(&format!("INSERT INTO follows (follower_id, followed_id) SELECT a, b FROM {all} a, {all} b WHERE a <> b"))
        .await;
    world.context.limits.group = 3;
    let mut jobs = Vec::new();
    for user in CROWD {
        let request = deactivation(&format!("{user} leaves"), &user.to_string()).contacts(to(SUPPORT));
        jobs.push(world.send(&request).await);
    }
    for _ in 0..2 {
        world.start_roles(&[Role::Planner, Role::Mover, Role::Relay]).await;
    }
    for job in jobs {
        assert_eq!(world.end_of(job).await.state, State::Completed);
    }
    assert_eq!(world.number("SELECT count(*) FROM follows WHERE follower_id >= 300 OR followed_id >= 300").await, 0);
    // A session reports its deadlocks at its end, at the latest.
    world.stop_workers().await;
    world.context.store.clone().close().await;
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename <> current_user";
    world.until("the workers' sessions end", async || (world.number(sessions).await == 0).then_some(())).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(world.number(deadlocks).await, 0);
}
