//! Lists dead letters, and replays or drops them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::{Error, Result};
use crate::broker::{BROKER_REASONS, Broker, BrokerError, DeadLetter, DeadLetterQueue, REPLAYED_AT};
use crate::contract::DeadLetterCode;
use crate::stages::now;
use crate::store::Store;
use crate::store::ledger::audit;

/// Messages that are replayed or dropped at a time.
const BATCH: usize = 100;

/// A filter for dead letters: a message must pass every test that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Ids in the dead-letter queue, or original ids.
    pub ids: Vec<String>,
    /// Reason codes.
    pub reasons: Vec<String>,
    /// The original queue.
    pub queue: Option<String>,
    /// The organization of the request.
    pub org: Option<String>,
    /// The minimum time since the message was set aside.
    pub older_than: Option<Duration>,
    /// The maximum time since the message was set aside.
    pub newer_than: Option<Duration>,
    /// A text in the body or the reason, in upper or lower case.
    pub text: Option<String>,
}

/// A dead letter as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeadLetterView {
    /// The id in the dead-letter queue.
    pub id: Option<String>,
    /// The original id.
    pub message_id: Option<String>,
    /// The reason code.
    pub reason: String,
    /// The reason as text; the broker gives none.
    pub detail: String,
    /// The hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The path of the faulty field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The original queue.
    pub queue: String,
    /// True if the broker gave the message up.
    pub by_broker: bool,
    /// The time when it was set aside.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>")]
    pub at: Option<OffsetDateTime>,
    /// The organization of the request.
    pub org_id: Option<String>,
    /// The idempotency key of the request.
    pub request_id: Option<String>,
    /// The number of replays.
    pub replays: u32,
    /// The time of the last replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_at: Option<String>,
    /// The size of the body.
    pub bytes: usize,
    /// The MIME type of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// The body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// An action on dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send them back to their original queues.
    Replay,
    /// Remove them for good.
    Drop,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 2] = [Action::Replay, Action::Drop];

    /// Returns the action's name in the audit trail.
    pub fn audited(self) -> &'static str {
        match self {
            Action::Replay => "dead.replay",
            Action::Drop => "dead.drop",
        }
    }
}

/// Dead letters that pass a filter, held for the caller until they are worked on or released.
pub struct Selection {
    queue: Box<dyn DeadLetterQueue>,
    /// The messages that pass.
    pub matching: Vec<DeadLetter>,
    /// The number of all messages in the queue.
    pub total: usize,
    /// The time of the selection.
    now: OffsetDateTime,
}

/// A dead letter and the result of working on it.
pub type Processed = (DeadLetter, std::result::Result<(), BrokerError>);

impl Filter {
    /// Returns true if every message passes.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    fn passes(&self, message: &DeadLetter, now: OffsetDateTime) -> bool {
        let is_named = [&message.id, &message.message_id].into_iter().flatten().any(|id| self.ids.contains(id));
        let age = message.at.map(|at| now - at);
        // A message of unknown time passes no test of its age.
        let is_older = |than: &Duration| age.is_some_and(|age| age >= *than);
        let is_newer = |than: &Duration| age.is_some_and(|age| age <= *than);
        (self.ids.is_empty() || is_named)
            && (self.reasons.is_empty() || self.reasons.iter().any(|reason| reason == message.reason()))
            && self.queue.as_deref().is_none_or(|wanted| wanted == message.queue_name() || wanted == message.queue)
            && self.org.as_ref().is_none_or(|org| message.names().0.as_ref() == Some(org))
            && self.older_than.iter().all(is_older)
            && self.newer_than.iter().all(is_newer)
            && self.text.as_deref().is_none_or(|text| holds(message, text))
    }
}

/// Returns true if a message has a text in its body or its reason.
fn holds(message: &DeadLetter, text: &str) -> bool {
    let text = text.to_lowercase();
    let body = String::from_utf8_lossy(&message.body);
    [&*body, message.reason(), message.detail()].into_iter().any(|part| part.to_lowercase().contains(&text))
}

