//! The embedded default: the outbox table itself is the queue. A message is claimed by a lease and deleted when it is
//! acknowledged. Dead letters and events stay in the table, where you can read them.

mod dead_letters;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use self::dead_letters::LocalDeadLetters;
use super::api::{Broker, Consumer, Depth};
use super::dead_letter::DeadLetterQueue;
use super::error::BrokerError;
use super::message::{Channel, Incoming, Outgoing, Receipt, ReplyMessage, shorten, text_headers};
use super::sender::Sender;
use crate::retry::RetryPolicy;
use crate::store::ledger::outbox::{self, OutboxMessage};
use crate::store::{Error, Store};
use crate::trace::{self, MessageInfo};

/// The transaction that claims messages.
const CLAIM: &str = "local_claim";
/// The transaction that keeps, acknowledges or requeues one.
const SETTLE: &str = "local_settle";
/// The transaction that adds messages.
const PUBLISH: &str = "local_publish";

/// The duration of a claim. A step that takes longer is delivered again, which changes nothing.
const LEASE: Duration = Duration::from_secs(120);

/// The interval of looking for messages of other processes and for messages that have become due.
const POLL: Duration = Duration::from_millis(250);

/// The name in traces and logs.
const KIND: &str = "handover";

/// The outbox table as a broker.
pub struct LocalBroker {
    store: Store,
    closing: CancellationToken,
}

impl LocalBroker {
    /// Creates a broker on this database.
    pub fn new(store: Store) -> LocalBroker {
        LocalBroker { store, closing: CancellationToken::new() }
    }

    async fn add(&self, messages: &[Outgoing]) -> Result<(), Error> {
        let now = OffsetDateTime::now_utc();
        let session = self.store.begin(PUBLISH).await?;
        outbox::insert(&session, messages.iter().map(|message| message.to_outbox_message(now)).collect()).await?;
        session.commit().await
    }
}

#[async_trait]
impl Broker for LocalBroker {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn is_external(&self) -> bool {
        false
    }

    async fn publish(&self, messages: &[Outgoing]) -> Vec<Result<(), BrokerError>> {
        let result = self.add(messages).await.map_err(|error| BrokerError::Outbox(error.to_string()));
        vec![result; messages.len()]
    }

    async fn reply(&self, replies: &[ReplyMessage]) -> Vec<Result<(), BrokerError>> {
        vec![Ok(()); replies.len()]
    }

    async fn consume(&self, channel: Channel, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        let prefetch = usize::from(prefetch.max(1));
        let (sender, receiver) = mpsc::channel(prefetch);
        let stop = self.closing.child_token();
        let feed = Feed { store: self.store.clone(), channel, free: Arc::new(Semaphore::new(prefetch)), sender };
        tokio::spawn(stop.clone().run_until_cancelled_owned(feed.run()));
        Ok(Box::new(LocalConsumer { receiver, stop }))
    }

    async fn dead_letters(&self) -> Result<Box<dyn DeadLetterQueue>, BrokerError> {
        Ok(Box::new(LocalDeadLetters::new(self.store.clone())))
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn trace_info<'m>(&self, incoming: &'m Incoming) -> MessageInfo<'m> {
        let queue = incoming.channel.name();
        MessageInfo {
            system: KIND,
            target: queue.into(),
            destination: trace::destination(&[&incoming.routing_key, queue]),
            routing_attribute: None,
            id: incoming.id.as_deref(),
            bytes: incoming.body.len(),
        }
    }

    async fn depths(&self) -> Result<Vec<Depth>, BrokerError> {
        let backlog = outbox::backlog(&self.store.reader(), &Channel::QUEUES, OffsetDateTime::now_utc()).await;
        let backlog = backlog.map_err(|error| BrokerError::Outbox(error.to_string()))?;
        let depth = |(channel, backlog): (Channel, outbox::Backlog)| Depth {
            channel,
            messages: backlog.messages,
            oldest: backlog.oldest,
            consumers: None,
        };
        Ok(Channel::QUEUES.into_iter().zip(backlog).map(depth).collect())
    }

    async fn close(&self) {
        self.closing.cancel();
    }
}

