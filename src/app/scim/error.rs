//! The errors of a provider's calls.

use crate::app;
use crate::scim::Failure;
use crate::store;

/// The result of a provider's call.
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why a provider's call failed.
#[derive(Debug)]
pub enum Error {
    /// The request of the provider cannot be fulfilled: the answer says why.
    Failed(Failure),
    /// A use case or the database failed.
    App(app::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Failed(failure)
    }
}

impl From<app::Error> for Error {
    fn from(error: app::Error) -> Error {
        Error::App(error)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::App(error.into())
    }
}
