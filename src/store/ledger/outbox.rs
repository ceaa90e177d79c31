//! The outbox: messages that leave with the transaction that wrote them. Without a broker it is the queue itself.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::bulk_insert::add_returning;
use super::entity::outbox::{ActiveModel, Column, Entity};
use super::failed;
use crate::catalog::Engine;
use crate::store::dialect::Type;
use crate::store::dialect::sql::ColumnArray;
use crate::store::outbox_handoff::FIRST_LEASE;
use crate::store::{Result, Row, Session};

pub use super::entity::outbox::Model as OutboxMessage;

/// Adds messages; their ids are given here. Those that are due go to the relay of this process with the commit.
pub async fn insert(session: &Session, letters: Vec<OutboxMessage>) -> Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let doing = "writing to the outbox";
    let (rows, leaving) = outgoing(session, letters);
    let rows = add_returning(session, doing, rows, NUMBERED).await?;
    let read = |row: &Row| Ok((row.try_get("", "message_id")?, row.try_get("", "id")?));
    let numbers = rows.iter().map(read).collect::<std::result::Result<_, DbErr>>().map_err(failed(doing))?;
    leave(session, leaving, &numbers);
    Ok(())
}

/// What the statement that adds messages returns of each.
pub(super) const NUMBERED: &str = " RETURNING id, message_id";

/// Messages as rows to be added, under a lease where the relay of this process gets them; and those that it gets.
pub(super) fn outgoing(session: &Session, mut letters: Vec<OutboxMessage>) -> (Vec<ActiveModel>, Vec<OutboxMessage>) {
    let now = OffsetDateTime::now_utc();
    let goes = |letter: &OutboxMessage| session.pending_messages().has_local_relay() && letter.due_at <= now;
    letters.iter_mut().filter(|letter| goes(letter)).for_each(|letter| letter.leased_until = Some(now + FIRST_LEASE));
    let rows = letters.iter().cloned().map(row).collect();
    letters.retain(goes);
    (rows, letters)
}

/// The relay of this process gets these with the commit, under the numbers that they have in the outbox.
pub(super) fn leave(session: &Session, mut letters: Vec<OutboxMessage>, numbers: &HashMap<Uuid, i64>) {
    letters.iter_mut().for_each(|letter| letter.id = numbers.get(&letter.message_id).copied().unwrap_or_default());
    session.pending_messages().note(letters);
}

fn row(letter: OutboxMessage) -> ActiveModel {
    let mut row = letter.into_active_model();
    row.id = ActiveValue::NotSet;
    row
}

/// Claims due messages of these channels until a time, in their order. Who claims and dies leaves them to others then.
/// No transaction is open while the broker is waited for: the lease is the claim.
pub async fn claim(
    session: &Session,
    channels: &[&str],
    now: OffsetDateTime,
    until: OffsetDateTime,
    limit: u64,
) -> Result<Vec<OutboxMessage>> {
    let doing = "claiming messages of the outbox";
    let free = Condition::any().add(Column::LeasedUntil.is_null()).add(Column::LeasedUntil.lt(now));
    let mut find =
        Entity::find().filter(Column::Channel.is_in(channels.iter().copied())).filter(Column::DueAt.lte(now));
    find = find.filter(free).order_by_asc(Column::Id).limit(limit);
    if session.engine() == Engine::Postgres {
        find = find.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let letters = find.all(session).await.map_err(failed(doing))?;
    if !letters.is_empty() {
        let ids = letters.iter().map(|letter| letter.id);
        let update =
            Entity::update_many().col_expr(Column::LeasedUntil, Expr::value(until)).filter(Column::Id.is_in(ids));
        update.exec(session).await.map_err(failed(doing))?;
    }
    Ok(letters)
}

/// Of a channel, what is due and has not left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Messages, no more than [`MOST_COUNTED`].
    pub messages: u64,
    /// When the first of them was written.
    pub oldest: Option<OffsetDateTime>,
}

