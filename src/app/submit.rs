//! Submits requests: publishes them on the request queue.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::error::Result;
use crate::broker::{Broker, BrokerError, Channel, Outgoing};
use crate::contract::{Request, RequestType, read_request, routing_key};
use crate::plan::normalize;
use crate::stages::Context;
use crate::stages::spelling::respell;
use crate::store::ledger::jobs::Job;

/// Checks a request against the catalog, and returns it in the form that the planner gives it: the hashes of both are equal.
pub async fn prepare(context: &Context, request: Request) -> Result<Request> {
    let catalog = context.catalogs.current();
    let request = normalize(&catalog, request)?;
    Ok(respell(context, &catalog, request).await?)
}

/// Publishes requests. Returns the message id of each, or why it was not sent, in the same order.
pub async fn publish(
    broker: &dyn Broker,
    requests: impl IntoIterator<Item = &Request>,
) -> Vec<std::result::Result<Uuid, BrokerError>> {
    let messages: Vec<Outgoing> = requests.into_iter().map(message).collect();
    let sent = broker.publish(&messages).await.into_iter();
    sent.zip(messages).map(|(sent, message)| sent.map(|()| message.id)).collect()
}

/// Returns the message that carries a request.
fn message(request: &Request) -> Outgoing {
    Outgoing {
        id: Uuid::new_v4(),
        channel: Channel::Requests,
        routing_key: routing_key(request.header().kind),
        content_type: "application/json".into(),
        headers: BTreeMap::new(),
        body: request.canonical().to_string().into_bytes(),
    }
}

/// A command about an existing job.
#[derive(Debug, Clone)]
pub struct JobCommand {
    /// The command: revert, cancel, pause, resume or amend.
    pub kind: RequestType,
    /// The user who asks.
    pub requested_by: String,
    /// The reason, for the audit trail.
    pub reason: Option<String>,
    /// The idempotency key; a new one if there is none.
    pub request_id: Option<String>,
    /// The catalog with which a job is resumed; its own if there is none.
    pub catalog: Option<String>,
    /// The new allotments of an amendment, as JSON text.
    pub reassign: Option<String>,
}

impl JobCommand {
    /// Builds the request about a job. Reads it with the planner's code, so that faults are reported before it is sent.
    pub fn about(self, target: &Job) -> Result<Request> {
        let mut body = json!({
            "type": self.kind.name(),
            "request_id": self.request_id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            "job_id": target.id,
            "requested_by": self.requested_by,
        });
        if !target.org.is_empty() {
            body["org_id"] = target.org.clone().into();
        }
        if let Some(reason) = self.reason {
            body["reason"] = reason.into();
        }
        if let Some(catalog) = self.catalog {
            body["catalog"] = catalog.into();
        }
        let mut body = body.to_string();
        if let Some(reassign) = self.reassign {
            // Appended as text, because parsing would hide duplicate keys.
            body.truncate(body.len() - 1);
            body.push_str(&format!(",\"reassign\":{reassign}}}"));
        }
        Ok(read_request(body.as_bytes())?)
    }
}
