//! Notices that the host's schema may have changed, and makes the process look at it again.
//!
//! An error that says that a column, a table or a type is not as expected starts a short time in which such errors are worth a
//! retry: the retry uses new connections, without statements that were prepared before, and looks at the schema first.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time from the first error in which a retry may help. A retry within it looks at the schema again.
const RETRY_FOR: Duration = Duration::from_secs(3);

/// The time after which such an error is a new one, and not the same that has not gone away.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// The times of one process.
#[derive(Debug, Default)]
pub struct SchemaWatch(Mutex<Times>);

#[derive(Debug, Default, Clone, Copy)]
struct Times {
    /// The first error of those that are retried.
    suspected: Option<Instant>,
    /// The time before which connections must not have been opened.
    renewed: Option<Instant>,
    /// The time when a schema was last compared with what is known of it.
    verified: Option<Instant>,
}

impl SchemaWatch {
    /// Notes an error that a changed schema explains, in a transaction that began at a time. Returns true if a retry may help.
    pub fn suspect(&self, began: Instant) -> bool {
        let (now, mut times) = (Instant::now(), self.times());
        let first = times.suspected.filter(|first| now < *first + FORGET_AFTER);
        if first.is_none() {
            (times.suspected, times.renewed) = (Some(now), Some(now));
        }
        let was_verified = times.verified.is_some_and(|verified| verified > began);
        now < first.unwrap_or(now) + RETRY_FOR && !was_verified
    }

    /// Notes that the schema has changed: connections that are open hold statements for the old one.
    pub fn renew(&self) {
        self.times().renewed = Some(Instant::now());
    }

    /// Notes that the schema was compared.
    pub fn verify(&self) {
        self.times().verified = Some(Instant::now());
    }

    /// Returns true if an error has been noted since a time.
    pub fn was_suspected_since(&self, time: Instant) -> bool {
        self.times().suspected.is_some_and(|suspected| suspected >= time)
    }

    /// Returns true if a connection of this age may hold statements for an earlier schema.
    pub fn outdates(&self, age: Duration) -> bool {
        self.times().renewed.is_some_and(|renewed| renewed.elapsed() < age)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_retried_until_the_schema_was_compared() {
        let (watch, began) = (SchemaWatch::default(), Instant::now());
        assert!(watch.suspect(began) && watch.suspect(began), "all that fail at once");
        assert!(watch.was_suspected_since(began) && watch.outdates(Duration::from_secs(60)));
        watch.verify();
        assert!(!watch.suspect(began), "the schema is known now, so the error is not due to a change");
        assert!(watch.suspect(Instant::now()), "a later transaction has not seen it yet");
    }
}
