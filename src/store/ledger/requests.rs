//! Requests: each readable one, once.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::bulk_insert::add;
pub use super::entity::requests::Model as KnownRequest;
use super::entity::requests::{ActiveModel, Column, Entity, Model};
use super::jobs::Job;
use super::query;
use crate::contract::{Allotment, HandoverRequest, read_stored};
use crate::store::dialect::sql::ColumnArray;
use crate::store::dialect::{REQUESTS, Type};
use crate::store::error::{Cause, Error};
use crate::store::{Result, Session};

/// Returns those of these requests, by organization and request id, that were accepted before.
pub async fn known(session: &Session, ids: &[(&str, &str)]) -> Result<HashMap<(String, String), Model>> {
    let mut sql = session.sql("");
    let array = |name, values: Vec<&str>| ColumnArray::new(Type::Text, name, values.into_iter().map(Some));
    let arrays = vec![
        array("org", ids.iter().map(|(org, _)| *org).collect()),
        array("request_id", ids.iter().map(|(_, request_id)| *request_id).collect()),
    ];
    let asked = sql.small_table("a", arrays);
    // By name: a column that a later migration adds does not change the result.
    let columns = query::columns::<Entity>("r", "");
    sql.add(&format!(
        "SELECT {columns} FROM {asked} JOIN {REQUESTS} r ON r.org = a.org AND r.request_id = a.request_id"
    ));
    let rows = session.all("looking up requests", sql).await?;
    let keyed = |model: Model| ((model.org.clone(), model.request_id.clone()), model);
    rows.iter().map(|row| row.entity("").map(keyed)).collect()
}

/// Accepts requests, each for the first time. If another transaction accepts one of them at the same time, this one fails
/// with contention, and finds the request known when it is retried.
pub async fn insert(session: &Session, models: Vec<Model>) -> Result<()> {
    let count = models.len() as u64;
    let rows: Vec<ActiveModel> = models.into_iter().map(ActiveModel::from).collect();
    all_accepted(count, add(session, ACCEPTING, rows, &once(session)).await?)
}

const ACCEPTING: &str = "accepting requests";

/// Leaves out a request that another transaction has accepted.
pub(super) fn once(session: &Session) -> String {
    session.dialect().on_conflict_do_nothing(&["org", "request_id"])
}

/// Fails with contention unless each request was accepted here.
pub(super) fn all_accepted(count: u64, accepted: u64) -> Result<()> {
    if accepted == count {
        return Ok(());
    }
    let cause =
        Cause::Contention { code: "handover".into(), message: "another process accepted a request first".into() };
    Err(Error { doing: ACCEPTING.into(), cause })
}

/// Returns the request that made a job, as it was last amended.
pub async fn of_job(session: &Session, job: &Job) -> Result<HandoverRequest> {
    let doing = "reading a job's request";
    let Some(asked) = get(session, &job.org, &job.request_id).await? else {
        return Err(Error::unexpected(doing, format!("the job {} has no request", job.id)));
    };
    let body = asked.amended.unwrap_or(asked.body);
    let request = read_stored(body).map_err(|invalid| Error::unexpected(doing, invalid.to_string()))?;
    request.into_handover().ok_or_else(|| Error::unexpected(doing, format!("the job {} hands nothing over", job.id)))
}

/// Returns the allotments that a job's request names, by kind, as it was last amended.
pub async fn named_by(session: &Session, job: &Job) -> Result<BTreeMap<String, Allotment>> {
    let asked = get(session, &job.org, &job.request_id).await?.map(|asked| asked.amended.unwrap_or(asked.body));
    // A forgotten request may hold too little to be read.
    let request = asked.and_then(|body| read_stored(body).ok()?.into_handover());
    Ok(request.map(|request| request.reassign).unwrap_or_default())
}

/// Writes what a request says from now on. Its original body stays.
pub async fn amend(session: &Session, request: &HandoverRequest) -> Result<()> {
    let doing = "amending a request";
    let amended = serde_json::to_value(request).map_err(|error| Error::unexpected(doing, error.to_string()))?;
    let update = Entity::update_many().col_expr(Column::Amended, Expr::value(amended));
    let update = update.filter(Column::Org.eq(request.org())).filter(Column::RequestId.eq(request.request_id.as_str()));
    query::update(session, doing, update).await?;
    Ok(())
}

/// Returns a request.
pub async fn get(session: &Session, org: &str, request_id: &str) -> Result<Option<Model>> {
    let key = (org.to_owned(), request_id.to_owned());
    query::one(session, "reading a request", Entity::find_by_id(key)).await
}
