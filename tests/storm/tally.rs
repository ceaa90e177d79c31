//! Counters of what happened.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::worker::lock;

/// The number of occurrences of each event.
#[derive(Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    pub fn count(&self, what: &str) {
        self.add(what, 1);
    }

    pub fn add(&self, what: &str, times: u64) {
        *lock(&self.0).entry(what.to_owned()).or_default() += times;
    }

    pub fn lines(&self) -> Vec<String> {
        lock(&self.0).iter().map(|(what, times)| format!("{times:>7}  {what}")).collect()
    }
}
