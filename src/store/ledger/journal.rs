//! The journal: how many records went from one user to another.

use std::collections::HashMap;

use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::bulk_insert::add;
use super::codes;
use super::entity::journal::{ActiveModel, Column, Entity};
use super::query;
use crate::store::dialect::sql::ColumnArray;
use crate::store::dialect::{JOURNAL, Type};
use crate::store::{Result, Session};

pub use super::codes::Action;

/// Rows of one kind, action and receiver that a job has journaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The catalog's name of the reference.
    pub kind: String,
    /// The action on them.
    pub action: Action,
    /// The user who received them, for moved and merged ones.
    pub to_user: Option<String>,
    /// The number of records.
    pub records: u64,
}

/// Adds up what jobs have journaled. A certificate is made of this and of the rows that are left.
pub async fn tallies(session: &Session, jobs: &[Uuid]) -> Result<HashMap<Uuid, Vec<Tally>>> {
    let doing = "adding the journal up";
    let mut sql = session.sql("");
    let jobs = sql.small_table("i", vec![ColumnArray::new(Type::Uuid, "id", jobs.iter().map(Some))]);
    sql.add(&format!(
        "SELECT j.job_id AS job_id, j.kind AS kind, j.action AS action, j.to_user AS to_user, \
         {records} AS records FROM {JOURNAL} j JOIN {jobs} ON i.id = j.job_id \
         GROUP BY j.job_id, j.kind, j.action, j.to_user ORDER BY j.job_id, j.kind, j.to_user",
        records = session.dialect().cast("sum(j.records)", &Type::Int64),
    ));
    let mut tallies: HashMap<Uuid, Vec<Tally>> = HashMap::new();
    for row in session.all(doing, sql).await? {
        let tally = Tally {
            kind: row.get("kind")?,
            action: row.get("action")?,
            to_user: row.get("to_user")?,
            records: row.count("records")?,
        };
        tallies.entry(row.get("job_id")?).or_default().push(tally);
    }
    Ok(tallies)
}

/// Returns the first entries of an undo's journal about records that it skipped.
pub async fn skipped(session: &Session, job: Uuid, limit: u64) -> Result<Vec<Entry>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Action.starts_with(codes::SKIPPED));
    query::all(session, "reading what an undo skipped", find.order_by_asc(Column::Id).limit(limit)).await
}

/// A row of the journal.
pub use super::entity::journal::Model as Entry;

/// Returns an entry of the journal by its number.
pub async fn get(session: &Session, id: i64) -> Result<Option<Entry>> {
    query::one(session, "reading the journal", Entity::find_by_id(id)).await
}

/// Returns the number, kind and records of a job's entries before one, the last first; without an id, from its end.
pub async fn before(session: &Session, job: Uuid, id: Option<i64>, limit: u64) -> Result<Vec<(i64, String, i64)>> {
    let mut find = Entity::find().filter(Column::JobId.eq(job));
    if let Some(id) = id {
        find = find.filter(Column::Id.lt(id));
    }
    let find = find.order_by_desc(Column::Id).limit(limit).select_only();
    let find = find.columns([Column::Id, Column::Kind, Column::Records]);
    query::tuples(session, "reading the journal backwards", find).await
}

/// Adds entries; the database numbers them.
pub async fn insert(session: &Session, entries: Vec<Entry>) -> Result<()> {
    let row = |entry: Entry| ActiveModel { id: ActiveValue::NotSet, ..entry.into_active_model() };
    add(session, "writing the journal", entries.into_iter().map(row).collect(), "").await?;
    Ok(())
}
