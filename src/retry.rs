//! Trying again: every reconnect and every retry of the house goes through here.
//!
//! The only file that names the `backoff` crate (it is unmaintained, RUSTSEC-2025-0012): to replace it is to change
//! this file. The caller says which errors are transient; this file says how long to wait, with jitter.
//!
//! Nothing here knows of shutting down. A pause may be dropped at any time, so a caller wraps it:
//! `shutdown.run_until_cancelled(retries.wait_after(…))`.

use std::fmt::Display;
use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use uuid::Uuid;

use crate::metrics;

/// A retry whose pause is at least this long is worth a warning; a shorter one is a blip, told at debug level.
const WORTH_A_WARNING: Duration = Duration::from_secs(1);

/// How long to wait between attempts, of which there is no end: the caller goes on until it works, or until it is dropped.
/// RetryPolicy double from the first to the longest, each of them spread by half either way, so that those who failed together
/// do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    first: Duration,
    longest: Duration,
}

impl RetryPolicy {
    /// For a server that is away, or turns us away: from a tenth of a second to five seconds.
    pub const RECONNECT: RetryPolicy =
        RetryPolicy { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

    /// Starts counting: `what` names the thing attempted in the log ("connecting to RabbitMQ").
    pub fn start(self, what: &'static str) -> Retries {
        Retries { what, schedule: self.schedule(), pauses: self, failures: 0, job: None }
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

/// The retries of one thing.
#[derive(Debug)]
pub struct Retries {
    what: &'static str,
    pauses: RetryPolicy,
    schedule: ExponentialBackoff,
    failures: u32,
    job: Option<Uuid>,
}

impl Retries {
    /// Names the job that it is tried for in the log, too.
    pub fn for_job(self, job: Uuid) -> Retries {
        Retries { job: Some(job), ..self }
    }

    /// Logs the failure, then waits.
    pub fn wait_after(&mut self, error: &dyn Display) -> impl Future<Output = ()> + Send + use<> {
        let pause = self.next_pause();
        metrics::retried(self.what);
        self.log(error, pause);
        tokio::time::sleep(pause)
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

    fn log(&self, error: &dyn Display, pause: Duration) {
        let (what, attempt, pause_ms) = (self.what, self.failures, pause.as_millis() as u64);
        let job = self.job.map(tracing::field::display);
        if pause < WORTH_A_WARNING {
            tracing::debug!(what, job, attempt, pause_ms, %error, "failed, trying again");
        } else {
            tracing::warn!(what, job, attempt, pause_ms, %error, "failed, trying again");
        }
    }

    fn next_pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.schedule.next_backoff().unwrap_or(self.pauses.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_within_their_jitter_and_never_end() {
        let mut retries = RetryPolicy::RECONNECT.start("a test");
        for n in 0..50 {
            let middle = RetryPolicy::RECONNECT.longest.min(RetryPolicy::RECONNECT.first * 2u32.pow(n.min(10)));
            let pause = retries.next_pause();
            assert!(pause >= middle / 2 && pause <= middle * 3 / 2, "pause {n} was {pause:?}");
        }
    }

    #[test]
    fn after_a_success_that_lasted_pauses_start_small_again() {
        let mut retries = RetryPolicy::RECONNECT.start("a test");
        for _ in 0..20 {
            retries.next_pause();
        }
        retries.reset_if_lasted(Duration::from_secs(1));
        assert!(retries.next_pause() > Duration::from_secs(1));
        retries.reset_if_lasted(Duration::from_secs(60));
        assert!(retries.next_pause() < Duration::from_secs(1));
    }
}
