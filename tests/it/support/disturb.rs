//! Faults for a worker: failpoints that fail or hold its steps, and a broker that repeats messages or loses
//! acknowledgements.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use handover::broker::{
    Broker, BrokerError, Channel, Consumer, DeadLetterQueue, Depth, Incoming, Outgoing, Receipt, ReplyMessage,
};
use handover::stages::STEPS;
use handover::store::failpoint::{Failpoints, Point};
use handover::store::{Cause, Error, Result};
use handover::trace::MessageInfo;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fails every other transaction of each step at a point, starting with the first, and records the steps.
#[derive(Default)]
pub struct Faults {
    point: Option<Point>,
    passed: Mutex<BTreeMap<String, u32>>,
    failed: Mutex<BTreeSet<String>>,
}

impl Faults {
    pub fn none() -> Arc<Faults> {
        Arc::default()
    }

    pub fn at(point: Point) -> Arc<Faults> {
        Arc::new(Faults { point: Some(point), ..Faults::default() })
    }

    /// Returns the steps that reached their commit.
    pub fn reached(&self) -> BTreeSet<String> {
        locked(&self.passed).keys().cloned().collect()
    }

    /// Returns the steps that failed.
    pub fn failed(&self) -> BTreeSet<String> {
        locked(&self.failed).clone()
    }
}

impl Failpoints for Faults {
    fn at(&self, step: &str, point: Point) -> Result<()> {
        if !STEPS.contains(&step) || point != self.point.unwrap_or(Point::BeforeCommit) {
            return Ok(());
        }
        let times = *locked(&self.passed).entry(step.to_owned()).and_modify(|times| *times += 1).or_insert(1);
        if self.point.is_none() || times.is_multiple_of(2) {
            return Ok(());
        }
        locked(&self.failed).insert(step.to_owned());
        let cause = match point {
            Point::BeforeCommit => Cause::Contention { code: "40001".into(), message: "made to fail".into() },
            Point::AfterCommit => Cause::Away("the reply to the commit was made to be lost".into()),
        };
        Err(Error { doing: format!("committing {step}"), cause })
    }
}

/// Holds every transaction of a step before its commit until the gate opens.
pub struct Gate {
    step: &'static str,
    state: Mutex<(u64, bool)>,
    opened: Condvar,
}

/// A gate that is never opened times out, so that a failing test ends.
const NOBODY_CAME: Duration = Duration::from_secs(50);

impl Gate {
    pub fn before_commit_of(step: &'static str) -> Arc<Gate> {
        Arc::new(Gate { step, state: Mutex::default(), opened: Condvar::new() })
    }

    /// Counts the transactions that have reached the gate.
    pub fn arrived(&self) -> u64 {
        locked(&self.state).0
    }

    pub fn open(&self) {
        locked(&self.state).1 = true;
        self.opened.notify_all();
    }
}

impl Failpoints for Gate {
    fn at(&self, step: &str, point: Point) -> Result<()> {
        if step == self.step && point == Point::BeforeCommit {
            tokio::task::block_in_place(|| {
                let mut state = locked(&self.state);
                state.0 += 1;
                let wait = self.opened.wait_timeout_while(state, NOBODY_CAME, |(_, open)| !*open);
                drop(wait);
            });
        }
        Ok(())
    }
}

/// A disturbance of every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    None,
    /// Delivered twice and published twice.
    Twice,
    /// The first acknowledgement is lost, so the message is redelivered.
    LostAck,
}

/// A real broker with disturbances.
pub struct Disturbed {
    inner: Arc<dyn Broker>,
    how: Disturbance,
    notes: Arc<Notes>,
}

/// A record of all messages.
#[derive(Default)]
pub struct Notes {
    taken: Mutex<Vec<(Channel, Vec<u8>)>>,
    lost: Mutex<HashSet<String>>,
    lost_keys: Mutex<BTreeSet<String>>,
}

impl Notes {
    /// Returns every delivered message.
    pub fn taken(&self) -> Vec<(Channel, Vec<u8>)> {
        locked(&self.taken).clone()
    }

    /// Returns the routing keys of messages whose acknowledgement was lost.
    pub fn lost_keys(&self) -> BTreeSet<String> {
        locked(&self.lost_keys).clone()
    }
}

impl Disturbed {
    pub fn new(inner: Arc<dyn Broker>, how: Disturbance) -> (Arc<Disturbed>, Arc<Notes>) {
        let notes = Arc::new(Notes::default());
        (Arc::new(Disturbed { inner, how, notes: notes.clone() }), notes)
    }
}

