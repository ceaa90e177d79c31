//! The parts of a worker that the server reports on.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::store::Store;

/// The parts of a worker that the server reports on.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// Cancelled when the worker stops taking messages.
    pub draining: CancellationToken,
}
