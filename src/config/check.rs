//! Checks the ranges of settings, beyond their types. Each fault names its setting.

use std::time::Duration;

use super::faults::Faults;
use super::logging::Telemetry;
use crate::stages::{Limits, ScimLimits};
use crate::{store, worker};

const HOUR: Duration = Duration::from_secs(3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Rows of a chunk, at most.
const MAX_CHUNK_ROWS: u64 = 100_000;

/// Attempts at blocked work. After a day, a person should look.
const MAX_DEFERRALS: u32 = 1_000;

/// The shortest useful pause or chunk.
const SHORTEST: Duration = Duration::from_millis(1);

/// Checks the pace of deprovisioning by identity providers.
pub fn check_scim(scim: &ScimLimits, faults: &mut Faults) {
    check_longest("scim.settle", scim.settle, CENTURY, faults);
    if !(1..=100).contains(&scim.breaker_percent) {
        faults.add("`scim.breaker_percent` must be 1 to 100");
    }
}

/// Checks the sizes and time limits of the stages.
pub fn check_limits(limits: &Limits, faults: &mut Faults) {
    let positive = [
        ("group", limits.group as u64),
        ("chunk_rows", limits.chunk_rows),
        ("chunks_per_cut", limits.chunks_per_cut),
        ("window", limits.window),
        ("chunk_attempts", limits.chunk_attempts.max(0) as u64),
    ];
    if !(1..=MAX_DEFERRALS).contains(&limits.deferrals) {
        faults.add(format!("`limits.deferrals` must be 1 to {MAX_DEFERRALS}"));
    }
    for (name, _) in positive.into_iter().filter(|(_, value)| *value == 0) {
        faults.add(format!("`limits.{name}` must be at least 1"));
    }
    if limits.chunk_rows > MAX_CHUNK_ROWS {
        let why = "a chunk's rows stay locked while it moves";
        faults.add(format!("`limits.chunk_rows` must be at most {MAX_CHUNK_ROWS}: {why}"));
    }
    check_shortest("limits.chunk_time", limits.chunk_time, faults);
    check_longest("limits.chunk_time", limits.chunk_time, HOUR, faults);
    if limits.stalled_after.is_zero() || limits.recount_every.is_zero() {
        faults.add("`limits.stalled_after` and `limits.recount_every` must be longer than zero");
    }
    check_longest("limits.stalled_after", limits.stalled_after, DAY, faults);
    check_longest("limits.recount_for", limits.recount_for, CENTURY, faults);
    check_longest("limits.recount_every", limits.recount_every, CENTURY, faults);
    check_longest("limits.keep_events", limits.keep_events, CENTURY, faults);
}

/// Checks the worker's capacity. A capacity of 0 would do nothing; a pause of 0 would keep a processor busy.
pub fn check_worker(worker: &worker::Settings, faults: &mut Faults) {
    for (name, count) in [("planners", worker.planners), ("movers", worker.movers)] {
        if !(1..=1_000).contains(&count) {
            faults.add(format!("`worker.{name}` must be 1 to 1000"));
        }
    }
    if !(1..=100_000).contains(&worker.relay_batch) {
        faults.add("`worker.relay_batch` must be 1 to 100000");
    }
    for (name, pause) in [("worker.poll", worker.poll), ("worker.sweep_every", worker.sweep_every)] {
        check_shortest(name, pause, faults);
        check_longest(name, pause, DAY, faults);
    }
    check_longest("worker.grace", worker.grace, DAY, faults);
}

/// Checks the database's address and time limits.
pub fn check_database(database: &store::Settings, faults: &mut Faults) {
    if let Err(fault) = store::driver::of_url(&database.url) {
        faults.add(fault);
    }
    if database.max_connections < 2 {
        faults.add("`database.max_connections` must be at least 2");
    }
    for (name, time) in [
        ("database.lock_timeout", database.lock_timeout),
        ("database.statement_timeout", database.statement_timeout),
        ("database.idle_in_transaction_timeout", database.idle_in_transaction_timeout),
        ("database.acquire_timeout", database.acquire_timeout),
    ] {
        check_longest(name, time, DAY, faults);
    }
}

/// Checks the collector's address.
pub fn check_telemetry(telemetry: &Telemetry, faults: &mut Faults) {
    let is_address =
        |url: &str| url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if telemetry.otlp.endpoint.as_deref().is_some_and(|url| !is_address(url)) {
        faults.add("`telemetry.otlp.endpoint` must have the form http://host:4318 or https://host:4318");
    }
}

fn check_shortest(name: &str, time: Duration, faults: &mut Faults) {
    if time < SHORTEST {
        faults.add(format!("`{name}` must be at least {}", humantime::format_duration(SHORTEST)));
    }
}

/// Refuses a time that is a mistake, and that may overflow when added to a date.
fn check_longest(name: &str, time: Duration, longest: Duration, faults: &mut Faults) {
    if time > longest {
        faults.add(format!("`{name}` must be at most {}", humantime::format_duration(longest)));
    }
}
