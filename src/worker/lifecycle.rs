//! Starts a worker's loops, and drains them.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::host_activity::HostActivity;
use super::settings::{Role, Settings};
use super::shared::Worker;
use super::throttle::Throttle;
use crate::broker::{Broker, Channel};
use crate::metrics;
use crate::stages::Context;

/// Runs the roles until `shutdown`, then stops receiving, finishes the current work and returns. `shutdown` is first polled
/// when everything runs.
pub async fn run(
    context: Context,
    broker: Arc<dyn Broker>,
    roles: &[Role],
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let throttle = Arc::new(Throttle::new(settings.pace));
    let host_activity = Arc::new(HostActivity::new(settings.pace));
    let stop = CancellationToken::new();
    let mut worker = Worker { context, broker, settings, throttle, host_activity, stop };
    let mut tasks = JoinSet::new();
    if roles.contains(&Role::Relay) && worker.broker.is_external() {
        start_relay(&mut worker, &mut tasks);
    }
    if roles.contains(&Role::Planner) {
        start_planners(&worker, &mut tasks).await?;
    }
    if roles.contains(&Role::Mover) || roles.contains(&Role::Finalizer) {
        start_movers(&worker, &mut tasks).await?;
    }
    if roles.contains(&Role::Sweeper) {
        metrics::tasks(Role::Sweeper.label(), 1);
        tasks.spawn(worker.clone().run_sweeper());
    }
    let stages = roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",");
    tracing::info!(stages, broker = worker.broker.kind(), "worker started");
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        // A loop ends only when the worker stops. If one ends earlier, the worker must not continue without it.
        Some(ended) = tasks.join_next() => ended.context("a stage ended unexpectedly"),
    };
    drain(worker, tasks).await;
    ended
}

/// Starts the relay. From here on, commits of this worker hand their messages to it directly.
fn start_relay(worker: &mut Worker, tasks: &mut JoinSet<()>) {
    // The relay's own store hands over nothing: the relay ends when every other sender is gone.
    let relay = worker.clone();
    let (store, handed_over) = worker.context.store.with_local_relay();
    worker.context.store = store;
    metrics::tasks(Role::Relay.label(), 1);
    tasks.spawn(relay.run_relay(handed_over));
}

async fn start_planners(worker: &Worker, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    let planners = worker.settings.planners.max(1);
    metrics::tasks(Role::Planner.label(), planners);
    for _ in 0..planners {
        // While one group is planned, the next one arrives.
        let prefetch = worker.context.limits.group.max(1).saturating_mul(2);
        let prefetch = u16::try_from(prefetch).unwrap_or(u16::MAX);
        let consumer = worker.broker.consume(Channel::Requests, prefetch).await.context("consuming requests")?;
        tasks.spawn(worker.clone().run_planner(consumer));
    }
    Ok(())
}

async fn start_movers(worker: &Worker, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    let movers = worker.settings.movers.max(1);
    metrics::tasks(Role::Mover.label(), movers);
    for _ in 0..movers {
        let consumer = worker.broker.consume(Channel::Steps, 1).await.context("consuming steps")?;
        tasks.spawn(worker.clone().run_steps(consumer));
    }
    tasks.spawn(watch_host(worker.clone()));
    Ok(())
}

/// Watches the host's load and its own activity.
async fn watch_host(worker: Worker) {
    let Worker { context, throttle, host_activity, stop, .. } = &worker;
    tokio::join!(throttle.watch(&context.store, stop), host_activity.watch(context, stop));
}

async fn drain(worker: Worker, mut tasks: JoinSet<()>) {
    let Worker { context, broker, settings, throttle, stop, .. } = worker;
    tracing::info!(grace = ?settings.grace, "worker draining: it receives nothing more and finishes its work");
    // This context could hand messages to the relay, which waits until no sender is left.
    drop(context);
    stop.cancel();
    let finished = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(settings.grace, finished).await.is_err() {
        tracing::warn!("grace period exceeded; unfinished work will be redelivered");
    }
    tasks.shutdown().await;
    broker.close().await;
    let rested = throttle.rested();
    if rested.times > 0 {
        tracing::info!(times = rested.times, seconds = rested.total.as_secs_f64(), "movers rested");
    }
}
