//! Requests that wait to be tried again.

use std::time::Duration;

use tokio::time::Instant;

use crate::broker::Incoming;
use crate::stages::{Limits, Outcome, pause_before_next};
use crate::store::FailureClass;

/// A request, and how often it was put off.
pub(super) struct Request {
    pub(super) incoming: Incoming,
    pub(super) deferrals: u32,
}

/// The decision on a request after an attempt.
pub(super) enum After {
    /// It is done, or a dead letter.
    Ended(Outcome),
    /// It is next.
    Next,
    /// It is blocked, and tried again after a pause.
    Blocked(Duration),
}

/// Decides on a request that was put off this many times before: a blocked one becomes a dead letter once its budget is used up.
pub(super) fn after(outcome: Outcome, deferrals: u32, limits: &Limits) -> After {
    match outcome {
        Outcome::Blocked(mut reason) => match pause_before_next(FailureClass::Contended, deferrals, limits) {
            Some(pause) => After::Blocked(pause),
            None => {
                reason.attempts = reason.attempts.saturating_add(deferrals);
                After::Ended(Outcome::DeadLetter(reason))
            }
        },
        Outcome::NotReached => After::Next,
        outcome @ (Outcome::Done | Outcome::Answered(_) | Outcome::DeadLetter(_) | Outcome::Outdated) => {
            After::Ended(outcome)
        }
    }
}

/// The requests that wait in a planner, with the times when they are tried: those that their group did not reach, and blocked ones that
/// could not be stored. They stay unacknowledged, so that a crash loses none.
#[derive(Default)]
pub(super) struct Waiting(Vec<(Instant, Request)>);

impl Waiting {
    /// Keeps a request until its pause is over. Without a pause it is next.
    pub(super) async fn keep(&mut self, request: Request, pause: Duration) {
        if let Err(error) = request.incoming.receipt.keep().await {
            tracing::debug!(%error, "the message may be delivered twice, which changes nothing");
        }
        self.0.push((Instant::now() + pause, request));
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
