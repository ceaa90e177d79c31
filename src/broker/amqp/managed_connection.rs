//! A connection to RabbitMQ that is watched, and replaced when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::Event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::broken_queue::QueueWatch;
use super::dial::{Connection, dial};
use super::errors;
use super::health::{Health, Purpose};
use super::settings::AmqpSettings;
use crate::broker::error::BrokerError;
use crate::metrics;
use crate::retry::{Retries, RetryPolicy};

/// The interval at which the state of a connection is polled, in addition to its events.
const POLL: Duration = Duration::from_secs(1);

/// The current connection for one purpose. It ends with the token it was opened with.
#[derive(Clone)]
pub(super) struct ManagedConnection {
    purpose: Purpose,
    current: watch::Receiver<Option<Connection>>,
}

impl ManagedConnection {
    /// Connects once; from then on reconnects whenever the connection is lost. `queue_watch` observes the losses of a
    /// consuming connection.
    pub(super) async fn open(
        purpose: Purpose,
        queue_watch: Option<QueueWatch>,
        settings: Arc<AmqpSettings>,
        health: Arc<Health>,
        closing: CancellationToken,
    ) -> Result<ManagedConnection, BrokerError> {
        let connection = dial(&settings, purpose).await?;
        let (sender, current) = watch::channel(Some(connection.clone()));
        tokio::spawn(Supervisor { purpose, queue_watch, settings, health, closing }.run(connection, sender));
        Ok(ManagedConnection { purpose, current })
    }

    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Returns the connection, if it is open now.
    pub(super) fn current(&self) -> Result<Connection, BrokerError> {
        if let Some(connection) = self.current.borrow().as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        let state = if self.current.has_changed().is_ok() { "is being rebuilt" } else { "was closed" };
        Err(BrokerError::Unreachable(format!("the connection for {} {state}", self.purpose.name())))
    }

    /// Waits for an open connection. Returns `None` if there will be no more.
    pub(super) async fn connected(&self) -> Option<Connection> {
        let mut current = self.current.clone();
        let open = |connection: &Option<Connection>| connection.as_ref().is_some_and(Connection::is_open);
        current.wait_for(open).await.ok().and_then(|connection| connection.clone())
    }

    /// Waits until the supervisor has closed the connection for good.
    pub(super) async fn ended(&self) {
        let mut current = self.current.clone();
        while current.changed().await.is_ok() {}
    }
}

/// Reconnects whenever the connection ends.
struct Supervisor {
    purpose: Purpose,
    queue_watch: Option<QueueWatch>,
    settings: Arc<AmqpSettings>,
    health: Arc<Health>,
    closing: CancellationToken,
}

impl Supervisor {
    async fn run(mut self, mut connection: Connection, current: watch::Sender<Option<Connection>>) {
        let (purpose, closing) = (self.purpose.name(), self.closing.clone());
        let mut retries = RetryPolicy::RECONNECT.start("connecting to RabbitMQ");
        let mut opened = Instant::now();
        while let Some(reason) = closing.run_until_cancelled(self.lost(&connection)).await {
            tracing::warn!(purpose, broker = connection.address(), reason, "connection lost; reconnecting");
            self.health.connection_lost(self.purpose, reason.clone());
            current.send_replace(None);
            connection.cut();
            retries.reset_if_lasted(opened.elapsed());
            let next = async {
                if let Some(watch) = &mut self.queue_watch {
                    watch.connection_ended(&reason, opened.elapsed()).await;
                }
                self.redial(&mut retries).await
            };
            let Some(next) = closing.run_until_cancelled(next).await else { break };
            connection = next;
            opened = Instant::now();
            tracing::info!(purpose, broker = connection.address(), "reconnected");
            metrics::reconnected(purpose);
            self.health.connected(self.purpose);
            current.send_replace(Some(connection.clone()));
        }
        self.health.connection_lost(self.purpose, "it was closed".into());
        current.send_replace(None);
        connection.close().await;
    }

    /// Waits until the connection ends, and returns the reason. Reports blocking to the health meanwhile.
    async fn lost(&self, connection: &Connection) -> String {
        let mut events = connection.events();
        let mut polls = tokio::time::interval(POLL);
        let purpose = self.purpose.name();
        let mut has_ended = false;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = polls.tick() => None,
            };
            match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(purpose, reason, "RabbitMQ blocks publishers");
                    self.health.set_blocked(Some(reason));
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!(purpose, "RabbitMQ accepts messages again");
                    self.health.set_blocked(None);
                }
                // Errors of single channels arrive here too.
                Some(Event::Error(error)) if !connection.is_open() => return errors::message(&error),
                // The reason may arrive a moment after the end.
                None if has_ended => return "it ended".into(),
                None => has_ended = !connection.is_open(),
                Some(_) => {}
            }
        }
    }

    /// Reconnects. Pauses before each attempt, the first one too: a connection that is lost as soon as it is made must not
    /// loop without a pause.
    async fn redial(&mut self, retries: &mut Retries) -> Connection {
        let mut failure = String::from("the connection was lost");
        loop {
            retries.wait_after(&failure).await;
            match dial(&self.settings, self.purpose).await {
                Ok(connection) => return connection,
                Err(error) => failure = errors::reason(&error),
            }
            self.health.connection_lost(self.purpose, failure.clone());
            if let Some(watch) = &mut self.queue_watch {
                watch.server_away();
            }
        }
    }
}
