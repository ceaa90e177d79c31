//! The `[http]` and `[api]` settings.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};

use super::tls::TlsFiles;

/// The settings of the server for operators.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address; `None` starts no server.
    #[serde(deserialize_with = "address")]
    pub listen: Option<SocketAddr>,
    /// The names for which it answers, besides its addresses.
    #[serde(deserialize_with = "names")]
    pub hosts: Vec<String>,
}

/// The settings of the API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSettings {
    /// The address; `None` starts no server.
    #[serde(deserialize_with = "address")]
    pub listen: Option<SocketAddr>,
    /// The names for which it answers, besides its addresses.
    #[serde(deserialize_with = "names")]
    pub hosts: Vec<String>,
    /// The proxies that may say for whom they ask.
    #[serde(deserialize_with = "addresses")]
    pub trusted_proxies: Vec<IpAddr>,
    /// The file of the certificate for TLS.
    tls_certificate: Option<PathBuf>,
    /// The file of its key.
    tls_key: Option<PathBuf>,
}

impl ApiSettings {
    /// Returns the files for TLS; nothing without TLS.
    pub fn tls(&self) -> Option<TlsFiles> {
        let (certificate, key) = (self.tls_certificate.clone()?, self.tls_key.clone()?);
        Some(TlsFiles { certificate, key })
    }

    /// Returns why the address must not be served, if so.
    pub fn fault(&self) -> Option<String> {
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return Some("`api.tls_certificate` and `api.tls_key` belong together: set both, or neither".to_owned());
        }
        self.unprotected()
    }

    /// Returns a fault if requests would carry their tokens over the network without TLS.
    fn unprotected(&self) -> Option<String> {
        let address = self.listen.filter(|address| !address.ip().is_loopback())?;
        (self.tls().is_none() && self.trusted_proxies.is_empty()).then(|| {
            format!(
                "`api.listen` {address} can be reached from other machines without TLS: listen on 127.0.0.1, set \
                 `api.tls_certificate` and `api.tls_key`, or list the proxy that ends TLS in `api.trusted_proxies`"
            )
        })
    }
}

/// Reads an address; an empty text is none.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        de::Error::custom("an address to listen on must have a port (127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464), or be empty for no server")
    })
}

/// Returns the parts of a list that commas separate.
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// True if a text may be the name of a host, without a port.
pub fn is_host_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match listed(&text).all(is_host_name) {
        true => Ok(listed(&text).map(str::to_owned).collect()),
        false => Err(de::Error::custom("hosts must be names without ports, separated by commas")),
    }
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = listed(&text).map(str::parse).collect::<Result<_, _>>();
    parsed.map_err(|_| de::Error::custom("proxies must be IP addresses, separated by commas"))
}
