//! The share of the database's connections that the API may use at a time. A full share answers 503: a thousand readers must not keep a
//! mover or a lock-out from its connection.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::problem::{Problem, Result};

/// The time for which a call waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// The connections that calls may use.
pub struct Budget {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

/// The right to use one connection.
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// Divides up the connections of a process: three tenths for reading, two for requests, the rest is for the stages.
    pub fn of(connections: u32) -> Budget {
        let share = |tenths: u32| Arc::new(Semaphore::new((connections * tenths / 10).max(1) as usize));
        Budget { reads: share(3), writes: share(2) }
    }

    /// Waits for a connection to read with.
    pub async fn read(&self) -> Result<Turn> {
        turn(&self.reads).await
    }

    /// Waits for a connection to take a request with. Reading never uses these.
    pub async fn write(&self) -> Result<Turn> {
        turn(&self.writes).await
    }
}

async fn turn(share: &Arc<Semaphore>) -> Result<Turn> {
    match tokio::time::timeout(PATIENCE, share.clone().acquire_owned()).await {
        Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
        Ok(Err(_)) | Err(_) => Err(busy("too many calls use the database")),
    }
}

/// Returns the problem of a call that may succeed in a moment.
pub fn busy(why: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", why).hint("send the same request again").retry_after(1)
}
