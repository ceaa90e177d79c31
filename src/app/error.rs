//! The errors of use cases.

use crate::broker::BrokerError;
use crate::contract::InvalidRequest;
use crate::store;

/// The result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The request is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// A stored or computed value cannot be read or written as JSON.
    #[error("{what} is not valid JSON: {error}")]
    Json {
        /// The value.
        what: &'static str,
        /// The cause.
        error: serde_json::Error,
    },
}

impl Error {
    /// Returns an error constructor for a value that is not valid JSON.
    pub(super) fn json(what: &'static str) -> impl Fn(serde_json::Error) -> Error {
        move |error| Error::Json { what, error }
    }

    /// Returns true if the same call may succeed later: the database is unavailable.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Store(error) => error.is_transient(),
            Error::Broker(_) | Error::Invalid(_) | Error::Json { .. } => false,
        }
    }
}