/// Messages of a channel that are counted, at most: a count is to take no longer because there is more to do.
pub const MOST_COUNTED: u64 = 100_000;

/// A message that the broker has not taken rests for moments before it is due again: it counts all the same.
const REST: Duration = Duration::from_secs(2);

/// What waits in these channels, one for each, in their order.
pub async fn backlog(session: &Session, channels: &[&str], now: OffsetDateTime) -> Result<Vec<Backlog>> {
    let doing = "counting the outbox";
    let mut sql = session.sql("");
    for (place, channel) in channels.iter().enumerate() {
        let (channel, due) = (sql.bind(*channel), sql.bind(now + REST));
        let due = format!("FROM handover.outbox o WHERE o.channel = {channel} AND o.due_at <= {due}");
        sql.add(if place == 0 { "" } else { " UNION ALL " });
        sql.add(&format!(
            "SELECT {place} AS place, (SELECT count(*) FROM (SELECT 1 {due} LIMIT {MOST_COUNTED}) s) AS n, \
             (SELECT o.created_at {due} ORDER BY o.id LIMIT 1) AS oldest"
        ));
    }
    sql.add(" ORDER BY place");
    let read =
        |row: &Row| Ok(Backlog { messages: row.try_get::<i64>("", "n")? as u64, oldest: row.try_get("", "oldest")? });
    let rows = session.all(doing, sql).await?;
    rows.iter().map(read).collect::<std::result::Result<_, DbErr>>().map_err(failed(doing))
}

/// Deletes messages that have been delivered; how many were there.
pub async fn delete(session: &Session, ids: &[i64]) -> Result<u64> {
    let mut sql = session.sql("");
    let delivered = sql.small_table("d", vec![ColumnArray::new(Type::Int64, "id", ids.iter().map(Some))]);
    sql.add(&format!("DELETE FROM handover.outbox WHERE id IN (SELECT d.id FROM {delivered})"));
    session.run("emptying the outbox", sql).await
}

/// Gives claimed messages back, due again at a time.
pub async fn release(session: &Session, ids: &[i64], due: OffsetDateTime) -> Result<()> {
    let update = Entity::update_many().filter(Column::Id.is_in(ids.iter().copied()));
    let update = update.col_expr(Column::LeasedUntil, Expr::value(Option::<OffsetDateTime>::None));
    let update = update.col_expr(Column::DueAt, Expr::value(due));
    update.exec(session).await.map_err(failed("giving messages back to the outbox"))?;
    Ok(())
}

/// Messages of a channel behind an id, oldest first: what the embedded default keeps of its events.
pub async fn list(session: &Session, channel: &str, after: i64, limit: u64) -> Result<Vec<OutboxMessage>> {
    let find = Entity::find().filter(Column::Channel.eq(channel)).filter(Column::Id.gt(after));
    find.order_by_asc(Column::Id).limit(limit).all(session).await.map_err(failed("reading the outbox"))
}

/// The messages of a job that have not left, but for what the embedded default keeps.
pub async fn of_job(session: &Session, job: Uuid, limit: u64) -> Result<Vec<OutboxMessage>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).order_by_asc(Column::Id).limit(limit);
    find.all(session).await.map_err(failed("reading the outbox"))
}

/// The id of a channel's newest message; 0 where there is none.
pub async fn last(session: &Session, channel: &str) -> Result<i64> {
    let find = Entity::find().filter(Column::Channel.eq(channel)).order_by_desc(Column::Id).limit(1);
    let last: Option<i64> =
        find.select_only().column(Column::Id).into_tuple().one(session).await.map_err(failed("reading the outbox"))?;
    Ok(last.unwrap_or(0))
}

/// Deletes messages of a channel older than a time.
pub async fn delete_older(session: &Session, channel: &str, than: OffsetDateTime) -> Result<u64> {
    let delete = Entity::delete_many().filter(Column::Channel.eq(channel)).filter(Column::CreatedAt.lt(than));
    Ok(delete.exec(session).await.map_err(failed("emptying the outbox"))?.rows_affected)
}
