//! Faults of the database, the broker, the host and the worker: nothing is lost, and nothing is done twice.

mod broken_queues;
mod broker;
mod cluster;
mod database;
mod every_step;
mod frozen_worker;
mod lagging_standby;
mod long_messages;
mod rabbitmq_limits;
pub mod recovery;
mod refused_rows;
mod retry_budgets;
