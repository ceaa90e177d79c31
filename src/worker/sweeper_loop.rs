//! The sweeper's loop.

use super::settings::Role;
use super::shared::Worker;
use crate::metrics;
use crate::stages::sweeper;
use crate::store::Result;

impl Worker {
    /// Sweeps at intervals until the worker stops.
    pub(super) async fn run_sweeper(self) {
        while !self.stop.is_cancelled() {
            let busy = metrics::busy(Role::Sweeper.label());
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "sweep failed; retrying at the next interval");
            }
            drop(busy);
            let _ = self.stop.run_until_cancelled(tokio::time::sleep(self.settings.sweep_every)).await;
        }
    }

    async fn sweep(&self) -> Result<()> {
        // Without a broker, the outbox is the only place where events can be read.
        let keeps_events = !self.broker.is_external();
        sweeper::sweep(&self.context).await?;
        while sweeper::purge(&self.context, keeps_events).await? > 0 {}
        Ok(())
    }
}
