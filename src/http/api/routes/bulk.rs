//! Uploads files with one leaver per row, shows what becomes of each row, and submits the rows that are acceptable.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::bulk::RowResult;
use crate::app::bulk::times::Zone;
use crate::app::uploads::{self, Judged, NewUpload};
use crate::contract::{TokenScope, printable};
use crate::http::api::call::Call;
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Body, Method, Parameter, Route, in_path, in_query, json};
use crate::http::problem::{Problem, Result};

const UPLOADS: &str = "/v1/bulk";

/// The scopes: verdicts have names and addresses of users.
const SCOPES: &[TokenScope] = &[TokenScope::JobsWrite, TokenScope::UsersRead];

/// The longest name of a file or a sheet, in characters.
const LONGEST_NAME: usize = 200;

/// An upload with a page of its rows.
#[derive(Serialize, JsonSchema)]
struct Upload {
    /// The id. The same file of the same uploader has the same id.
    id: Uuid,
    /// The name of the file.
    file: String,
    /// The sheet that is read, if the file is a workbook.
    sheet: Option<String>,
    /// Parts of the file that are not read.
    notes: Vec<String>,
    /// The time when it was uploaded.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    uploaded_at: OffsetDateTime,
    /// The time when it is deleted.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    expires_at: OffsetDateTime,
    /// The number of rows by outcome.
    summary: BTreeMap<&'static str, u64>,
    /// Rows, in the order of the file.
    items: Vec<RowResult>,
    /// The row after which the next page begins, for `after`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub fn routes() -> Vec<Route> {
    let id = || in_path("id", "The upload.");
    let pages = || {
        vec![
            in_query::<u64>("limit", "Rows of a page: 1 to 200, or 50."),
            in_query::<u64>("after", "The `next` of the page before."),
        ]
    };
    let route = |method, path, summary, parameters, body, answers, handler| Route {
        method,
        path,
        scopes: SCOPES,
        summary,
        parameters,
        body,
        answers,
        handler,
    };
    let created = json::<Upload>(201, "The rows, judged. `Location` is the upload.");
    let judged = json::<Upload>(200, "The rows: judged anew, or with the outcome of their jobs.");
    let submitted = json::<Upload>(202, "The rows: those that are `sent` have the id of their job.");
    vec![
        route(
            Method::Post,
            UPLOADS,
            "Upload a CSV or XLSX file with one leaver per row. Sends nothing",
            options(),
            Some(Body::File),
            vec![created],
            |call| Box::pin(upload(call)),
        ),
        route(
            Method::Get,
            "/v1/bulk/{id}",
            "Judge the rows of an upload again",
            [vec![id()], pages()].concat(),
            None,
            vec![judged],
            |call| Box::pin(read(call)),
        ),
        route(
            Method::Post,
            "/v1/bulk/{id}/submit",
            "Submit the rows that are acceptable now",
            vec![id()],
            None,
            vec![submitted],
            |call| Box::pin(submit(call)),
        ),
    ]
}

/// Returns the parameters that say how a file is read, as the options of `handover bulk` do.
fn options() -> Vec<Parameter> {
    vec![
        in_query::<String>("name", "The name of the file, for messages."),
        in_query::<String>("sheet", "The sheet to read, if several sheets of the workbook have a table."),
        in_query::<String>("ignore_columns", "Columns to ignore, separated by commas."),
        in_query::<String>("time_zone", "The time zone of dates and times that name none: `Europe/Berlin`, `+02:00`."),
    ]
}

async fn upload(mut call: Call) -> Result<Response> {
    call.org()?;
    let name = short(&call, "name")?.map_or_else(|| "the file".to_owned(), |name| printable(&name));
    let new = NewUpload {
        name,
        sheet: short(&call, "sheet")?,
        ignore_columns: call.listed("ignore_columns")?,
        time_zone: call.in_query::<Zone>("time_zone")?,
        content: std::mem::take(&mut call.body),
    };
    // The pages of the upload do not take these parameters.
    call.query.clear();
    let _turn = call.api.budget.judging().await?;
    let judged = uploads::create(&call.api.parts.context, call.principal()?, new).await.map_err(problem)?;
    answer(&call, StatusCode::CREATED, judged)
}

async fn read(call: Call) -> Result<Response> {
    let id = id(&call)?;
    let _turn = call.api.budget.judging().await?;
    let found = uploads::read(&call.api.parts.context, call.principal()?, id).await.map_err(problem)?;
    answer(&call, StatusCode::OK, found.ok_or_else(unknown)?)
}

async fn submit(call: Call) -> Result<Response> {
    let id = id(&call)?;
    let (context, traceparent) = (&call.api.parts.context, call.traceparent());
    let _turn = call.api.budget.judging().await?;
    let found = uploads::submit(context, call.principal()?, id, traceparent.as_deref()).await.map_err(problem)?;
    answer(&call, StatusCode::ACCEPTED, found.ok_or_else(unknown)?)
}

/// Returns the id in the path.
fn id(call: &Call) -> Result<Uuid> {
    call.in_path("id").parse().map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::not_found("there is no upload of yours with this id").hint("uploads are deleted after seven days")
}

/// Returns a parameter that is a name.
fn short(call: &Call, name: &str) -> Result<Option<String>> {
    let given: Option<String> = call.in_query(name)?;
    match given.as_ref().is_some_and(|given| given.chars().count() > LONGEST_NAME) {
        true => Err(Problem::parameter(name, format!("it has more than {LONGEST_NAME} characters"))),
        false => Ok(given),
    }
}

/// Answers with a page of rows.
fn answer(call: &Call, status: StatusCode, judged: Judged) -> Result<Response> {
    let (after, limit) = (call.number("after")?.unwrap_or(0), call.limit()? as usize);
    let summary = judged.counts();
    let Judged { id, name: file, sheet, notes, uploaded_at, expires_at, rows } = judged;
    let mut items: Vec<RowResult> = rows.into_iter().filter(|row| row.row > after).collect();
    let is_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| is_more).map(|last| last.row.to_string());
    let path = format!("{UPLOADS}/{id}");
    let link = next.as_deref().and_then(|next| call.link(&path, next));
    let location = HeaderValue::try_from(path).ok().map(|path| (LOCATION, path));
    let upload = Upload { id, file, sheet, notes, uploaded_at, expires_at, summary, items, next };
    let mut response = (status, Json(upload)).into_response();
    response.headers_mut().extend(link.into_iter().chain(location));
    Ok(response)
}
