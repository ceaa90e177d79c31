//! The cookie that holds the secret of a session.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::app::sign_in::SESSION_LIFE;
use crate::http::settings::PublicUrl;

/// Returns the name of the cookie. Browsers send cookies of one host to all its ports, so on plain loopback the name has the port;
/// with TLS the prefix binds it to the host and to TLS (RFC 6265bis, section 4.1.3).
fn name(public: &PublicUrl) -> String {
    match public.is_secure {
        true => "__Host-handover".into(),
        false => format!("handover-{}", public.port),
    }
}

/// Returns the secret of the session, if the browser has one.
pub fn secret<'h>(headers: &'h HeaderMap, public: &PublicUrl) -> Option<&'h str> {
    let name = name(public);
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Returns the header that stores a secret in the browser.
pub fn store(public: &PublicUrl, secret: &str) -> Option<HeaderValue> {
    written(public, secret, SESSION_LIFE.whole_seconds())
}

/// Returns the header that removes the secret from the browser.
pub fn clear(public: &PublicUrl) -> Option<HeaderValue> {
    written(public, "", 0)
}

fn written(public: &PublicUrl, value: &str, seconds: i64) -> Option<HeaderValue> {
    let secure = if public.is_secure { "; Secure" } else { "" };
    let name = name(public);
    HeaderValue::try_from(format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")).ok()
}
