//! The behavior that every database driver must share. A new engine passes these tests before anything else is tried on it.
//!
//! Each test runs on every engine. It asks [`Capabilities`](handover::store::dialect::Capabilities) where engines may
//! differ, and never which engine it runs on.

#[allow(dead_code, unused_imports)]
#[path = "../it/support/mod.rs"]
mod support;

mod dispositions;
mod errors;
mod introspection;
mod locks;
mod outbox;
mod statements;
mod strategies;
mod transactions;
mod values;
