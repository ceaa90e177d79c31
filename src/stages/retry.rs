//! Repeats a transaction that failed for a transient reason.

use crate::retry::Retries;
use crate::store::{Error, Result};

/// Repeats a call until it succeeds, or fails for a reason that waiting does not fix.
pub async fn until_permanent<T, F: Future<Output = Result<T>>>(
    mut retries: Retries,
    call: impl Fn() -> F,
) -> Result<T> {
    loop {
        match call().await {
            Err(error) if is_worth_a_retry(&error) => retries.wait_after(&error).await,
            result => return result,
        }
    }
}

/// Returns true for a lost connection, a deadlock, and a row that another transaction changed first.
fn is_worth_a_retry(error: &Error) -> bool {
    error.is_transient() || error.is_superseded()
}
