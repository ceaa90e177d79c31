//! The worker: consumes messages, runs the stages on them, retries within budget, and drains when it is stopped.
//!
//! The stages share two queues: the planner takes requests; the cutter, mover and finalizer take steps. [`Role`] lists what a
//! worker can run.
//!
//! | file | holds |
//! |---|---|
//! | `settings` | [`Role`] and [`Settings`] |
//! | `lifecycle` | starting the loops, and draining them |
//! | `shared` | what every loop uses: receiving, dead-lettering and acknowledging a message |
//! | `planner_loop`, `step_loop`, `relay_loop`, `sweeper_loop` | one loop each |
//! | `waiting`, `put_off` | requests that are tried again: in the planner, or from the outbox |
//! | [`throttle`] | rests in proportion to work, longer while the host is under load |
//! | [`host_activity`] | detects the host's own transactions, and makes movers take turns meanwhile |
//! | `dead_letter`, `replies`, `spans`, `step_log` | the messages, spans and log lines that a worker writes |

mod dead_letter;
pub mod host_activity;
mod lifecycle;
mod planner_loop;
mod put_off;
mod relay_loop;
mod replies;
mod settings;
mod shared;
mod spans;
mod step_log;
mod step_loop;
mod sweeper_loop;
pub mod throttle;
mod waiting;

pub use self::lifecycle::run;
pub use self::settings::{Role, Settings};
