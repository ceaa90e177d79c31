//! Sees which requests a worker acknowledges, and whether their outcomes stand by then: a request that is acknowledged too
//! early is lost only if its worker dies in between, and no storm can be long enough to see much of that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sea_orm::sqlx::PgPool;
use serde_json::Value;

use crate::sql;
use crate::tally::Tally;
use crate::worker::lock;

/// How long an acknowledgement is held for the look. The database may be away, or stand.
const PATIENCE: Duration = Duration::from_secs(2);

/// A channel of a connection. Each counts its deliveries for itself.
pub type Channel = [u8; 2];

/// The requests that are on their way over one connection, by the tags of their deliveries.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<BTreeMap<(Channel, u64), String>>>);

impl Requests {
    /// A message has come; whoever has no request's id is none.
    pub fn deliver(&self, channel: Channel, tag: u64, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(id) = body["request_id"].as_str() {
            lock(&self.0).insert((channel, tag), id.to_owned());
        }
    }

    /// The requests that an acknowledgement is of.
    pub fn acknowledge(&self, channel: Channel, tag: u64, and_all_before: bool) -> Vec<String> {
        let mut delivered = lock(&self.0);
        let first = if and_all_before { 0 } else { tag };
        let tags: Vec<_> = delivered.range((channel, first)..=(channel, tag)).map(|(tag, _)| *tag).collect();
        tags.iter().filter_map(|tag| delivered.remove(tag)).collect()
    }
}

/// Looks, before the broker hears the acknowledgement of these requests, whether each has its outcome, and notes it.
pub async fn look(database: &PgPool, tally: &Tally, requests: &[String]) {
    let ids: Vec<String> = requests.iter().map(|id| format!("('{id}')")).collect();
    let note = format!(
        "INSERT INTO storm.acknowledged (request_id, stands)
         SELECT id, EXISTS (SELECT 1 FROM handover.requests r WHERE r.request_id = id) FROM (VALUES {}) AS a (id)",
        ids.join(", ")
    );
    match tokio::time::timeout(PATIENCE, sql::run(database, &note)).await {
        Ok(Ok(_)) => tally.add("acknowledgements of requests looked at", requests.len() as u64),
        _ => tally.add("acknowledgements of requests that could not be looked at", requests.len() as u64),
    }
}
