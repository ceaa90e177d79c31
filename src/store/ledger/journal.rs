//! The journal, read back: how many records went from whom to whom.

use std::collections::HashMap;

use sea_orm::{ActiveValue, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::bulk_insert::add;
use super::entity::journal::{ActiveModel, Column, Entity};
use super::failed;
use crate::store::dialect::Type;
use crate::store::dialect::sql::ColumnArray;
use crate::store::error::Error;
use crate::store::{Result, Session};

/// Rows of one kind, action and receiver that a job has journaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The catalog's name of the reference.
    pub kind: String,
    /// `moved`, `merged`, `dropped`, `detached`, `purged` or `set`.
    pub action: String,
    /// Who received them, of `moved` and `merged`.
    pub to_user: Option<String>,
    /// How many.
    pub records: u64,
}

/// What jobs have journaled. A certificate is made of this, and of what is left.
pub async fn tallies(session: &Session, jobs: &[Uuid]) -> Result<HashMap<Uuid, Vec<Tally>>> {
    let doing = "adding the journal up";
    let mut sql = session.sql("");
    let jobs = sql.small_table("i", vec![ColumnArray::new(Type::Uuid, "id", jobs.iter().map(Some))]);
    sql.add(&format!(
        "SELECT j.job_id AS job_id, j.kind AS kind, j.action AS action, j.to_user AS to_user, \
         CAST(sum(j.records) AS bigint) AS records FROM handover.journal j JOIN {jobs} ON i.id = j.job_id \
         GROUP BY j.job_id, j.kind, j.action, j.to_user ORDER BY j.job_id, j.kind, j.to_user"
    ));
    let mut tallies: HashMap<Uuid, Vec<Tally>> = HashMap::new();
    for row in session.all(doing, sql).await? {
        let read = || -> std::result::Result<(Uuid, Tally), DbErr> {
            let tally = Tally {
                kind: row.try_get("", "kind")?,
                action: row.try_get("", "action")?,
                to_user: row.try_get("", "to_user")?,
                records: row.try_get::<i64>("", "records")? as u64,
            };
            Ok((row.try_get("", "job_id")?, tally))
        };
        let (job, tally) = read().map_err(|error| Error::unexpected(doing, error.to_string()))?;
        tallies.entry(job).or_default().push(tally);
    }
    Ok(tallies)
}

/// The action of what an undo brought back.
pub const RESTORED: &str = "restored";
/// How the action of what it left alone begins; behind it stands the reason.
pub const SKIPPED: &str = "skipped_";

/// What an undo has left alone, the first rows of its journal that tell of it.
pub async fn skipped(session: &Session, job: Uuid, limit: u64) -> Result<Vec<Entry>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Action.starts_with(SKIPPED));
    find.order_by_asc(Column::Id).limit(limit).all(session).await.map_err(failed("reading what was left alone"))
}

/// A row of the journal.
pub use super::entity::journal::Model as Entry;

/// A row of the journal by its number.
pub async fn get(session: &Session, id: i64) -> Result<Option<Entry>> {
    Entity::find_by_id(id).one(session).await.map_err(failed("reading the journal"))
}

/// What a job did before a row of its journal, the last first; from its end where no row is given.
pub async fn before(session: &Session, job: Uuid, id: Option<i64>, limit: u64) -> Result<Vec<(i64, String, i64)>> {
    let mut find = Entity::find().filter(Column::JobId.eq(job));
    if let Some(id) = id {
        find = find.filter(Column::Id.lt(id));
    }
    let find = find.order_by_desc(Column::Id).limit(limit).select_only();
    let find = find.columns([Column::Id, Column::Kind, Column::Records]).into_tuple();
    find.all(session).await.map_err(failed("reading the journal backwards"))
}

/// Adds rows; their numbers are given here.
pub async fn insert(session: &Session, entries: Vec<Entry>) -> Result<()> {
    let row = |entry: Entry| ActiveModel { id: ActiveValue::NotSet, ..entry.into_active_model() };
    add(session, "writing the journal", entries.into_iter().map(row).collect(), "").await?;
    Ok(())
}
