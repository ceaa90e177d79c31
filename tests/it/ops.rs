//! Operations: health, metrics, logs and traces.

mod health;
mod logs;
mod metrics;
mod pgbouncer;
mod prometheus;
mod systemd;
mod tracing;
