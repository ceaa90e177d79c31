//! The throttle: after work on chunks a mover rests in proportion to it, and longer while the host is under load.
//!
//! It rests between steps, so that no transaction is open, no connection is held and no message is unacknowledged. The short
//! rests between chunks, which [`host_activity`](super::host_activity) requests, are counted here too. Jobs that the planner
//! completes at once never wait.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::store::HostLoad;
use crate::store::Store;

/// The share of its time that a mover works, and whether it yields to the host. The settings call it `pace`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "PaceSetting")]
pub struct Pace {
    share: f64,
    backs_off: bool,
}

impl Pace {
    /// Movers never rest.
    pub const FULL: Pace = Pace { share: 1.0, backs_off: false };
    /// Movers rest only while the host is under load. While the host is active they take turns: see [`super::host_activity`].
    pub const DEFAULT: Pace = Pace { share: 1.0, backs_off: true };
    /// Each mover works at most a twentieth of the time. Users notice the slowest response in twenty. It hardly slows down only
    /// if all movers together work for little more than a twentieth of the time.
    pub const GENTLE: Pace = Pace { share: 0.05, backs_off: true };

    /// Returns the share of its time that a mover works while the host is not under load.
    pub fn share(self) -> f64 {
        self.share
    }

    /// Returns true if movers yield to the host.
    pub fn backs_off(self) -> bool {
        self.backs_off
    }
}

/// The smallest share. To stop movers altogether, pause their jobs.
const MIN_SHARE: f64 = 0.01;

/// A pace as the settings write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum PaceSetting {
    Share(f64),
    Word(String),
}

impl TryFrom<PaceSetting> for Pace {
    type Error = String;

    fn try_from(setting: PaceSetting) -> Result<Pace, String> {
        let share = match setting {
            PaceSetting::Word(word) => match word.as_str() {
                "full" => return Ok(Pace::FULL),
                "default" => return Ok(Pace::DEFAULT),
                "gentle" => return Ok(Pace::GENTLE),
                text => text.parse().unwrap_or(f64::NAN),
            },
            PaceSetting::Share(share) => share,
        };
        match (MIN_SHARE..=1.0).contains(&share) {
            true => Ok(Pace { share, backs_off: true }),
            false => Err(format!("`pace` must be full, default, gentle, or a share of the time from {MIN_SHARE} to 1")),
        }
    }
}

/// The longest rest: well below the time after which a job counts as stalled.
const MAX_REST: Duration = Duration::from_secs(10);

/// The interval of queries for the host's load while there is work.
const POLL: Duration = Duration::from_millis(500);

/// The largest number of halvings of the share.
const MAX_HALVINGS: u32 = 3;

/// Polls without load before the share is doubled again.
const CALM_POLLS: u32 = 4;

/// The replay lag that a standby may have.
const MAX_LAG: Duration = Duration::from_secs(5);

/// A trivial query that takes this long, and several times as long as usual, indicates an overloaded database. It must happen
/// more than once in a row.
const SLOW_RESPONSE: Duration = Duration::from_millis(20);
const SLOW_FACTOR: u32 = 5;
const SLOW_IN_A_ROW: u32 = 2;

/// The throttle of one worker's movers.
pub struct Throttle {
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of times the share is halved.
    halvings: u32,
    /// Polls without load since the last change.
    calm: u32,
    last_worked: Option<Instant>,
    /// The shortest recent response time.
    usual_response: Option<Duration>,
    /// Slow responses in a row.
    slow_responses: u32,
    rested: Rested,
}

/// The rests of all movers so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rested {
    /// The number of rests.
    pub times: u64,
    /// Their total duration.
    pub total: Duration,
}

impl Throttle {
    /// Creates a throttle without load.
    pub fn new(pace: Pace) -> Throttle {
        Throttle { pace, state: Mutex::default() }
    }

    /// Rests in proportion to the work, until `stop` at the latest.
    pub async fn rest(&self, worked: Duration, stop: &CancellationToken) {
        let rest = self.rest_after(worked);
        if rest.is_zero() {
            return;
        }
        let began = Instant::now();
        let _ = stop.run_until_cancelled(tokio::time::sleep(rest)).await;
        self.record_rest(began.elapsed());
    }

    /// Counts a rest.
    pub fn record_rest(&self, rest: Duration) {
        metrics::throttled(rest);
        let mut state = self.state();
        state.rested.times += 1;
        state.rested.total += rest;
        tracing::debug!(rest_ms = rest.as_millis() as u64, halvings = state.halvings, "mover rested");
    }

    /// Returns the rests so far.
    pub fn rested(&self) -> Rested {
        self.state().rested
    }

    /// Returns true if movers now rest after their steps.
    pub fn rests(&self) -> bool {
        self.share(&self.state()) < 1.0
    }

    /// Returns the share of its time that a mover works now.
    fn share(&self, state: &State) -> f64 {
        self.pace.share / f64::from(2u32.pow(state.halvings))
    }

