//! Hostile and broken input, as tables of inputs with the expected code and words.
//! Each input uses a public interface. Afterwards the host is unchanged and good requests still work.

mod catalogs;
mod commands;
mod configurations;
mod headers;
mod messages;
mod requests;
mod spreadsheets;
mod terminal;

use handover::job::State;
use serde_json::{Value, json};

use crate::support::World;
use crate::support::world::keap_request;

/// Returns true for characters that must never reach a log or terminal unescaped.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Returns the hidden characters of a text, except line ends.
fn hidden(text: &str) -> Vec<char> {
    text.chars().filter(|c| is_hidden(*c) && *c != '\n').collect()
}

/// Returns the example's request with some fields replaced.
fn but(request_id: &str, fields: Value) -> Value {
    let mut request = keap_request(request_id);
    for (name, value) in fields.as_object().expect("fields") {
        request[name] = value.clone();
    }
    request
}

/// Asserts that the worker continues: it completes a good request.
async fn assert_worker_continues(world: &World) {
    assert_eq!(world.hand_over(&keap_request("good")).await.state, State::Completed);
}

/// Returns the start of a text, to identify a failed row.
fn shown(input: &[u8]) -> String {
    String::from_utf8_lossy(input).chars().take(200).flat_map(char::escape_debug).collect()
}

/// Allots everything to one user.
fn to(user: &str) -> Value {
    json!({ "user": user })
}
