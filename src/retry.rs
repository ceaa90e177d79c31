//! Retries: every reconnect and every retry uses this module.
//!
//! It is the only file that uses the `backoff` crate, which is unmaintained (RUSTSEC-2025-0012); replacing the crate changes
//! only this file. The caller decides which errors are transient; this file decides how long to wait, with jitter.
//!
//! Retries do not know about shutdown. A pause may be dropped at any time, so a caller wraps it:
//! `shutdown.run_until_cancelled(retries.wait_after(…))`.

use std::fmt::Display;
use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use uuid::Uuid;

use crate::metrics;

/// Retries with a pause of at least this are logged as warnings, shorter ones at debug level.
const WARN_FROM: Duration = Duration::from_secs(1);

/// The pauses between attempts. Their number is unlimited: the caller continues until it succeeds or is dropped. Pauses double
/// from the first to the longest, each with a jitter of 50 % either way, so that clients that failed together spread out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    first: Duration,
    longest: Duration,
}

impl RetryPolicy {
    /// The policy for a server that is unavailable or rejects us: from a tenth of a second to five seconds.
    pub const RECONNECT: RetryPolicy =
        RetryPolicy { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

    /// Starts counting. `what` names the operation in logs and metrics ("connecting to RabbitMQ").
    pub fn start(self, what: &'static str) -> Retries {
        Retries { what, schedule: self.schedule(), policy: self, failures: 0, job: None }
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

/// The retries of one operation.
#[derive(Debug)]
pub struct Retries {
    what: &'static str,
    policy: RetryPolicy,
    schedule: ExponentialBackoff,
    failures: u32,
    job: Option<Uuid>,
}

impl Retries {
    /// Adds the job to the log lines.
    pub fn for_job(self, job: Uuid) -> Retries {
        Retries { job: Some(job), ..self }
    }

    /// Logs and counts the failure, then waits.
    pub fn wait_after(&mut self, error: &dyn Display) -> impl Future<Output = ()> + Send + use<> {
        let pause = self.next_pause();
        metrics::retried(self.what);
        self.log(error, pause);
        tokio::time::sleep(pause)
    }

    /// Records a success: the next failure starts again with the first pause.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.schedule.reset();
    }

    /// Records a success of this duration. It counts only if it lasted longer than the longest pause, so that a connection that
    /// keeps breaking is not retried ever faster.
    pub fn reset_if_lasted(&mut self, lasted: Duration) {
        if lasted > self.policy.longest {
            self.reset();
        }
    }

    fn log(&self, error: &dyn Display, pause: Duration) {
        let (what, attempt, pause_ms) = (self.what, self.failures, pause.as_millis() as u64);
        let job = self.job.map(tracing::field::display);
        // Each line stands for as many failures as there were before, so that a long outage has few.
        if pause < WARN_FROM || !attempt.is_power_of_two() {
            tracing::debug!(what, job, attempt, pause_ms, %error, "failed; retrying");
        } else {
            tracing::warn!(what, job, attempt, pause_ms, %error, "failed; retrying");
        }
    }

    fn next_pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.schedule.next_backoff().unwrap_or(self.policy.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_with_jitter() {
        let mut retries = RetryPolicy::RECONNECT.start("a test");
        for n in 0..50 {
            let middle = RetryPolicy::RECONNECT.longest.min(RetryPolicy::RECONNECT.first * 2u32.pow(n.min(10)));
            let pause = retries.next_pause();
            assert!(pause >= middle / 2 && pause <= middle * 3 / 2, "pause {n} was {pause:?}");
        }
    }

    #[test]
    fn lasting_success_resets_pauses() {
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
