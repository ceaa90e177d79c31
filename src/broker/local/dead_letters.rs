//! The embedded dead queue: rows of the outbox, read a page at a time. One is sent back, or taken out, in a transaction.

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::broker::{BrokerError, Channel, DeadLetter, DeadLetterQueue, Outgoing, dead_letter};
use crate::store::ledger::outbox::{self, OutboxMessage};
use crate::store::{Result, Store};

/// Rows read at a time.
const PAGE: u64 = 200;

/// The transaction that settles them.
const SETTLE: &str = "local_dead";

/// See the module.
pub(super) struct LocalDeadLetters {
    store: Store,
    page: VecDeque<OutboxMessage>,
    /// The last row that was read, and the last one that was there in the beginning.
    read: i64,
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
            None => outbox::last(&session, Channel::Dead.name()).await?,
        };
        self.end = Some(end);
        if self.page.is_empty() {
            self.page = outbox::list(&session, Channel::Dead.name(), self.read, PAGE).await?.into();
        }
        let next = self.page.pop_front().filter(|letter| letter.id <= end);
        self.read = next.as_ref().map_or(end, |letter| letter.id);
        Ok(next)
    }

    /// One transaction: the row goes, and with it the same message comes back where it was.
    async fn settle(&self, letter: &DeadLetter, back: Option<Outgoing>) -> Result<()> {
        let session = self.store.begin(SETTLE).await?;
        // Gone already: somebody else has settled it.
        if outbox::delete(&session, &[letter.number]).await? == 1 {
            let back = back.map(|back| back.to_outbox_message(OffsetDateTime::now_utc()));
            outbox::insert(&session, back.into_iter().collect()).await?;
        }
        session.commit().await
    }
}

fn back(letter: &DeadLetter, now: OffsetDateTime) -> Option<Outgoing> {
    let id = letter.message_id.as_deref().and_then(|id| Uuid::parse_str(id).ok());
    let routing_key = letter.headers.get("x-handover-routing-key").cloned();
    Some(Outgoing {
        id: id.unwrap_or_else(Uuid::new_v4),
        channel: letter.origin("")?,
        routing_key: routing_key.unwrap_or_default(),
        content_type: letter.content_type.clone().unwrap_or_default(),
        headers: letter.headers_back(now),
        body: letter.body.clone(),
    })
}

fn failed(error: crate::store::Error) -> BrokerError {
    BrokerError::Outbox(error.to_string())
}

#[async_trait]
impl DeadLetterQueue for LocalDeadLetters {
    async fn next(&mut self) -> std::result::Result<Option<DeadLetter>, BrokerError> {
        let Some(row) = self.fetch().await.map_err(failed)? else { return Ok(None) };
        let headers: BTreeMap<String, String> = serde_json::from_value(row.headers).unwrap_or_default();
        let mut letter = DeadLetter::read(row.id, Some(row.message_id.to_string()), headers, row.body);
        letter.at = letter.at.or(Some(row.created_at));
        letter.content_type = Some(row.content_type);
        Ok(Some(letter))
    }

    async fn replay(
        &mut self,
        letters: &[DeadLetter],
        now: OffsetDateTime,
    ) -> Vec<std::result::Result<(), BrokerError>> {
        let mut results = Vec::with_capacity(letters.len());
        for letter in letters {
            results.push(match back(letter, now) {
                Some(back) => self.settle(letter, Some(back)).await.map_err(failed),
                None => Err(dead_letter::nowhere(letter)),
            });
        }
        results
    }

    async fn remove(&mut self, letters: &[DeadLetter]) -> Vec<std::result::Result<(), BrokerError>> {
        let mut results = Vec::with_capacity(letters.len());
        for letter in letters {
            results.push(self.settle(letter, None).await.map_err(failed));
        }
        results
    }

    /// Rows were only read.
    async fn release(&mut self) -> std::result::Result<(), BrokerError> {
        Ok(())
    }
}
