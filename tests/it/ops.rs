//! Operations: health, metrics, logs, traces, and their documentation.

mod documents;
mod health;
mod logs;
mod metrics;
mod pgbouncer;
mod prometheus;
mod systemd;
mod tracing;
