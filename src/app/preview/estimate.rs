//! Estimates how long a job would take, from its size and from recent chunks on this database.

use std::collections::HashMap;

use crate::stages::throughput::rows_while_host_active;
use crate::store::ledger::chunks::ChunkTimes;

/// Rows per second of one mover, for a kind that this database has no recent chunks of.
const DEFAULT_ROWS_PER_SECOND: f64 = 40_000.0;

/// Milliseconds per chunk that the ledger does not record: the commit, and the ticket's way through the broker.
const CHUNK_OVERHEAD: f64 = 5.0;

/// Milliseconds per job outside its chunks: to plan and to finalize it.
const JOB_OVERHEAD: f64 = 10.0;

/// The figures that an estimate is computed from.
pub(super) struct Estimator {
    /// The duration of recent chunks, by kind.
    pub recent: HashMap<String, ChunkTimes>,
    /// Rows of a chunk, at most.
    pub chunk_rows: u64,
    /// Chunks of one job that the worker moves at the same time.
    pub movers: usize,
    /// The share of its time that a mover works.
    pub share: f64,
    /// The share of the time that all movers together work while the host is active. `None` if they do not yield now.
    pub shared_with_host: Option<f64>,
}

impl Estimator {
    /// Estimates the milliseconds for these rows of each kind, moved at once or in chunks.
    pub fn milliseconds(&self, rows: &[(&str, u64)], at_once: bool) -> u64 {
        let sequential: f64 = rows.iter().map(|(kind, rows)| self.of_kind(kind, *rows, at_once)).sum();
        let chunks: u64 = rows.iter().map(|(_, rows)| rows.div_ceil(self.chunk_rows.max(1))).sum();
        let parallel = (self.movers as u64).clamp(1, chunks.max(1)) as f64 * self.share;
        let parallel = match (at_once, self.shared_with_host) {
            (true, _) => 1.0,
            (false, Some(share)) => parallel.min(share),
            (false, None) => parallel,
        };
        (JOB_OVERHEAD + sequential / parallel).ceil() as u64
    }

    /// Estimates the milliseconds for rows of a kind, by one mover that never rests.
    fn of_kind(&self, kind: &str, rows: u64, at_once: bool) -> f64 {
        let overhead = if at_once { 0.0 } else { CHUNK_OVERHEAD };
        let yields = self.shared_with_host.is_some();
        let chunk_rows = if yields { rows_while_host_active(self.chunk_rows) } else { self.chunk_rows };
        let (rows, chunks) = (rows as f64, rows.div_ceil(chunk_rows.max(1)) as f64);
        match self.recent.get(kind) {
            Some(took) if took.records > 0 => {
                let as_recently = took.chunks as f64 * rows / took.records as f64;
                let chunks = if yields { as_recently.max(chunks) } else { as_recently };
                took.milliseconds as f64 * rows / took.records as f64 + chunks * overhead
            }
            Some(_) | None => rows * 1_000.0 / DEFAULT_ROWS_PER_SECOND + chunks * overhead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimator(movers: usize, share: f64) -> Estimator {
        let took = ChunkTimes { chunks: 10, records: 10_000, milliseconds: 150 };
        let recent = HashMap::from([("contact".to_owned(), took)]);
        Estimator { recent, chunk_rows: 1_000, movers, share, shared_with_host: None }
    }

    #[test]
    fn estimate_scales_with_rows_movers_and_share() {
        let rows = [("contact", 100_000)];
        assert_eq!(estimator(1, 1.0).milliseconds(&rows, false), 10 + 1_500 + 500);
        assert_eq!(estimator(2, 1.0).milliseconds(&rows, false), 10 + 1_000);
        assert_eq!(estimator(2, 0.05).milliseconds(&rows, false), 10 + 20_000);
        assert_eq!(estimator(8, 1.0).milliseconds(&[("contact", 2_000)], false), 10 + 20, "two chunks");
        assert_eq!(estimator(2, 0.05).milliseconds(&[("contact", 1_000)], true), 10 + 15, "at once");
    }

    #[test]
    fn active_host_means_smaller_chunks_and_rests() {
        let rows = [("contact", 100_000)];
        let yielding = |movers, share| Estimator { shared_with_host: Some(2.0 / 3.0), ..estimator(movers, share) };
        let without_rest = 1_500 + 1_000 * 5;
        assert_eq!(yielding(4, 1.0).milliseconds(&rows, false), 10 + without_rest * 3 / 2);
        assert_eq!(yielding(2, 0.05).milliseconds(&rows, false), 10 + without_rest * 10);
        assert_eq!(yielding(2, 1.0).milliseconds(&[("contact", 1_000)], true), 10 + 15, "at once");
    }

    #[test]
    fn unknown_kinds_use_the_default_rate() {
        let estimated = estimator(1, 1.0).milliseconds(&[("deal", 40_000)], false);
        assert_eq!(estimated, 10 + 1_000 + 200);
    }
}
