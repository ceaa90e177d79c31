//! How hard a worker works: after each step on chunks a mover rests in proportion to what it did, and for longer while the
//! host is under strain.
//!
//! It rests between steps, each of which is one chunk then: no transaction is open, no connection held, and no message kept
//! from its acknowledgement. (Rests behind chunks beside a host at work, which [`host_activity`](super::host_activity) asks for, are short and
//! counted here.) What the planner does at once never waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::store::Store;
use crate::store::load::HostLoad;

/// The share of its time that a mover works, and whether it makes room for the host at work, and more of it under strain.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Pace {
    share: f64,
    backs_off: bool,
}

impl Pace {
    /// Never rests.
    pub const FULL: Pace = Pace { share: 1.0, backs_off: false };
    /// Rests only while the host is under strain. While it is at work, movers go one at a time: see [`super::host_activity`].
    pub const DEFAULT: Pace = Pace { share: 1.0, backs_off: true };
    /// Works a twentieth of the time at most. An application's people notice the slowest answer in twenty: it comes hardly
    /// later only where movers are at work for little more than a twentieth of the time, all of them together.
    pub const GENTLE: Pace = Pace { share: 0.05, backs_off: true };

    /// The share of its time that a mover works where nothing is in the way.
    pub fn share(self) -> f64 {
        self.share
    }

    /// Whether movers make room for the host.
    pub fn backs_off(self) -> bool {
        self.backs_off
    }
}

/// The smallest share: less is a pause, and for that there is a request.
const LEAST_SHARE: f64 = 0.01;

/// A pace as it stands in the settings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Share(f64),
    Word(String),
}

impl TryFrom<Written> for Pace {
    type Error = String;

    fn try_from(written: Written) -> Result<Pace, String> {
        let share = match written {
            Written::Word(word) => match word.as_str() {
                "full" => return Ok(Pace::FULL),
                "default" => return Ok(Pace::DEFAULT),
                "gentle" => return Ok(Pace::GENTLE),
                text => text.parse().unwrap_or(f64::NAN),
            },
            Written::Share(share) => share,
        };
        match (LEAST_SHARE..=1.0).contains(&share) {
            true => Ok(Pace { share, backs_off: true }),
            false => Err(format!("`pace` is full, default, gentle, or a share of the time from {LEAST_SHARE} to 1")),
        }
    }
}

/// The longest rest: well below the time after which a job counts as standing still.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How often the host is looked at, while there is work.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often the share is halved, at most.
const MOST_HALVINGS: u32 = 3;

/// Looks without strain until the share is doubled again.
const CALM_LOOKS: u32 = 4;

/// How far a standby may fall behind.
const MOST_LAG: Duration = Duration::from_secs(5);

/// Answers to next to nothing that take this long, and so many times as long as usual, come from a database with too much
/// to do; a single one says nothing.
const SLOW_ANSWER: Duration = Duration::from_millis(20);
const TIMES_AS_LONG: u32 = 5;
const SLOW_IN_A_ROW: u32 = 2;

/// The pace of one worker's movers, and how they keep it.
pub struct Throttle {
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often the share is halved.
    halvings: u32,
    /// Looks without strain since the last change.
    calm: u32,
    last_worked: Option<Instant>,
    /// The shortest answers of late.
    usual_answer: Option<Duration>,
    /// Slow answers in a row.
    slow_answers: u32,
    rested: Rested,
}

/// How often and for how long movers have rested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rested {
    /// How often.
    pub times: u64,
    /// For how long, together.
    pub total: Duration,
}

impl Throttle {
    /// Of a worker that begins.
    pub fn new(pace: Pace) -> Throttle {
        Throttle { pace, state: Mutex::default() }
    }

    /// Rests as long as is fit after so much work; no longer than until `stop`.
    pub async fn rest(&self, worked: Duration, stop: &CancellationToken) {
        let rest = self.rest_after(worked);
        if rest.is_zero() {
            return;
        }
        let began = Instant::now();
        let _ = stop.run_until_cancelled(tokio::time::sleep(rest)).await;
        self.note(began.elapsed());
    }

    /// Every rest comes by here: whoever counts them counts here.
    pub fn note(&self, rest: Duration) {
        metrics::throttled(rest);
        let mut state = self.state();
        state.rested.times += 1;
        state.rested.total += rest;
        tracing::debug!(rest_ms = rest.as_millis() as u64, halvings = state.halvings, "a mover rested");
    }

    /// How often and for how long movers have rested so far.
    pub fn rested(&self) -> Rested {
        self.state().rested
    }

    /// Whether movers rest after their steps just now.
    pub fn rests(&self) -> bool {
        self.share(&self.state()) < 1.0
    }

    /// The share of its time that a mover works just now.
    fn share(&self, state: &State) -> f64 {
        self.pace.share / f64::from(2u32.pow(state.halvings))
    }

    fn rest_after(&self, worked: Duration) -> Duration {
        let mut state = self.state();
        state.last_worked = Some(Instant::now());
        let share = self.share(&state);
        worked.mul_f64(1.0 / share - 1.0).min(LONGEST_REST)
    }

