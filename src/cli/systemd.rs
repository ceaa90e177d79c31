//! What systemd is told of a worker that it has started (`Type=notify`). Elsewhere nobody listens, and nothing is said.

use sd_notify::NotifyState;

/// Waits for the end of a worker that takes messages from now on, and tells both. The one who is told that the process
/// lives hears it from a task: a runtime that hangs says nothing.
pub async fn until(shutdown: impl Future<Output = ()>) {
    tell(NotifyState::Ready);
    if let Some(patience) = sd_notify::watchdog_enabled() {
        // Not awaited: draining is life too.
        tokio::spawn(async move {
            let mut beats = tokio::time::interval(patience / 2);
            loop {
                beats.tick().await;
                tell(NotifyState::Watchdog);
            }
        });
    }
    shutdown.await;
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