#[async_trait]
impl Broker for Disturbed {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<std::result::Result<(), BrokerError>> {
        if self.how == Disturbance::Twice {
            self.inner.publish(messages).await;
        }
        self.inner.publish(messages).await
    }

    async fn reply(&self, replies: &[ReplyMessage]) -> Vec<std::result::Result<(), BrokerError>> {
        self.inner.reply(replies).await
    }

    async fn consume(&self, channel: Channel, prefetch: u16) -> std::result::Result<Box<dyn Consumer>, BrokerError> {
        let inner = self.inner.consume(channel, prefetch).await?;
        let consumer = DisturbedConsumer { inner, how: self.how, notes: self.notes.clone(), again: VecDeque::new() };
        Ok(Box::new(consumer))
    }

    async fn dead_letters(&self) -> std::result::Result<Box<dyn DeadLetterQueue>, BrokerError> {
        self.inner.dead_letters().await
    }

    fn is_external(&self) -> bool {
        self.inner.is_external()
    }

    fn health(&self) -> std::result::Result<(), String> {
        self.inner.health()
    }

    fn trace_info<'m>(&self, incoming: &'m Incoming) -> MessageInfo<'m> {
        self.inner.trace_info(incoming)
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn depths(&self) -> std::result::Result<Vec<Depth>, BrokerError> {
        self.inner.depths().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

struct DisturbedConsumer {
    inner: Box<dyn Consumer>,
    how: Disturbance,
    notes: Arc<Notes>,
    again: VecDeque<Incoming>,
}

impl DisturbedConsumer {
    fn disturb(&mut self, mut incoming: Incoming) -> Incoming {
        locked(&self.notes.taken).push((incoming.channel, incoming.body.clone()));
        match self.how {
            Disturbance::None => incoming,
            Disturbance::Twice => {
                let copy = copy_of(&incoming);
                self.again.push_back(incoming);
                copy
            }
            Disturbance::LostAck => {
                let name = incoming.id.clone().unwrap_or_else(|| String::from_utf8_lossy(&incoming.body).into_owned());
                let (inner, key, notes) = (incoming.receipt, incoming.routing_key.clone(), self.notes.clone());
                incoming.receipt = Box::new(LosingReceipt { inner, name, key, notes });
                incoming
            }
        }
    }
}

#[async_trait]
impl Consumer for DisturbedConsumer {
    async fn next(&mut self) -> Option<Incoming> {
        if let Some(again) = self.again.pop_front() {
            return Some(again);
        }
        let incoming = self.inner.next().await?;
        Some(self.disturb(incoming))
    }

    fn try_next(&mut self) -> Option<Incoming> {
        if let Some(again) = self.again.pop_front() {
            return Some(again);
        }
        let incoming = self.inner.try_next()?;
        Some(self.disturb(incoming))
    }

    async fn stop(&mut self) {
        for incoming in self.again.drain(..) {
            incoming.receipt.requeue().await.expect("requeued");
        }
        self.inner.stop().await;
    }
}

fn copy_of(incoming: &Incoming) -> Incoming {
    Incoming {
        id: incoming.id.clone(),
        source: incoming.source.clone(),
        routing_key: incoming.routing_key.clone(),
        channel: incoming.channel,
        headers: incoming.headers.clone(),
        sender: incoming.sender.clone(),
        content_type: incoming.content_type.clone(),
        reply_to: incoming.reply_to.clone(),
        correlation_id: incoming.correlation_id.clone(),
        body: incoming.body.clone(),
        body_bytes: incoming.body_bytes,
        published: incoming.published,
        receipt: Box::new(NoReceipt),
    }
}

/// Acknowledges nothing: this is a copy, and the original will be acknowledged.
struct NoReceipt;

#[async_trait]
impl Receipt for NoReceipt {
    async fn ack(self: Box<Self>) -> std::result::Result<(), BrokerError> {
        Ok(())
    }

    async fn requeue(self: Box<Self>) -> std::result::Result<(), BrokerError> {
        Ok(())
    }
}

/// Loses the first acknowledgement of each message, as if the worker died between commit and acknowledgement.
struct LosingReceipt {
    inner: Box<dyn Receipt>,
    name: String,
    key: String,
    notes: Arc<Notes>,
}

#[async_trait]
impl Receipt for LosingReceipt {
    async fn ack(self: Box<Self>) -> std::result::Result<(), BrokerError> {
        if locked(&self.notes.lost).insert(self.name) {
            locked(&self.notes.lost_keys).insert(self.key);
            return self.inner.requeue().await;
        }
        self.inner.ack().await
    }

    async fn requeue(self: Box<Self>) -> std::result::Result<(), BrokerError> {
        self.inner.requeue().await
    }
}
