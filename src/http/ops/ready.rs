//! Whether a worker can do its work now, and why not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::parts::Parts;
use crate::metrics;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// For how long an answer holds.
const HOLDS: Duration = Duration::from_millis(500);

type Answer = Result<(), String>;

/// What was found.
#[derive(Clone)]
pub struct Found {
    database: Answer,
    migrations: Answer,
    broker: Answer,
    is_draining: bool,
}

impl Found {
    fn parts(&self) -> [(&'static str, &Answer); 3] {
        [("database", &self.database), ("migrations", &self.migrations), ("broker", &self.broker)]
    }

    pub fn is_ready(&self) -> bool {
        !self.is_draining && self.parts().iter().all(|(_, answer)| answer.is_ok())
    }

    pub fn to_json(&self) -> Value {
        let told = |answer: &Answer| match answer {
            Ok(()) => json!({ "ready": true }),
            Err(reason) => json!({ "ready": false, "reason": reason }),
        };
        let mut all = json!({ "ready": self.is_ready(), "draining": self.is_draining });
        for (part, answer) in self.parts() {
            all[part] = told(answer);
        }
        all
    }
}

/// Looks, at most so often.
pub struct Readiness {
    parts: Parts,
    last: Mutex<Option<(Instant, Found)>>,
}

impl Readiness {
    pub fn new(parts: Parts) -> Readiness {
        Readiness { parts, last: Mutex::default() }
    }

    /// What is found now, or was moments ago. Who asks meanwhile waits for the same answer.
    pub async fn look(&self) -> Found {
        let mut last = self.last.lock().await;
        if let Some((at, found)) = last.as_ref()
            && at.elapsed() < HOLDS
            && found.is_draining == self.parts.draining.is_cancelled()
        {
            return found.clone();
        }
        let found = self.ask().await;
        for (part, answer) in found.parts() {
            metrics::ready(part, answer.is_ok());
        }
        *last = Some((Instant::now(), found.clone()));
        found
    }

    async fn ask(&self) -> Found {
        let unknown = || Err("the database is away: it is not known".to_owned());
        let (database, migrations) = match tokio::time::timeout(PATIENCE, self.parts.store.check_ledger()).await {
            Ok(Ok(migrations)) => (Ok(()), migrations),
            Ok(Err(error)) => (Err(error.to_string()), unknown()),
            Err(_) => (Err(format!("it does not answer within {PATIENCE:?}")), unknown()),
        };
        let is_draining = self.parts.draining.is_cancelled();
        Found { database, migrations, broker: self.parts.broker.health(), is_draining }
    }
}
