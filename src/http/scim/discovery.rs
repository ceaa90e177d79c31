//! Answers discovery: what the catalog maps.

use axum::response::Response;
use serde_json::Value;

use super::call::{Answered, Call};
use crate::app::scim::read;
use crate::scim::{self, Failure, ListResponse};

pub fn configuration(call: &Call) -> Answered {
    Ok(call.json(200, &scim::service_provider_config(&call.base)))
}

pub fn schemas(call: &Call) -> Answered {
    Ok(listed(call, scim::schemas(&call.base, read::mapped(call.context())?)))
}

pub fn schema(call: &Call, id: &str) -> Answered {
    let found = scim::schema(&call.base, read::mapped(call.context())?, id);
    let found = found.ok_or_else(|| Failure::not_found("there is no such schema: /Schemas lists them"))?;
    Ok(call.json(200, &found))
}

pub fn resource_types(call: &Call) -> Answered {
    Ok(listed(call, scim::resource_types(&call.base, read::mapped(call.context())?)))
}

pub fn resource_type(call: &Call, id: &str) -> Answered {
    match id {
        "User" => Ok(call.json(200, &scim::resource_type(&call.base, read::mapped(call.context())?))),
        _ => Err(Failure::not_found("there is no such resource type: /ResourceTypes lists them").into()),
    }
}

fn listed(call: &Call, resources: Vec<Value>) -> Response {
    let list = ListResponse { total: resources.len() as u64, start: 1, resources };
    call.json(200, &list.to_json())
}
