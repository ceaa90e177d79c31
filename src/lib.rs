//! Handover offboards users. It moves everything a leaver owns to the people who stay, in bounded transactions, while the
//! application whose users these are (the *host*) keeps running. Then it frees the license, proves that nothing was
//! orphaned, and publishes what it did. Every step can be repeated, and every crash is survived.
//!
//! `ARCHITECTURE.md` walks through a request and lists the invariants. `docs/decisions` records why things are as they
//! are, and `docs/glossary.md` defines the words.
//!
//! # Modules
//!
//! A module uses only modules above it; `tests/it/layers` checks this. [`contract`], [`scim`], [`catalog`], [`job`] and
//! [`plan`] do no I/O. Only [`store`] writes SQL, and only [`broker::amqp`] knows RabbitMQ.
//!
//! | module | holds |
//! |---|---|
//! | [`metrics`] | everything that is counted, in one list |
//! | [`retry`] | pauses between attempts, with jitter |
//! | [`trace`] | spans along a job, and the trace context that messages carry |
//! | [`contract`] | the public interface: requests, replies, events, certificates, ids |
//! | [`scim`] | SCIM 2.0 as data: filters, changes, resources, discovery |
//! | [`catalog`] | which tables point at users, and the disposition of each: data, not code |
//! | [`job`] | the states of a job and the one table of transitions; steps; reasons |
//! | [`plan`] | pure planning: guards, grouping of requests, the deal (who receives the n-th record), the plan token |
//! | [`store`] | the database: `ledger` is our tables, `host` the application's |
//! | [`broker`] | where messages come from and go to: RabbitMQ, or the outbox table itself |
//! | [`stages`] | planner, cutter, mover, finalizer, commands, undo, relay, sweeper: one transaction each |
//! | [`app`] | the use cases behind the commands: submit, preview, jobs, users, bulk files, dead letters, audit, tokens, access |
//! | [`worker`] | runs the stages: consumes, retries, throttles, drains |
//! | [`http`] | the HTTP servers: the API, and metrics and health |
//! | [`config`], [`telemetry`] | settings; logs, and the export of spans |
//! | [`cli`] | a file for each command |
//!
//! # How a request flows
//!
//! A step message only says *look here*; its stage reads the state from the ledger. The [planner](stages::handover::planner) takes a group
//! of waiting requests. In one transaction it locks the users, evaluates every guard, ends the leavers' access and writes every
//! outcome. A job that fits one chunk is moved and certified there. For a larger one the
//! [cutter](stages::handover::cutter) cuts its references into key ranges, a bounded number in each step. Each ticket lets a
//! [mover](stages::handover::mover) claim an open chunk, deal and move its records, journal them and close it, in one
//! transaction. The [finalizer](stages::handover::finalizer) locks the leaver's row, counts what is left, and writes the
//! certificate. Outgoing messages are written to the outbox in the transaction they report; the [relay](stages::relay)
//! publishes them with confirms. The [sweeper](stages::sweeper) finds work that has stalled.
//!
//! A requester who asks for a [reply](stages::reply) gets it after the commit, before the request is acknowledged. A
//! message that cannot be read or processed becomes a dead letter; a person lists, replays or drops it
//! ([`broker::DeadLetterQueue`]).
//!
//! Requests about a job, a returning user or an invitation are [commands](stages::commands), one transaction each. An
//! undo is a job like any other, with the same steps: its chunks come from the journal, read from its end, and from the
//! snapshots that wait for the user.

// A new variant of an enum must be handled by every match. Foreign enums that may grow are allowed one by one.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod metrics;
pub mod retry;
pub mod trace;
pub mod contract;
pub mod scim;
pub mod catalog;
pub mod job;
pub mod plan;
pub mod store;
pub mod broker;
pub mod stages;
pub mod app;
pub mod worker;
pub mod http;
pub mod config;
pub mod telemetry;
pub mod cli;
