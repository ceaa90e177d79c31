//! Requests that wait in a planner because other sessions block them. They stay unacknowledged, so that a crash loses none.

use std::time::Duration;

use tokio::time::Instant;

use crate::broker::Incoming;
use crate::metrics;
use crate::stages::{Limits, Outcome, pause_before_next};
use crate::store::FailureClass;

/// A request, and how often it was put off.
pub(super) struct Request {
    pub(super) incoming: Incoming,
    pub(super) deferrals: u32,
}

impl Request {
    /// Creates a request that has just arrived.
    pub(super) fn new(incoming: Incoming) -> Request {
        Request { incoming, deferrals: 0 }
    }
}

/// The decision on a request after an attempt.
pub(super) enum After {
    /// It is done, or a dead letter.
    Ended(Outcome),
    /// It is tried again after a pause.
    Again(Duration),
}

/// Decides on a request that was put off this many times before: a blocked one becomes a dead letter once its budget is used up.
pub(super) fn after(outcome: Outcome, deferrals: u32, limits: &Limits) -> After {
    match outcome {
        Outcome::Blocked(mut reason) => match pause_before_next(FailureClass::Contended, deferrals, limits) {
            Some(pause) => After::Again(pause),
            None => {
                reason.attempts = reason.attempts.saturating_add(deferrals);
                After::Ended(Outcome::DeadLetter(reason))
            }
        },
        Outcome::NotReached => After::Again(Duration::ZERO),
        outcome @ (Outcome::Done | Outcome::Answered(_) | Outcome::DeadLetter(_)) => After::Ended(outcome),
    }
}

/// The requests that wait, with the times when they are tried again.
#[derive(Default)]
pub(super) struct Waiting(Vec<(Instant, Request)>);

impl Waiting {
    /// Keeps a request until its pause is over. Without a pause it is next, and was not put off.
    pub(super) async fn put_off(&mut self, request: Request, pause: Duration) {
        let Request { incoming, deferrals } = request;
        if let Err(error) = incoming.receipt.keep().await {
            tracing::debug!(%error, "the message may be delivered twice, which changes nothing");
        }
        let is_blocked = !pause.is_zero();
        if is_blocked {
            metrics::retried("a blocked request");
            tracing::warn!(message_id = incoming.id, deferrals, pause_ms = pause.as_millis() as u64, "request put off");
        }
        let deferrals = deferrals + u32::from(is_blocked);
        self.0.push((Instant::now() + pause, Request { incoming, deferrals }));
    }

    /// Returns once a request is due; never if none waits. Cancel-safe.
    pub(super) async fn due(&self) {
        match self.0.iter().map(|(due, _)| *due).min() {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Takes up to `most` requests that are due, those first that have waited longest.
    pub(super) fn take_due(&mut self, most: usize) -> Vec<Request> {
        let now = Instant::now();
        self.0.sort_by_key(|(due, _)| *due);
        let count = self.0.iter().take(most).take_while(|(due, _)| *due <= now).count();
        self.0.drain(..count).map(|(_, request)| request).collect()
    }

    /// Gives every request back to the queue, for another worker.
    pub(super) async fn give_back(self) {
        for (_, Request { incoming, .. }) in self.0 {
            if let Err(error) = incoming.receipt.requeue().await {
                tracing::debug!(%error, "the message is redelivered anyway");
            }
        }
    }
}
