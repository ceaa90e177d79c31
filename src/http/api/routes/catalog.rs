//! Reads the catalog in use.

use axum::Json;
use axum::response::{IntoResponse, Response};

use crate::app::catalogs::{self, CatalogInUse};
use crate::contract::TokenScope;
use crate::http::api::call::Call;
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Method, Route, json};
use crate::http::problem::Result;

pub fn routes() -> Vec<Route> {
    vec![Route {
        method: Method::Get,
        path: "/v1/catalog",
        scopes: &[TokenScope::OperatorRead],
        summary: "Read the catalog in use",
        parameters: Vec::new(),
        body: None,
        answers: vec![json::<CatalogInUse>(200, "The catalog, with its version and text.")],
        handler: |call| Box::pin(read(call)),
    }]
}

async fn read(call: Call) -> Result<Response> {
    let _turn = call.api.budget.read().await?;
    Ok(Json(catalogs::in_use(&call.api.parts.context).await.map_err(problem)?).into_response())
}
