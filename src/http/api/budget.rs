//! The connections to the database that calls may use at a time, by purpose. A purpose whose connections are all in use answers 503: a
//! thousand readers must not keep a mover from its connection, nor other requests a lock-out.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::contract::Request;
use crate::http::problem::{Problem, Result};

/// The time for which a call waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// The connection that only lock-outs use. They use those of requests too.
const FOR_LOCK_OUTS: u32 = 1;

/// The connection that only authentication uses, each time for a moment. It uses those of reading too.
const FOR_AUTHENTICATION: u32 = 1;

/// The connections of the looks at followed jobs and at the tokens of streams.
const FOR_FOLLOWING: u32 = 2;

/// The connections of single purposes.
const RESERVED: u32 = FOR_LOCK_OUTS + FOR_AUTHENTICATION + FOR_FOLLOWING;

/// The most files that arrive at a time. Each is held in memory.
const MOST_UPLOADS: usize = 4;

/// The most files that are judged at a time. That takes longer than other calls.
const MOST_JUDGED: usize = 1;

/// The fewest connections with which the API can work: the reserved ones, one to read with and one for requests.
pub const FEWEST_CONNECTIONS: u32 = RESERVED + 2;

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Finding out whose a token is.
    Authentication,
    /// Reading.
    Read,
    /// Taking a request or a command.
    Request,
    /// Taking a request that ends somebody's access at once.
    LockOut,
}

impl Purpose {
    /// Returns the purpose of taking a request.
    pub fn of(request: &Request) -> Purpose {
        match request {
            Request::Handover(handover) if handover.lock_out => Purpose::LockOut,
            Request::Handover(_) | Request::User(_) | Request::Invite(_) | Request::Job(_) => Purpose::Request,
        }
    }
}

/// The connections that calls may use.
pub struct Budget {
    authentication: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    lock_outs: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    judged: Arc<Semaphore>,
}

/// The right to use one connection, or to send or judge one file.
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// Divides up the connections of the API: of those that are not reserved, two fifths are for requests and the others for reading.
    pub fn of(connections: u32) -> Budget {
        let shared = connections.saturating_sub(RESERVED);
        let requests = (shared * 2 / 5).max(1);
        let permits = |connections: u32| Arc::new(Semaphore::new(connections.max(1) as usize));
        Budget {
            authentication: permits(FOR_AUTHENTICATION),
            reads: permits(shared.saturating_sub(requests)),
            requests: permits(requests),
            lock_outs: permits(FOR_LOCK_OUTS),
            uploads: Arc::new(Semaphore::new(MOST_UPLOADS)),
            judged: Arc::new(Semaphore::new(MOST_JUDGED)),
        }
    }

    /// Waits for a connection to read with.
    pub async fn read(&self) -> Result<Turn> {
        self.turn(Purpose::Read).await
    }

    /// Waits for a connection to take a request with. Reading never uses these.
    pub async fn write(&self) -> Result<Turn> {
        self.turn(Purpose::Request).await
    }

    /// Waits for a connection.
    pub async fn turn(&self, purpose: Purpose) -> Result<Turn> {
        let acquired = async {
            match purpose {
                Purpose::Authentication => tokio::select! {
                    permit = self.reads.clone().acquire_owned() => permit,
                    permit = self.authentication.clone().acquire_owned() => permit,
                },
                Purpose::Read => self.reads.clone().acquire_owned().await,
                Purpose::Request => self.requests.clone().acquire_owned().await,
                Purpose::LockOut => tokio::select! {
                    permit = self.requests.clone().acquire_owned() => permit,
                    permit = self.lock_outs.clone().acquire_owned() => permit,
                },
            }
        };
        patiently(acquired, "too many calls use the database").await
    }

    /// Waits for the room for a file that arrives.
    pub async fn upload(&self) -> Result<Turn> {
        patiently(self.uploads.clone().acquire_owned(), "other files are being uploaded").await
    }

    /// Waits for the turn to judge a file, with one of the connections of requests.
    pub async fn judging(&self) -> Result<[Turn; 2]> {
        let first = patiently(self.judged.clone().acquire_owned(), "other files are being judged").await?;
        Ok([first, self.write().await?])
    }
}

async fn patiently(
    acquired: impl Future<Output = std::result::Result<OwnedSemaphorePermit, AcquireError>>,
    taken: &str,
) -> Result<Turn> {
    match tokio::time::timeout(PATIENCE, acquired).await {
        Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
        Ok(Err(_)) | Err(_) => Err(busy(taken)),
    }
}

/// Returns the problem of a call that may succeed in a moment.
pub fn busy(why: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", why).hint("send the same request again").retry_after(1)
}
