//! The budget of every retry, by the class of the failure.
//!
//! | class | at once | later | then |
//! |---|---|---|---|
//! | refused, unknown | never | never | the next narrower path; else `needs_attention` or a dead letter |
//! | contended | twice, if the attempt was short | `limits.deferrals` times | the same |
//! | timed out | never | once, if it is a step | the same |
//! | away | until the database is back | | everybody waits alike |
//!
//! "Later" gives the planner or mover back: a step or a request goes to the outbox with a date, and from there to its queue.

use std::borrow::Borrow;
use std::time::{Duration, Instant};

use crate::retry::Retries;
use crate::stages::context::pause_after;
use crate::stages::limits::Limits;
use crate::store::{Error, FailureClass};

/// The attempts at once of work that is contended.
const ATTEMPTS_AT_ONCE: u32 = 3;

/// A longer attempt waited for a lock, and another one would wait as long.
const SHORT_ATTEMPT: Duration = Duration::from_secs(1);

/// The times that a step which took too long is tried again later: each attempt may hold a mover for the statement timeout.
const DEFERRALS_AFTER_TIMEOUT: u32 = 1;

/// The pause before blocked work is tried again. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Repeats a call until it succeeds, or until its budget of attempts at once is used up.
pub async fn at_once<T, E, F>(mut retries: Retries, call: impl Fn() -> F) -> std::result::Result<T, E>
where
    E: Borrow<Error>,
    F: Future<Output = std::result::Result<T, E>>,
{
    let mut attempts = Attempts::default();
    loop {
        let began = Instant::now();
        match call().await {
            Err(failure) if attempts.may_repeat(failure.borrow().class(), began.elapsed()) => {
                retries.wait_after(failure.borrow()).await;
            }
            result => return result,
        }
    }
}

/// The attempts at once at one piece of work.
#[derive(Debug, Default)]
pub struct Attempts {
    contended: u32,
}

impl Attempts {
    /// Counts a failed attempt that took this long. Returns true if the next one may follow at once.
    pub fn may_repeat(&mut self, class: FailureClass, took: Duration) -> bool {
        match class {
            FailureClass::Away => true,
            FailureClass::Contended => {
                self.contended += 1;
                self.contended < ATTEMPTS_AT_ONCE && took < SHORT_ATTEMPT
            }
            FailureClass::Refused | FailureClass::TimedOut | FailureClass::Unknown => false,
        }
    }
}

/// Returns the pause before work is tried again that was put off this many times before; nothing if its budget is used up.
pub fn pause_before_next(class: FailureClass, deferrals: u32, limits: &Limits) -> Option<Duration> {
    let most = match class {
        FailureClass::Contended | FailureClass::Away => limits.deferrals,
        FailureClass::TimedOut => limits.deferrals.min(DEFERRALS_AFTER_TIMEOUT),
        FailureClass::Refused | FailureClass::Unknown => 0,
    };
    (deferrals < most).then(|| pause_after(FIRST_PAUSE, i32::try_from(deferrals).unwrap_or(i32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_contention_is_repeated_at_once() {
        let mut attempts = Attempts::default();
        assert!(attempts.may_repeat(FailureClass::Contended, Duration::ZERO));
        assert!(attempts.may_repeat(FailureClass::Contended, Duration::ZERO));
        assert!(!attempts.may_repeat(FailureClass::Contended, Duration::ZERO), "three attempts");
        assert!(!Attempts::default().may_repeat(FailureClass::Contended, SHORT_ATTEMPT), "it waited for a lock");
        for class in [FailureClass::Refused, FailureClass::TimedOut, FailureClass::Unknown] {
            assert!(!Attempts::default().may_repeat(class, Duration::ZERO), "{class:?}");
        }
        assert!((0..1_000).all(|_| attempts.may_repeat(FailureClass::Away, SHORT_ATTEMPT)), "all wait alike");
    }
}
