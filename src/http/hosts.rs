//! The names under which a listener may be reached.
//!
//! A page that a browser loads from elsewhere can point its own name at our address (DNS rebinding), and its script would then read
//! from us. So a request must name a host that we know.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ends::Ends;
use super::problem::Problem;

/// The names that the settings list, besides loopback and the address that a connection arrived at.
pub type Hosts = Arc<[String]>;

/// Answers 421 to a request for another host.
pub async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let local = request.extensions().get::<Ends>().map(|ends| ends.local.ip());
    match is_known(&request, local, &hosts) {
        true => next.run(request).await,
        false => Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            "this server does not answer for the host of the request",
        )
        .hint("use the server's address, or list the host in `api.hosts` or `http.hosts`")
        .into_response(),
    }
}

fn is_known(request: &Request, local: Option<IpAddr>, hosts: &[String]) -> bool {
    let mut named = request.headers().get_all(HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        return false;
    }
    let header = first.map(|host| host.to_str().ok()?.parse::<Authority>().ok());
    match (request.uri().authority(), header) {
        // The host of an absolute URI counts, RFC 9112 section 3.2.2.
        (Some(authority), _) => is_listed(authority.host(), local, hosts),
        (None, Some(Some(authority))) => is_listed(authority.host(), local, hosts),
        (None, Some(None)) => false,
        // Before HTTP/1.1 there was no `Host`. No browser sends such a request.
        (None, None) => request.version() < Version::HTTP_11,
    }
}

/// True for loopback, for the address of the connection, and for the names of the settings.
fn is_listed(host: &str, local: Option<IpAddr>, hosts: &[String]) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        // A name can be pointed at another address, an address cannot.
        let address = address.to_canonical();
        return address.is_loopback() || local.is_some_and(|local| local.to_canonical() == address);
    }
    let name = host.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_hosts_are_listed() {
        let hosts = ["handover.example".to_owned()];
        let local = Some("10.1.2.3".parse().expect("an address"));
        for known in [
            "localhost",
            "LOCALHOST.",
            "127.0.0.1",
            "127.8.9.1",
            "[::1]",
            "10.1.2.3",
            "Handover.Example",
            "[::ffff:10.1.2.3]",
        ] {
            assert!(is_listed(known, local, &hosts), "{known}");
        }
        for unknown in
            ["evil.example", "10.1.2.4", "localhost.evil.example", "handover.example.evil", "", "0.0.0.0", "[::]"]
        {
            assert!(!is_listed(unknown, local, &hosts), "{unknown}");
        }
    }
}
