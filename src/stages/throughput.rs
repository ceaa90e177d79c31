//! The size of chunks by the measured throughput of each reference, so that chunks keep to their target time. They are smaller
//! while the host is active.
//!
//! The measurement is a hint. It is kept in memory only: a new worker takes its first chunk as it was cut, and learns from it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::stages::limits::Limits;

/// The factor by which chunks are smaller while the host is active. A commit of the host waits until our earlier writes are on
/// disk, too.
const FEWER: u64 = 10;

/// The fewest rows that are worth a transaction of their own.
const FEW: u64 = 100;

/// Returns the size of a chunk while the host is active, from its usual size.
pub fn rows_while_host_active(chunk_rows: u64) -> u64 {
    (chunk_rows / FEWER).max(FEW).min(chunk_rows)
}

/// The measured throughput of each reference, by the catalog's hash and the reference's position.
#[derive(Debug, Default)]
pub struct Throughput {
    known: Mutex<HashMap<(String, usize), Rate>>,
    is_host_active: AtomicBool,
}

/// Rows and the time that they took. The latest chunks count most.
#[derive(Debug, Clone, Copy)]
struct Rate {
    rows: f64,
    seconds: f64,
}

impl Rate {
    /// A few fast rows, so that a first chunk of one slow row has little effect.
    const UNKNOWN: Rate = Rate { rows: 100.0, seconds: 0.001 };
}

impl Throughput {
    /// Records the time that a chunk's rows took.
    pub fn note(&self, catalog: &str, position: usize, rows: u64, took: Duration) {
        if rows == 0 {
            return;
        }
        let mut rates = self.rates();
        let rate = rates.entry((catalog.to_owned(), position)).or_insert(Rate::UNKNOWN);
        rate.rows = rate.rows / 2.0 + rows as f64;
        rate.seconds = rate.seconds / 2.0 + took.as_secs_f64();
    }

    /// Records whether the host is active now.
    pub fn set_host_active(&self, is_host_active: bool) {
        self.is_host_active.store(is_host_active, Ordering::Relaxed);
    }

    /// Returns the number of rows that a chunk should have, at least one. Returns nothing if there is no reason for a limit.
    pub fn rows_of_a_chunk(&self, catalog: &str, position: usize, limits: &Limits) -> Option<u64> {
        let in_time = self.rows_within(catalog, position, limits.chunk_time);
        let is_host_active = self.is_host_active.load(Ordering::Relaxed);
        let few = is_host_active.then(|| rows_while_host_active(limits.chunk_rows));
        in_time.into_iter().chain(few).min()
    }

    /// Returns the number of rows that this time suffices for, at least one. Returns nothing before the first measurement.
    fn rows_within(&self, catalog: &str, position: usize, time: Duration) -> Option<u64> {
        let rate = *self.rates().get(&(catalog.to_owned(), position))?;
        // The conversion saturates.
        Some((time.as_secs_f64() * rate.rows / rate.seconds) as u64).map(|rows| rows.max(1))
    }

    fn rates(&self) -> MutexGuard<'_, HashMap<(String, usize), Rate>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(50);

    #[test]
    fn a_slow_chunk_makes_the_next_ones_smaller_and_fast_ones_make_them_larger_again() {
        let throughput = Throughput::default();
        assert_eq!(throughput.rows_within("a", 0, TARGET), None);
        throughput.note("a", 0, 1_000, Duration::from_secs(10));
        let rows = throughput.rows_within("a", 0, TARGET).expect("it is known");
        assert!((4..=6).contains(&rows), "{rows}");
        assert_eq!(throughput.rows_within("a", 1, TARGET), None, "each reference has its own speed");
        for _ in 0..20 {
            throughput.note("a", 0, 1_000, Duration::from_millis(10));
        }
        assert!(throughput.rows_within("a", 0, TARGET).expect("it is known") > 2_000);
    }

    #[test]
    fn a_single_row_that_was_held_up_says_little() {
        let throughput = Throughput::default();
        throughput.note("a", 0, 1, Duration::from_millis(40));
        assert!(throughput.rows_within("a", 0, TARGET).expect("it is known") > 50);
        throughput.note("a", 0, 1_000, Duration::ZERO);
        assert!(throughput.rows_within("a", 0, TARGET).expect("it is known") > 1_000);
    }
}
