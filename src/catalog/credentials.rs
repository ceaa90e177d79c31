//! Tables that look as if their rows gave access to anyone who knows them.

use super::guess::words_of;
use super::schema::Table;

/// Words in the name of such a table.
const OF_TABLES: [&str; 12] = [
    "session",
    "token",
    "secret",
    "credential",
    "password",
    "otp",
    "totp",
    "mfa",
    "apikey",
    "passkey",
    "webauthn",
    "oauth",
];

/// Names of columns that hold a secret.
const OF_COLUMNS: [&str; 11] = [
    "token",
    "access_token",
    "refresh_token",
    "token_hash",
    "secret",
    "client_secret",
    "password",
    "password_hash",
    "api_key",
    "private_key",
    "otp_secret",
];

/// Returns true if a table looks like credentials: sessions, tokens, keys.
pub fn looks_like_credentials(table: &Table) -> bool {
    let words = words_of(&table.name.name);
    let is_named =
        words.iter().any(|word| OF_TABLES.iter().any(|known| word.strip_suffix('s').unwrap_or(word) == *known));
    let is_key =
        words.windows(2).any(|pair| ["api", "access", "ssh"].contains(&pair[0].as_str()) && pair[1].starts_with("key"));
    is_named || is_key || table.columns.iter().any(|column| OF_COLUMNS.contains(&column.name.to_lowercase().as_str()))
}
