//! The state of the API, and what its process gives it.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::credentials::Credentials;
use super::rates::Rates;
use super::watcher::Watcher;
use crate::app::preview::Capacity;
use crate::broker::Broker;
use crate::http::settings::PublicUrl;
use crate::stages::Context;

/// Everything that a process which serves the API gives it.
pub struct Parts {
    /// The database and the catalogs.
    pub context: Context,
    /// The facts that only the process knows.
    pub surroundings: Arc<dyn Surroundings>,
    /// The capacity that estimates assume.
    pub capacity: Capacity,
    /// True if events leave by a broker.
    pub carries_events: bool,
    /// The connections to the database that the API may use at a time.
    pub connections: u32,
    /// The proxies that may say for whom they ask.
    pub trusted_proxies: Vec<IpAddr>,
    /// The URL under which browsers reach the server. Without one there is no console.
    pub public_url: Option<PublicUrl>,
    /// Cancelled when the process stops.
    pub draining: CancellationToken,
}

/// Facts that only the process which serves the API knows.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// Returns true if the host's own sessions are busy.
    async fn is_host_active(&self) -> bool;

    /// Opens the broker, or says why not.
    async fn broker(&self) -> Result<Arc<dyn Broker>, String>;
}

/// The state of the API.
pub struct Api {
    /// Everything that the process gives it.
    pub parts: Parts,
    /// The connections that calls may use.
    pub budget: Budget,
    /// The rates of credentials.
    pub rates: Rates,
    /// The jobs that are followed.
    pub watcher: Watcher,
    /// The tokens of open streams.
    pub credentials: Credentials,
    /// The OpenAPI document.
    pub document: Value,
}
