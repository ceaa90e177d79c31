//! The errors of use cases.

use crate::broker::BrokerError;
use crate::catalog::Faults;
use crate::contract::{InvalidRequest, OtherClaim};
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
    /// The host has no such organization.
    #[error("organization {org} does not exist here{}", others_exist(*.others))]
    UnknownOrganization {
        /// The organization.
        org: String,
        /// The number of organizations that exist, if the database shows it.
        others: Option<u64>,
    },
    /// The dead-letter queue has no message with these ids.
    #[error("there is no dead letter {}: `handover dead list` lists them all", .0.join(", "))]
    UnknownDeadLetters(Vec<String>),
    /// No dead letter can have such a reason.
    #[error("no dead letter has the reason {reason}: known reasons are {}", known.join(", "))]
    UnknownReason {
        /// The reason as given.
        reason: String,
        /// The known reasons.
        known: Vec<String>,
    },
    /// A body names another requester or organization than the credential.
    #[error("the request is of another {} than the credential", .0.name())]
    OtherPrincipal(OtherClaim),
    /// A file of rows cannot be read.
    #[error("{0}")]
    File(String),
    /// The uploader has many uploads.
    #[error("you have {0} uploads, which is the most: each is deleted seven days after it was uploaded")]
    TooManyUploads(usize),
    /// A token cannot be created.
    #[error("{what}: {hint}")]
    Token {
        /// The cause.
        what: String,
        /// The hint how to fix it.
        hint: &'static str,
    },
    /// The catalog has no example for the reference CRM.
    #[error("there is no example for the catalog {catalog}: set `catalog` to one of {with_example}")]
    NoExample {
        /// The catalog.
        catalog: String,
        /// The catalogs that have one.
        with_example: String,
    },
    /// The host has users, and an example needs an empty one.
    #[error("{0} has users already, and nothing was added: name an empty database")]
    HasUsers(String),
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
            | Error::UnknownOrganization { .. }
            | Error::UnknownDeadLetters(_)
            | Error::UnknownReason { .. }
            | Error::OtherPrincipal(_)
            | Error::File(_)
            | Error::TooManyUploads(_)
            | Error::Token { .. }
            | Error::NoExample { .. }
            | Error::HasUsers(_)
            | Error::Json { .. } => false,
        }
    }
}

/// Says how many other organizations exist.
fn others_exist(others: Option<u64>) -> String {
    match others {
        None => String::new(),
        Some(0) => ": no organization does".into(),
        Some(1) => ": 1 other organization does".into(),
        Some(others) => format!(": {others} other organizations do"),
    }
}
