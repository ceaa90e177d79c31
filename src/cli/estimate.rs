//! How long a job would take: from what there is to do, and from what chunks on this database took of late.

use std::collections::HashMap;

use crate::stages::throughput::rows_while_host_active;
use crate::store::ledger::chunks::ChunkTimes;
use crate::worker::host_activity;
use crate::worker::throttle::Pace;

/// Rows a second of one mover where nothing of the kind was done on this database yet.
const GUESSED_ROWS_A_SECOND: f64 = 40_000.0;

/// What a chunk takes beside what the ledger notes of it, in milliseconds: its commit, and its ticket's way through the broker.
const AROUND_A_CHUNK: f64 = 5.0;

/// What a job takes beside its chunks, in milliseconds: to be planned, and to be finalized.
const AROUND_A_JOB: f64 = 10.0;

/// What estimates are made of.
pub struct Estimator {
    /// What recent chunks took, by kind.
    pub recently: HashMap<String, ChunkTimes>,
    /// Rows of a chunk at most.
    pub chunk_rows: u64,
    /// Chunks of one job that the worker moves at the same time.
    pub movers: usize,
    /// How hard it works.
    pub pace: Pace,
    /// Whether it makes room for the host, which is at work just now.
    pub is_host_active: bool,
}

impl Estimator {
    /// Milliseconds for so many rows of each kind, which are done at once or in chunks.
    pub fn milliseconds(&self, rows: &[(&str, u64)], at_once: bool) -> u64 {
        let one_by_one: f64 = rows.iter().map(|(kind, rows)| self.of_kind(kind, *rows, at_once)).sum();
        let chunks: u64 = rows.iter().map(|(_, rows)| rows.div_ceil(self.chunk_rows.max(1))).sum();
        let side_by_side = (self.movers as u64).clamp(1, chunks.max(1)) as f64 * self.pace.share();
        let side_by_side = match (at_once, self.is_host_active) {
            (true, _) => 1.0,
            (false, true) => side_by_side.min(host_activity::WORK_SHARE),
            (false, false) => side_by_side,
        };
        (AROUND_A_JOB + one_by_one / side_by_side).ceil() as u64
    }

    /// For rows of a kind, by one mover without a rest.
    fn of_kind(&self, kind: &str, rows: u64, at_once: bool) -> f64 {
        let around = if at_once { 0.0 } else { AROUND_A_CHUNK };
        let chunk_rows = match self.is_host_active {
            true => rows_while_host_active(self.chunk_rows),
            false => self.chunk_rows,
        };
        let (rows, chunks) = (rows as f64, rows.div_ceil(chunk_rows.max(1)) as f64);
        match self.recently.get(kind) {
            Some(took) if took.records > 0 => {
                let as_recently = took.chunks as f64 * rows / took.records as f64;
                let chunks = if self.is_host_active { as_recently.max(chunks) } else { as_recently };
                took.milliseconds as f64 * rows / took.records as f64 + chunks * around
            }
            _ => rows * 1_000.0 / GUESSED_ROWS_A_SECOND + chunks * around,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimator(movers: usize, pace: Pace) -> Estimator {
        let took = ChunkTimes { chunks: 10, records: 10_000, milliseconds: 150 };
        Estimator {
            recently: HashMap::from([("contact".to_owned(), took)]),
            chunk_rows: 1_000,
            movers,
            pace,
            is_host_active: false,
        }
    }

    #[test]
    fn an_estimate_goes_by_what_chunks_of_the_kind_took_by_movers_and_by_pace() {
        let rows = [("contact", 100_000)];
        assert_eq!(estimator(1, Pace::DEFAULT).milliseconds(&rows, false), 10 + 1_500 + 500);
        assert_eq!(estimator(2, Pace::DEFAULT).milliseconds(&rows, false), 10 + 1_000);
        assert_eq!(estimator(2, Pace::GENTLE).milliseconds(&rows, false), 10 + 20_000);
        assert_eq!(estimator(8, Pace::FULL).milliseconds(&[("contact", 2_000)], false), 10 + 20, "two chunks");
        assert_eq!(estimator(2, Pace::GENTLE).milliseconds(&[("contact", 1_000)], true), 10 + 15, "at once");
    }

    #[test]
    fn beside_the_host_at_work_chunks_are_small_and_movers_go_one_at_a_time_and_rest() {
        let rows = [("contact", 100_000)];
        let beside = |movers, pace| Estimator { is_host_active: true, ..estimator(movers, pace) };
        let without_rest = 1_500 + 1_000 * 5;
        assert_eq!(beside(4, Pace::DEFAULT).milliseconds(&rows, false), 10 + without_rest * 3 / 2);
        assert_eq!(beside(2, Pace::GENTLE).milliseconds(&rows, false), 10 + without_rest * 10);
        assert_eq!(beside(2, Pace::DEFAULT).milliseconds(&[("contact", 1_000)], true), 10 + 15, "at once");
    }

    #[test]
    fn what_was_never_done_is_guessed() {
        let estimated = estimator(1, Pace::DEFAULT).milliseconds(&[("deal", 40_000)], false);
        assert_eq!(estimated, 10 + 1_000 + 200);
    }
}
