//! The embedded dead-letter queue: rows of the outbox, read a page at a time. Each replay or removal is a transaction.

use std::collections::VecDeque;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::broker::dead_letter::{DeadLetter, DeadLetterQueue, no_origin};
use crate::broker::error::BrokerError;
use crate::broker::message::{Channel, Outgoing, text_headers};
use crate::store::ledger::outbox::{self, OutboxMessage};
use crate::store::{Result, Store};

/// Rows read at a time.
const PAGE: u64 = 200;

/// The transaction that replays or removes a message.
const SETTLE: &str = "local_dead";

/// The dead letters of the outbox table.
pub(super) struct LocalDeadLetters {
    store: Store,
    page: VecDeque<OutboxMessage>,
    /// The last row read.
    read: i64,
    /// The last row at the time of the first read; later ones are not read.
    end: Option<i64>,
}

impl LocalDeadLetters {
    pub(super) fn new(store: Store) -> LocalDeadLetters {
        LocalDeadLetters { store, page: VecDeque::new(), read: 0, end: None }
    }

    async fn fetch(&mut self) -> Result<Option<OutboxMessage>> {
        let session = self.store.reader();
        let end = match self.end {
            Some(end) => end,
            None => outbox::last(&session, Channel::Dead).await?,
        };
        self.end = Some(end);
        if self.page.is_empty() {
            self.page = outbox::list(&session, Channel::Dead, self.read, PAGE).await?.into();
        }
        let next = self.page.pop_front().filter(|row| row.id <= end);
        self.read = next.as_ref().map_or(end, |row| row.id);
        Ok(next)
    }

    /// Deletes the row and, in the same transaction, inserts the replayed message.
    async fn settle(&self, dead_letter: &DeadLetter, replayed: Option<Outgoing>) -> Result<()> {
        let session = self.store.begin(SETTLE).await?;
        // If the row is gone, another process has replayed or removed it.
        if outbox::delete(&session, &[dead_letter.number]).await? == 1 {
            let replayed = replayed.map(|message| message.to_outbox_message(OffsetDateTime::now_utc()));
            outbox::insert(&session, replayed.into_iter().collect()).await?;
        }
        session.commit().await
    }
}

/// Builds the message to replay. Returns `None` if its original queue is unknown.
fn replayed(dead_letter: &DeadLetter, now: OffsetDateTime) -> Option<Outgoing> {
    let id = dead_letter.message_id.as_deref().and_then(|id| Uuid::parse_str(id).ok());
    Some(Outgoing {
        id: id.unwrap_or_else(Uuid::new_v4),
        channel: dead_letter.origin?,
        routing_key: dead_letter.routing_key.clone().unwrap_or_default(),
        content_type: dead_letter.content_type.clone().unwrap_or_default(),
        headers: dead_letter.replay_headers(now),
        body: dead_letter.body.clone(),
    })
}

fn failed(error: crate::store::Error) -> BrokerError {
    BrokerError::Outbox(error.to_string())
}

#[async_trait]
impl DeadLetterQueue for LocalDeadLetters {
    async fn next(&mut self) -> std::result::Result<Option<DeadLetter>, BrokerError> {
        let Some(row) = self.fetch().await.map_err(failed)? else { return Ok(None) };
        let headers = text_headers(&row.headers);
        let mut dead_letter = DeadLetter::read(row.id, Some(row.message_id.to_string()), headers, row.body, "");
        dead_letter.at = dead_letter.at.or(Some(row.created_at));
        dead_letter.content_type = Some(row.content_type);
        Ok(Some(dead_letter))
    }

    async fn replay(
        &mut self,
        dead_letters: &[DeadLetter],
        now: OffsetDateTime,
    ) -> Vec<std::result::Result<(), BrokerError>> {
        let mut results = Vec::with_capacity(dead_letters.len());
        for dead_letter in dead_letters {
            results.push(match replayed(dead_letter, now) {
                Some(message) => self.settle(dead_letter, Some(message)).await.map_err(failed),
                None => Err(no_origin(dead_letter)),
            });
        }
        results
    }

    async fn remove(&mut self, dead_letters: &[DeadLetter]) -> Vec<std::result::Result<(), BrokerError>> {
        let mut results = Vec::with_capacity(dead_letters.len());
        for dead_letter in dead_letters {
            results.push(self.settle(dead_letter, None).await.map_err(failed));
        }
        results
    }

    /// Does nothing: rows are only read, never held.
    async fn release(&mut self) -> std::result::Result<(), BrokerError> {
        Ok(())
    }
}
