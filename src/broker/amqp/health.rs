//! The health of the broker: the reasons why it is not usable now.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::broker::message::Channel;

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Publishing,
    /// Consuming one queue.
    Consuming(Channel),
    /// Checking or repairing queues.
    Inspecting,
}

impl Purpose {
    /// Returns the name in logs, metrics and the connection's name on the broker.
    pub(super) fn name(self) -> &'static str {
        match self {
            Purpose::Publishing => "publishing",
            Purpose::Consuming(channel) => channel.name(),
            Purpose::Inspecting => "inspecting",
        }
    }
}

/// The current problems. Connections, consumers and topology declarations report them.
#[derive(Default)]
pub(super) struct Health(Mutex<Problems>);

#[derive(Default)]
struct Problems {
    /// Lost connections, by their purposes' names.
    lost: BTreeMap<&'static str, Lost>,
    blocked: Option<String>,
    topology: Option<String>,
    /// Queues whose consumer does not work, with the reason.
    unhealthy_consumers: BTreeMap<String, String>,
}

struct Lost {
    since: Instant,
    reason: String,
}

impl Health {
    /// Returns `Ok`, or every reason why the broker is not usable.
    pub(super) fn check(&self) -> Result<(), String> {
        let problems = self.lock();
        let lost = |(purpose, lost): (&&str, &Lost)| {
            format!("not connected for {purpose} for {} s: {}", lost.since.elapsed().as_secs(), lost.reason)
        };
        let mut reasons: Vec<String> = problems.lost.iter().map(lost).collect();
        if let Some(reason) = &problems.blocked {
            reasons.push(format!("RabbitMQ blocks publishers: {reason}"));
        }
        reasons.extend(problems.topology.clone());
        reasons.extend(
            problems.unhealthy_consumers.iter().map(|(queue, why)| format!("`{queue}` is not consumed: {why}")),
        );
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
    }

    /// Reports a lost connection, or a failed attempt to rebuild it. The time of the loss stays; the reason is replaced.
    pub(super) fn connection_lost(&self, purpose: Purpose, reason: String) {
        let mut problems = self.lock();
        let since = problems.lost.get(purpose.name()).map_or_else(Instant::now, |lost| lost.since);
        problems.lost.insert(purpose.name(), Lost { since, reason });
    }

    /// Reports an open connection.
    pub(super) fn connected(&self, purpose: Purpose) {
        let mut problems = self.lock();
        problems.lost.remove(purpose.name());
        if purpose == Purpose::Publishing {
            problems.blocked = None;
        }
    }

    /// Reports that the broker blocks publishers, with its reason, or that it has stopped.
    pub(super) fn set_blocked(&self, reason: Option<String>) {
        self.lock().blocked = reason;
    }

    /// Returns the broker's reason for blocking publishers.
    pub(super) fn blocked_reason(&self) -> String {
        self.lock().blocked.clone().unwrap_or_else(|| "no reason given".into())
    }

    /// Reports the fault that the last declaration of the topology found, or none.
    pub(super) fn set_topology_fault(&self, fault: Option<String>) {
        self.lock().topology = fault;
    }

    /// Reports that a consumer cannot start although there is a connection, or that it started or stopped.
    pub(super) fn set_consumer_unhealthy(&self, queue: &str, reason: Option<String>) {
        let mut problems = self.lock();
        match reason {
            Some(reason) => problems.unhealthy_consumers.insert(queue.to_owned(), reason),
            None => problems.unhealthy_consumers.remove(queue),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Problems> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_lists_every_current_problem() {
        let health = Health::default();
        assert_eq!(health.check(), Ok(()));
        health.connection_lost(Purpose::Publishing, "connection refused".into());
        health.connection_lost(Purpose::Consuming(Channel::Steps), "it ended".into());
        health.set_topology_fault(Some("queue `x` is not ours".into()));
        let reasons = health.check().expect_err("three problems");
        assert!(reasons.contains("not connected for publishing for 0 s: connection refused"), "{reasons}");
        assert!(reasons.contains("not connected for steps for 0 s: it ended"), "{reasons}");
        assert!(reasons.contains("queue `x`"), "{reasons}");
        health.connected(Purpose::Publishing);
        health.connected(Purpose::Consuming(Channel::Steps));
        health.set_topology_fault(None);
        assert_eq!(health.check(), Ok(()));
    }
}