    fn rest_after(&self, worked: Duration) -> Duration {
        let mut state = self.state();
        state.last_worked = Some(Instant::now());
        let share = self.share(&state);
        worked.mul_f64(1.0 / share - 1.0).min(MAX_REST)
    }

    /// Polls the load of the host while there is work, until `stop`.
    pub async fn watch(&self, store: &Store, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_some() {
            let is_working = self.state().last_worked.is_some_and(|when| when.elapsed() < MAX_REST);
            let load = match is_working && self.pace.backs_off() {
                true => store.host_load().await,
                false => Ok(HostLoad::default()),
            };
            match load {
                Ok(load) => self.adapt(&load),
                Err(error) => tracing::debug!(%error, "cannot read the load of the host"),
            }
        }
    }

    /// Halves the share under load, and doubles it again after a while without. Logs the start and the end.
    fn adapt(&self, load: &HostLoad) {
        let mut state = self.state();
        let reasons = state.reasons(load);
        if !reasons.is_empty() {
            state.calm = 0;
            state.halvings = (state.halvings + 1).min(MAX_HALVINGS);
            if state.halvings == 1 {
                tracing::info!(reasons = reasons.join("; "), "movers back off");
            } else {
                tracing::debug!(reasons = reasons.join("; "), halvings = state.halvings, "movers back off");
            }
        } else if state.halvings > 0 {
            state.calm += 1;
            if state.calm == CALM_POLLS {
                (state.calm, state.halvings) = (0, state.halvings - 1);
            }
            if state.halvings == 0 {
                tracing::info!("movers stopped backing off");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the reasons to work less.
    fn reasons(&mut self, load: &HostLoad) -> Vec<String> {
        let mut reasons = Vec::new();
        if load.waiting > 0 {
            reasons.push(format!("{} sessions of the host wait for our locks", load.waiting));
        }
        if let Some(lag) = load.replay_lag.filter(|lag| *lag > MAX_LAG) {
            reasons.push(format!("a standby lags by {lag:.1?}"));
        }
        if let Some(answer) = load.answer {
            // The usual time may rise, but slowly.
            let usual = self.usual_response.map_or(answer, |usual| answer.min(usual + usual / 50));
            self.usual_response = Some(usual);
            let is_slow = answer > SLOW_RESPONSE.max(usual * SLOW_FACTOR);
            self.slow_responses = if is_slow { self.slow_responses + 1 } else { 0 };
            if self.slow_responses >= SLOW_IN_A_ROW {
                reasons.push(format!("the database responds in {answer:.1?}, usually in {usual:.1?}"));
            }
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: serde_json::Value) -> Result<Pace, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn pace_is_a_word_or_a_share() {
        assert_eq!(parsed("full".into()), Ok(Pace::FULL));
        assert_eq!(parsed("gentle".into()), Ok(Pace::GENTLE));
        assert_eq!(parsed(0.3.into()), Ok(Pace { share: 0.3, backs_off: true }));
        assert_eq!(parsed(1.into()), Ok(Pace::DEFAULT));
        for wrong in [serde_json::json!("fast"), 0.into(), 1.5.into(), (-1).into()] {
            assert!(parsed(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rests_are_proportional_to_work() {
        let worked = Duration::from_millis(50);
        for (pace, rest) in [(Pace::FULL, 0), (Pace::DEFAULT, 0), (Pace::GENTLE, 950)] {
            assert_eq!(Throttle::new(pace).rest_after(worked), Duration::from_millis(rest), "{pace:?}");
        }
        assert_eq!(Throttle::new(Pace::GENTLE).rest_after(Duration::from_secs(60)), MAX_REST);
    }

    #[test]
    fn rests_grow_under_load_and_end_after_calm() {
        let throttle = Throttle::new(Pace::DEFAULT);
        let worked = Duration::from_millis(10);
        let loads = [
            HostLoad { waiting: 1, ..HostLoad::default() },
            HostLoad { replay_lag: Some(Duration::from_secs(60)), ..HostLoad::default() },
        ];
        let rests = [10, 30, 70, 70].map(Duration::from_millis);
        for (n, rest) in rests.into_iter().enumerate() {
            throttle.adapt(&loads[n % 2]);
            assert_eq!(throttle.rest_after(worked), rest);
        }
        for _ in 0..MAX_HALVINGS * CALM_POLLS {
            assert!(!throttle.rest_after(worked).is_zero());
            throttle.adapt(&HostLoad::default());
        }
        assert_eq!(throttle.rest_after(worked), Duration::ZERO);
    }

    #[test]
    fn only_repeated_slow_responses_count() {
        let throttle = Throttle::new(Pace::DEFAULT);
        let response = |ms| HostLoad { answer: Some(Duration::from_millis(ms)), ..HostLoad::default() };
        for (ms, under_load) in [(8, false), (60, false), (9, false), (60, false), (60, true), (9, false)] {
            let reasons = throttle.state().reasons(&response(ms));
            assert_eq!(!reasons.is_empty(), under_load, "{ms} ms: {reasons:?}");
        }
    }
}
