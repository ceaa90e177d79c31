//! The list: every metric with its name, kind, labels and help. What is counted, the table of the documentation and the
//! answers to a scrape are all made of it.

use std::fmt::Write;
use std::sync::LazyLock;

use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is as it is now.
    Gauge,
    /// How many took how long: `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric, as it is documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Its name, which ends with its unit.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

impl About {
    /// The unit that its name tells.
    pub fn unit(&self) -> &'static str {
        match self.name.trim_end_matches("_total") {
            name if name.ends_with("_seconds") => "seconds",
            name if name.ends_with("_bytes") => "bytes",
            _ => "",
        }
    }
}

/// Bounds of every histogram, in seconds: from a transaction of a few rows to a job of a day.
const BOUNDS: [f64; 18] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];

macro_rules! metrics {
    ($($kind:ident $type:ident $field:ident $name:literal [$($label:literal),*] $help:literal)*) => {
        /// Every metric.
        pub const ALL: &[About] =
            &[$(About { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help }),*];

        /// Every metric, as it is counted.
        pub struct Metrics {
            pub(super) registry: Registry,
            $(pub(super) $field: $type,)*
        }

        impl Metrics {
            fn new() -> prometheus::Result<Metrics> {
                let registry = Registry::new();
                $(let $field = $type::made($name, $help, &[$($label),*])?;
                registry.register(Box::new($field.clone()))?;)*
                Ok(Metrics { registry, $($field,)* })
            }
        }
    };
}

metrics! {
    Counter CounterVec jobs_total "handover_jobs_total" ["type", "outcome"]
        "Jobs by the request's type and what became of them: completed, rejected, cancelled, reverted; and each time that one came to needs_attention"
    Gauge GaugeVec jobs "handover_jobs" ["state"]
        "Jobs that have not ended, by state"
    Histogram HistogramVec job_duration "handover_job_duration_seconds" ["type"]
        "From the begin of a job to its certificate"
    Histogram HistogramVec job_wait "handover_job_wait_seconds" ["type"]
        "From when an accepted job could have begun (at once, or at its effective_at) until it did: what it waited for other jobs"
    Counter CounterVec records "handover_records_total" ["kind", "disposition"]
        "Records dealt with and committed, by the catalog's kind and disposition; of an undo, restored or skipped"
    Histogram HistogramVec chunk_duration "handover_chunk_duration_seconds" []
        "Work on a chunk, from taking it to closing it"
    Counter CounterVec chunk_failures "handover_chunk_failures_total" []
        "Attempts at a chunk that the database refused: it is tried again, halved, or given up"
    Histogram HistogramVec transaction_duration "handover_transaction_duration_seconds" ["step"]
        "Transactions that committed, from their begin to their commit, by step"
    Counter CounterVec messages "handover_messages_total" ["queue"]
        "Messages taken from a queue, those that came again too"
    Histogram HistogramVec message_wait "handover_message_wait_seconds" ["queue"]
        "From when a message was published until it was taken, to the second, of those that say when they were"
    Counter CounterVec dead_lettered "handover_messages_parked_total" ["reason"]
        "Messages set aside for a person in the dead queue, by the code of the reason"
    Counter CounterVec published "handover_messages_published_total" ["channel"]
        "Messages of the outbox that the broker has confirmed"
    Gauge GaugeVec queue_messages "handover_queue_messages" ["queue"]
        "Messages that are ready on a queue and held by nobody; without a broker, those of the outbox, 100000 at most"
    Gauge GaugeVec queue_oldest "handover_queue_oldest_seconds" ["queue"]
        "Age of the oldest message that is ready. RabbitMQ does not tell it: it is at most this, by the message taken last and the time since the queue was last seen empty"
    Gauge GaugeVec queue_consumers "handover_queue_consumers" ["queue"]
        "Consumers of a queue, of all workers together; only where there is a broker"
    Gauge GaugeVec outbox_messages "handover_outbox_messages" ["channel"]
        "Messages of the outbox that are due and not confirmed by the broker, 100000 at most"
    Gauge GaugeVec outbox_oldest "handover_outbox_oldest_seconds" ["channel"]
        "Age of the oldest of them"
    Counter CounterVec retries "handover_retries_total" ["what"]
        "Failures after which something is tried again, by what was being done, as the log says it"
    Counter CounterVec reconnects "handover_broker_reconnects_total" ["connection"]
        "Connections to the broker that were lost and built again"
    Gauge GaugeVec tasks "handover_tasks" ["role"]
        "Tasks of this worker that can be busy at the same time"
    Counter CounterVec busy "handover_busy_seconds_total" ["role"]
        "Time that these tasks were busy, all together, retries and their pauses included, rests and the wait for a turn beside the host not: its rate by handover_tasks is their utilization"
    Counter CounterVec throttle_sleep "handover_pace_sleep_seconds_total" []
        "Time that tasks slept to spare the database, all together"
    Gauge GaugeVec host_active "handover_beside_host" []
        "1 while movers work and the host's own transactions come and go, for which they make room; else 0"
    Gauge GaugeVec ready "handover_ready" ["part"]
        "Whether this worker can use the database, the broker and the ledger's migrations: 1, or 0"
    Gauge GaugeVec build_info "handover_build_info" ["version"]
        "1, with the version of this worker"
    Gauge GaugeVec process_memory "process_resident_memory_bytes" []
        "Memory that the process holds"
    Gauge GaugeVec process_fds "process_open_fds" []
        "Files, sockets and the like that the process has open"
    Gauge GaugeVec process_start "process_start_time_seconds" []
        "When the process began, in seconds since 1970"
}

/// The numbers of this process.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let metrics =
        Metrics::new().expect("names and labels of the list are well formed and different, which a test checks");
    // What has no labels is told from the beginning, and so is 0 before it happens first.
    let _ = metrics.chunk_duration.with_label_values(super::NONE);
    for counter in [&metrics.chunk_failures, &metrics.throttle_sleep] {
        let _ = counter.with_label_values(super::NONE);
    }
    let _ = metrics.host_active.with_label_values(super::NONE);
    metrics
});

/// How a metric of a kind is made.
trait Made: Sized {
    fn made(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self>;
}

impl Made for CounterVec {
    fn made(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<CounterVec> {
        CounterVec::new(Opts::new(name, help), labels)
    }
}

impl Made for GaugeVec {
    fn made(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        GaugeVec::new(Opts::new(name, help), labels)
    }
}

impl Made for HistogramVec {
    fn made(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        HistogramVec::new(HistogramOpts::new(name, help).buckets(BOUNDS.to_vec()), labels)
    }
}

/// The list as a table of Markdown, as `docs/metrics.md` holds it.
pub fn table() -> String {
    let mut text = String::from("| metric | type | unit | labels | what it says |\n|---|---|---|---|---|\n");
    for about in ALL {
        let labels: Vec<String> = about.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, unit, help) = (about.kind.name(), about.unit(), about.help);
        let _ = writeln!(text, "| `{}` | {kind} | {unit} | {} | {help} |", about.name, labels.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_well_formed_and_its_names_follow_the_conventions() {
        Metrics::new().expect("a registry of all of them");
        for about in ALL {
            let is_ours = about.name.starts_with("handover_") || about.name.starts_with("process_");
            assert!(is_ours, "{}", about.name);
            assert_eq!(about.name.ends_with("_total"), about.kind == Kind::Counter, "{}", about.name);
            assert!(about.kind != Kind::Histogram || about.unit() == "seconds", "{}", about.name);
            for label in about.labels {
                assert!(!["user", "user_id", "org", "org_id", "job", "job_id"].contains(label), "{}", about.name);
            }
        }
    }
}
