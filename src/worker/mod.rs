//! Runs the stages: consumes, retries, settles, and drains when it is told to stop.
//!
//! The stages that take messages share two queues: the planner takes requests; cutting, moving and finalizing take steps.
//! [`Role`] is the list of what a worker can run.

pub mod host_activity;
mod relay_loop;
pub mod throttle;
mod dead_letter;
mod replies;
mod spans;
mod step_log;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::host_activity::HostActivity;
use self::throttle::{Pace, Throttle};
use crate::broker::{Broker, Channel, Consumer, Incoming, Outgoing};
use crate::contract::DeadLetterCode;
use crate::job::{Step, StepKind, reason};
use crate::metrics;
use crate::retry::RetryPolicy;
use crate::stages::handover::mover::AfterChunk;
use crate::stages::handover::{cutter, failure, finalizer, mover, scheduled};
use crate::stages::intake;
use crate::stages::{Context, DeadLetterReason, Outcome, sweeper};
use crate::store::{Cause, Error};
use crate::trace::Span;

/// What a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Role {
    /// Takes requests.
    Planner,
    /// Takes steps: cuts, moves and finalizes. One queue holds them all, so a mover finalizes too.
    Mover,
    /// Takes steps, as the mover does.
    Finalizer,
    /// Carries the outbox to the broker.
    Relay,
    /// Looks after what stands still, is due, or is past its keeping.
    Sweeper,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 5] = [Role::Planner, Role::Mover, Role::Finalizer, Role::Relay, Role::Sweeper];
}

/// The roles, as they are counted. What takes steps is one, whichever of its two names it was called by.
const PLANNER: &str = "planner";
const MOVER: &str = "mover";
const RELAY: &str = "relay";
const SWEEPER: &str = "sweeper";

/// How long a mover goes on with one ticket: what another job has on the queue does not wait for long.
const LONGEST_TICKET: Duration = Duration::from_millis(200);

/// How much a worker does at a time, how hard and how often; `config/default.toml` says what each is for.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Groups of requests planned at the same time.
    pub planners: usize,
    /// Steps worked on at the same time.
    pub movers: usize,
    /// How hard movers work.
    pub pace: Pace,
    /// Messages that the relay carries at a time.
    pub relay_batch: u64,
    /// How often the relay looks for what other processes left.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// How often the sweeper looks.
    #[serde(with = "humantime_serde")]
    pub sweep_every: Duration,
    /// How long a worker that is told to stop may take to finish what it holds.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

/// Runs the roles until `shutdown`, then stops taking, finishes what it holds and returns. `shutdown` is first asked once
/// everything runs.
pub async fn run(
    context: Context,
    broker: Arc<dyn Broker>,
    roles: &[Role],
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (throttle, host_activity) =
        (Arc::new(Throttle::new(settings.pace)), Arc::new(HostActivity::new(settings.pace)));
    let stop = CancellationToken::new();
    let mut worker = Worker { context, broker: broker.clone(), settings, throttle, host_activity, stop };
    let mut tasks = JoinSet::new();
    if roles.contains(&Role::Relay) && broker.is_external() {
        // The relay's own store has no courier: it ends when everybody who could hand it something has.
        let relay = worker.clone();
        let (store, fresh) = worker.context.store.with_local_relay();
        worker.context.store = store;
        metrics::tasks(RELAY, 1);
        tasks.spawn(relay.relay(fresh));
    }
    if roles.contains(&Role::Planner) {
        metrics::tasks(PLANNER, settings.planners.max(1));
        for _ in 0..settings.planners.max(1) {
            // While one group is planned, the next one arrives.
            let prefetch = worker.context.limits.group.max(1).saturating_mul(2);
            let prefetch = u16::try_from(prefetch).unwrap_or(u16::MAX);
            let consumer = broker.consume(Channel::Requests, prefetch).await.context("consuming requests")?;
            tasks.spawn(worker.clone().plan(consumer));
        }
    }
    if roles.contains(&Role::Mover) || roles.contains(&Role::Finalizer) {
        metrics::tasks(MOVER, settings.movers.max(1));
        for _ in 0..settings.movers.max(1) {
            let consumer = broker.consume(Channel::Steps, 1).await.context("consuming steps")?;
            tasks.spawn(worker.clone().step(consumer));
        }
        tasks.spawn(worker.clone().watch_the_host());
    }
    if roles.contains(&Role::Sweeper) {
        metrics::tasks(SWEEPER, 1);
        tasks.spawn(worker.clone().sweep());
    }
    tracing::info!(roles = ?roles, "the worker runs");
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        // A task only ends when it is told to: anything else is a bug, and the worker must not go on with a part missing.
        Some(ended) = tasks.join_next() => ended.context("a stage has ended by itself"),
    };
    worker.drain(tasks).await;
    ended
}

#[derive(Clone)]
struct Worker {
    context: Context,
    broker: Arc<dyn Broker>,
    settings: Settings,
    throttle: Arc<Throttle>,
    host_activity: Arc<HostActivity>,
    stop: CancellationToken,
}

