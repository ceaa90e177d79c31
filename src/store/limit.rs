//! The time limit of our own: for an answer that never comes.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};

use super::connect::Settings;
use crate::catalog::Engine;

/// How long a call of the database may take before we give up on the answer. PostgreSQL ends a statement that takes too
/// long, but it cannot tell us so where the line is dead or the server's machine is gone: this limit is a little longer than
/// its own. SQLite is in our own process, and answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(Option<Duration>);

impl Limit {
    /// A statement's time, and that which it may take to get a connection for it.
    pub(super) fn new(engine: Engine, settings: &Settings) -> Limit {
        let is_limited = engine == Engine::Postgres && !settings.statement_timeout.is_zero();
        Limit(is_limited.then(|| settings.statement_timeout + settings.acquire_timeout))
    }

    /// Waits for a call no longer than the limit. Whether it was done nobody knows then: the connection is not used again.
    pub(super) async fn on<T>(self, call: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let Some(limit) = self.0 else { return call.await };
        let silent = |_| DbErr::Conn(RuntimeErr::Internal(format!("no answer within {limit:?}")));
        tokio::time::timeout(limit, call).await.map_err(silent)?
    }
}
