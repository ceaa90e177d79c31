//! What settings must be, beyond being of the right type: every fault is told, with the setting's name.

use std::fmt::Write;
use std::time::Duration;

use super::sections::{DatabaseSection, Http, HttpSection, Telemetry};
use crate::stages::Limits;
use crate::{store, worker};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn check_limits(limits: &Limits, faults: &mut Faults) {
    let positive = [
        ("group", limits.group as u64),
        ("chunk_rows", limits.chunk_rows),
        ("chunks_per_cut", limits.chunks_per_cut),
        ("window", limits.window),
        ("chunk_attempts", limits.chunk_attempts.max(0) as u64),
    ];
    for (name, _) in positive.into_iter().filter(|(_, value)| *value == 0) {
        faults.add(format!("`limits.{name}` must be at least 1"));
    }
    if limits.chunk_rows > 100_000 {
        faults.add("`limits.chunk_rows` is at most 100000: a chunk's rows stay locked while it moves".into());
    }
    if limits.chunk_time < Duration::from_millis(1) {
        faults.add("`limits.chunk_time` is at least 1ms".into());
    }
    check_longest("limits.chunk_time", limits.chunk_time, HOUR, faults);
    if limits.stalled_after.is_zero() || limits.recount_every.is_zero() {
        faults.add("`limits.stalled_after` and `limits.recount_every` must be longer than nothing".into());
    }
    check_longest("limits.stalled_after", limits.stalled_after, HOUR * 24, faults);
    for (name, time) in [
        ("limits.recount_for", limits.recount_for),
        ("limits.recount_every", limits.recount_every),
        ("limits.keep_events", limits.keep_events),
    ] {
        check_longest(name, time, HOUR * 24 * 365 * 100, faults);
    }
}

/// A worker that carries nothing at a time never carries anything, and one that never pauses keeps a processor busy.
pub(super) fn check_worker(worker: &worker::Settings, faults: &mut Faults) {
    for (name, at_a_time) in [("planners", worker.planners), ("movers", worker.movers)] {
        if !(1..=1_000).contains(&at_a_time) {
            faults.add(format!("`worker.{name}` is 1 to 1000"));
        }
    }
    if !(1..=100_000).contains(&worker.relay_batch) {
        faults.add("`worker.relay_batch` is 1 to 100000".into());
    }
    for (name, pause) in [("worker.poll", worker.poll), ("worker.sweep_every", worker.sweep_every)] {
        if pause < Duration::from_millis(1) {
            faults.add(format!("`{name}` is at least 1ms"));
        }
        check_longest(name, pause, HOUR * 24, faults);
    }
    check_longest("worker.grace", worker.grace, HOUR * 24, faults);
}

/// Beyond it a time is a slip, and cannot be added to others.
fn check_longest(name: &str, time: Duration, longest: Duration, faults: &mut Faults) {
    if time > longest {
        faults.add(format!("`{name}` is at most {}", humantime::format_duration(longest)));
    }
}

pub(super) fn check_database(section: DatabaseSection, faults: &mut Faults) -> store::Settings {
    let scheme = section.url.split(':').next().unwrap_or_default();
    if !["postgres", "postgresql", "sqlite"].contains(&scheme) {
        faults.add("`database.url` begins with `postgres:` or `sqlite:`".into());
    }
    if section.max_connections < 2 {
        faults.add("`database.max_connections` must be at least 2".into());
    }
    for (name, time) in [
        ("database.lock_timeout", section.lock_timeout),
        ("database.statement_timeout", section.statement_timeout),
        ("database.idle_in_transaction_timeout", section.idle_in_transaction_timeout),
        ("database.acquire_timeout", section.acquire_timeout),
    ] {
        check_longest(name, time, HOUR * 24, faults);
    }
    store::Settings {
        url: section.url,
        max_connections: section.max_connections,
        lock_timeout: section.lock_timeout,
        statement_timeout: section.statement_timeout,
        idle_timeout: section.idle_in_transaction_timeout,
        acquire_timeout: section.acquire_timeout,
    }
}

pub(super) fn check_http(section: &HttpSection, faults: &mut Faults) -> Http {
    let address = section.listen.parse();
    if address.is_err() && !section.listen.is_empty() {
        let form = "an address and a port, 127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464";
        faults.add(format!("`http.listen` is {form}; or empty, and nothing listens"));
    }
    Http { listen: address.ok() }
}

pub(super) fn check_telemetry(telemetry: &Telemetry, faults: &mut Faults) {
    let is_address =
        |url: &str| url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if telemetry.otlp.endpoint.as_deref().is_some_and(|url| !is_address(url)) {
        faults.add("`telemetry.otlp.endpoint` is an address of the form http://host:4318 or https://host:4318".into());
    }
}

/// What is wrong, all of it.
pub(super) struct Faults(pub Vec<String>);

impl Faults {
    pub fn add(&mut self, fault: String) {
        self.0.push(fault);
    }

    pub fn all(&self) -> String {
        let mut text = String::from("the configuration is wrong:");
        for fault in &self.0 {
            let _ = write!(text, "\n  {fault}");
        }
        text
    }
}
