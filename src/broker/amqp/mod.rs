//! RabbitMQ, 3.10 and newer. Only this folder uses lapin.
//!
//! | file | holds |
//! |---|---|
//! | `broker` | [`AmqpBroker`] |
//! | `settings` | [`AmqpSettings`] |
//! | `address` | the addresses in `broker.url` |
//! | `tls` | the trusted authority and our certificate |
//! | `dial` | opening a connection |
//! | `managed_connection` | watching a connection and replacing it when it ends |
//! | `topology` | exchanges, queues and bindings: names, arguments, declarations |
//! | `publisher` | publishing batches with confirms and returns |
//! | `batch_results` | the outcome of each message of a batch |
//! | `outbound` | messages with their destinations and properties, ready to send |
//! | `consumer` | receiving messages, and acknowledging them |
//! | `dead_letters` | the dead-letter queue |
//! | `senders` | who sent a message, by `user_id` |
//! | `properties` | AMQP properties of messages |
//! | `spans` | spans of messages |
//! | `errors` | errors of lapin and RabbitMQ as [`BrokerError`](super::BrokerError) |
//! | `health` | the current problems |
//! | `broken_queue` | queues that exist in name only |
//! | `diagnose` | a read-only check |
//!
//! One connection publishes. RabbitMQ stops reading from a publishing connection when memory or disk runs short, and
//! acknowledgements must still get through. Each queue is consumed on its own connection, so that a queue over which RabbitMQ
//! fails takes no other queue with it. A supervisor replaces each connection when it ends; its users open their own channels
//! and declare the topology. lapin's own recovery stays off: after an error of a single channel it leaves the consumer silent
//! forever.

mod address;
mod batch_results;
mod broken_queue;
mod broker;
mod consumer;
mod dead_letters;
mod diagnose;
mod dial;
mod errors;
mod health;
mod managed_connection;
mod outbound;
mod properties;
mod publisher;
mod senders;
mod settings;
mod spans;
mod tls;
mod topology;

pub(super) use address::{label, principals_fault};
pub use broker::AmqpBroker;
pub(super) use diagnose::diagnose;
pub use settings::AmqpSettings;
pub use tls::TlsFiles;
