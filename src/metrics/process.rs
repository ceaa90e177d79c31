//! Metrics of the process itself, on Linux only.

use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use super::list::{Metrics, NONE};

/// The time of the first measurement, which is taken at start-up.
static STARTED: LazyLock<f64> =
    LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));

/// Updates the metrics of the process.
pub fn measure(metrics: &Metrics) {
    metrics.process_start.with_label_values(NONE).set(*STARTED);
    if let Some(bytes) = resident_bytes() {
        metrics.process_memory.with_label_values(NONE).set(bytes as f64);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        metrics.process_fds.with_label_values(NONE).set(open.count() as f64);
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
