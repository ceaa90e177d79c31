//! Samples and their statistics.

use std::time::Duration;

/// One contestant's values, by round.
#[derive(Debug, Clone, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn push_time(&mut self, time: Duration) {
        self.push(time.as_secs_f64());
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Returns the value below which a share of the samples lies, interpolated linearly.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let place = share * last as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
    }

    pub fn range(&self) -> (f64, f64) {
        (self.quantile(0.0), self.quantile(1.0))
    }

    /// Returns the other's values divided by these, pair by pair: above 1, this one is faster.
    pub fn speed_up_over(&self, other: &Samples) -> Samples {
        Samples(self.0.iter().zip(&other.0).map(|(mine, theirs)| theirs / mine).collect())
    }
}
