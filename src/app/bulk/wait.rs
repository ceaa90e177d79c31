//! Waits for a database that is unavailable while rows are being processed. Requests that were sent continue meanwhile.

use crate::app::error::{Error, Result};
use crate::retry::RetryPolicy;

/// An event that the caller may report while it waits.
#[derive(Debug)]
pub enum Notice<'e> {
    /// The database is unavailable; processing continues when it is back.
    DatabaseUnavailable {
        /// The current step.
        doing: &'static str,
        /// The cause.
        error: &'e Error,
    },
    /// No submitted row has ended yet: perhaps no worker runs.
    NoProgress,
}

/// Receives notices.
pub type Notify<'n> = &'n (dyn Fn(Notice<'_>) + Sync);

/// Repeats a read-only attempt while the database is unavailable. Notifies once.
pub async fn retry_while_unavailable<T>(
    doing: &'static str,
    notify: Notify<'_>,
    attempt: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    let mut retries = RetryPolicy::RECONNECT.start(doing);
    let mut is_notified = false;
    loop {
        match attempt().await {
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut is_notified, true) {
                    notify(Notice::DatabaseUnavailable { doing, error: &error });
                }
                retries.wait_after(&error).await;
            }
            done => return done,
        }
    }
}
