//! The stages. Each takes a message, runs one transaction, and leaves rows and outgoing messages behind.
//!
//! Stages never call each other. A message only says *look here*; all truth is in the ledger. A repeated, reordered, delayed
//! or lost message changes nothing, and a crash anywhere means: look again.
//!
//! | stage | takes | leaves |
//! |---|---|---|
//! | [`planner`] | requests to hand over, in groups | finished small jobs; large jobs opened |
//! | [`commands`] | a request about a job, a user who comes back, or an invitation | small changes done; an undo opened |
//! | [`scheduled`] | a scheduled job that is due | like the planner |
//! | [`cutter`] | a job | chunks, and tickets for them |
//! | [`mover`] | a ticket | a chunk's records moved and journaled |
//! | [`finalizer`] | a job | its certificate, or one more pass for late records |
//! | [`relay`] | outbox rows | messages and events on the broker |
//! | [`sweeper`] | time | messages for work that has stalled, is due or has expired |
//!
//! [`intake`] reads requests and gives them to the planner and to the commands. [`forget`] runs by a person's command.
//!
//! # What stages share
//!
//! A stage imports shared files, and never another stage. `tests/it/layers` checks it.
//!
//! - `context`, `limits`, `event_settings`, `catalogs`, `throughput`: the context of every stage.
//! - `accepted`, `spelling`, `outcome`, `reply`: a request that could be read, its ids, and its answer.
//! - `lifecycle`: a job's transition with its audit entry and its messages, in one call. `new_job` creates jobs, `changes` writes what a transaction
//!   changes in the ledger, `messages` creates outbox messages.
//! - `new_chunks`: the chunks that a cut adds. `license`, `refusal`, `retry`: small helpers.
//! - In [`handover`]: `evaluate`, `guard_rows`, `parties`, `settle`, `start`, `lock_out`, `supersede`, `turns`, `wait` for the planner and the scheduled start;
//!   `chunk`, `resize`, `bisect`, `failure` for the mover; `certify` for every final count.
//! - In [`undo`]: the half of each step that undoes a job, and its preview.

mod accepted;
mod catalogs;
mod changes;
pub mod commands;
mod context;
mod event_settings;
pub mod forget;
pub mod handover;
pub mod intake;
mod license;
mod lifecycle;
mod limits;
mod messages;
mod new_chunks;
mod new_job;
mod outcome;
mod refusal;
pub mod relay;
pub mod reply;
mod retry;
pub mod spelling;
pub mod sweeper;
pub mod throughput;
pub mod undo;

pub use self::accepted::Accepted;
pub use self::catalogs::Catalogs;
pub use self::context::{Context, enter, now};
pub use self::event_settings::EventSettings;
use self::handover::{cutter, failure, finalizer, mover, planner, scheduled};
pub use self::limits::{Limits, ScimLimits};
pub use self::outcome::{Answer, AnswerResult, DeadLetterReason, Outcome};
pub use self::retry::{Attempts, pause_before_next};
pub use self::throughput::Throughput;

/// The names of the stages' transactions. Tests repeat and fail each of them; a transaction that is not listed fails the tests.
pub const STEPS: [&str; 12] = [
    planner::PLAN,
    commands::COMMAND,
    scheduled::START,
    cutter::CUT,
    mover::MOVE,
    failure::GIVE_UP,
    finalizer::FINALIZE,
    finalizer::RECOUNT,
    relay::CLAIM,
    relay::DELIVERED,
    sweeper::SWEEP,
    sweeper::PURGE,
];
