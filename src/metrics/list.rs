//! Every metric with its name, kind, labels and help. The counters, the table in the documentation and the answer to a scrape
//! are all generated from this list.

use std::fmt::Write;
use std::sync::LazyLock;

use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry};

/// The values of a metric without labels.
pub(super) const NONE: &[&str] = &[];

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// The current value.
    Gauge,
    /// A distribution of durations: `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// Returns Prometheus' name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// The documentation of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// The name, which ends with the unit.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The labels.
    pub labels: &'static [&'static str],
    /// The description.
    pub help: &'static str,
}

impl MetricInfo {
    /// Returns the unit in the name.
    pub fn unit(&self) -> &'static str {
        match self.name.trim_end_matches("_total") {
            name if name.ends_with("_seconds") => "seconds",
            name if name.ends_with("_bytes") => "bytes",
            _ => "",
        }
    }
}

/// The buckets of every histogram, in seconds: from a transaction of a few rows to a job of a day.
const BOUNDS: [f64; 18] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];

macro_rules! metrics {
    ($($kind:ident $type:ident $field:ident $name:literal [$($label:literal),*] $help:literal)*) => {
        /// Every metric.
        pub const ALL: &[MetricInfo] =
            &[$(MetricInfo { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help }),*];

        /// The collectors of every metric.
        pub struct Metrics {
            pub(super) registry: Registry,
            $(pub(super) $field: $type,)*
        }

        impl Metrics {
            fn new() -> prometheus::Result<Metrics> {
                let registry = Registry::new();
                $(let $field = $type::from_spec($name, $help, &[$($label),*])?;
                registry.register(Box::new($field.clone()))?;)*
                Ok(Metrics { registry, $($field,)* })
            }
        }
    };
}

metrics! {
    Counter CounterVec jobs_total "handover_jobs_total" ["type", "outcome"]
        "Jobs by request type and outcome: completed, rejected, cancelled or reverted, and each entry into needs_attention"
    Gauge GaugeVec jobs "handover_jobs" ["state"]
        "Jobs that have not ended, by state"
    Histogram HistogramVec job_duration "handover_job_duration_seconds" ["type"]
        "Time from the start of a job to its certificate"
    Histogram HistogramVec job_wait "handover_job_wait_seconds" ["type"]
        "Time that an accepted job waited for other jobs, from its earliest start (at once, or its effective_at) to its start"
    Counter CounterVec records "handover_records_total" ["kind", "disposition"]
        "Committed records by catalog kind and disposition; for an undo, restored or skipped"
    Histogram HistogramVec chunk_duration "handover_chunk_duration_seconds" []
        "Time from claiming a chunk to closing it"
    Counter CounterVec chunk_failures "handover_chunk_failures_total" []
        "Attempts at a chunk that the database refused; the chunk is retried, split, or given up"
    Histogram HistogramVec transaction_duration "handover_transaction_duration_seconds" ["step"]
        "Time from begin to commit of committed transactions, by step"
    Counter CounterVec messages "handover_messages_total" ["queue"]
        "Messages received from a queue, redeliveries included"
    Histogram HistogramVec message_wait "handover_message_wait_seconds" ["queue"]
        "Time from publishing to receiving a message, in whole seconds, for messages with a timestamp"
    Counter CounterVec dead_lettered "handover_messages_parked_total" ["reason"]
        "Messages sent to the dead-letter queue, by reason code"
    Counter CounterVec published "handover_messages_published_total" ["channel"]
        "Outbox messages that the broker confirmed"
    Gauge GaugeVec queue_messages "handover_queue_messages" ["queue"]
        "Messages on a queue that are ready for delivery; without a broker, those of the outbox, at most 100000"
    Gauge GaugeVec queue_oldest "handover_queue_oldest_seconds" ["queue"]
        "Upper bound of the age of the oldest ready message. RabbitMQ does not report it; it is derived from the message received last and the last time the queue was empty"
    Gauge GaugeVec queue_consumers "handover_queue_consumers" ["queue"]
        "Consumers of a queue, of all workers together; only with a broker"
    Gauge GaugeVec outbox_messages "handover_outbox_messages" ["channel"]
        "Outbox messages that are due and not confirmed by the broker, at most 100000"
    Gauge GaugeVec outbox_oldest "handover_outbox_oldest_seconds" ["channel"]
        "Age of the oldest due outbox message"
    Counter CounterVec scim_tripped "handover_scim_breaker_trips_total" []
        "Times that a connection deprovisioned more users than its breaker lets pass; records move only after a release"
    Counter CounterVec scim_ignored "handover_scim_ignored_attributes_total" []
        "Attributes that identity providers have sent and that the catalog does not map"
    Counter CounterVec retries "handover_retries_total" ["what"]
        "Failures that are retried, by operation as named in the log"
    Counter CounterVec deadlocks "handover_deadlocks_total" []
        "Transactions that the database ended to break a deadlock; each is retried. Without triggers and cascades of the host there are none"
    Counter CounterVec reconnects "handover_broker_reconnects_total" ["connection"]
        "Broker connections that were lost and rebuilt"
    Gauge GaugeVec tasks "handover_tasks" ["role"]
        "Tasks of this worker that can be busy at the same time"
    Counter CounterVec busy "handover_busy_seconds_total" ["role"]
        "Busy time of these tasks, summed, with retries and their pauses but without rests and waits for a mover permit; its rate divided by handover_tasks is their utilization"
    Counter CounterVec throttle_sleep "handover_pace_sleep_seconds_total" []
        "Time that movers slept to spare the database, summed"
    Gauge GaugeVec host_active "handover_beside_host" []
        "1 while movers yield to the host's own transactions, else 0"
    Gauge GaugeVec ready "handover_ready" ["part"]
        "1 if this worker can use the database, the broker and the ledger, by part, else 0"
    Gauge GaugeVec build_info "handover_build_info" ["version"]
        "1, labeled with the version of this worker"
    Gauge GaugeVec process_memory "process_resident_memory_bytes" []
        "Resident memory of the process"
    Gauge GaugeVec process_fds "process_open_fds" []
        "Open file descriptors of the process"
    Gauge GaugeVec process_start "process_start_time_seconds" []
        "Start time of the process, in seconds since 1970"
}

