//! Shows a user and everything that they hold, and takes commands about them.

use askama::Template;
use axum::response::Response;
use serde_json::json;
use uuid::Uuid;

use super::job::take;
use super::jobs::names;
use crate::app::access;
use crate::app::jobs::{self, Summary};
use crate::app::users::{self, Names, StatusFilter, UserFilter, UserWithRecords};
use crate::contract::{Request, RequestType, UserId, read_request};
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Frame, Section, see};
use crate::http::console::page::Page;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};
use crate::plan::AccessQuery;
use crate::store::ledger::job_filter::JobFilter;

/// Jobs of the user that the page lists.
const JOBS: u64 = 10;

/// A user and everything that they hold.
#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    frame: Frame,
    found: UserWithRecords,
    commands: Vec<Button>,
    request_id: Uuid,
    jobs: Vec<Summary>,
    names: Names,
}

/// A command that the status of the user allows.
struct Button {
    kind: RequestType,
    label: &'static str,
    refused: Option<String>,
}

pub fn pages() -> Vec<Page> {
    vec![
        Page::get("/users/{user}", |visit| Box::pin(show(visit))),
        Page::post("/users/{user}", |visit| Box::pin(command(visit))),
    ]
}

async fn show(visit: Visit) -> Result<Response> {
    let id = visit.user()?;
    let _turn = visit.console.api.budget.read().await?;
    let found = find(&visit, &id).await?;
    let filter = JobFilter { user: Some(id.to_string()), org: Some(visit.org()?.to_owned()), ..JobFilter::default() };
    let (jobs, _) = jobs::page(&visit.context().store, &filter, JOBS).await.map_err(problem)?;
    visit.page(&UserPage {
        frame: visit.frame(Section::Users, &found.user.name),
        commands: buttons(&visit, &id, &found.user.status).await?,
        request_id: Uuid::new_v4(),
        names: names(&visit, &jobs).await?,
        jobs,
        found,
    })
}

/// Returns the commands that a status allows, each with the reason why the visitor may not give it.
async fn buttons(visit: &Visit, user: &UserId, status: &str) -> Result<Vec<Button>> {
    let kinds: &[RequestType] = match status {
        "active" => &[RequestType::Deactivate],
        "invited" => &[RequestType::ResendInvitation, RequestType::CancelInvitation],
        "inactive" => &[RequestType::Reactivate],
        _ => &[],
    };
    let mut buttons = Vec::new();
    for kind in kinds {
        buttons.push(Button { kind: *kind, label: texts::command(*kind), refused: refused(visit, *kind, user).await? });
    }
    Ok(buttons)
}

/// Takes a command. A second click is the same request.
async fn command(visit: Visit) -> Result<Response> {
    let (user, person) = (visit.user()?, visit.person()?);
    let mut body = json!({
        "type": visit.form.get("do"),
        "request_id": visit.form.get("request_id"),
        "user_id": user,
        "requested_by": person.user,
    });
    if !person.org.is_empty() {
        body["org_id"] = json!(person.org);
    }
    let request = read_request(body.to_string().as_bytes()).map_err(|invalid| Problem::invalid(&invalid))?;
    match request {
        Request::User(_) => see(&format!("/jobs/{}", take(&visit, request, None).await?)),
        Request::Handover(_) | Request::Invite(_) | Request::Job(_) => {
            Err(Problem::parameter("do", texts::NO_SUCH_COMMAND))
        }
    }
}

/// Returns a user of the visitor's organization, with the records that they own by kind.
pub async fn find(visit: &Visit, id: &UserId) -> Result<UserWithRecords> {
    let org = Some(visit.org()?.to_owned()).filter(|org| !org.is_empty());
    let filter = UserFilter { status: StatusFilter::All, org, text: None, id: Some(id.clone()) };
    let catalog = (*visit.context().catalogs.current()).clone();
    let store = &visit.context().store;
    let mut pages = users::UserPages::open(store, catalog, filter, 1, 0).await.map_err(problem)?;
    let found = pages.next().await.map_err(problem)?.pop();
    found.ok_or_else(|| Problem::not_found(texts::NO_SUCH_USER))
}

/// Returns why the visitor may not ask for this; nothing if they may.
pub async fn refused(visit: &Visit, kind: RequestType, about: &UserId) -> Result<Option<String>> {
    let person = visit.person()?;
    let query = AccessQuery { kind, org: &person.org, requester: &person.user, about: Some(about) };
    let reasons = access::check(visit.context(), query).await.map_err(problem)?;
    Ok(reasons.into_iter().next().map(|reason| reason.message))
}
