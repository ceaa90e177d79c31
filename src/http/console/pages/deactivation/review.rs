//! The plan that a person confirms.

use askama::Template;
use axum::response::Response;
use uuid::Uuid;

use super::draft::Draft;
use super::times::Instants;
use crate::app::preview::{Preview, PreviewedReference};
use crate::app::users::{self, Names};
use crate::contract::UserId;
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Frame, Section};
use crate::http::console::pages::user::find;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::Result;
use crate::store::host::UserListing;

/// The plan.
#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage {
    frame: Frame,
    user: UserListing,
    moving: Vec<PreviewedReference>,
    others: Vec<PreviewedReference>,
    names: Names,
    fields: Vec<(String, String)>,
    token: String,
    request_id: Uuid,
    estimate: String,
    waits: bool,
    when: Instants,
    /// What has changed since the plan that was confirmed before.
    changed: Option<String>,
}

/// Shows a plan to confirm. The form carries the draft, the plan's token, and the id of the request.
pub async fn show(
    visit: &Visit,
    user: &UserId,
    draft: &Draft,
    preview: &Preview,
    changed: Option<String>,
) -> Result<Response> {
    let _turn = visit.console.api.budget.read().await?;
    let found = find(visit, user).await?.user;
    let named = preview.references.iter().flat_map(|reference| reference.successors.keys()).map(String::as_str);
    let names = users::names(visit.context(), visit.org()?, named).await.map_err(problem)?;
    let with_records = preview.references.iter().filter(|reference| reference.found > 0).cloned();
    let (moving, others) = with_records.partition(|reference| reference.assigned.is_some());
    visit.page(&ReviewPage {
        frame: visit.frame(Section::Users, format!("{} {}", texts::REVIEW, found.name)),
        user: found,
        moving,
        others,
        names,
        fields: draft.fields(),
        token: preview.token.clone().unwrap_or_default(),
        request_id: Uuid::new_v4(),
        estimate: texts::duration(preview.estimate_ms),
        when: draft.times.instants()?,
        waits: preview.wait_for.is_some(),
        changed,
    })
}
