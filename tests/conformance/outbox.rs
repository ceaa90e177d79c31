//! The outbox: a claim reads the messages that are due, however many wait for later.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use handover::broker::Channel;
use handover::store::failpoint::{Failpoints, Point};
use handover::store::ledger::outbox::{self, OutboxMessage};
use handover::store::{Result, Session};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::{World, every_engine};

/// Records the statements that read.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Failpoints for Recorder {
    fn at(&self, _: &str, _: Point) -> Result<()> {
        Ok(())
    }

    fn statement(&self, _: &str, text: &str) {
        if text.starts_with("SELECT") {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
        }
    }
}

fn message(channel: Channel, due_at: OffsetDateTime) -> OutboxMessage {
    OutboxMessage {
        id: 0,
        message_id: Uuid::new_v4(),
        channel,
        routing_key: "step.start".into(),
        content_type: "application/json".into(),
        headers: serde_json::json!({}),
        body: b"{}".to_vec(),
        job_id: None,
        created_at: due_at,
        due_at,
        leased_until: None,
    }
}

/// Returns a query with a value in place of each placeholder.
fn with_values(query: &str) -> String {
    let mut values = String::new();
    let mut rest = query;
    while let Some(at) = rest.find(['$', '?']) {
        let digits = rest[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
        values.push_str(&rest[..at]);
        values.push_str(if values.ends_with("channel = ") { "'steps'" } else { "CURRENT_TIMESTAMP" });
        rest = &rest[at + 1 + digits..];
    }
    values + rest
}

/// Returns the database's plan of a query.
async fn plan(session: &Session, query: &str) -> String {
    let (explain, column) = if session.capabilities().is_server { ("EXPLAIN", 0) } else { ("EXPLAIN QUERY PLAN", 3) };
    let rows =
        session.all("explaining", session.sql(&format!("{explain} {}", with_values(query)))).await.expect("a plan");
    rows.iter().map(|row| row.get::<String>(column).expect("a line")).collect::<Vec<_>>().join("\n")
}

/// Proves that messages that are due in weeks neither hide those that are due nor are read.
#[every_engine]
async fn claim_reads_due_messages_only(world: &mut World) {
    let now = OffsetDateTime::now_utc();
    let recorder = Arc::new(Recorder::default());
    let store = world.store.clone().with_failpoints(recorder.clone());
    let session = store.begin("test").await.expect("a transaction");
    let later = (0..600).map(|_| message(Channel::Steps, now + Duration::from_secs(30 * 86_400)));
    let due =
        [Channel::Steps, Channel::Events, Channel::Steps].map(|channel| message(channel, now - Duration::from_secs(5)));
    let expected: BTreeSet<Uuid> = due.iter().map(|message| message.message_id).collect();
    outbox::insert(&session, later.chain(due).collect()).await.expect("written");
    session.commit().await.expect("committed");

    let session = store.begin("test").await.expect("a transaction");
    let until = now + Duration::from_secs(60);
    let claimed = outbox::claim(&session, &Channel::ALL, now, until, 100).await.expect("claimed");
    assert_eq!(claimed.iter().map(|message| message.message_id).collect::<BTreeSet<_>>(), expected);
    assert!(claimed.is_sorted_by_key(|message| message.id), "in the order in which they were written");
    assert!(outbox::claim(&session, &Channel::ALL, now, until, 100).await.expect("claimed").is_empty(), "once");

    let queries = std::mem::take(&mut *recorder.0.lock().unwrap_or_else(PoisonError::into_inner));
    let plan = plan(&session, queries.first().expect("a query")).await;
    assert_eq!(plan.matches("handover_outbox_due_at").count(), Channel::ALL.len(), "{plan}");
}
