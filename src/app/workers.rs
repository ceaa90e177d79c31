//! Checks whether a worker takes requests.

use std::time::Duration;

use crate::broker::{Broker, Channel};
use crate::stages::now;

/// A message that waits for longer shows that no worker takes it.
pub const LONG_WAIT: Duration = Duration::from_secs(60);

/// Returns true if requests wait and certainly no worker takes them: their queue has no consumer or, if the broker counts none,
/// the oldest has waited for long. A broker that is away shows nothing.
pub async fn none_takes_requests(broker: &dyn Broker) -> bool {
    let depths = match broker.depths().await {
        Ok(depths) => depths,
        Err(error) => {
            tracing::warn!(%error, "the queues cannot be read now");
            return false;
        }
    };
    let Some(requests) = depths.iter().find(|depth| depth.channel == Channel::Requests) else { return false };
    match (requests.consumers, requests.oldest) {
        (Some(consumers), _) => consumers == 0,
        (None, Some(oldest)) => now() - oldest > LONG_WAIT,
        (None, None) => false,
    }
}
