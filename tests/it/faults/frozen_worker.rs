//! A worker that freezes in the middle of a chunk until RabbitMQ gives up on it. Another worker does its work, and it
//! does no harm when it continues.

use handover::job::State;
use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::support::process::{WorkerProcess, start_worker};
use crate::support::world::{certificate_of, result_of};
use crate::support::{World, on_postgres};

/// Returns the locks and transactions of this database's sessions, except those of its owner.
async fn sessions(world: &World, test: &str) -> i64 {
    let all = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename <> current_user";
    world.number(&format!("{all} AND {test}")).await
}

/// Starts a worker with chunks of ten whose idle transactions end after two seconds. Redispatch is off, so only
/// RabbitMQ returns the held messages.
fn start(world: &World, heartbeat: &str) -> WorkerProcess {
    let settings = [
        ("HANDOVER_BROKER__HEARTBEAT", heartbeat),
        ("HANDOVER_LIMITS__CHUNK_ROWS", "10"),
        ("HANDOVER_LIMITS__CHUNK_TIME", "1h"),
        ("HANDOVER_LIMITS__STALLED_AFTER", "1h"),
        ("HANDOVER_WORKER__MOVERS", "1"),
        ("HANDOVER_DATABASE__LOCK_TIMEOUT", "50s"),
        ("HANDOVER_DATABASE__IDLE_IN_TRANSACTION_TIMEOUT", "2s"),
    ];
    start_worker(world, &settings)
}

#[on_postgres]
async fn frozen_worker_does_no_harm_when_resumed(world: &mut World) {
    let tested = "RabbitMQ's consumer time-out";
    let Some(rabbitmq) = world.use_own_rabbitmq(tested, "consumer_timeout = 4000").await else { return };
    // The interval at which RabbitMQ checks a channel.
    rabbitmq.control(&["eval", "application:set_env(rabbit, channel_tick_interval, 1000)."]);
    // After the timeout RabbitMQ closes the channel, which only a running worker can confirm. Without heartbeats it
    // ends the connection.
    for (user, heartbeat, by_time_out) in [(101, "60s", true), (102, "1s", false)] {
        world.hire(user, 45).await;
        let stopped = start(world, heartbeat);
        let last = format!("SELECT max(id) AS n FROM contacts WHERE owner_id = {user}");
        let last = world.number(&last).await;
        let held = world.store.begin("host").await.expect("a transaction");
        let hold = format!("SELECT 1 FROM public.contacts WHERE id = {last} FOR UPDATE");
        held.execute_unprepared(&hold).await.expect("held");
        let request = json!({
            "type": "deactivate", "request_id": format!("{user} leaves"), "org_id": "1", "user_id": user.to_string(), "requested_by": "1",
            "reassign": { "contact": { "user": "11" } },
        });
        let job = world.send(&request).await;
        let waits = async || (sessions(world, "wait_event_type = 'Lock'").await > 0).then_some(());
        world.until("the worker is in the middle of the last chunk", waits).await;
        world.until_all_is_published().await;
        let ready = world.client.waiting("steps").await;

        stopped.signal("STOP");
        held.commit().await.expect("let go");
        let gone = async || (sessions(world, "xact_start IS NOT NULL").await == 0).then_some(());
        world.until("the database ended its transaction", gone).await;
        let given_up = async || match by_time_out {
            true => rabbitmq.log().contains("timed out waiting for").then_some(()),
            false => (world.client.waiting("steps").await == ready + 1).then_some(()),
        };
        world.until("RabbitMQ closed its channel", given_up).await;

        let other = start(world, "10s");
        let ended = world.end_of(job).await;
        assert_eq!(ended.state, State::Completed, "{:?}", ended.reasons);
        assert_eq!(result_of(&certificate_of(&ended), "contact").moved, Some(45));
        assert_eq!(tokio::task::block_in_place(|| other.stop()), 0);

        stopped.signal("CONT");
        let mut again = request.clone();
        again["user_id"] = "31".into();
        again["request_id"] = format!("behind {user}").into();
        assert_eq!(world.hand_over(&again).await.state, State::Rejected, "the worker consumes again");
        let drained = async || (world.client.waiting("steps").await == 0).then_some(());
        world.until("every step is taken", drained).await;
        assert_eq!(tokio::task::block_in_place(|| stopped.stop()), 0);
        world.check_journal(job).await;
        assert_eq!(world.number(&format!("SELECT count(*) FROM contacts WHERE owner_id = {user}")).await, 0);
        assert_eq!(world.job(job).await.map(|job| job.certificate), Some(ended.certificate), "nothing has changed");
    }
    assert!(world.client.next_dead_letter(Duration::from_millis(200)).await.is_none(), "no dead letters");
}
