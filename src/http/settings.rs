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
    /// The URL under which browsers reach it, if the settings name one.
    #[serde(deserialize_with = "public_url")]
    pub public_url: Option<PublicUrl>,
}

impl ApiSettings {
    /// Returns the files for TLS; nothing without TLS.
    pub fn tls(&self) -> Option<TlsFiles> {
        let (certificate, key) = (self.tls_certificate.clone()?, self.tls_key.clone()?);
        Some(TlsFiles { certificate, key })
    }

    /// Returns the URL under which browsers reach the server: that of the settings, or the bound address if it is loopback.
    pub fn public_url_at(&self, bound: Option<SocketAddr>) -> Option<PublicUrl> {
        let of_loopback = || {
            let address = bound.or(self.listen).filter(|address| address.ip().is_loopback() && address.port() != 0)?;
            let scheme = if self.tls().is_some() { "https" } else { "http" };
            PublicUrl::read(&format!("{scheme}://{address}"))
        };
        self.public_url.clone().or_else(of_loopback)
    }

    /// Returns the names for which the server answers, besides its addresses.
    pub fn host_names(&self) -> Vec<String> {
        let public = self.public_url.as_ref().map(|url| url.host.clone());
        self.hosts.iter().cloned().chain(public).collect()
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

/// The URL under which browsers reach the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// The origin, as browsers write it: `https://handover.example`.
    pub origin: String,
    /// The name or address of the host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// True if the connection is encrypted.
    pub is_secure: bool,
}

impl PublicUrl {
    /// Reads a URL without a path. Without TLS its host must be loopback: a session must not cross a network in plain text.
    pub fn read(text: &str) -> Option<PublicUrl> {
        let url = url::Url::parse(text).ok()?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_bare = is_bare && url.username().is_empty() && url.password().is_none();
        let is_loopback = match url.host()? {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        };
        let is_secure = url.scheme() == "https";
        let is_allowed = is_bare && (is_secure || (url.scheme() == "http" && is_loopback));
        let port = url.port_or_known_default()?;
        let host = url.host_str()?.to_owned();
        is_allowed.then(|| PublicUrl { origin: url.origin().ascii_serialization(), host, port, is_secure })
    }
}

fn public_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PublicUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    PublicUrl::read(&text).map(Some).ok_or_else(|| {
        de::Error::custom("the public URL must be https://HOST without a path, or http:// with localhost or 127.0.0.1")
    })
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
