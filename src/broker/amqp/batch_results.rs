//! The outcome of each message of a published batch.

use std::collections::HashMap;
use std::time::Duration;

use lapin::Confirmation;

use super::errors::{self, code};
use super::outbound::Outbound;
use crate::broker::error::BrokerError;

/// The outcome of one message.
#[derive(Clone)]
pub(super) enum SendResult {
    Confirmed,
    /// Rejected for a reason of its own.
    Refused(String),
    /// The message may or may not have arrived.
    Failed(BrokerError),
    /// The channel was closed over a message: this one, or another of the batch.
    Suspect(String),
}

impl SendResult {
    pub(super) fn into_result(self) -> Result<(), BrokerError> {
        match self {
            SendResult::Confirmed => Ok(()),
            SendResult::Refused(reason) | SendResult::Suspect(reason) => Err(BrokerError::Refused(reason)),
            SendResult::Failed(error) => Err(error),
        }
    }
}

/// The results of a batch so far.
pub(super) struct BatchResults {
    /// Each message's id and destination, for the text of a refusal.
    destinations: Vec<(String, String)>,
    results: Vec<SendResult>,
    /// Returned messages with their reasons, by id. lapin delivers each one with an arbitrary later confirm.
    returned: HashMap<String, String>,
}

impl BatchResults {
    pub(super) fn new(outbound: &[Outbound], limit: Duration) -> BatchResults {
        let destination =
            |message: &Outbound| format!("exchange `{}`, key `{}`", message.exchange, message.routing_key);
        BatchResults {
            destinations: outbound.iter().map(|message| (message.id.clone(), destination(message))).collect(),
            results: vec![SendResult::Failed(BrokerError::TimedOut(limit)); outbound.len()],
            returned: HashMap::new(),
        }
    }

    pub(super) fn record(&mut self, index: usize, outcome: lapin::Result<Confirmation>) {
        self.results[index] = match &outcome {
            Ok(Confirmation::Ack(_)) => SendResult::Confirmed,
            Ok(Confirmation::Nack(_)) => {
                SendResult::Refused("a negative confirm: its queue is full, or has no leader just now".into())
            }
            Ok(Confirmation::NotRequested) => {
                SendResult::Failed(BrokerError::Unreachable("the channel does not confirm".into()))
            }
            Err(error) => self.failed(index, error),
        };
        if let Some(returned) = outcome.ok().and_then(Confirmation::take_message)
            && let Some(id) = returned.delivery.properties.message_id()
        {
            self.returned.insert(id.to_string(), returned.reply_text.to_string());
        }
    }

    fn failed(&self, index: usize, error: &lapin::Error) -> SendResult {
        match errors::reply(error) {
            Some((code::PRECONDITION_FAILED | code::CONTENT_TOO_LARGE, text)) => SendResult::Suspect(text),
            Some((code::ACCESS_REFUSED, text)) => SendResult::Failed(BrokerError::Topology(format!(
                "no permission to publish to {} ({text}): give the user the permission to write it",
                self.destinations[index].1
            ))),
            _ => SendResult::Failed(errors::unreachable(error)),
        }
    }

    /// Returns the results. A returned message was refused although it was confirmed.
    pub(super) fn finish(self) -> Vec<SendResult> {
        let BatchResults { destinations, results, returned } = self;
        let result = |((id, destination), result): ((String, String), SendResult)| match returned.get(&id) {
            Some(reason) => SendResult::Refused(format!("no queue takes it ({reason}; {destination})")),
            None => result,
        };
        destinations.into_iter().zip(results).map(result).collect()
    }
}
