//! Conversions between messages and AMQP properties.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, DecimalValue, FieldTable, ShortString};
use time::OffsetDateTime;

use crate::broker::error::BrokerError;
use crate::broker::message::{Channel, Outgoing, ReplyMessage};

/// The delivery mode of a message that survives a restart of the broker.
pub(super) const PERSISTENT: u8 = 2;

/// All properties travel in one frame, and RabbitMQ closes the connection over a frame that is too large (131,072 bytes by
/// default). So a message with larger headers is refused here, on its own.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Returns the properties of a message. `account`: our account, if the message states it. Fails with [`BrokerError::Refused`] if they exceed AMQP's limits: 255 bytes for keys,
/// types and header names, 64 KiB for all headers.
pub(super) fn of_message(message: &Outgoing, account: Option<&str>) -> Result<BasicProperties, BrokerError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let properties = BasicProperties::default()
        .with_message_id(short("message_id", &message.id.to_string())?)
        .with_content_type(short("content type", &message.content_type)?)
        .with_delivery_mode(PERSISTENT)
        .with_timestamp(now)
        .with_headers(outgoing_headers(&message.headers)?);
    let properties = match account {
        Some(account) => properties.with_user_id(short("user_id", account)?),
        None => properties,
    };
    Ok(match message.channel {
        // An event's routing key is its type.
        Channel::Events => properties.with_type(short("type", &message.routing_key)?),
        Channel::Requests | Channel::Steps | Channel::Dead => properties,
    })
}

/// Returns the properties of a reply. It is not persistent, because the requester waits for it now.
pub(super) fn of_reply(reply: &ReplyMessage, id: &str) -> Result<BasicProperties, BrokerError> {
    let properties = BasicProperties::default()
        .with_message_id(short("message_id", id)?)
        .with_type(short("type", &reply.kind)?)
        .with_content_type(short("content type", &reply.content_type)?)
        .with_headers(outgoing_headers(&reply.headers)?);
    match &reply.correlation_id {
        Some(id) => Ok(properties.with_correlation_id(short("correlation_id", id)?)),
        None => Ok(properties),
    }
}

/// Converts a text to AMQP's short form of at most 255 bytes. lapin's own conversion panics on a longer text.
pub(super) fn short(field: &str, value: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(value)
        .map_err(|_| BrokerError::Refused(format!("its {field} has {} bytes; AMQP allows 255", value.len())))
}

fn outgoing_headers(headers: &BTreeMap<String, String>) -> Result<FieldTable, BrokerError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_HEADER_BYTES {
        return Err(BrokerError::Refused(format!(
            "its headers have {bytes} bytes; at most {MAX_HEADER_BYTES} are allowed"
        )));
    }
    let mut table = FieldTable::default();
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        table.insert(short("header name", name)?, AMQPValue::LongString(value.as_bytes().into()));
    }
    Ok(table)
}

/// Returns the headers of a received message that are text or numbers, as text.
pub(super) fn incoming_headers(delivery: &Delivery) -> BTreeMap<String, String> {
    let Some(table) = delivery.properties.headers() else {
        return BTreeMap::new();
    };
    table.into_iter().filter_map(|(name, value)| Some((name.to_string(), as_text(value)?))).collect()
}

/// Returns the publisher's timestamp. AMQP has only whole seconds.
pub(super) fn published(delivery: &Delivery) -> Option<OffsetDateTime> {
    let seconds = i64::try_from((*delivery.properties.timestamp())?).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()
}

fn as_text(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok()?.to_owned(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::ShortShortInt(number) => number.to_string(),
        AMQPValue::ShortShortUInt(number) => number.to_string(),
        AMQPValue::ShortInt(number) => number.to_string(),
        AMQPValue::ShortUInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongUInt(number) => number.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::Timestamp(seconds) => seconds.to_string(),
        AMQPValue::Float(number) => number.to_string(),
        AMQPValue::Double(number) => number.to_string(),
        AMQPValue::DecimalValue(DecimalValue { scale, value }) => format!("{value}e-{scale}"),
        AMQPValue::Boolean(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::ByteArray(_)
        | AMQPValue::Void => return None,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn message() -> Outgoing {
        Outgoing {
            id: Uuid::nil(),
            channel: Channel::Steps,
            routing_key: "step.cut".into(),
            content_type: "application/json".into(),
            headers: BTreeMap::from([("tried".into(), "3".into()), ("nothing".into(), String::new())]),
            body: b"{}".to_vec(),
        }
    }

    #[test]
    fn empty_headers_are_not_sent() {
        let mut delivery = Delivery::mock(1, "".into(), "".into(), false, Vec::new());
        delivery.properties = of_message(&message(), None).expect("fits");
        assert_eq!(incoming_headers(&delivery), BTreeMap::from([("tried".to_owned(), "3".to_owned())]));
        assert_eq!(delivery.properties.delivery_mode(), &Some(PERSISTENT));
    }

    #[test]
    fn events_carry_their_type() {
        let event = Outgoing { channel: Channel::Events, routing_key: "handover.x".into(), ..message() };
        let kind =
            |message: &Outgoing| of_message(message, None).expect("fits").kind().as_ref().map(ToString::to_string);
        assert_eq!((kind(&event), kind(&message())), (Some("handover.x".to_owned()), None));
    }

    #[test]
    fn only_text_and_number_headers_are_received() {
        let mut table = FieldTable::default();
        table.insert("text".into(), AMQPValue::LongString("é".into()));
        table.insert("number".into(), AMQPValue::LongLongInt(-7));
        table.insert("price".into(), AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 314 }));
        table.insert("bytes".into(), AMQPValue::LongString(vec![0xff, 0xfe].into()));
        table.insert("flag".into(), AMQPValue::Boolean(true));
        table.insert("x-death".into(), AMQPValue::FieldTable(FieldTable::default()));
        let mut delivery = Delivery::mock(1, "".into(), "".into(), false, Vec::new());
        delivery.properties = BasicProperties::default().with_headers(table);
        let expected = [("number", "-7"), ("price", "314e-2"), ("text", "é")];
        assert_eq!(
            incoming_headers(&delivery),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
        );
    }

    #[test]
    fn properties_over_amqp_limits_are_refused() {
        for spoil in [
            |message: &mut Outgoing| message.content_type = "x".repeat(256),
            |message: &mut Outgoing| drop(message.headers.insert("x".repeat(256), "1".into())),
            |message: &mut Outgoing| drop(message.headers.insert("detail".into(), "x".repeat(70_000))),
        ] {
            let mut message = message();
            spoil(&mut message);
            assert!(matches!(of_message(&message, None), Err(BrokerError::Refused(_))));
        }
    }
}
