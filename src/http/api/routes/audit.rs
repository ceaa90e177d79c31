//! Reads the audit trail.

use axum::response::Response;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::app::audit::{self, AuditEntry};
use crate::contract::TokenScope;
use crate::http::api::call::{Call, Page};
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Method, Route, in_query, json};
use crate::http::problem::{Problem, Result};
use crate::store::ledger::audit::AuditFilter;

const PATH: &str = "/v1/audit";

pub fn routes() -> Vec<Route> {
    vec![Route {
        method: Method::Get,
        path: PATH,
        scopes: &[TokenScope::AuditRead],
        summary: "Read who asked for what, oldest first",
        parameters: vec![
            in_query::<String>("user", "The user concerned."),
            in_query::<String>("actor", "Who acted."),
            in_query::<String>("job", "The job."),
            in_query::<String>("action", "The beginning of the action: `deactivate`, `deactivate.rejected`."),
            in_query::<String>("since", "The earliest time, RFC 3339."),
            in_query::<String>("text", "A part of the request's id or reason."),
            in_query::<u64>("limit", "Entries of a page: 1 to 200, or 50."),
            in_query::<String>("after", "The `next` of the page before."),
        ],
        body: None,
        answers: vec![json::<Page<AuditEntry>>(200, "A page of entries.")],
        handler: |call| Box::pin(list(call)),
    }]
}

async fn list(call: Call) -> Result<Response> {
    let time = |text: &String| {
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Problem::parameter("since", "it is no time of RFC 3339"))
    };
    let filter = AuditFilter {
        user: call.query.get("user").cloned(),
        org: Some(call.org()?.to_owned()),
        job: call.in_query::<Uuid>("job")?,
        actor: call.query.get("actor").cloned(),
        action: call.query.get("action").cloned(),
        since: call.query.get("since").map(time).transpose()?,
        text: call.query.get("text").cloned(),
    };
    let (from, limit) =
        (call.number("after")?.map_or(i64::MIN, |after| i64::try_from(after).unwrap_or(i64::MAX)), call.limit()?);
    let _turn = call.api.budget.read().await?;
    let (items, next) = audit::page(&call.api.parts.context.store, &filter, from, limit).await.map_err(problem)?;
    Ok(Page { items, next: next.map(|next| next.to_string()) }.answer(&call, PATH))
}
