//! Handover offboards users: it moves everything a leaver owns to those who stay.
//!
//! (The map of the house.)

pub mod retry;
pub mod contract;
pub mod catalog;
pub mod job;
pub mod plan;
pub mod store;
pub mod broker;
pub mod stages;
pub mod worker;
pub mod config;
pub mod telemetry;
pub mod cli;
