//! The outbox: messages that commit with the transaction that wrote them. Without a broker it is the queue itself.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use super::bulk_insert::add_returning;
use super::entity::outbox::{ActiveModel, Column, Entity};
use super::query;
use crate::store::dialect::sql::{ColumnArray, Sql};
use crate::store::dialect::{OUTBOX, RowLock, Type};
use crate::store::outbox_handoff::FIRST_LEASE;
use crate::store::{Result, Session};

pub use super::codes::Channel;
pub use super::entity::outbox::Model as OutboxMessage;

/// Adds messages; the database numbers them. With the commit, the relay of this process receives those that are due.
pub async fn insert(session: &Session, messages: Vec<OutboxMessage>) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let doing = "writing to the outbox";
    let (rows, handed_over) = outgoing(session, messages);
    let rows = add_returning(session, doing, rows, &returning_numbers(session)).await?;
    let numbers = rows.iter().map(|row| Ok((row.get("message_id")?, row.get("id")?))).collect::<Result<_>>()?;
    hand_over(session, handed_over, &numbers);
    Ok(())
}

/// Returns the number of each message that the statement adds.
pub(super) fn returning_numbers(session: &Session) -> String {
    session.dialect().returning("id, message_id")
}

/// Returns messages as rows to add, and those that the relay of this process receives, which are under a lease.
pub(super) fn outgoing(session: &Session, mut messages: Vec<OutboxMessage>) -> (Vec<ActiveModel>, Vec<OutboxMessage>) {
    let now = OffsetDateTime::now_utc();
    let goes = |message: &OutboxMessage| session.pending_messages().has_local_relay() && message.due_at <= now;
    messages
        .iter_mut()
        .filter(|message| goes(message))
        .for_each(|message| message.leased_until = Some(now + FIRST_LEASE));
    let rows = messages.iter().cloned().map(row).collect();
    messages.retain(goes);
    (rows, messages)
}

/// Hands messages to the relay of this process with the commit, under their numbers in the outbox.
pub(super) fn hand_over(session: &Session, mut messages: Vec<OutboxMessage>, numbers: &HashMap<Uuid, i64>) {
    messages.retain_mut(|message| match numbers.get(&message.message_id) {
        Some(id) => {
            message.id = *id;
            true
        }
        None => false,
    });
    session.pending_messages().note(messages);
}

fn row(message: OutboxMessage) -> ActiveModel {
    let mut row = message.into_active_model();
    row.id = ActiveValue::NotSet;
    row
}

/// Claims due messages until a time: of each channel those that became due first, at most `limit`. If the claimant dies, others
/// claim them after that time. The lease is the claim, so that no transaction is open while the relay waits for the broker.
pub async fn claim(
    session: &Session,
    channels: &[Channel],
    now: OffsetDateTime,
    until: OffsetDateTime,
    limit: u64,
) -> Result<Vec<OutboxMessage>> {
    let doing = "claiming messages of the outbox";
    let rows = session.all(doing, first_due(session, channels, now, limit)).await?;
    let mut messages = rows.iter().map(|row| row.entity("")).collect::<Result<Vec<OutboxMessage>>>()?;
    messages.sort_unstable_by_key(|message| message.id);
    if !messages.is_empty() {
        let ids: Vec<i64> = messages.iter().map(|message| message.id).collect();
        lease(session, &ids, until).await?;
    }
    Ok(messages)
}

/// Leases messages until a time, for the first time or for longer.
pub async fn lease(session: &Session, ids: &[i64], until: OffsetDateTime) -> Result<()> {
    let update = Entity::update_many().filter(Column::Id.is_in(ids.iter().copied()));
    let update = update.col_expr(Column::LeasedUntil, Expr::value(until));
    query::update(session, "claiming messages of the outbox", update).await?;
    Ok(())
}

/// Selects the due messages, in the order of the index on channel and time. Messages that are due in weeks are never read: in the
/// order in which they were written they would come first.
fn first_due(session: &Session, channels: &[Channel], now: OffsetDateTime, limit: u64) -> Sql {
    let mut sql = session.sql("");
    let columns = query::columns::<Entity>("o", "");
    let lock = sql.dialect().row_lock(RowLock::SkipLocked, None);
    for (place, channel) in channels.iter().enumerate() {
        let (channel, due, free) = (sql.bind(*channel), sql.bind(now), sql.bind(now));
        sql.add(if place == 0 { "" } else { " UNION ALL " });
        sql.add(&format!(
            "SELECT * FROM (SELECT {columns} FROM {OUTBOX} o WHERE o.channel = {channel} AND o.due_at <= {due} \
             AND (o.leased_until IS NULL OR o.leased_until < {free}) ORDER BY o.due_at, o.id LIMIT {limit}{lock}) c{place}"
        ));
    }
    sql
}

