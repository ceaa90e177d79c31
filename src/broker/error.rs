//! Errors between Handover and its broker.

/// An error between Handover and its broker.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// No connection or channel is usable now; Handover is rebuilding it.
    #[error("the broker is unavailable: {0}")]
    Unreachable(String),
    /// The broker did not confirm within the time limit; it may be blocking publishers.
    #[error("the broker did not confirm within {0:?}")]
    TimedOut(std::time::Duration),
    /// The broker rejected the message, or returned it because no queue takes it.
    #[error("the broker rejected the message: {0}")]
    Refused(String),
    /// The settings are wrong: a faulty address, wrong credentials, no such virtual host. Retrying does not help.
    #[error("{0}")]
    Configuration(String),
    /// A queue or exchange on the broker differs from what Handover declares, or may not be declared. The text names
    /// it and says how to fix it.
    #[error("{0}")]
    Topology(String),
    /// The database behind the embedded broker failed.
    #[error("cannot use the outbox: {0}")]
    Outbox(String),
}
