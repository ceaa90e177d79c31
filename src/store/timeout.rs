//! Our own limit for calls of the database whose answer never comes.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};

use super::dialect::Capabilities;
use super::driver::Settings;

/// The time that a call of the database may take before we stop waiting for the answer.
///
/// A server ends a statement that takes too long, but it cannot notify us when the connection is dead: this limit is a
/// little longer than the server's. A database in our own process always answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallTimeout(Option<Duration>);

impl CallTimeout {
    /// Allows a statement's time, and the time to get a connection for it.
    pub(super) fn new(capabilities: &Capabilities, settings: &Settings) -> CallTimeout {
        let is_limited = capabilities.is_server && !settings.statement_timeout.is_zero();
        CallTimeout(is_limited.then(|| settings.statement_timeout + settings.acquire_timeout))
    }

    /// Waits for a call no longer than the limit. After that its outcome is unknown, and the connection is not used again.
    pub(super) async fn on<T>(self, call: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let Some(limit) = self.0 else { return call.await };
        let silent = |_| DbErr::Conn(RuntimeErr::Internal(format!("no answer within {limit:?}")));
        tokio::time::timeout(limit, call).await.map_err(silent)?
    }
}
