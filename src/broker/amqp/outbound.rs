//! Messages as they are sent: where to, and with which properties.

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};
use uuid::Uuid;

use super::topology::Topology;
use super::{BrokerError, Channel, Outgoing, ReplyMessage, message};

/// A message as it is sent.
pub(super) struct Outbound {
    pub(super) id: String,
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    mandatory: bool,
    properties: BasicProperties,
    body: Vec<u8>,
}

/// A message that goes back to a queue as it was.
pub(super) struct Returned {
    pub(super) queue: String,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

impl Outbound {
    /// A message of ours.
    pub(super) fn of(topology: &Topology, message: &Outgoing) -> Result<Outbound, BrokerError> {
        let (exchange, routing_key) = topology.route(message.channel, &message.routing_key);
        Ok(Outbound {
            id: message.id.to_string(),
            exchange: message::short("exchange", &exchange)?,
            routing_key: message::short("routing key", &routing_key)?,
            // Nobody needs to listen to events; all else must find its queue.
            mandatory: message.channel != Channel::Events,
            properties: message::properties(message)?,
            body: message.body.clone(),
        })
    }

    /// A reply, through the default exchange, which leads to the queue of that name. Ours are not open to whoever may send
    /// requests.
    pub(super) fn of_reply(topology: &Topology, reply: &ReplyMessage) -> Result<Outbound, BrokerError> {
        if topology.is_ours(&reply.to) {
            return Err(BrokerError::Refused(format!("`{}` is a queue of Handover's own", reply.to)));
        }
        let id = Uuid::new_v4().to_string();
        Ok(Outbound {
            properties: message::reply_properties(reply, &id)?,
            id,
            exchange: ShortString::default(),
            routing_key: message::short("reply_to", &reply.to)?,
            mandatory: false,
            body: reply.body.clone(),
        })
    }

    /// What goes back, to its queue alone: others that are bound where it was published first have had it.
    pub(super) fn of_back(_: &Topology, back: &Result<Returned, BrokerError>) -> Result<Outbound, BrokerError> {
        let back = back.as_ref().map_err(Clone::clone)?;
        let id = back.properties.message_id().as_ref().map(ToString::to_string);
        Ok(Outbound {
            id: id.unwrap_or_default(),
            exchange: ShortString::default(),
            routing_key: message::short("queue's name", &back.queue)?,
            mandatory: true,
            properties: back.properties.clone(),
            body: back.body.clone(),
        })
    }

    /// Sends it and waits for its confirm. lapin numbers the message and queues it in the first poll, in one step, so
    /// one task may have many of these under way on a channel (and two tasks may not share one).
    pub(super) async fn send(self, place: usize, channel: lapin::Channel) -> (usize, lapin::Result<Confirmation>) {
        let options = BasicPublishOptions { mandatory: self.mandatory, immediate: false };
        let publish = channel.basic_publish(self.exchange, self.routing_key, options, &self.body, self.properties);
        let outcome = match publish.await {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        (place, outcome)
    }
}
