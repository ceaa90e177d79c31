//! What those see who operate it: health, metrics, logs, and what is made of them.

mod documents;
mod health;
mod logs;
mod metrics;
mod pgbouncer;
mod prometheus;
mod systemd;
mod tracing;
