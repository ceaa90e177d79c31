//! The request that a draft makes, and its preview.

use serde_json::json;

use super::draft::Draft;
use crate::app::preview::{Preview, preview};
use crate::contract::{HandoverRequest, RequestType, UserId, read_request};
use crate::http::api::dispatch::problem;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};

/// The fields of a request that the draft does not have.
pub struct Options {
    /// True to end access also if something is missing.
    pub lock_out: bool,
    /// The plan token of the review.
    pub expect: Option<String>,
}

/// Builds the request of a draft.
pub fn request(visit: &Visit, user: &UserId, draft: &Draft, options: &Options) -> Result<HandoverRequest> {
    let person = visit.person()?;
    let given = visit.form.get("request_id").map(str::to_owned);
    let mut body = json!({
        "type": RequestType::Deactivate.name(),
        "request_id": given.unwrap_or_else(|| format!("preview-{}", uuid::Uuid::new_v4().simple())),
        "user_id": user,
        "requested_by": person.user,
        "reassign": draft.reassign(),
    });
    if !person.org.is_empty() {
        body["org_id"] = json!(person.org);
    }
    let instants = draft.times.instants()?;
    match options.lock_out {
        // A lock-out is now, and so are the counts of the form.
        true => body["lock_out"] = json!(true),
        false => instants.write(&mut body)?,
    }
    for (field, value) in [("reason", draft.reason.as_ref()), ("expect", options.expect.as_ref())] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    let request = read_request(body.to_string().as_bytes()).map_err(|invalid| Problem::invalid(&invalid))?;
    request.into_handover().ok_or_else(|| Problem::not_found(texts::NO_SUCH_COMMAND))
}

/// Previews a request with the planner's guards.
pub async fn previewed(visit: &Visit, request: HandoverRequest) -> Result<Preview> {
    let parts = &visit.console.api.parts;
    let _turn = visit.console.api.budget.read().await?;
    let is_host_active = parts.surroundings.is_host_active();
    preview(&parts.context, parts.capacity, request, is_host_active).await.map_err(problem)
}
