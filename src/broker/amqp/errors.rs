//! Errors of lapin and RabbitMQ, converted to [`BrokerError`].

use lapin::ErrorKind;

use crate::broker::error::BrokerError;

/// The reply codes of AMQP 0-9-1 that Handover distinguishes (the specification's list of constants).
pub(super) mod code {
    pub(in crate::broker::amqp) const CONTENT_TOO_LARGE: u16 = 311;
    pub(in crate::broker::amqp) const ACCESS_REFUSED: u16 = 403;
    pub(in crate::broker::amqp) const NOT_FOUND: u16 = 404;
    pub(in crate::broker::amqp) const RESOURCE_LOCKED: u16 = 405;
    pub(in crate::broker::amqp) const PRECONDITION_FAILED: u16 = 406;
    pub(in crate::broker::amqp) const NOT_ALLOWED: u16 = 530;
}

/// Returns RabbitMQ's reply code and text. Returns `None` if the error arose on our side or on the way.
pub(super) fn reply(error: &lapin::Error) -> Option<(u16, String)> {
    let ErrorKind::ProtocolError(error) = error.kind() else { return None };
    Some((error.get_id(), error.get_message().to_string()))
}

/// Returns RabbitMQ's text if it sent one, else the I/O error's, else lapin's.
pub(super) fn message(error: &lapin::Error) -> String {
    match (reply(error), error.kind()) {
        (Some((_, text)), _) => text,
        (None, ErrorKind::IOError(io_error)) => io_error.to_string(),
        (None, _) => error.to_string(),
    }
}

/// Converts an error after which the connection or the channel is rebuilt.
pub(super) fn unreachable(error: &lapin::Error) -> BrokerError {
    BrokerError::Unreachable(message(error))
}

/// Returns true if RabbitMQ itself failed (541); the text starts with the name of the code.
pub(super) fn is_internal(text: &str) -> bool {
    text.starts_with("INTERNAL_ERROR")
}

/// Returns the error's text; for `Unreachable`, without the prefix that its display adds.
pub(super) fn reason(error: &BrokerError) -> String {
    match error {
        BrokerError::Unreachable(reason) => reason.clone(),
        BrokerError::TimedOut(_)
        | BrokerError::Refused(_)
        | BrokerError::Configuration(_)
        | BrokerError::Topology(_)
        | BrokerError::Outbox(_) => error.to_string(),
    }
}
