//! Our messages as AMQP properties, and back.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, DecimalValue, FieldTable, ShortString};
use time::OffsetDateTime;

use super::{BrokerError, Outgoing, ReplyMessage};

/// AMQP's delivery mode of a message that outlives a restart of the broker.
pub(super) const PERSISTENT: u8 = 2;

/// All properties travel in one frame, and RabbitMQ ends the connection over one that is too large (131,072 bytes by
/// default). So a message with more is refused here, alone.
const MOST_HEADER_BYTES: usize = 64 * 1024;

/// The properties of a message. [`BrokerError::Refused`] if AMQP has no room for it: keys, types and header names of
/// more than 255 bytes, headers of more than 64 KiB.
pub(super) fn properties(message: &Outgoing) -> Result<BasicProperties, BrokerError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(BasicProperties::default()
        .with_message_id(short("message_id", &message.id.to_string())?)
        .with_content_type(short("content type", &message.content_type)?)
        .with_delivery_mode(PERSISTENT)
        .with_timestamp(now)
        .with_headers(outgoing_headers(&message.headers)?))
}

/// The properties of a reply. It is not persistent: whoever waits for it does so now.
pub(super) fn reply_properties(reply: &ReplyMessage, id: &str) -> Result<BasicProperties, BrokerError> {
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

/// A name in AMQP's short form, of at most 255 bytes; lapin's own conversion panics on a longer one.
pub(super) fn short(what: &str, value: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(value)
        .map_err(|_| BrokerError::Refused(format!("its {what} has {} bytes; AMQP allows 255", value.len())))
}

fn outgoing_headers(headers: &BTreeMap<String, String>) -> Result<FieldTable, BrokerError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MOST_HEADER_BYTES {
        return Err(BrokerError::Refused(format!("its headers have {bytes} bytes; {MOST_HEADER_BYTES} fit")));
    }
    let mut table = FieldTable::default();
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        table.insert(short("header's name", name)?, AMQPValue::LongString(value.as_bytes().into()));
    }
    Ok(table)
}

/// The headers of a message that arrived, as far as they are text or numbers.
pub(super) fn incoming_headers(delivery: &Delivery) -> BTreeMap<String, String> {
    let Some(table) = delivery.properties.headers() else {
        return BTreeMap::new();
    };
    table.into_iter().filter_map(|(name, value)| Some((name.to_string(), as_text(value)?))).collect()
}

/// When a message was published, as its publisher says: seconds, which is all that AMQP has.
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

    use super::super::Channel;
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
    fn headers_survive_and_one_of_no_value_is_left_out() {
        let mut delivery = Delivery::mock(1, "".into(), "".into(), false, Vec::new());
        delivery.properties = properties(&message()).expect("fits");
        assert_eq!(incoming_headers(&delivery), BTreeMap::from([("tried".to_owned(), "3".to_owned())]));
        assert_eq!(delivery.properties.delivery_mode(), &Some(PERSISTENT));
    }

    #[test]
    fn headers_of_text_and_numbers_arrive_and_others_do_not() {
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
    fn what_amqp_has_no_room_for_is_refused_and_does_not_panic() {
        for spoil in [
            |message: &mut Outgoing| message.content_type = "x".repeat(256),
            |message: &mut Outgoing| drop(message.headers.insert("x".repeat(256), "1".into())),
            |message: &mut Outgoing| drop(message.headers.insert("detail".into(), "x".repeat(70_000))),
        ] {
            let mut message = message();
            spoil(&mut message);
            assert!(matches!(properties(&message), Err(BrokerError::Refused(_))));
        }
    }
}
