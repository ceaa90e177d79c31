//! Requests: each that could be read, once.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::bulk_insert::add;
use super::entity::requests::{ActiveModel, Column, Entity, Model};
use super::failed;
use super::jobs::Job;
use crate::contract::{Allotment, HandoverRequest};
use crate::store::dialect::Type;
use crate::store::dialect::sql::ColumnArray;
use crate::store::error::{Cause, Error};
use crate::store::{Result, Session};

/// The requests of these (organization, request id) that are known already.
pub async fn known(session: &Session, ids: &[(&str, &str)]) -> Result<HashMap<(String, String), Model>> {
    let mut sql = session.sql("");
    let array = |name, values: Vec<&str>| ColumnArray::new(Type::Text, name, values.into_iter().map(Some));
    let arrays = vec![
        array("org", ids.iter().map(|(org, _)| *org).collect()),
        array("request_id", ids.iter().map(|(_, request_id)| *request_id).collect()),
    ];
    let asked = sql.small_table("a", arrays);
    sql.add(&format!(
        "SELECT r.* FROM {asked} JOIN handover.requests r ON r.org = a.org AND r.request_id = a.request_id"
    ));
    let found = Entity::find().from_raw_sql(sql.statement());
    let found = found.all(session).await.map_err(failed("looking for requests"))?;
    Ok(found.into_iter().map(|model| ((model.org.clone(), model.request_id.clone()), model)).collect())
}

/// Accepts requests, each for the first time. Somebody else who accepts one of them at the same moment makes this one
/// try again, and find it known.
pub async fn insert(session: &Session, models: Vec<Model>) -> Result<()> {
    let count = models.len() as u64;
    let rows: Vec<ActiveModel> = models.into_iter().map(ActiveModel::from).collect();
    all_accepted(count, add(session, ACCEPTING, rows, ONCE).await?)
}

const ACCEPTING: &str = "accepting requests";

/// What becomes of a request that somebody else has accepted.
pub(super) const ONCE: &str = " ON CONFLICT (org, request_id) DO NOTHING";

/// Whether each request was accepted here.
pub(super) fn all_accepted(count: u64, accepted: u64) -> Result<()> {
    if accepted == count {
        return Ok(());
    }
    let cause = Cause::Contention { code: "handover".into(), message: "a request was accepted elsewhere".into() };
    Err(Error { doing: ACCEPTING.into(), cause })
}

/// The request that made a job, as it was amended last.
pub async fn of_job(session: &Session, job: &Job) -> Result<HandoverRequest> {
    let doing = "reading a job's request";
    let Some(asked) = get(session, &job.org, &job.request_id).await? else {
        return Err(Error::unexpected(doing, format!("the job {} has no request", job.id)));
    };
    let body = asked.amended.unwrap_or(asked.body);
    serde_json::from_value(body).map_err(|error| Error::unexpected(doing, error.to_string()))
}

/// Whom the request that made a job names, by kind, as it was amended last.
pub async fn named_by(session: &Session, job: &Job) -> Result<BTreeMap<String, Allotment>> {
    let asked = get(session, &job.org, &job.request_id).await?.map(|asked| asked.amended.unwrap_or(asked.body));
    // Of a request that was forgotten since there may be too little left to be one.
    let request = asked.and_then(|body| serde_json::from_value::<HandoverRequest>(body).ok());
    Ok(request.map(|request| request.reassign).unwrap_or_default())
}

/// Writes down what a request says from now on; what it said at first stays beside it.
pub async fn amend(session: &Session, request: &HandoverRequest) -> Result<()> {
    let amended = serde_json::to_value(request).unwrap_or_default();
    let update = Entity::update_many().col_expr(Column::Amended, Expr::value(amended));
    let update = update.filter(Column::Org.eq(request.org())).filter(Column::RequestId.eq(request.request_id.as_str()));
    update.exec(session).await.map_err(failed("amending a request"))?;
    Ok(())
}

/// Tells what became of a request whose job went on later.
pub async fn get(session: &Session, org: &str, request_id: &str) -> Result<Option<Model>> {
    let key = (org.to_owned(), request_id.to_owned());
    Entity::find_by_id(key).one(session).await.map_err(failed("looking for a request"))
}
