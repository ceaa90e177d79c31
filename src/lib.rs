//! Handover (map to be written).
pub mod broker;
pub mod catalog;
pub mod contract;
pub mod job;
pub mod plan;
pub mod retry;
pub mod store;
