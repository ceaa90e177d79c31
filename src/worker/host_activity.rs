//! A worker beside a host at work: movers go one at a time then, their chunks have fewer rows, and behind each is a rest.
//!
//! Whether the host is at work is told by its transactions: one that was not there at the look before has begun since. What
//! an open session leaves standing, a report that runs for an hour, and whoever asks for something now and then are no work
//! of that kind.

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

/// How often the host is looked for while there is work: in its first while, then, and once the host was found at work.
const LOOK_FIRST_EVERY: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_AGAIN_EVERY: Duration = Duration::from_millis(500);
const FIRST_WHILE: Duration = Duration::from_secs(1);

/// Seen twice within this time the host is at work, and is until it has not been seen for so long.
const SEEN_TWICE_IN: Duration = Duration::from_secs(1);
const SEEN_FOR: Duration = Duration::from_secs(5);

/// How long it is looked at after the last step began: for longer than a step and the longest rest behind it take, mostly.
const IDLE_AFTER: Duration = Duration::from_secs(30);

/// How long a mover waits for another one, which may be held up by anything.
const LONGEST_TURN: Duration = Duration::from_secs(1);

/// A chunk takes so many times as long as the rest behind it, in which the host has the database to itself.
const REST: u32 = 2;

/// A chunk that took longer than it should has waited for somebody, mostly.
const LONGEST_REST: Duration = Duration::from_millis(200);

/// The share of the time that movers work beside the host, all of them together.
pub const WORK_SHARE: f64 = REST as f64 / (REST + 1) as f64;

/// How long it takes to say that the host is not at work.
const LOOK_FOR: Duration = Duration::from_millis(500);

/// Whether the host is at work just now.
pub async fn is_active(store: &Store) -> Result<bool> {
    let (began, mut state) = (Instant::now(), State::default());
    while !state.is_active && began.elapsed() < LOOK_FOR {
        state.note(Some(store.active_transactions().await?));
        tokio::time::sleep(LOOK_FIRST_EVERY).await;
    }
    Ok(state.is_active)
}

/// One worker's movers beside the host.
pub struct HostActivity {
    /// Whether the pace asks for it.
    makes_room: bool,
    turn: tokio::sync::Mutex<()>,
    /// How many turns there have been.
    turns: AtomicU64,
    /// There is work again.
    begins: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the work began that goes on since, and when its last step.
    worked: Option<(Instant, Instant)>,
    /// The host's transactions at the last look, where that was a moment ago.
    under_way: Option<BTreeSet<String>>,
    last_seen: Option<Instant>,
    is_active: bool,
}

impl State {
    /// Notes that a step begins; whether it is the first one for a while.
    fn note_step(&mut self) -> bool {
        let now = Instant::now();
        let goes_on = self.worked.filter(|(_, last)| now - *last < IDLE_AFTER);
        self.worked = Some((goes_on.map_or(now, |(began, _)| began), now));
        goes_on.is_none()
    }

    /// How long to wait for the next look; nothing where there is no work.
    fn pause(&self) -> Option<Duration> {
        let (began, last) = self.worked?;
        match last.elapsed() < IDLE_AFTER {
            false => None,
            true if self.is_active => Some(LOOK_AGAIN_EVERY),
            true if began.elapsed() < FIRST_WHILE => Some(LOOK_FIRST_EVERY),
            true => Some(LOOK_EVERY),
        }
    }

    /// Notes the host's transactions; nothing where nobody has looked.
    fn note(&mut self, under_way: Option<BTreeSet<String>>) {
        let has_begun = match (&self.under_way, &under_way) {
            (Some(before), Some(now)) => !now.is_subset(before),
            _ => false,
        };
        let seen_within = |time| self.last_seen.is_some_and(|when| when.elapsed() < time);
        self.is_active = match self.is_active {
            true => under_way.is_some() && (has_begun || seen_within(SEEN_FOR)),
            false => has_begun && seen_within(SEEN_TWICE_IN),
        };
        if has_begun {
            self.last_seen = Some(Instant::now());
        }
        self.under_way = under_way;
    }
}

/// What a mover holds while it is its turn; nothing where movers need not wait for each other, or the one whose turn it is has
/// had it for long.
pub type MoverPermit<'t> = Option<tokio::sync::MutexGuard<'t, ()>>;

impl HostActivity {
    /// Of a worker that begins.
    pub fn new(pace: Pace) -> HostActivity {
        HostActivity {
            makes_room: pace.backs_off(),
            turn: tokio::sync::Mutex::default(),
            turns: AtomicU64::default(),
            begins: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// Begins a step on chunks, when it is this mover's turn.
    pub async fn mover_permit(&self) -> MoverPermit<'_> {
        let (begins, is_active) = {
            let mut state = self.state();
            (state.note_step(), state.is_active)
        };
        if begins {
            self.begins.notify_one();
        }
        if is_active { self.wait_for_permit().await } else { None }
    }

    async fn wait_for_permit(&self) -> MoverPermit<'_> {
        let mut own = pin!(self.turn.lock());
        loop {
            let before = self.turns.load(Ordering::Relaxed);
            match tokio::time::timeout(LONGEST_TURN, &mut own).await {
                Ok(turn) => {
                    self.turns.fetch_add(1, Ordering::Relaxed);
                    return Some(turn);
                }
                Err(_) if self.turns.load(Ordering::Relaxed) == before => return None,
                Err(_) => {}
            }
        }
    }

    /// For how long a mover rests behind a chunk. One whose turn it is keeps it meanwhile.
    pub fn rest_after(&self, chunk_took: Duration) -> Duration {
        if self.state().is_active { (chunk_took / REST).min(LONGEST_REST) } else { Duration::ZERO }
    }

