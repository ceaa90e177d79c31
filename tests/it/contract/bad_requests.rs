//! What cannot be read is parked with its reason; what can be read and may not be done is rejected with all reasons at
//! once. Neither changes anything, and the worker goes on.

mod database_refusals;
mod rejected;
mod repeated;
mod unreadable;

use serde_json::Value;

use crate::support::world::keap_request;

/// The example's request with one field changed or, by null, taken away.
fn changed(request_id: &str, field: &str, value: Value) -> Value {
    let mut request = keap_request(request_id);
    match value {
        Value::Null => drop(request.as_object_mut().expect("an object").remove(field)),
        value => request[field] = value,
    }
    request
}

/// The example's request with another allotment of one kind or, by null, with none.
fn allotting(request_id: &str, kind: &str, allotment: Value) -> Value {
    let mut request = keap_request(request_id);
    match allotment {
        Value::Null => drop(request["reassign"].as_object_mut().expect("an object").remove(kind)),
        allotment => request["reassign"][kind] = allotment,
    }
    request
}
