//! Detects whether the host's own sessions are busy. While they are, movers take turns, their chunks have fewer rows, and they
//! rest after each chunk.
//!
//! The host is active if its transactions come and go: each poll looks for transactions that were not there at the poll before.
//! An idle open session, a report that runs for an hour, and an occasional query do not count.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::throttle::Pace;
use crate::metrics;
use crate::stages::Context;
use crate::store::{Result, Store};

/// The poll intervals while there is work: at its start, later, and while the host is active.
const POLL_AT_START: Duration = Duration::from_millis(20);
const POLL: Duration = Duration::from_millis(100);
const POLL_WHILE_ACTIVE: Duration = Duration::from_millis(500);
const START_PHASE: Duration = Duration::from_secs(1);

/// The host is active if new transactions are seen twice within this time, and until none is seen for `ACTIVE_FOR`.
const SEEN_TWICE_WITHIN: Duration = Duration::from_secs(1);
const ACTIVE_FOR: Duration = Duration::from_secs(5);

/// Polling stops this long after the last step began: longer than most steps with their longest rest.
const IDLE_AFTER: Duration = Duration::from_secs(30);

/// The time that a mover waits for the permit while no other mover returns it. The holder may be blocked by anything.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The rest after a chunk is the chunk's time divided by this. The host has the database to itself meanwhile.
const REST_DIVISOR: u32 = 2;

/// The longest rest after a chunk. A chunk that took very long was mostly waiting.
const MAX_REST: Duration = Duration::from_millis(200);

/// The share of the time that all movers together work while the host is active.
pub const WORK_SHARE: f64 = REST_DIVISOR as f64 / (REST_DIVISOR + 1) as f64;

/// The time that [`is_active`] polls before it decides that the host is idle.
const PROBE_TIME: Duration = Duration::from_millis(500);

/// Returns true if the host is active now. Polls for up to half a second.
pub async fn is_active(store: &Store) -> Result<bool> {
    let (began, mut state) = (Instant::now(), State::default());
    while !state.is_active && began.elapsed() < PROBE_TIME {
        state.update(Some(store.active_transactions().await?));
        tokio::time::sleep(POLL_AT_START).await;
    }
    Ok(state.is_active)
}

/// The right to work on chunks; `None` if movers need not take turns, or the holder is blocked.
pub type MoverPermit<'p> = Option<tokio::sync::MutexGuard<'p, ()>>;

/// The activity of the host, as one worker observes it.
pub struct HostActivity {
    /// True if the pace yields to the host.
    is_enabled: bool,
    permit: tokio::sync::Mutex<()>,
    /// The number of permits granted so far.
    permits_granted: AtomicU64,
    /// Wakes the polling task when work starts again.
    work_started: Notify,
    state: Mutex<State>,
}

impl HostActivity {
    /// Creates the observer of an idle worker.
    pub fn new(pace: Pace) -> HostActivity {
        HostActivity {
            is_enabled: pace.backs_off(),
            permit: tokio::sync::Mutex::default(),
            permits_granted: AtomicU64::default(),
            work_started: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// Records that a mover starts a step on chunks. While the host is active, waits for the permit.
    pub async fn mover_permit(&self) -> MoverPermit<'_> {
        let (is_first_step, is_active) = {
            let mut state = self.state();
            (state.record_step(), state.is_active)
        };
        if is_first_step {
            self.work_started.notify_one();
        }
        if is_active { self.wait_for_permit().await } else { None }
    }

    /// Waits as long as other movers keep getting the permit, and gives up if its holder is blocked.
    async fn wait_for_permit(&self) -> MoverPermit<'_> {
        let mut permit = pin!(self.permit.lock());
        loop {
            let granted = self.permits_granted.load(Ordering::Relaxed);
            match tokio::time::timeout(PERMIT_TIMEOUT, &mut permit).await {
                Ok(permit) => {
                    self.permits_granted.fetch_add(1, Ordering::Relaxed);
                    return Some(permit);
                }
                Err(_) if self.permits_granted.load(Ordering::Relaxed) == granted => return None,
                Err(_) => {}
            }
        }
    }

    /// Returns how long a mover rests after a chunk. It keeps its permit meanwhile.
    pub fn rest_after(&self, chunk_took: Duration) -> Duration {
        if self.state().is_active { (chunk_took / REST_DIVISOR).min(MAX_REST) } else { Duration::ZERO }
    }

    /// Polls the host's transactions while there is work, until `stop`.
    pub async fn watch(&self, context: &Context, stop: &CancellationToken) {
        if self.is_enabled {
            stop.run_until_cancelled(self.poll(context)).await;
        }
    }

    async fn poll(&self, context: &Context) {
        loop {
            let pause = self.state().pause();
            let transactions = match pause {
                Some(pause) => {
                    tokio::time::sleep(pause).await;
                    context.store.active_transactions().await.map(Some)
                }
                None => Ok(None),
            };
            match transactions {
                Ok(transactions) => self.update(transactions),
                // The usual cause is an overloaded database, so the host does not count as idle.
                Err(error) => {
                    tracing::debug!(%error, "cannot read the host's transactions");
                    self.state().transactions = None;
                }
            }
            context.throughput.set_host_active(self.state().is_active);
            if pause.is_none() {
                self.work_started.notified().await;
            }
        }
    }

