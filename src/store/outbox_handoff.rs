//! Hands messages from a commit to the relay.
//!
//! A relay in the same process receives the due messages of the worker's commits at once, so that it need not look for them. Other
//! commits of the process, such as those of the HTTP API, only notify it, and it looks.
//!
//! Such messages are in the outbox too, under a short lease. They are deleted when the broker has them. If this process dies or
//! is too busy, the next relay that looks finds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};

use super::ledger::outbox::OutboxMessage;

/// The time for which a message belongs to the relay of the process that wrote it. Publishing it twice does no harm.
pub const FIRST_LEASE: Duration = Duration::from_secs(5);

/// The most messages that wait for the relay of this process. It finds further ones by looking.
const ROOM: usize = 2_000;

/// The place where commits leave their messages for the relay of this process.
#[derive(Debug, Clone, Default)]
pub struct OutboxHandoff {
    notify: Arc<Notify>,
    relay: Option<mpsc::Sender<OutboxMessage>>,
}

impl OutboxHandoff {
    /// Returns a handoff with a relay in this process, which receives the messages of commits from here on.
    pub fn with_local_relay(&self) -> (OutboxHandoff, mpsc::Receiver<OutboxMessage>) {
        let (relay, received) = mpsc::channel(ROOM);
        (OutboxHandoff { notify: self.notify.clone(), relay: Some(relay) }, received)
    }

    /// Waits for a commit that left messages in the outbox and handed none over. The signal carries no data: the waiter looks.
    pub fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

/// The messages that a transaction leaves in the outbox.
#[derive(Debug, Default)]
pub(super) struct PendingMessages {
    handoff: OutboxHandoff,
    any: AtomicBool,
    messages: Mutex<Vec<OutboxMessage>>,
}

impl PendingMessages {
    pub(super) fn new(handoff: &OutboxHandoff) -> PendingMessages {
        PendingMessages { handoff: handoff.clone(), ..PendingMessages::default() }
    }

    /// True if a relay waits in this process.
    pub(super) fn has_local_relay(&self) -> bool {
        self.handoff.relay.is_some()
    }

    /// Notes that the transaction wrote to the outbox, and which messages the relay receives with the commit.
    pub(super) fn note(&self, messages: Vec<OutboxMessage>) {
        self.any.store(true, Ordering::Relaxed);
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).extend(messages);
    }

    /// Hands the messages over, after the commit.
    pub(super) fn hand_over(self) {
        match &self.handoff.relay {
            Some(relay) => {
                let messages = self.messages.into_inner().unwrap_or_else(PoisonError::into_inner);
                // A message that finds no room is published when its lease has ended.
                messages.into_iter().for_each(|message| drop(relay.try_send(message)));
            }
            None if self.any.into_inner() => self.handoff.notify.notify_waiters(),
            None => {}
        }
    }
}
