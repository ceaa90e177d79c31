//! Batches out. Each batch has a channel to itself, so that returned messages cannot be mistaken for another batch's;
//! idle channels are kept, a channel over which something went wrong is not.
//!
//! A batch is sent by a task of its own, which outlives its caller: a channel with open confirms must not be closed
//! (lapin would send the close before what it still has to send, and RabbitMQ would end the connection over that).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::Confirmation;
use lapin::options::ConfirmSelectOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::connection::{Link, Live};
use super::errors::{self, code};
use super::health::Health;
use super::outbound::{Outbound, Returned};
use super::topology::Topology;
use super::{AmqpSettings, BrokerError, Outgoing, ReplyMessage, spans};
use crate::trace::{self, Span};

/// Batches under way at a time; a further one waits for its turn within its time limit.
const LANES: usize = 8;

/// Messages of one batch sent and not confirmed yet. With [`LANES`] it bounds what lapin holds in memory.
const WINDOW: usize = 256;

/// At the time limit: how long to look at what has arrived already.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Clone)]
pub(super) struct Publisher(Arc<Shared>);

impl Publisher {
    pub(super) fn new(settings: &AmqpSettings, link: Link, topology: Arc<Topology>, health: Arc<Health>) -> Publisher {
        Publisher(Arc::new(Shared {
            limit: settings.publish_timeout,
            link,
            topology,
            health,
            turns: Arc::new(Semaphore::new(LANES)),
            ready: Mutex::new(None),
        }))
    }

    /// One result for each message, in their order, within the time limit.
    pub(super) async fn publish(&self, messages: &[Outgoing]) -> Vec<Result<(), BrokerError>> {
        if !trace::is_enabled() {
            return self.send_all(messages, Outbound::of).await;
        }
        let traced = messages.iter().map(|message| spans::of(&self.0.topology, message));
        let (spans, messages): (Vec<Span>, Vec<Outgoing>) = traced.unzip();
        let results = self.send_all(&messages, Outbound::of).await;
        spans.into_iter().zip(&results).for_each(|(span, result)| spans::end(span, result));
        results
    }

    /// As [`Publisher::publish`], for replies.
    pub(super) async fn reply(&self, replies: &[ReplyMessage]) -> Vec<Result<(), BrokerError>> {
        self.send_all(replies, Outbound::of_reply).await
    }

    /// As [`Publisher::publish`], for what goes back to a queue; what cannot go back stands there as its error.
    pub(super) async fn send_back(&self, backs: &[Result<Returned, BrokerError>]) -> Vec<Result<(), BrokerError>> {
        self.send_all(backs, Outbound::of_back).await
    }

    async fn send_all<T: Sync>(&self, messages: &[T], pack: Pack<T>) -> Vec<Result<(), BrokerError>> {
        let deadline = Instant::now() + self.0.limit;
        let mut fates = self.0.clone().send(messages, pack, deadline).await;
        // RabbitMQ closes the channel over a message it objects to, and does not say over which.
        if messages.len() > 1 && fates.iter().any(|fate| matches!(fate, Fate::Accused(_))) {
            for (fate, message) in fates.iter_mut().zip(messages) {
                if matches!(fate, Fate::Accused(_) | Fate::Failed(_)) {
                    let alone = self.0.clone().send(std::slice::from_ref(message), pack, deadline).await;
                    *fate = alone.into_iter().next().unwrap_or(Fate::Confirmed);
                }
            }
        }
        fates.into_iter().map(Fate::into_result).collect()
    }
}

/// Makes of a message what is sent.
type Pack<T> = fn(&Topology, &T) -> Result<Outbound, BrokerError>;

/// What became of one message.
#[derive(Clone)]
enum Fate {
    Confirmed,
    /// Not taken, for a reason of its own.
    Refused(String),
    /// It may be there or not.
    Failed(BrokerError),
    /// Its channel was closed over a message: this one, or another of its batch.
    Accused(String),
}

impl Fate {
    fn into_result(self) -> Result<(), BrokerError> {
        match self {
            Fate::Confirmed => Ok(()),
            Fate::Refused(why) | Fate::Accused(why) => Err(BrokerError::Refused(why)),
            Fate::Failed(error) => Err(error),
        }
    }
}

