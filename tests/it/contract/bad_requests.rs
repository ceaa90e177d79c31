//! Unreadable messages are dead-lettered with their reason; unpermitted requests are rejected with all reasons at
//! once.
//! Neither changes anything, and the worker continues.

mod database_refusals;
mod rejected;
mod repeated;
mod routing_keys;
mod unreadable;
mod wrong_messages;

use serde_json::Value;

use crate::support::world::keap_request;

/// Returns the example's request with one field changed or, by null, removed.
fn changed(request_id: &str, field: &str, value: Value) -> Value {
    let mut request = keap_request(request_id);
    match value {
        Value::Null => drop(request.as_object_mut().expect("an object").remove(field)),
        value => request[field] = value,
    }
    request
}

/// Returns the example's request with the allotment of one kind changed or, by null, removed.
fn allotting(request_id: &str, kind: &str, allotment: Value) -> Value {
    let mut request = keap_request(request_id);
    match allotment {
        Value::Null => drop(request["reassign"].as_object_mut().expect("an object").remove(kind)),
        allotment => request["reassign"][kind] = allotment,
    }
    request
}
