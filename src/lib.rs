//! Handover (map to be written).
pub mod broker;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod contract;
pub mod job;
pub mod plan;
pub mod retry;
pub mod stages;
pub mod store;
pub mod telemetry;
pub mod worker;
