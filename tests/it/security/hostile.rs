//! Hostile and broken input, as tables: a row is what comes in, and the code and the words that it is answered with. Every
//! row goes through the public door, and after it nothing of the host has changed and good work is done as before.

mod catalogs;
mod commands;
mod configurations;
mod headers;
mod messages;
mod requests;
mod spreadsheets;
mod terminal;

use serde_json::{Value, json};

use crate::support::World;
use crate::support::world::keap_request;

/// Characters that must never reach a log or a terminal as they are.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The hidden characters of a text, apart from the ends of its lines.
fn hidden(text: &str) -> Vec<char> {
    text.chars().filter(|c| is_hidden(*c) && *c != '\n').collect()
}

/// The example's request with some of its fields replaced.
fn but(request_id: &str, fields: Value) -> Value {
    let mut request = keap_request(request_id);
    for (name, value) in fields.as_object().expect("fields") {
        request[name] = value.clone();
    }
    request
}

/// The worker goes on: a good request is done.
async fn goes_on(world: &World) {
    assert_eq!(world.hand_over(&keap_request("good")).await.state, "completed");
}

/// The start of a text, to name a row that is wrong.
fn shown(input: &[u8]) -> String {
    String::from_utf8_lossy(input).chars().take(200).flat_map(char::escape_debug).collect()
}

/// Everything to one user.
fn to(user: &str) -> Value {
    json!({ "user": user })
}
