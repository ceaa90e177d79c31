//! The `[http]` settings.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de};

/// The settings of the HTTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address; `None` starts no server.
    #[serde(deserialize_with = "address")]
    pub listen: Option<SocketAddr>,
}

/// Reads an address; an empty text is none.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        de::Error::custom(
            "`http.listen` must be an address and a port (127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464), or empty for no server",
        )
    })
}
