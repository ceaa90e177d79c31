//! Previews requests.

use axum::Json;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::requests::read;
use crate::app::preview::{self, CommandPreview, Preview, RevertPreview};
use crate::app::submit::check_principal;
use crate::contract::{Request, TokenScope};
use crate::http::api::call::Call;
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Body, Method, Route, json, schema};
use crate::http::problem::Result;

/// What a request would do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum Previewed {
    /// Of a request that hands records over.
    Handover(Box<Preview>),
    /// Of a revert.
    Revert(Box<RevertPreview>),
    /// Of any other command.
    Command(CommandPreview),
}

pub fn routes() -> Vec<Route> {
    vec![Route {
        method: Method::Post,
        path: "/v1/previews",
        scopes: &[TokenScope::JobsRead],
        summary: "Preview a request. Changes nothing",
        parameters: Vec::new(),
        body: Some(Body::Json(schema::<Request>)),
        answers: vec![json::<Previewed>(200, "The plan with its token, or every reason against the request.")],
        handler: |call| Box::pin(read_preview(call)),
    }]
}

async fn read_preview(call: Call) -> Result<Response> {
    // A preview has no id of its own.
    let id = format!("preview-{}", Uuid::new_v4().simple());
    let request = read(&call, vec![("request_id", id.as_str())])?;
    check_principal(call.principal()?, &request).map_err(problem)?;
    let _turn = call.api.budget.read().await?;
    let previewed = previewed(&call, request).await.map_err(problem)?;
    Ok(Json(previewed).into_response())
}

async fn previewed(call: &Call, request: Request) -> crate::app::Result<Previewed> {
    let parts = &call.api.parts;
    if let Request::Handover(request) = request {
        let is_host_active = parts.surroundings.is_host_active();
        let preview = preview::preview(&parts.context, parts.capacity, request, is_host_active).await?;
        return Ok(Previewed::Handover(Box::new(preview)));
    }
    match preview::preview_revert(&parts.context, &request).await? {
        Some(revert) => Ok(Previewed::Revert(Box::new(revert))),
        None => preview::preview_command(&parts.context, request).await.map(Previewed::Command),
    }
}