impl Worker {
    async fn drain(self, mut tasks: JoinSet<()>) {
        let Worker { context, broker, settings, throttle, stop, .. } = self;
        tracing::info!(grace = ?settings.grace, "the worker takes nothing more and finishes what it holds");
        // This is one who could hand something to the relay.
        drop(context);
        stop.cancel();
        let finished = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(settings.grace, finished).await.is_err() {
            tracing::warn!("the grace is over: what is not finished will be done again elsewhere");
        }
        tasks.shutdown().await;
        broker.close().await;
        let rested = throttle.rested();
        if rested.times > 0 {
            tracing::info!(times = rested.times, seconds = rested.total.as_secs_f64(), "the movers rested");
        }
    }

    /// The planner: takes what is waiting, up to a group, without waiting for more.
    async fn plan(self, mut consumer: Box<dyn Consumer>) {
        while let Some(first) = self.next(&mut consumer).await {
            let mut incoming = vec![first];
            while incoming.len() < self.context.limits.group
                && let Some(more) = consumer.try_next()
            {
                incoming.push(more);
            }
            let _busy = metrics::busy(PLANNER);
            incoming.iter().for_each(tell_taken);
            let spans: Vec<Span> =
                incoming.iter().map(|incoming| spans::of_request(self.broker.as_ref(), incoming)).collect();
            let traceparents: Vec<Option<String>> =
                incoming.iter().zip(&spans).map(|(incoming, span)| spans::context(span, incoming)).collect();
            let messages: Vec<intake::Message<'_>> = (incoming.iter().zip(&traceparents))
                .map(|(incoming, traceparent)| intake::Message {
                    body: incoming.body.as_slice().into(),
                    traceparent: traceparent.as_deref(),
                })
                .collect();
            let outcomes = self.take_requests(&messages).await;
            for ((incoming, outcome), mut span) in incoming.iter().zip(&outcomes).zip(spans) {
                if let Outcome::Answered(answer) = outcome {
                    span.set_job(answer.job());
                }
                self.set_aside(incoming, outcome, Some(span)).await;
            }
            replies::send(&self.context, self.broker.as_ref(), &incoming, &outcomes).await;
            for incoming in incoming {
                acknowledge(incoming).await;
            }
        }
        consumer.stop().await;
    }

    /// Cutting, moving and finalizing: one step at a time.
    async fn step(self, mut consumer: Box<dyn Consumer>) {
        while let Some(incoming) = self.next(&mut consumer).await {
            let mut busy = metrics::busy(MOVER);
            tell_taken(&incoming);
            let step = serde_json::from_slice::<Step>(&incoming.body);
            let mut span = spans::of_step(self.broker.as_ref(), &incoming, step.as_ref().ok());
            let mut used = TimeUsed::default();
            let outcome = match step {
                Ok(step) => self.take_step(step, &mut used, &mut span).await,
                Err(error) => Outcome::DeadLetter(DeadLetterReason {
                    code: DeadLetterCode::NotAStep,
                    path: None,
                    detail: error.to_string(),
                    attempts: 1,
                }),
            };
            self.set_aside(&incoming, &outcome, Some(span)).await;
            acknowledge(incoming).await;
            busy.rested(used.rested);
            drop(busy);
            self.throttle.rest(used.worked, &self.stop).await;
        }
        consumer.stop().await;
    }

    /// Looks whether the host is at work, and whether it suffers from what the movers do.
    async fn watch_the_host(self) {
        let Worker { context, throttle, host_activity, stop, .. } = &self;
        tokio::join!(throttle.watch(&context.store, stop), host_activity.watch(context, stop));
    }

