//! The deactivation of a user: the form, its recalculation, the review of the plan, and the lock-out.
//!
//! The planner's own preview gives every count and every obstacle. The form is previewed as a lock-out, because a lock-out has a plan
//! also if something is missing; the review is previewed as the request that is sent.

mod amend;
mod draft;
mod filling;
mod form;
mod plan;
mod review;
mod times;

use axum::response::Response;

use self::draft::Draft;
use self::filling::{Filling, fill};
use self::plan::{Options, previewed, request};
use super::job::{failed, take};
use crate::app::submit::{self, Taken};
use crate::contract::{Reason, ReasonCode, Request, UserId};
use crate::http::api::dispatch::problem;
use crate::http::console::answer::see;
use crate::http::console::page::Page;
use crate::http::console::visit::Visit;
use crate::http::problem::Result;

pub fn pages() -> Vec<Page> {
    vec![
        Page::get("/users/{user}/deactivate", |visit| Box::pin(open(visit))),
        Page::post("/users/{user}/deactivate", |visit| Box::pin(send(visit))),
        Page::get("/jobs/{job}/amend", |visit| Box::pin(amend::open(visit))),
        Page::post("/jobs/{job}/amend", |visit| Box::pin(amend::send(visit))),
    ]
}

/// Shows the form with nothing assigned.
async fn open(visit: Visit) -> Result<Response> {
    let user = visit.user()?;
    form::show(&visit, &user, &Draft::default(), Vec::new()).await
}

/// Does what the pressed button says.
async fn send(visit: Visit) -> Result<Response> {
    let user = visit.user()?;
    let mut draft = Draft::read(&visit.form)?;
    match visit.form.get("do") {
        Some("lock_out") => lock_out(&visit, &user).await,
        Some("review") => look(&visit, &user, &draft).await,
        Some("process") => process(&visit, &user, &draft).await,
        Some(button) => {
            if let Some((filling, kind)) = Filling::of_button(button) {
                fill(&visit, &user, &mut draft, filling, kind).await?;
            }
            form::show(&visit, &user, &draft, Vec::new()).await
        }
        None => form::show(&visit, &user, &draft, Vec::new()).await,
    }
}

/// Ends the user's access now. What they own waits, and is assigned later.
async fn lock_out(visit: &Visit, user: &UserId) -> Result<Response> {
    let request = request(visit, user, &Draft::default(), &Options { lock_out: true, expect: None })?;
    let job = take(visit, Request::Handover(request), None).await?;
    see(&format!("/jobs/{job}"))
}

/// Shows the plan to confirm, or the form with every obstacle.
async fn look(visit: &Visit, user: &UserId, draft: &Draft) -> Result<Response> {
    let sent = request(visit, user, draft, &Options { lock_out: false, expect: None })?;
    let found = previewed(visit, sent).await?;
    match found.accepted {
        true => review::show(visit, user, draft, &found, None).await,
        false => form::show(visit, user, draft, found.rejections).await,
    }
}

/// Sends the request, bound to the plan that the review has shown. The form carries the request's id: a second click is the same
/// request.
async fn process(visit: &Visit, user: &UserId, draft: &Draft) -> Result<Response> {
    let expect = visit.form.get("expect").map(str::to_owned);
    let sent = request(visit, user, draft, &Options { lock_out: false, expect })?;
    let turn = visit.console.api.budget.write().await?;
    let principal = visit.person()?.principal();
    let taken = submit::take(visit.context(), &principal, Request::Handover(sent), None, None).await;
    drop(turn);
    match taken.map_err(problem)? {
        Taken::Accepted(job) => see(&format!("/jobs/{job}")),
        Taken::Rejected(_, reasons) => changed(visit, user, draft, reasons).await,
        other @ (Taken::Conflict { .. } | Taken::Invalid(_) | Taken::Outdated | Taken::Busy | Taken::Failed) => {
            Err(failed(other))
        }
    }
}

/// Shows what has changed since the review, and the new plan if there is one.
async fn changed(visit: &Visit, user: &UserId, draft: &Draft, reasons: Vec<Reason>) -> Result<Response> {
    let stale = reasons.iter().find(|reason| reason.code == ReasonCode::StalePlan).map(|reason| reason.message.clone());
    if stale.is_some() {
        let found = previewed(visit, request(visit, user, draft, &Options { lock_out: false, expect: None })?).await?;
        if found.accepted {
            return review::show(visit, user, draft, &found, stale).await;
        }
    }
    form::show(visit, user, draft, reasons).await
}
