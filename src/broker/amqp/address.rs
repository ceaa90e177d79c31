//! The addresses in `broker.url`.

use std::collections::BTreeSet;

use lapin::uri::AMQPUri;

use super::settings::AmqpSettings;
use crate::broker::error::BrokerError;

/// Parses the addresses of the settings: one, or those of a cluster's nodes with commas between them. A password may hold a
/// comma, so only a comma before another scheme separates.
pub(super) fn addresses(settings: &AmqpSettings) -> Result<Vec<AMQPUri>, BrokerError> {
    let url = settings.url.replace(", amqp", ",amqp").replace(",amqp", "\namqp");
    url.lines().map(|url| address(url.trim(), settings)).collect()
}

/// Formats an address without its credentials.
pub(super) fn shown(uri: &AMQPUri) -> String {
    let vhost = if uri.vhost == "/" { String::new() } else { format!("/{}", uri.vhost) };
    format!("{}://{}:{}{vhost}", uri.scheme, uri.authority.host, uri.authority.port)
}

/// Formats the addresses of the settings without their credentials.
pub fn label(settings: &AmqpSettings) -> String {
    let shown = |addresses: Vec<AMQPUri>| addresses.iter().map(shown).collect::<Vec<_>>().join(", ");
    addresses(settings).map_or_else(|_| "an invalid address".into(), shown)
}

/// Returns our account: that of the first address.
pub(super) fn account(settings: &AmqpSettings) -> Result<String, BrokerError> {
    let first = addresses(settings)?.into_iter().next();
    Ok(first.map(|uri| uri.authority.userinfo.username).unwrap_or_default())
}

/// Returns why the principals of the settings cannot work.
pub fn principals_fault(settings: &AmqpSettings) -> Option<String> {
    // A faulty address is reported when it is used.
    let addresses = addresses(settings).ok().filter(|_| !settings.principals.is_empty())?;
    let accounts: BTreeSet<&str> = addresses.iter().map(|uri| uri.authority.userinfo.username.as_str()).collect();
    if accounts.len() > 1 {
        return Some("with `broker.principals`, all addresses of `broker.url` must have one user name".into());
    }
    let own = accounts.into_iter().find(|account| settings.principals.contains_key(*account))?;
    Some(format!("`broker.principals` lists `{own}`, the user of `broker.url`: give the worker a user of its own"))
}

/// Parses one address and adds the heartbeat. No error repeats the URL, since it holds a password.
fn address(text: &str, settings: &AmqpSettings) -> Result<AMQPUri, BrokerError> {
    let invalid = |cause: &dyn std::fmt::Display| {
        BrokerError::Configuration(format!(
            "`broker.url` is not an address of the form amqp://user:password@host:port/virtual-host: {cause}"
        ))
    };
    let url = url::Url::parse(text).map_err(|error| invalid(&error))?;
    let mut uri: AMQPUri = match url.scheme() {
        "amqp" | "amqps" if url.has_host() => text.parse().map_err(|_| invalid(&"it cannot be parsed"))?,
        _ => return Err(invalid(&"the scheme must be amqp or amqps, followed by a host")),
    };
    // lapin takes an IPv6 address for `localhost`.
    if let Some(url::Host::Ipv6(host)) = url.host() {
        uri.authority.host = host.to_string();
    }
    if uri.vhost.is_empty() {
        uri.vhost = "/".into();
    }
    let heartbeat = u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1);
    uri.query.heartbeat.get_or_insert(heartbeat);
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<AMQPUri, BrokerError> {
        address(url, &AmqpSettings::new(url, "handover"))
    }

    #[test]
    fn addresses_are_comma_separated_and_passwords_may_hold_commas() {
        let url = "amqp://me:se,cret@a:1/x,amqps://me:secret@b/x, amqp://c";
        let parsed = addresses(&AmqpSettings::new(url, "handover")).expect("addresses");
        let shown: Vec<String> = parsed.iter().map(shown).collect();
        assert_eq!(shown, ["amqp://a:1/x", "amqps://b:5671/x", "amqp://c:5672"]);
        assert_eq!(parsed[0].authority.userinfo.password, "se,cret");
        let error = addresses(&AmqpSettings::new("amqp://a,amqp:secret", "handover")).expect_err("a fault").to_string();
        assert!(error.contains("broker.url") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn shown_addresses_have_no_credentials() {
        let uri = parsed("amqps://user:secret@mq.example.org/staging?heartbeat=5").expect("an address");
        assert_eq!(shown(&uri), "amqps://mq.example.org:5671/staging");
        assert_eq!(uri.query.heartbeat, Some(5));
        assert_eq!(shown(&parsed("amqp://user:secret@[::1]:5673/").expect("an address")), "amqp://::1:5673");
        assert_eq!(parsed("amqp://host").expect("an address").vhost, "/");
    }

    #[test]
    fn address_errors_hide_the_password() {
        for url in ["user:secret", "http://user:secret@host", "amqp:secret", "amqp://user:secret@host:port", "secret"] {
            let error = parsed(url).expect_err(url).to_string();
            assert!(error.contains("broker.url") && !error.contains("secret"), "{error}");
        }
    }
}