struct Shared {
    limit: Duration,
    link: Link,
    topology: Arc<Topology>,
    health: Arc<Health>,
    turns: Arc<Semaphore>,
    ready: Mutex<Option<Ready>>,
}

/// What is ready for use on the present connection.
struct Ready {
    live: Live,
    /// Whether the topology was declared since the connection was made, and nothing has looked wrong since.
    declared: bool,
    channels: Vec<lapin::Channel>,
}

/// A channel for one batch, and the right to be one of the batches under way.
struct ColumnArray {
    live: Live,
    channel: lapin::Channel,
    _turn: OwnedSemaphorePermit,
}

impl Shared {
    async fn send<T: Sync>(self: Arc<Shared>, messages: &[T], pack: Pack<T>, deadline: Instant) -> Vec<Fate> {
        let mut fates = vec![Fate::Confirmed; messages.len()];
        let mut outbound = Vec::with_capacity(messages.len());
        // The places of those in what the caller handed in.
        let mut indexes = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            match pack(&self.topology, message) {
                Ok(parcel) => {
                    outbound.push(parcel);
                    indexes.push(index);
                }
                Err(error) => fates[index] = Fate::Failed(error),
            }
        }
        if outbound.is_empty() {
            return fates;
        }
        let lane = timeout_at(deadline, self.lane()).await.unwrap_or(Err(BrokerError::TimedOut(self.limit)));
        let sent = match lane {
            Ok(lane) => {
                let (reply, sent) = oneshot::channel();
                tokio::spawn(self.carry(lane, outbound, deadline, reply));
                sent.await.map_err(|_| BrokerError::Unreachable("the runtime is shutting down".into()))
            }
            Err(error) => Err(error),
        };
        let sent = sent.unwrap_or_else(|error| vec![Fate::Failed(error); indexes.len()]);
        for (index, fate) in indexes.into_iter().zip(sent) {
            fates[index] = fate;
        }
        fates
    }

    async fn lane(&self) -> Result<ColumnArray, BrokerError> {
        // Before waiting for a turn too: while the broker blocks, those who have one may keep it for long.
        self.usable()?;
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| BrokerError::Unreachable("it was closed".into()))?;
        let live = self.usable()?;
        let (declared, idle) = self.take_idle(&live);
        if !declared {
            self.topology.declare(&live, self.limit).await?;
            self.set_declared(&live, true);
        }
        let channel = match idle {
            Some(channel) => channel,
            None => {
                let channel = live.open_channel().await?;
                let confirms = channel.confirm_select(ConfirmSelectOptions::default()).await;
                confirms.map_err(|error| errors::unreachable(&error))?;
                channel
            }
        };
        Ok(ColumnArray { live, channel, _turn: turn })
    }

    fn usable(&self) -> Result<Live, BrokerError> {
        let live = self.link.current()?;
        if live.is_blocked() {
            let why = self.health.why_blocked();
            return Err(BrokerError::Unreachable(format!("RabbitMQ blocks publishers: {why}")));
        }
        Ok(live)
    }

    /// Sends a batch, replies by the deadline, and stays until the channel can be given up.
    async fn carry(
        self: Arc<Shared>,
        lane: ColumnArray,
        outbound: Vec<Outbound>,
        deadline: Instant,
        reply: oneshot::Sender<Vec<Fate>>,
    ) {
        let mut tally = Tally::new(&outbound, self.limit);
        let mut outbound = outbound.into_iter().enumerate();
        let mut under_way = FuturesUnordered::new();
        let in_time = loop {
            while under_way.len() < WINDOW
                && let Some((place, parcel)) = outbound.next()
            {
                under_way.push(parcel.send(place, lane.channel.clone()));
            }
            tokio::select! {
                done = under_way.next() => match done {
                    Some((place, outcome)) => tally.note(place, outcome),
                    None => break true,
                },
                () = sleep_until(deadline) => break false,
            }
        };
        if !in_time {
            let look = async {
                while let Some((place, outcome)) = under_way.next().await {
                    tally.note(place, outcome);
                }
            };
            let _ = timeout(LAST_LOOK, look).await;
        }
        let fates = tally.close();
        if fates.iter().all(|fate| matches!(fate, Fate::Confirmed)) {
            self.put_back(lane);
            // The caller may have gone: then nobody needs to know.
            let _ = reply.send(fates);
            return;
        }
        // What was not taken may be for want of a queue or a binding: they are declared again before the next batch.
        self.set_declared(&lane.live, false);
        let _ = reply.send(fates);
        while timeout(self.limit, async { while under_way.next().await.is_some() {} }).await.is_err() {
            // Blocked, lapin holds back what it has to send until the broker takes it again: that can be waited for.
            if !lane.live.is_blocked() {
                tracing::warn!(broker = lane.live.place(), "RabbitMQ does not confirm: connecting anew");
                lane.live.cut();
            }
        }
    }

    fn take_idle(&self, live: &Live) -> (bool, Option<lapin::Channel>) {
        let mut ready = self.lock();
        match ready.as_mut().filter(|ready| ready.live.is_same(live)) {
            Some(ready) => (ready.declared, ready.channels.pop().filter(|channel| channel.status().connected())),
            None => {
                *ready = Some(Ready { live: live.clone(), declared: false, channels: Vec::new() });
                (false, None)
            }
        }
    }

    fn put_back(&self, lane: ColumnArray) {
        if let Some(ready) = self.lock().as_mut().filter(|ready| ready.live.is_same(&lane.live)) {
            ready.channels.push(lane.channel);
        }
    }

    fn set_declared(&self, live: &Live, declared: bool) {
        if let Some(ready) = self.lock().as_mut().filter(|ready| ready.live.is_same(live)) {
            ready.declared = declared;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Ready>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a batch so far.
struct Tally {
    /// Where each was sent: for the words of a refusal.
    sent_to: Vec<(String, String)>,
    fates: Vec<Fate>,
    /// Messages that came back, by id: lapin hands each out with whichever confirm comes next.
    returned: HashMap<String, String>,
}

impl Tally {
    fn new(outbound: &[Outbound], limit: Duration) -> Tally {
        let target = |parcel: &Outbound| format!("exchange `{}`, key `{}`", parcel.exchange, parcel.routing_key);
        Tally {
            sent_to: outbound.iter().map(|parcel| (parcel.id.clone(), target(parcel))).collect(),
            fates: vec![Fate::Failed(BrokerError::TimedOut(limit)); outbound.len()],
            returned: HashMap::new(),
        }
    }

    fn note(&mut self, place: usize, outcome: lapin::Result<Confirmation>) {
        let fate = match &outcome {
            Ok(Confirmation::Ack(_)) => Fate::Confirmed,
            Ok(Confirmation::Nack(_)) => {
                Fate::Refused("a negative confirm: its queue is full, or has no leader just now".into())
            }
            Ok(Confirmation::NotRequested) => {
                Fate::Failed(BrokerError::Unreachable("the channel does not confirm".into()))
            }
            Err(error) => self.fault(place, error),
        };
        self.fates[place] = fate;
        if let Some(returned) = outcome.ok().and_then(Confirmation::take_message)
            && let Some(id) = returned.delivery.properties.message_id()
        {
            self.returned.insert(id.to_string(), returned.reply_text.to_string());
        }
    }

    fn fault(&self, place: usize, error: &lapin::Error) -> Fate {
        match errors::said_by_broker(error) {
            Some((code::PRECONDITION_FAILED | code::CONTENT_TOO_LARGE, words)) => Fate::Accused(words),
            Some((code::ACCESS_REFUSED, words)) => Fate::Failed(BrokerError::Topology(format!(
                "{} may not be published to ({words}): give the user the permission to write it",
                self.sent_to[place].1
            ))),
            _ => Fate::Failed(errors::unreachable(error)),
        }
    }

    fn close(self) -> Vec<Fate> {
        let Tally { sent_to, fates, returned } = self;
        let judge = |((id, target), fate): ((String, String), Fate)| match returned.get(&id) {
            Some(words) => Fate::Refused(format!("no queue takes it ({words}; {target})")),
            None => fate,
        };
        sent_to.into_iter().zip(fates).map(judge).collect()
    }
}