/// The ids and reasons of all messages in the queue, as far as a filter asks for them.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<String>,
    reasons: BTreeSet<String>,
}

impl Seen {
    fn add(&mut self, message: &DeadLetter) {
        self.ids.extend([&message.id, &message.message_id].into_iter().flatten().cloned());
        self.reasons.insert(message.reason().to_owned());
    }

    /// Checks that the messages that a filter names are there, and that its reasons are known or occur.
    fn check(&self, filter: &Filter) -> Result<()> {
        let known = || DeadLetterCode::ALL.iter().map(|code| code.name()).chain(BROKER_REASONS);
        let is_known = |reason: &String| self.reasons.contains(reason) || known().any(|known| known == reason);
        if let Some(reason) = filter.reasons.iter().find(|reason| !is_known(reason)) {
            let known = known().map(str::to_owned).chain(self.reasons.iter().cloned()).collect::<BTreeSet<_>>();
            return Err(Error::UnknownReason { reason: reason.clone(), known: known.into_iter().collect() });
        }
        let unknown: Vec<String> = filter.ids.iter().filter(|id| !self.ids.contains(*id)).cloned().collect();
        if unknown.is_empty() { Ok(()) } else { Err(Error::UnknownDeadLetters(unknown)) }
    }
}

/// Lists the dead letters that pass a filter, oldest first. `is_whole`: true to include headers and
/// bodies. Releases the messages before it returns: a slow reader must not keep them from others.
pub async fn list(broker: &dyn Broker, filter: &Filter, is_whole: bool) -> Result<Vec<DeadLetterView>> {
    let mut queue = broker.dead_letters().await?;
    let now = now();
    let (mut views, mut seen) = (Vec::new(), Seen::default());
    while let Some(message) = queue.next().await? {
        seen.add(&message);
        if filter.passes(&message, now) {
            views.push(DeadLetterView::of(&message, is_whole));
        }
    }
    queue.release().await?;
    seen.check(filter)?;
    Ok(views)
}

/// The messages that are read for a page, at most. The queue can only be read from its oldest message on.
pub const MOST_READ: usize = 10_000;

/// A page of the dead letters that pass a filter.
pub struct DeadLetterPage {
    /// The entries.
    pub views: Vec<DeadLetterView>,
    /// True if others follow.
    pub has_more: bool,
    /// True if the queue may have more messages, which are newer than the [`MOST_READ`] that were read.
    pub is_cut: bool,
}

/// Lists `limit` dead letters that pass a filter, oldest first, after the first `skip`. Reads the queue no further than that needs.
pub async fn page(broker: &dyn Broker, filter: &Filter, skip: usize, limit: usize) -> Result<DeadLetterPage> {
    let mut queue = broker.dead_letters().await?;
    let now = now();
    let (mut views, mut passed, mut read, mut seen) = (Vec::new(), 0, 0, Seen::default());
    let mut is_at_end = false;
    while read < MOST_READ && views.len() <= limit {
        let Some(message) = queue.next().await? else {
            is_at_end = true;
            break;
        };
        read += 1;
        seen.add(&message);
        if filter.passes(&message, now) {
            if passed >= skip {
                views.push(DeadLetterView::of(&message, false));
            }
            passed += 1;
        }
    }
    queue.release().await?;
    if is_at_end {
        seen.check(filter)?;
    }
    let has_more = views.len() > limit;
    views.truncate(limit);
    Ok(DeadLetterPage { views, has_more, is_cut: !is_at_end && !has_more })
}

/// Returns those of these messages that are in the queue, by their original ids.
pub async fn of_messages(broker: &dyn Broker, messages: &[Uuid]) -> Result<HashMap<Uuid, DeadLetterView>> {
    let mut queue = broker.dead_letters().await?;
    let mut found = HashMap::new();
    while let Some(message) = queue.next().await? {
        let id = message.message_id.as_deref().and_then(|id| id.parse().ok());
        if let Some(id) = id.filter(|id| messages.contains(id)) {
            found.insert(id, DeadLetterView::of(&message, false));
        }
    }
    queue.release().await?;
    Ok(found)
}

