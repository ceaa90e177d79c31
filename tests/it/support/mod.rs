//! A world for each test: an application with its database, a broker, and workers.

pub mod api;
pub mod authority;
pub mod broker;
pub mod browser;
pub mod checkers;
pub mod collector;
pub mod database;
pub mod snapshot;
pub mod disturb;
pub mod gate;
pub mod http;
pub mod keap;
pub mod ledger;
pub mod people;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rabbitmq;
pub mod redact;
pub mod secrets;
pub mod server;
pub mod silence;
pub mod terminal;
pub mod visitor;
pub mod world;

pub use handover_test_macros::{every_engine, on_postgres, on_sqlite};

pub use world::{World, run};

/// The engines that the tests run on, each with the broker that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite, with the outbox as the queue.
    Sqlite,
    /// PostgreSQL, with RabbitMQ.
    Postgres,
}
