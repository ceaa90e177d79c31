//! The errors of use cases.

use crate::broker::BrokerError;
use crate::catalog::Faults;
use crate::contract::InvalidRequest;
use crate::store;

/// The result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be opened.
    #[error(transparent)]
    DatabaseUnavailable(#[from] DatabaseUnavailable),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The ledger is missing or has another version; the text says what to do.
    #[error("{0}")]
    Ledger(String),
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The catalog cannot be read.
    #[error("the catalog {name} cannot be read: name a file, or an embedded catalog ({embedded})")]
    CatalogUnreadable {
        /// The name or path.
        name: String,
        /// The names of the embedded catalogs.
        embedded: String,
        /// The cause.
        #[source]
        error: std::io::Error,
    },
    /// The catalog does not fit the database.
    #[error(transparent)]
    CatalogFaults(#[from] Faults),
    /// The request is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The catalog isolates organizations, and the caller named none.
    #[error("the catalog sees one organization at a time: name it")]
    OrgRequired,
    /// A stored or computed value cannot be read or written as JSON.
    #[error("{what} is not valid JSON: {error}")]
    Json {
        /// The value.
        what: &'static str,
        /// The cause.
        error: serde_json::Error,
    },
}

/// The database cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{found}: {hint}")]
pub struct DatabaseUnavailable {
    /// The cause.
    pub found: String,
    /// The hint how to fix it.
    pub hint: &'static str,
}

impl Error {
    /// Returns an error constructor for a value that is not valid JSON.
    pub(super) fn json(what: &'static str) -> impl Fn(serde_json::Error) -> Error {
        move |error| Error::Json { what, error }
    }

    /// Returns true if the same call may succeed later: the database is unavailable or busy.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Store(error) => error.is_transient(),
            Error::DatabaseUnavailable(_)
            | Error::Ledger(_)
            | Error::Broker(_)
            | Error::CatalogUnreadable { .. }
            | Error::CatalogFaults(_)
            | Error::Invalid(_)
            | Error::OrgRequired
            | Error::Json { .. } => false,
        }
    }
}
