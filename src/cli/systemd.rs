//! Notifies systemd about the state of a worker (`Type=notify`). Without systemd it does nothing.

use sd_notify::NotifyState;

/// Reports that the worker is ready, waits for the shutdown, and reports it. A task reports that the process is alive, so
/// that a blocked runtime reports nothing.
pub async fn until(shutdown: impl Future<Output = ()>) {
    notify(NotifyState::Ready);
    if let Some(interval) = sd_notify::watchdog_enabled() {
        // Not awaited: the process is also alive while it drains.
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(interval / 2);
            loop {
                ticks.tick().await;
                notify(NotifyState::Watchdog);
            }
        });
    }
    shutdown.await;
    notify(NotifyState::Stopping);
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd could not be notified");
    }
}
