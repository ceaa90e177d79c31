//! Signals, and patience at the start, for processes that run until they are stopped.

use std::time::Instant;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::signals::Signals;
use crate::retry::RetryPolicy;

/// Runs a server until a signal stops it. A second signal ends it at once.
pub async fn until_stopped(server: impl AsyncFnOnce(CancellationToken) -> Result<Exit>) -> Result<Exit> {
    // Listen from the beginning: a signal during startup must stop the worker too.
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let signaled_twice = async {
        signals.next().await;
        stop.cancel();
        signals.next().await;
    };
    tokio::select! {
        exit = server(stop.clone()) => exit,
        // As after a crash: uncommitted work is rolled back, and unacknowledged messages are redelivered.
        () = signaled_twice => {
            tracing::warn!("second stop signal: unfinished work will be redelivered");
            Ok(Exit::Failed)
        }
    }
}

/// The time that a process waits at its start for its servers.
pub struct Patience {
    /// The end of that time.
    pub until: Instant,
}

impl Patience {
    /// Repeats an attempt until it succeeds, the time is over, or the worker is stopped.
    pub async fn wait_for<T>(
        &self,
        what: &'static str,
        stop: &CancellationToken,
        attempt: impl AsyncFn() -> Result<T>,
    ) -> Result<T> {
        let mut retries = RetryPolicy::RECONNECT.start(what);
        let mut is_reported = false;
        loop {
            let error = match attempt().await {
                Ok(opened) => return Ok(opened),
                Err(error) if Instant::now() >= self.until || stop.is_cancelled() => return Err(error),
                Err(error) => format!("{error:#}"),
            };
            if !std::mem::replace(&mut is_reported, true) {
                tracing::warn!(what, error, "not there yet; waiting");
            }
            tokio::select! {
                () = retries.wait_after(&error) => {}
                () = tokio::time::sleep_until(self.until.into()) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}
