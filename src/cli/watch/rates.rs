//! Rates of change over the last seconds.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The time over which a rate is measured.
const WINDOW: Duration = Duration::from_secs(10);

/// Counts that change, by key.
#[derive(Debug)]
pub struct Rates<K> {
    samples: BTreeMap<K, VecDeque<(Instant, u64)>>,
}

impl<K: Ord + Copy> Rates<K> {
    /// Returns rates without a count.
    pub fn new() -> Rates<K> {
        Rates { samples: BTreeMap::new() }
    }

    /// Records the counts at a moment. A key without a count is forgotten.
    pub fn record(&mut self, at: Instant, counts: impl IntoIterator<Item = (K, u64)>) {
        let mut samples = BTreeMap::new();
        for (key, count) in counts {
            let mut known = self.samples.remove(&key).unwrap_or_default();
            known.push_back((at, count));
            // The oldest of the window stays, and with it a rate.
            while known.len() > 2 && at.duration_since(known[0].0) > WINDOW {
                known.pop_front();
            }
            samples.insert(key, known);
        }
        self.samples = samples;
    }

    /// Returns the change per second; none until there are two counts.
    pub fn per_second(&self, key: K) -> Option<f64> {
        let samples = self.samples.get(&key)?;
        let ((began, first), (ended, last)) = (samples.front()?, samples.back()?);
        let seconds = ended.duration_since(*began).as_secs_f64();
        (seconds > 0.0).then(|| (*last as f64 - *first as f64) / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_of_the_last_seconds() {
        let (began, mut rates) = (Instant::now(), Rates::new());
        let at = |seconds| began + Duration::from_secs(seconds);
        rates.record(at(0), [("a", 100)]);
        assert_eq!(rates.per_second("a"), None);
        rates.record(at(2), [("a", 300), ("b", 5)]);
        assert_eq!((rates.per_second("a"), rates.per_second("b")), (Some(100.0), None));
        rates.record(at(20), [("a", 120)]);
        assert_eq!(rates.per_second("a"), Some(-10.0), "two counts stay");
        rates.record(at(21), [("b", 1)]);
        assert_eq!((rates.per_second("a"), rates.per_second("b")), (None, None), "a gap forgets the counts");
    }
}
