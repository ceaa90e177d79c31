//! Finds requests among the dead letters while a caller waits for their jobs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::dead_letters::{self, DeadLetterView};
use super::error::{Error, Result};
use crate::broker::Broker;

/// The time after which the dead letters are read first.
const FIRST: Duration = Duration::from_millis(500);

/// Looks for requests among the dead letters, ever more rarely, because each look reads the whole queue.
pub struct SetAside<'b> {
    broker: &'b dyn Broker,
    began: Instant,
    next: Duration,
}

impl SetAside<'_> {
    /// Starts to wait.
    pub fn new(broker: &dyn Broker) -> SetAside<'_> {
        SetAside { broker, began: Instant::now(), next: FIRST }
    }

    /// Returns those of the messages that are dead letters. Between looks, without messages, and while the broker is
    /// unavailable, it returns none.
    pub async fn look(&mut self, messages: &[Uuid]) -> Result<HashMap<Uuid, DeadLetterView>> {
        if messages.is_empty() || self.began.elapsed() < self.next {
            return Ok(HashMap::new());
        }
        self.next = self.began.elapsed() * 2;
        match dead_letters::of_messages(self.broker, messages).await {
            Err(Error::Broker(error)) => {
                tracing::warn!(%error, "the dead letters cannot be read now");
                Ok(HashMap::new())
            }
            found => found,
        }
    }
}
