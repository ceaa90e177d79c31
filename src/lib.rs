//! Handover offboards users: it moves everything a leaver owns to those who stay, in batches, while the application whose
//! users these are (the *host*) keeps running; then it frees the license, proves that nothing was orphaned, and publishes
//! what it did. Every step can be repeated, and every crash is survived.
//!
//! # The map of the house
//!
//! Data flows from top to bottom; a module uses only those above it (`tests/it/layers.rs` checks it). Two kinds of code
//! stand apart: [`contract`], [`catalog`], [`job`] and [`plan`] do no I/O at all; only [`store`] writes SQL, and only
//! [`broker::amqp`] knows RabbitMQ.
//!
//! | module | holds |
//! |---|---|
//! | [`metrics`] | what is counted for those who operate it: one list |
//! | [`retry`] | trying again: pauses, with jitter |
//! | [`trace`] | spans along a job, and the trace context that messages carry |
//! | [`contract`] | the outside's words: requests, events, certificates, ids |
//! | [`catalog`] | which tables point at users, and what becomes of each: data, not code |
//! | [`job`] | the states of a job and the one table of transitions; steps; reasons for a refusal |
//! | [`plan`] | who gets the n-th record, the guards, which requests share a transaction, the plan token |
//! | [`store`] | the database: `ledger` is our bookkeeping, `host` the application's tables |
//! | [`broker`] | where messages come from and go to: RabbitMQ, or the outbox table itself |
//! | [`stages`] | planner, orders, cutter, mover, finalizer, undo, relay, sweeper: one transaction each |
//! | [`worker`] | runs the stages: consumes, retries, settles, drains |
//! | [`http`] | the HTTP listener: metrics, and whether the worker is ready |
//! | [`config`], [`telemetry`] | settings; logs, and the export of spans |
//! | [`cli`] | a file a command |
//!
//! # How a request flows
//!
//! A message only says *look here*; all truth is in the ledger. The [planner](stages::handover::planner) takes what waits in
//! `handover.requests`, up to a group, and in one transaction locks the users, asks every guard, shuts the leavers out and
//! writes every outcome. A job that fits one chunk is moved and proved there and then. A larger one is opened: the
//! [cutter](stages::handover::cutter) cuts its references into key ranges, a bounded number a step; each ticket lets a
//! [mover](stages::handover::mover) take any open chunk, deal and move its records, journal them and close it, in one transaction, and
//! go on with the next one for a moment, once everything is cut;
//! the [finalizer](stages::handover::finalizer) locks the leaver's row, counts what is left, and writes the certificate. Messages and
//! events leave by the outbox, in the transaction that they tell of; the [relay](stages::relay) publishes them with
//! confirms. What stands still is found by the [sweeper](stages::sweeper).
//!
//! Whoever asks for a reply with their request is [told](stages::reply) at once what became of it, when that is committed and
//! before the request is acknowledged. What cannot be read or done is set aside in the dead queue; a person lists it, sends it
//! back or drops it ([`broker::DeadLetterQueue`]).
//!
//! Requests about a job, about a user who comes back, and about invitations are [orders](stages::commands): one transaction
//! each, beside the planner's groups. What they begin to undo is a job like any other, which the same steps cut and work on:
//! a chunk of it is a row of the journal, read from its end, or a slice of one.
//!
//! # Decisions worth knowing
//!
//! * Requests of a group may share successors: they are locked in shared mode, and whole teams are handed to one person. A
//!   leaver still stands in a group once, and never among its receivers ([`plan::group`]).
//! * Round-robin turns are taken after every guard and before the first write, not last: a transaction that holds a turn
//!   then never waits for a row that another, waiting for the turn, has written ([`stages`], `start`).
//! * A job that is done at once publishes only `completed`; `started` tells of one that goes on in the background.
//! * A chunk holds its first and its last key, both included, so that it is one range of the index on (user, key).
//! * Rows of a table without any unique key are counted instead: a chunk takes the next so many, and an undo finds each
//!   again by what it looked like when it was left (`keyless` and `recognized` of the store).
//! * In SQLite the ledger's tables carry the prefix `handover_`: there are no schemas there ([`store::Session`]).
//! * A chunk that the database refuses after its attempts is halved, down to the row to blame: that row fails alone and is
//!   told by its key, and everything around it moves. One that runs out of time is cut smaller too, at once; rows that
//!   somebody else holds are set apart and tried later ([`stages::handover::mover`]).
//! * Chunks are cut ahead of time, so a mover that expects one to take too long cuts it again, by what rows of its reference
//!   took in this process: a hint that is nowhere kept, for it is learned anew from one chunk. On the way back, too: there a
//!   chunk is a slice of the keys that a row of the journal tells of.
//! * What a group's transaction adds to the ledger is one statement of PostgreSQL's, and a job that is done at once is certified
//!   by what its moves return: the journal is read only for those that took several transactions ([`store::ledger::batch`]).
//! * Rows of a guard over the last of a group that the request resolves are handed on when it is accepted, under the
//!   guard's locks, not with the other chunks.
//! * Each order makes a job of its own, which is completed or rejected at once, or is the undo; the job that it is about
//!   goes from `completed` to `reverting` and `reverted`, or to `cancelled`, with its own events.
//! * A request type that a catalog's `may` does not name takes the rule of `deactivate`, and is not open to everybody.
//! * Mover and finalizer share the queue of steps, so a worker that runs one of them runs both ([`worker::Role`]).

pub mod metrics;
pub mod retry;
pub mod trace;
pub mod contract;
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