impl DeadLetterView {
    fn of(message: &DeadLetter, is_whole: bool) -> DeadLetterView {
        let (org_id, request_id) = message.names();
        DeadLetterView {
            id: message.id.clone(),
            message_id: message.message_id.clone(),
            reason: message.reason().to_owned(),
            detail: message.detail().to_owned(),
            hint: message.headers.get("x-handover-hint").cloned(),
            path: message.headers.get("x-handover-path").cloned(),
            queue: message.queue_name().to_owned(),
            by_broker: message.by_broker,
            at: message.at,
            org_id,
            request_id,
            replays: message.replays(),
            replayed_at: message.headers.get(REPLAYED_AT).cloned(),
            bytes: message.body.len(),
            content_type: message.content_type.clone().filter(|_| is_whole),
            headers: is_whole.then(|| message.headers.clone()),
            body: is_whole.then(|| String::from_utf8_lossy(&message.body).into_owned()),
        }
    }
}

/// Selects the dead letters that pass a filter.
pub async fn select(broker: &dyn Broker, filter: &Filter) -> Result<Selection> {
    let mut queue = broker.dead_letters().await?;
    let now = now();
    let (mut matching, mut total, mut seen) = (Vec::new(), 0, Seen::default());
    while let Some(message) = queue.next().await? {
        total += 1;
        seen.add(&message);
        if filter.passes(&message, now) {
            matching.push(message);
        }
    }
    if let Err(error) = seen.check(filter) {
        queue.release().await?;
        return Err(error);
    }
    Ok(Selection { queue, matching, total, now })
}

impl Selection {
    /// Returns the number of matching messages, by reason code.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        self.matching.iter().for_each(|message| *counts.entry(message.reason().to_owned()).or_default() += 1);
        counts
    }

    /// Returns the matching messages as they are shown.
    pub fn views(&self) -> Vec<DeadLetterView> {
        self.matching.iter().map(|message| DeadLetterView::of(message, false)).collect()
    }

    /// Returns the messages to the queue, untouched.
    pub async fn release(mut self) -> Result<()> {
        Ok(self.queue.release().await?)
    }

    /// Replays or drops the matching messages, batch by batch. Each batch enters the audit trail first: an action without
    /// an entry is worse than an entry without an action.
    pub async fn process(mut self, store: &Store, action: Action, by: &str) -> Result<Vec<Processed>> {
        let mut processed = Vec::with_capacity(self.matching.len());
        let matching = std::mem::take(&mut self.matching);
        let mut failure = None;
        for batch in matching.chunks(BATCH) {
            if let Err(error) = append_to_audit(store, batch, (action, by, self.now)).await {
                failure = Some(error);
                break;
            }
            let results = match action {
                Action::Replay => self.queue.replay(batch, self.now).await,
                Action::Drop => self.queue.remove(batch).await,
            };
            processed.extend(batch.iter().cloned().zip(results));
        }
        self.queue.release().await?;
        match failure {
            Some(error) => Err(error),
            None => Ok(processed),
        }
    }
}

async fn append_to_audit(
    store: &Store,
    batch: &[DeadLetter],
    (action, by, now): (Action, &str, OffsetDateTime),
) -> Result<()> {
    let session = store.begin("dead").await?;
    audit::append(&session, batch.iter().map(|message| entry(message, action, by, now)).collect()).await?;
    Ok(session.commit().await?)
}

fn entry(message: &DeadLetter, action: Action, by: &str, now: OffsetDateTime) -> audit::Entry {
    let (org, request_id) = message.names();
    let detail = json!([{ "code": message.reason(), "queue": message.queue, "message_id": message.message_id }]);
    audit::Entry {
        id: 0,
        at: now,
        org: org.unwrap_or_default(),
        actor: by.to_owned(),
        action: action.audited().into(),
        user_id: String::new(),
        job_id: None,
        request_id: request_id.unwrap_or_default(),
        detail: Some(detail),
    }
}
