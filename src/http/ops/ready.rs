//! Checks whether a worker is ready, and if not, why.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::parts::Parts;
use crate::metrics;

/// The time limit for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The time for which an answer is cached.
const CACHE_TIME: Duration = Duration::from_millis(500);

type Answer = Result<(), String>;

/// The readiness of each part.
#[derive(Clone)]
pub struct Report {
    database: Answer,
    migrations: Answer,
    broker: Answer,
    is_draining: bool,
}

impl Report {
    fn parts(&self) -> [(&'static str, &Answer); 3] {
        [("database", &self.database), ("migrations", &self.migrations), ("broker", &self.broker)]
    }

    pub fn is_ready(&self) -> bool {
        !self.is_draining && self.parts().iter().all(|(_, answer)| answer.is_ok())
    }

    pub fn to_json(&self) -> Value {
        let part_json = |answer: &Answer| match answer {
            Ok(()) => json!({ "ready": true }),
            Err(reason) => json!({ "ready": false, "reason": reason }),
        };
        let mut all = json!({ "ready": self.is_ready(), "draining": self.is_draining });
        for (part, answer) in self.parts() {
            all[part] = part_json(answer);
        }
        all
    }
}

/// Checks readiness, and caches the answer.
pub struct Readiness {
    parts: Parts,
    last: Mutex<Option<(Instant, Report)>>,
}

impl Readiness {
    pub fn new(parts: Parts) -> Readiness {
        Readiness { parts, last: Mutex::default() }
    }

    /// Returns the current or cached answer. Concurrent callers wait for the same check.
    pub async fn check(&self) -> Report {
        let mut last = self.last.lock().await;
        if let Some((at, report)) = last.as_ref()
            && at.elapsed() < CACHE_TIME
            && report.is_draining == self.parts.draining.is_cancelled()
        {
            return report.clone();
        }
        let report = self.check_parts().await;
        for (part, answer) in report.parts() {
            metrics::ready(part, answer.is_ok());
        }
        *last = Some((Instant::now(), report.clone()));
        report
    }

    async fn check_parts(&self) -> Report {
        let unknown = || Err("unknown: the database is unavailable".to_owned());
        let (database, migrations) = match tokio::time::timeout(TIMEOUT, self.parts.store.check_ledger()).await {
            Ok(Ok(migrations)) => (Ok(()), migrations),
            Ok(Err(error)) => (Err(error.to_string()), unknown()),
            Err(_) => (Err(format!("no answer within {TIMEOUT:?}")), unknown()),
        };
        let is_draining = self.parts.draining.is_cancelled();
        Report { database, migrations, broker: self.parts.broker.health(), is_draining }
    }
}
