//! Whether the broker can be used now, and what is the matter where it cannot.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Channel;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Publishing,
    /// Taking messages of one queue.
    Consuming(Channel),
    /// Looking at what stands there.
    Looking,
}

impl Role {
    /// As it stands in the log, in the metrics and in the connection's name on the broker.
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Publishing => "publishing",
            Role::Consuming(channel) => channel.name(),
            Role::Looking => "looking",
        }
    }
}

/// What stands in the way now. Written by the supervisors and by whoever declares the topology.
#[derive(Default)]
pub(super) struct Health(Mutex<Troubles>);

#[derive(Default)]
struct Troubles {
    /// Connections that are away, by their roles' names.
    lost: BTreeMap<&'static str, Lost>,
    blocked: Option<String>,
    topology: Option<String>,
    /// Queues that are not consumed although somebody wants to, and why.
    consumer_unhealthy: BTreeMap<String, String>,
}

struct Lost {
    since: Instant,
    reason: String,
}

impl Health {
    /// The reasons why not, together.
    pub(super) fn check(&self) -> Result<(), String> {
        let troubles = self.lock();
        let away = |(role, lost): (&&str, &Lost)| {
            format!("not connected for {role} for {} s: {}", lost.since.elapsed().as_secs(), lost.reason)
        };
        let mut reasons: Vec<String> = troubles.lost.iter().map(away).collect();
        if let Some(reason) = &troubles.blocked {
            reasons.push(format!("RabbitMQ blocks publishers: {reason}"));
        }
        reasons.extend(troubles.topology.clone());
        reasons
            .extend(troubles.consumer_unhealthy.iter().map(|(queue, why)| format!("`{queue}` is not consumed: {why}")));
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
    }

    /// A connection was lost, or could not be rebuilt: the time of the loss stays, the reason is the latest.
    pub(super) fn lost(&self, role: Role, reason: String) {
        let mut troubles = self.lock();
        let since = troubles.lost.get(role.name()).map_or_else(Instant::now, |lost| lost.since);
        troubles.lost.insert(role.name(), Lost { since, reason });
    }

    /// A connection is there.
    pub(super) fn connected(&self, role: Role) {
        let mut troubles = self.lock();
        troubles.lost.remove(role.name());
        if role == Role::Publishing {
            troubles.blocked = None;
        }
    }

    /// The broker blocks publishers, with its reason; or does so no longer.
    pub(super) fn blocked(&self, reason: Option<String>) {
        self.lock().blocked = reason;
    }

    /// Why the broker blocks publishers.
    pub(super) fn why_blocked(&self) -> String {
        self.lock().blocked.clone().unwrap_or_else(|| "it does not say why".into())
    }

    /// What was found when the topology was declared last.
    pub(super) fn topology(&self, wrong: Option<String>) {
        self.lock().topology = wrong;
    }

    /// A consumer could not be started although there is a connection; or it could, or is no longer wanted.
    pub(super) fn consumer_unhealthy(&self, queue: &str, why: Option<String>) {
        let mut troubles = self.lock();
        match why {
            Some(why) => troubles.consumer_unhealthy.insert(queue.to_owned(), why),
            None => troubles.consumer_unhealthy.remove(queue),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Troubles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_is_told_and_ends_by_itself() {
        let health = Health::default();
        assert_eq!(health.check(), Ok(()));
        health.lost(Role::Publishing, "connection refused".into());
        health.lost(Role::Consuming(Channel::Steps), "it ended".into());
        health.topology(Some("queue `x` is not ours".into()));
        let reasons = health.check().expect_err("three troubles");
        assert!(reasons.contains("not connected for publishing for 0 s: connection refused"), "{reasons}");
        assert!(reasons.contains("not connected for steps for 0 s: it ended"), "{reasons}");
        assert!(reasons.contains("queue `x`"), "{reasons}");
        health.connected(Role::Publishing);
        health.connected(Role::Consuming(Channel::Steps));
        health.topology(None);
        assert_eq!(health.check(), Ok(()));
    }
}
