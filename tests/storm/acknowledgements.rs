//! Checks that the outcomes of acknowledged requests are committed. A request that is acknowledged too early is lost
//! only if its worker dies just then, which is too rare for any storm.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sea_orm::sqlx::PgPool;
use serde_json::Value;

use crate::sql;
use crate::tally::Tally;
use crate::worker::lock;

/// The time that an acknowledgement is held for the check. The database may be down or frozen.
const PATIENCE: Duration = Duration::from_secs(2);

/// A channel of a connection. Each channel numbers its own deliveries.
pub type Channel = [u8; 2];

/// The unacknowledged requests of one connection, by delivery tag.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<BTreeMap<(Channel, u64), String>>>);

impl Requests {
    /// Notes a delivery. A message without a request id is not a request.
    pub fn deliver(&self, channel: Channel, tag: u64, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(id) = body["request_id"].as_str() {
            lock(&self.0).insert((channel, tag), id.to_owned());
        }
    }

    /// Returns the requests that an acknowledgement covers.
    pub fn acknowledge(&self, channel: Channel, tag: u64, and_all_before: bool) -> Vec<String> {
        let mut delivered = lock(&self.0);
        let first = if and_all_before { 0 } else { tag };
        let tags: Vec<_> = delivered.range((channel, first)..=(channel, tag)).map(|(tag, _)| *tag).collect();
        tags.iter().filter_map(|tag| delivered.remove(tag)).collect()
    }
}

/// Records whether each request has a committed outcome, or was put off, before the broker receives the acknowledgement.
pub async fn check(database: &PgPool, tally: &Tally, requests: &[String]) {
    let ids: Vec<String> = requests.iter().map(|id| format!("('{id}')")).collect();
    let note = format!(
        "INSERT INTO storm.acknowledged (request_id, is_committed)
         SELECT a.id, EXISTS (SELECT 1 FROM handover.requests r WHERE r.request_id = a.id)
             OR EXISTS (SELECT 1 FROM handover.outbox o WHERE o.channel = 'requests' AND position(convert_to(a.id, 'UTF8') IN o.body) > 0)
         FROM (VALUES {}) AS a (id)",
        ids.join(", ")
    );
    match tokio::time::timeout(PATIENCE, sql::run(database, &note)).await {
        Ok(Ok(_)) => tally.add("acknowledgements checked", requests.len() as u64),
        _ => tally.add("acknowledgements that could not be checked", requests.len() as u64),
    }
}
