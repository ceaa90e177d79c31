//! What lapin and RabbitMQ say, as a [`BrokerError`] that says what to do.

use lapin::ErrorKind;

use super::BrokerError;

/// The error codes of AMQP 0-9-1 that are told apart (section 1.2, reply codes).
pub(super) mod code {
    pub(in crate::broker::amqp) const CONTENT_TOO_LARGE: u16 = 311;
    pub(in crate::broker::amqp) const ACCESS_REFUSED: u16 = 403;
    pub(in crate::broker::amqp) const RESOURCE_LOCKED: u16 = 405;
    pub(in crate::broker::amqp) const PRECONDITION_FAILED: u16 = 406;
    pub(in crate::broker::amqp) const NOT_ALLOWED: u16 = 530;
}

/// What RabbitMQ itself said: the code and its words. `None` if the error came about on our side or on the way.
pub(super) fn said_by_broker(error: &lapin::Error) -> Option<(u16, String)> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().to_string())),
        _ => None,
    }
}

/// In RabbitMQ's words where it said something, else in lapin's.
pub(super) fn words(error: &lapin::Error) -> String {
    match (said_by_broker(error), error.kind()) {
        (Some((_, words)), _) => words,
        (None, ErrorKind::IOError(error)) => error.to_string(),
        (None, _) => error.to_string(),
    }
}

/// An error after which the connection or the channel is rebuilt.
pub(super) fn unreachable(error: &lapin::Error) -> BrokerError {
    BrokerError::Unreachable(words(error))
}

/// Whether RabbitMQ failed itself (541): it says so in the first of its words.
pub(super) fn is_internal(words: &str) -> bool {
    words.starts_with("INTERNAL_ERROR")
}

/// The error's own words, without the sentence around them.
pub(super) fn reason(error: &BrokerError) -> String {
    match error {
        BrokerError::Unreachable(reason) => reason.clone(),
        error => error.to_string(),
    }
}