    /// Looks at the host now and then while there is work, until `stop`.
    pub async fn watch(&self, store: &Store, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let works = self.state().last_worked.is_some_and(|when| when.elapsed() < LONGEST_REST);
            let strain = match works && self.pace.backs_off() {
                true => store.host_load().await,
                false => Ok(HostLoad::default()),
            };
            match strain {
                Ok(strain) => self.adapt(&strain),
                Err(error) => tracing::debug!(%error, "the host's strain cannot be read"),
            }
        }
    }

    /// Halves the share under strain, and doubles it again after a while without. Tells of the first and the last of it.
    fn adapt(&self, strain: &HostLoad) {
        let mut state = self.state();
        let reasons = state.reasons(strain);
        if !reasons.is_empty() {
            state.calm = 0;
            state.halvings = (state.halvings + 1).min(MOST_HALVINGS);
            if state.halvings == 1 {
                tracing::info!(reasons = reasons.join("; "), "the movers back off");
            } else {
                tracing::debug!(reasons = reasons.join("; "), halvings = state.halvings, "the movers back off");
            }
        } else if state.halvings > 0 {
            state.calm += 1;
            if state.calm == CALM_LOOKS {
                (state.calm, state.halvings) = (0, state.halvings - 1);
            }
            if state.halvings == 0 {
                tracing::info!("the movers are back at their pace");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What speaks for working less.
    fn reasons(&mut self, strain: &HostLoad) -> Vec<String> {
        let mut reasons = Vec::new();
        if strain.waiting > 0 {
            reasons.push(format!("{} sessions of the host wait for locks of ours", strain.waiting));
        }
        if let Some(lag) = strain.replay_lag.filter(|lag| *lag > MOST_LAG) {
            reasons.push(format!("a standby is {lag:.1?} behind"));
        }
        if let Some(answer) = strain.answer {
            // What is usual may rise, but slowly.
            let usual = self.usual_answer.map_or(answer, |usual| answer.min(usual + usual / 50));
            self.usual_answer = Some(usual);
            let is_slow = answer > SLOW_ANSWER.max(usual * TIMES_AS_LONG);
            self.slow_answers = if is_slow { self.slow_answers + 1 } else { 0 };
            if self.slow_answers >= SLOW_IN_A_ROW {
                reasons.push(format!("the database answers in {answer:.1?}, usually in {usual:.1?}"));
            }
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: serde_json::Value) -> Result<Pace, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pace_is_a_word_or_a_share() {
        assert_eq!(written("full".into()), Ok(Pace::FULL));
        assert_eq!(written("gentle".into()), Ok(Pace::GENTLE));
        assert_eq!(written(0.3.into()), Ok(Pace { share: 0.3, backs_off: true }));
        assert_eq!(written(1.into()), Ok(Pace::DEFAULT));
        for wrong in [serde_json::json!("fast"), 0.into(), 1.5.into(), (-1).into()] {
            assert!(written(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rest_is_in_proportion_to_the_work() {
        let worked = Duration::from_millis(50);
        for (pace, rest) in [(Pace::FULL, 0), (Pace::DEFAULT, 0), (Pace::GENTLE, 950)] {
            assert_eq!(Throttle::new(pace).rest_after(worked), Duration::from_millis(rest), "{pace:?}");
        }
        assert_eq!(Throttle::new(Pace::GENTLE).rest_after(Duration::from_secs(60)), LONGEST_REST);
    }

    #[test]
    fn under_strain_rests_grow_to_a_limit_and_end_after_a_while_of_calm() {
        let throttle = Throttle::new(Pace::DEFAULT);
        let worked = Duration::from_millis(10);
        let strains = [
            HostLoad { waiting: 1, ..HostLoad::default() },
            HostLoad { replay_lag: Some(Duration::from_secs(60)), ..HostLoad::default() },
        ];
        let rests = [10, 30, 70, 70].map(Duration::from_millis);
        for (n, rest) in rests.into_iter().enumerate() {
            throttle.adapt(&strains[n % 2]);
            assert_eq!(throttle.rest_after(worked), rest);
        }
        for _ in 0..MOST_HALVINGS * CALM_LOOKS {
            assert!(!throttle.rest_after(worked).is_zero());
            throttle.adapt(&HostLoad::default());
        }
        assert_eq!(throttle.rest_after(worked), Duration::ZERO);
    }

    #[test]
    fn answers_count_as_slow_beside_what_is_usual_and_not_alone() {
        let throttle = Throttle::new(Pace::DEFAULT);
        let answered = |ms| HostLoad { answer: Some(Duration::from_millis(ms)), ..HostLoad::default() };
        for (ms, strained) in [(8, false), (60, false), (9, false), (60, false), (60, true), (9, false)] {
            let reasons = throttle.state().reasons(&answered(ms));
            assert_eq!(!reasons.is_empty(), strained, "{ms} ms: {reasons:?}");
        }
    }
}