/// Claims messages and delivers them, at most the prefetch at a time.
struct Feed {
    store: Store,
    channel: Channel,
    free: Arc<Semaphore>,
    sender: mpsc::Sender<Incoming>,
}

impl Feed {
    async fn run(self) {
        let mut retries = RetryPolicy::RECONNECT.start("claiming messages of the outbox");
        loop {
            // Subscribe before looking, so that a message written in between wakes this task as well.
            let notified = self.store.handoff.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            match self.deliver().await {
                Ok(0) => {
                    let _ = tokio::time::timeout(POLL, notified).await;
                }
                Ok(_) => retries.reset(),
                Err(error) => {
                    retries.wait_after(&error).await;
                }
            }
        }
    }

    async fn deliver(&self) -> Result<usize, Error> {
        let Ok(first) = self.free.clone().acquire_owned().await else { return Ok(0) };
        let mut permits = vec![first];
        while let Ok(permit) = self.free.clone().try_acquire_owned() {
            permits.push(permit);
        }
        let now = OffsetDateTime::now_utc();
        let session = self.store.begin(CLAIM).await?;
        let rows = outbox::claim(&session, &[self.channel], now, now + LEASE, permits.len() as u64).await?;
        session.commit().await?;
        let count = rows.len();
        for (row, permit) in rows.into_iter().zip(permits) {
            // If the consumer is gone, the lease expires on its own.
            let _ = self.sender.send(self.incoming(row, permit)).await;
        }
        Ok(count)
    }

    fn incoming(&self, mut row: OutboxMessage, permit: OwnedSemaphorePermit) -> Incoming {
        let body_bytes = shorten(&mut row.body);
        Incoming {
            id: Some(row.message_id.to_string()),
            source: String::new(),
            routing_key: row.routing_key,
            channel: self.channel,
            headers: text_headers(&row.headers),
            // The database has no accounts: whoever may write to it may do everything.
            sender: Sender::Claimed,
            content_type: Some(row.content_type),
            reply_to: None,
            correlation_id: None,
            body: row.body,
            body_bytes,
            published: Some(row.due_at),
            receipt: Box::new(LocalReceipt { store: self.store.clone(), row: row.id, _permit: permit }),
        }
    }
}

struct LocalReceipt {
    store: Store,
    row: i64,
    /// Room for one more message, once this one is acknowledged or requeued.
    _permit: OwnedSemaphorePermit,
}

#[async_trait]
impl Receipt for LocalReceipt {
    async fn keep(&self) -> Result<(), BrokerError> {
        let kept = async {
            let session = self.store.begin(SETTLE).await?;
            outbox::lease(&session, &[self.row], OffsetDateTime::now_utc() + LEASE).await?;
            session.commit().await
        };
        kept.await.map_err(|error: Error| BrokerError::Outbox(error.to_string()))
    }

    async fn ack(self: Box<Self>) -> Result<(), BrokerError> {
        let acked = async {
            let session = self.store.begin(SETTLE).await?;
            outbox::delete(&session, &[self.row]).await?;
            session.commit().await
        };
        acked.await.map_err(|error: Error| BrokerError::Outbox(error.to_string()))
    }

    async fn requeue(self: Box<Self>) -> Result<(), BrokerError> {
        let requeued = async {
            let session = self.store.begin(SETTLE).await?;
            outbox::release(&session, &[self.row], OffsetDateTime::now_utc()).await?;
            session.commit().await
        };
        requeued.await.map_err(|error: Error| BrokerError::Outbox(error.to_string()))
    }
}

struct LocalConsumer {
    receiver: mpsc::Receiver<Incoming>,
    stop: CancellationToken,
}

#[async_trait]
impl Consumer for LocalConsumer {
    async fn next(&mut self) -> Option<Incoming> {
        self.receiver.recv().await
    }

    fn try_next(&mut self) -> Option<Incoming> {
        self.receiver.try_recv().ok()
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(incoming) = self.receiver.recv().await {
            if let Err(error) = incoming.receipt.requeue().await {
                tracing::debug!(%error, "requeue failed; the message returns when its lease expires");
            }
        }
    }
}
