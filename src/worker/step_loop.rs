//! The loop of the mover, which also cuts and finalizes: one step at a time.

use std::time::{Duration, Instant};

use super::settings::Role;
use super::shared::{Worker, acknowledge, count_received};
use super::{spans, step_log};
use crate::broker::Consumer;
use crate::contract::{DeadLetterCode, Fault};
use crate::job::{Step, StepKind};
use crate::metrics;
use crate::retry::RetryPolicy;
use crate::stages::handover::mover::AfterChunk;
use crate::stages::handover::{cutter, failure, finalizer, mover, scheduled};
use crate::stages::{Attempts, Context, DeadLetterReason, Outcome};
use crate::store::{Error, Result};
use crate::trace::Span;

/// The time that a mover works on one ticket. Messages of other jobs wait on the queue no longer than this.
const MAX_TICKET_TIME: Duration = Duration::from_millis(200);

/// The time that a step used.
#[derive(Default)]
struct TimeUsed {
    /// Work on chunks, to rest from. Other steps need no rest.
    worked: Duration,
    /// Rests after chunks, and waiting for a permit.
    rested: Duration,
}

impl Worker {
    /// Works on steps until the worker stops.
    pub(super) async fn run_steps(self, mut consumer: Box<dyn Consumer>) {
        while let Some(incoming) = self.receive(&mut consumer).await {
            let mut busy = metrics::busy(Role::Mover.label());
            count_received(&incoming);
            let step = serde_json::from_slice::<Step>(&incoming.body);
            let mut span = spans::of_step(self.broker.as_ref(), &incoming, step.as_ref().ok());
            let mut used = TimeUsed::default();
            let outcome = match step {
                Ok(step) => self.take_step(step, &mut used, &mut span).await,
                Err(error) => dead_letter(
                    DeadLetterCode::NotAStep,
                    &error,
                    "only Handover publishes steps: drop the message with `handover dead drop`",
                ),
            };
            self.dead_letter_if_refused(&incoming, &outcome, span).await;
            acknowledge(incoming).await;
            busy.exclude(used.rested);
            drop(busy);
            self.throttle.rest(used.worked, &self.stop).await;
        }
        consumer.stop().await;
    }

    /// Takes a step. Repeats it within its budget of attempts at once; then it is put off, or its job needs attention.
    async fn take_step(&self, step: Step, used: &mut TimeUsed, span: &mut Span) -> Outcome {
        let mut retries = RetryPolicy::RECONNECT.start("taking a step").for_job(step.job_id.0);
        let mut attempts = Attempts::default();
        let error = loop {
            match self.attempt(step, used).await {
                Ok(()) => return Outcome::Done,
                Err((error, took)) if error.is_superseded() => {
                    step_log::superseded(step, took);
                    return Outcome::Done;
                }
                Err((error, took)) if attempts.may_repeat(error.class(), took) => retries.wait_after(&error).await,
                Err((error, _)) => break error,
            }
        };
        span.set_failed("step_failed");
        self.record_failure(step, &error).await
    }

    /// Tries a step once. An error comes with the time since the attempt began.
    async fn attempt(&self, step: Step, used: &mut TimeUsed) -> std::result::Result<(), (Error, Duration)> {
        let is_on_chunks = matches!(step.step, StepKind::Cut | StepKind::Ticket);
        let waited = Instant::now();
        let _permit = if is_on_chunks { self.host_activity.mover_permit().await } else { None };
        used.rested += waited.elapsed();
        let began = Instant::now();
        let mut rested = Duration::ZERO;
        let after_chunk = |chunk_took| {
            let after_chunk = self.after_chunk(chunk_took, began);
            rested += after_chunk.rest;
            after_chunk
        };
        let (result, committed) = metrics::with_observations(dispatch(&self.context, step, after_chunk)).await;
        let worked = began.elapsed().saturating_sub(rested);
        used.rested += rested;
        let worked_on_chunks = step_log::chunks(step, &committed, worked);
        result.map_err(|error| (error, began.elapsed()))?;
        if !worked_on_chunks {
            step_log::done(step, &committed, worked);
        }
        if is_on_chunks {
            used.worked = worked;
        }
        Ok(())
    }

    /// Decides whether a ticket continues after a chunk, and how long the mover rests first. The ticket's work `began` then.
    fn after_chunk(&self, chunk_took: Duration, began: Instant) -> AfterChunk {
        let goes_on = began.elapsed() < MAX_TICKET_TIME && !self.throttle.rests() && !self.stop.is_cancelled();
        let rest = self.host_activity.rest_after(chunk_took);
        if !rest.is_zero() {
            self.throttle.record_rest(rest);
        }
        AfterChunk { goes_on, rest }
    }

    /// Puts a failed step off, or stops its job.
    async fn record_failure(&self, step: Step, error: &Error) -> Outcome {
        let mut retries = RetryPolicy::RECONNECT.start("recording a failed step").for_job(step.job_id.0);
        loop {
            match failure::record_failed_step(&self.context, step, error).await {
                Ok(()) => return Outcome::Done,
                // Only our own transactions lock jobs, and for a moment.
                Err(error) if error.is_transient() || error.is_superseded() => retries.wait_after(&error).await,
                Err(error) => {
                    return dead_letter(
                        DeadLetterCode::Failed,
                        &error,
                        "fix the cause, then send it back with `handover dead replay`",
                    );
                }
            }
        }
    }
}

fn dead_letter(code: DeadLetterCode, error: &impl ToString, hint: &str) -> Outcome {
    Outcome::DeadLetter(DeadLetterReason::of(Fault::new(code, ".", error.to_string(), hint)))
}

/// Runs the stage for a step. `after_chunk` is called after each chunk of a ticket.
async fn dispatch(context: &Context, step: Step, after_chunk: impl FnMut(Duration) -> AfterChunk + Send) -> Result<()> {
    match step.step {
        StepKind::Start => scheduled::start_due(context, step.job_id).await,
        StepKind::Cut => cutter::cut(context, step.job_id).await,
        StepKind::Ticket => mover::run_ticket_while(context, step.job_id, after_chunk).await,
        StepKind::Finalize => finalizer::finalize(context, step.job_id).await,
        StepKind::Recount => finalizer::recount(context, step.job_id).await,
    }
}
