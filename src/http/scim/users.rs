//! Answers calls about users.

use axum::http::StatusCode;
use axum::http::header::ETAG;
use axum::response::IntoResponse;

use super::call::{Answered, Call};
use crate::app::scim::provision::{self, Asked};
use crate::app::scim::read;
use crate::scim::{ListResponse, Patch, Search, read_new_user, read_patch, read_search, read_whole_user};

pub async fn list(call: &Call) -> Answered {
    find(call, &Search::of_query(&call.query)?).await
}

pub async fn search(call: &Call) -> Answered {
    find(call, &read_search(&call.body)?).await
}

async fn find(call: &Call, search: &Search) -> Answered {
    let page = read::search(call.context(), &call.connection, search).await?;
    let resources = page.users.iter().map(|user| user.to_json(&call.base, &search.projection)).collect();
    let list = ListResponse { total: page.total, start: search.start, resources };
    Ok(call.json(200, &list.to_json()))
}

pub async fn read(call: &Call, id: &str) -> Answered {
    let user = read::user(call.context(), &call.connection, id).await?;
    match call.header("if-none-match").is_some_and(|tags| user.has_version(tags)) {
        true => Ok((StatusCode::NOT_MODIFIED, [(ETAG, user.version())]).into_response()),
        false => Ok(call.user(200, &user, &call.projection())),
    }
}

pub async fn create(call: &Call) -> Answered {
    let patch = read_new_user(&call.body)?;
    let user = provision::create(call.context(), &call.connection, patch, call.traceparent().as_deref()).await?;
    Ok(call.user(201, &user, &call.projection()))
}

pub async fn replace(call: &Call, id: &str) -> Answered {
    change(call, id, read_whole_user(&call.body)?).await
}

pub async fn patch(call: &Call, id: &str) -> Answered {
    change(call, id, read_patch(&call.body)?).await
}

async fn change(call: &Call, id: &str, patch: Patch) -> Answered {
    let traceparent = call.traceparent();
    let asked = Asked { id, patch, if_match: call.header("if-match"), traceparent: traceparent.as_deref() };
    let user = provision::change(call.context(), &call.connection, asked).await?;
    Ok(call.user(200, &user, &call.projection()))
}

pub async fn delete(call: &Call, id: &str) -> Answered {
    let traceparent = call.traceparent();
    provision::remove(call.context(), &call.connection, id, call.header("if-match"), traceparent.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
