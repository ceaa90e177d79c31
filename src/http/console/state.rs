//! The state of the console.

use std::sync::Arc;

use crate::http::api::Api;
use crate::http::settings::PublicUrl;

/// The state of the console.
#[derive(Clone)]
pub struct Console {
    /// The state of the API: its parts, its share of the connections, its rates.
    pub api: Arc<Api>,
    /// The URL under which browsers reach the server.
    pub public: Arc<PublicUrl>,
}
