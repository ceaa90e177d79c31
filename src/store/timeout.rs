//! The time timeout of our own: for an answer that never comes.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};

use super::connect::Settings;
use crate::catalog::Engine;

/// How long a call of the database may take before we give up on the answer. PostgreSQL ends a statement that takes too
/// long, but it cannot tell us so where the line is dead or the server's machine is gone: this timeout is a little longer than
/// its own. SQLite is in our own process, and answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallTimeout(Option<Duration>);

impl CallTimeout {
    /// A statement's time, and that which it may take to get a connection for it.
    pub(super) fn new(engine: Engine, settings: &Settings) -> CallTimeout {
        let is_limited = engine == Engine::Postgres && !settings.statement_timeout.is_zero();
        CallTimeout(is_limited.then(|| settings.statement_timeout + settings.acquire_timeout))
    }

    /// Waits for a call no longer than the timeout. Whether it was done nobody knows then: the connection is not used again.
    pub(super) async fn on<T>(self, call: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let Some(timeout) = self.0 else { return call.await };
        let silent = |_| DbErr::Conn(RuntimeErr::Internal(format!("no answer within {timeout:?}")));
        tokio::time::timeout(timeout, call).await.map_err(silent)?
    }
}
