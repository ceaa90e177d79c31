//! The OpenAPI document itself.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::http::api::call::Call;
use crate::http::api::route::{Method, Route, json};
use crate::http::problem::Result;

pub fn routes() -> Vec<Route> {
    vec![Route {
        method: Method::Get,
        path: "/v1/openapi.json",
        scopes: &[],
        summary: "This document",
        parameters: Vec::new(),
        body: None,
        answers: vec![json::<Value>(200, "The API, as OpenAPI 3.1.")],
        handler: |call| Box::pin(read(call)),
    }]
}

async fn read(call: Call) -> Result<Response> {
    Ok(Json(&call.api.document).into_response())
}
