//! The life of a job: schedules, chunks, throttling, late records, commands, and previews.

mod chunks;
mod commands;
mod digests;
pub mod late_records;
mod previews;
mod scheduled;
mod throttle;
mod unmovable_late_rows;
