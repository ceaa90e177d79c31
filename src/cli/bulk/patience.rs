//! Waiting for a database that went away while rows are under way: those that were sent go on without us.

use anyhow::Result;

use crate::retry::RetryPolicy;
use crate::store::Error;

/// Tries until the database is there and has no other objection than that. Nothing is written in an attempt.
pub async fn patiently<T>(what: &'static str, attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut retries = RetryPolicy::RECONNECT.start(what);
    let mut is_told = false;
    loop {
        match attempt().await {
            Err(error) if error.downcast_ref::<Error>().is_some_and(Error::is_transient) => {
                if !std::mem::replace(&mut is_told, true) {
                    eprintln!("{what}: {error:#}. Waiting for the database, and going on then.");
                }
                retries.wait_after(&error).await;
            }
            done => return done,
        }
    }
}
