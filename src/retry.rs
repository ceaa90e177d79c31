//! Trying again: every reconnect and every retry of the house goes through here.
//!
//! The only file that names the `backoff` crate (it is unmaintained, RUSTSEC-2025-0012): to replace it is to change
//! this file. The caller says which errors are transient; this file says how long to wait, with jitter, and how often.
//!
//! Nothing here knows of shutting down. Both futures may be dropped at any time, so a caller wraps them:
//! `shutdown.run_until_cancelled(retry::until_ok(…))`.

use std::fmt::Display;
use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

/// A retry whose pause is at least this long is worth a warning; a shorter one is a blip, told at debug level.
const WORTH_A_WARNING: Duration = Duration::from_secs(1);

/// How long to wait between attempts, and how many attempts to make. Pauses double from the first to the longest,
/// each of them spread by half either way, so that those who failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
    attempts: Option<u32>,
}

impl Pauses {
    /// For a server that is away: endless, from a tenth of a second to five seconds.
    pub const RECONNECT: Pauses = Pauses::endless(Duration::from_millis(100), Duration::from_secs(5));

    /// For a transaction that lost a race (deadlock, serialization, lock time-out): eight attempts, within seconds.
    pub const TRANSACTION: Pauses = Pauses::at_most(8, Duration::from_millis(10), Duration::from_secs(1));

    /// Pauses without end: the caller goes on until it works, or until it is dropped.
    pub const fn endless(first: Duration, longest: Duration) -> Pauses {
        Pauses { first, longest, attempts: None }
    }

    /// Pauses between a bounded number of attempts, the first one included.
    pub const fn at_most(attempts: u32, first: Duration, longest: Duration) -> Pauses {
        Pauses { first, longest, attempts: Some(attempts) }
    }

    /// Starts counting: `what` names the thing attempted in the log ("connecting to RabbitMQ").
    pub fn start(self, what: &'static str) -> Retries {
        Retries { what, schedule: self.schedule(), pauses: self, failures: 0 }
    }

    fn schedule(self) -> ExponentialBackoff {
        ExponentialBackoffBuilder::new()
            .with_initial_interval(self.first)
            .with_max_interval(self.longest)
            .with_multiplier(2.0)
            .with_randomization_factor(0.5)
            .with_max_elapsed_time(None)
            .build()
    }
}

/// Calls `attempt` until it succeeds, fails with an error that is not transient, or has used up its attempts; then the
/// last error is returned. Each retry is logged once.
pub async fn until_ok<T, E, F>(
    what: &'static str,
    pauses: Pauses,
    is_transient: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let mut retries = pauses.start(what);
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !is_transient(&error) || !retries.after(&error).await {
            return Err(error);
        }
    }
}

/// The retries of one thing, for a loop that is more than a call: a supervisor, a consumer.
#[derive(Debug)]
pub struct Retries {
    what: &'static str,
    pauses: Pauses,
    schedule: ExponentialBackoff,
    failures: u32,
}

impl Retries {
    /// Logs the failure, then waits; `false` at once if no attempt is left.
    pub fn after(&mut self, error: &dyn Display) -> impl Future<Output = bool> + Send + use<> {
        let pause = self.next_pause();
        if let Some(pause) = pause {
            self.tell(error, pause);
        }
        async move {
            let Some(pause) = pause else {
                return false;
            };
            tokio::time::sleep(pause).await;
            true
        }
    }

    /// It worked: the next failure starts again with the first pause.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.schedule.reset();
    }

    /// It worked for that long. Only what lasted longer than the longest pause counts as a success: something that
    /// comes and goes must not be tried ever faster.
    pub fn reset_if_lasted(&mut self, lasted: Duration) {
        if lasted > self.pauses.longest {
            self.reset();
        }
    }

    fn tell(&self, error: &dyn Display, pause: Duration) {
        let (what, attempt, pause_ms) = (self.what, self.failures, pause.as_millis() as u64);
        if pause < WORTH_A_WARNING {
            tracing::debug!(what, attempt, pause_ms, %error, "failed, trying again");
        } else {
            tracing::warn!(what, attempt, pause_ms, %error, "failed, trying again");
        }
    }

    fn next_pause(&mut self) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if self.pauses.attempts.is_some_and(|attempts| self.failures >= attempts) {
            return None;
        }
        self.schedule.next_backoff()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(pauses: Pauses, count: usize) -> Vec<Option<Duration>> {
        let mut retries = pauses.start("a test");
        (0..count).map(|_| retries.next_pause()).collect()
    }

    #[test]
    fn pauses_grow_to_the_longest_within_their_jitter_and_never_end() {
        for (n, pause) in pauses(Pauses::RECONNECT, 50).into_iter().enumerate() {
            let middle = Pauses::RECONNECT.longest.min(Pauses::RECONNECT.first * 2u32.pow(n.min(10) as u32));
            let pause = pause.expect("endless");
            assert!(pause >= middle / 2 && pause <= middle * 3 / 2, "pause {n} was {pause:?}");
        }
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_the_last_error_is_returned() {
        let mut attempts = 0;
        let brief = Pauses::at_most(3, Duration::from_millis(1), Duration::from_millis(2));
        let result: Result<(), u32> = until_ok(
            "a test",
            brief,
            |_| true,
            || {
                attempts += 1;
                std::future::ready(Err(attempts))
            },
        )
        .await;
        assert_eq!(result, Err(3));
    }

    #[tokio::test]
    async fn an_error_that_is_not_transient_is_returned_at_once() {
        let mut attempts = 0;
        let result: Result<(), &str> = until_ok(
            "a test",
            Pauses::RECONNECT,
            |_| false,
            || {
                attempts += 1;
                std::future::ready(Err("syntax error"))
            },
        )
        .await;
        assert_eq!((result, attempts), (Err("syntax error"), 1));
    }

    #[test]
    fn after_a_success_that_lasted_pauses_start_small_again() {
        let mut retries = Pauses::RECONNECT.start("a test");
        for _ in 0..20 {
            retries.next_pause();
        }
        retries.reset_if_lasted(Duration::from_secs(1));
        assert!(retries.next_pause().expect("endless") > Duration::from_secs(1));
        retries.reset_if_lasted(Duration::from_secs(60));
        assert!(retries.next_pause().expect("endless") < Duration::from_secs(1));
    }
}
