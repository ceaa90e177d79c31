//! Messages with their destinations and properties, ready to send.

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};
use uuid::Uuid;

use super::properties;
use super::senders::Senders;
use super::topology::Topology;
use crate::broker::dead_letter::ROUTING_KEY;
use crate::broker::error::BrokerError;
use crate::broker::message::{Channel, Outgoing, ReplyMessage};

/// A message that is ready to send.
pub(super) struct Outbound {
    pub(super) id: String,
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    mandatory: bool,
    properties: BasicProperties,
    body: Vec<u8>,
}

/// A message to return to a queue unchanged.
pub(super) struct Requeued {
    pub(super) queue: String,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

impl Outbound {
    /// Prepares a message.
    pub(super) fn new(topology: &Topology, senders: &Senders, message: &Outgoing) -> Result<Outbound, BrokerError> {
        let (exchange, routing_key) = match message.headers.contains_key(ROUTING_KEY) {
            // It was on its queue before. Other queues that are bound to the exchange have had it.
            true => (String::new(), topology.queue(message.channel)),
            false => topology.route(message.channel, &message.routing_key),
        };
        Ok(Outbound {
            id: message.id.to_string(),
            exchange: properties::short("exchange", &exchange)?,
            routing_key: properties::short("routing key", &routing_key)?,
            // Events need no subscriber; everything else must reach its queue.
            mandatory: message.channel != Channel::Events,
            properties: properties::of_message(message, senders.stated())?,
            body: message.body.clone(),
        })
    }

    /// Prepares a reply. The default exchange routes it to the queue of that name. Handover's own queues are refused: a
    /// requester may not write to them.
    pub(super) fn for_reply(topology: &Topology, _: &Senders, reply: &ReplyMessage) -> Result<Outbound, BrokerError> {
        if topology.is_ours(&reply.to) {
            return Err(BrokerError::Refused(format!("`{}` is one of Handover's own queues", reply.to)));
        }
        let id = Uuid::new_v4().to_string();
        Ok(Outbound {
            properties: properties::of_reply(reply, &id)?,
            id,
            exchange: ShortString::default(),
            routing_key: properties::short("reply_to", &reply.to)?,
            mandatory: false,
            body: reply.body.clone(),
        })
    }

    /// Prepares a message for its original queue alone. Other queues bound to its exchange have already received it.
    pub(super) fn for_requeue(
        _: &Topology,
        _: &Senders,
        requeued: &Result<Requeued, BrokerError>,
    ) -> Result<Outbound, BrokerError> {
        let requeued = requeued.as_ref().map_err(Clone::clone)?;
        let id = requeued.properties.message_id().as_ref().map(ToString::to_string);
        Ok(Outbound {
            id: id.unwrap_or_default(),
            exchange: ShortString::default(),
            routing_key: properties::short("queue name", &requeued.queue)?,
            mandatory: true,
            properties: requeued.properties.clone(),
            body: requeued.body.clone(),
        })
    }

    /// Sends the message and waits for its confirm. lapin numbers and queues the message in one step, in the first poll. So one
    /// task may have many of these in flight on a channel, but two tasks must not share a channel.
    pub(super) async fn send(self, index: usize, channel: lapin::Channel) -> (usize, lapin::Result<Confirmation>) {
        let options = BasicPublishOptions { mandatory: self.mandatory, immediate: false };
        let publish = channel.basic_publish(self.exchange, self.routing_key, options, &self.body, self.properties);
        let outcome = match publish.await {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        (index, outcome)
    }
}
