//! Message transport: one trait, [`Broker`], with two implementations.
//!
//! [`amqp`] is RabbitMQ and the only module that uses lapin. [`local`] is the embedded default: the ledger's outbox table is
//! the queue. A message only says *look here*, so a lost, repeated or reordered message changes nothing. The trait therefore
//! promises little: a published message was confirmed, and an unacknowledged one is redelivered.
//!
//! To add a broker, write a folder that implements [`Broker`] and [`DeadLetterQueue`], and add a variant to [`Settings`].
//!
//! | file | holds |
//! |---|---|
//! | `api` | the traits [`Broker`] and [`Consumer`] |
//! | `message` | channels, messages in both directions, and [`Receipt`] |
//! | `sender` | [`Sender`]: who sent a message |
//! | `dead_letter` | dead letters and [`DeadLetterQueue`] |
//! | `diagnosis` | the findings of [`Settings::diagnose`] |
//! | `error` | [`BrokerError`] |
//! | `settings` | the `[broker]` section, and [`open`] |

pub mod amqp;
mod api;
mod dead_letter;
mod diagnosis;
mod error;
pub mod local;
mod message;
mod sender;
mod settings;

pub use self::api::{Broker, Consumer, Depth};
pub use self::dead_letter::{BROKER_REASONS, DeadLetter, DeadLetterQueue, REPLAYED_AT, REPLAYS, ROUTING_KEY};
pub use self::diagnosis::{Finding, NO_WORKER_HINT, Status};
pub use self::error::BrokerError;
pub use self::message::{Channel, Incoming, Outgoing, Receipt, ReplyMessage};
pub use self::sender::{PRINCIPAL, Sender, are_principals};
pub use self::settings::{CONNECT_HINT, Section, Settings, open};
