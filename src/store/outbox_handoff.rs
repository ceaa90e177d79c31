//! From a commit to the relay. A transaction that leaves messages in the outbox rings when it commits; where the relay runs in
//! the same process, the messages that are due are handed to it at once, so that it need not look for them.
//!
//! What is handed over stands in the outbox all the same, under a short lease: it is deleted when the broker has it, and
//! where this process dies, or has its hands full, whoever looks next carries it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};

use super::ledger::outbox::OutboxMessage;

/// How long a message is the relay's of the process that wrote it. Carried twice it does no harm.
pub const FIRST_LEASE: Duration = Duration::from_secs(5);

/// Messages that may wait for the relay of this process; what comes beyond is found by looking.
const ROOM: usize = 2_000;

/// Where commits put what leaves.
#[derive(Debug, Clone, Default)]
pub struct OutboxHandoff {
    notify: Arc<Notify>,
    relay: Option<mpsc::Sender<OutboxMessage>>,
}

impl OutboxHandoff {
    /// The same notify, and a relay in this process: it receives what commits from here on.
    pub fn with_local_relay(&self) -> (OutboxHandoff, mpsc::Receiver<OutboxMessage>) {
        let (relay, received) = mpsc::channel(ROOM);
        (OutboxHandoff { notify: self.notify.clone(), relay: Some(relay) }, received)
    }

    /// Rings after a commit that left messages in the outbox. It carries nothing: who hears it looks.
    pub fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

/// What a transaction is pending behind.
#[derive(Debug, Default)]
pub(super) struct PendingMessages {
    handoff: OutboxHandoff,
    any: AtomicBool,
    letters: Mutex<Vec<OutboxMessage>>,
}

impl PendingMessages {
    pub(super) fn new(handoff: &OutboxHandoff) -> PendingMessages {
        PendingMessages { handoff: handoff.clone(), ..PendingMessages::default() }
    }

    /// Whether a relay waits in this process.
    pub(super) fn has_local_relay(&self) -> bool {
        self.handoff.relay.is_some()
    }

    /// Notes that something was written to the outbox, and what of it the relay gets when this is committed.
    pub(super) fn note(&self, letters: Vec<OutboxMessage>) {
        self.any.store(true, Ordering::Relaxed);
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).extend(letters);
    }

    /// It is committed.
    pub(super) fn hand_over(self) {
        if let Some(relay) = &self.handoff.relay {
            let letters = self.letters.into_inner().unwrap_or_else(PoisonError::into_inner);
            // One that finds no room is carried when its lease has ended.
            letters.into_iter().for_each(|letter| drop(relay.try_send(letter)));
        }
        if self.any.into_inner() {
            self.handoff.notify.notify_waiters();
        }
    }
}
