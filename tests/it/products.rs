//! The help pages of the three products, sentence by sentence.

pub mod agent_connect;
pub mod apto;
pub mod keap;