/// The metrics of this process.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let metrics = Metrics::new().expect("names and labels are valid and unique, which a test checks");
    // A metric without labels is reported from the start, as 0.
    let _ = metrics.chunk_duration.with_label_values(NONE);
    for counter in [
        &metrics.chunk_failures,
        &metrics.scim_ignored,
        &metrics.scim_tripped,
        &metrics.deadlocks,
        &metrics.throttle_sleep,
    ] {
        let _ = counter.with_label_values(NONE);
    }
    let _ = metrics.host_active.with_label_values(NONE);
    metrics
});

/// A collector that the list can create.
trait FromSpec: Sized {
    fn from_spec(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self>;
}

impl FromSpec for CounterVec {
    fn from_spec(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<CounterVec> {
        CounterVec::new(Opts::new(name, help), labels)
    }
}

impl FromSpec for GaugeVec {
    fn from_spec(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        GaugeVec::new(Opts::new(name, help), labels)
    }
}

impl FromSpec for HistogramVec {
    fn from_spec(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        HistogramVec::new(HistogramOpts::new(name, help).buckets(BOUNDS.to_vec()), labels)
    }
}

/// Returns the list as the Markdown table in `docs/reference/metrics.md`.
pub fn table() -> String {
    let mut text = String::from("| metric | type | unit | labels | description |\n|---|---|---|---|---|\n");
    for info in ALL {
        let labels: Vec<String> = info.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, unit, help) = (info.kind.name(), info.unit(), info.help);
        let _ = writeln!(text, "| `{}` | {kind} | {unit} | {} | {help} |", info.name, labels.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names_follow_the_conventions() {
        Metrics::new().expect("valid metrics");
        for info in ALL {
            let is_ours = info.name.starts_with("handover_") || info.name.starts_with("process_");
            assert!(is_ours, "{}", info.name);
            assert_eq!(info.name.ends_with("_total"), info.kind == Kind::Counter, "{}", info.name);
            assert!(info.kind != Kind::Histogram || info.unit() == "seconds", "{}", info.name);
            for label in info.labels {
                assert!(!["user", "user_id", "org", "org_id", "job", "job_id"].contains(label), "{}", info.name);
            }
        }
    }
}