    /// Updates the state, and logs when the host becomes active or idle.
    fn update(&self, transactions: Option<BTreeSet<String>>) {
        let mut state = self.state();
        let was_active = state.is_active;
        state.update(transactions);
        if state.is_active == was_active {
            return;
        }
        match state.is_active {
            true => tracing::info!("host is active; movers take turns and move fewer records at a time"),
            false => tracing::info!("host is idle or movers are done; movers run in parallel again"),
        }
        metrics::host_active(state.is_active);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct State {
    /// The times when the current period of work and its last step began.
    work: Option<(Instant, Instant)>,
    /// The host's transactions at the last poll, if it was recent.
    transactions: Option<BTreeSet<String>>,
    /// The time when a new transaction was last seen.
    last_seen: Option<Instant>,
    is_active: bool,
}

impl State {
    /// Records that a step begins. Returns true if it starts a period of work.
    fn record_step(&mut self) -> bool {
        let now = Instant::now();
        let current = self.work.filter(|(_, last)| now - *last < IDLE_AFTER);
        self.work = Some((current.map_or(now, |(began, _)| began), now));
        current.is_none()
    }

    /// Returns the pause before the next poll, or `None` if there is no work.
    fn pause(&self) -> Option<Duration> {
        let (began, last) = self.work?;
        match last.elapsed() < IDLE_AFTER {
            false => None,
            true if self.is_active => Some(POLL_WHILE_ACTIVE),
            true if began.elapsed() < START_PHASE => Some(POLL_AT_START),
            true => Some(POLL),
        }
    }

    /// Records the host's transactions; `None` if nothing polls.
    fn update(&mut self, transactions: Option<BTreeSet<String>>) {
        let has_new = match (&self.transactions, &transactions) {
            (Some(before), Some(now)) => !now.is_subset(before),
            (None, _) | (_, None) => false,
        };
        let seen_within = |time| self.last_seen.is_some_and(|when| when.elapsed() < time);
        self.is_active = match self.is_active {
            true => transactions.is_some() && (has_new || seen_within(ACTIVE_FOR)),
            false => has_new && seen_within(SEEN_TWICE_WITHIN),
        };
        if has_new {
            self.last_seen = Some(Instant::now());
        }
        self.transactions = transactions;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(activity: &HostActivity, transactions: &[&str]) -> bool {
        activity.update(Some(transactions.iter().map(|id| (*id).to_owned()).collect()));
        activity.state().is_active
    }

    fn active() -> HostActivity {
        let activity = HostActivity::new(Pace::DEFAULT);
        for transactions in [&[][..], &["3/18"], &["3/19"]] {
            poll(&activity, transactions);
        }
        activity
    }

    #[test]
    fn host_is_active_while_transactions_come_and_go() {
        let activity = HostActivity::new(Pace::DEFAULT);
        assert!(!poll(&activity, &["3/17", "4/2"]), "they may be old");
        assert!(!poll(&activity, &["4/2"]), "one has ended, the other stays open");
        assert!(!poll(&activity, &["4/2", "3/18"]), "a single one does not count");
        activity.state().last_seen = Instant::now().checked_sub(SEEN_TWICE_WITHIN);
        assert!(!poll(&activity, &["4/2", "3/19"]), "neither do two that are far apart");
        assert!(poll(&activity, &["4/2", "3/20"]));
        assert!(poll(&activity, &[]), "it was active a moment ago");
        activity.state().last_seen = Instant::now().checked_sub(ACTIVE_FOR);
        assert!(!poll(&activity, &[]));
        activity.update(None);
        assert!(!poll(&activity, &["4/9"]), "after a gap in polling it may be old");
        assert!(!poll(&activity, &["4/10"]) && poll(&activity, &["4/11"]));
        activity.update(None);
        assert!(!activity.state().is_active, "nothing polls");
    }

    #[test]
    fn polling_is_frequent_when_work_starts() {
        let mut state = State::default();
        assert_eq!(state.pause(), None);
        assert!(state.record_step(), "the first step");
        assert_eq!(state.pause(), Some(POLL_AT_START));
        assert!(!state.record_step());
        let ago = |time| Instant::now().checked_sub(time).expect("the machine has run for longer");
        state.work = Some((ago(START_PHASE), Instant::now()));
        assert_eq!(state.pause(), Some(POLL));
        state.is_active = true;
        assert_eq!(state.pause(), Some(POLL_WHILE_ACTIVE));
        state.work = Some((ago(IDLE_AFTER), ago(IDLE_AFTER)));
        assert_eq!(state.pause(), None);
        assert!(state.record_step(), "the first step of a new period");
    }

    #[tokio::test]
    async fn movers_take_turns_while_host_is_active() {
        assert!(HostActivity::new(Pace::DEFAULT).mover_permit().await.is_none(), "the host is idle");
        let activity = active();
        let held = activity.mover_permit().await;
        assert!(held.is_some());
        let began = Instant::now();
        assert!(activity.mover_permit().await.is_none(), "the holder is blocked");
        assert!(began.elapsed() >= PERMIT_TIMEOUT);
        drop(held);
        assert!(activity.mover_permit().await.is_some());
    }

    #[tokio::test]
    async fn movers_wait_while_others_get_permits() {
        let activity = active();
        let mover = async || {
            let permit = activity.mover_permit().await;
            assert!(permit.is_some(), "movers never work in parallel");
            tokio::time::sleep(PERMIT_TIMEOUT * 2 / 3).await;
        };
        tokio::join!(mover(), mover(), mover(), mover());
    }

    #[test]
    fn movers_rest_after_chunks_while_host_is_active() {
        let idle = HostActivity::new(Pace::DEFAULT);
        assert_eq!(idle.rest_after(Duration::from_millis(40)), Duration::ZERO);
        let activity = active();
        assert_eq!(activity.rest_after(Duration::from_millis(40)), Duration::from_millis(20));
        assert_eq!(activity.rest_after(Duration::from_secs(20)), MAX_REST, "which waited for a lock");
    }
}