/// The messages of a channel that are due and not yet published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// The number of messages, at most [`MOST_COUNTED`].
    pub messages: u64,
    /// The time when the first of them was written.
    pub oldest: Option<OffsetDateTime>,
}

/// The most messages of a channel that are counted: a long backlog must not slow the count down.
pub const MOST_COUNTED: u64 = 100_000;

/// A message that the broker did not take becomes due again after a moment. It counts in the meantime too.
const REST: Duration = Duration::from_secs(2);

/// Returns the backlog of each of these channels, in their order.
pub async fn backlog(session: &Session, channels: &[Channel], now: OffsetDateTime) -> Result<Vec<Backlog>> {
    let doing = "counting the outbox";
    let mut sql = session.sql("");
    for (place, channel) in channels.iter().enumerate() {
        let (channel, due) = (sql.bind(*channel), sql.bind(now + REST));
        let due = format!("FROM {OUTBOX} o WHERE o.channel = {channel} AND o.due_at <= {due}");
        sql.add(if place == 0 { "" } else { " UNION ALL " });
        sql.add(&format!(
            "SELECT {place} AS place, (SELECT count(*) FROM (SELECT 1 {due} LIMIT {MOST_COUNTED}) s) AS n, \
             (SELECT o.created_at {due} ORDER BY o.due_at, o.id LIMIT 1) AS oldest"
        ));
    }
    sql.add(" ORDER BY place");
    let rows = session.all(doing, sql).await?;
    rows.iter().map(|row| Ok(Backlog { messages: row.count("n")?, oldest: row.get("oldest")? })).collect()
}

/// Deletes published messages, and returns how many were there.
pub async fn delete(session: &Session, ids: &[i64]) -> Result<u64> {
    let mut sql = session.sql("");
    let delivered = sql.small_table("d", vec![ColumnArray::new(Type::Int64, "id", ids.iter().map(Some))]);
    sql.add(&format!("DELETE FROM {OUTBOX} WHERE id IN (SELECT d.id FROM {delivered})"));
    session.run("emptying the outbox", sql).await
}

/// Releases claimed messages, due again at a time.
pub async fn release(session: &Session, ids: &[i64], due: OffsetDateTime) -> Result<()> {
    let update = Entity::update_many().filter(Column::Id.is_in(ids.iter().copied()));
    let update = update.col_expr(Column::LeasedUntil, Expr::value(Option::<OffsetDateTime>::None));
    let update = update.col_expr(Column::DueAt, Expr::value(due));
    query::update(session, "releasing messages of the outbox", update).await?;
    Ok(())
}

/// Returns messages of a channel after an id, oldest first: the events that the embedded broker keeps.
pub async fn list(session: &Session, channel: Channel, after: i64, limit: u64) -> Result<Vec<OutboxMessage>> {
    let find = Entity::find().filter(Column::Channel.eq(channel)).filter(Column::Id.gt(after));
    query::all(session, "reading the outbox", find.order_by_asc(Column::Id).limit(limit)).await
}

/// Returns the messages of a job that wait in the outbox.
pub async fn of_job(session: &Session, job: Uuid, limit: u64) -> Result<Vec<OutboxMessage>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).order_by_asc(Column::Id).limit(limit);
    query::all(session, "reading the outbox", find).await
}

/// Returns the id of a channel's newest message; 0 if there is none.
pub async fn last(session: &Session, channel: Channel) -> Result<i64> {
    let find = Entity::find().filter(Column::Channel.eq(channel)).order_by_desc(Column::Id).limit(1);
    let last: Vec<i64> = query::tuples(session, "reading the outbox", find.select_only().column(Column::Id)).await?;
    Ok(last.first().copied().unwrap_or(0))
}

/// Deletes messages of a channel older than a time.
pub async fn delete_older(session: &Session, channel: Channel, than: OffsetDateTime) -> Result<u64> {
    let delete = Entity::delete_many().filter(Column::Channel.eq(channel)).filter(Column::CreatedAt.lt(than));
    query::delete(session, "emptying the outbox", delete).await
}
