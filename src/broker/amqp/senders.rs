//! The senders of messages, by `user_id`. RabbitMQ accepts a message only if its `user_id` is the account that publishes it.

use std::collections::BTreeMap;

use lapin::BasicProperties;

use super::address::account;
use super::settings::AmqpSettings;
use crate::broker::error::BrokerError;
use crate::broker::sender::{PRINCIPAL, Sender};
use crate::contract::Principal;

/// Our own account, and the principals of others.
pub(super) struct Senders {
    own: String,
    principals: BTreeMap<String, Principal>,
}

impl Senders {
    pub(super) fn of(settings: &AmqpSettings) -> Result<Senders, BrokerError> {
        Ok(Senders { own: account(settings)?, principals: settings.principals.clone() })
    }

    /// Returns the account that our own messages state; nothing if no principals are listed.
    pub(super) fn stated(&self) -> Option<&str> {
        (!self.principals.is_empty()).then_some(self.own.as_str())
    }

    /// Returns our own account.
    pub(super) fn own(&self) -> &str {
        &self.own
    }

    /// Returns the sender of a message with these properties. Only our own account may say that another has sent it.
    pub(super) fn sender(&self, properties: &BasicProperties, headers: &BTreeMap<String, String>) -> Sender {
        if self.principals.is_empty() {
            return Sender::Claimed;
        }
        let account = properties.user_id().as_ref().map(ToString::to_string);
        if account.as_deref() != Some(self.own.as_str()) {
            return Sender::of_account(account, &self.principals);
        }
        headers.get(PRINCIPAL).map_or(Sender::Claimed, |header| Sender::of_header(header, &self.principals))
    }
}