    /// What fails here is nothing that a request is to blame for: it is tried until it works.
    async fn take_requests(&self, messages: &[intake::Message<'_>]) -> Vec<Outcome> {
        let mut retries = RetryPolicy::RECONNECT.start("taking requests");
        loop {
            match intake::take(&self.context, messages).await {
                Ok(outcomes) => return outcomes,
                Err(error) => {
                    retries.wait_after(&error).await;
                }
            }
        }
    }

    /// Takes a step; tells what that took of the mover's time.
    async fn take_step(&self, step: Step, used: &mut TimeUsed, span: &mut Span) -> Outcome {
        let mut retries = RetryPolicy::RECONNECT.start("taking a step").for_job(step.job_id.0);
        let is_on_chunks = matches!(step.step, StepKind::Cut | StepKind::Ticket);
        let (error, began) = loop {
            let waited = Instant::now();
            let permit = if is_on_chunks { self.host_activity.mover_permit().await } else { None };
            used.rested += waited.elapsed();
            let began = Instant::now();
            let mut rested = Duration::ZERO;
            let behind = |chunk_took| {
                let behind = self.behind(chunk_took, began);
                rested += behind.rest;
                behind
            };
            let (done, committed) = metrics::with_observations(dispatch(&self.context, step, behind)).await;
            let took = began.elapsed().saturating_sub(rested);
            used.rested += rested;
            let worked_on_chunks = step_log::chunks(step, &committed, took);
            match done {
                Ok(()) => {
                    if !worked_on_chunks {
                        step_log::step_done(step, &committed, took);
                    }
                    if is_on_chunks {
                        used.worked = took;
                    }
                    return Outcome::Done;
                }
                Err(error) if error.is_transient() => {
                    drop(permit);
                    retries.wait_after(&error).await;
                }
                Err(error) => break (error, began),
            }
        };
        if matches!(error.cause, Cause::Superseded) {
            step_log::step_superseded(step, began.elapsed());
            return Outcome::Done;
        }
        span.set_failed("step_failed");
        let (job, name) = (step.job_id, step.step.name());
        tracing::error!(%job, step = name, %error, "a step fails for good: its job needs attention");
        self.stop_job(step, &error).await
    }

    /// What is to come behind a chunk of a ticket that was begun then.
    fn behind(&self, chunk_took: Duration, began: Instant) -> AfterChunk {
        let goes_on = began.elapsed() < LONGEST_TICKET && !self.throttle.rests() && !self.stop.is_cancelled();
        let rest = self.host_activity.rest_after(chunk_took);
        if !rest.is_zero() {
            self.throttle.note(rest);
        }
        AfterChunk { goes_on, rest }
    }

    async fn stop_job(&self, step: Step, error: &Error) -> Outcome {
        let mut retries = RetryPolicy::RECONNECT.start("stopping a job").for_job(step.job_id.0);
        loop {
            let reason = reason::step_failed(step.step.routing_key(), &error.to_string());
            match failure::stop(&self.context, step.job_id, vec![reason]).await {
                Ok(()) => return Outcome::Done,
                Err(error) if error.is_transient() => {
                    retries.wait_after(&error).await;
                }
                Err(error) => {
                    return Outcome::DeadLetter(DeadLetterReason {
                        code: DeadLetterCode::Failed,
                        path: None,
                        detail: error.to_string(),
                        attempts: 1,
                    });
                }
            }
        }
    }

    async fn sweep(self) {
        let keeps_events = !self.broker.is_external();
        while !self.stop.is_cancelled() {
            let busy = metrics::busy(SWEEPER);
            let swept = async {
                sweeper::sweep(&self.context).await?;
                while sweeper::purge(&self.context, keeps_events).await? > 0 {}
                Ok::<(), Error>(())
            };
            if let Err(error) = swept.await {
                tracing::warn!(%error, "the sweeper could not look, and will again");
            }
            drop(busy);
            let _ = self.stop.run_until_cancelled(tokio::time::sleep(self.settings.sweep_every)).await;
        }
    }

    /// The next message, or none once the worker is told to stop.
    async fn next(&self, consumer: &mut Box<dyn Consumer>) -> Option<Incoming> {
        self.stop.run_until_cancelled(consumer.next()).await.flatten()
    }

    /// Parks a message, as often as it takes: only a confirm lets the original go.
    async fn dead_letter(&self, message: Outgoing) {
        let mut retries = RetryPolicy::RECONNECT.start("parking a message");
        let message = [message];
        while let Some(Err(error)) = self.broker.publish(&message).await.pop() {
            retries.wait_after(&error).await;
        }
    }

    /// Parks a message that cannot be taken. Its span ends here.
    async fn set_aside(&self, incoming: &Incoming, outcome: &Outcome, span: Option<Span>) {
        if let Outcome::DeadLetter(reason) = outcome {
            step_log::dead_lettered(incoming, reason.code.name());
            if let Some(mut span) = span {
                span.set_failed(reason.code.name());
            }
            self.dead_letter(dead_letter::dead_letter(incoming, reason)).await;
            metrics::dead_lettered(reason.code.name());
        }
    }
}

/// What a step took of a mover's time.
#[derive(Default)]
struct TimeUsed {
    /// Work to rest from: what ends a job does not wait.
    worked: Duration,
    /// For its turn, and behind chunks.
    rested: Duration,
}

/// Acknowledges a message whose outcome is committed, or that is parked.
async fn acknowledge(incoming: Incoming) {
    if let Err(error) = incoming.receipt.ack().await {
        tracing::debug!(%error, "a message could not be acknowledged: it comes again, and changes nothing");
    }
}

fn tell_taken(incoming: &Incoming) {
    metrics::message_received(incoming.channel.name(), incoming.published);
}

/// Which stage takes which step: the steps' table of contents. Chunks that it works on are counted.
async fn dispatch(
    context: &Context,
    step: Step,
    behind: impl FnMut(Duration) -> AfterChunk + Send,
) -> crate::store::Result<()> {
    match step.step {
        StepKind::Start => scheduled::start_due(context, step.job_id).await,
        StepKind::Cut => cutter::cut(context, step.job_id).await,
        StepKind::Ticket => mover::run_ticket_while(context, step.job_id, behind).await,
        StepKind::Finalize => finalizer::finalize(context, step.job_id).await,
        StepKind::Recount => finalizer::recount(context, step.job_id).await,
    }
}
