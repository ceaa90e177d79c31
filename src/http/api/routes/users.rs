//! Reads users: the lists, one user, and who may receive records.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::app::successors::{self, Candidate, Query};
use crate::app::users::{StatusFilter, UserFilter, UserPages, UserWithRecords};
use crate::contract::{TokenScope, UserId};
use crate::http::api::call::{CURSOR_HINT, Call, Page};
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Method, Route, in_path, in_query, json};
use crate::http::problem::{Problem, Result};
use crate::plan::normalize_user;

const LIST: &str = "/v1/users";
const SUCCESSORS: &str = "/v1/successors";

pub fn routes() -> Vec<Route> {
    let reads = |path, summary, parameters, answers, handler| Route {
        method: Method::Get,
        path,
        scopes: &[TokenScope::UsersRead],
        summary,
        parameters,
        body: None,
        answers,
        handler,
    };
    let limit = || in_query::<u64>("limit", "Entries of a page: 1 to 200, or 50.");
    let after = || in_query::<String>("after", "The `next` of the page before.");
    vec![
        reads(
            LIST,
            "List users, with the records that they own",
            vec![
                in_query::<String>(
                    "status",
                    "active, invited, active-or-invited, inactive or all. Default: active-or-invited.",
                ),
                in_query::<String>("q", "A part of the name or the email address."),
                limit(),
                after(),
            ],
            vec![json::<Page<UserWithRecords>>(200, "A page of users, in the order of their keys.")],
            |call| Box::pin(list(call)),
        ),
        reads(
            "/v1/users/{id}",
            "Read a user: status, license, and the records that they own by kind",
            vec![in_path("id", "The user.")],
            vec![json::<UserWithRecords>(200, "The user.")],
            |call| Box::pin(one(call)),
        ),
        reads(
            SUCCESSORS,
            "List who may receive records of a leaver, and of the others, why not",
            vec![
                in_query::<String>("leaver", "The leaver. Required."),
                in_query::<String>("kind", "The kind of the records. Required."),
                limit(),
                after(),
            ],
            vec![json::<Page<Candidate>>(200, "A page of candidates, in the order of their keys.")],
            |call| Box::pin(candidates(call)),
        ),
    ]
}

/// Reads a user's id, in the form that the database writes.
fn user(call: &Call, name: &str, text: &str) -> Result<UserId> {
    let mut user = UserId::try_from(text.to_owned()).map_err(|fault| Problem::parameter(name, fault))?;
    let catalog = call.api.parts.context.catalogs.current();
    normalize_user(&catalog.users.key, &mut user, name)
        .map_err(|fault| Problem::parameter(name, fault.detail).hint(fault.hint))?;
    Ok(user)
}

fn after(call: &Call) -> Result<Option<UserId>> {
    let unreadable = |_| Problem::parameter("after", "it is no `next` of a page").hint(CURSOR_HINT);
    call.query.get("after").map(|after| user(call, "after", after).map_err(unreadable)).transpose()
}

async fn list(call: Call) -> Result<Response> {
    let status = call.query.get("status").map_or("active-or-invited", String::as_str);
    let status = StatusFilter::named(status);
    let unknown = || Problem::parameter("status", "it is none of active, invited, active-or-invited, inactive, all");
    let filter = UserFilter {
        status: status.ok_or_else(unknown)?,
        org: Some(call.org()?.to_owned()).filter(|org| !org.is_empty()),
        text: call.query.get("q").cloned(),
        id: None,
    };
    let limit = call.limit()?;
    let after = after(&call)?;
    let _turn = call.api.budget.read().await?;
    let mut items = page(&call, filter, after, limit + 1).await?;
    let follows = items.len() as u64 > limit;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| follows).map(|last| last.user.id.clone());
    Ok(Page { items, next }.answer(&call, LIST))
}

async fn page(call: &Call, filter: UserFilter, after: Option<UserId>, limit: u64) -> Result<Vec<UserWithRecords>> {
    let context = &call.api.parts.context;
    let catalog = (*context.catalogs.current()).clone();
    let pages = UserPages::open(&context.store, catalog, filter, limit, 0).await.map_err(problem)?;
    let mut pages = pages.after(after);
    let mut users = Vec::new();
    loop {
        let more = pages.next().await.map_err(problem)?;
        if more.is_empty() {
            return Ok(users);
        }
        users.extend(more);
    }
}

async fn one(call: Call) -> Result<Response> {
    let unknown = || Problem::not_found("there is no such user in your organization");
    let id = user(&call, "id", call.in_path("id")).map_err(|_| unknown())?;
    let org = Some(call.org()?.to_owned()).filter(|org| !org.is_empty());
    let _turn = call.api.budget.read().await?;
    let filter = UserFilter { status: StatusFilter::All, org, text: None, id: Some(id) };
    let found = page(&call, filter, None, 1).await?.pop();
    Ok(Json(found.ok_or_else(unknown)?).into_response())
}

async fn candidates(call: Call) -> Result<Response> {
    let required = |name: &'static str| call.query.get(name).ok_or_else(|| Problem::parameter(name, "it is required"));
    let (leaver, kind) = (user(&call, "leaver", required("leaver")?)?, required("kind")?);
    let (limit, after) = (call.limit()?, after(&call)?);
    let _turn = call.api.budget.read().await?;
    let query = Query { org: call.org()?, leaver: &leaver, kind };
    let found = successors::page(&call.api.parts.context, query, after.as_ref(), limit + 1).await.map_err(problem)?;
    let unknown = || {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_parameter", "`kind`: the catalog allots no records of this kind")
            .hint("`/v1/previews` lists the kinds")
    };
    let mut items = found.ok_or_else(unknown)?;
    let follows = items.len() as u64 > limit;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| follows).map(|last| last.user.id.clone());
    Ok(Page { items, next }.answer(&call, SUCCESSORS))
}