    /// Looks at the host now and then while there is work, until `stop`.
    pub async fn watch(&self, context: &Context, stop: &CancellationToken) {
        if self.makes_room {
            stop.run_until_cancelled(self.look(context)).await;
        }
    }

    async fn look(&self, context: &Context) {
        loop {
            let pause = self.state().pause();
            let under_way = match pause {
                Some(pause) => {
                    tokio::time::sleep(pause).await;
                    context.store.active_transactions().await.map(Some)
                }
                None => Ok(None),
            };
            match under_way {
                Ok(under_way) => self.note(under_way),
                // Most likely where there is too much to do: no time to take it for idle.
                Err(error) => {
                    tracing::debug!(%error, "the host's transactions cannot be read");
                    self.state().under_way = None;
                }
            }
            context.throughput.set_host_active(self.state().is_active);
            if pause.is_none() {
                self.begins.notified().await;
            }
        }
    }

    /// Notes the host's transactions, and tells when it begins to work and when it rests.
    fn note(&self, under_way: Option<BTreeSet<String>>) {
        let mut state = self.state();
        let was_at_work = state.is_active;
        state.note(under_way);
        if state.is_active == was_at_work {
            return;
        }
        match state.is_active {
            true => tracing::info!("the host is at work: movers go one at a time, a few records each"),
            false => tracing::info!("movers go side by side again: the host rests, or they have done"),
        }
        metrics::host_active(state.is_active);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(host_activity: &HostActivity, under_way: &[&str]) -> bool {
        host_activity.note(Some(under_way.iter().map(|id| (*id).to_owned()).collect()));
        host_activity.state().is_active
    }

    #[test]
    fn the_host_is_at_work_when_its_transactions_come_and_go() {
        let host_activity = HostActivity::new(Pace::DEFAULT);
        assert!(!seen(&host_activity, &["3/17", "4/2"]), "they may be old");
        assert!(!seen(&host_activity, &["4/2"]), "one has ended, and one stands");
        assert!(!seen(&host_activity, &["4/2", "3/18"]), "one alone says little");
        host_activity.state().last_seen = Instant::now().checked_sub(SEEN_TWICE_IN);
        assert!(!seen(&host_activity, &["4/2", "3/19"]), "so do two that are far apart");
        assert!(seen(&host_activity, &["4/2", "3/20"]));
        assert!(seen(&host_activity, &[]), "it was, a moment ago");
        host_activity.state().last_seen = Instant::now().checked_sub(SEEN_FOR);
        assert!(!seen(&host_activity, &[]));
        host_activity.note(None);
        assert!(!seen(&host_activity, &["4/9"]), "nobody has looked for a while: it may be old");
        assert!(!seen(&host_activity, &["4/10"]) && seen(&host_activity, &["4/11"]));
        host_activity.note(None);
        assert!(!host_activity.state().is_active, "nobody looks");
    }

    #[test]
    fn the_host_is_looked_at_while_there_is_work_and_often_when_it_begins() {
        let mut state = State::default();
        assert_eq!(state.pause(), None);
        assert!(state.note_step(), "the first one");
        assert_eq!(state.pause(), Some(LOOK_FIRST_EVERY));
        assert!(!state.note_step());
        let ago = |time| Instant::now().checked_sub(time).expect("the machine has run for longer");
        state.worked = Some((ago(FIRST_WHILE), Instant::now()));
        assert_eq!(state.pause(), Some(LOOK_EVERY));
        state.is_active = true;
        assert_eq!(state.pause(), Some(LOOK_AGAIN_EVERY));
        state.worked = Some((ago(IDLE_AFTER), ago(IDLE_AFTER)));
        assert_eq!(state.pause(), None);
        assert!(state.note_step(), "the first one for a while");
    }

    #[tokio::test]
    async fn movers_take_turns_while_the_host_is_at_work_and_no_mover_waits_for_long() {
        let host_activity = HostActivity::new(Pace::DEFAULT);
        assert!(host_activity.mover_permit().await.is_none(), "nothing is in the way");
        for under_way in [&[][..], &["3/18"], &["3/19"]] {
            seen(&host_activity, under_way);
        }
        let held = host_activity.mover_permit().await;
        assert!(held.is_some());
        let began = Instant::now();
        assert!(host_activity.mover_permit().await.is_none(), "the other one is held up");
        assert!(began.elapsed() >= LONGEST_TURN);
        drop(held);
        assert!(host_activity.mover_permit().await.is_some());
    }

    #[tokio::test]
    async fn a_mover_waits_for_its_turn_for_as_long_as_others_take_theirs() {
        let host_activity = HostActivity::new(Pace::DEFAULT);
        for under_way in [&[][..], &["3/18"], &["3/19"]] {
            seen(&host_activity, under_way);
        }
        let mover = async || {
            let turn = host_activity.mover_permit().await;
            assert!(turn.is_some(), "nobody works host_activity another");
            tokio::time::sleep(LONGEST_TURN * 2 / 3).await;
        };
        tokio::join!(mover(), mover(), mover(), mover());
    }

    #[test]
    fn movers_rest_behind_each_chunk_while_the_host_is_at_work() {
        let host_activity = HostActivity::new(Pace::DEFAULT);
        assert_eq!(host_activity.rest_after(Duration::from_millis(40)), Duration::ZERO);
        for under_way in [&[][..], &["3/18"], &["3/19"]] {
            seen(&host_activity, under_way);
        }
        assert_eq!(host_activity.rest_after(Duration::from_millis(40)), Duration::from_millis(20));
        assert_eq!(host_activity.rest_after(Duration::from_secs(20)), LONGEST_REST, "which waited for a lock");
    }
}
